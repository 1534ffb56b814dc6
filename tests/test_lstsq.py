"""Linear least squares against exact rational arithmetic, multiple precision and SciPy."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import EPS
from marquardt import lstsq

Array = np.ndarray
METHODS = ("auto", "qr", "cod", "svd", "cholesky")
ORTHOGONAL = ("auto", "qr", "cod", "svd")
MINIMUM_NORM = ("auto", "cod", "svd")


def exact_solve(M: list[list[Fraction]], v: list[Fraction]) -> list[Fraction]:
    """Solve a regular square system by Gaussian elimination in rational numbers."""
    rows = [[*row, right] for row, right in zip(M, v, strict=True)]
    n = len(rows)
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k] != 0)
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(n):
            if i != k:
                factor = rows[i][k] / rows[k][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [rows[k][n] / rows[k][k] for k in range(n)]


def fractions(A: Array) -> list[list[Fraction]]:
    """Return the doubles of a matrix as the rational numbers that they are."""
    return [[Fraction(float(a)) for a in row] for row in A]


def exact_lstsq(A: Array, b: Array) -> Array:
    """Return the least-squares solution, exact and then rounded: full rank, tall or (minimum norm) wide."""
    F, v = fractions(A), [Fraction(float(value)) for value in b]
    m, n = len(F), len(F[0])
    if m >= n:
        gram = [[sum(F[i][j] * F[i][k] for i in range(m)) for k in range(n)] for j in range(n)]
        right = [sum(F[i][j] * v[i] for i in range(m)) for j in range(n)]
        return np.array([float(value) for value in exact_solve(gram, right)])
    gram = [[sum(F[i][j] * F[k][j] for j in range(n)) for k in range(m)] for i in range(m)]
    y = exact_solve(gram, v)
    return np.array([float(sum(F[i][j] * y[i] for i in range(m))) for j in range(n)])


def allowed(A: Array, b: Array, x: Array, squared: bool = False) -> float:
    """Return the relative error that a backward stable method may have (Higham, chapter 20), columns scaled."""
    lengths = np.linalg.norm(A, axis=0)
    kappa = np.linalg.cond(A / np.where(lengths > 0, lengths, 1))
    r = np.linalg.norm(A @ x - b) / max(np.linalg.norm(A @ x), 1e-300)
    growth = kappa**2 if squared else kappa * (1 + kappa * r)
    return float(20 * max(A.shape) * EPS * growth)


SHAPES = [(1, 1), (5, 1), (3, 2), (4, 4), (12, 5), (40, 8)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_tall_and_square_against_rational_numbers(method: str, shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal(shape), rng.standard_normal(shape[0])
    exact = exact_lstsq(A, b)
    fit = lstsq(A, b, method=method)
    error = np.linalg.norm(fit.x - exact) / np.linalg.norm(exact)
    assert error <= allowed(A, b, exact, squared=method == "cholesky")
    np.testing.assert_allclose(fit.residuals, b - A @ exact, atol=1e-13)
    np.testing.assert_allclose(fit.cost, 0.5 * np.sum((b - A @ exact) ** 2), rtol=1e-10, atol=1e-28)
    assert fit.rank == shape[1]


@pytest.mark.parametrize("shape", [(1, 2), (2, 5), (4, 9), (6, 30)], ids=str)
@pytest.mark.parametrize("method", MINIMUM_NORM)
def test_wide_against_rational_numbers(method: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(11)
    A, b = rng.standard_normal(shape), rng.standard_normal(shape[0])
    exact = exact_lstsq(A, b)
    fit = lstsq(A, b, method=method)
    np.testing.assert_allclose(fit.x, exact, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(fit.residuals, 0, atol=1e-12)
    assert fit.rank == shape[0]
    assert fit.condition == np.inf


@pytest.mark.parametrize("method", METHODS)
def test_three_equations_two_unknowns(method: str) -> None:
    """(20/31, 4/31) and a residual sum of squares of 98/31."""
    fit = lstsq([[2, 3], [4, -1], [2, 1]], [1, 2, 3], method=method)
    np.testing.assert_allclose(fit.x, [20 / 31, 4 / 31], rtol=3e-15)
    np.testing.assert_allclose(fit.residuals, [1 - 52 / 31, 2 - 76 / 31, 3 - 44 / 31], rtol=1e-14)
    np.testing.assert_allclose(2 * fit.cost, 98 / 31, rtol=1e-15)
    assert fit.rank == 2


X16 = np.arange(1.0, 17)
Y16 = np.array([1, 3, 0, 1, 2, 4, 6, 7, 5, 5, 6, 7.2, 5.5, 4, 3.2, 5])
QUARTIC = np.array(
    [0.0023208650869254582, -0.08461679037336932, 0.9697320046439628, -3.3515882584477787, 4.320673076923077]
)


# Refined in extended precision, or at the level of condition (2.4e5) times rounding.
@pytest.mark.parametrize(("method", "error"), [("auto", 1e-15), ("qr", 1e-15), ("cod", 1e-12), ("svd", 1e-12)])
def test_quartic_through_sixteen_points(method: str, error: float) -> None:
    """Fifteen digits of each coefficient by default; the barrier method of a QP solver has eight."""
    V = np.vander(X16, 5)
    fit = lstsq(V, Y16, method=method)
    assert np.max(np.abs(fit.x - QUARTIC) / np.abs(QUARTIC)) < error
    np.testing.assert_allclose(2 * fit.cost, 17.164392266015717, rtol=1e-14)
    assert fit.rank == 5


def test_quartic_reference_is_exact() -> None:
    """Data of tenths are not doubles: the certified values belong to the doubles nearest to them."""
    np.testing.assert_allclose(exact_lstsq(np.vander(X16, 5), Y16), QUARTIC, rtol=4e-16)


def test_quartic_by_normal_equations() -> None:
    fit = lstsq(np.vander(X16, 5), Y16, method="cholesky")
    np.testing.assert_allclose(fit.x, QUARTIC, rtol=1e-9)


def test_singular_values() -> None:
    fit = lstsq(np.vander(X16, 5), Y16, method="svd")
    np.testing.assert_allclose(fit.singular_values, [1.0004e5, 860.34, 24.153, 2.2657, 0.41902], rtol=1e-4)
    np.testing.assert_allclose(fit.singular_values, np.linalg.svd(np.vander(X16, 5), compute_uv=False), rtol=1e-12)
    for method in ("auto", "qr", "cod", "cholesky"):
        assert lstsq(np.vander(X16, 5), Y16, method=method).singular_values.size == 0


# ---- rank ------------------------------------------------------------------------------------------------------------


def deficient(m: int, n: int, rank: int, seed: int = 5) -> tuple[Array, Array]:
    """Return whole-number factors' product of exactly that rank, and a right-hand side."""
    rng = np.random.default_rng(seed)
    A = rng.integers(-3, 4, (m, rank)) @ rng.integers(-3, 4, (rank, n))
    assert np.linalg.matrix_rank(A) == rank
    return A.astype(float), rng.standard_normal(m)


@pytest.mark.parametrize(("m", "n", "rank"), [(8, 4, 2), (8, 4, 3), (4, 8, 2), (5, 5, 4), (30, 10, 1)], ids=str)
@pytest.mark.parametrize("method", MINIMUM_NORM)
def test_minimum_norm_of_deficient_rank(method: str, m: int, n: int, rank: int) -> None:
    A, b = deficient(m, n, rank)
    with mpmath.workdps(60):
        u, s, v = mpmath.svd_r(mpmath.matrix(A.tolist()))
        reference = mpmath.zeros(n, 1)
        for k in range(rank):
            weight = sum(u[i, k] * mpmath.mpf(float(b[i])) for i in range(m)) / s[k]
            for j in range(n):
                reference[j] += weight * v[k, j]
        exact = np.array([float(value) for value in reference])
    fit = lstsq(A, b, method=method)
    assert fit.rank == rank
    assert fit.condition == np.inf
    np.testing.assert_allclose(fit.x, exact, rtol=1e-11, atol=1e-12 * np.linalg.norm(exact))


@pytest.mark.parametrize(("m", "n", "rank"), [(8, 4, 2), (4, 8, 2), (5, 5, 4)], ids=str)
def test_basic_solution_of_deficient_rank(m: int, n: int, rank: int) -> None:
    A, b = deficient(m, n, rank)
    fit, best = lstsq(A, b, method="qr"), np.linalg.lstsq(A, b, rcond=None)[0]
    assert fit.rank == rank
    assert np.sum(np.abs(fit.x) > 1e-10) <= rank
    np.testing.assert_allclose(fit.cost, 0.5 * np.sum((A @ best - b) ** 2), rtol=1e-10, atol=1e-25)


def test_cholesky_refuses_deficient_rank() -> None:
    for A, b in (deficient(8, 4, 3), deficient(4, 8, 4), (np.zeros((3, 2)), np.ones(3))):
        with pytest.raises(ValueError, match="full column rank"):
            lstsq(A, b, method="cholesky")


def test_cholesky_refuses_what_would_have_no_digits() -> None:
    A = np.array([[1, 1], [1e-9, 0], [0, 1e-9]])
    with pytest.raises(ValueError, match="auto"):
        lstsq(A, [1.0, 2, 3], method="cholesky")
    exact = exact_lstsq(A, np.array([1.0, 2, 3]))
    np.testing.assert_allclose(lstsq(A, [1.0, 2, 3]).x, exact, rtol=1e-6)


@pytest.mark.parametrize("method", MINIMUM_NORM)
def test_zero_matrix_and_zero_column(method: str) -> None:
    nothing = lstsq(np.zeros((3, 2)), [1.0, 2, 3], method=method)
    assert nothing.rank == 0
    np.testing.assert_array_equal(nothing.x, [0, 0])
    np.testing.assert_array_equal(nothing.residuals, [1, 2, 3])
    column = lstsq([[1.0, 0], [1, 0], [1, 0]], [1.0, 2, 6], method=method)
    assert column.rank == 1
    np.testing.assert_allclose(column.x, [3, 0], atol=1e-15)


def test_rcond_decides_the_rank() -> None:
    A = np.array([[1.0, 1], [1, 1 + 1e-6], [1, 1 - 1e-6]])
    for method in MINIMUM_NORM:
        assert lstsq(A, [1.0, 2, 3], method=method).rank == 2
        cut = lstsq(A, [1.0, 2, 3], method=method, rcond=1e-3)
        assert cut.rank == 1
        np.testing.assert_allclose(cut.x, [1, 1], rtol=1e-5)


@pytest.mark.parametrize("scale", [(1e8, 1e-8), (1e-12, 1.0), (1e150, 1e-150), (1e12, 1e-9)], ids=str)
@pytest.mark.parametrize("method", ["auto", "qr"])
def test_units_of_the_columns_do_not_count(method: str, scale: tuple[float, float]) -> None:
    """Rank and digits are those of the matrix with columns of length 1."""
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((6, 2)), rng.standard_normal(6)
    fit = lstsq(A * scale, b, method=method)
    assert fit.rank == 2
    np.testing.assert_allclose(fit.x * scale, exact_lstsq(A, b), rtol=1e-13)


@pytest.mark.parametrize("n", [4, 6, 8])
def test_hilbert_matrices(n: int) -> None:
    """Condition 1e4 to 1e10: the error stays within the condition number's share."""
    A = np.array([[1 / (i + j + 1) for j in range(n)] for i in range(n + 2)])
    b = np.ones(n + 2)
    exact = exact_lstsq(A, b)
    for method in ORTHOGONAL:
        fit = lstsq(A, b, method=method)
        assert np.linalg.norm(fit.x - exact) / np.linalg.norm(exact) <= allowed(A, b, exact)


def test_condition_is_of_the_right_size() -> None:
    rng = np.random.default_rng(4)
    for cond in (1.0, 1e3, 1e9):
        q1, q2 = (scipy.linalg.qr(rng.standard_normal((k, k)))[0] for k in (20, 5))
        A = q1[:, :5] @ np.diag(np.geomspace(1, 1 / cond, 5)) @ q2
        lengths = np.linalg.norm(A, axis=0)
        for method in ("auto", "qr", "svd"):
            estimate = lstsq(A, np.ones(20), method=method).condition
            true = np.linalg.cond(A / lengths)
            assert true / 10 <= estimate <= 10 * true


# ---- forms of the arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_many_right_hand_sides(method: str) -> None:
    rng = np.random.default_rng(8)
    A, B = rng.standard_normal((9, 4)), rng.standard_normal((9, 6))
    fit = lstsq(A, B, method=method)
    assert fit.x.shape == (4, 6)
    assert fit.residuals.shape == (9, 6)
    assert fit.cost.shape == (6,)
    for k in range(6):
        one = lstsq(A, B[:, k], method=method)
        np.testing.assert_allclose(fit.x[:, k], one.x, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(fit.cost[k], one.cost, rtol=1e-12)
    single = lstsq(A, B[:, :1], method=method)
    assert single.x.shape == (4, 1)


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda a: a.tolist(),
        lambda a: a.astype(np.int64),
        lambda a: a.astype(np.int8),
        lambda a: a.astype(np.float32),
        lambda a: a.astype(">f8"),
        lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
        lambda a: a.astype(object),
    ],
)
def test_matrices_in_any_form(form: Any) -> None:
    A = np.array([[2.0, 3], [4, -1], [2, 1]])
    np.testing.assert_array_equal(lstsq(form(A), [1, 2, 3]).x, lstsq(A, [1, 2, 3]).x)
    np.testing.assert_array_equal(lstsq(A, form(A)).x, lstsq(A, A).x)


@pytest.mark.parametrize("seed", range(5))
def test_against_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 60, 2)
    A, b = rng.standard_normal((m, n)), rng.standard_normal(m)
    reference, _, rank, _ = scipy.linalg.lstsq(A, b)
    for method in MINIMUM_NORM:
        fit = lstsq(A, b, method=method)
        assert fit.rank == rank
        np.testing.assert_allclose(fit.x, reference, rtol=1e-9, atol=1e-10)


def test_a_large_problem() -> None:
    rng = np.random.default_rng(6)
    A = rng.standard_normal((3000, 120))
    x = rng.standard_normal(120)
    for method in METHODS:
        np.testing.assert_allclose(lstsq(A, A @ x, method=method).x, x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-150, 1e150, 1e-300])
@pytest.mark.parametrize("method", METHODS)
def test_extreme_units(method: str, scale: float) -> None:
    """No square of the data overflows or underflows on the way."""
    A, b = np.array([[2.0, 3], [4, -1], [2, 1]]), np.array([1.0, 2, 3])
    np.testing.assert_allclose(lstsq(scale * A, b, method=method).x * scale, [20 / 31, 4 / 31], rtol=1e-13)
    np.testing.assert_allclose(lstsq(A, scale * b, method=method).x / scale, [20 / 31, 4 / 31], rtol=1e-13)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("method", ["auto", "qr"])
def test_columns_at_both_ends_of_the_range(method: str, scale: float) -> None:
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((7, 3)), rng.standard_normal(7)
    units = np.array([scale, 1.0, 1 / scale])
    np.testing.assert_allclose(lstsq(A * units, b, method=method).x * units, exact_lstsq(A, b), rtol=1e-13)


def test_a_solution_beyond_the_range_is_no_success() -> None:
    fit = lstsq([[1e-200, 0], [0, 1]], [1e200, 1])
    assert not fit.success
    assert "range" in fit.message


@pytest.mark.parametrize(
    ("m", "n", "k"), [(0, 3, None), (3, 0, None), (0, 0, None), (0, 3, 2), (3, 2, 0), (0, 2, 0)], ids=str
)
def test_empty_shapes(m: int, n: int, k: int | None) -> None:
    tail = () if k is None else (k,)
    fit = lstsq(np.ones((m, n)), np.ones((m, *tail)))
    assert fit.x.shape == (n, *tail)
    assert fit.residuals.shape == (m, *tail)
    assert fit.rank == (0 if m == 0 or n == 0 else 1)
    np.testing.assert_array_equal(fit.x[:, ...] if fit.rank == 0 else 0 * fit.x, np.zeros((n, *tail)))
    if n == 0:
        np.testing.assert_array_equal(fit.residuals, np.ones((m, *tail)))


def test_zero_rows_change_nothing() -> None:
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((7, 3)), rng.standard_normal(7)
    padded, right = np.vstack([np.zeros((5, 3)), A, np.zeros((4, 3))]), np.concatenate([np.zeros(5), b, np.zeros(4)])
    np.testing.assert_allclose(lstsq(padded, right).x, lstsq(A, b).x, rtol=1e-14)


# ---- what is not determined is named ---------------------------------------------------------------------------------


def test_undetermined_directions_are_named() -> None:
    rng = np.random.default_rng(3)
    a, c = rng.standard_normal(9), rng.standard_normal(9)
    fit = lstsq(np.column_stack([c, a, np.zeros(9), rng.standard_normal(9), 2 * a]), rng.standard_normal(9))
    assert fit.success
    assert fit.rank == 3
    assert fit.undetermined == ("x[1]", "x[2]", "x[4]")
    assert "rank 3 for 5 variables" in fit.message
    assert "Determined is only x[4] + 0.5·x[1]." in fit.message or "Determined is only x[1] + 2·x[4]." in fit.message
    assert "Nothing depends on x[2]." in fit.message
    assert fit.null_space.shape == (5, 2)


def test_names_of_the_user() -> None:
    fit = lstsq([[1.0, 1], [1, 1]], [1.0, 2], names=["rate", "slope"])
    assert fit.undetermined == ("rate", "slope")
    assert "rate + slope" in fit.message or "slope + rate" in fit.message
    for bad in (["a"], "ab", ["a", 3]):
        with pytest.raises(ValueError, match="names must be 2 strings"):
            lstsq(np.eye(2), [1, 2], names=bad)


@pytest.mark.parametrize(("m", "n", "rank"), [(8, 4, 2), (4, 8, 2), (3, 7, 3), (30, 10, 1)], ids=str)
def test_steps_of_the_null_space_change_nothing(m: int, n: int, rank: int) -> None:
    A, b = deficient(m, n, rank)
    fit = lstsq(A, b)
    assert fit.null_space.shape == (n, n - rank)
    assert np.linalg.matrix_rank(fit.null_space) == n - rank
    np.testing.assert_allclose(A @ fit.null_space, 0, atol=1e-12 * np.max(np.abs(A)) * np.max(np.abs(fit.null_space)))
    np.testing.assert_allclose(fit.null_space.T @ fit.x, 0, atol=1e-11 * np.linalg.norm(fit.x))


def test_a_wide_matrix_with_many_undetermined_directions() -> None:
    rng = np.random.default_rng(4)
    A, b = rng.standard_normal((5, 300)), rng.standard_normal(5)
    for matrix in (A, np.vstack([A, A[0] + A[1]])):
        right = np.append(b, b[0] + b[1])[: len(matrix)]
        fit = lstsq(matrix, right)
        np.testing.assert_allclose(fit.x, np.linalg.pinv(A) @ b, rtol=1e-11, atol=1e-14)
        assert fit.rank == 5
        assert fit.null_space is None
        assert "rank 5 for 300 variables" in fit.message


def test_full_rank_has_nothing_to_name() -> None:
    fit = lstsq(np.eye(3), np.ones(3))
    assert fit.undetermined == ()
    assert fit.null_space is None
    assert "full column rank" in fit.message


# ---- covariance ------------------------------------------------------------------------------------------------------


def test_covariance_against_rational_numbers() -> None:
    V = np.vander(X16, 5)
    F = fractions(V)
    gram = [[sum(F[i][j] * F[i][k] for i in range(16)) for k in range(5)] for j in range(5)]
    unit = [[Fraction(int(i == j)) for i in range(5)] for j in range(5)]
    inverse = np.array([[float(v) for v in exact_solve(gram, column)] for column in unit])
    fit = lstsq(V, Y16)
    assert fit.dof == 11
    np.testing.assert_allclose(fit.covariance("known"), inverse, rtol=1e-11)
    np.testing.assert_allclose(fit.covariance(), inverse * 17.164392266015717 / 11, rtol=1e-11)
    np.testing.assert_allclose(fit.stderr() ** 2, np.diag(fit.covariance()), rtol=1e-15)


def test_covariance_marks_what_is_not_determined() -> None:
    rng = np.random.default_rng(3)
    a, c = rng.standard_normal(9), rng.standard_normal(9)
    C = lstsq(np.column_stack([c, a, 2 * a]), rng.standard_normal(9)).covariance("known")
    pair = np.column_stack([c, a])
    np.testing.assert_allclose(C[0, 0], np.linalg.inv(pair.T @ pair)[0, 0], rtol=1e-12)
    assert C[1, 1] == C[2, 2] == np.inf
    assert np.isnan(C[0, 1])
    assert np.isnan(C[1, 2])


def test_covariance_without_degrees_of_freedom() -> None:
    fit = lstsq(np.eye(2), [1.0, 2])
    np.testing.assert_allclose(fit.covariance("known"), np.eye(2))
    with pytest.raises(ValueError, match="scale='known'"):
        fit.covariance()
    with pytest.raises(ValueError, match="scale must be one of"):
        fit.covariance("guessed")


def test_covariance_of_many_right_hand_sides() -> None:
    rng = np.random.default_rng(8)
    A, B = rng.standard_normal((9, 4)), rng.standard_normal((9, 3))
    fit = lstsq(A, B)
    assert fit.covariance().shape == (3, 4, 4)
    for k in range(3):
        np.testing.assert_allclose(fit.covariance()[k], lstsq(A, B[:, k]).covariance(), rtol=1e-11)
        np.testing.assert_allclose(fit.stderr()[:, k], lstsq(A, B[:, k]).stderr(), rtol=1e-11)


# ---- weights, covariance of b, ridge, constraints -------------------------------------------------------------------


def sample(m: int = 12, n: int = 4, seed: int = 21) -> tuple[Array, Array, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)), rng.standard_normal(m), rng


def test_weights_are_scaled_rows() -> None:
    A, b, rng = sample()
    w = rng.uniform(0.1, 9, 12)
    fit, scaled = lstsq(A, b, weights=w), lstsq(np.sqrt(w)[:, None] * A, np.sqrt(w) * b)
    np.testing.assert_allclose(fit.x, scaled.x, rtol=1e-13)
    np.testing.assert_allclose(fit.cost, scaled.cost, rtol=1e-13)
    np.testing.assert_allclose(fit.residuals, b - A @ fit.x, atol=1e-14)
    np.testing.assert_allclose(fit.covariance(), scaled.covariance(), rtol=1e-12)


def test_a_weight_of_zero_drops_a_row_and_of_two_doubles_it() -> None:
    A, b, _ = sample()
    w = np.ones(12)
    w[3], w[5] = 0, 2
    rows = [i for i in range(12) if i != 3] + [5]
    np.testing.assert_allclose(lstsq(A, b, weights=w).x, lstsq(A[rows], b[rows]).x, rtol=1e-12)


def test_a_covariance_whitens() -> None:
    A, b, rng = sample()
    L = np.tril(rng.standard_normal((12, 12))) + 4 * np.eye(12)
    fit = lstsq(A, b, cov=L @ L.T)
    white = lstsq(np.linalg.solve(L, A), np.linalg.solve(L, b))
    np.testing.assert_allclose(fit.x, white.x, rtol=1e-11)
    np.testing.assert_allclose(fit.cost, white.cost, rtol=1e-11)
    np.testing.assert_allclose(fit.covariance("known"), white.covariance("known"), rtol=1e-10)
    w = rng.uniform(0.1, 9, 12)
    np.testing.assert_allclose(lstsq(A, b, cov=np.diag(1 / w)).x, lstsq(A, b, weights=w).x, rtol=1e-12)


def test_a_ridge_is_augmented_rows() -> None:
    A, b, rng = sample()
    prior, t, L = rng.standard_normal(4), rng.uniform(0.1, 3, 4), rng.standard_normal((2, 4))
    for ridge, rows in ((0.3, np.sqrt(0.3) * np.eye(4)), (t, np.diag(np.sqrt(t))), (L, L)):
        for start, shift in ((None, np.zeros(4)), (prior, prior)):
            fit = lstsq(A, b, ridge=ridge, x_prior=start)
            stacked = lstsq(np.vstack([A, rows]), np.concatenate([b, rows @ shift]))
            np.testing.assert_allclose(fit.x, stacked.x, rtol=1e-12)
            np.testing.assert_allclose(fit.residuals, b - A @ fit.x, atol=1e-14)
            np.testing.assert_allclose(fit.cost, 0.5 * np.sum(fit.residuals**2), rtol=1e-13)
            np.testing.assert_allclose(fit.covariance("known"), np.linalg.inv(A.T @ A + rows.T @ rows), rtol=1e-11)
            hat = A @ np.linalg.inv(A.T @ A + rows.T @ rows) @ A.T
            np.testing.assert_allclose(fit.dof, 12 - np.trace(hat), rtol=1e-12)


def test_a_ridge_makes_a_deficient_system_regular() -> None:
    A, b = deficient(8, 4, 2)
    fit = lstsq(A, b, ridge=1e-3)
    assert fit.rank == 4
    np.testing.assert_allclose(fit.x, np.linalg.solve(A.T @ A + 1e-3 * np.eye(4), A.T @ b), rtol=1e-9, atol=1e-12)


def test_nearest_to_the_prior() -> None:
    A, b = deficient(8, 5, 3)
    prior = np.arange(5.0)
    fit, short = lstsq(A, b, x_prior=prior), lstsq(A, b)
    np.testing.assert_allclose(A @ fit.x, A @ short.x, atol=1e-11)
    projector = np.linalg.pinv(A) @ A
    np.testing.assert_allclose(fit.x, short.x + prior - projector @ prior, rtol=1e-10, atol=1e-11)


def test_cross_validation_finds_the_least() -> None:
    rng = np.random.default_rng(5)
    t = np.linspace(0, 1, 40)
    A = np.exp(-8 * (t[:, None] - t[None, ::2]) ** 2)
    truth = np.sin(3 * t[::2])
    b = A @ truth + 1e-2 * rng.standard_normal(40)
    fit = lstsq(A, b, ridge="gcv")

    def criterion(ridge: float) -> float:
        hat = A @ np.linalg.solve(A.T @ A + ridge * np.eye(20), A.T)
        return float(np.sum((b - hat @ b) ** 2) / np.trace(np.eye(40) - hat) ** 2)

    best = criterion(fit.ridge)
    assert all(best <= criterion(fit.ridge * f) * (1 + 1e-9) for f in (0.1, 0.5, 0.9, 1.1, 2, 10))
    np.testing.assert_allclose(fit.x, lstsq(A, b, ridge=fit.ridge).x, rtol=1e-8)
    assert np.linalg.norm(fit.x - truth) < 0.1 * np.linalg.norm(lstsq(A, b).x - truth)


def test_constraints_against_lagrange() -> None:
    A, b, rng = sample()
    C, d = rng.standard_normal((2, 4)), rng.standard_normal(2)
    fit = lstsq(A, b, constraints=(C, d))
    kkt = np.block([[A.T @ A, C.T], [C, np.zeros((2, 2))]])
    np.testing.assert_allclose(fit.x, np.linalg.solve(kkt, np.concatenate([A.T @ b, d]))[:4], rtol=1e-11)
    np.testing.assert_allclose(C @ fit.x, d, rtol=0, atol=1e-15 * 10)
    assert (fit.rank, fit.dof) == (4, 12 - 2)
    free = np.linalg.svd(C)[2][2:].T
    np.testing.assert_allclose(
        fit.covariance("known"), free @ np.linalg.inv(free.T @ A.T @ A @ free) @ free.T, atol=1e-13
    )


def test_constraints_with_ridge_weights_prior_and_many_right_hand_sides() -> None:
    A, _, rng = sample()
    B, C, D = rng.standard_normal((12, 3)), rng.standard_normal((2, 4)), rng.standard_normal((2, 3))
    w, prior = rng.uniform(0.5, 2, 12), rng.standard_normal(4)
    fit = lstsq(A, B, constraints=(C, D), ridge=0.4, weights=w, x_prior=prior)
    H = A.T @ (w[:, None] * A) + 0.4 * np.eye(4)
    kkt = np.block([[H, C.T], [C, np.zeros((2, 2))]])
    right = np.vstack([A.T @ (w[:, None] * B) + 0.4 * prior[:, None], D])
    np.testing.assert_allclose(fit.x, np.linalg.solve(kkt, right)[:4], rtol=1e-11)


def test_constraints_that_repeat_contradict_or_leave_nothing() -> None:
    A, b, _ = sample()
    C = np.array([[1.0, 1, 1, 1], [2, 2, 2, 2], [1, 0, 0, -1]])
    fit = lstsq(A, b, constraints=(C, [1, 2, 0]))
    np.testing.assert_allclose(fit.x, lstsq(A, b, constraints=(C[[0, 2]], [1, 0])).x, rtol=1e-12)
    with pytest.raises(ValueError, match="constraints must be consistent"):
        lstsq(A, b, constraints=(C, [1, 3, 0]))
    with pytest.raises(ValueError, match="constraints must be consistent"):
        lstsq(A, b, constraints=(np.zeros((1, 4)), [1e-9]))
    only = lstsq(A, b, constraints=(np.eye(4), [1, 2, 3, 4]))
    np.testing.assert_allclose(only.x, [1, 2, 3, 4], rtol=1e-15)
    np.testing.assert_allclose(only.covariance("known"), np.zeros((4, 4)), atol=1e-15)
    none = lstsq(A, b, constraints=(np.zeros((0, 4)), np.zeros(0)))
    np.testing.assert_allclose(none.x, lstsq(A, b).x, rtol=1e-13)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 5), st.integers(0, 10**6))
def test_constraints_hold_to_rounding(m: int, n: int, c: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, b = rng.integers(-4, 5, (m, n)).astype(float), rng.standard_normal(m)
    C = rng.integers(-3, 4, (min(c, n), n)).astype(float)
    d = C @ rng.integers(-3, 4, n).astype(float)
    fit = lstsq(A, b, constraints=(C, d))
    gap = np.abs(C @ fit.x - d)
    assert np.all(gap <= 20 * EPS * (np.abs(C) @ np.abs(fit.x) + np.abs(d)))
    free = scipy.linalg.null_space(C) if C.size and np.any(C) else np.eye(n)
    slope = free.T @ A.T @ (A @ fit.x - b)
    assert np.all(np.abs(slope) <= 1e-9 * (1 + np.linalg.norm(A) ** 2 * (1 + np.linalg.norm(fit.x))))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 14), st.integers(1, 8), st.integers(0, 10**6))
def test_the_normal_equations_hold_to_rounding(m: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.integers(-4, 5, (m, n)) * 10.0 ** rng.integers(-3, 4, n)
    b = rng.standard_normal(m)
    fit = lstsq(A, b)
    slope = np.abs(A.T @ (b - A @ fit.x))
    size = np.abs(A).T @ (np.abs(b) + np.abs(A) @ np.abs(fit.x))
    assert np.all(slope <= 1e-11 * size + 1e-300)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 4), st.integers(0, 10**6))
def test_least_norm_of_whole_numbers(m: int, n: int, rank: int, seed: int) -> None:
    """Against the pseudo-inverse in forty digits."""
    rng = np.random.default_rng(seed)
    k = min(rank, m, n)
    L, R = rng.integers(-3, 4, (m, k)), rng.integers(-3, 4, (k, n))
    A, b = (L @ R).astype(float), rng.integers(-5, 6, m).astype(float)
    k = np.linalg.matrix_rank(A)
    with mpmath.workdps(40):
        u, s, v = mpmath.svd_r(mpmath.matrix(A.tolist()))
        exact = [
            mpmath.fsum(v[i, j] * mpmath.fsum(u[row, i] * b[row] for row in range(m)) / s[i] for i in range(k))
            for j in range(n)
        ]
        exact = np.array([float(value) for value in exact])
    fit = lstsq(A, b)
    assert fit.rank == k
    np.testing.assert_allclose(fit.x, exact, rtol=1e-10, atol=1e-12 * (1 + np.linalg.norm(exact)))


# ---- complex numbers, stacks, single precision -----------------------------------------------------------------------


def complex_sample(m: int, n: int, k: int | None = None) -> tuple[Array, Array]:
    rng = np.random.default_rng(31)
    shape = (m,) if k is None else (m, k)
    return (
        rng.standard_normal((m, n)) + 1j * rng.standard_normal((m, n)),
        rng.standard_normal(shape) + 1j * rng.standard_normal(shape),
    )


@pytest.mark.parametrize(("m", "n"), [(9, 4), (4, 4), (3, 6)], ids=str)
@pytest.mark.parametrize("method", MINIMUM_NORM)
def test_complex_systems(method: str, m: int, n: int) -> None:
    A, b = complex_sample(m, n)
    fit = lstsq(A, b, method=method)
    np.testing.assert_allclose(fit.x, np.linalg.pinv(A) @ b, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(fit.residuals, b - A @ fit.x, atol=1e-13)
    np.testing.assert_allclose(fit.cost, 0.5 * np.sum(np.abs(b - A @ fit.x) ** 2), rtol=1e-12, atol=1e-26)
    assert (fit.rank, fit.dof) == (min(m, n), m - min(m, n))
    if method == "svd":
        np.testing.assert_allclose(fit.singular_values, np.linalg.svd(A, compute_uv=False), rtol=1e-12)


def test_complex_with_everything() -> None:
    A, B = complex_sample(9, 4, 2)
    C, D = complex_sample(2, 4, 2)
    w = np.linspace(1, 2, 9)
    fit = lstsq(A, B, weights=w, ridge=0.3, x_prior=[1j, 0, 1, 0], constraints=(C[:2], D[:2]))
    H = A.conj().T @ (w[:, None] * A) + 0.3 * np.eye(4)
    kkt = np.block([[H, C.conj().T], [C, np.zeros((2, 2))]])
    right = np.vstack([A.conj().T @ (w[:, None] * B) + 0.3 * np.array([[1j], [0], [1], [0]]), D])
    np.testing.assert_allclose(fit.x, np.linalg.solve(kkt, right)[:4], rtol=1e-11)
    plain = lstsq(A, B[:, 0])
    covariance = np.linalg.inv(A.conj().T @ A)
    np.testing.assert_allclose(plain.covariance("known"), covariance, rtol=1e-11)
    np.testing.assert_allclose(plain.covariance(), covariance * 2 * plain.cost / 5, rtol=1e-11)
    twin = lstsq(A[:, [0, 0]], B[:, 0])
    assert twin.rank == 1
    assert twin.undetermined == ("x[0]", "x[1]")


@pytest.mark.parametrize(("m", "n"), [(6, 3), (3, 3), (2, 4)], ids=str)
def test_stacks_are_loops(m: int, n: int) -> None:
    rng = np.random.default_rng(41)
    A, b, B = rng.standard_normal((2, 5, m, n)), rng.standard_normal((2, 5, m)), rng.standard_normal((2, 5, m, 2))
    A[1, 2] = 0
    for right, columns in ((b, False), (B, True), (b[0, 0], False)):
        fit = lstsq(A, right)
        assert fit.x.shape == (2, 5, n, 2) if columns else (2, 5, n)
        assert fit.rank[1, 2] == 0
        for i in np.ndindex(2, 5):
            one = lstsq(A[i], right[i] if right.ndim > 1 else right)
            np.testing.assert_allclose(fit.x[i], one.x, rtol=1e-13, atol=1e-15)
            np.testing.assert_allclose(fit.residuals[i], one.residuals, atol=1e-14)
            np.testing.assert_allclose(fit.cost[i], one.cost, rtol=1e-12, atol=1e-28)
            assert (fit.rank[i], fit.dof[i]) == (one.rank, one.dof)
            np.testing.assert_allclose(fit.condition[i], one.condition, rtol=1e-12)
            assert fit.success[i]
            if m > n and i != (1, 2):
                np.testing.assert_allclose(fit.covariance()[i], one.covariance(), rtol=1e-11)
                np.testing.assert_allclose(fit.stderr()[i], one.stderr(), rtol=1e-11)
    assert ("1 of 10" if m >= n else "10 of 10") in lstsq(A, b).message


def test_stacks_with_weights_and_covariances() -> None:
    rng = np.random.default_rng(42)
    A, b, w = rng.standard_normal((4, 6, 2)), rng.standard_normal((4, 6)), rng.uniform(1, 2, (4, 6))
    each = lstsq(A, b, weights=w)
    shared = lstsq(A, b, weights=w[0])
    cov = lstsq(A, b, cov=np.stack([np.diag(1 / row) for row in w]))
    for i in range(4):
        np.testing.assert_allclose(each.x[i], lstsq(A[i], b[i], weights=w[i]).x, rtol=1e-13)
        np.testing.assert_allclose(shared.x[i], lstsq(A[i], b[i], weights=w[0]).x, rtol=1e-13)
        np.testing.assert_allclose(cov.x[i], each.x[i], rtol=1e-12)
    assert lstsq(np.ones((0, 3, 2)), np.ones((0, 3))).x.shape == (0, 2)


def test_single_precision_is_accepted() -> None:
    A, b, _ = sample()
    fit = lstsq(A.astype(np.float32), b.astype(np.float32))
    np.testing.assert_array_equal(
        fit.x, lstsq(A.astype(np.float32).astype(float), b.astype(np.float32).astype(float)).x
    )


def test_results_are_pickled() -> None:
    for fit in (lstsq(X16[:, None], Y16), lstsq(np.ones((4, 2)), np.ones(4))):
        copy = pickle.loads(pickle.dumps(fit))
        assert set(copy) == set(fit)
        np.testing.assert_array_equal(copy.covariance("known"), fit.covariance("known"))
        assert repr(copy) == repr(fit)


def test_plain_and_general_door_tell_the_same_fields() -> None:
    A, b, _ = sample()
    plain, general = lstsq(A, b), lstsq(A.tolist(), b.tolist())
    assert set(plain) == set(general)
    for name in plain:
        np.testing.assert_array_equal(plain[name], general[name], err_msg=name)
        assert type(plain[name]) is type(general[name]), name


@pytest.mark.parametrize(
    ("settings_", "text"),
    [
        ({"weights": [1, 2]}, "weights must have shape"),
        ({"weights": [-1, 2, 3]}, "weights must not be negative"),
        ({"weights": [1, 2, 3], "cov": np.eye(3)}, "weights and cov exclude each other"),
        ({"cov": np.eye(2)}, "cov must have shape"),
        ({"cov": np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])}, "cov must be symmetric"),
        ({"cov": np.diag([1, -1, 1])}, "cov must be positive definite"),
        ({"cov": np.ones((3, 3))}, "cov must be positive definite"),
        ({"ridge": -1}, "ridge must be real and not negative"),
        ({"ridge": [1, 2, 3]}, "ridge must be a number or have shape"),
        ({"ridge": "best"}, "ridge must be a number"),
        ({"x_prior": [1, 2, 3]}, "x_prior must have shape"),
        ({"constraints": 3}, "constraints must be a pair"),
        ({"constraints": (np.eye(3), np.ones(3))}, "C of the constraints must have shape"),
        ({"constraints": (np.eye(2), np.ones(3))}, "d of the constraints must have shape"),
        ({"weights": [1, np.nan, 3]}, "weights must be finite"),
        ({"method": "lu"}, "method must be one of"),
        ({"rcond": -1}, "rcond must be"),
    ],
)
def test_refusals(settings_: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        lstsq([[2, 3], [4, -1], [2, 1]], [1, 2, 3], **settings_)


@pytest.mark.parametrize(
    ("A", "b", "text"),
    [
        (np.ones(3), np.ones(3), "A must have at least two dimensions"),
        (np.ones((3, 2)), np.ones(2), "b must have shape"),
        (np.ones((3, 2)), np.ones((2, 3, 1)), "b must have shape"),
        (np.ones((2, 3, 2)), np.ones((4, 3)), "b must be stacked as A is"),
        (np.array([[1, np.nan], [2, 3], [4, 5]]), np.ones(3), r"A must be finite, got A\[0, 1\] = nan"),
        (np.ones((3, 2)), np.array([1, np.inf, 2]), r"b must be finite, got b\[1\] = inf"),
        (np.array([[1, np.inf], [2, 3], [4, 5]]), np.ones(3), "A must be finite"),
        (np.array([[1j * np.nan, 1]]), np.ones(1), "A must be finite"),
    ],
)
def test_arguments_that_do_not_fit(A: Array, b: Array, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        lstsq(A, b)
