"""The box QP against every active set tried, exact rational arithmetic, and the first-order conditions themselves."""

from __future__ import annotations

import itertools
import pickle
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from marquardt import QpResult, QpStatus, box_qp

Array = np.ndarray
INF = np.inf


def check(fit: QpResult, H: Array, g: Array, lower: Any, upper: Any, limit: float = 1e-12) -> None:
    """Check first order from x alone, and that every field of the result says what x says."""
    n = g.size
    lower, upper = np.broadcast_to(lower, (n,)), np.broadcast_to(upper, (n,))
    x = fit.x
    assert fit.status is QpStatus.SOLVED
    assert fit.success
    assert fit.kkt <= limit
    assert np.all(lower <= x)
    assert np.all(x <= upper)
    terms = H.astype(np.longdouble) * x
    y = np.asarray(terms.sum(axis=1) + g, dtype=float)
    roots = np.sqrt(np.diag(H))
    scale = np.abs(g) + roots * (roots @ np.abs(x))
    at_lower, at_upper = x == lower, x == upper
    wrong = np.where(at_lower & at_upper, 0, np.where(at_lower, -y, np.where(at_upper, y, np.abs(y))))
    assert np.all(wrong <= 1.1 * limit * scale)
    np.testing.assert_array_less(np.abs(fit.grad - y), 4e-16 * (n + 2) * scale + 1e-300)
    both = at_lower & at_upper
    np.testing.assert_array_equal(fit.active_mask[~both], (at_upper.astype(int) - at_lower)[~both])
    assert np.all(np.abs(fit.active_mask[both]) == 1)
    assert np.all(fit.multipliers >= 0)
    assert np.all(fit.multipliers[fit.active_mask == 0] == 0)
    held = fit.active_mask != 0
    gap = fit.multipliers + fit.active_mask * fit.grad
    assert np.all(np.abs(gap[held]) <= limit * scale[held])
    np.testing.assert_allclose(fit.fun, 0.5 * x @ H @ x + g @ x, rtol=1e-9, atol=1e-12 * np.abs(x) @ scale)
    assert fit.ray is None


def enumerate_faces(H: Array, g: Array, lower: Array, upper: Array) -> Fraction:
    """Return the least value over all 3^n faces, each solved in rational numbers."""
    n = g.size
    F = [[Fraction(float(h)) for h in row] for row in H]
    right = [Fraction(float(v)) for v in g]
    least: Fraction | None = None
    for face in itertools.product((-1, 0, 1), repeat=n):
        x = [Fraction(float(lower[i] if face[i] < 0 else upper[i] if face[i] > 0 else 0)) for i in range(n)]
        free = [i for i in range(n) if face[i] == 0]
        rows = [[F[i][j] for j in free] + [-right[i] - sum(F[i][j] * x[j] for j in range(n))] for i in free]
        for k in range(len(free)):
            for i in range(k + 1, len(free)):
                factor = rows[i][k] / rows[k][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
        for k in reversed(range(len(free))):
            tail = sum(rows[k][j] * x[free[j]] for j in range(k + 1, len(free)))
            x[free[k]] = (rows[k][-1] - tail) / rows[k][k]
        if all(Fraction(float(lower[i])) <= x[i] <= Fraction(float(upper[i])) for i in free):
            value = sum(x[i] * (right[i] + sum(F[i][j] * x[j] for j in range(n)) / 2) for i in range(n))
            least = value if least is None else min(least, value)
    assert least is not None
    return least


def random_problem(
    seed: int, n: int, *, rank: int | None = None, condition: float = 100.0
) -> tuple[Array, Array, Array, Array]:
    """Return H with a given rank and condition, g, and bounds of which some are infinite and some equal."""
    rng = np.random.default_rng((seed, n))
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    spectrum = np.logspace(0, -np.log10(condition), n)
    spectrum[n if rank is None else rank :] = 0
    H = (Q * spectrum) @ Q.T
    H = 0.5 * (H + H.T)
    g = rng.standard_normal(n) * 10.0 ** rng.integers(-2, 3)
    lower, upper = -rng.uniform(0, 1, n), rng.uniform(0, 1, n)
    if rank is None:
        lower[rng.random(n) < 0.2] = -INF
        upper[rng.random(n) < 0.2] = INF
    equal = rng.random(n) < 0.1
    upper[equal] = lower[equal] = np.where(np.isfinite(lower), lower, 0)[equal]
    return H, g, lower, upper


# ------------------------------------------------------------------------------------------------ random problems


@pytest.mark.parametrize("n", range(1, 41))
def test_random_definite(n: int) -> None:
    for seed in range(40):
        H, g, lower, upper = random_problem(seed, n, condition=(10.0, 1e4, 1e8)[seed % 3])
        check(box_qp(H, g, lower, upper), H, g, lower, upper)


@pytest.mark.parametrize("n", range(1, 41))
def test_random_semidefinite_in_a_bounded_box(n: int) -> None:
    for seed in range(20):
        H, g, lower, upper = random_problem(seed, n, rank=seed % (n + 1))
        np.fill_diagonal(H, np.maximum(np.diag(H), 0))
        check(box_qp(H, g, lower, upper), H, g, lower, upper)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_value_of_the_best_of_all_faces(n: int) -> None:
    for seed in range(6 if n < 5 else 2):
        H, g, lower, upper = random_problem(100 + seed, n, condition=(10.0, 1e8)[seed % 2])
        lower, upper = np.maximum(lower, -5), np.minimum(upper, 5)
        fit = box_qp(H, g, lower, upper)
        best = float(enumerate_faces(H, g, lower, upper))
        np.testing.assert_allclose(fit.fun, best, rtol=1e-13, atol=1e-14 * np.abs(g).sum())


@pytest.mark.parametrize("n", [100, 200])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_known_active_set_at_condition_1e8(n: int, share: float) -> None:
    rng = np.random.default_rng(n)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    H = (Q * np.logspace(-8, 0, n)) @ Q.T
    H = 0.5 * (H + H.T)
    x, y = rng.uniform(-0.9, 0.9, n), np.zeros(n)
    held = rng.permutation(n)[: round(share * n)]
    x[held] = rng.choice([-1.0, 1.0], held.size)
    y[held] = -x[held] * rng.uniform(0.1, 1, held.size)
    g = y - H @ x
    fit = box_qp(H, g, -1, 1)
    check(fit, H, g, -1, 1)
    assert set(np.flatnonzero(fit.active_mask)) == set(held)
    np.testing.assert_allclose(fit.x, x, atol=1e-6)
    known = box_qp(H, g, -1, 1, check_convex=False)
    check(known, H, g, -1, 1)
    np.testing.assert_allclose(known.x, x, atol=1e-6)


elements = st.floats(-4, 4).map(lambda v: round(v, 3))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Array, Array, Array, Array]:
    n, m = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    M = np.array(draw(st.lists(elements, min_size=m * n, max_size=m * n))).reshape(m, n)
    c = draw(st.sampled_from([1.0, 1e-3, 1e-6]))
    g = np.array(draw(st.lists(elements, min_size=n, max_size=n)))
    walls = st.one_of(elements, st.just(INF))
    a = np.array(draw(st.lists(walls, min_size=n, max_size=n)))
    b = np.array(draw(st.lists(walls, min_size=n, max_size=n)))
    lower, upper = np.where(np.isinf(a), -INF, np.minimum(a, b)), np.where(np.isinf(b), INF, np.maximum(a, b))
    return M.T @ M + c * np.eye(n), g, lower, np.where(np.isinf(upper), INF, upper)


@given(problems())
@settings(max_examples=300)
def test_first_order_on_anything_definite(problem: tuple[Array, Array, Array, Array]) -> None:
    H, g, lower, upper = problem
    fit = box_qp(H, g, lower, upper)
    check(fit, H, g, lower, upper)
    again = box_qp(H, g, lower, upper, x0=fit.x, check_convex=False)
    check(again, H, g, lower, upper)
    assert again.nit <= 1


@given(st.integers(0, 10**6), st.integers(-150, 150), st.integers(-150, 150))
@settings(max_examples=200)
@example(0, 150, 150)
@example(0, -150, -150)
@example(0, 150, -150)
@example(0, -150, 150)
def test_units_change_nothing(seed: int, of_x: int, of_f: int) -> None:
    """x in units 2^a, the objective in units 2^b: powers of two, so that the answer is the same to the last bit."""
    H, g, lower, upper = random_problem(seed, 1 + seed % 7)
    a, b = 2.0**of_x, 2.0**of_f
    fit = box_qp(H, g, lower, upper)
    scaled = box_qp(H / a * b / a, g / a * b, lower * a, upper * a)
    assert scaled.status is QpStatus.SOLVED
    np.testing.assert_allclose(scaled.x / a, fit.x, rtol=1e-9, atol=1e-13 * np.abs(fit.x).max())
    np.testing.assert_array_equal(scaled.active_mask, fit.active_mask)


def test_each_variable_in_its_own_unit() -> None:
    H, g, lower, upper = random_problem(3, 5)
    unit = np.array([1e8, 1e-8, 1, 1e4, 1e-5])
    fit = box_qp(H, g, lower, upper)
    scaled = box_qp(unit[:, None] * H * unit, unit * g, lower / unit, upper / unit)
    np.testing.assert_allclose(scaled.x * unit, fit.x, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150, 1e300])
def test_sizes_at_the_edge_of_double_precision(size: float) -> None:
    H, g = np.array([[2.0, 1], [1, 2]]), np.array([-4.0, -1])
    fit = box_qp(size * H, size * g, 0, [1.5, 1])
    np.testing.assert_allclose(fit.x, [1.5, 0], rtol=1e-15)
    assert fit.success


def test_agrees_with_bvls() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        A, b = rng.standard_normal((15, 6)), rng.standard_normal(15)
        fit = box_qp(A.T @ A, -A.T @ b, -0.1, 0.2)
        np.testing.assert_allclose(fit.x, lsq_linear(A, b, (-0.1, 0.2), method="bvls").x, atol=1e-12)


# ---------------------------------------------------------------------------------------------------- hostile


def test_equal_bounds_everywhere() -> None:
    H, g = np.array([[2.0, 1], [1, 2]]), np.array([1.0, -9])
    fit = box_qp(H, g, [0.5, 0.5], [0.5, 0.5])
    check(fit, H, g, 0.5, 0.5)
    assert fit.active_mask.tolist() == [-1, 1]
    assert fit.multipliers.tolist() == [2.5, 7.5]


def test_one_variable() -> None:
    for g, x in ((-4.0, 1.0), (4.0, -1.0), (1.0, -0.5), (0.0, 0.0), (2.0, -1.0)):
        fit = box_qp([[2.0]], [g], -1, 1)
        check(fit, np.array([[2.0]]), np.array([g]), -1, 1)
        assert fit.x.tolist() == [x]


def test_zero_h_goes_to_the_corner() -> None:
    fit = box_qp(np.zeros((3, 3)), [1.0, -2, 0], -1, [5, 6, 7])
    check(fit, np.zeros((3, 3)), np.array([1.0, -2, 0]), -1, [5, 6, 7])
    assert fit.x[:2].tolist() == [-1, 6]
    assert fit.fun == -13


def test_zero_g_stays_at_zero() -> None:
    fit = box_qp(np.eye(3), np.zeros(3))
    check(fit, np.eye(3), np.zeros(3), -INF, INF)
    assert not fit.x.any()


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_degenerate_the_free_minimiser_is_on_every_bound(n: int) -> None:
    H, _, _, _ = random_problem(1, n)
    corner = np.ones(n)
    g = -H @ corner
    fit = box_qp(H, g, -1, 1)
    check(fit, H, g, -1, 1)
    np.testing.assert_allclose(fit.x, corner, atol=1e-12)
    assert np.all(fit.multipliers <= 1e-14)


def test_duplicate_rows_have_many_minimisers() -> None:
    M = np.array([[1.0, 1, 2], [1, 1, 2]])
    H, g = M.T @ M, -M.T @ np.array([3.0, 3])
    fit = box_qp(H, g, [0, -INF, -INF], [0.25, INF, INF])
    check(fit, H, g, [0, -INF, -INF], [0.25, INF, INF])
    np.testing.assert_allclose(M @ fit.x, 3, rtol=1e-14)
    assert fit.singular


@pytest.mark.parametrize("start", [0.0, 1.0, -1e9, 1e18])
@pytest.mark.parametrize("check_convex", [True, False])
def test_unbounded_with_a_ray_that_proves_it(start: float, check_convex: bool) -> None:
    rng = np.random.default_rng(8)
    for n in (2, 3, 6):
        M = rng.standard_normal((n - 1, n))
        null = np.linalg.svd(M)[2][-1]
        H, g = M.T @ M, -null + M.T @ rng.standard_normal(n - 1)
        blocked = int(np.argmax(np.abs(null)))
        fit = box_qp(H, g, x0=np.full(n, start), check_convex=check_convex)
        assert fit.status is QpStatus.UNBOUNDED
        assert not fit.success
        assert np.abs(fit.ray).max() == 1
        assert fit.ray @ g < 0
        np.testing.assert_allclose(H @ fit.ray, 0, atol=1e-12)
        # one wall across the ray is enough
        upper = np.full(n, INF)
        lower = np.full(n, -INF)
        (upper if null[blocked] > 0 else lower)[blocked] = null[blocked]
        check(box_qp(H, g, lower, upper, check_convex=check_convex), H, g, lower, upper)


def test_a_ray_keeps_within_the_bounds() -> None:
    fit = box_qp(np.zeros((2, 2)), [1.0, 1], [0, -INF], [1, 5])
    assert fit.status is QpStatus.UNBOUNDED
    assert fit.ray.tolist() == [0, -1]


@pytest.mark.parametrize(
    "H",
    [
        [[1.0, 0], [0, -1]],
        [[1.0, 2], [2, 1]],
        [[0.0, 1], [1, 0]],
        [[1.0, 0], [0, -1e-9]],
        [[1.0, 1 + 1e-9], [1 + 1e-9, 1]],
        [[-1.0, 0], [0, -1]],
    ],
    ids=str,
)
@pytest.mark.parametrize("bounds", [(-INF, INF), (-1, 1), (0, 0)], ids=str)
def test_a_negative_eigenvalue_is_never_solved(H: list[list[float]], bounds: tuple[float, float]) -> None:
    fit = box_qp(H, [0.5, 0.25], *bounds)
    assert fit.status is QpStatus.NOT_CONVEX
    assert not fit.success
    assert "negative eigenvalue" in fit.message


@pytest.mark.parametrize("check_convex", [True, False])
@pytest.mark.parametrize("n", [20, 100])
def test_hardly_any_curvature_is_told_from_none(n: int, check_convex: bool) -> None:
    rng = np.random.default_rng(n)
    vectors, _ = np.linalg.qr(rng.standard_normal((n, n)))
    values, g = np.linspace(0.1, 1, n), rng.standard_normal(n)
    for least in (1e-6, 1e-8, 1e-10):
        values[0] = least
        H = (vectors * values) @ vectors.T
        fit = box_qp(0.5 * (H + H.T), g, check_convex=check_convex)
        assert fit.status is QpStatus.SOLVED
        assert abs(vectors[:, 0] @ fit.x) == pytest.approx(abs(vectors[:, 0] @ g) / least, rel=1e-15 * n / least)
    values[0] = 0
    H = (vectors * values) @ vectors.T
    fit = box_qp(0.5 * (H + H.T), g, check_convex=check_convex)
    assert fit.status is QpStatus.UNBOUNDED
    assert abs(vectors[:, 0] @ fit.ray) == pytest.approx(np.linalg.norm(fit.ray), rel=1e-12)


def test_a_negative_eigenvalue_among_forty() -> None:
    for seed in range(20):
        H, g, _, _ = random_problem(seed, 40, condition=10)
        values, vectors = np.linalg.eigh(H)
        values[seed] = -1e-9
        bad = (vectors * values) @ vectors.T
        assert box_qp(0.5 * (bad + bad.T), g, -1, 1).status is QpStatus.NOT_CONVEX


# ------------------------------------------------------------------------------------------------ starts, faces


def test_a_start_on_the_right_bounds_needs_one_system() -> None:
    rng = np.random.default_rng(0)
    for seed in range(50):
        H, g, _, _ = random_problem(seed, 30)
        fit = box_qp(H, g, -0.2, 0.2)
        nearby = g + 1e-6 * np.abs(g).max() * rng.standard_normal(30)
        new = box_qp(H, nearby, -0.2, 0.2, x0=fit.x)
        check(new, H, nearby, -0.2, 0.2)
        if np.array_equal(new.active_mask, fit.active_mask):
            assert new.nit <= 2
        same = box_qp(H, g, -0.2, 0.2, x0=fit.x)
        assert same.nit == 0
        np.testing.assert_array_equal(same.x, fit.x)


def test_any_start_leads_to_the_same_point() -> None:
    rng = np.random.default_rng(1)
    H, g, lower, upper = random_problem(4, 20)
    fit = box_qp(H, g, lower, upper)
    for _ in range(20):
        other = box_qp(H, g, lower, upper, x0=10 * rng.standard_normal(20))
        check(other, H, g, lower, upper)
        np.testing.assert_allclose(other.x, fit.x, rtol=1e-10, atol=1e-12)


def test_any_layout_and_dtype() -> None:
    H, g, lower, upper = random_problem(2, 6)
    expected = box_qp(H, g, lower, upper).x
    wide, steps = np.zeros((12, 12)), np.zeros(12)
    wide[::2, ::2], steps[::2] = H, g
    for matrix, right in ((np.asfortranarray(H), g), (wide[::2, ::2], steps[::2]), (H.tolist(), g.tolist())):
        np.testing.assert_array_equal(box_qp(matrix, right, lower, upper).x, expected)
    np.testing.assert_allclose(box_qp([[2, 0], [0, 2]], [2, -2], np.int8(0)).x, [0, 1], rtol=4e-16)


@pytest.mark.parametrize(("lower", "upper"), [(None, None), (-0.1, 0.2), (-0.1, None), (None, 0.2), (0, 1)], ids=str)
def test_a_number_or_nothing_bounds_every_variable(lower: float | None, upper: float | None) -> None:
    H, g, _, _ = random_problem(5, 7)
    low = np.full(7, -INF if lower is None else lower)
    high = np.full(7, INF if upper is None else upper)
    fit, same = box_qp(H, g, lower, upper), box_qp(H, g, low, high)
    check(fit, H, g, low, high)
    np.testing.assert_array_equal(fit.x, same.x)


def test_arrays_that_begin_anywhere_and_bytes_in_any_order() -> None:
    H, g, lower, upper = random_problem(2, 6)
    expected = box_qp(H, g, lower, upper).x

    def shifted(a: Array) -> Array:  # as in a packed record
        room = np.zeros(a.nbytes + 1, dtype=np.uint8)
        view = room[1:].view(float).reshape(a.shape)
        view[...] = a
        return view

    for form in (shifted, lambda a: a.astype(">f8"), lambda a: a.astype(np.longdouble)):
        fit = box_qp(form(H), form(g), form(lower), form(upper), form(np.zeros(6)))
        np.testing.assert_array_equal(fit.x, expected)


def test_results_share_nothing() -> None:
    unbounded = box_qp(np.diag([1.0, 0.0]), ONE)
    assert unbounded.ray is not None
    first, second = box_qp(I2, ONE), box_qp(I2, ONE)
    assert first.ray is None
    assert list(first) == list(second) == list(unbounded)
    for name in ("x", "grad", "multipliers", "active_mask"):
        assert not np.shares_memory(first[name], second[name])


def test_symmetric_to_rounding_is_symmetric() -> None:
    H, g, lower, upper = random_problem(2, 6)
    bent = H.copy()
    bent[0, 1] *= 1 + 4e-16
    fit = box_qp(bent, g, lower, upper)
    check(fit, H, g, lower, upper)


def test_arguments_are_left_alone_and_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    H, g, lower, upper = random_problem(6, 4)
    x0 = np.full(4, 9.0)
    before = [a.copy() for a in (H, g, lower, upper, x0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = box_qp(H, g, lower, upper, x0)
    for a, b in zip((H, g, lower, upper, x0), before, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, fit.x)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_result_is_a_mapping_with_attributes() -> None:
    fit = box_qp([[2, 1], [1, 2]], [-4, -1], 0, [1.5, 1])
    assert fit["x"] is fit.x
    assert repr(fit).startswith("QpResult(SOLVED, fun=-3.75, x=[1.5 0. ]")
    assert "multipliers: [1.  0.5]" in str(fit)
    copy = pickle.loads(pickle.dumps(fit))
    assert type(copy) is QpResult
    assert copy.status is QpStatus.SOLVED


I2, ONE = np.eye(2), np.ones(2)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (([[1, 2], [3, 4]], ONE), ValueError, "symmetric to rounding.*largest asymmetry, 1"),
        (([[1, np.nan], [np.nan, 1]], ONE), ValueError, "H must be finite"),
        (([[1, INF], [INF, 1]], ONE), ValueError, "H must be finite"),
        ((I2, [1, np.nan]), ValueError, r"g must be finite, got g\[1\] = nan"),
        ((I2, [1, -INF]), ValueError, "g must be finite"),
        ((I2, ONE, [np.nan, 0]), ValueError, "lower bound must not be NaN"),
        ((I2, ONE, 0, [1, np.nan]), ValueError, "upper bound must not be NaN"),
        ((I2, ONE, [0, 2], [1, 1]), ValueError, "at most its upper bound, got 2.0 > 1.0"),
        ((I2, ONE, INF), ValueError, "leave room for finite numbers"),
        ((I2, ONE, float("nan"), 1.0), ValueError, "lower bound must not be NaN"),
        ((I2, ONE, 1.0, -1.0), ValueError, "at most its upper bound, got 1.0 > -1.0"),
        ((I2, ONE, None, -INF), ValueError, "leave room for finite numbers"),
        ((np.array([[1.0, INF], [INF, 1.0]]), ONE), ValueError, "H must be finite"),
        ((np.array([[1.0, np.nan], [0.0, 1.0]]), ONE), ValueError, "H must be finite"),
        ((np.array([[np.nan, 0.0], [0.0, 1.0]]), ONE), ValueError, "H must be finite"),
        ((I2, np.array([1.0, np.nan])), ValueError, r"g must be finite, got g\[1\] = nan"),
        ((I2, ONE, None, None, np.array([np.nan, 0.0])), ValueError, "x0 must be finite"),
        ((np.array([[1.0, 2.0], [3.0, 4.0]]), ONE), ValueError, "symmetric to rounding.*largest asymmetry, 1"),
        ((I2, ONE, None, None, [np.nan, 0]), ValueError, "x0 must be finite"),
        ((I2, ONE, None, None, [0, 0, 0]), ValueError, "x0 must have shape"),
        ((I2, [1, 2, 3]), ValueError, r"H must have shape \(3, 3\)"),
        ((ONE, ONE), ValueError, r"H must have shape \(2, 2\)"),
        ((I2, I2), ValueError, "g must have one dimension"),
        ((np.zeros((0, 0)), []), ValueError, "at least one entry"),
        ((I2, ONE, [1, 2, 3]), ValueError, "lower must be a number or have shape"),
        ((I2, ONE, None, I2), ValueError, "upper must be a number or have shape"),
        ((I2, "g"), TypeError, "g must be real numbers"),
        ((I2 * 1j, ONE), TypeError, "H must be real numbers"),
        ((I2, ONE, None, "far"), TypeError, "upper must be real numbers"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: tuple[Any, ...], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        box_qp(*arguments)


def test_check_convex_is_a_switch() -> None:
    with pytest.raises(TypeError, match="check_convex must be True or False"):
        box_qp(I2, ONE, check_convex=1)
