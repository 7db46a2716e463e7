"""The kernels against facts.json (see make_facts.py): units in the last place, float32, scalars, special values."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapecli.ops.kernels import elementary, special

FACTS: dict[str, list[str]] = json.loads(Path(__file__).with_name("facts.json").read_text())
INF, NAN = math.inf, math.nan

# Values have the limit 2 where they do not stand here; first derivatives 4, second 6.
LIMITS = {
    **dict.fromkeys(("acosh_d1", "asin_d1", "asinh_d1", "atan_d1", "atanh_d1", "digamma_diff", "power_dx"), 4.0),
    **dict.fromkeys(("acosh_d2", "asech_d2", "asin_d2", "asinh_d2", "atan_d2", "atanh_d2"), 6.0),
    **dict.fromkeys(("power_dxx", "sech_d2", "sigmoid_d2", "trigamma_diff", "beta_dxy"), 6.0),
}


def kernel(name: str) -> Callable[..., Any]:
    if name.startswith("polygamma"):
        return lambda x: special.polygamma(int(name[9:]), x)
    if name.startswith("sinc_d"):
        return lambda x: elementary.sinc_d(x, int(name[6:]))
    found: Callable[..., Any] = getattr(special, name, None) or getattr(elementary, name)
    return found


def table(name: str) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Arguments, values, and what the values lack."""
    rows = [line.split() for line in FACTS[name]]
    numbers = np.array([[float.fromhex(t) for t in row[:-1]] for row in rows])
    return list(numbers.T[:-1]), numbers[:, -1], np.array([float(row[-1]) for row in rows])


def ulps(got: Any, value: Any, rest: Any) -> Any:
    return np.abs((got - value) - rest) / np.spacing(np.abs(value))


@pytest.mark.parametrize("name", FACTS)
def test_float64_within_its_limit(name: str) -> None:
    args, value, rest = table(name)
    error = ulps(kernel(name)(*args), value, rest)
    worst = int(np.argmax(np.where(error == error, error, INF)))
    assert error[worst] <= LIMITS.get(name, 2.0), [float(a[worst]) for a in args]


@pytest.mark.parametrize("name", FACTS)
def test_scalars_agree_with_arrays(name: str) -> None:
    args, value, rest = table(name)
    step = max(1, len(value) // 25)
    whole = kernel(name)(*args)
    for i in range(0, len(value), step):
        one = kernel(name)(*(float(a[i]) for a in args))
        assert type(one) is np.float64
        # one processor may round exp or sin differently in its vector and its scalar instructions
        assert ulps(one, value[i], rest[i]) <= LIMITS.get(name, 2.0)
        assert abs(one - whole[i]) <= 2 * np.spacing(abs(value[i]))


@pytest.mark.parametrize("name", FACTS)
def test_float32_is_computed_in_float64(name: str) -> None:
    args, _, _ = table(name)
    with np.errstate(all="ignore"):
        small = [a.astype(np.float32) for a in args]
    got = kernel(name)(*small)
    assert got.dtype == np.float32
    with np.errstate(all="ignore"):
        expected = np.asarray(kernel(name)(*(a.astype(np.float64) for a in small))).astype(np.float32)
    np.testing.assert_array_equal(got, expected)
    scalar = kernel(name)(*(a[0] for a in small))
    assert (scalar.dtype, np.ndim(scalar)) == (np.float32, 0)


@pytest.mark.parametrize("name", FACTS)
def test_shapes_and_silence(name: str) -> None:
    f, count = kernel(name), len(FACTS[name][0].split()) - 2
    odd = np.array([[NAN, INF, -INF], [0.0, -0.0, 5e-324], [1e308, -1e308, -1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f(*[odd] * count).shape == (3, 3)
        assert f(*[odd[:, ::-2].T] * count).shape == (2, 3)
        assert f(*[np.zeros((0, 2))] * count).shape == (0, 2)
        assert f(*[np.array(0.5)] * count).dtype == np.float64
        assert f(*[np.array([1, 2])] * count).dtype == np.float64
        for v in odd.flat:
            f(*[v] * count)
        if count == 2:
            assert f(odd, 0.5).shape == f(0.5, odd).shape == (3, 3)
            assert f(np.ones((4, 1)), np.ones(3)).shape == (4, 3)
            assert f(np.ones(2, np.float32), 0.5).dtype == np.float32
            assert f(np.ones(2, np.float32), np.ones(2)).dtype == np.float64


@pytest.mark.parametrize("name", FACTS)
def test_nan_in_nan_out(name: str) -> None:
    count = len(FACTS[name][0].split()) - 2
    assert math.isnan(kernel(name)(*[NAN] * count))


SPECIAL = [
    ("erf", INF, 1.0),
    ("erf", -INF, -1.0),
    ("erf", -0.0, -0.0),
    ("erfc", INF, 0.0),
    ("erfc", -INF, 2.0),
    ("erfc", 0.0, 1.0),
    ("gamma", 0.0, INF),
    ("gamma", -0.0, -INF),
    ("gamma", -1.0, NAN),
    ("gamma", INF, INF),
    ("gamma", -INF, NAN),
    ("gamma", 172.0, INF),
    ("gamma", -190.5, -0.0),
    ("gamma", 5.0, 24.0),
    ("gamma", 23.0, 1124000727777607680000.0),
    ("lgamma", -1.0, INF),
    ("lgamma", 0.0, INF),
    ("lgamma", INF, INF),
    ("lgamma", -INF, INF),
    ("lgamma", 1.0, 0.0),
    ("lgamma", 2.0, 0.0),
    ("digamma", 0.0, -INF),
    ("digamma", -0.0, INF),
    ("digamma", -1.0, NAN),
    ("digamma", INF, INF),
    ("trigamma", 0.0, INF),
    ("trigamma", -1.0, INF),
    ("trigamma", INF, 0.0),
    ("polygamma2", -1.0, NAN),
    ("polygamma2", 0.0, -INF),
    ("polygamma3", -2.0, INF),
    ("polygamma3", INF, 0.0),
    ("polygamma2", INF, -0.0),
    ("sinpi", 1.0, 0.0),
    ("sinpi", -3.0, -0.0),
    ("sinpi", 1e300, 0.0),
    ("sinpi", INF, NAN),
    ("cospi", 0.5, 0.0),
    ("cospi", 1e300, 1.0),
    ("tanpi", 0.25, 1.0),
    ("tanpi", 0.5, INF),
    ("sinc", 0.0, 1.0),
    ("sinc", 2.0, 0.0),
    ("sinc", -INF, 0.0),
    ("sinc_d1", 0.0, -0.0),
    ("sinc_d2", 0.0, -(math.pi**2) / 3),
    ("sinc_d1", INF, 0.0),
    ("sind", 30.0, 0.5),
    ("sind", 150.0, 0.5),
    ("sind", 210.0, -0.5),
    ("sind", -330.0, 0.5),
    ("sind", 180.0, 0.0),
    ("cosd", 60.0, 0.5),
    ("cosd", 120.0, -0.5),
    ("cosd", 90.0, 0.0),
    ("cosd", 270.0, 0.0),
    ("cosd", 3600060.0, 0.5),
    ("tand", 45.0, 1.0),
    ("tand", 135.0, -1.0),
    ("tand", 90.0, INF),
    ("tand", 180.0, 0.0),
    ("asind", 0.5, 30.0),
    ("asind", -1.0, -90.0),
    ("acosd", 0.5, 60.0),
    ("acosd", -0.5, 120.0),
    ("acosd", -1.0, 180.0),
    ("atand", 1.0, 45.0),
    ("atand", -INF, -90.0),
    ("sec", 0.0, 1.0),
    ("csc", 0.0, INF),
    ("cot", -0.0, -INF),
    ("asec", 1.0, 0.0),
    ("asec", 0.5, NAN),
    ("acsc", 1.0, math.pi / 2),
    ("acsc", -INF, -0.0),
    ("acot", 0.0, math.pi / 2),
    ("acot", -INF, -0.0),
    ("tanh", INF, 1.0),
    ("tanh", -0.0, -0.0),
    ("coth", 0.0, INF),
    ("coth", -INF, -1.0),
    ("sech", INF, 0.0),
    ("sech", 0.0, 1.0),
    ("csch", -0.0, -INF),
    ("csch", INF, 0.0),
    ("arccosh", 1.0, 0.0),
    ("arccosh", 0.5, NAN),
    ("arccosh", INF, INF),
    ("asech", 0.0, INF),
    ("asech", 1.0, 0.0),
    ("asech", 2.0, NAN),
    ("asech", -0.5, NAN),
    ("acsch", 0.0, INF),
    ("acsch", -INF, -0.0),
    ("acoth", 1.0, INF),
    ("acoth", 0.5, NAN),
    ("acoth", INF, 0.0),
    ("sigmoid", 0.0, 0.5),
    ("sigmoid", INF, 1.0),
    ("sigmoid", -INF, 0.0),
    ("sigmoid_d1", INF, 0.0),
    ("sech2", 1e308, 0.0),
    ("softplus", INF, INF),
    ("softplus", -INF, 0.0),
    ("logit", 0.0, -INF),
    ("logit", 1.0, INF),
    ("logit", 0.5, 0.0),
    ("logit", 2.0, NAN),
    ("exp_neg_sq", INF, 0.0),
    ("exp_neg_sq", 1e200, 0.0),
    ("cbrt", 27.0, 3.0),
    ("cbrt", -INF, -INF),
    ("cbrt", -0.0, -0.0),
    ("exp10", INF, INF),
    ("exp10", -400.0, 0.0),
    ("exp10", 2.0, 100.0),
    ("asin_d1", 1.0, INF),
    ("asinh_d2", INF, -0.0),
    ("atan_d2", -INF, 0.0),
    ("acosh_d1", 1.0, INF),
    ("acosh_d1", 0.5, NAN),
]


@pytest.mark.parametrize(("name", "x", "expected"), SPECIAL)
def test_special_values(name: str, x: float, expected: float) -> None:
    for got in (kernel(name)(x), kernel(name)(np.array([x, 0.3]))[0]):
        if math.isnan(expected):
            assert math.isnan(got)
        else:
            assert (got, math.copysign(1, got)) == (expected, math.copysign(1, expected))


SPECIAL_2 = [
    ("beta", 0.0, 1.0, INF),
    ("beta", INF, 1.0, 0.0),
    ("beta", -1.0, 2.5, NAN),
    ("beta", -0.5, 0.5, 0.0),
    ("beta", 1.0, 1.0, 1.0),
    ("beta", 0.0, INF, NAN),
    ("beta", 1e-200, 1e-200, 2e200),
    ("beta", 2.0, 3.0, 1 / 12),
    ("lbeta", 1.0, 1.0, 0.0),
    ("lbeta", 0.0, 1.0, INF),
    ("lbeta", INF, 1.0, -INF),
    ("logaddexp", INF, INF, INF),
    ("logaddexp", -INF, -INF, -INF),
    ("logaddexp", -INF, 1.0, 1.0),
    ("logaddexp", INF, -INF, INF),
    ("logaddexp", 1000.0, -1000.0, 1000.0),
    ("logaddexp", INF, NAN, NAN),
    ("logaddexp_share", INF, INF, 0.5),
    ("logaddexp_share", 2.0, 2.0, 0.5),
    ("logaddexp_share", INF, 1.0, 1.0),
    ("logaddexp_share", -INF, 1.0, 0.0),
    ("xlogy", 0.0, 0.0, 0.0),
    ("xlogy", 0.0, INF, 0.0),
    ("xlogy", 0.0, -1.0, NAN),
    ("xlogy", 2.0, 0.0, -INF),
    ("xlog1py", 0.0, -1.0, 0.0),
    ("mod", -1.0, 3.0, 2.0),
    ("mod", 1.0, -3.0, -2.0),
    ("mod", 1.0, 0.0, NAN),
    ("power_dx", 0.0, 2.0, 0.0),
    ("power_dx", 0.0, 1.0, 1.0),
    ("power_dx", 0.0, 0.0, 0.0),
    ("power_dx", NAN, 0.0, 0.0),
    ("power_dx", -2.0, 3.0, 12.0),
    ("power_dx", -2.0, 0.5, NAN),
    ("power_dxx", 0.0, 2.0, 2.0),
    ("power_dxx", 0.0, 1.0, 0.0),
    ("power_dxx", -2.0, 3.0, -12.0),
]


@pytest.mark.parametrize(("name", "x", "y", "expected"), SPECIAL_2)
def test_special_values_of_two(name: str, x: float, y: float, expected: float) -> None:
    for got in (kernel(name)(x, y), kernel(name)(np.array([x, 0.3]), y)[0]):
        assert math.isnan(got) if math.isnan(expected) else got == expected


def test_blocks_join() -> None:
    x = np.linspace(-8.0, 8.0, 40001)
    whole = special.erfc(x)
    parts = np.concatenate([special.erfc(x[:1000]), special.erfc(x[1000:])])
    np.testing.assert_array_equal(whole, parts)


def test_degrees_are_exact() -> None:
    turns = 360.0 * np.arange(-1000, 1000)
    assert (elementary.sind(turns + 30.0) == 0.5).all()
    assert (elementary.cosd(turns + 60.0) == 0.5).all()
    assert (elementary.tand(turns + 45.0) == 1.0).all()


def test_gamma_of_integers_is_exact() -> None:
    n = np.arange(1, 24)
    assert special.gamma(n).tolist() == [float(math.factorial(k - 1)) for k in range(1, 24)]


def test_high_polygamma() -> None:
    # n!/x**(n+1) leads at 1/2; the value at 1 is n! zeta(n+1)
    assert special.polygamma(40, 1.0) == pytest.approx(-math.factorial(40) * (1 + 2.0**-41 + 3.0**-41), rel=1e-15)
    assert special.polygamma(101, -0.25) == pytest.approx(math.factorial(101) * 4.0**102, rel=1e-14)
    assert special.polygamma(200, 1.0) == -INF
    with pytest.raises(ValueError, match="n >= 0"):
        special.polygamma(-1, 1.0)


def test_import_needs_numpy_only() -> None:
    code = "import sys, tapecli.ops.kernels.special, tapecli.ops.kernels.elementary; print(*sorted(sys.modules))"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "mpmath"} & {n.partition(".")[0] for n in names}


BETA_ENDS = [
    ("beta", -0.5, NAN, NAN),
    ("beta", NAN, -0.5, NAN),
    ("beta", 5e-324, -0.0, INF),
    ("lbeta", 1e308, 1.0, -709.1962086421661),
    ("lbeta", -5e-324, 1.0, 744.4400719213812),
    ("digamma_diff", 0.5, 1e308, -711.1597186681876),
    ("trigamma_diff", 0.5, 1e308, 4.934802200544679),
]


@pytest.mark.parametrize(("name", "x", "y", "value"), BETA_ENDS)
def test_extreme_arguments_of_the_beta_family(name: str, x: float, y: float, value: float) -> None:
    found = float(getattr(special, name)(x, y))
    assert found == pytest.approx(value, rel=1e-15, nan_ok=True)
