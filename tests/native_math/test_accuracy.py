"""Every elementwise op with a native rule, in machine code, against exact values: tests/ops/facts.json and
tests/kernels/facts.json, in double and single precision, for this machine and for others that it can stand in for.
sweep.py beside measures more densely.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import tapecli.ops  # noqa: F401  (declares the ops)
from tapecli.core import TABLE
from tapecli.ops import lowering, scientific

sys.path.insert(0, str(Path(__file__).parent))
from harness import AVX2, BASELINE, Compiled, Kind, own, runs

TESTS = Path(__file__).parents[1]
LIMITS = (2.0, 4.0, 6.0)
#: What the name of a kernel's facts means in the op table.
NAMES = {"arccosh": "acosh"}
KINDS = {"own": own(), "avx2": AVX2, "baseline": BASELINE}


class Facts:
    """Arguments and exact values of one op with its parameters; what the values lack; sizes that errors count by."""

    def __init__(self, name: str, params: dict[str, Any], order: int) -> None:
        self.name, self.params, self.order = name, params, order
        self.rows: list[tuple[list[float], float, float, float]] = []

    @property
    def label(self) -> str:
        return "-".join([self.name, *[f"{v:.3g}" for v in self.params.values()]])

    @property
    def columns(self) -> list[Any]:
        return [np.array(c) for c in zip(*[row[0] for row in self.rows], strict=True)]

    @property
    def exact(self) -> tuple[Any, Any, Any]:
        found = np.array([row[1:] for row in self.rows])
        return found[:, 0], found[:, 1], found[:, 2]


@lru_cache(maxsize=1)
def facts() -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    for record in json.loads((TESTS / "ops" / "facts.json").read_text(encoding="utf-8")):
        op = TABLE[record["op"]]
        if op.kind == "elementwise" and lowering.compiled(op.native, record["params"]):
            f = Facts(record["op"], record["params"], record["order"])
            for at, value, _, _, sizes in record["facts"]:
                size = float.fromhex(sizes[0]) if sizes else 0.0
                f.rows.append(([float.fromhex(x) for x in at], float.fromhex(value), 0.0, size))
            found[f.label] = f
    for name, lines in json.loads((TESTS / "kernels" / "facts.json").read_text(encoding="utf-8")).items():
        f = found.get(NAMES.get(name, name))  # type: ignore[assignment]
        if f is None or f.params:
            continue
        for line in lines:
            *numbers, rest = line.split()
            *at, value = [float.fromhex(x) for x in numbers]
            f.rows.append((at, value, float(rest), 0.0))
    for record in json.loads((TESTS / "special" / "facts.json").read_text(encoding="utf-8")):
        name, _, arguments = record["formula"].partition("(")
        if arguments != "x)" or name not in TABLE or name in found or not scientific.available():
            continue
        if TABLE[name].kind == "elementwise" and callable(TABLE[name].native):
            found[name] = Facts(name, {}, 0)
            found[name].rows = [
                ([float.fromhex(at[0])], float.fromhex(v[0]), 0.0, 0.0) for at, v, *_ in record["facts"]
            ]
    return found


def rule_of(f: Facts) -> Callable[..., Any]:
    return lambda b, *xs: TABLE[f.name].native(b, *xs, **f.params)


@lru_cache(maxsize=8)
def compiled(kind: str, scalar: str, lanes: int) -> Compiled:
    rules = {label: rule_of(f) for label, f in facts().items()}
    arity = {label: len(f.rows[0][0]) for label, f in facts().items()}
    return Compiled(rules, arity, scalar, lanes, KINDS[kind])


def full(kind: Kind, scalar: str) -> int:
    return kind.bytes // (8 if scalar == "double" else 4)


def ulps(got: Any, value: Any, rest: Any, size: Any) -> Any:
    """Errors in ULP of the exact value, or of `size` where that is greater."""
    with np.errstate(all="ignore"):
        unit = np.spacing(np.minimum(np.maximum(np.abs(value), size), 1.7e308))
        error = np.abs((got - value) - rest) / unit
    same = (got == value) | (np.isnan(got) & np.isnan(value))
    return np.where(same & ~np.isfinite(value), 0.0, np.where(np.isnan(error), np.inf, error))


def worst(label: str, kind: str) -> tuple[float, tuple[float, ...]]:
    f = facts()[label]
    got = compiled(kind, "double", full(KINDS[kind], "double"))(label, *f.columns)
    error = ulps(got, *f.exact)
    at = int(np.argmax(error))
    return float(error[at]), tuple(f.rows[at][0])


def worst_single(label: str) -> float:
    """Against double precision at the same, singly precise arguments."""
    f = facts()[label]
    with np.errstate(all="ignore"):
        small = [c.astype(np.float32) for c in f.columns]
    got = compiled("own", "float", full(KINDS["own"], "float"))(label, *small)
    want = compiled("own", "double", full(KINDS["own"], "double"))(label, *[c.astype(np.float64) for c in small])
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        unit = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, 1)).astype(np.float32)).astype(np.float64)
        error = np.abs(got.astype(np.float64) - want) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    error = np.where(same, np.where(np.isfinite(rounded), error, 0.0), error)
    inside = np.isfinite(want) & (np.abs(want) < 3.4e38)
    for c in small:
        inside &= np.isfinite(c)
    return float(np.max(np.where(inside, error, 0.0), initial=0.0))


def labels(f: Callable[..., Any]) -> Any:
    return pytest.mark.parametrize("label", list(facts()))(f)


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if runs(kind)])
@labels
def test_double_precision(label: str, kind: str) -> None:
    f = facts()[label]
    error, at = worst(label, kind)
    assert error <= LIMITS[min(f.order, 2)], f"{error:.3f} ULP at {at}"


@labels
def test_single_precision(label: str) -> None:
    f = facts()[label]
    if label == "spacing" or any(float(np.float32(v)) != v for v in f.params.values()):
        return  # another function in single precision
    if f.order == 0:
        assert worst_single(label) <= 2.5


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -3.0, 5e-324, -5e-324, 2.2e-308, 1e-30]
SPECIAL += [1e22, 1e300, -1e300, 709.78, 710.0, -745.13, -746.0, 2.0**53 + 2.0, 88.72, -103.9, 1024.0, -1080.0]
#: Where NumPy's kernel is not the measure: denormal degrees have 2 digits there, and what overflows is undefined there;
#: SciPy's erfcinv is infinite at the least numbers.
OWN_ENDS = {"atand", "asind", "erfcinv", "exp_neg_sq_d1", "logaddexp", "power_dx", "power_dxx", "power_dxy"}
MIXED = {"power", "xlogy", "xlog1py", "div", "mul", "xdivy", "sec", "csc", "cot", "add", "sub"}
#: Where the sign of a zero means nothing.
ANY_ZERO = {"erfinv", "maximum", "minimum", "relu", "clip", "sinc", "logaddexp_share", "logaddexp_d2"}
#: Left of 0 these rest on the rounded sum of their arguments, which says little where one of them is great.
ROUNDED_SUM = {"lbeta", "beta"}
#: Rows that are derivatives by quotients, whose own ends are tested by the conventions.
OTHER = {"power_log-1", "power_log-2"}


@labels
def test_special_values_are_those_of_the_kernels(label: str) -> None:
    f = facts()[label]
    arity = len(f.rows[0][0])
    if f.name in OWN_ENDS or label in OTHER or arity > 2:
        return
    args = [np.array(SPECIAL)] if arity == 1 else [g.ravel() for g in np.meshgrid(SPECIAL, SPECIAL)]
    if f.name in ROUNDED_SUM:
        told = (np.minimum(*args) >= 0.0) | (np.maximum(*args) < 1e4) | (np.maximum(*args) == np.inf)
        args = [a[told] for a in args]
    got = compiled("own", "double", full(KINDS["own"], "double"))(label, *args)
    with np.errstate(all="ignore"):
        want = np.broadcast_to(np.asarray(TABLE[f.name].kernel(*args, **f.params), dtype=np.float64), got.shape)
        near = np.abs(got - want) <= 4 * np.spacing(np.abs(want))
    signed = (np.signbit(got) == np.signbit(want)) | (f.name in ANY_ZERO)
    same = np.where(want == 0.0, (got == 0.0) & signed, (got == want) | near)
    same |= np.isnan(got) & np.isnan(want)
    bad = np.flatnonzero(~same)
    assert not bad.size, [(tuple(float(a[i]) for a in args), got[i], want[i]) for i in bad[:5]]


@labels
def test_special_values_in_single_precision(label: str) -> None:
    """Those of double precision, rounded."""
    f = facts()[label]
    arity = len(f.rows[0][0])
    if arity > 2 or f.order or label == "spacing" or any(float(np.float32(v)) != v for v in f.params.values()):
        return
    with np.errstate(all="ignore"):
        single = np.array(SPECIAL).astype(np.float32)
    args = [single] if arity == 1 else [g.ravel() for g in np.meshgrid(single, single)]
    got = compiled("own", "float", full(KINDS["own"], "float"))(label, *args)
    wide = compiled("own", "double", full(KINDS["own"], "double"))(label, *[a.astype(np.float64) for a in args])
    with np.errstate(all="ignore"):
        want = wide.astype(np.float32)
        near = np.abs(got - want) <= 4 * np.spacing(np.abs(want))
    same = np.where(want == 0.0, (got == 0.0) & (np.signbit(got) == np.signbit(want)), (got == want) | near)
    if f.name in MIXED:  # a product that leaves the range in single precision alone
        same |= ~np.isfinite(got) | (np.abs(want) < 1e-30)
    bad = np.flatnonzero(~(same | (np.isnan(got) & np.isnan(want))))
    assert not bad.size, [(tuple(float(a[i]) for a in args), got[i], want[i]) for i in bad[:5]]


#: Rules of + - * / sqrt and comparisons alone have the bits of the NumPy kernels.
EXACT = [
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "abs",
    "sign",
    "floor",
    "ceil",
    "round",
    "positive",
    "sqrt",
    "mod",
    "spacing",
]
EXACT += ["asin_d1", "atan_d1-1", "atanh_d1", "acoth_d1", "asech_d1", "logit_d1", "xdivy", "asech_d2", "relu"]


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if runs(kind)])
@pytest.mark.parametrize("label", EXACT)
def test_bits_of_the_kernels(label: str, kind: str) -> None:
    f = facts()[label]
    got = compiled(kind, "double", full(KINDS[kind], "double"))(label, *f.columns)
    with np.errstate(all="ignore"):
        want = TABLE[f.name].kernel(*f.columns, **f.params)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("scalar", ["double", "float"])
@labels
def test_one_lane_gives_the_bits_of_many(label: str, scalar: str) -> None:
    f = facts()[label]
    with np.errstate(all="ignore"):
        columns = [c.astype(np.float64 if scalar == "double" else np.float32) for c in f.columns]
    one = compiled("own", scalar, 1)(label, *columns)
    many = compiled("own", scalar, full(KINDS["own"], scalar))(label, *columns)
    np.testing.assert_array_equal(one, many)


def test_remainders_of_far_apart_numbers() -> None:
    rng = np.random.default_rng(5)
    x = rng.choice([-1.0, 1.0], 400) * 10.0 ** rng.uniform(-300, 308, 400)
    y = rng.choice([-1.0, 1.0], 400) * 10.0 ** rng.uniform(-320, 300, 400)
    for kind in ("own", "baseline"):
        if runs(KINDS[kind]):
            got = compiled(kind, "double", full(KINDS[kind], "double"))("mod", x, y)
            np.testing.assert_array_equal(got, np.mod(x, y))


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"])
def test_code_for_other_machines_needs_no_library(triple: str) -> None:
    """No call of the C library is left in the code, such as LLVM puts where an instruction is missing."""
    from harness import assembly_for

    kind = BASELINE if triple.startswith("x86") else Kind("generic", "", 16, True, "nounwind")
    text = compiled("baseline", "double", 2).text if kind is BASELINE else compiled_text(kind)
    calls = {line.split()[1] for line in assembly_for(text, kind, triple).splitlines() if is_call(line)}
    assert not calls


def compiled_text(kind: Kind) -> str:
    from harness import text_of

    rules = {label: rule_of(f) for label, f in facts().items()}
    return text_of(rules, {label: len(f.rows[0][0]) for label, f in facts().items()}, "double", 2, kind)


def is_call(line: str) -> bool:
    return line.split()[:1] in (["bl"], ["callq"], ["call"]) or "@PLT" in line


@pytest.mark.slow
@labels
def test_dense_sweep(label: str) -> None:
    pytest.importorskip("mpmath")
    from sweep import known, measured

    f = facts()[label]
    if not f.params and f.order == 0 and known(f.name):
        error, at = measured(f.name, 4000, "own")
        assert error <= 2.0, f"{error:.3f} ULP at {at}"
