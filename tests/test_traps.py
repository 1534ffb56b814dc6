"""Small problems on which solvers in use return wrong answers, some of them with success."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from helpers import FACES, TR_FACES, ending, first_order, rosenbrock, rosenbrock_jacobian, solve
from marquardt import CovarianceWarning, FitError, FitWarning, Status, curve_fit, lm_solve, lsqtr, nist
from marquardt.least_squares import least_squares as our_least_squares

Array = np.ndarray
EACH_FACE = pytest.mark.parametrize("face", FACES)
EACH_JAC = pytest.mark.parametrize("differences", [None, "2-point", "3-point"], ids=["analytic", "2-point", "3-point"])


@pytest.mark.parametrize("bounds", [None, (-10, 10), (0, None)], ids=str)
@pytest.mark.parametrize("x0", [1e-6, 1e-8, 1e-9, 1e-12, 0.0, 1e-300])
@EACH_JAC
@EACH_FACE
def test_a_line_from_nearly_zero(face: str, differences: Any, x0: float, bounds: Any) -> None:
    """A first radius of ||x0|| makes the first fall of the cost tiny, which is no sign of a minimum."""
    jac = differences or (lambda x: np.ones((1, 1)))
    result = solve(face, lambda x: x - 3, [x0], jac, bounds=bounds)
    assert result.success
    np.testing.assert_allclose(result.x, [3], rtol=1e-6)


@pytest.mark.parametrize("rule", ["scipy", "conngould", "mix", 1e-9, 1e9], ids=str)
@pytest.mark.parametrize("x_scale", ["jac", 1.0, 100.0], ids=str)
@pytest.mark.parametrize("x0", [1e-6, 1e-12])
@pytest.mark.parametrize("face", TR_FACES)
def test_a_line_from_nearly_zero_with_every_first_radius(face: str, x0: float, x_scale: Any, rule: Any) -> None:
    result = solve(
        face,
        lambda x: x - 3,
        [x0],
        lambda x: np.ones((1, 1)),
        x_scale=x_scale,
        options={"initial_trust_radius": rule},
    )
    assert result.success
    np.testing.assert_allclose(result.x, [3], rtol=1e-6)


@pytest.mark.parametrize("x0", [30.0, 15.0, 100.0])
@EACH_JAC
@EACH_FACE
def test_an_exponential_from_far_up(face: str, differences: Any, x0: float) -> None:
    """The gradient divided by the steepest column ever seen looks like zero half-way down."""
    jac = differences or (lambda x: np.exp(x)[:, None])
    result = solve(face, lambda x: np.exp(x) - 1, [x0], jac)
    assert result.success
    np.testing.assert_allclose(result.x, [0], atol=2e-6)


@EACH_JAC
@EACH_FACE
def test_a_quartic_from_a_thousand(face: str, differences: Any) -> None:
    jac = differences or (lambda x: np.array([4 * x**3, np.ones(1)]))
    result = solve(face, lambda x: np.array([x[0] ** 4 - 1, x[0] - 1]), [1000.0], jac)
    assert result.success
    np.testing.assert_allclose(result.x, [1], rtol=1e-6)


@EACH_JAC
@EACH_FACE
def test_a_logarithm_from_near_zero(face: str, differences: Any) -> None:
    def fun(x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x) - 5

    for tolerance, digits in ((1e-6, 1e-4), (None, 1e-9 if differences is None else 1e-6)):
        result = solve(face, fun, [0.01], differences or (lambda x: 1 / x[:, None]), tolerance=tolerance)
        assert result.success
        np.testing.assert_allclose(result.x, [np.exp(5)], rtol=digits)


@pytest.mark.parametrize("unit", [1e8, 1e-8, 1e-12, 1e-14, 1e-30, 1e30])
@EACH_JAC
@EACH_FACE
def test_units_of_the_residuals(face: str, differences: Any, unit: float) -> None:
    """A gradient or a step below an absolute tolerance, or one that can never get there, decides nothing."""

    def fun(x: Array) -> Array:
        return unit * np.append(rosenbrock(x), 0.1 * (x[0] + x[1]))

    def jac(x: Array) -> Array:
        return unit * np.vstack([rosenbrock_jacobian(x), [0.1, 0.1]])

    reference = least_squares(
        lambda x: fun(x) / unit, [1, 1], lambda x: jac(x) / unit, ftol=1e-15, xtol=1e-15, gtol=1e-15
    )
    for tolerance, digits in ((1e-6, 3e-4), (None, 1e-6)):
        result = solve(face, fun, [-1.2, 1.0], differences or jac, tolerance=tolerance)
        assert result.success
        assert result.nit > 3
        np.testing.assert_allclose(result.x, reference.x, rtol=digits)


@pytest.mark.parametrize("units", [(1e8, 1e8), (1e-8, 1e-8), (1e8, 1e-8), (1e-7, 1e5), (1e-30, 1e30)], ids=str)
@EACH_JAC
@EACH_FACE
def test_units_of_the_parameters(face: str, differences: Any, units: tuple[float, float]) -> None:
    scale = np.array(units)
    jac = differences or (lambda x: rosenbrock_jacobian(x / scale) / scale)
    result = solve(face, lambda x: rosenbrock(x / scale), scale * [-1.2, 1.0], jac)
    assert result.success
    np.testing.assert_allclose(result.x / scale, [1, 1], rtol=5e-3)


@EACH_FACE
def test_a_parameter_of_ten_million_beside_one_of_one(face: str) -> None:
    """r = (x0 - 1, x1 / 1e7 - 1): an absolute gradient test is content at x1 = 3e4."""
    J = np.diag([1.0, 1e-7])
    result = solve(face, lambda x: J @ x - 1, [0.0, 0.0], lambda x: J)
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1e7], rtol=1e-5)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (1e3, 1e3), (-120.0, 100.0), (0.0, 0.0)], ids=str)
@EACH_JAC
@EACH_FACE
def test_rosenbrock_from_far(face: str, differences: Any, start: tuple[float, float]) -> None:
    result = solve(face, rosenbrock, start, differences or rosenbrock_jacobian)
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1], rtol=1e-4)


@pytest.mark.parametrize(
    "start", [(0.5, 0.5), (0.0, 0.0), (0.8, 1.0), (0.8, 2.0), (0.0, 2.0), (1.5, 1.0), (-1.2, 1.0)], ids=str
)
def test_bounded_rosenbrock_to_ten_digits(start: tuple[float, float]) -> None:
    """The wall at 0.8 holds exactly; on it x1 = 0.64 is a linear least-squares answer."""
    for jac in (rosenbrock_jacobian, "2-point", "3-point"):
        for tolerance in (1e-6, None):
            result = lm_solve(
                rosenbrock,
                start,
                bounds=([0, 0], [0.8, 2]),
                jac=jac,
                ftol=tolerance,
                xtol=tolerance,
                gtol=tolerance,
            )
            assert result.success
            assert result.x[0] == 0.8
            assert abs(result.x[1] - 0.64) < (1e-10 if callable(jac) and tolerance is None else 1e-8)
            np.testing.assert_allclose(result.cost, 0.02, rtol=1e-9)


@pytest.mark.parametrize("start", [(0.5, 0.5), (0.0, 0.0), (0.8, 1.0), (0.8, 2.0), (0.0, 2.0)], ids=str)
@pytest.mark.parametrize("face", TR_FACES)
def test_bounded_rosenbrock_by_trust_region(face: str, start: tuple[float, float]) -> None:
    result = solve(face, rosenbrock, start, rosenbrock_jacobian, bounds=([0, 0], [0.8, 2]))
    assert result.success
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=1e-6)
    assert result.x[0] < 0.8
    assert result.active_mask.tolist() == [1, 0]


def test_bounded_rosenbrock_is_cheap() -> None:
    """The exact step in the box needs no search for the wall: ten digits with the default tolerances."""
    result = lm_solve(rosenbrock, [0.5, 0.5], bounds=([0, 0], [0.8, 2]), jac=rosenbrock_jacobian)
    assert result.nfev <= 8
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=0, atol=1e-10)


@EACH_FACE
def test_a_fixed_variable_and_a_start_on_the_wall(face: str) -> None:
    fixed = solve(face, rosenbrock, [0.5, 0.0], rosenbrock_jacobian, bounds=([0.5, -2], [0.5, 2]))
    assert fixed.success
    np.testing.assert_allclose(fixed.x, [0.5, 0.25], rtol=1e-6)
    wall = solve(face, rosenbrock, [0.8, 1.0], rosenbrock_jacobian, bounds=(None, [0.8, np.inf]))
    assert wall.success
    np.testing.assert_allclose(wall.x, [0.8, 0.64], rtol=1e-6)


@EACH_FACE
def test_an_infeasible_zero_is_no_answer(face: str) -> None:
    """x = 5 solves the equation but lies outside the box."""
    result = solve(face, lambda x: x - 5, [5.0, 5.0], lambda x: np.eye(2), bounds=(0, 1))
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1], rtol=1e-6)


@EACH_FACE
def test_whole_number_starts_are_not_truncated(face: str) -> None:
    for x0 in (np.array([-1, 1]), [-1, 1], np.array([False, True])):
        result = solve(face, lambda x: x - np.array([0.7, -0.3]), x0, lambda x: np.eye(2))
        np.testing.assert_allclose(result.x, [0.7, -0.3], rtol=1e-5)


@EACH_FACE
def test_dependent_columns_give_no_huge_answer(face: str) -> None:
    """Of all x with x0 + x1 = 1.4 an answer near the start is wanted, not one far along the null space."""
    J = np.ones((3, 2))
    result = solve(face, lambda x: J @ x - 1.4, [0.0, 0.0], lambda x: J)
    assert result.success
    np.testing.assert_allclose(result.x, [0.7, 0.7], rtol=1e-5)


@EACH_FACE
def test_a_high_floor_ends_in_time(face: str) -> None:
    """Below a residual of a million the last digits of x cannot be seen; burning the budget helps nobody."""

    def fun(x: Array) -> Array:
        return np.append(rosenbrock(x), 1e6)

    def jac(x: Array) -> Array:
        return np.vstack([rosenbrock_jacobian(x), [0.0, 0.0]])

    for tolerance in (1e-6, 1e-15, None):
        result = solve(face, fun, [-1.2, 1.0], jac, tolerance=tolerance)
        assert result.nfev < 200
        assert ending(result) is not Status.MAX_EVALUATIONS
    np.testing.assert_allclose(result.x, [1, 1], atol=0.2)


@EACH_FACE
def test_noise_ends_in_time(face: str) -> None:
    """A function in single precision: no success to twelve digits, and no endless search either."""

    def fun(x: Array) -> Array:
        return np.append(rosenbrock(x), [3.0, x[0] * x[1]]).astype(np.float32)

    def jac(x: Array) -> Array:
        return np.vstack([rosenbrock_jacobian(x), [0, 0], [x[1], x[0]]])

    result = solve(face, fun, [-1.2, 1.0], jac, tolerance=None)
    assert result.nfev < 300
    exact = least_squares(
        lambda x: np.append(rosenbrock(x), [3.0, x[0] * x[1]]), [0.5, 0.2], jac, xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert result.cost <= exact.cost * (1 + 1e-5)


@EACH_FACE
def test_a_wrong_jacobian_is_no_success(face: str) -> None:
    """The gradient's sign is wrong: no step helps, and the point is far from first order by its own account."""
    result = solve(face, lambda x: x - 3, [1.0], lambda x: -np.ones((1, 1)))
    assert not result.success
    assert result.nfev < 300
    np.testing.assert_array_equal(result.x, [1.0])


@EACH_FACE
def test_uphill_noise_never_moves_the_point(face: str) -> None:
    """Every trial is worse than the start: x stays where it was."""
    calls = iter(range(10**6))
    result = solve(face, lambda x: np.array([1.0 + next(calls)]), [2.0], lambda x: np.ones((1, 1)))
    assert not result.success
    assert result.nit == 0
    np.testing.assert_array_equal(result.x, [2.0])


def test_one_nan_in_the_jacobian_is_survived() -> None:
    for face in FACES:
        calls = iter(range(10**6))

        def jac(x: Array, calls: Any = calls) -> Array:
            J = np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])
            return np.where(next(calls) == 1, np.nan, J)

        result = solve(face, lambda x: np.array([10 * (x[1] - x[0] ** 2), 3 - x[0]]), [1.0, 1.0], jac)
        assert result.success
        np.testing.assert_allclose(result.x, [3, 9], rtol=1e-6)


def test_a_redundant_parameter_is_reported() -> None:
    """a b exp(-c t): only the product of a and b is determined."""
    t = np.linspace(0, 3, 20)
    y = 6 * np.exp(-0.5 * t) + 0.01 * np.cos(9 * t)

    def fun(p: Array) -> Array:
        return p[0] * p[1] * np.exp(-p[2] * t) - y

    def jac(p: Array) -> Array:
        e = np.exp(-p[2] * t)
        return np.stack([p[1] * e, p[0] * e, -p[0] * p[1] * t * e], axis=1)

    for face in FACES:
        result = solve(face, fun, [1.0, 1.0, 1.0], jac)
        assert result.success
        np.testing.assert_allclose([result.x[0] * result.x[1], result.x[2]], [6, 0.5], rtol=0.02)
        if face in ("tr-svd", "tr-qr"):
            assert result.rank == 2


# ---- sixty fits with an active bound ---------------------------------------------------------------------------------


def exponential_fit(seed: int) -> tuple[Any, Any, Array, Array, Array]:
    """Return a fit of a exp(-b t) + c to noisy data with one bound cutting the free answer off."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, rng.uniform(2, 6), 40)
    truth = np.array([rng.uniform(1, 5), rng.uniform(0.5, 2), rng.uniform(0.2, 1)])
    y = truth[0] * np.exp(-truth[1] * t) + truth[2] + 0.02 * rng.standard_normal(t.size)
    lower, upper = np.array([0.0, 0.05, 0.0]), np.array([10.0, 5.0, 5.0])
    j = seed % 3
    if rng.uniform() < 0.5:
        upper[j] = rng.uniform(0.5, 0.9) * truth[j]
    else:
        lower[j] = rng.uniform(1.1, 1.5) * truth[j]
    x0 = np.clip(lower + rng.uniform(0.1, 0.9, 3) * (np.minimum(upper, 3 * truth) - lower), lower, upper)

    def fun(p: Array) -> Array:
        return p[0] * np.exp(-p[1] * t) + p[2] - y

    def jac(p: Array) -> Array:
        e = np.exp(-p[1] * t)
        return np.stack([e, -p[0] * t * e, np.ones_like(t)], axis=1)

    return fun, jac, x0, lower, upper


@EACH_FACE
def test_sixty_fits_with_an_active_bound(face: str) -> None:
    """Right sixty times of sixty, against SciPy run to rounding level and against the first-order conditions."""
    right = false_success = 0
    for seed in range(60):
        fun, jac, x0, lower, upper = exponential_fit(seed)
        result = solve(face, fun, x0, jac, bounds=(lower, upper))
        peers = [
            least_squares(
                fun, start, jac, bounds=(lower, upper), x_scale=scale, ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=2000
            )
            for start in (np.clip(x0, lower + 1e-9, upper - 1e-9), np.clip(result.x, lower + 1e-9, upper - 1e-9))
            for scale in (1.0, "jac")
        ]
        best = min(peer.cost for peer in peers)
        here = first_order(jac(result.x), fun(result.x), result.x, lower, upper)
        good = result.cost <= best * (1 + 1e-6) and here.gain <= 2e-3 * here.norm_r
        right += good
        false_success += result.success and not good
    assert (right, false_success) == (60, 0)


def test_more_than_one_solve_in_a_row_changes_nothing() -> None:
    """No state is kept between calls."""
    runs = [lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=0) for _ in range(3)]
    assert len({(run.nfev, run.cost, *run.x) for run in runs}) == 1


@EACH_FACE
def test_a_minimum_where_the_jacobian_is_singular_is_a_success(face: str) -> None:
    """Freudenstein and Roth's local minimum: J'r = 0 because r is orthogonal to the one direction that J has left.

    The full step of the linear model goes to infinity there, and an angle that counts the other direction is 0.
    """

    def fun(x: Array) -> Array:
        y = x[1]
        return np.array([x[0] - 13 + ((5 - y) * y - 2) * y, x[0] - 29 + ((y + 1) * y - 14) * y])

    def jac(x: Array) -> Array:
        y = x[1]
        return np.array([[1, (10 - 3 * y) * y - 2], [1, (3 * y + 2) * y - 14]])

    for tolerance in (1e-6, None):
        result = solve(face, fun, [0.5, -2.0], jac, tolerance=tolerance)
        np.testing.assert_allclose(result.x, [11.41277900, -0.89680526], rtol=1e-5)
        assert result.success, result.message


@pytest.mark.parametrize("target", [0.5, 0.01])
@pytest.mark.parametrize("x0", [800.0, 1e5])
@EACH_JAC
@EACH_FACE
def test_a_start_on_a_plateau(face: str, differences: Any, x0: float, target: float) -> None:
    """exp(-800) is 0, and so is the gradient: every first-order test is content at the start."""

    def fun(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(-x) - target

    def jac(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return -np.exp(-x)[:, None]

    result = solve(face, fun, [x0], differences or jac)
    if result.success:
        np.testing.assert_allclose(result.x, [-np.log(target)], rtol=1e-6)
    else:
        assert ending(result) is Status.FLAT


@EACH_FACE
def test_a_plateau_that_cannot_be_left_is_no_success(face: str) -> None:
    """The rate of a decay is so large that the whole curve is one point; the answer is 2 exp(-3 t)."""
    t = np.linspace(0, 1, 9)

    def fun(p: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return p[0] * np.exp(-p[1] * t) - 2 * np.exp(-3 * t)

    def jac(p: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.stack([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t)], axis=1)

    result = solve(face, fun, [1.0, 1e6], jac)
    if result.success:
        np.testing.assert_allclose(result.x, [2, 3], rtol=1e-4)


@EACH_FACE
def test_a_parameter_without_effect_is_no_obstacle(face: str) -> None:
    result = solve(face, lambda x: np.array([x[0] - 1, x[0] - 2]), [5.0, 7.0], lambda x: np.array([[1.0, 0], [1, 0]]))
    assert result.success
    np.testing.assert_allclose(result.x, [1.5, 7], rtol=1e-6)
    assert result.rank <= 1


# ---- the same and more by plain calls, as everybody makes them: no tolerance, no scale, no option -------------------

PLAIN = tuple(
    f"{face} {method}"
    for face, methods in (
        ("least_squares", ("auto", "trf", "dogbox", "lm")),
        ("curve_fit", (None, "trf", "dogbox", "lm")),
    )
    for method in methods
)
EACH_PLAIN = pytest.mark.parametrize("face", PLAIN)
EACH_PLAIN_WITH_BOUNDS = pytest.mark.parametrize("face", [face for face in PLAIN if not face.endswith(" lm")])


def plain(face: str, fun: Callable[[Array], Array], x0: Any, jac: Any = None, **settings: Any) -> Any:
    """Call a face and nothing more; what curve_fit raises or warns of is no success."""
    name, _, word = face.partition(" ")
    method = None if word == "None" else word
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", CovarianceWarning)
        warnings.simplefilter("ignore", FitWarning)
        if name == "least_squares":
            return our_least_squares(fun, x0, "auto" if jac is None else jac, method=method, **settings)

        def model(_: Any, *p: float) -> Array:
            return fun(np.array(p))

        derivative = (lambda _, *p: jac(np.array(p))) if callable(jac) else jac
        m = np.size(fun(np.array(x0, dtype=float)))
        try:
            return curve_fit(model, None, np.zeros(m), x0, jac=derivative, method=method, **settings)
        except FitError as error:
            return error.partial_result


EACH_PLAIN_JAC = pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs", "exact"])


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (-10, 10), (0, np.inf)], ids=str)
@pytest.mark.parametrize("x0", [1e-6, 1e-8, 1e-9, 1e-12, 0.0])
@EACH_PLAIN_JAC
@EACH_PLAIN
def test_plain_line_from_nearly_zero(face: str, jac: Any, x0: float, bounds: Any) -> None:
    """SciPy's trf and dogbox return 2 x0, with success."""
    if face.endswith(" lm") and bounds != (-np.inf, np.inf):
        bounds = (-np.inf, np.inf)
    derivative = (lambda x: np.ones((1, 1))) if jac == "exact" else jac
    result = plain(face, lambda x: x - 3, [x0], derivative, bounds=bounds)
    assert result.success
    np.testing.assert_allclose(result.x, [3], rtol=1e-7)


@pytest.mark.parametrize(
    "start", [(0.5, 0.5), (0.0, 0.0), (0.8, 1.0), (0.8, 2.0), (0.0, 2.0), (0.79999999, 1e-9)], ids=str
)
@EACH_PLAIN_JAC
@EACH_PLAIN_WITH_BOUNDS
def test_plain_bounded_rosenbrock(face: str, jac: Any, start: tuple[float, float]) -> None:
    """Elsewhere [0.7999992, 0.638955] counts as success; starts on and next to a wall give wrong answers or NaN."""
    derivative = rosenbrock_jacobian if jac == "exact" else jac
    result = plain(face, rosenbrock, start, derivative, bounds=([0, 0], [0.8, 2]))
    assert result.success
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=1e-6)
    assert result.x[0] <= 0.8
    assert result.active_mask.tolist() == [1, 0]


@EACH_PLAIN_WITH_BOUNDS
def test_plain_fixed_variable(face: str) -> None:
    """SciPy raises where a lower bound is an upper bound."""
    for settings in ({"bounds": ([0.5, -2], [0.5, 2])}, {"fixed": {0: 0.5}}):
        result = plain(face, rosenbrock, [0.5, 0.0], **settings)
        assert result.success
        assert result.x[0] == 0.5
        np.testing.assert_allclose(result.x[1], 0.25, rtol=1e-7)


@EACH_PLAIN_WITH_BOUNDS
def test_plain_start_outside_is_refused_by_name(face: str) -> None:
    with pytest.raises(ValueError, match=r"0\] = 1.0.*outside|outside.*0\] = 1.0"):
        plain(face, rosenbrock, [1.0, 0.0], bounds=([0, 0], [0.8, 2]))


def nan_once(jac: Callable[[Array], Array], at: int) -> Callable[[Array], Array]:
    """Return a Jacobian one entry of which is NaN, once."""
    calls = iter(range(10**6))

    def spoiled(x: Array) -> Array:
        J = jac(x)
        if next(calls) == at:
            J[0, 0] = np.nan
        return J

    return spoiled


@pytest.mark.parametrize("at", [1, 2, 3])
@EACH_PLAIN
def test_plain_nan_in_the_jacobian(face: str, at: int) -> None:
    """SciPy's trf and dogbox raise and lose the best point; its lm returns [1.2, 1.4] with success."""

    def jac(x: Array) -> Array:
        return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    result = plain(face, lambda x: np.array([10 * (x[1] - x[0] ** 2), 3 - x[0]]), [1.0, 1.0], nan_once(jac, at))
    assert result.success
    np.testing.assert_allclose(result.x, [3, 9], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@EACH_PLAIN
def test_plain_jacobian_that_is_never_finite_is_no_success(face: str, value: float) -> None:
    result = plain(face, rosenbrock, [-1.2, 1.0], lambda x: np.full((2, 2), value))
    assert not result.success
    np.testing.assert_array_equal(result.x, [-1.2, 1.0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@EACH_PLAIN_JAC
@EACH_PLAIN
def test_plain_residuals_that_are_not_finite_beyond_a_wall(face: str, jac: Any, value: float) -> None:
    """A step into the region where the model is undefined is shortened, not believed and not an end."""

    def fun(x: Array) -> Array:
        spoil = value if np.real(x[0]) > 2.5 else 0.0
        return np.array([10 * (x[1] - x[0] ** 2), 2 - x[0]]) + spoil

    derivative = rosenbrock_jacobian if jac == "exact" else jac
    result = plain(face, fun, [-1.2, 1.0], derivative)
    assert result.success
    np.testing.assert_allclose(result.x, [2, 4], rtol=1e-5)


@EACH_PLAIN_JAC
@EACH_PLAIN
def test_plain_redundant_product(face: str, jac: Any) -> None:
    """The answer says that a and b are not determined, whatever the method and however J was made."""
    t = np.linspace(0, 3, 20)
    y = 6 * np.exp(-0.5 * t) + 0.01 * np.cos(9 * t)

    def fun(p: Array) -> Array:
        return p[0] * p[1] * np.exp(-p[2] * t) - y

    def exact(p: Array) -> Array:
        e = np.exp(-p[2] * t)
        return np.stack([p[1] * e, p[0] * e, -p[0] * p[1] * t * e], axis=1)

    result = plain(face, fun, [1.0, 2.0, 1.0], exact if jac == "exact" else jac)
    assert result.success
    np.testing.assert_allclose([result.x[0] * result.x[1], result.x[2]], [6, 0.5], rtol=0.02)
    errors = np.sqrt(np.diagonal(result.covariance()))
    assert np.isinf(errors[:2]).all()
    assert 0 < errors[2] < 0.01
    assert len(result.undetermined) == 1
    if face.startswith("curve_fit"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CovarianceWarning)
            assert np.isinf(result.pcov).all()


@pytest.mark.parametrize("number", [0, 1], ids=["start 1", "start 2"])
@pytest.mark.parametrize("name", nist.names())
@pytest.mark.parametrize("face", ["least_squares auto", "curve_fit None"])
def test_plain_success_on_certified_problems_is_one(face: str, name: str, number: int) -> None:
    """Small parameters (Hahn1, Kirby2) make nonsense of steps of fixed size; loose tests end far from Bennett5.

    A success has four digits of the certified parameters, or it is another minimum, which costs more.
    """
    problem = nist.load(name)
    result = plain(face, problem.residual, problem.starts[number])
    if result.success:
        here = first_order(problem.jacobian(result.x), result.residuals, result.x, -np.inf, np.inf)
        assert here.gain <= 1e-4 * here.norm_r + here.noise
        swapped = name == "MGH17" and result.x[1] < 0  # two terms of the model are alike
        certified = problem.certified[[0, 2, 1, 4, 3]] if swapped else problem.certified
        if nist.log_relative_error(result.x, certified) < 4:
            assert result.cost > 0.5 * problem.rss * 1.01


@pytest.mark.parametrize("name", ["Hahn1", "Kirby2", "Bennett5", "Thurber", "MGH09"])
def test_plain_three_points_are_not_worse_than_two(name: str) -> None:
    problem = nist.load(name)
    for start in problem.starts:
        digits = {
            scheme: nist.log_relative_error(
                plain("curve_fit trf", problem.residual, start, scheme).x, problem.certified
            )
            for scheme in ("2-point", "3-point")
        }
        assert digits["3-point"] >= min(digits["2-point"] - 0.1, 6.0)


@EACH_PLAIN
def test_plain_single_precision(face: str) -> None:
    """A model in single precision, differenced with the step of double precision, has noise for a Jacobian."""
    t = np.linspace(0, 4, 50, dtype=np.float32)
    y = (2.5 * np.exp(-1.3 * t) + 0.5).astype(np.float32)

    def fun(p: Array) -> Array:
        a, b, c = p.astype(np.float32)
        return a * np.exp(-b * t) + c - y

    result = plain(face, fun, [1.0, 1.0, 1.0])
    np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_plain_data_in_single_precision_or_whole_numbers(dtype: Any) -> None:
    """scipy#12991, #16162: the fit stays at its start."""
    x = np.arange(1, 30).astype(dtype)
    y = (4 * x**2 + 3).astype(dtype)
    popt, _ = curve_fit(lambda x, a, b: a * x**2 + b, x, y)
    np.testing.assert_allclose(popt, [4, 3], rtol=1e-6)


@pytest.mark.parametrize("units", [(1e8, 1e-8), (1e-12, 1e-12), (1e12, 1.0), (1e-7, 1e5)], ids=str)
@EACH_PLAIN_JAC
@EACH_PLAIN
def test_plain_units_of_the_parameters(face: str, jac: Any, units: tuple[float, float]) -> None:
    """scipy#10767, #19459, #15148: parameters of very different size."""
    scale = np.array(units)
    derivative = (lambda x: rosenbrock_jacobian(x / scale) / scale) if jac == "exact" else jac
    result = plain(face, lambda x: rosenbrock(x / scale), scale * [-1.2, 1.0], derivative)
    assert result.success
    np.testing.assert_allclose(result.x / scale, [1, 1], rtol=1e-5)


@pytest.mark.parametrize("x_scale", [None, [1e5, 1, 1]], ids=["unknown", "known"])
@EACH_PLAIN
def test_plain_parameters_of_very_different_size(face: str, x_scale: Any) -> None:
    """Right, or no success; SciPy's own example of a fit that needs the scale of the parameters."""
    t = np.linspace(0, 4, 50)

    def fun(p: Array) -> Array:
        return p[0] * np.exp(-p[1] * t) + p[2] - (500000 * np.exp(-0.01 * t) + 15)

    result = plain(face, fun, [1.0, 1.0, 1.0], x_scale=x_scale)
    assert result.success or x_scale is None or not face.endswith(("auto", "None"))
    if result.success:
        np.testing.assert_allclose(result.x, [500000, 0.01, 15], rtol=1e-3)


@EACH_PLAIN
def test_plain_wrong_jacobian_is_no_success(face: str) -> None:
    result = plain(face, lambda x: x - 3, [1.0], lambda x: -np.ones((1, 1)))
    assert not result.success
    np.testing.assert_array_equal(result.x, [1.0])


@EACH_PLAIN
def test_plain_covariance_is_the_same_by_every_method(face: str) -> None:
    """scipy#22568: it is missing, or differs by method."""
    rng = np.random.default_rng(4)
    t = np.linspace(0, 4, 50)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.05 * rng.standard_normal(t.size)

    def fun(p: Array) -> Array:
        return p[0] * np.exp(-p[1] * t) + p[2] - y

    def jac(p: Array) -> Array:
        e = np.exp(-p[1] * t)
        return np.stack([e, -p[0] * t * e, np.ones_like(t)], axis=1)

    result = plain(face, fun, [1.0, 1.0, 1.0])
    J = jac(result.x)
    expected = np.linalg.inv(J.T @ J) * np.sum(fun(result.x) ** 2) / 47
    np.testing.assert_allclose(result.covariance(), expected, rtol=1e-5)
