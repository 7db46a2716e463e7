"""Nanoseconds per entry of the native engine's vector functions, against NumPy's ufuncs and the C library's vectors.

    python benchmarks/vector_math.py [--n 100000] [--float32] [name ...]

One core, arrays in cache; medians of interleaved rounds. `libmvec` is timed where the C library has it, in a loop that
calls it on vectors of this machine's width.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "native_math"))

from harness import Compiled, Kind, own

import tapecli.ops  # noqa: F401  (declares the ops)
from tapecli.core import TABLE
from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import NAMES, function

#: Where arguments are drawn from, uniformly; elsewhere 0.1 to 3.
RANGES = {
    **dict.fromkeys(("exp", "expm1", "sinh", "cosh", "tanh", "sigmoid", "softplus", "sigmoid_d1"), (-10.0, 10.0)),
    **dict.fromkeys(("sin", "cos", "tan"), (-100.0, 100.0)),
    **dict.fromkeys(("asin", "acos", "atanh", "asind", "acosd", "asech", "logit"), (0.01, 0.99)),
    **dict.fromkeys(("acosh", "asec", "acsc", "acoth"), (1.01, 5.0)),
}
MVEC = {"exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "expm1", "log1p", "log2"} | {
    *("log10", "exp2", "exp10", "cbrt", "erf", "erfc", "asinh", "acosh", "atanh", "atan2", "pow", "hypot"),
}


def arity_of(name: str) -> int:
    op = TABLE.get(name) or TABLE.get(name.rpartition("_")[0])
    return len(op.vjps) if op is not None else 2  # type: ignore[arg-type]


def from_mvec(name: str, arity: int, scalar: str) -> Any:
    """A rule that calls the C library's vector function of 64 bytes."""

    def rule(b: Lanes, *args: Val) -> Val:
        suffix = "f" if scalar == "float" else ""
        symbol = f"@_ZGVeN{b.lanes}{'v' * arity}_{name}{suffix}"
        b.code.declare(f"declare {args[0].type} {symbol}({', '.join(a.type for a in args)})")
        return b.code.emit(f"call {args[0].type} {symbol}({', '.join(a.typed for a in args)})", b.scalar, b.lanes)

    return rule


def rates(calls: dict[str, Any], n: int, rounds: int) -> dict[str, float]:
    """Nanoseconds per entry: the median over rounds in which all calls take turns."""
    found: dict[str, list[float]] = {key: [] for key in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            found[key].append(time.perf_counter() - start)
    return {key: 1e9 * statistics.median(times) / n for key, times in found.items()}


def measure(name: str, n: int, scalar: str, kind: Kind, rounds: int, mvec: bool) -> tuple[dict[str, float], float]:
    """Rates by way of computing, and the time to compile the function alone, in milliseconds."""
    arity = arity_of(name)
    lanes = kind.bytes // (8 if scalar == "double" else 4)
    dtype = np.float64 if scalar == "double" else np.float32
    rng = np.random.default_rng(1)
    arrays = [rng.uniform(*RANGES.get(name, (0.1, 3.0)), n).astype(dtype) for _ in range(arity)]
    outs = [np.empty(n, dtype) for _ in range(3)]
    start = time.perf_counter()
    own_code = Compiled({name: function(name)}, {name: arity}, scalar, lanes, kind)
    compile_ms = 1e3 * (time.perf_counter() - start)
    calls: dict[str, Any] = {"native": own_code.bound(name, outs[0], arrays)}
    if name in TABLE:
        ufunc, out = TABLE[name].kernel, outs[1]
        if isinstance(ufunc, np.ufunc):
            calls["numpy"] = lambda: ufunc(*arrays, out=out)
        else:
            calls["numpy"] = lambda: ufunc(*arrays)
    if mvec and name in MVEC and kind.bytes == 64:
        theirs = Compiled({name: from_mvec(name, arity, scalar)}, {name: arity}, scalar, lanes, kind)
        calls["libmvec"] = theirs.bound(name, outs[2], arrays)
    with np.errstate(all="ignore"):
        return rates(calls, n, rounds), compile_ms


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--float32", action="store_true")
    options = parser.parse_args()
    try:
        ctypes.CDLL("libmvec.so.1", mode=ctypes.RTLD_GLOBAL)
        mvec = True
    except OSError:
        mvec = False
    scalar = "float" if options.float32 else "double"
    sys.stdout.write("function          native  numpy  libmvec   numpy/native  libmvec/native  compile ms\n")
    for name in options.names or sorted(NAMES):
        found, ms = measure(name, options.n, scalar, own(), options.rounds, mvec)
        a, p, m = found["native"], found.get("numpy", float("nan")), found.get("libmvec", float("nan"))
        sys.stdout.write(f"{name:16s} {a:7.2f} {p:7.2f} {m:7.2f} {p / a:10.1f} {m / a:14.1f} {ms:12.1f}\n")


if __name__ == "__main__":
    main()
