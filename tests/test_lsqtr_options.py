"""Every option of `lsqtr`, at its limits and by its effect: radii and steps against formulas evaluated here.

What is refused, and that nothing is evaluated before, is in test_arguments.py; exact budgets are in test_callbacks.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers import EPS, TR_METHODS, Recorder, decay, decay_jacobian, rosenbrock, rosenbrock_jacobian
from marquardt import Result, Status, lsqtr
from problems import Case, by_name, by_tag

Array = np.ndarray
EACH_METHOD = pytest.mark.parametrize("method", TR_METHODS)
PROBLEMS = (*by_tag("mgh", "x1"), *by_tag("bounded"))
EACH_PROBLEM = pytest.mark.parametrize("case", PROBLEMS, ids=str)


def run(case: Case | str, method: str = "svd", x_scale: Any = "jac", maxiter: int = 200, **options: Any) -> Result:
    case = by_name(case) if isinstance(case, str) else case
    return lsqtr(
        case.residual,
        case.x0,
        case.jacobian,
        bounds=(case.lower, case.upper),
        x_scale=x_scale,
        verbose=0,
        maxiter=maxiter,
        options={"tr_method": method, **options},
    )


def valley(**options: Any) -> Result:
    return run("mgh-rosenbrock-x1", options.pop("tr_method", "svd"), **options)


def tried(result: Result) -> Array:
    """Return the records of the method's own trials; what a search found has no prediction."""
    return result.history[np.isfinite(result.history["predicted"])]


# ---- the first radius ------------------------------------------------------------------------------------------------


def radii_by_formula(case: Case, x: Array, x_scale: Any) -> dict[str, float]:
    """Return the length of x and that of the Cauchy step, in the scaled variables.

    x = d * x_hat with d = sqrt(v) / D: D the column norms (1 for a zero column) or 1 / x_scale, v the distance to the
    wall that the gradient points at, in units of 1 / D, or 1. The model is g_hat'p + p'(J_hat'J_hat + C)p / 2 with
    C = |g| / D where there is such a wall; it is lowest along -g_hat at g_hat'g_hat / g_hat'(J_hat'J_hat + C)g_hat
    times the gradient.
    """
    J, r = case.jacobian(x), case.residual(x)
    g = J.T @ r
    lengths = np.linalg.norm(J, axis=0)
    D = np.where(lengths > 0, lengths, 1.0) if isinstance(x_scale, str) else 1 / np.broadcast_to(x_scale, x.shape)
    walled = ((g < 0) & np.isfinite(case.upper)) | ((g > 0) & np.isfinite(case.lower))
    distance = np.where(g < 0, case.upper - x, x - case.lower)
    fixed = case.lower == case.upper
    v = np.where(fixed, 0.0, np.where(walled, distance * D, 1.0))
    d = np.sqrt(v) / D
    C = np.where(walled & ~fixed, np.abs(g) / D, 0.0)
    slope = norm(d * g)
    along = d * g / slope if slope > 0 else d * g
    curvature = norm(J @ (d * along)) ** 2 + float(along @ (C * along))
    length, cauchy = norm(np.divide(x, d, out=np.zeros_like(x), where=d > 0)), slope / max(curvature, 1e-300)
    return {"scipy": length, "conngould": cauchy, "mix": float(np.sqrt(length) * np.sqrt(cauchy))}


def norm(a: Array) -> float:
    """Return the Euclidean length, of numbers whose squares overflow too."""
    size = float(np.max(np.abs(a)))
    return size * float(np.linalg.norm(a / size)) if size > 0 else 0.0


@pytest.mark.parametrize("x_scale", ["jac", 1.0, 8.0], ids=str)
@pytest.mark.parametrize("rule", ["scipy", "conngould", "mix"])
@EACH_PROBLEM
def test_the_first_radius_is_what_the_rule_says(case: Case, rule: str, x_scale: Any) -> None:
    result = run(case, x_scale=x_scale, maxiter=0, initial_trust_radius=rule)
    lengths = radii_by_formula(case, result.allx[0], x_scale)
    if rule == "scipy" and lengths["scipy"] < 1e-3 * lengths["conngould"]:
        # x happens to be nearly 0 and says nothing about distances: at least a thousandth of the Cauchy step
        expected = 1e-3 * lengths["conngould"]
    else:
        expected = lengths[rule] or 1.0  # a rule that gives nothing, where x or the gradient is 0, gives way to 1
    np.testing.assert_allclose(result.alltr, [expected], rtol=1e-10)
    assert result.trust_radius == result.alltr[0]


def test_the_first_radii_of_the_valley() -> None:
    """Worked by hand: D = (sqrt(577), 10), x0 = (-1.2, 1)."""
    assert valley(maxiter=0).alltr[0] == pytest.approx(np.sqrt(1.44 * 577 + 100), rel=1e-14)
    x0, D = np.array([-1.2, 1.0]), np.array([np.sqrt(577), 10])
    J, r = np.array([[24.0, 10], [-1, 0]]), np.array([-4.4, 2.2])
    np.testing.assert_array_equal(rosenbrock_jacobian(x0), J)
    g = J.T @ r / D
    cauchy = np.linalg.norm(g) * (g @ g) / np.sum((J / D @ g) ** 2)
    assert valley(maxiter=0, initial_trust_radius="conngould").alltr[0] == pytest.approx(cauchy, rel=1e-12)


@EACH_METHOD
def test_the_cauchy_point_is_the_first_trial_at_most_that_far(method: str) -> None:
    """With 'conngould' the model falls at least as far as at the Cauchy point, which lies on the edge."""
    result = valley(tr_method=method, initial_trust_radius="conngould", maxiter=1)
    D = np.array([np.sqrt(577), 10])
    J, r = rosenbrock_jacobian(np.array([-1.2, 1.0])) / D, rosenbrock(np.array([-1.2, 1.0]))
    g = J.T @ r
    fall = 0.5 * (g @ g) ** 2 / np.sum((J @ g) ** 2)
    assert result.history["predicted"][0] >= fall * (1 - 1e-12)
    assert result.history["step_norm"][0] <= result.alltr[0] * (1 + 1e-12)


@pytest.mark.parametrize("radius", [1e-12, 1e-3, 1.0, 30.0, 1e12, np.float32(0.5), 3, np.array(2.0)], ids=repr)
def test_the_first_radius_as_a_number(radius: Any) -> None:
    result = valley(initial_trust_radius=radius)
    assert result.alltr[0] == float(radius)
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1], rtol=1e-5)


@pytest.mark.parametrize("ratio", [1e-8, 0.1, 1, 7, 1e8], ids=str)
@pytest.mark.parametrize("rule", ["scipy", "conngould", "mix", 0.15], ids=str)
def test_the_ratio_multiplies_the_first_radius(rule: Any, ratio: float) -> None:
    plain = valley(initial_trust_radius=rule, maxiter=0)
    scaled = valley(initial_trust_radius=rule, initial_trust_ratio=ratio)
    assert scaled.alltr[0] == pytest.approx(ratio * plain.alltr[0], rel=1e-15)
    assert scaled.success
    np.testing.assert_allclose(scaled.x, [1, 1], rtol=1e-5)


@pytest.mark.parametrize("rule", ["scipy", "mix", "conngould"])
@EACH_METHOD
def test_a_start_at_the_origin_has_a_radius(method: str, rule: str) -> None:
    options = {"tr_method": method, "initial_trust_radius": rule}
    result = lsqtr(rosenbrock, [0.0, 0.0], rosenbrock_jacobian, verbose=0, options=options)
    assert 0 < result.alltr[0] < np.inf
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1], rtol=1e-5)


# ---- how the radius changes ------------------------------------------------------------------------------------------

SCHEDULES = (
    {},
    {"tr_decrease_threshold": 0.1, "tr_increase_threshold": 0.9},
    {"tr_decrease_ratio": 0.5, "tr_increase_ratio": 3.0},
    {"tr_decrease_ratio": 1e-3, "tr_increase_ratio": 1e3},
    {"tr_decrease_ratio": 0.99, "tr_increase_ratio": 1.01},
    {"tr_decrease_threshold": 0.5, "tr_increase_threshold": 0.5},
    {"tr_decrease_threshold": 1e-12, "tr_increase_threshold": 1 - 1e-12},
    {"max_trust_radius": 0.5},
    {"max_trust_radius": 2.0, "initial_trust_radius": 1.0},
)
DEFAULTS = {
    "tr_decrease_threshold": 0.25,
    "tr_increase_threshold": 0.75,
    "tr_decrease_ratio": 0.25,
    "tr_increase_ratio": 2.0,
    "max_trust_radius": np.inf,
}


@pytest.mark.parametrize("options", SCHEDULES, ids=str)
@pytest.mark.parametrize(
    "name", ["mgh-rosenbrock-x1", "mgh-helical_valley-x1", "mgh-beale-x1", "bounded-rosenbrock-corner-low"]
)
@EACH_METHOD
def test_the_radius_changes_by_the_ratios_at_the_thresholds(method: str, name: str, options: dict[str, float]) -> None:
    """Past a threshold to exactly that multiple of the step's length, in between not at all."""
    o = DEFAULTS | options
    result = run(name, method, maxiter=40, **options)
    trials = tried(result)
    assert len(trials) >= 5
    before, after = result.history["control"][: len(trials) - 1], result.history["control"][1 : len(trials)]
    ratio, step = trials["ratio"][:-1], trials["step_norm"][:-1]
    smaller = ratio < o["tr_decrease_threshold"]
    larger = ~smaller & (ratio > o["tr_increase_threshold"])
    expected = np.where(smaller, o["tr_decrease_ratio"] * step, before)
    expected = np.where(larger, np.maximum(o["tr_increase_ratio"] * step, before), expected)
    np.testing.assert_allclose(after, np.minimum(expected, o["max_trust_radius"]), rtol=1e-14)
    # at the edge, where the step is as long as the radius, the radius itself changes by the ratio
    edge = step >= before * (1 - 1e-14)
    grown = edge & larger & (o["tr_increase_ratio"] * before <= o["max_trust_radius"])
    np.testing.assert_allclose(after[grown], o["tr_increase_ratio"] * before[grown], rtol=1e-13)
    np.testing.assert_allclose(after[edge & smaller], o["tr_decrease_ratio"] * before[edge & smaller], rtol=1e-13)


@pytest.mark.parametrize("options", SCHEDULES, ids=str)
@EACH_PROBLEM
def test_no_step_is_longer_than_the_radius(case: Case, options: dict[str, float]) -> None:
    for method in TR_METHODS:
        result = run(case, method, maxiter=30, **options)
        trials = tried(result)
        assert np.all(trials["step_norm"] <= trials["control"] * (1 + 1e-12))
        assert max(*result.alltr, result.trust_radius) <= options.get("max_trust_radius", np.inf)


@pytest.mark.parametrize("limit", [1e-3, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("rule", ["scipy", "conngould", "mix", 100.0], ids=str)
@EACH_METHOD
def test_the_radius_is_never_above_its_maximum(method: str, rule: Any, limit: float) -> None:
    result = valley(tr_method=method, initial_trust_radius=rule, max_trust_radius=limit, maxiter=50)
    assert max(*result.alltr, result.trust_radius) <= limit
    assert np.all(tried(result)["step_norm"] <= limit * (1 + 1e-12))
    if result.success:
        np.testing.assert_allclose(result.x, [1, 1], rtol=1e-5)
    else:
        assert result.status is Status.MAX_ITERATIONS


def test_a_small_maximum_is_reached_in_the_end() -> None:
    """One hundred steps of the same length, none of which passes for convergence."""
    result = lsqtr(
        lambda x: x - 3, [2.0], lambda x: np.ones((1, 1)), verbose=0, maxiter=1000, options={"max_trust_radius": 0.01}
    )
    assert result.success
    np.testing.assert_allclose(result.x, [3], rtol=1e-6)
    assert 99 <= result.nit <= 103


# ---- the smallest radius ---------------------------------------------------------------------------------------------


@EACH_METHOD
def test_the_solve_ends_where_the_radius_falls_below_its_minimum(method: str) -> None:
    """The radii of the valley are 30.5, 7.6, 15.3, 3.8: with a minimum of 4 there are three trials."""
    plain = valley(tr_method=method)
    result = valley(tr_method=method, min_trust_radius=4.0)
    assert plain.alltr[2] > 4 > plain.alltr[3]
    assert result.trust_radius == plain.alltr[3]
    assert result.nfev == 4
    assert not result.success
    assert "min_trust_radius" in result.message
    assert result.status not in (Status.MAX_ITERATIONS, Status.MAX_EVALUATIONS, Status.STALLED)


@pytest.mark.parametrize("least", [1e-3, 0.1, 1.0, 10.0])
@EACH_METHOD
def test_no_trial_is_made_below_the_minimum_radius(method: str, least: float) -> None:
    for case in PROBLEMS:
        result = run(case, method, min_trust_radius=least, initial_trust_radius=20.0)
        assert np.all(tried(result)["control"] >= least), case.name
        if not result.success and result.trust_radius < least:
            assert "min_trust_radius" in result.message, case.name


def test_a_minimum_of_zero_or_below_every_radius_changes_nothing() -> None:
    plain = valley()
    for least in (0, 0.0, float(np.finfo(float).eps), 1e-300, 0.5 * min(plain.alltr)):
        result = valley(min_trust_radius=least)
        assert result.success
        np.testing.assert_array_equal(result.allx, plain.allx)


# ---- the distance from the start -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1e-6, 1e-2, 0.3, 1.0, 10.0])
@EACH_METHOD
def test_no_point_is_farther_than_max_dx(method: str, limit: float) -> None:
    """Trials and searches included, on every problem, whether or not the solution lies within."""
    for case in PROBLEMS:
        fun, jac = Recorder(case.residual), Recorder(case.jacobian)
        result = lsqtr(
            fun,
            case.x0,
            jac,
            bounds=(case.lower, case.upper),
            verbose=0,
            maxiter=100,
            options={"tr_method": method, "max_dx": limit},
        )
        away = np.linalg.norm(np.array([*fun.points, *jac.points, result.x]) - result.allx[0], axis=1)
        assert away.max() <= limit, case.name
        if result.status is Status.DISTANCE_LIMIT:
            assert not result.success
            assert "max_dx" in result.message


@EACH_METHOD
def test_max_dx_at_exactly_the_distance_of_the_solution(method: str) -> None:
    settings: dict[str, Any] = {"verbose": 0, "x_scale": 1}
    for limit, reached in ((3.0, True), (np.nextafter(3, 4), True), (np.nextafter(3, 2), False), (1e-300, False)):
        options = {"tr_method": method, "max_dx": limit, "initial_trust_radius": 10.0}
        result = lsqtr(lambda x: x - 3, [0.0], lambda x: np.ones((1, 1)), options=options, **settings)
        assert result.success is reached
        assert (result.status is Status.DISTANCE_LIMIT) is not reached
        assert abs(result.x[0]) <= limit


def test_an_infinite_max_dx_changes_nothing() -> None:
    np.testing.assert_array_equal(valley(max_dx=np.inf).allx, valley().allx)
    np.testing.assert_array_equal(valley(max_dx=1e6).allx, valley().allx)


# ---- counts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 2, 3, 10, 12, 13, 14])
@EACH_METHOD
def test_max_nfev_at_its_limits(method: str, budget: int) -> None:
    """The valley takes 13 evaluations: from there on the budget is no limit."""
    result = valley(tr_method=method, max_nfev=budget)
    assert result.nfev == min(budget, 13)
    assert (result.status is Status.MAX_EVALUATIONS) is not result.success
    assert result.success is (budget >= 13)


@pytest.mark.parametrize("tolerance", [1e-6, None])
@pytest.mark.parametrize("budget", [1, 2, 3, 5, 8, 13, 21, 34, 55])
@EACH_METHOD
def test_budgets_hold_in_every_phase(method: str, budget: int, tolerance: float | None) -> None:
    """In trials, in searches where none helps, and in the last steps at the solution."""
    options = {"tr_method": method, "max_nfev": budget}
    for case in PROBLEMS:
        fun = Recorder(case.residual)
        result = lsqtr(
            fun,
            case.x0,
            case.jacobian,
            bounds=(case.lower, case.upper),
            ftol=tolerance,
            xtol=tolerance,
            gtol=tolerance,
            verbose=0,
            options=options,
        )
        assert fun.calls == result.nfev <= budget, case.name


@pytest.mark.parametrize("maxiter", [0, 1, 2, 3, 5, 8, 13])
@EACH_METHOD
def test_iterations_hold_in_every_phase(method: str, maxiter: int) -> None:
    for case in PROBLEMS:
        for tolerance in (1e-6, None):
            result = lsqtr(
                case.residual,
                case.x0,
                case.jacobian,
                bounds=(case.lower, case.upper),
                ftol=tolerance,
                xtol=tolerance,
                gtol=tolerance,
                verbose=0,
                maxiter=maxiter,
                options={"tr_method": method},
            )
            assert result.nit <= maxiter, case.name
            assert len(result.allx) == result.nit + 1, case.name


def test_max_nfev_is_five_times_maxiter_and_one_by_default() -> None:
    """A function that gets worse with every call: no trial is ever accepted, and only the budget ends it."""
    for maxiter in (1, 2, 3):
        calls = iter(range(10**6))
        result = lsqtr(
            lambda x, calls=calls: np.array([1000.0 + next(calls)]),
            [2.0],
            lambda x: np.array([[1.0]]),
            verbose=0,
            maxiter=maxiter,
        )
        assert result.status is Status.MAX_EVALUATIONS
        assert result.nfev == 5 * maxiter + 1


def test_maxiter_is_a_hundred_per_parameter_by_default() -> None:
    result = lsqtr(lambda x: x - 1e9, [0.0, 0.0], lambda x: np.eye(2), verbose=0, options={"max_trust_radius": 1.0})
    assert result.status is Status.MAX_ITERATIONS
    assert result.nit == 200


@EACH_METHOD
def test_no_iteration_is_one_evaluation(method: str) -> None:
    fun, jac = Recorder(rosenbrock), Recorder(rosenbrock_jacobian)
    result = lsqtr(fun, [-1.2, 1.0], jac, verbose=0, maxiter=0, options={"tr_method": method})
    assert (fun.calls, jac.calls) == (result.nfev, result.njev) == (1, 1)
    np.testing.assert_array_equal(result.x, [-1.2, 1.0])
    assert result.cost == pytest.approx(12.1)
    assert len(result.allx) == len(result.alltr) == 1


@EACH_METHOD
def test_one_iteration_is_one_accepted_step(method: str) -> None:
    """Rejected trials on the way to it are evaluations, not iterations."""
    result = valley(tr_method=method, maxiter=1)
    assert result.nit == 1
    assert result.njev == 2
    assert len(result.allx) == 2
    assert result.nfev == 1 + len(tried(result)) > 2
    assert result.cost < 12.1


# ---- the subproblem --------------------------------------------------------------------------------------------------


def test_the_default_method_is_svd() -> None:
    plain = lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=0)
    np.testing.assert_array_equal(plain.allx, valley(tr_method="svd").allx)


ACCEPTED_LIMITS = (
    {"max_nfev": 10**12},
    {"max_dx": 1e-300},
    {"max_dx": np.float64(np.inf)},
    {"initial_trust_radius": 1e-300},
    {"initial_trust_radius": 1e300},
    {"initial_trust_ratio": 1e-300},
    {"initial_trust_ratio": 1e300},
    {"max_trust_radius": 1e-300},
    {"max_trust_radius": np.inf},
    {"min_trust_radius": 0},
    {"min_trust_radius": 5e-324},
    {"tr_decrease_threshold": 1e-300},
    {"tr_increase_threshold": float(np.nextafter(1, 0))},
    {"tr_increase_ratio": 1 + EPS},
    {"tr_increase_ratio": 1e300},
    {"tr_decrease_ratio": 1e-300},
    {"tr_decrease_ratio": float(np.nextafter(1, 0))},
)


@pytest.mark.parametrize("options", ACCEPTED_LIMITS, ids=str)
@EACH_METHOD
def test_options_at_the_ends_of_their_ranges(method: str, options: dict[str, float]) -> None:
    """Whatever they do to the speed, the solve ends, and a success is the answer."""
    result = lsqtr(
        decay,
        [1, 1, 1],
        decay_jacobian,
        verbose=0,
        maxiter=300,
        options={"max_nfev": 1000, "tr_method": method} | options,
    )
    assert result.nfev <= 1000
    if result.success:
        np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-5)
    else:
        assert set(options) & {
            "max_dx",
            "max_trust_radius",
            "tr_decrease_ratio",
            "initial_trust_radius",
            "initial_trust_ratio",
        }
    assert np.isfinite(result.cost)
    assert result.cost <= 0.5 * np.sum(decay(np.ones(3)) ** 2) * (1 + 1e-12)


def test_an_unknown_option_is_refused_before_anything_is_evaluated() -> None:
    def fun(x: Array) -> Array:
        raise AssertionError("evaluated")

    for wrong, right in (
        ("max_trust_radii", "max_trust_radius"),
        ("tr_decreas_ratio", "tr_decrease_ratio"),
        ("tr-method", "tr_method"),
        ("initial_trust_radius_", "initial_trust_radius"),
        ("max_nfevs", "max_nfev"),
    ):
        options = {wrong: 1, "tr_method": "cho"}
        with pytest.raises(ValueError, match=f"did you mean '{right}'"):
            lsqtr(fun, [1.0], fun, options=options)
        assert options == {wrong: 1, "tr_method": "cho"}
