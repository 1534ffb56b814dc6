"""Linear least squares against exact rational arithmetic, multiple precision and SciPy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.linalg

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
