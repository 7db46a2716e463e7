"""The engines against each other and against numerical derivatives, on random formulas.

Formulas are drawn as texts of the language, so that the parser, the op table, the tape, the rewrites and the buffers
of a program all take part. Every function of the language is drawn, at arguments inside its domain.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tapecli as tp
from tapecli.core import TABLE
from tapecli.language.functions import DIRECT
from tapecli.problem.evaluations import Derivatives

SIZE = 3
#: how an argument is brought inside a domain, by the words of the op table; everything else lies in 0.1..0.9
REAL = "1.2*sin({})"
INSIDE = "(0.5 + 0.4*sin({}))"
OUTSIDE = "(1.6 + 0.4*sin({}))"
OFF_POLES = "(0.25 + 0.2*sin({}))"
WHOLE_LINE = {name for name in DIRECT if TABLE[name].domain == "real"}
ABOVE_ONE = {name for name in DIRECT if any(word in TABLE[name].domain for word in ("|x| >= 1", "x >= 1", "|x| > 1"))}
UNARY = sorted(name for name in DIRECT if len(TABLE[name].vjps) == 1)  # type: ignore[arg-type]
BINARY = sorted(name for name in DIRECT if len(TABLE[name].vjps) == 2)  # type: ignore[arg-type]


class Drawn(NamedTuple):
    """An expression: whether it is a vector of SIZE entries, and its text."""

    vector: bool
    text: str


def inside(name: str, text: str) -> str:
    template = REAL if name in WHOLE_LINE else OUTSIDE if name in ABOVE_ONE else INSIDE
    template = OFF_POLES if "k + 1/2" in TABLE[name].domain else template
    return f"{name}({template.format(text)})"


def both(one: Drawn, two: Drawn, text: str) -> Drawn:
    return Drawn(one.vector or two.vector, text.format(one.text, two.text))


@st.composite
def expressions(draw: Any, depth: int, vector: bool | None = None) -> Drawn:
    """Any expression over the scalars x, y, c and the vectors u, v, w, at most `depth` operations deep."""
    if vector is False:
        drawn = draw(expressions(depth))
        return drawn if not drawn.vector else Drawn(False, draw(st.sampled_from(REDUCTIONS)).format(drawn.text))
    if depth == 0 or draw(st.integers(0, 6)) == 0:
        leaf = draw(st.sampled_from(["x", "y", "c", "u", "v", "w", "0.7", "2", "x", "u"]))
        return Drawn(leaf in "uvw", leaf)
    kind = draw(st.sampled_from(KINDS))
    one = draw(expressions(depth - 1))
    if kind == "unary":
        return Drawn(one.vector, inside(draw(st.sampled_from(UNARY)), one.text))
    if kind == "negative":
        return Drawn(one.vector, f"-({one.text})")
    if kind == "power":
        exponent = draw(st.sampled_from(["2", "3", "-1", "0.5", "1.5", "0"]))
        return Drawn(one.vector, f"{INSIDE.format(one.text)}^{exponent}")
    if kind == "function":
        return Drawn(one.vector, f"f({one.text})")
    if kind == "block":
        return Drawn(one.vector, f"{{ q = {one.text}; 0.5*q + sin(q) }}")
    if kind == "slice" and one.vector:
        return Drawn(True, draw(st.sampled_from(SLICES)).format(one.text))
    if kind == "reduce":
        return Drawn(False, draw(st.sampled_from(REDUCTIONS)).format(one.text) if one.vector else one.text)
    if kind == "gradient":
        inner = draw(expressions(min(depth - 1, 2), vector=False))
        to = draw(st.sampled_from(["x", "y", "c", "u", "v"]))
        return Drawn(to in "uv", f"grad({inner.text}, {to})")
    two = draw(expressions(depth - 1))
    if kind == "binary":
        name = draw(st.sampled_from(BINARY))
        templates = (REAL, REAL) if name in WHOLE_LINE else (INSIDE, OUTSIDE)
        return both(one, two, f"{name}({', '.join(templates)})")
    if kind == "pow":
        return both(one, two, f"{OUTSIDE}^sin({{}})")
    if kind == "least":
        return both(one, two, draw(st.sampled_from(["max({}, {})", "min({}, {})"])))
    if kind == "choice":
        three = draw(expressions(depth - 1))
        sign = draw(st.sampled_from(["<", "<=", ">", ">=", "!="]))
        condition = f"{one.text} {sign} {two.text}"
        if draw(st.booleans()):
            condition = f"not ({condition}) or x > 0.5 and y < 2"
        return Drawn(one.vector or two.vector or three.vector, f"(if {condition} then {three.text} else {one.text})")
    if kind == "divide":
        return both(one, two, "({})/(2 + ({})^2)")
    return both(one, two, draw(st.sampled_from(["({}) + ({})", "({}) - ({})", "sin({})*({})"])))


KINDS = (
    "unary unary unary negative power function block slice reduce gradient binary binary pow least choice divide "
    "arithmetic arithmetic"
).split()
SLICES = ["({0})[1..3]", "({0})[3..1 by -1]", "({0})[2]*({0})", "cumsum({0})", "({0})'"]
SLICES += ["[sin(({0})[i])*i for i in 1..3]", "[sum(u[j]*({0})[i] for j in 1..i) for i in 1..3]"]
SLICES += ["scan(s = x for k in 1..3: 0.5*s + sin(({0})[k]))"]
REDUCTIONS = (
    "sum({}) mean({}) prod({}) max({}) min({}) norm({}) logsumexp({}) sum(softmax({})*w) std({}) variance({})"
).split()
REDUCTIONS += ["sum(({})[i]*v[4-i] for i in 1..3 if i != 2)", "fold(s = x for k in 1..3: 0.7*s + cos(({})[k])*y)"]
numbers = st.floats(0.15, 1.9).map(lambda x: round(x, 3))


@st.composite
def programs(draw: Any, depth: int = 3) -> str:
    """A formula file with a scalar objective."""
    x, y, c = draw(numbers), draw(numbers), draw(numbers)
    u, v, w = (draw(st.lists(numbers, min_size=SIZE, max_size=SIZE)) for _ in range(3))
    body = draw(expressions(2)).text.replace("f(", "cos(")
    return (
        f"var x = {x}, y = {y}, u = {u}, v = {v}\nconst c = {c}, w = {w}\n"
        f"f(t) = 0.5*t + sin(sum({body})*t)\nz = {draw(expressions(depth, vector=False)).text}\nz + x*0"
    )


@st.composite
def exact_programs(draw: Any, depth: int = 4) -> str:
    """A formula of scalars in + - * / sqrt, comparisons and choices only."""

    def expression(depth: int) -> str:
        if depth == 0:
            return str(draw(st.sampled_from(["x", "y", "c", "0.7", "0", "1", "-1"])))
        kind = draw(st.sampled_from("+ - * / + - * neg sqrt if and grad".split()))
        one, two = expression(depth - 1), expression(depth - 1)
        if kind == "neg":
            return f"-({one})"
        if kind == "sqrt":
            return f"sqrt(1 + ({one})*({one}))"
        if kind == "/":
            return f"({one})/(1 + ({two})*({two}))"
        if kind == "if":
            return f"(if {one} < {two} then {two} else {one})"
        if kind == "and":
            return f"(x < {one} and {two} >= y)"
        if kind == "grad":
            return f"grad({one}, x)" if depth < 3 else f"({one})"
        return f"({one}) {kind} ({two})"

    return f"var x = {draw(numbers)}, y = {draw(numbers)}\nconst c = {draw(numbers)}\nz = {expression(depth)}\nz + x*0"


def everything(problem: Any) -> Mapping[str, Any]:
    """Value, gradient, Hessian and a product with it, flattened by name."""
    d: Derivatives = problem.derivatives(order=2)
    direction = {
        name: np.cos(np.arange(value.size) + 1.0).reshape(value.shape) for name, value in problem.start.items()
    }
    along: Derivatives = problem.product(direction)
    assert d.gradient
    assert d.hessian
    assert along.product
    found = {"value": d.value, **{f"d{n}": g for n, g in d.gradient.items()}}
    found |= {f"d{r}d{c}": block for r, row in d.hessian.items() for c, block in row.items()}
    return found | {f"hvp {n}": p for n, p in along.product.items()}


#: The engines that trace.
TRACED = ("numpy", "native")


def engines(text: str, dtype: str = "float64") -> tuple[Mapping[str, Any], list[Mapping[str, Any]], Any]:
    """What the tape finds, what the others find, and the problem on the tape."""
    tape = tp.parse(text, engine="tape", dtype=dtype)
    one, others = everything(tape), []
    assert tape.traces == 0
    for engine in TRACED:
        traced = tp.parse(text, engine=engine, dtype=dtype)
        two = everything(traced)
        others.append(two)
        assert traced.traces == 2, "one trace for the Hessian and one for the product"
        for name in one:
            assert one[name].dtype == two[name].dtype == np.dtype(dtype)
            assert one[name].shape == two[name].shape
    return one, others, tape


def assert_near(one: Mapping[str, Any], two: Mapping[str, Any], within: float) -> None:
    """Equal up to rounding of the largest entries; not finite in the same places."""
    sizes = [float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value))) for value in one.values()]
    scale = max(1.0, *sizes)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=within, atol=within * scale, err_msg=name)


def symmetric(found: Mapping[str, Any], within: float) -> None:
    """The Hessian is symmetric, and its product with a direction is the product."""
    names = ["x", "y", "u", "v"]
    shapes = {name: found[f"d{name}"].shape for name in names}
    matrix = np.block([[found[f"d{r}d{c}"].reshape(int(np.prod(shapes[r])), -1) for c in names] for r in names])
    direction = np.concatenate([np.cos(np.arange(int(np.prod(shapes[n]))) + 1.0) for n in names])
    product = np.concatenate([found[f"hvp {n}"].reshape(-1) for n in names])
    scale = max(1.0, float(np.max(np.abs(matrix))))
    np.testing.assert_allclose(matrix, matrix.T, rtol=within, atol=within * scale)
    np.testing.assert_allclose(matrix @ direction, product, rtol=within, atol=10 * within * scale)


def finite(found: Mapping[str, Any], most: float = 1e6) -> bool:
    return all(bool(np.all(np.isfinite(value))) and float(np.max(np.abs(value))) < most for value in found.values())


def agree(text: str) -> None:
    one, others, _ = engines(text)
    for two in others:
        assert_near(one, two, 1e-12)
    assume(finite(one))
    symmetric(one, 1e-9)


@given(programs())
def test_engines_agree_on_random_formulas(text: str) -> None:
    agree(text)


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("TAPECLI_EXAMPLES", "2000")), derandomize=False)
@given(programs(depth=4))
def test_engines_agree_on_many_random_formulas(text: str) -> None:
    agree(text)


@settings(max_examples=60)
@given(exact_programs())
def test_engines_agree_bit_for_bit_on_exact_arithmetic(text: str) -> None:
    for dtype in ("float64", "float32"):
        one = everything(tp.parse(text, engine="tape", dtype=dtype))
        for engine in TRACED:
            two = everything(tp.parse(text, engine=engine, dtype=dtype))
            for name in one:
                np.testing.assert_array_equal(one[name], two[name], err_msg=f"{dtype} {engine} {name}")


@given(programs(depth=2))
def test_engines_agree_in_single_precision(text: str) -> None:
    one, others, _ = engines(text, "float32")
    assume(finite(one, 1e3))
    for two in others:
        assert_near(one, two, 1e-4)


@given(programs(depth=2))
def test_no_result_of_a_program_leaves_single_precision(text: str) -> None:
    problem = tp.parse(text, engine="numpy", dtype="float32")
    problem.hess()
    ((compiled),) = problem.runner._compiled.values()
    for slot, node in zip(compiled.program._slots, sorted_nodes(compiled.program), strict=True):
        assert np.asarray(slot).dtype == np.float32, node


def sorted_nodes(program: Any) -> list[Any]:
    from tapecli.graph import needed

    return needed(program.outputs)


@given(programs(depth=2))
def test_derivatives_agree_with_numerical_ones(text: str) -> None:
    problem = tp.parse(text, engine="tape")
    assume(finite(everything(problem), 1e4))
    check = problem.check()
    assert check.ok, [d for d in check.derivatives if not d.ok]


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("TAPECLI_EXAMPLES", "500")), derandomize=False)
@given(programs(depth=3))
def test_derivatives_of_many_formulas_agree_with_numerical_ones(text: str) -> None:
    problem = tp.parse(text, engine="tape")
    assume(finite(everything(problem), 1e4))
    check = problem.check()
    assert check.ok, [d for d in check.derivatives if not d.ok]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_function_of_one_argument(name: str, dtype: str) -> None:
    text = f"var x = 0.4, v = [0.3, 1.1, -0.8]\nsum({inside(name, 'x*v')})*x"
    one, others, tape = engines(text, dtype)
    assert finite(one)
    for two in others:
        assert_near(one, two, 1e-14 if dtype == "float64" else 1e-5)
    assert tape.check().ok


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_function_of_two_arguments(name: str, dtype: str) -> None:
    second = INSIDE if name in WHOLE_LINE else OUTSIDE
    text = f"var x = 0.4, v = [0.3, 1.1, -0.8]\nsum({name}({INSIDE.format('x*v')}, {second.format('v')}))*x"
    one, others, tape = engines(text, dtype)
    assert finite(one)
    for two in others:
        assert_near(one, two, 1e-14 if dtype == "float64" else 1e-5)
    assert tape.check().ok, tape.check()


def test_auto_traces_what_is_asked_for_often() -> None:
    problem = tp.parse("var x = 1, y = 2\nx^2*y + sin(x)")
    results = [problem.derivatives(order=2) for _ in range(7)]
    assert [r.engine for r in results] == ["tape"] * 4 + ["numpy"] * 3
    assert problem.traces == 1
    for result in results[1:]:
        assert result.hessian == results[0].hessian
        assert result.gradient == results[0].gradient


def test_a_hessian_of_many_variables_is_made_of_products() -> None:
    text = "var x[9] = 0.5, W[3, 3] = 0.25, s = 2\nsum(sin(x*s)) + sum((W*x[2])^3)*s"
    tape, traced = tp.parse(text, engine="tape"), tp.parse(text, engine="numpy")
    one, two = tape.derivatives(order=2), traced.derivatives(order=2)
    assert traced.traces == 2
    assert one.hessian
    assert two.hessian
    for row in one.hessian:
        for column in one.hessian:
            assert one.hessian[row][column].shape == two.hessian[row][column].shape
            np.testing.assert_allclose(two.hessian[row][column], one.hessian[row][column], rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(one.value, two.value)


@pytest.mark.parametrize(("engine", "code"), [("fast", "usage"), ("", "usage"), ("Tape", "usage")])
def test_engines_that_there_are_not(engine: str, code: str) -> None:
    with pytest.raises(tp.TapeError) as caught:
        tp.parse("var x = 1\nx", engine=engine)
    assert caught.value.code == code
    assert caught.value.hint
