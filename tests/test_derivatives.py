"""Jacobians by differences: how good, where the function is called, how often; and the check of given Jacobians."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers import EPS, Recorder, decay, decay_jacobian, rosenbrock, rosenbrock_jacobian, solve
from marquardt import check_jacobian, lm_solve, lsqtr, nist
from problems import ALL, Case, by_tag

Array = np.ndarray
SCHEMES = ("2-point", "3-point", "cs")
REAL_SCHEMES = ("2-point", "3-point")


def differenced(fun: Callable[[Array], Any], x0: Any, scheme: str, **settings: Any) -> Array:
    """Return the Jacobian that a solve starts with."""
    jacobian: Array = lm_solve(fun, x0, jac=scheme, max_nfev=1, **settings).jacobian
    return jacobian


def column_errors(J: Array, exact: Array) -> Array:
    """Return the error of each column relative to its length."""
    lengths = np.linalg.norm(exact, axis=0)
    return np.linalg.norm(J - exact, axis=0) / np.where(lengths > 0, lengths, 1)


def generic_point(case: Case) -> Array:
    """Return a point near the start without zeros, inside the bounds."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    x = case.x0 * (1 + 0.1 * rng.uniform(-1, 1, case.x0.size)) + 0.01 * (case.x0 == 0)
    return np.clip(x, case.lower, case.upper)


def visible(case: Case, x: Array, exact: Array) -> Array:
    """Return how large a column is beside the rounding of r: relative error 1 means that r hides it all.

    Rounding of r is that of its terms, of which r, each column times its parameter, and 1 are samples.
    """
    r = case.residual(x)
    lengths = np.linalg.norm(exact, axis=0)
    terms = np.linalg.norm(r) + float(lengths @ np.abs(x)) + np.sqrt(r.size)
    return lengths * np.abs(x) / terms


# ---- accuracy --------------------------------------------------------------------------------------------------------


def test_simple_functions() -> None:
    x = np.array([0.7, -1.3, 2.0])

    def fun(x: Array) -> Array:
        return np.array([np.sin(x[0]) * x[1], np.exp(x[2]) + x[0], x[1] ** 3, x[0] * x[1] * x[2]])

    exact = np.array(
        [
            [np.cos(x[0]) * x[1], np.sin(x[0]), 0],
            [1, 0, np.exp(x[2])],
            [0, 3 * x[1] ** 2, 0],
            [x[1] * x[2], x[0] * x[2], x[0] * x[1]],
        ]
    )
    for scheme, error in (("2-point", 1e-7), ("3-point", 1e-9), ("cs", 1e-15)):
        np.testing.assert_allclose(differenced(fun, x, scheme), exact, rtol=error, atol=error)


def test_linear_functions_are_exact_to_rounding() -> None:
    A = np.random.default_rng(3).standard_normal((6, 4))
    for scheme, error in (("2-point", 1e-7), ("3-point", 1e-10), ("cs", 1e-15)):
        np.testing.assert_allclose(differenced(lambda x: A @ x, np.ones(4), scheme), A, atol=error)


@pytest.mark.parametrize("size", [1e-12, 1e-7, 1e-3, 1.0, 1e5, 1e12])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("scheme", "error"), [("2-point", 1e-6), ("3-point", 1e-8), ("cs", 1e-14)])
def test_steps_follow_the_size_of_the_parameter(scheme: str, error: float, sign: int, size: float) -> None:
    """exp(-x / size) has the same relative curvature at every size."""
    t = np.linspace(0.1, 3, 7)
    x = np.array([sign * size])
    exact = (-t / size * np.exp(-t * x / size))[:, None]
    J = differenced(lambda x: np.exp(-t * x / size), x, scheme)
    assert column_errors(J, exact) < error


@pytest.mark.parametrize("case", ALL, ids=str)
def test_complex_steps_on_the_registry(case: Case) -> None:
    x = generic_point(case)
    exact = case.jacobian(x)
    errors = column_errors(differenced(case.residual, x, "cs"), exact)
    lengths = np.linalg.norm(exact, axis=0)
    cancelled = np.linalg.norm(np.abs(exact)) / np.where(lengths > 0, lengths, 1)
    assert np.all(errors <= 1e-11 * cancelled)


@pytest.mark.parametrize("scheme", REAL_SCHEMES)
@pytest.mark.parametrize("case", ALL, ids=str)
def test_differences_on_the_registry(case: Case, scheme: str) -> None:
    """Within what the rounding of r and the curvature allow.

    Curvature is measured here: a relative step h changes the column by about c h, c from two exact Jacobians.
    """
    x = generic_point(case)
    exact = case.jacobian(x)
    fixed = case.lower == case.upper
    errors = column_errors(differenced(case.residual, x, scheme, bounds=(case.lower, case.upper)), exact)
    h = EPS**0.5 if scheme == "2-point" else EPS ** (1 / 3)
    shares = np.maximum(visible(case, x, exact), 1e-300)
    for j in np.flatnonzero(~fixed & (np.linalg.norm(exact, axis=0) > 0)):
        curvature = relative_curvature(case, x, j, h)
        truncation = curvature if scheme == "2-point" else curvature**2 + curvature * h
        rounding = EPS / (h * shares[j])
        assert errors[j] <= 20 * (truncation + rounding) + 100 * h**2, (j, errors[j], truncation, rounding)
    assert np.all(differenced(case.residual, x, scheme, bounds=(case.lower, case.upper))[:, fixed] == 0)


def relative_curvature(case: Case, x: Array, j: int, h: float) -> float:
    """Return the relative change of column j over a hundred steps h |x_j|, divided by a hundred."""
    nearby = x.copy()
    nearby[j] += 100 * h * abs(x[j])
    before, after = case.jacobian(x)[:, j], case.jacobian(nearby)[:, j]
    return float(np.linalg.norm(after - before) / np.linalg.norm(before)) / 100


@pytest.mark.parametrize("start", [0, 1, 2], ids=["start 1", "start 2", "certified"])
@pytest.mark.parametrize("name", ["Hahn1", "Kirby2", "Thurber", "MGH10", "Bennett5", "Rat43"])
def test_three_points_are_better_than_two(name: str, start: int) -> None:
    """Parameters of 1e-7 beside one of 1: an absolute step would be as large as the parameter."""
    problem = nist.load(name)
    b = [*problem.starts, problem.certified][start]
    exact = problem.jacobian(b)
    two, three = (column_errors(differenced(problem.residual, b, scheme), exact).max() for scheme in REAL_SCHEMES)
    assert three < two
    assert two < 1e-4
    assert three < 1e-6


def test_a_parameter_of_zero() -> None:
    """The size of a parameter that is 0 is unknown: steps must suit 1e-6 as well as 1e6."""
    for size in (1e-6, 1e-3, 1.0, 1e3, 1e6):

        def fun(x: Array, size: float = size) -> Array:
            y = x[0] / size
            return np.array([np.exp(y), np.sin(y) + 2, 1 / (1 + y**2)])

        exact = np.array([[1.0], [1.0], [0.0]]) / size
        for scheme, error in (("2-point", 1e-2), ("3-point", 1e-3), ("cs", 1e-14)):
            assert column_errors(differenced(fun, [0.0], scheme), exact) < error


def test_a_weak_parameter_is_not_lost_in_rounding() -> None:
    """Its whole effect is 1e-9 of r: a step of its own size times 1e-8 would not be seen at all."""

    def fun(x: Array) -> Array:
        return np.array([x[0], 1 + x[1], 0.5 - 2 * x[1]])

    exact = np.array([[1.0, 0], [0, 1], [0, -2]])
    for scheme in REAL_SCHEMES:
        assert column_errors(differenced(fun, [1.0, 1e-9], scheme), exact).max() < 1e-3


# ---- bounds ----------------------------------------------------------------------------------------------------------

WALLS = {
    "at the lower": ([0.3], [0.3], [5.0]),
    "at the upper": ([0.3], [-5.0], [0.3]),
    "near the lower": ([0.3 + 1e-9], [0.3], [5.0]),
    "near the upper": ([0.3 - 1e-9], [-5.0], [0.3]),
    "one ulp from the lower": ([np.nextafter(0.3, 1)], [0.3], [5.0]),
    "in a narrow box": ([0.3], [0.3 - 1e-9], [0.3 + 2e-9]),
    "at the lower of a narrow box": ([0.3], [0.3], [0.3 + 1e-7]),
    "at the upper of a narrow box": ([0.3], [0.3 - 1e-7], [0.3]),
    "at a lower of zero": ([0.0], [0.0], [1.0]),
    "at an upper of zero": ([0.0], [-1.0], [0.0]),
    "negative at the lower": ([-0.3], [-0.3], [0.0]),
}


@pytest.mark.parametrize("wall", WALLS, ids=str)
@pytest.mark.parametrize(("scheme", "error"), [("2-point", 1e-5), ("3-point", 1e-6), ("cs", 1e-14)])
def test_differences_at_walls(scheme: str, error: float, wall: str) -> None:
    x0, lower, upper = (np.array(v) for v in WALLS[wall])
    fun = Recorder(lambda x: np.array([np.exp(x[0]), np.cos(x[0])]))
    J = differenced(fun, x0, scheme, bounds=(lower, upper))
    exact = np.array([np.exp(x0), -np.sin(x0)])
    for x in fun.points:
        assert lower <= x.real <= upper
    narrow = min(1.0, float(upper - lower)[()] if np.ndim(upper - lower) == 0 else float((upper - lower)[0]))
    loss = max(1.0, 1e-16 / (narrow * error))  # differences cannot be longer than the box
    assert column_errors(J, exact) < error * loss


@pytest.mark.parametrize("case", by_tag("bounded"), ids=str)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_differences_stay_in_the_box_from_every_corner(scheme: str, case: Case) -> None:
    rng = np.random.default_rng(5)
    lower, upper = case.lower, case.upper
    low, high = np.maximum(lower, -1e3), np.minimum(upper, 1e3)
    for _ in range(5):
        x0 = np.where(rng.uniform(size=lower.size) < 0.5, low, high)
        fun = Recorder(case.residual)
        differenced(fun, x0, scheme, bounds=(lower, upper))
        for x in fun.points:
            assert np.all((lower <= x.real) & (x.real <= upper))
            np.testing.assert_array_equal(x.real[lower == upper], lower[lower == upper])


# ---- counts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "each"), [("2-point", 1), ("3-point", 2), ("cs", 1)])
@pytest.mark.parametrize("face", ["lm", "tr-svd"])
def test_evaluations_of_differences_are_counted_apart(face: str, scheme: str, each: int) -> None:
    fun = Recorder(decay)
    result = solve(face, fun, [1.0, 1.0, 1.0], scheme)
    assert result.success
    assert result.nfev_differences == 3 * each * result.njev
    assert fun.calls == result.nfev + result.nfev_differences


def test_fixed_parameters_cost_no_evaluations() -> None:
    fun = Recorder(decay)
    result = lm_solve(fun, [1.0, 1.3, 1.0], bounds=([0, 1.3, 0], [9, 1.3, 9]), jac="2-point")
    assert result.success
    assert result.nfev_differences == 2 * result.njev
    assert all(x[1] == 1.3 for x in fun.points)


def stacked_decay(x: Array) -> Array:
    """Residuals of one point, or of points stacked as rows."""
    return np.array([decay(row) for row in x]) if x.ndim == 2 else decay(x)


@pytest.mark.parametrize(("scheme", "each"), [("2-point", 1), ("3-point", 2), ("cs", 1)])
@pytest.mark.parametrize("face", ["lm", "tr-svd"])
def test_vectorised_differences_take_one_call(face: str, scheme: str, each: int) -> None:
    fun = Recorder(stacked_decay)
    plain = solve(face, decay, [1.0, 1.0, 1.0], scheme)
    result = solve(face, fun, [1.0, 1.0, 1.0], scheme, vectorized=True)
    np.testing.assert_array_equal(result.x, plain.x)
    np.testing.assert_array_equal(result.jacobian, plain.jacobian)
    assert (result.nfev, result.njev, result.nit) == (plain.nfev, plain.njev, plain.nit)
    stacks = [x for x in fun.points if x.ndim == 2]
    assert len(stacks) == result.njev
    assert {x.shape for x in stacks} == {(3 * each, 3)}
    assert fun.calls == result.nfev + result.njev
    assert result.nfev_differences == 3 * each * result.njev


@pytest.mark.parametrize("form", [np.asfortranarray, lambda a: a.tolist(), np.negative])
def test_stacked_residuals_in_any_layout(form: Callable[[Array], Any]) -> None:
    A = np.array([[1.0, 2], [3, 4], [5, 6]])
    sign = -1 if form is np.negative else 1

    def fun(x: Array) -> Any:
        return form(x @ A.T) if x.ndim == 2 else sign * (A @ x)

    np.testing.assert_allclose(differenced(fun, [1.0, 1.0], "2-point", vectorized=True), sign * A, rtol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_args_reach_the_differenced_function(scheme: str) -> None:
    J = differenced(lambda x, a: a * x**2, [3.0, 4.0], scheme, args=(2.0,))
    np.testing.assert_allclose(J, np.diag([12.0, 16.0]), rtol=1e-6, atol=1e-12)


def test_solves_by_differences_agree_with_exact_ones() -> None:
    for scheme, error in (("2-point", 1e-6), ("3-point", 1e-9), ("cs", 1e-12)):
        exact = lsqtr(decay, [1, 1, 1], decay_jacobian, verbose=0, ftol=None, xtol=None, gtol=None)
        result = lsqtr(decay, [1, 1, 1], scheme, verbose=0, ftol=None, xtol=None, gtol=None)
        assert result.success
        np.testing.assert_allclose(result.x, exact.x, rtol=error)


@pytest.mark.parametrize("name", ["Misra1a", "Chwirut2", "Hahn1", "Kirby2", "Thurber", "Lanczos3", "Rat43"])
@pytest.mark.parametrize("scheme", REAL_SCHEMES)
def test_nist_by_differences(scheme: str, name: str) -> None:
    problem = nist.load(name)
    result = lm_solve(problem.residual, problem.starts[1], jac=scheme, ftol=None, xtol=None, gtol=None, max_nfev=2000)
    assert result.success or scheme == "2-point"  # eight digits of J do not prove every one of these fits
    np.testing.assert_allclose(result.x, problem.certified, rtol=1e-4)


# ---- check_jacobian --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALL, ids=str)
def test_right_jacobians_pass(case: Case) -> None:
    x = generic_point(case)
    check = check_jacobian(case.residual, case.jacobian, x, bounds=(case.lower, case.upper))
    assert check, str(check)
    assert check.errors.shape == case.jacobian(x).shape


@pytest.mark.parametrize("case", ALL, ids=str)
def test_right_jacobians_pass_to_many_digits_by_complex_steps(case: Case) -> None:
    x = generic_point(case)
    check = check_jacobian(
        case.residual, case.jacobian, x, bounds=(case.lower, case.upper), method="cs", tolerance=1e-10
    )
    assert check, str(check)


@pytest.mark.parametrize("case", [case for case in ALL if not case.tags & {"fixed"}], ids=str)
def test_a_planted_error_is_named(case: Case) -> None:
    """One entry is wrong by a thousandth of its column: too little to see in a fit, enough to spoil its end."""
    x = generic_point(case)
    exact = case.jacobian(x)
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    lengths = np.sqrt(np.mean(exact**2, axis=0))
    i = int(rng.integers(exact.shape[0]))
    seen = np.flatnonzero(visible(case, x, exact) > 1e-6)  # in other columns differences have few digits
    j = int(rng.choice(seen)) if seen.size else 0

    def wrong(x: Array) -> Array:
        J = case.jacobian(x).copy()
        J[i, j] += 1e-3 * (lengths[j] or 1.0)
        return J

    check = check_jacobian(case.residual, wrong, x, bounds=(case.lower, case.upper))
    assert not check
    assert check.worst == (i, j)
    np.testing.assert_allclose(check.given, wrong(x)[i, j])
    np.testing.assert_allclose(check.given - check.expected, 1e-3 * (lengths[j] or 1.0), rtol=0.2)
    for word in ("DIFFERS", f"residual {i}", f"parameter {j}"):
        assert word in str(check)


@pytest.mark.parametrize("method", SCHEMES)
def test_usual_mistakes_are_found(method: str) -> None:
    x = [-1.2, 1.7]

    def sign(x: Array) -> Array:
        return np.array([[20 * x[0], 10.0], [-1.0, 0.0]])

    def factor(x: Array) -> Array:
        return np.array([[-10 * x[0], 10.0], [-1.0, 0.0]])

    def transposed(x: Array) -> Array:
        return rosenbrock_jacobian(x).T

    for wrong, entries in ((sign, {(0, 0)}), (factor, {(0, 0)}), (transposed, {(0, 1), (1, 0)})):
        check = check_jacobian(rosenbrock, wrong, x, method=method)
        assert not check
        assert check.worst in entries
    assert check_jacobian(rosenbrock, rosenbrock_jacobian, x, method=method)


def test_check_of_functions_with_args_and_together() -> None:
    def both(x: Array, a: float) -> tuple[Array, Array]:
        return a * rosenbrock(x), a * rosenbrock_jacobian(x)

    assert check_jacobian(both, True, [-1.2, 1.0], (3.0,))
    assert check_jacobian(lambda x, a: both(x, a)[0], lambda x, a: both(x, a)[1], [-1.2, 1.0], args=(3.0,))
    assert not check_jacobian(lambda x, a: both(x, a)[0], lambda x, a: both(x, 1.0)[1], [-1.2, 1.0], args=(3.0,))


def test_check_names_an_entry_that_is_not_finite() -> None:
    check = check_jacobian(rosenbrock, lambda x: np.array([[24.0, 10], [-1, np.nan]]), [-1.2, 1.0])
    assert not check
    assert check.worst == (1, 1)
    assert check.error == np.inf


def test_check_of_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"jac.*\(2, 2\).*\(2, 3\)"):
        check_jacobian(rosenbrock, lambda x: np.ones((2, 3)), [-1.2, 1.0])


@pytest.mark.parametrize(
    "form", [np.asfortranarray, lambda a: a.tolist(), lambda a: a.astype(np.float32), lambda a: a.astype(">f8")]
)
def test_check_of_jacobians_in_any_form(form: Callable[[Array], Any]) -> None:
    assert check_jacobian(rosenbrock, lambda x: form(rosenbrock_jacobian(x)), [-1.25, 1.0])
    assert check_jacobian(lambda x: x[0] - np.arange(3), lambda x: form(np.ones(3)), [1.0])


def test_check_stays_in_the_bounds() -> None:
    fun = Recorder(rosenbrock)
    assert check_jacobian(fun, rosenbrock_jacobian, [0.8, 0.0], bounds=([0, 0], [0.8, 2]))
    assert all(np.all((x >= 0) & (x <= [0.8, 2])) for x in fun.points)
