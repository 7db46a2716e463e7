"""Large formulas work or are refused before memory is taken, and what they cost grows with their length."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

import tapecli as tp
from tapecli import limits

SCALING = Path(__file__).with_name("scaling.py")


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 << 30), ("500M", 500 << 20), ("1.5k", 1536), ("1e9", 10**9), ("3GiB", 3 << 30), ("64MB", 64 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert limits.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "0", "nan", "inf", "2X", "two"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(tp.TapeError) as error:
        tp.parse("1", max_memory=text)
    assert error.value.code == "usage"


REFUSED = [
    "var x[10^8] = 0\nsum(x)",
    "zeros(10^4, 10^4)",
    "eye(20000)",
    "linspace(0, 1, 10^8)",
    "sum(i for i in 1..10^8)",
    "fold(x = 1 for k in 1..10^8: x/2)",
    "sum(i*j for i in 1..10^5, j in 1..i)",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_too_large_is_refused_before_memory_is_taken(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(tp.TapeError) as error:
            tp.parse(text, max_memory="100M").evaluate()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.value.code == "limit" and error.value.place is not None
    assert peak < 30_000_000


#: Six vectors are alive together.
WIDE = """var x[1000000] = 1
a = sin(x); b = cos(x); c = exp(x); d = tan(x); e = atan(x); f = tanh(x)
sum(cumsum(a/b/c/d/e/f) + a^b + b^c + c^d + d^e + e^f)
"""


@pytest.mark.parametrize("engine", ["tape", "numpy"])
def test_a_run_that_does_not_fit(engine: str) -> None:
    p = tp.parse(WIDE, max_memory="26M", engine=engine)
    with pytest.raises(tp.TapeError) as error:
        p.evaluate()
    assert error.value.code == "limit"
    assert float(tp.parse("var x[1000] = 1\nsum(x)", max_memory="40M", engine=engine).value()) == 1000


def test_a_hessian_that_does_not_fit() -> None:
    p = tp.parse("var x[20000] = 1\nsum(x^3)", max_memory="1G")
    with pytest.raises(tp.TapeError) as error:
        p.hess()
    assert error.value.code == "limit" and "400,000,000 entries" in error.value.message


def test_messages_are_never_long() -> None:
    for text in ("y = " + "9" * 100_000, "y = " + "x" * 100_000, f'data t from "{"d" * 3000}"\nt'):
        with pytest.raises(tp.TapeError) as error:
            tp.parse(text)
        assert len(error.value.message) < 1000


def test_four_derivatives_of_thirty_squares() -> None:
    text = (
        "var x0 = 1\n"
        + "".join(f"x{i + 1} = x{i}*x{i}\n" for i in range(30))
        + "grad(grad(grad(grad(x30, x0), x0), x0), x0)"
    )
    n = 2**30
    assert float(tp.parse(text).value()) == pytest.approx(float(n * (n - 1) * (n - 2) * (n - 3)), rel=1e-12)


@pytest.mark.parametrize("body", ["x^9*sin(x)", "sin(x)*exp(x)/(1 + x^2)", "tanh(x*sin(x))"])
def test_derivatives_of_derivatives_are_refused_before_their_graph_is_made(body: str) -> None:
    with pytest.raises(tp.TapeError) as error:
        tp.parse("var x = 1\n" + "grad(" * 40 + body + ", x)" * 40)
    added, so_far = (int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", error.value.message))
    assert error.value.code == "limit" and so_far < 100_000 < added + so_far


@pytest.mark.slow
def test_time_grows_with_length() -> None:
    done = subprocess.run([sys.executable, str(SCALING)], capture_output=True, text=True, check=True)
    exponents = [float(line.split()[-1]) for line in done.stdout.splitlines() if "exponent" in line]
    assert exponents and max(exponents) < 1.3, done.stdout
