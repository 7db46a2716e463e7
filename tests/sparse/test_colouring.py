"""Colourings: valid by their definition, few on graphs whose number is known, and every entry comes back."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapecli.core import Array
from tapecli.sparsity import colouring


@st.composite
def masks(draw: Any, square: bool) -> Array:
    m = draw(st.integers(1, 14))
    n = m if square else draw(st.integers(1, 14))
    density = draw(st.sampled_from([0.05, 0.15, 0.3, 0.6, 1.0]))
    mask = np.random.default_rng(draw(st.integers(0, 10**6))).random((m, n)) < density
    return mask | mask.T if square else mask


def count(colours: Array) -> int:
    return int(colours.max(initial=-1)) + 1


def is_star(mask: Array, colours: Array) -> bool:
    """Whether any two colours leave stars only: of every edge, one end has no other neighbour of the two colours."""
    n = len(mask)
    edges = [(i, j) for i, j in combinations(range(n), 2) if mask[i, j]]
    if any(colours[i] == colours[j] for i, j in edges):
        return False
    near = [{j for j in range(n) if mask[i, j] and j != i} for i in range(n)]
    alone = [{j for j in near[i] if sum(colours[k] == colours[j] for k in near[i]) == 1} for i in range(n)]
    return all(j in alone[i] or i in alone[j] for i, j in edges)


@given(masks(square=True))
def test_symmetric_matrices_come_back_from_their_products(mask: Array) -> None:
    n = len(mask)
    rows, columns = np.nonzero(mask)
    colours = colouring.star(rows, columns, n)
    assert is_star(mask, colours)
    assert set(colours) - {-1} == set(range(count(colours)))
    assert ((colours == -1) == ~mask.any(axis=1)).all()
    full = np.arange(n * n).reshape(n, n) ** 2 % 101 + 1
    full = np.where(mask, full + full.T, 0)
    read = colouring.star_readings(rows, columns, colours)
    products = np.stack([full @ (colours == c) for c in range(count(colours))] or [np.zeros(n)], axis=1)
    np.testing.assert_array_equal(products[read.places, read.colours], full[rows, columns])
    mirror = {(i, j): (p, c) for i, j, p, c in zip(rows, columns, *read, strict=True)}
    assert all(mirror[i, j] == mirror[j, i] for i, j in mirror)


@given(masks(square=True))
def test_the_star_colouring_is_valid_in_any_order(mask: Array) -> None:
    n = len(mask)
    np.fill_diagonal(mask, False)
    starts, neighbours = colouring._lists(*np.nonzero(mask), n)
    order = colouring.smallest_last(starts, neighbours)
    assert sorted(order) == list(range(n))
    for way in (range(n), order, list(reversed(order))):
        assert is_star(mask, np.array(colouring.greedy_star(starts, neighbours, way)))


@given(masks(square=False))
def test_columns_of_a_colour_share_no_row(mask: Array) -> None:
    rows, columns = np.nonzero(mask)
    colours = colouring.disjoint(rows, columns, mask.shape)
    assert ((colours == -1) == ~mask.any(axis=0)).all()
    for c in range(count(colours)):
        assert mask[:, colours == c].sum(axis=1).max() == 1
    assert count(colours) >= mask.sum(axis=1).max(initial=0)


def band(n: int, width: int) -> Array:
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= width


def arrow(n: int, hub: int) -> Array:
    mask = np.eye(n, dtype=bool)
    mask[hub] = mask[:, hub] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (np.eye(50, dtype=bool), 1),
        (band(50, 1), 3),
        (band(60, 4), 9),
        (arrow(50, 0), 2),
        (arrow(50, 49), 2),
        (arrow(50, 20), 2),
        (np.ones((20, 20), dtype=bool), 20),
        (np.zeros((5, 5), dtype=bool), 0),
    ],
)
def test_known_numbers_of_colours(mask: Array, wanted: int) -> None:
    colours = colouring.star(*np.nonzero(mask), len(mask))
    assert count(colours) <= wanted
    assert is_star(mask, colours)


def test_a_grid_takes_few_colours() -> None:
    n = 20
    mask = np.kron(np.eye(n, dtype=bool), band(n, 1)) | np.kron(band(n, 1), np.eye(n, dtype=bool))
    colours = colouring.star(*np.nonzero(mask), n * n)
    assert count(colours) <= 7
    assert is_star(mask, colours)


def test_a_large_graph_is_coloured_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colouring, "PATIENCE", 3)
    monkeypatch.setattr(colouring, "smallest_last", None)
    assert count(colouring.star(*np.nonzero(band(50, 2)), 50)) == 5
    assert count(colouring.disjoint(*np.nonzero(band(50, 2)), (50, 50))) == 5
