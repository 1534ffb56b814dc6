"""Rows reduced as they come: the same answers as all rows at once, whatever the blocks, their order and their units."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marquardt import RowAccumulator, lstsq

Array = np.ndarray


def problem(m: int, n: int, seed: int = 3, k: int | None = None) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)), rng.standard_normal(m if k is None else (m, k))


def accumulated(A: Array, b: Array, cuts: list[int], k: int | None = None) -> RowAccumulator:
    rows = RowAccumulator(A.shape[1], k)
    for first, last in zip([0, *cuts], [*cuts, len(A)], strict=True):
        rows.add(A[first:last], b[first:last])
    return rows


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(1, 7), st.lists(st.integers(0, 60), max_size=6), st.integers(0, 1000))
def test_blocks_are_the_whole(m: int, n: int, cuts: list[int], seed: int) -> None:
    A, b = problem(m, n, seed)
    rows = accumulated(A, b, sorted(min(cut, m) for cut in cuts))
    assert rows.rows == len(rows) == m
    whole = np.column_stack([A, b])
    np.testing.assert_allclose(rows.triangle.T @ rows.triangle, whole.T @ whole, rtol=0, atol=1e-12 * max(m, n))
    fit, direct = rows.solve(), lstsq(A, b)
    assert fit.rank == direct.rank
    if direct.condition < 1e3 or m < n:
        np.testing.assert_allclose(fit.x, direct.x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fit.cost, direct.cost, rtol=1e-9, atol=1e-13)
    assert fit.dof == direct.dof
    assert fit.residuals is None


def test_merge_in_any_order() -> None:
    A, b = problem(90, 4)
    parts = [accumulated(A[i::3], b[i::3], []) for i in range(3)]
    direct = lstsq(A, b)
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        rows = RowAccumulator(4)
        for i in order:
            rows.merge(parts[i])
        assert rows.rows == 90
        fit = rows.solve()
        np.testing.assert_allclose(fit.x, direct.x, rtol=1e-13)
        np.testing.assert_allclose(fit.cost, direct.cost, rtol=1e-13)
    assert parts[0].rows == 30


def test_merging_with_itself_counts_rows_twice() -> None:
    A, b = problem(20, 3)
    rows = accumulated(A, b, [])
    rows.merge(rows)
    assert rows.rows == 40
    np.testing.assert_allclose(rows.solve().cost, 2 * lstsq(A, b).cost, rtol=1e-13)


def test_pickle_keeps_every_bit() -> None:
    A, b = problem(50, 5)
    rows = accumulated(A, b, [10, 30])
    copy = pickle.loads(pickle.dumps(rows))
    np.testing.assert_array_equal(copy.triangle, rows.triangle)
    assert (copy.n, copy.k, copy.rows) == (5, None, 50)
    more, right = problem(10, 5, 9)
    np.testing.assert_allclose(copy.add(more, right).solve().x, rows.add(more, right).solve().x, rtol=1e-15)


@pytest.mark.parametrize("k", [1, 3])
def test_many_right_hand_sides(k: int) -> None:
    A, b = problem(40, 4, k=k)
    fit = accumulated(A, b, [7, 8, 21], k).solve()
    direct = lstsq(A, b)
    np.testing.assert_allclose(fit.x, direct.x, rtol=1e-12)
    np.testing.assert_allclose(fit.cost, direct.cost, rtol=1e-12)
    np.testing.assert_allclose(fit.covariance(), direct.covariance(), rtol=1e-11)


def test_the_options_of_lstsq() -> None:
    A, b = problem(40, 4)
    rows = accumulated(A, b, [11])
    C, d = np.array([[1.0, 1, 0, 0]]), np.array([2.0])
    for option in (
        {"ridge": 0.7},
        {"ridge": [1, 2, 3, 4.0], "x_prior": [1.0, 1, 1, 1]},
        {"constraints": (C, d)},
        {"method": "svd"},
        {"rcond": 0.9},
    ):
        fit, direct = rows.solve(**option), lstsq(A, b, **option)
        np.testing.assert_allclose(fit.x, direct.x, rtol=1e-11)
        np.testing.assert_allclose(fit.cost, direct.cost, rtol=1e-11)
        np.testing.assert_allclose(fit.dof, direct.dof, rtol=1e-12)


def test_weights_are_scaled_rows() -> None:
    A, b = problem(30, 3)
    w = np.linspace(0, 2, 30)
    np.testing.assert_allclose(RowAccumulator(3).add(A, b, weights=w).solve().x, lstsq(A, b, weights=w).x, rtol=1e-13)


def test_single_rows_empty_blocks_and_too_few_rows() -> None:
    rows = RowAccumulator(3)
    assert rows.solve().rank == 0
    np.testing.assert_array_equal(rows.solve().x, np.zeros(3))
    rows.add(np.zeros((0, 3)), np.zeros(0))
    assert rows.rows == 0
    rows.add([1.0, 0, 0], 2.0)
    fit = rows.solve()
    assert (rows.rows, fit.rank) == (1, 1)
    np.testing.assert_allclose(fit.x, [2, 0, 0])
    assert fit.undetermined == ("x[1]", "x[2]")


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_units(scale: float) -> None:
    A, b = problem(60, 3)
    units = np.array([scale, 1.0, 1 / scale])
    x = accumulated(A * units, b, [20, 40]).solve().x
    np.testing.assert_allclose(x * units, lstsq(A, b).x, rtol=1e-12)


def test_a_quarter_of_a_million_rows() -> None:
    truth = np.array([1.0, -2, 3])
    rows = RowAccumulator(3)
    for i in range(25):
        t = (np.arange(10000) + 10000 * i) / 250000
        A = np.column_stack([np.ones_like(t), t, t * t])
        rows.add(A, A @ truth)
    np.testing.assert_allclose(rows.solve().x, truth, rtol=1e-12)
    assert len(pickle.dumps(rows)) < 1000


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: RowAccumulator(0), ValueError, "n must be at least 1"),
        (lambda: RowAccumulator(2, 0), ValueError, "k must be at least 1"),
        (lambda: RowAccumulator(2).add(np.ones((3, 3)), np.ones(3)), ValueError, r"A must have shape \(m, 2\)"),
        (lambda: RowAccumulator(2).add(np.ones((3, 2)), np.ones(2)), ValueError, "b must have shape"),
        (lambda: RowAccumulator(2).add([[1, np.nan]], [1]), ValueError, "A must be finite"),
        (lambda: RowAccumulator(2).add(np.ones((2, 2)), np.ones(2), weights=[1, -1]), ValueError, "weights"),
        (lambda: RowAccumulator(2).merge(RowAccumulator(3)), ValueError, "other must have n=2"),
        (lambda: RowAccumulator(2).merge(np.ones(2)), TypeError, "other must be a RowAccumulator"),
        (lambda: RowAccumulator(2).solve(weights=1), ValueError, "setting"),
        (lambda: RowAccumulator(2).solve(ridge="gcv"), ValueError, "cross-validation needs the rows"),
    ],
)
def test_refusals(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("k", [None, 2])
def test_threads_share_rows_and_repeat_their_bits(k: int | None) -> None:
    A, b = problem(12000, 50, 11, k)
    alone = RowAccumulator(50, k).add(A, b)
    for threads in (2, 3):
        first, again = (RowAccumulator(50, k).add(A, b, threads=threads) for _ in range(2))
        np.testing.assert_array_equal(first.triangle, again.triangle)
        assert not np.array_equal(first.triangle, alone.triangle)  # it did split
        np.testing.assert_allclose(first.solve().x, alone.solve().x, rtol=1e-11, atol=1e-13)
        assert first.rows == 12000


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_threads_are_a_count(threads: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="threads"):
        RowAccumulator(2).add([[1.0, 2.0]], [1.0], threads=threads)


@pytest.mark.parametrize("k", [None, 3])
def test_memory_may_lie_in_any_order(k: int | None) -> None:
    A, b = problem(700, 6, 12, k)
    expected = RowAccumulator(6, k).add(A, b).triangle
    double = np.zeros((1400, 12))
    double[::2, ::2] = A
    packed = np.zeros(700, dtype=[("skip", "i1"), ("row", "f8", (6,))])  # entries off the boundaries of doubles
    packed["row"] = A
    for same in (np.asfortranarray(A), A[::-1].copy()[::-1], double[::2, ::2], packed["row"]):
        np.testing.assert_array_equal(RowAccumulator(6, k).add(same, b).triangle, expected)


@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 40])
def test_a_pickled_accumulator_goes_on_as_it_would_have(m: int, k: int | None) -> None:
    A, b = problem(m, 3, 13, k)
    rows = RowAccumulator(3, k).add(A, b)
    twin = pickle.loads(pickle.dumps(rows))
    np.testing.assert_array_equal(twin.triangle, rows.triangle)
    more, sides = problem(10, 3, 14, k)
    np.testing.assert_allclose(twin.add(more, sides).solve().x, rows.add(more, sides).solve().x, rtol=1e-12, atol=1e-14)
