"""`nnls`: the first-order conditions by identity, every active set of small problems, SciPy, and known traps."""

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

from marquardt import BoundedStatus, NnlsResult, nnls

Array = Any


def violation(A: Array, b: Array, x: Array) -> float:
    """How far x is from the first-order conditions, measured in extended precision and without units."""
    wide, exact = A.astype(np.longdouble), x.astype(np.longdouble)
    gradient = wide.T @ (wide @ exact - b)
    lengths = np.sqrt((wide**2).sum(axis=0))
    scale = lengths * (np.sqrt((b.astype(np.longdouble) ** 2).sum()) + lengths @ exact)
    wrong = np.where(x > 0, np.abs(gradient), np.maximum(-gradient, 0))
    return float(np.max(np.where(scale > 0, wrong / np.where(scale > 0, scale, 1), 0), initial=0))


def best_of_all(A: Array, b: Array) -> float:
    """The least residual over all sets of positive variables."""
    n = A.shape[1]
    least = float(np.linalg.norm(b))
    for size in range(1, n + 1):
        for columns in itertools.combinations(range(n), size):
            y = np.linalg.lstsq(A[:, columns], b, rcond=None)[0]
            if (y >= -1e-14).all():
                least = min(least, float(np.linalg.norm(A[:, columns] @ np.maximum(y, 0) - b)))
    return least


@pytest.mark.parametrize("seed", range(120))
def test_the_best_of_all_active_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 8), rng.integers(1, 6)
    A = rng.integers(-2, 3, (m, n)).astype(float) if seed % 2 else rng.standard_normal((m, n))
    b = rng.integers(-3, 4, m).astype(float)
    fit = nnls(A, b)
    assert fit.success
    assert violation(A, b, fit.x) <= 1e-14
    assert fit.rnorm == pytest.approx(best_of_all(A, b), abs=1e-13 * (1 + np.linalg.norm(b)))


@pytest.mark.parametrize(("m", "n"), [(30, 10), (10, 30), (60, 60), (300, 40), (1000, 20)])
@pytest.mark.parametrize("kind", ["normal", "positive", "sparse"])
def test_scipy_finds_the_same(m: int, n: int, kind: str) -> None:
    rng = np.random.default_rng(m + n)
    A = rng.random((m, n)) if kind == "positive" else rng.standard_normal((m, n))
    if kind == "sparse":
        A *= rng.random((m, n)) < 0.2
    b = rng.standard_normal(m) + (kind == "positive")
    fit = nnls(A, b)
    x, rnorm = scipy.optimize.nnls(A, b, maxiter=30 * n)
    assert fit.success
    assert fit.kkt <= 1e-13
    assert fit.rnorm <= rnorm * (1 + 1e-13) + 1e-13
    if fit.unique:
        np.testing.assert_allclose(fit.x, x, atol=1e-10)


def test_unpacks_and_is_a_full_result() -> None:
    A, b = np.array([[1.0, 0], [1, 0], [0, 1]]), np.array([2.0, 1, -1])
    fit = nnls(A, b)
    x, rnorm = fit
    assert x is fit.x
    assert rnorm == fit["rnorm"]
    assert x.tolist() == [1.5, 0.0]
    assert fit.active_mask.tolist() == [0, -1]
    assert fit.multipliers.tolist() == [0.0, 1.0]
    np.testing.assert_allclose(fit.dual, A.T @ (b - A @ x), atol=1e-15)
    np.testing.assert_allclose(fit.residuals, b - A @ x, atol=1e-15)
    assert fit.status is BoundedStatus.SOLVED
    assert fit.unique
    assert set(fit.keys()) >= {"x", "rnorm", "residuals", "kkt", "nit", "message", "success", "cost"}
    assert "rnorm" in dir(fit)
    assert "message" in str(fit)
    assert "SOLVED" in repr(fit)
    with pytest.raises(AttributeError, match="rnorm"):
        _ = fit.nothing
    back = pickle.loads(pickle.dumps(fit))
    assert type(back) is NnlsResult
    assert back.x.tolist() == x.tolist()
    np.testing.assert_allclose(back.unbounded_sol[0], [1.5, -1.0])


def test_columns_of_b_are_problems_of_their_own() -> None:
    rng = np.random.default_rng(3)
    A, B = rng.standard_normal((40, 12)), rng.standard_normal((40, 7))
    fit = nnls(A, B)
    assert fit.success
    assert fit.x.shape == (12, 7)
    assert fit.rnorm.shape == fit.kkt.shape == fit.unique.shape == fit.statuses.shape == (7,)
    for k in range(7):
        single = nnls(A, B[:, k])
        np.testing.assert_allclose(fit.x[:, k], single.x, rtol=1e-12, atol=1e-14)
        assert fit.active_mask[:, k].tolist() == single.active_mask.tolist()
        assert fit.rnorm[k] == pytest.approx(single.rnorm, rel=1e-13)


@pytest.mark.parametrize("seed", range(20))
def test_a_warm_start_needs_one_system(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((50, 20)), rng.standard_normal(50)
    cold = nnls(A, b)
    warm = nnls(A, b + 1e-6 * rng.standard_normal(50), x0=cold.x)
    assert warm.success
    assert warm.nit == 1
    assert warm.active_mask.tolist() == cold.active_mask.tolist()


def test_a_bad_start_does_no_harm() -> None:
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((30, 10)), rng.standard_normal(30)
    reference = nnls(A, b).x
    for x0 in (np.full(10, 1e300), np.full(10, -5.0), np.zeros(10), rng.random(10)):
        np.testing.assert_allclose(nnls(A, b, x0=x0).x, reference, atol=1e-13)


@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_is_dense(convert: Any) -> None:
    rng = np.random.default_rng(1)
    A = rng.standard_normal((400, 30)) * (rng.random((400, 30)) < 0.1)
    A[:, 4] *= 1e160
    b = rng.standard_normal(400)
    dense, fit = nnls(A, b), nnls(convert(A), b)
    np.testing.assert_allclose(fit.x, dense.x, rtol=1e-11, atol=1e-14 * np.abs(dense.x).max())
    assert fit.rnorm == pytest.approx(dense.rnorm, rel=1e-13)
    np.testing.assert_allclose(nnls(convert(A), np.stack([b, -b], axis=1)).x[:, 0], dense.x, rtol=1e-11, atol=1e-14)


# ---------------------------------------------------------------------------------------------------- traps


@pytest.mark.parametrize("size_A", [1e-200, 1e-150, 1.0, 1e150, 1e200])
@pytest.mark.parametrize("size_b", [1e-100, 1.0, 1e100])
def test_units_change_nothing(size_A: float, size_b: float) -> None:
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((20, 8)), rng.standard_normal(20)
    fit, plain = nnls(A * size_A, b * size_b), nnls(A, b)
    assert fit.success
    assert fit.active_mask.tolist() == plain.active_mask.tolist()
    np.testing.assert_allclose(fit.x * size_A / size_b, plain.x, rtol=1e-13)
    assert fit.rnorm == pytest.approx(plain.rnorm * size_b, rel=1e-13)


def test_columns_of_very_different_length() -> None:
    rng = np.random.default_rng(4)
    scale = 10.0 ** rng.integers(-150, 151, 10)
    A, b = rng.standard_normal((30, 10)), rng.standard_normal(30)
    np.testing.assert_allclose(nnls(A * scale, b).x * scale, nnls(A, b).x, rtol=1e-13)


@pytest.mark.parametrize("gap", [1e-4, 1e-8, 1e-12, 1e-15, 0.0])
def test_nearly_collinear_columns(gap: float) -> None:
    rng = np.random.default_rng(5)
    base = rng.random((60, 1))
    A = base + gap * rng.standard_normal((60, 25))
    b = rng.random(60)
    fit = nnls(A, b)
    assert fit.success
    assert violation(A, b, fit.x) <= 1e-13
    assert fit.rnorm <= scipy.optimize.nnls(base, b)[1] * (1 + 1e-12) or gap > 1e-12


@pytest.mark.parametrize("n", [6, 10, 14, 20])
def test_hilbert(n: int) -> None:
    A = 1 / (np.arange(n + 5)[:, np.newaxis] + np.arange(n) + 1.0)
    rng = np.random.default_rng(n)
    for _ in range(20):
        b = A @ (rng.random(n) * (rng.random(n) < 0.5)) + 1e-6 * rng.standard_normal(n + 5)
        fit = nnls(A, b)
        assert fit.success
        assert violation(A, b, fit.x) <= 1e-13


@pytest.mark.parametrize("seed", range(10))
def test_factors_of_a_nonnegative_factorisation(seed: int) -> None:
    """Exact zeros at the solution, repeated columns and exact fits: every multiplier is a tie."""
    rng = np.random.default_rng(seed)
    W, H = rng.random((40, 6)), rng.random((6, 30)) * (rng.random((6, 30)) < 0.4)
    W = np.concatenate([W, W[:, :2], np.zeros((40, 1))], axis=1)
    fit = nnls(W, W[:, :6] @ H)
    assert fit.success
    assert float(np.max(fit.rnorm)) <= 1e-13 * np.linalg.norm(W)
    assert not fit.unique.any()
    assert "Others" in fit.message


def test_columns_of_zeros_and_rows_of_zeros() -> None:
    rng = np.random.default_rng(6)
    A, b = rng.standard_normal((20, 6)), rng.standard_normal(20)
    wider = np.zeros((25, 8))
    wider[:20, 1:7] = A
    fit = nnls(wider, np.concatenate([b, np.ones(5)]))
    assert fit.success
    assert not fit.unique
    assert fit.x[[0, 7]].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(fit.x[1:7], nnls(A, b).x, atol=1e-14)


@pytest.mark.parametrize(("m", "n", "k"), [(0, 3, 1), (3, 0, 1), (0, 0, 1), (4, 3, 0)])
def test_empty(m: int, n: int, k: int) -> None:
    b = np.ones((m, k))
    fit = nnls(np.ones((m, n)), b[:, 0] if k == 1 else b)
    assert fit.success
    assert fit.x.shape == ((n,) if k == 1 else (n, k))
    assert not np.any(fit.x)


def test_the_limit_is_reported() -> None:
    A = 1 / (np.arange(25)[:, np.newaxis] + np.arange(20) + 1.0)
    rng = np.random.default_rng(0)
    B = rng.standard_normal((25, 40))
    assert nnls(A, B).success
    fit = nnls(A, B, maxiter=0)
    assert fit.status is BoundedStatus.LIMIT
    assert not fit.success
    assert "limit" in fit.message
    assert (fit.x >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[1.0, np.nan]], [1.0]), ValueError, r"A must be finite, got A\[0, 1\] = nan"),
        (([[1.0, 2.0]], [np.inf]), ValueError, "b must be finite"),
        (([[1.0, 2.0]], [1.0, 2.0]), ValueError, "b must have shape"),
        (([1.0, 2.0], [1.0, 2.0]), ValueError, "A must have two dimensions"),
        (([["a"]], [1.0]), TypeError, "A must be real"),
        (([[1j]], [1.0]), TypeError, "A must be real"),
        ((sparse.csr_array([[1j]]), [1.0]), TypeError, "A must be real"),
        ((sparse.csr_array([[np.nan]]), [1.0]), ValueError, "the entries of A must be finite"),
        ((sparse.csr_array([[1.0]]), [np.nan]), ValueError, "b must be finite"),
    ],
)
def test_refusals(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        nnls(*arguments)


def test_refusals_of_options() -> None:
    with pytest.raises(ValueError, match="x0 must have shape"):
        nnls(np.eye(2), np.ones(2), x0=np.ones(3))
    with pytest.raises(ValueError, match="maxiter"):
        nnls(np.eye(2), np.ones(2), -1)


def test_what_is_given_stays_as_it_is() -> None:
    rng = np.random.default_rng(7)
    for order in ("C", "F"):
        A = np.array(rng.standard_normal((9, 4)), order=order)
        b = rng.standard_normal(9)
        A0, b0 = A.copy(), b.copy()
        nnls(A, b, x0=np.zeros(4))
        assert (A == A0).all()
        assert (b == b0).all()
    wide = rng.standard_normal((18, 8))
    np.testing.assert_array_equal(nnls(wide[::2, ::2], b).x, nnls(wide[::2, ::2].copy(), b).x)


# -------------------------------------------------------------------------------------------------- families


def family(kind: str, m: int, n: int) -> tuple[Array, Array]:
    """Matrices and data on which an active-set method can go wrong, each in its own way."""
    rng = np.random.default_rng(m + n)
    x = rng.random(n) * (rng.random(n) < 0.5)
    noise = rng.standard_normal(m)
    s, t = np.linspace(0, 1, n), np.linspace(0, 1, m)[:, np.newaxis]
    if kind == "half":  # well conditioned, half the solution zero
        A = rng.standard_normal((m, n))
        return A, A @ x + 0.1 * noise
    if kind == "consistent":  # every multiplier is zero
        A = rng.random((m, n))
        return A, A @ x
    if kind == "laplace":  # rank 15 to rounding
        A = np.exp(-0.01 - 3 * t * 10 ** (4 * s - 2))
        return A, A @ (x * (x > 0.8)) + 1e-3 * noise
    if kind == "gauss":  # neighbours nearly parallel
        A = np.exp(-(((t - s) / 0.03) ** 2) / 2)
        return A, A @ x + 1e-3 * noise
    if kind == "low rank":
        A = rng.random((m, n // 5)) @ rng.random((n // 5, n))
        return A, A @ x + 0.1 * noise
    A = 1 / (np.arange(m)[:, np.newaxis] + np.arange(n) + 1.0)  # Hilbert
    return A, A @ x + 1e-4 * noise


@pytest.mark.parametrize(("m", "n"), [(20, 10), (50, 20), (100, 50), (150, 100)])
@pytest.mark.parametrize("kind", ["half", "consistent", "laplace", "gauss", "low rank", "hilbert"])
def test_families(kind: str, m: int, n: int) -> None:
    A, b = family(kind, m, n)
    fit = nnls(A, b)
    x, rnorm = scipy.optimize.nnls(A, b, maxiter=100 * n)
    assert fit.success
    assert violation(A, b, fit.x) <= 5e-16
    assert fit.rnorm <= rnorm * (1 + 1e-10) + 1e-13 * np.linalg.norm(b)
    if kind in ("half", "consistent"):
        assert fit.unique
        np.testing.assert_allclose(fit.x, x, atol=1e-11)
    if kind == "low rank":
        assert fit.rank <= n // 5
    warm = nnls(A, b, x0=fit.x)
    assert warm.success
    assert warm.rnorm <= fit.rnorm * (1 + 1e-10) + 1e-13 * np.linalg.norm(b)
    rows = nnls(A, np.stack([b, -b, 2 * b], axis=1))  # on the triangle
    assert rows.success
    assert rows.rnorm[0] <= fit.rnorm * (1 + 1e-8) + 1e-12 * np.linalg.norm(b)


@pytest.mark.parametrize("kind", ["half", "laplace", "low rank"])
def test_any_form_of_the_arguments(kind: str) -> None:
    """Arrays that are read as they are, and everything else, give results of the same fields and values."""
    A, b = family(kind, 40, 16)
    quick = nnls(A, b)
    for other in (nnls(A.tolist(), b.tolist()), nnls(np.asfortranarray(A), b), nnls(A[::-1][::-1], b)):
        assert type(other) is NnlsResult
        assert set(other.keys()) == set(quick.keys())
        for name, value in list(quick.items()):
            assert type(other[name]) is type(value), name
            if isinstance(value, np.ndarray):
                assert other[name].dtype == value.dtype, name
                np.testing.assert_allclose(other[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(quick.unbounded_sol[0], np.linalg.lstsq(A, b, rcond=None)[0])


def test_nothing_to_fit() -> None:
    for b in (np.zeros(5), np.full(5, 1e-200)):
        fit = nnls(np.ones((5, 2)), b)
        assert fit.success
        assert fit.rnorm <= 1e-214
        assert fit.x.sum() == pytest.approx(b[0], abs=0, rel=1e-14)
    fit = nnls(np.ones((5, 2)), np.array([-1e-200, 0, 0, 0, 0]))
    assert fit.x.tolist() == [0.0, 0.0]
    assert fit.rnorm == pytest.approx(1e-200, rel=1e-15)


# ------------------------------------------------------------------------------------------------ properties


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 40),
    n=st.integers(1, 40),
    rank=st.integers(1, 40),
    spread=st.integers(0, 12),
)
def test_first_order_conditions(seed: int, m: int, n: int, rank: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    inner = min(rank, m, n)
    A = (rng.standard_normal((m, inner)) * np.logspace(0, -spread, inner)) @ rng.standard_normal((inner, n))
    b = rng.standard_normal(m)
    fit = nnls(A, b)
    assert fit.success
    assert (fit.x >= 0).all()
    assert violation(A, b, fit.x) <= 1e-12
    assert (fit.multipliers >= 0).all()
    assert (fit.x[fit.active_mask == -1] == 0).all()


@pytest.mark.parametrize(("m", "n"), [(60, 40), (300, 200)])
def test_exact_data_with_zeros_take_few_faces(m: int, n: int) -> None:
    """b = A x with half of x zero: residual and multipliers all vanish, and signs are rounding."""
    rng = np.random.default_rng(m)
    A, x = rng.random((m, n)), rng.random(n) * (rng.random(n) < 0.5)
    fit = nnls(A, A @ x)
    assert fit.success
    assert fit.nit <= 10
    np.testing.assert_allclose(fit.x, x, rtol=1e-10, atol=1e-12)


def test_tiny_variables_are_no_ties() -> None:
    """Entries of 1e-13 beside 1 may be held by mistake, and come back where the gradient shows them."""
    rng = np.random.default_rng(8)
    A = rng.standard_normal((300, 100))
    x = np.where(np.arange(100) % 2 == 0, 1.0, 1e-13)
    fit = nnls(A, A @ x)
    assert fit.success
    g = A.T @ (A @ fit.x - A @ x)
    rounding = 4e-14 * np.linalg.norm(A, axis=0) * np.linalg.norm(A @ x)
    assert np.all(np.abs(g) <= rounding)
    np.testing.assert_allclose(fit.x, x, rtol=0, atol=1e-12)
