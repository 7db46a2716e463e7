"""The functions of machine code beside the NumPy kernels, which are held against high precision elsewhere: a few units
in the last place on ordinary and extreme arguments, the same answers at the ends, the same bits in any number of lanes
and on any kind of processor that fuses."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapecli import ops
from tapecli.core import TABLE, Op
from tapecli.engines.native.library import FAMILIES, NAMES

sys.path.insert(0, str(Path(__file__).parent))
import emulator
import harness

assert ops is not None
KINDS = {"own": harness.own(), "baseline": harness.BASELINE, "avx2": harness.AVX2, "arm": emulator.ARM}
#: in units of the last place: what both are allowed to differ by, where it is not 4
WITHIN = {"exp_neg_sq_d1": 6.0, "power_dxy": 600.0, "sech_d1": 5.0, "cot": 5.0, "sech_d2": 8.0, "logaddexp": 8.0}
#: what the kernels of SciPy differ by from exact values, too
WITHIN |= {"erfcx": 700.0, "erfcx_d": 700.0, "erfinv": 8.0, "erfcinv": 16.0, "lambertw": 8.0}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, np.inf, -np.inf, np.nan, 1e308, -1e308]
SPECIAL += [5e-324, -5e-324, 1e-310, 90.0, 180.0, 360.0, 1.7e308, 2.0**1023, 2.0**1000]
#: ends at which machine code has the limit and the kernels have nan, the other infinity, or twice the least number
LIMITS: tuple[str, ...] = (
    "power_dx",
    "power_dxx",
    "power_dxy",
    "power_log",
    "logaddexp",
    "exp_neg_sq_d1",
    "tanpi",
    "tand",
    "sech_d1",
    "asind",
    "atand",
    "erfcinv",
)


def arity(op: Op) -> int:
    return len(op.vjps)  # elementwise ops have a rule for each argument


ELEMENTWISE = sorted(name for name, op in TABLE.items() if op.kind == "elementwise" and op.native is not None)


@lru_cache
def compiled(dtype: str, lanes: int | None = None, kind: str = "own") -> Any:
    """All ops at once: one compilation for each precision, width and kind of processor."""
    machine = KINDS[kind]
    scalar = {"float64": "double", "float32": "float"}[dtype]
    size = np.dtype(dtype).itemsize
    rules, arities = {}, {}
    for name in ELEMENTWISE:
        op = TABLE[name]
        params = known(op)
        if params is None:
            continue
        rules[name] = lambda b, *args, op=op, params=params: op.native(b, *args, **params)
        arities[name] = arity(op)
    if kind == "arm":
        return emulator.Emulated(rules, arities, scalar, lanes or machine.bytes // size)
    return harness.Compiled(rules, arities, scalar, lanes or machine.bytes // size, machine)


def known(op: Op) -> dict[str, Any] | None:
    """The parameters for an op, by what its kernel takes."""
    for params in ({}, {"tie": 0.5}, {"exponent": 2.5}, {"k": 2}, {"n": 2}, {"unit": 1.0}, {"tag": 1}):
        try:
            with np.errstate(all="ignore"):
                op.kernel(*[np.full(2, 0.5)] * arity(op), **params)
        except TypeError:
            continue
        return params
    return None


def arguments(count: int, seed: int = 7, n: int = 1200) -> list[Any]:
    rng = np.random.default_rng(seed)

    def sign(size: int) -> Any:
        return rng.choice([-1.0, 1.0], size)

    m = n // 6
    x = np.concatenate(
        [
            rng.normal(size=m),
            rng.uniform(-1, 1, m),
            10.0 ** rng.uniform(-300, 300, m) * sign(m),
            10.0 ** rng.uniform(-12, 4, m) * sign(m),
            rng.uniform(-40, 40, m),
            1 + 10.0 ** rng.uniform(-15, -1, m) * sign(m),
        ]
    )
    return [x, rng.permutation(x), rng.permutation(x)][:count]


def apart(one: Any, two: Any) -> Any:
    """The difference in units of the last place; 0 where both are the same, nan among them."""
    with np.errstate(all="ignore"):
        same = (one == two) | (np.isnan(one) & np.isnan(two))
        unit = np.spacing(np.maximum(np.abs(two), np.finfo(two.dtype).tiny))
        return np.where(same, 0.0, np.abs(one - two) / unit)


def held(name: str, dtype: str, args: list[Any], kind: str = "own") -> tuple[Any, Any]:
    op = TABLE[name]
    args = [np.asarray(a, dtype=dtype) for a in args]
    with np.errstate(all="ignore"):
        wanted = np.asarray(op.kernel(*args, **(known(op) or {})), dtype=dtype)
    return compiled(dtype, None, kind)(name, *args), wanted


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions_agree_with_the_kernels(name: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        args = [a.astype(dtype) for a in arguments(arity(TABLE[name]))]
    args = [np.where(np.isfinite(a), a, 1.0).astype(dtype) for a in args]
    if name in ("logaddexp", "logaddexp_share", "logaddexp_d2"):
        args = [np.clip(a, -1e4, 1e4) for a in args]
    if name in ("digamma_diff", "trigamma_diff", "beta_dx"):  # left of 0 they are plain differences
        args = [np.abs(a) for a in args]
    if name in ("lbeta", "beta"):  # left of 0 both rest on the rounded sum, which says little about great arguments
        far = np.maximum(*np.abs(args)) > 1e3
        args = [np.where(far, np.abs(a), a).astype(dtype) for a in args]
    found, wanted = held(name, dtype, args)
    # where a kernel in single precision is rounded in between, the compiled one is not
    within = WITHIN.get(name, 4.0) + (60.0 if dtype == "float32" and name.startswith("power") else 0.0)
    bad = np.flatnonzero(~(apart(found, wanted) <= within))
    usual = [k for k in bad if np.isfinite(wanted[k]) or np.isfinite(found[k])]
    if name.startswith(("power", "pow")):  # beside what leaves the numbers only one of two may do so
        usual = (
            [k for k in usual if 1e-290 < abs(wanted[k]) < 1e290]
            if dtype == "float64"
            else [k for k in usual if 1e-30 < abs(wanted[k]) < 1e30]
        )
    shown = [([float(a[k]) for a in args], float(found[k]), float(wanted[k])) for k in usual[:3]]
    assert not usual, shown


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name not in LIMITS])
def test_the_ends_are_those_of_the_kernels(name: str) -> None:
    count = arity(TABLE[name])
    grids = np.meshgrid(*[np.array(SPECIAL)] * count) if count < 3 else [np.array(SPECIAL)] * 3
    args = [grid.reshape(-1) for grid in grids]
    found, wanted = held(name, "float64", args)
    bad = np.flatnonzero(~(apart(found, wanted) <= WITHIN.get(name, 4.0)))
    assert not bad.size, [([float(a[k]) for a in args], float(found[k]), float(wanted[k])) for k in bad[:4]]


def test_one_lane_and_many_give_the_same_bits() -> None:
    wide, single = compiled("float64"), compiled("float64", 1)
    for name in ELEMENTWISE:
        if known(TABLE[name]) is None:
            continue
        args = arguments(arity(TABLE[name]), seed=3, n=300)
        one, two = wide(name, *args), single(name, *args)
        assert apart(one, two).max() == 0.0, name


@pytest.mark.parametrize("kind", ["baseline", "avx2", "arm"])
def test_other_processors_agree(kind: str) -> None:
    """AVX2 and AArch64, the latter in an emulator, have the bits of this machine, where it fuses."""
    if kind == "arm":
        pytest.importorskip("unicorn")
    for name in ELEMENTWISE:
        if known(TABLE[name]) is None:
            continue
        args = [np.clip(a, -1e30, 1e30) for a in arguments(arity(TABLE[name]), seed=5, n=300)]
        own, other = compiled("float64")(name, *args), compiled("float64", None, kind)(name, *args)
        finite = np.isfinite(own) & np.isfinite(other) & (np.abs(own) > 1e-290)
        within = 0.0 if KINDS[kind].fused else WITHIN.get(name, 4.0)
        assert np.max(apart(other, own)[finite], initial=0.0) <= within, name


def test_every_function_is_used_by_the_table() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in Path(ops.__file__).parent.glob("*.py"))
    assert [name for name in NAMES if f"b.{name}(" not in text] == []
    assert [name for name in FAMILIES if f'Numbered("{name}"' not in text and f"b.{name}_" not in text] == []
