"""`lsq_linear`: the first-order conditions by identity, every active set of small problems, SciPy, hostile boxes."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from marquardt import BoundedStatus, lsq_linear, lstsq

Array = Any
INF = np.inf


def violation(A: Array, b: Array, x: Array, lower: Array, upper: Array) -> float:
    """How far x is from the first-order conditions, in extended precision and without units."""
    wide, exact = A.astype(np.longdouble), x.astype(np.longdouble)
    gradient = wide.T @ (wide @ exact - b)
    lengths = np.sqrt((wide**2).sum(axis=0))
    scale = lengths * (np.sqrt((b.astype(np.longdouble) ** 2).sum()) + lengths @ np.abs(exact))
    wrong = np.abs(gradient)
    wrong = np.where((x == lower) & (gradient >= 0), 0, wrong)
    wrong = np.where(((x == upper) & (gradient <= 0)) | (lower == upper) | (scale == 0), 0, wrong)
    return float(np.max(wrong / np.where(scale > 0, scale, 1), initial=0))


def random_box(rng: Any, n: int) -> tuple[Array, Array]:
    lower = rng.integers(-2, 1, n).astype(float)
    upper = lower + rng.integers(0, 4, n)
    lower[rng.random(n) < 0.2] = -INF
    upper[rng.random(n) < 0.2] = INF
    return lower, upper


def best_of_all(A: Array, b: Array, lower: Array, upper: Array) -> float:
    """The least residual over all 3^n active sets."""
    n = A.shape[1]
    least = INF
    for sides in itertools.product((-1, 0, 1), repeat=n):
        side = np.array(sides)
        x = np.where(side < 0, lower, np.where(side > 0, upper, 0.0))
        if not np.isfinite(x).all():
            continue
        free = side == 0
        if free.any():
            x[free] = np.linalg.lstsq(A[:, free], b - A @ x, rcond=None)[0]
        if ((x >= lower - 1e-13) & (x <= upper + 1e-13)).all():
            least = min(least, float(np.linalg.norm(A @ x - b)))
    return least


@pytest.mark.parametrize("seed", range(60))
def test_the_best_of_all_active_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 8), rng.integers(1, 6)
    A = rng.standard_normal((m, n))
    if seed % 3 == 0 and n > 1:
        A[:, -1] = A[:, 0]
    b = 3 * rng.standard_normal(m)
    lower, upper = random_box(rng, n)
    fit = lsq_linear(A, b, (lower, upper))
    assert fit.success
    assert violation(A, b, fit.x, lower, upper) <= 1e-14
    if seed % 3 or n == 1:  # with a repeated column the least-norm face may leave a box that other points are in
        assert np.sqrt(2 * fit.cost) == pytest.approx(best_of_all(A, b, lower, upper), abs=1e-12)


@pytest.mark.parametrize(("m", "n"), [(30, 10), (40, 40), (15, 30), (500, 25)])
def test_scipy_finds_nothing_better(m: int, n: int) -> None:
    rng = np.random.default_rng(m)
    for _ in range(5):
        A, b = rng.standard_normal((m, n)), 2 * rng.standard_normal(m)
        lower, upper = -rng.random(n), rng.random(n)
        fit = lsq_linear(A, b, (lower, upper))
        peers = [scipy.optimize.lsq_linear(A, b, (lower, upper), method="trf", tol=1e-14, max_iter=1000)]
        if m >= n:
            peers.append(scipy.optimize.lsq_linear(A, b, (lower, upper), method="bvls", tol=1e-14))
        assert fit.success
        assert fit.kkt <= 1e-14
        for peer in peers:
            assert fit.cost <= peer.cost * (1 + 1e-13) + 1e-14
        if m >= n:
            np.testing.assert_allclose(fit.x, peers[-1].x, atol=1e-11)
            assert fit.active_mask.tolist() == peers[-1].active_mask.tolist()


def test_fields() -> None:
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((12, 5)), 2 * rng.standard_normal(12)
    peer = scipy.optimize.lsq_linear(A, b, (-0.3, 0.2), method="bvls")
    fit = lsq_linear(A, b, (-0.3, 0.2), method="bvls")
    assert set(peer.keys()) <= {*fit.keys(), "unbounded_sol"}
    np.testing.assert_allclose(fit.fun, peer.fun, atol=1e-12)
    assert fit.cost == pytest.approx(peer.cost)
    np.testing.assert_allclose(fit.residuals, b - A @ fit.x, atol=1e-15)
    np.testing.assert_allclose(fit.grad, A.T @ (A @ fit.x - b), atol=1e-13)
    np.testing.assert_array_equal(fit.multipliers, np.maximum(-fit.active_mask * fit.grad, 0))
    np.testing.assert_allclose(fit.unbounded_sol[0], peer.unbounded_sol[0])
    np.testing.assert_allclose(fit["unbounded_sol"][3], peer.unbounded_sol[3])
    back = pickle.loads(pickle.dumps(fit))
    np.testing.assert_allclose(back.unbounded_sol[0], peer.unbounded_sol[0])
    assert "SOLVED" in repr(fit)


def test_without_bounds_it_is_lstsq() -> None:
    rng = np.random.default_rng(1)
    for m, n in ((30, 8), (5, 12), (12, 12)):
        A, b = rng.standard_normal((m, n)), rng.standard_normal(m)
        fit = lsq_linear(A, b)
        assert fit.status is BoundedStatus.UNCONSTRAINED
        np.testing.assert_allclose(fit.x, lstsq(A, b).x, rtol=1e-9, atol=1e-11)
        assert fit.unique == (m >= n)


def test_the_shortest_of_many() -> None:
    rng = np.random.default_rng(2)
    A = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 6))
    b = rng.standard_normal(20)
    fit = lsq_linear(A, b, (-100, 100))
    assert fit.success
    assert fit.rank == 3
    assert not fit.unique
    assert "Others" in fit.message
    np.testing.assert_allclose(fit.x, np.linalg.pinv(A) @ b, rtol=1e-10)


def test_a_box_around_the_solution_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((30, 10)), rng.standard_normal(30)
    free = lsq_linear(A, b)
    boxed = lsq_linear(A, b, (free.x - 1e-3, free.x + 1e-3))
    assert boxed.status is BoundedStatus.UNCONSTRAINED
    np.testing.assert_allclose(boxed.x, free.x, rtol=1e-13)


def test_fixed_variables() -> None:
    rng = np.random.default_rng(4)
    A, b = rng.standard_normal((15, 6)), rng.standard_normal(15)
    lower, upper = np.full(6, -INF), np.full(6, INF)
    lower[[1, 4]] = upper[[1, 4]] = 0.1, -0.7
    fit = lsq_linear(A, b, (lower, upper))
    assert fit.x[[1, 4]].tolist() == [0.1, -0.7]
    others = [0, 2, 3, 5]
    expected = np.linalg.lstsq(A[:, others], b - A[:, [1, 4]] @ [0.1, -0.7], rcond=None)[0]
    np.testing.assert_allclose(fit.x[others], expected, rtol=1e-12)
    point = lsq_linear(A, b, (np.arange(6.0), np.arange(6.0)))
    assert point.success
    assert point.x.tolist() == list(range(6))


@pytest.mark.parametrize("kind", ["normal", "wide", "low rank", "hilbert", "zero columns", "laplace"])
@pytest.mark.parametrize("box", ["tight", "half infinite", "some fixed"])
@pytest.mark.parametrize("n", [8, 30, 80])
def test_families(kind: str, box: str, n: int) -> None:
    rng = np.random.default_rng(n)
    m = n // 2 if kind == "wide" else 2 * n
    A = rng.standard_normal((m, n))
    if kind == "low rank":
        A = rng.standard_normal((m, n // 4)) @ rng.standard_normal((n // 4, n))
    if kind == "hilbert":
        A = 1 / (np.arange(m)[:, np.newaxis] + np.arange(n) + 1.0)
    if kind == "laplace":
        A = np.exp(-np.outer(np.linspace(0.01, 3, m), np.logspace(-2, 2, n)))
    if kind == "zero columns":
        A[:, ::3] = 0
    b = A @ rng.uniform(-2, 2, n) + 0.1 * rng.standard_normal(m)
    lower, upper = -rng.random(n), rng.random(n)
    if box == "half infinite":
        lower[::2], upper[1::3] = -INF, INF
    if box == "some fixed":
        lower[::4] = upper[::4]
    fit = lsq_linear(A, b, (lower, upper))
    peer = scipy.optimize.lsq_linear(A, b, (lower, upper + (lower == upper) * 1e-14), tol=1e-14, max_iter=500)
    assert fit.success
    assert ((fit.x >= lower) & (fit.x <= upper)).all()
    assert violation(A, b, fit.x, lower, upper) <= 1e-15
    if np.abs(peer.x).max() < 1e6:  # farther out along null directions of A a lower cost is rounding's
        assert fit.cost <= peer.cost * (1 + 1e-10) + 1e-12
    again = lsq_linear(A, b, (lower, upper), x0=fit.x)
    assert again.success
    if kind == "normal":
        assert again.nit == 1
        np.testing.assert_array_equal(again.active_mask, fit.active_mask)


@pytest.mark.parametrize("bounds", [(None, None), (0, None), (None, 1), (0, INF), scipy.optimize.Bounds(0, 1)])
def test_forms_of_bounds(bounds: Any) -> None:
    fit = lsq_linear(np.eye(3), [-1.0, 0.5, 2.0], bounds)
    low, high = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
    low, high = -INF if low is None else low, INF if high is None else high
    assert fit.x.tolist() == np.clip([-1.0, 0.5, 2.0], low, high).tolist()


def test_columns_of_b_are_problems_of_their_own() -> None:
    rng = np.random.default_rng(5)
    A, B = rng.standard_normal((30, 9)), 2 * rng.standard_normal((30, 5))
    fit = lsq_linear(A, B, (-0.2, 0.3))
    for k in range(5):
        single = lsq_linear(A, B[:, k], (-0.2, 0.3))
        np.testing.assert_allclose(fit.x[:, k], single.x, atol=1e-14)
        assert fit.cost[k] == pytest.approx(single.cost)
    assert fit.success
    assert len(fit.unbounded_sol[0]) == 9


@pytest.mark.parametrize("seed", range(10))
def test_a_warm_start_needs_one_system(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((50, 20)), rng.standard_normal(50)
    cold = lsq_linear(A, b, (-0.1, 0.1))
    warm = lsq_linear(A, b, (-0.1, 0.1), x0=cold.x)
    assert warm.nit == 1
    np.testing.assert_array_equal(warm.active_mask, cold.active_mask)


def test_sparse_is_dense() -> None:
    rng = np.random.default_rng(6)
    A = rng.standard_normal((500, 20)) * (rng.random((500, 20)) < 0.2)
    b = rng.standard_normal(500)
    dense, fit = lsq_linear(A, b, (-0.05, 0.05)), lsq_linear(sparse.csr_array(A), b, (-0.05, 0.05))
    np.testing.assert_allclose(fit.x, dense.x, atol=1e-14)
    np.testing.assert_allclose(fit.fun, dense.fun, atol=1e-13)
    np.testing.assert_allclose(fit.unbounded_sol[0], dense.unbounded_sol[0], atol=1e-13)
    assert lsq_linear(sparse.csr_array((0, 3)), np.ones(0), (1, 2)).x.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("size", [1e-150, 1e-60, 1e60, 1e150])
def test_units_change_nothing(size: float) -> None:
    rng = np.random.default_rng(7)
    A, b = rng.standard_normal((25, 8)), rng.standard_normal(25)
    plain = lsq_linear(A, b, (-0.1, 0.2))
    in_A = lsq_linear(A * size, b, (-0.1 / size, 0.2 / size))
    np.testing.assert_allclose(in_A.x * size, plain.x, rtol=1e-12)
    in_b = lsq_linear(A, b * size, (-0.1 * size, 0.2 * size))
    np.testing.assert_allclose(in_b.x / size, plain.x, rtol=1e-12)
    assert in_A.success
    assert in_b.success


def test_far_away_boxes() -> None:
    A, b = np.array([[1.0, 1.0], [1.0, -1.0]]), np.zeros(2)
    fit = lsq_linear(A, b, ([1e200, -INF], [INF, INF]))
    assert fit.success
    np.testing.assert_allclose(fit.x, [1e200, 0], atol=1e185)
    assert fit.x[0] == 1e200
    over = lsq_linear(1e200 * A, b, ([1e200, -INF], [INF, INF]))
    assert not over.success
    assert over.status is BoundedStatus.STALLED


@pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0), (0, 0)])
def test_empty(m: int, n: int) -> None:
    fit = lsq_linear(np.ones((m, n)), np.ones(m), (2, 3))
    assert fit.success
    assert fit.x.tolist() == [2.0] * n


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (([[1.0, np.nan]], [1.0]), {}, "A must be finite"),
        (([[1.0]], [np.nan]), {}, "b must be finite"),
        (([[1.0]], [1.0], (2, 1)), {}, "lower bound must be at most"),
        (([[1.0]], [1.0], (np.nan, 1)), {}, "NaN"),
        (([[1.0]], [1.0], (INF, INF)), {}, "room for finite"),
        (([[1.0]], [1.0], 3), {}, "bounds must be a pair"),
        (([[1.0]], [1.0]), {"method": "trm"}, "method must be one of .*did you mean 'trf'"),
        (([[1.0]], [1.0]), {"tol": -1.0}, "tol must be"),
        (([[1.0]], [1.0]), {"max_iter": -2}, "max_iter must be"),
        (([[1.0]], [1.0]), {"verbose": 3}, "verbose must be"),
        (([[1.0]], [1.0]), {"lsq_solver": "qr"}, "lsq_solver must be"),
    ],
)
def test_refusals(arguments: Any, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lsq_linear(*arguments, **options)


def test_a_call_written_for_scipy(capsys: pytest.CaptureFixture[str]) -> None:
    fit = lsq_linear(np.eye(2), np.ones(2), (0, 0.5), "bvls", 1e-8, "exact", "auto", 100, 1, lsmr_maxiter=10)
    assert fit.x.tolist() == [0.5, 0.5]
    assert "first-order" in capsys.readouterr().out


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 30), n=st.integers(1, 30), spread=st.integers(0, 10))
def test_first_order_conditions(seed: int, m: int, n: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) * 10.0 ** rng.integers(-spread, spread + 1, n)
    if seed % 2:
        A = np.round(A)
    b = 3 * rng.standard_normal(m)
    lower, upper = random_box(rng, n)
    fit = lsq_linear(A, b, (lower, upper))
    assert fit.success
    assert ((fit.x >= lower) & (fit.x <= upper)).all()
    assert violation(A, b, fit.x, lower, upper) <= 1e-12
    assert (fit.x[fit.active_mask == -1] == lower[fit.active_mask == -1]).all()
    assert (fit.x[fit.active_mask == 1] == upper[fit.active_mask == 1]).all()
