"""Graphs: equal nodes are one, places, what is needed, playing back, and depth without recursion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli import derive, ops
from tapecli.core import TABLE
from tapecli.engines import Argument, compile
from tapecli.errors import Place, Source, TapeError
from tapecli.graph import LITERAL, Graph, Node, dependents, is_literal, needed, rebuild, replay, shape_text
from tapecli.ops.linear import Index, sum_, take
from tapecli.tape import number_of

SOURCE = Source("f.tape", "one two three")


def as_written(value: Any) -> Any:
    return value


def test_equal_nodes_are_built_once() -> None:
    graph = Graph()
    x = graph.input("x", (4,))
    assert x + 1.0 is x + 1.0
    assert graph.input("x", (4,)) is x
    assert ops.exp(x) is ops.exp(x)
    assert take(x, index=Index([1, 2]), axis=0) is take(x, index=Index(np.array([1, 2])), axis=0)
    assert sum_(x, axes=(0,)) is sum_(x, axes=(0,))
    assert len(graph.nodes) == 6


def test_different_nodes_are_not_taken_for_each_other() -> None:
    graph = Graph()
    x, y = graph.input("x", (2, 2)), graph.input("y", (2, 2))
    assert x - y is not y - x
    assert sum_(x, axes=(0,)) is not sum_(x, axes=(1,))
    assert graph.literal(0.0) is not graph.literal(-0.0)
    assert graph.literal(1.0) is not graph.literal([1.0])
    assert graph.literal([[1.0, 2.0]]) is not graph.literal([[1.0], [2.0]])
    assert graph.literal(np.nan) is graph.literal(np.nan)
    assert ops.pow(x, 2) is not ops.pow(x, 3)
    assert TABLE["maximum"](x, y, tie=0.5) is not TABLE["maximum"](x, y, tie=1.0)


def test_a_literal_owns_its_numbers() -> None:
    graph = Graph()
    numbers = np.array([1.0, 2.0])
    node = graph.literal(numbers)
    numbers[0] = 9.0  # still the caller's, and not the literal's
    assert node.value is not None
    assert node.value.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        node.value[0] = 3.0
    assert graph.literal([1.0, 2.0]) is node
    assert graph.literal([9.0, 2.0]) is not node


def test_nodes_keep_the_place_that_was_here_when_they_were_first_built() -> None:
    graph = Graph()
    first, second = Place(SOURCE, 0, 3), Place(SOURCE, 4, 7)
    graph.here = first
    x = graph.input("x", ())
    y = x * 2.0
    graph.here = second
    assert (x * 2.0).place is first
    z = y + 1.0
    assert z.place is second
    x.mark()
    assert (z * y).place is first


def test_needed_lists_each_node_once_and_in_order() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    a = x + y
    b = a * a
    c = ops.exp(b)
    assert [node.index for node in needed([c, a])] == [0, 1, 2, 3, 4]
    assert needed([a]) == [x, y, a]
    assert needed([c], stop=[b]) == [b, c]
    assert needed([]) == []
    assert dependents(needed([c]), [y]) == {y.index, a.index, b.index, c.index}


def test_replay_on_numbers_nodes_and_boxes() -> None:
    graph = Graph()
    x = graph.input("x", ())
    z = ops.sin(x) * x + 2.0
    assert replay([z], {x: np.asarray(0.5)}, as_written) == [np.sin(0.5) * 0.5 + 2.0]
    onto = Graph()
    new = onto.input("t", ())
    (node,) = replay([z], {x: new}, onto.literal, onto)
    assert node.graph is onto
    assert replay([node], {new: np.asarray(0.5)}, as_written) == replay([z], {x: np.asarray(0.5)}, as_written)


def test_replay_stops_at_given_nodes_and_takes_their_values() -> None:
    graph = Graph()
    x = graph.input("x", ())
    a = ops.log(x)
    assert replay([a + x * 0.0 + 1.0], {a: np.asarray(5.0), x: np.asarray(1.0)}, as_written) == [6.0]


def test_replay_without_a_value_says_which() -> None:
    graph = Graph()
    x = graph.input("x", ())
    with pytest.raises(TapeError, match="`x` has no value") as caught:
        replay([x + 1.0], {}, as_written)
    assert caught.value.code == "start"


def test_a_tap_gives_the_derivative_to_a_node_inside() -> None:
    graph = Graph()
    x = graph.input("x", ())
    a = x * x
    z = ops.exp(a) + a
    result, slope = derive.gradient(lambda t: replay([z], {x: np.asarray(0.5)}, as_written, taps={a.index: t})[0], [0])(
        np.asarray(0.0)
    )
    assert result == np.exp(0.25) + 0.25
    assert slope == np.exp(0.25) + 1.0


def test_rebuild_leaves_alone_what_does_not_rest_on_the_replaced() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    a, b = ops.exp(x), ops.exp(y)
    (new,) = rebuild([a + b], {x: y})
    assert new is b + b
    (same,) = rebuild([b], {x: y})
    assert same is b
    (other,) = rebuild([a * 2.0], {a: y})
    assert other is y * 2.0


def test_shapes_that_do_not_fit() -> None:
    graph = Graph()
    graph.here = Place(SOURCE, 4, 7)
    x, y = graph.input("x", (2,)), graph.input("y", (3, 4))
    with pytest.raises(TapeError) as caught:
        _ = x + y
    assert caught.value.code == "shape"
    assert "2 entries and 3×4" in caught.value.message
    assert caught.value.place is not None
    assert caught.value.place.column == 5


def test_shape_texts() -> None:
    assert [shape_text(s) for s in [(), (1,), (5,), (3, 4), (0,)]] == [
        "a number",
        "1 entry",
        "5 entries",
        "3×4",
        "0 entries",
    ]


def test_is_literal() -> None:
    graph = Graph()
    assert is_literal(graph.literal(2.0), 2.0)
    assert not is_literal(graph.literal([2.0]), 2.0)
    assert not is_literal(graph.input("x", ()), 2.0)
    assert graph.literal(3).op is LITERAL


def test_a_node_is_neither_true_nor_false_nor_without_end() -> None:
    graph = Graph()
    x = graph.input("x", (2,))
    with pytest.raises(TypeError, match="where"):
        bool(x)
    assert [entry.shape for entry in x] == [(), ()]
    assert x[-1] is x[1]
    assert x[0:2:1].shape == (2,)
    with pytest.raises(IndexError):
        x[2]
    with pytest.raises(TypeError, match="length"):
        len(x[0])


def chain(depth: int) -> tuple[Node, Node]:
    """An input, and the end of a chain of `depth` nodes above it."""
    x = y = Graph().input("x", ())
    for _ in range(depth // 2):
        y = (y + 1e-6) * 0.99999
    return x, y


def test_depth_is_no_recursion() -> None:
    """A chain of 200,000 nodes is built, played back and differentiated."""
    depth = 200_000
    x, y = chain(depth)
    assert len(needed([y])) >= depth
    value, slope = derive.gradient(lambda v: replay([y], {x: v}, as_written)[0], [0])(np.asarray(0.3))
    assert slope == pytest.approx(0.99999 ** (depth // 2), rel=1e-9)
    assert value == replay([y], {x: np.asarray(0.3)}, as_written)[0]


def test_tracing_and_simplifying_are_no_recursion() -> None:
    x, y = chain(30_000)

    def traced(v: Any) -> Any:
        return replay([y], {x: v}, number_of(v).graph.literal)[0]

    compiled = compile("numpy", derive.gradient(traced, [0]), [Argument("x", (), None)], "float64")
    value, slope = compiled.run(0.3)
    assert value == replay([y], {x: np.asarray(0.3)}, as_written)[0]
    assert slope == pytest.approx(0.99999**15_000, rel=1e-9)


def test_a_long_formula_differentiates() -> None:
    text = "var x = 0.5\n" + "+".join(["x*x"] * 20_000) + "\n"
    assert tp.parse(text).grad()["x"] == pytest.approx(20_000.0)
    nest = "var x = 0.5\n" + "(" * 5_000 + "x" + "*1.0001)" * 5_000
    assert tp.parse(nest).grad()["x"] == pytest.approx(1.0001**5_000, rel=1e-9)
