"""What results answer about uncertainty, against truths that owe nothing to the library."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from helpers import FACES, T, decay_to, rosenbrock, solve
from marquardt import Result, _questions, _result, _student, lm_solve, lsqtr, nist

Array = np.ndarray
RNG = np.random.default_rng(20240607)
NOISE = RNG.normal(0, 0.05, T.size)
Y = 2.5 * np.exp(-1.3 * T) + 0.5 + NOISE
X12 = np.linspace(1, 3, 12)
Y12 = 6 * X12 + 0.01 * np.sin(9 * X12)
SCHEMES = ("2-point", "3-point", "cs")
A = np.column_stack([np.ones(20), np.linspace(0, 1, 20), np.linspace(0, 1, 20) ** 2])
B = A @ [1.0, -2.0, 3.0] + RNG.normal(0, 0.1, 20)


def curve(x: Array, p: Array) -> Array:
    return p[0] * np.exp(-p[1] * x) + p[2]


def curve_residuals(p: Array) -> Array:
    return curve(T, p) - Y


def decay_fit(face: str = "lm", **settings: Any) -> Result:
    fun, jac = decay_to(T, Y)
    return solve(face, fun, [1.0, 1.0, 1.0], jac, tolerance=None, **settings)


def linear_fit(face: str = "lm", **settings: Any) -> Result:
    return solve(face, lambda p: A @ p - B, [0.0, 0.0, 0.0], lambda p: A, tolerance=None, **settings)


def linear_truth() -> tuple[Array, Array, float]:
    """Return parameters, standard errors and s of the linear fit in 50 digits."""
    with mpmath.workdps(50):
        J, b = mpmath.matrix(A.tolist()), mpmath.matrix(B.tolist())
        inverse = (J.T * J) ** -1
        x = inverse * (J.T * b)
        r = J * x - b
        s2 = (r.T * r)[0] / (20 - 3)
        errors = [mpmath.sqrt(s2 * inverse[j, j]) for j in range(3)]
        return np.array([float(v) for v in x]), np.array([float(e) for e in errors]), float(mpmath.sqrt(s2))


# ---- Student's t -----------------------------------------------------------------------------------------------------

DOFS = (0.5, 1, 1.5, 2, 3, 4, 7, 10, 30, 79, 81, 300, 1e3, 1e4, 9.9e4, 1.1e5, 1e7, 1e12, np.inf)


@pytest.mark.parametrize("dof", DOFS)
def test_quantiles(dof: float) -> None:
    for p in (1e-12, 1e-5, 0.005, 0.025, 0.05, 0.2, 0.4, 0.49, 0.7, 0.975, 0.9995):
        assert _student.quantile(p, dof) == pytest.approx(scipy.stats.t.ppf(p, dof), rel=2e-11)


@pytest.mark.parametrize("dof", DOFS)
def test_distribution_functions(dof: float) -> None:
    for t in (-1e4, -12.0, -2.0, -0.1, 0.0, 0.1, 1.0, 3.0, 50.0, np.inf):
        assert _student.cdf(t, dof) == pytest.approx(scipy.stats.t.cdf(t, dof), rel=2e-11, abs=1e-300)


@pytest.mark.parametrize("dof", [0.7, 1, 5, 40, 1000.5, 2e5])
@pytest.mark.parametrize("t", [0.3, 2.0, 9.0, 1e3])
def test_tails_in_thirty_digits(dof: float, t: float) -> None:
    with mpmath.workdps(30):
        x = mpmath.mpf(dof) / (mpmath.mpf(dof) + mpmath.mpf(t) ** 2)
        tail = mpmath.betainc(mpmath.mpf(dof) / 2, mpmath.mpf(1) / 2, 0, x, regularized=True) / 2
    if tail > 1e-280:
        assert _student.cdf(-t, dof) == pytest.approx(float(tail), rel=1e-10)
        assert _student.quantile(float(tail), dof) == pytest.approx(-t, rel=1e-10)


def test_the_cauchy_distribution_far_out() -> None:
    assert _student.quantile(1e-300, 1) == pytest.approx(-1e300 / np.pi, rel=1e-12)
    assert _student.quantile(1e-300, 0.5) == -np.inf  # about -1e600
    assert _student.cdf(-1e200, 1) == pytest.approx(1e-200 / np.pi, rel=1e-12)


def test_quantiles_at_the_ends() -> None:
    assert _student.quantile(0.0, 3) == -np.inf
    assert _student.quantile(1.0, 3) == np.inf
    assert _student.quantile(0.5, 3) == 0
    for p, dof in ((-0.1, 3), (1.1, 3), (np.nan, 3), (0.1, 0), (0.1, -1), (0.1, np.nan)):
        assert np.isnan(_student.quantile(p, dof))
    for t, dof in ((np.nan, 3), (0.1, 0), (0.1, np.nan)):
        assert np.isnan(_student.cdf(t, dof))


# ---- standard errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", nist.names())
@pytest.mark.parametrize("face", ["lm", "tr-svd"])
def test_certified_standard_deviations(face: str, name: str) -> None:
    """At the certified parameters, given to 11 digits, so that the solver has no part in it."""
    problem = nist.load(name)
    result = solve(face, problem.residual, problem.certified, problem.jacobian, tolerance=1e-3, max_nfev=1)
    m, n = problem.y.size, problem.certified.size
    np.testing.assert_array_equal(result.x, problem.certified)
    assert result.dof == m - n
    assert result.reduced_chi_square == result.variance
    assert result.undetermined == []
    s = np.sqrt(problem.rss / (m - n))
    if name == "Lanczos1":  # residuals of 1e-13, below what eleven digits of the parameters leave
        errors = np.sqrt(np.diagonal(result.covariance(scale=False))) * s
    else:
        errors = result.stderr
        assert np.sqrt(result.variance) == pytest.approx(s, rel=1e-7)
    np.testing.assert_allclose(errors, problem.standard_deviation, rtol=1e-7)


@pytest.mark.parametrize("name", ["Misra1a", "Chwirut2", "DanWood", "Kirby2", "Thurber", "Rat43", "Bennett5", "MGH10"])
@pytest.mark.parametrize("scheme", SCHEMES[:2])
def test_certified_standard_deviations_from_differences(scheme: str, name: str) -> None:
    problem = nist.load(name)
    result = lm_solve(problem.residual, problem.starts[1], jac=scheme, max_nfev=5000, ftol=None, xtol=None, gtol=None)
    assert result.undetermined == []
    np.testing.assert_allclose(result.stderr, problem.standard_deviation, rtol=1e-3)


@pytest.mark.parametrize("face", FACES)
def test_covariance_is_that_of_scipy(face: str) -> None:
    result = decay_fit(face)
    popt, pcov = scipy.optimize.curve_fit(lambda x, a, b, c: curve(x, [a, b, c]), T, Y, [1, 1, 1], ftol=1e-14)
    np.testing.assert_allclose(result.x, popt, rtol=1e-6)
    np.testing.assert_allclose(result.covariance(), pcov, rtol=1e-4)
    np.testing.assert_allclose(result.stderr, np.sqrt(np.diag(pcov)), rtol=1e-4)
    unscaled = np.linalg.inv(result.jacobian.T @ result.jacobian)
    np.testing.assert_allclose(result.covariance(scale=False), unscaled, rtol=1e-10)
    np.testing.assert_allclose(result.covariance(scale=True), unscaled * result.variance, rtol=1e-10)
    errors = result.stderr
    np.testing.assert_allclose(result.correlation, pcov / np.outer(errors, errors), rtol=1e-4)
    np.testing.assert_array_equal(np.diagonal(result.correlation), 1)


@pytest.mark.parametrize("face", FACES)
def test_linear_models_are_exact(face: str) -> None:
    result = linear_fit(face)
    x, errors, s = linear_truth()
    np.testing.assert_allclose(result.x, x, rtol=1e-9)
    np.testing.assert_allclose(result.stderr, errors, rtol=1e-11)
    assert np.sqrt(result.variance) == pytest.approx(s, rel=1e-11)
    for level in (0.5, 0.95, 0.999):
        t = scipy.stats.t.ppf((1 + level) / 2, 17)
        expected = np.column_stack([x - t * errors, x + t * errors])
        np.testing.assert_allclose(result.confidence_intervals(level), expected, rtol=1e-8)


def test_units_of_parameters_do_not_matter() -> None:
    """Columns of length 1e-150 to 1e150, of which the squares of sums would overflow."""
    units = np.array([1e150, 1.0, 1e-150])
    plain = linear_fit()
    scaled = Result(plain, x=plain.x / units, jacobian=A * units)
    np.testing.assert_allclose(scaled.stderr * units, plain.stderr, rtol=1e-10)
    np.testing.assert_allclose(scaled.correlation, plain.correlation, rtol=1e-9)
    assert scaled.condition == pytest.approx(plain.condition, rel=1e-10)


def test_condition_is_that_of_scaled_columns() -> None:
    expected = np.linalg.cond(A / np.linalg.norm(A, axis=0))
    assert linear_fit().condition == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95, np.nan])
def test_levels_are_between_0_and_1(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        linear_fit().confidence_intervals(level)


def test_intervals_cover_as_often_as_they_say() -> None:
    """Of 400 fits of a mildly nonlinear model 95 % of the intervals hold the truth, within three standard errors."""
    rng = np.random.default_rng(5)
    truth, x = np.array([2.0, 0.7]), np.linspace(0.1, 2, 12)
    held = np.zeros(2)
    for _ in range(400):
        y = truth[0] * np.exp(-truth[1] * x) + rng.normal(0, 0.03, x.size)
        fit = lm_solve(lambda p, y=y: p[0] * np.exp(-p[1] * x) - y, truth)
        low, high = fit.confidence_intervals().T
        held += (low <= truth) & (truth <= high)
    assert np.all(np.abs(held / 400 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400))


# ---- bounds and fixed parameters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
def test_parameters_at_bounds_count_as_known(face: str) -> None:
    """Held at c = 0.6, the others have the uncertainty of a fit in which c is no parameter."""
    bound = decay_fit(face, bounds=([0, 0, 0.6], [9, 9, 9]))
    assert bound.active_mask.tolist() == [0, 0, -1]
    alone = solve(
        face,
        lambda p: curve_residuals([*p, 0.6]),
        [1.0, 1.0],
        lambda p: decay_to(T, Y)[1](np.array([*p, 0.6]))[:, :2],
        tolerance=None,
    )
    np.testing.assert_allclose(bound.covariance()[:2, :2], alone.covariance(), rtol=1e-5)
    np.testing.assert_array_equal(bound.covariance()[2], 0)
    np.testing.assert_array_equal(bound.covariance()[:, 2], 0)
    assert bound.dof == T.size - 2
    assert np.isnan(bound.correlation[2]).all()
    assert bound.confidence_intervals()[2] == pytest.approx([0.6, 0.6], rel=1e-12)
    assert any("p2 is at a bound" in sentence for sentence in bound.cautions)


@pytest.mark.parametrize("face", FACES)
def test_fixed_parameters_count_as_known(face: str) -> None:
    fixed = decay_fit(face, bounds=([0, 1.1, 0], [9, 1.1, 9]))
    assert fixed.dof == T.size - 2
    assert fixed.stderr[1] == 0
    assert fixed.cautions == []
    free = fixed.jacobian[:, [0, 2]]
    expected = np.linalg.inv(free.T @ free) * 2 * fixed.cost / (T.size - 2)
    np.testing.assert_allclose(fixed.covariance()[np.ix_([0, 2], [0, 2])], expected, rtol=1e-9)
    with pytest.raises(ValueError, match="p1 is fixed"):
        fixed.profile(1)


@pytest.mark.parametrize("face", FACES)
def test_intervals_are_cut_at_bounds(face: str) -> None:
    plain = decay_fit(face)
    low, high = plain.confidence_intervals()[2]
    upper = (plain.x[2] + high) / 2
    cut = decay_fit(face, bounds=([0, 0, 0], [9, 9, upper]))
    assert cut.confidence_intervals()[2] == pytest.approx([low, upper], rel=1e-4)


# ---- what is not determined ------------------------------------------------------------------------------------------

REDUNDANT: dict[str, tuple[Callable[[Array], Array], list[float], str]] = {
    "product": (lambda p: p[0] * p[1] * X12, [2.0, 1.0], "only the product p0*p1 is determined"),
    "sum": (lambda p: (p[0] + p[1]) * X12, [2.0, 1.0], "only the sum p0 + p1 is determined"),
    "difference": (lambda p: (p[0] - p[1]) * X12, [2.0, 1.0], "only the difference p0 - p1 is determined"),
    "ratio": (lambda p: p[0] / p[1] * X12, [5.0, 1.0], "only the ratio p0/p1 is determined"),
    "power": (lambda p: p[0] ** 2 * p[1] * X12, [2.0, 1.1], "only the product p0**2*p1 is determined"),
    "three": (lambda p: p[0] * p[1] / p[2] * X12, [2.0, 1.1, 0.7], "only the ratio p0*p1/p2 is determined"),
    "weights": (lambda p: (p[0] + 2 * p[1]) * X12, [2.0, 1.1], "only the sum p0 + 2*p1 is determined"),
    "silent": (lambda p: p[0] * X12 + 0 * p[1], [2.0, 1.1], "p1 has no influence on the residuals"),
    "scale": (
        lambda p: p[0] * (p[1] * X12 + p[2]),
        [2.0, 1.1, 0.4],
        "p0, p1 and p2 are not determined separately: multiplying p0 by t, p1 by 1/t and p2 by 1/t changes no residual",
    ),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", REDUNDANT)
def test_what_is_undetermined_is_named(name: str, face: str, scheme: str) -> None:
    model, start, expected = REDUNDANT[name]
    result = solve(face, lambda p: model(p) - Y12, start, scheme)
    assert result.success
    assert result.undetermined == [expected]
    assert result.condition == np.inf
    said = [j for j in range(len(start)) if f"p{j}" in expected]
    assert np.isinf(result.stderr[said]).all()
    assert np.isfinite(np.delete(result.stderr, said)).all()
    assert np.isneginf(result.confidence_intervals()[said, 0]).all()


def test_the_noise_of_a_jacobian_follows_from_how_it_was_made() -> None:
    noise = _questions.noise_of
    assert noise(None, 0) == noise(True, 0) == noise(rosenbrock, 9) == noise("cs", 9) == noise("cs", 9, [1e-3]) == 0
    assert 0 < noise("3-point", 9) < noise("2-point", 9) == noise(None, 9) < 1e-5
    assert noise("2-point", 9, [1e-7, 1e-3]) == 1e-4
    assert 1e-7 < noise("2-point", 9, [1e-7, 1e-7]) < 1e-4
    assert 1e-9 < noise("3-point", 9, [1e-5]) < 1e-7


def test_products_and_sums_are_told_apart_where_first_order_cannot() -> None:
    """At a = b the products and the sums of both change alike; only a finite move shows which it is."""
    for model, word in ((lambda p: p[0] * p[1] * X12, "product p0*p1"), (lambda p: (p[0] + p[1]) * X12, "sum p0 + p1")):
        result = lm_solve(lambda p, model=model: model(p) - Y12, [1.5, 1.5])
        np.testing.assert_allclose(result.x[0], result.x[1], rtol=1e-9)
        assert result.undetermined == [f"only the {word} is determined"]
        kept = pickle.loads(pickle.dumps(result))  # the function is lost
        (sentence,) = kept.undetermined
        assert "one combination, such as the product p0*p1 or the sum p0 + p1, is" in sentence


def test_coincidences_are_not_taken_for_structure() -> None:
    """exp(a)*b: at b = 2 a unit of a weighs as much as two of b, but neither a sum nor a product of theirs is kept."""
    with np.errstate(over="ignore", invalid="ignore"):  # steps along what is not determined may go far
        result = lsqtr(lambda p: np.exp(p[0]) * p[1] * X12 - Y12, [np.log(2.99), 2.0], "3-point", verbose=0)
    (sentence,) = result.undetermined
    assert "to first order" in sentence
    assert "product" not in sentence
    assert "sum" not in sentence


def test_what_else_is_determined_keeps_its_standard_error() -> None:
    """A redundant factor leaves the errors of the other parameters as they are without it."""
    plain = lm_solve(lambda p: p[0] * np.exp(-p[1] * T) + p[2] - Y, [1.0, 1, 1], ftol=None, xtol=None, gtol=None)
    redundant = lm_solve(
        lambda p: p[0] * p[3] * np.exp(-p[1] * T) + p[2] - Y, [1.0, 1, 1, 1.7], ftol=None, xtol=None, gtol=None
    )
    np.testing.assert_allclose(redundant.stderr[[1, 2]], plain.stderr[[1, 2]], rtol=1e-4)
    assert np.isinf(redundant.stderr[[0, 3]]).all()
    assert redundant.dof == plain.dof
    assert redundant.undetermined == ["only the product p0*p3 is determined"]
    assert np.isnan(redundant.correlation[0]).all()


def test_two_groups_are_two_sentences() -> None:
    fun = lambda p: p[0] * p[1] * X12 + p[2] - p[3] - Y12  # noqa: E731
    result = lsqtr(fun, [2.0, 1.3, 0.7, 0.2], "3-point", verbose=0)
    assert sorted(result.undetermined) == [
        "only the difference p2 - p3 is determined",
        "only the product p0*p1 is determined",
    ]


def test_moves_stay_within_the_bounds() -> None:
    """The function is not asked beyond the bounds, not even to tell a product from a sum."""

    def fun(p: Array) -> Array:
        assert np.all(p >= 0)
        assert np.all(p <= 2.6)
        return p[0] * p[1] * X12 - Y12

    result = lm_solve(fun, [2.4, 2.4], bounds=(0, 2.6))
    assert result.undetermined == ["only the product p0*p1 is determined"]
    np.testing.assert_array_equal(result.confidence_intervals(), [[0, 2.6], [0, 2.6]])


def test_more_parameters_than_residuals() -> None:
    result = lm_solve(lambda p: np.array([p[0] + p[1] + p[2] - 1, p[0] - 2.0]), [0.1, 0.2, 0.4])
    assert result.undetermined == ["only the sum p1 + p2 is determined"]
    assert result.dof == 0
    assert np.isinf(result.stderr).all()
    assert np.isfinite(result.covariance(scale=False)[0, 0])


@pytest.mark.parametrize("face", FACES)
def test_as_many_parameters_as_residuals(face: str) -> None:
    """Nothing is left to estimate the errors from: infinite, with a sentence, unless they are known."""
    result = solve(face, lambda p: p - [1.0, 2], [0.0, 0], lambda p: np.eye(2))
    assert result.dof == 0
    assert np.isinf(result.stderr).all()
    assert np.isnan(result.variance)
    assert np.isnan(result.reduced_chi_square)
    assert "no degrees of freedom" in result.cautions[0]
    np.testing.assert_array_equal(result.confidence_intervals(), [[-np.inf, np.inf]] * 2)
    np.testing.assert_array_equal(result.covariance(scale=False), np.eye(2))
    np.testing.assert_array_equal(result.correlation, np.eye(2))
    with pytest.raises(ValueError, match="degrees of freedom"):
        result.profile(0)
    _result.attach(result, lambda: _result.Hooks(absolute_sigma=True))
    np.testing.assert_array_equal(result.stderr, 1)
    np.testing.assert_allclose(
        result.confidence_intervals()[0], [1 - 1.959963984540054, 1 + 1.959963984540054], rtol=1e-5
    )


@pytest.mark.parametrize("face", FACES)
def test_a_jacobian_that_was_never_evaluated(face: str) -> None:
    result = solve(face, lambda p: p * np.nan, [1.0, 2], lambda p: np.eye(2))
    assert np.isnan(result.stderr).all()
    assert np.isnan(result.covariance()).all()
    assert np.isnan(result.condition)
    assert result.undetermined == []
    assert result.cautions == ["no standard errors: the Jacobian is not known at x"]


# ---- robust losses ---------------------------------------------------------------------------------------------------

LOSSES = ("soft_l1", "huber", "cauchy", "arctan", "tukey")


def huber_formula(r: Array, J: Array, psi: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Array:
    """Huber 1981, equation 7.6.6 without K."""
    m, n = J.shape
    variance = np.sum(psi(r) ** 2) / (m - n) / np.mean(slope(r)) ** 2
    return variance * np.linalg.inv(J.T @ J)


@pytest.mark.parametrize("face", FACES)
def test_the_covariance_under_a_robust_loss_is_that_of_huber(face: str) -> None:
    y = Y.copy()
    y[[5, 17, 33]] += [2.0, -1.5, 3.0]
    fun, jac = decay_to(T, y)
    C = 0.05
    result = solve(face, fun, [1.0, 1, 1], jac, loss="huber", f_scale=C)
    r, J = fun(result.x), jac(result.x)
    expected = huber_formula(r, J, lambda r: np.clip(r, -C, C), lambda r: (np.abs(r) <= C).astype(float))
    np.testing.assert_allclose(result.covariance(), expected, rtol=1e-9)
    np.testing.assert_allclose(result.covariance(scale=False), np.linalg.inv(J.T @ J), rtol=1e-9)
    cauchy = solve(face, fun, result.x, jac, loss="cauchy", f_scale=C)
    r, J = fun(cauchy.x), jac(cauchy.x)
    u = r / C
    expected = huber_formula(
        r, J, lambda r: r / (1 + u * u), lambda r: (1 - u * u) / (1 + u * u) ** 2
    )  # fmt: skip
    np.testing.assert_allclose(cauchy.covariance(), expected, rtol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_wide_loss_is_plain_least_squares(loss: str) -> None:
    plain, wide = decay_fit(), decay_fit(loss=loss, f_scale=1e4)
    np.testing.assert_allclose(wide.covariance(), plain.covariance(), rtol=1e-5)
    assert wide.dof == plain.dof


@pytest.mark.parametrize("loss", [*LOSSES, "welsch"])
def test_derivatives_of_losses(loss: str) -> None:
    z = np.array([0.01, 0.3, 0.9, 1.7, 20.0])
    rho, first, second = _questions._rho(loss, z)
    h = 1e-5 * z
    ahead, back = _questions._rho(loss, z + h), _questions._rho(loss, z - h)
    np.testing.assert_allclose((ahead[0] - back[0]) / (2 * h), first, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose((ahead[1] - back[1]) / (2 * h), second, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(_questions._rho(loss, np.array([1e-14]))[0], 1e-14, rtol=1e-2)
    assert np.all(rho >= 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_outliers_hardly_widen_robust_errors(loss: str) -> None:
    """One outlier in ten: plain errors grow by a factor of five and more, robust ones by less than two."""
    y = Y.copy()
    y[::10] += 3
    fun, jac = decay_to(T, y)
    clean = decay_fit().stderr
    plain = lm_solve(fun, [2.5, 1.3, 0.5], jac=jac).stderr
    robust = lm_solve(fun, [2.5, 1.3, 0.5], jac=jac, loss=loss, f_scale=0.1).stderr
    assert np.all(plain > 5 * clean)
    assert np.all(robust < 2.5 * clean)
    assert np.all(robust > 0.7 * clean)


def test_robust_errors_are_those_of_repeated_experiments() -> None:
    rng = np.random.default_rng(11)
    x = np.linspace(0, 1, 60)
    J = np.column_stack([np.ones(60), x])
    found, errors = [], []
    for _ in range(300):
        y = 1 + 2 * x + 0.1 * rng.standard_t(3, 60)
        fit = lm_solve(lambda p, y=y: J @ p - y, [1.0, 2], jac=lambda p: J, loss="huber", f_scale=0.1)
        found.append(fit.x)
        errors.append(fit.stderr)
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(found, axis=0), rtol=0.12)  # 300 are good to 4 %


# ---- profiles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_profiles_of_linear_models_are_the_t_intervals(face: str, level: float) -> None:
    result = linear_fit(face)
    x, errors, _ = linear_truth()
    t = scipy.stats.t.ppf((1 + level) / 2, 17)
    for j in range(3):
        profile = result.profile(j, level)
        np.testing.assert_allclose(profile.interval, [x[j] - t * errors[j], x[j] + t * errors[j]], rtol=1e-6)
        np.testing.assert_allclose(profile.tau, (profile.values - x[j]) / errors[j], rtol=1e-6, atol=1e-7)
        assert profile.notes == []
        assert len(profile.values) == 3  # the first step on either side is the end


@pytest.mark.parametrize("face", FACES)
def test_profiles_end_where_the_cost_has_risen_enough(face: str) -> None:
    """Against a search by other means: SciPy's brentq over fits by SciPy with the parameter held."""
    result = decay_fit(face)
    t = scipy.stats.t.ppf(0.975, T.size - 3)
    best = scipy.optimize.least_squares(curve_residuals, result.x, ftol=1e-15, xtol=1e-15, gtol=1e-15)
    s2 = 2 * best.cost / (T.size - 3)

    def excess(b: float) -> float:
        # for b held the model is linear in a and c
        columns = np.column_stack([np.exp(-b * T), np.ones_like(T)])
        rss = float(np.linalg.lstsq(columns, Y, rcond=None)[1][0])
        return (rss - 2 * best.cost) / s2 - t * t

    b = best.x[1]
    expected = [
        scipy.optimize.brentq(excess, b - 1, b, xtol=1e-13),
        scipy.optimize.brentq(excess, b, b + 2, xtol=1e-13),
    ]
    profile = result.profile("p1")
    np.testing.assert_allclose(profile.interval, expected, rtol=1e-6)
    assert profile.interval[1] - b > (b - profile.interval[0]) * 1.01  # no symmetric interval
    assert np.all(np.diff(profile.values) > 0)
    assert np.all(np.diff(profile.tau) > 0)
    assert len(profile.values) < 12
    for value, x in zip(profile.values, profile.x, strict=True):
        assert x[1] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(profile.cost, [0.5 * np.sum(curve_residuals(x) ** 2) for x in profile.x], rtol=1e-9)


@pytest.mark.parametrize("points", [9, [1.0, 1.3, 1.6]], ids=str)
def test_profiles_are_tabulated(points: Any) -> None:
    result = decay_fit()
    profile = result.profile(1, points=points)
    wanted = np.linspace(*profile.interval, 9) if points == 9 else points
    for value in wanted:
        assert np.min(np.abs(profile.values - value)) < 1e-12
    assert profile.tau.shape == profile.cost.shape == profile.values.shape == profile.x.shape[:1]


@pytest.mark.parametrize("face", FACES)
def test_a_profile_ends_at_the_bound(face: str) -> None:
    plain = decay_fit(face)
    low, high = plain.profile(2).interval
    upper = (plain.x[2] + high) / 2
    interval = decay_fit(face, bounds=([0, 0, 0], [9, 9, upper])).profile(2).interval
    assert interval == pytest.approx([low, upper], rel=1e-5)


@pytest.mark.parametrize("face", FACES)
def test_the_profile_of_a_parameter_at_its_bound(face: str) -> None:
    """Its standard error is 0, but its profile says how far the data allow."""
    result = decay_fit(face, bounds=([0, 0, 0.51], [9, 9, 9]))
    assert result.active_mask[2] == -1
    low, high = result.profile(2).interval
    assert low == 0.51
    assert 0.52 < high < 0.6


def test_the_profile_of_what_is_not_determined_has_no_end() -> None:
    result = lm_solve(lambda p: p[0] * p[1] * np.exp(-p[2] * T) - Y, [2.0, 1.3, 1.0])
    profile = result.profile(0)
    assert profile.interval.tolist() == [-np.inf, np.inf]
    assert len(profile.notes) == 2
    assert "does not rise enough" in profile.notes[0]
    assert np.isfinite(result.profile(2).interval).all()


def test_a_profile_that_finds_a_better_fit_says_so() -> None:
    """Two valleys, and the solve ended in the shallow one."""

    def fun(p: Array) -> Array:
        return np.array([p[0] ** 2 - 1, 0.5 * (p[0] - 1), p[1] - 3, 0.1 * p[1] - 0.25, 0.2])

    result = lm_solve(fun, [-1.1, 0.0], ftol=None, xtol=None, gtol=None)
    assert result.x[0] < 0
    profile = result.profile(0, points=[1.0])
    assert any("better fit" in note for note in profile.notes)


def test_the_profile_under_a_robust_loss_is_near_its_interval() -> None:
    y = Y.copy()
    y[[5, 17, 33]] += 2
    fun, jac = decay_to(T, y)
    result = lm_solve(fun, [2.5, 1.3, 0.5], jac=jac, loss="soft_l1", f_scale=0.1)
    for j in range(3):
        np.testing.assert_allclose(result.profile(j).interval, result.confidence_intervals()[j], rtol=0.12)


@pytest.mark.parametrize("which", ["p7", 3, -4, 1.5, None], ids=repr)
def test_a_profile_of_nothing_is_refused(which: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="parameter"):
        linear_fit().profile(which)


def test_indices_count_from_the_end_too() -> None:
    result = linear_fit()
    np.testing.assert_array_equal(result.profile(-1).interval, result.profile("p2").interval)


# ---- predictions -----------------------------------------------------------------------------------------------------


def with_model(result: Result, **settings: Any) -> Result:
    """The result as a curve fit gives it."""
    old = result._hooks
    hooks = _result.Hooks(("a", "b", "c"), old.refit, curve, T, Y, **settings, request=old.request)
    _result.attach(result, lambda: hooks)
    return result


def test_predictions() -> None:
    result = with_model(decay_fit())
    np.testing.assert_array_equal(result.predict(), curve(T, result.x))
    np.testing.assert_array_equal(result.predict([1, 5]), curve(np.array([1, 5]), result.x))
    x = np.array([0.3, 2.0, 7.0])
    e = np.exp(-result.x[1] * x)
    G = np.stack([e, -result.x[0] * x * e, np.ones(3)], axis=1)
    variance = np.einsum("ij,jk,ik->i", G, result.covariance(), G)
    t = scipy.stats.t.ppf(0.975, T.size - 3)
    values, low, high = result.predict(x, band="confidence")
    np.testing.assert_allclose(values, curve(x, result.x))
    np.testing.assert_allclose(high - values, t * np.sqrt(variance), rtol=1e-6)
    np.testing.assert_allclose(values - low, t * np.sqrt(variance), rtol=1e-6)
    t = scipy.stats.t.ppf(0.9, T.size - 3)
    values, low, high = result.predict(x, band="prediction", level=0.8)
    np.testing.assert_allclose(high - low, 2 * t * np.sqrt(variance + result.variance), rtol=1e-6)


def test_predictions_of_a_redundant_model_are_determined() -> None:
    """The parameters are not, but the curve is; its band is that of the model without the redundancy."""
    plain = with_model(decay_fit())
    redundant = lm_solve(lambda p: p[3] * p[0] * np.exp(-p[1] * T) + p[2] - Y, [*plain.x, 1.0])
    model = lambda x, p: p[3] * p[0] * np.exp(-p[1] * x) + p[2]  # noqa: E731
    hooks = _result.Hooks(model=model, xdata=T, request=redundant._hooks.request)
    _result.attach(redundant, lambda: hooks)
    assert np.isinf(redundant.stderr[[0, 3]]).all()
    np.testing.assert_allclose(redundant.predict(band="confidence"), plain.predict(band="confidence"), rtol=1e-5)


def test_predictions_of_what_is_open_have_no_band() -> None:
    result = lm_solve(lambda p: p[0] * p[1] * X12 - Y12, [2.0, 1.0])
    _result.attach(result, lambda: _result.Hooks(model=lambda x, p: p[0] * x, xdata=X12))
    _, low, high = result.predict(band="confidence")
    assert np.isneginf(low).all()
    assert np.isposinf(high).all()


def test_new_observations_have_the_errors_of_the_data() -> None:
    sigma = np.linspace(0.02, 0.1, T.size)
    weighted = lm_solve(lambda p: curve_residuals(p) / sigma, [1.0, 1, 1])
    for absolute in (False, True):
        result = with_model(weighted, sigma=sigma, absolute_sigma=absolute)
        s = 1.0 if absolute else np.sqrt(result.variance)
        _, low, high = result.predict(band="confidence")
        quantile = 1.959963984540054 if absolute else scipy.stats.t.ppf(0.975, T.size - 3)
        expected = np.hypot((high - low) / 2, quantile * s * sigma)
        _, low, high = result.predict(band="prediction")
        np.testing.assert_allclose((high - low) / 2, expected, rtol=1e-9)
        with pytest.raises(ValueError, match="sigma"):
            result.predict(np.array([1.0]), band="prediction")
        _, low, high = result.predict(np.array([1.0]), band="prediction", sigma=3.0)
        assert (high - low)[0] == pytest.approx(2 * quantile * s * 3.0, rel=1e-3)
    same = with_model(weighted, sigma=np.full(T.size, 0.05))
    assert same.predict(np.array([1.0]), band="prediction")[0].shape == (1,)
    full = with_model(weighted, sigma=np.diag(sigma**2))
    np.testing.assert_allclose(
        full.predict(band="prediction"), with_model(weighted, sigma=sigma).predict(band="prediction"), rtol=1e-12
    )


def test_bands_without_degrees_of_freedom_are_infinite() -> None:
    result = lm_solve(lambda p: p - [1.0, 2], [0.0, 0])
    _result.attach(result, lambda: _result.Hooks(model=lambda x, p: p[0] + p[1] * x, xdata=X12))
    _, low, high = result.predict(band="prediction")
    assert np.isneginf(low).all()
    assert np.isposinf(high).all()


def test_an_unknown_band_is_refused() -> None:
    with pytest.raises(ValueError, match="band"):
        with_model(decay_fit()).predict(band="both")


# ---- names, trees, copies --------------------------------------------------------------------------------------------


def test_names() -> None:
    assert decay_fit().names == ["p0", "p1", "p2"]
    assert with_model(decay_fit()).names == ["a", "b", "c"]
    assert with_model(decay_fit()).profile("b").name == "b"


def test_results_with_trees_answer() -> None:
    flat = decay_fit()
    tree = lm_solve(
        lambda p: p["gain"] * np.exp(-p["rate"][0] * T) + p["rate"][1] - Y,
        {"gain": 1.0, "rate": np.array([1.0, 1.0])},
        bounds=(0, 9),
        ftol=None,
        xtol=None,
        gtol=None,
    )
    assert tree.names == ["gain", "rate[0]", "rate[1]"]
    np.testing.assert_allclose(tree.stderr, flat.stderr, rtol=1e-4)
    np.testing.assert_allclose(tree.confidence_intervals(), flat.confidence_intervals(), rtol=1e-4)
    np.testing.assert_allclose(tree.profile("rate[0]").interval, flat.profile(1).interval, rtol=1e-4)
    again = pickle.loads(pickle.dumps(tree))
    np.testing.assert_array_equal(again.stderr, tree.stderr)
    matrix = lm_solve(lambda p: (A @ p - np.column_stack([B, 2 * B])).ravel(), np.zeros((3, 2)))
    assert matrix.stderr.shape == (6,)
    np.testing.assert_allclose(matrix.profile(0).interval, matrix.confidence_intervals()[0], rtol=1e-5)


def lost(result: Result) -> None:
    with pytest.raises(ValueError, match=r"profile.*pickle"):
        result.profile(0)
    with pytest.raises(ValueError, match=r"predict.*pickle"):
        result.predict()
    with pytest.raises(ValueError, match=r"plot.*pickle"):
        result.plot()


def test_functions_that_do_not_pickle_are_dropped() -> None:
    result = decay_fit(bounds=([0, 0, 0], [9, 9, 0.5]), loss="huber", f_scale=0.02)
    request = result._hooks.request
    hooks = _result.Hooks(
        ("a", "b", "c"), lambda fixed, x: None, lambda x, p: 0, T, Y, None, absolute_sigma=True, request=request
    )
    _result.attach(result, lambda: hooks)
    again = pickle.loads(pickle.dumps(result))
    lost(again)
    assert again.names == ["a", "b", "c"]
    np.testing.assert_array_equal(again.covariance(), result.covariance())
    np.testing.assert_array_equal(again.confidence_intervals(), result.confidence_intervals())
    np.testing.assert_array_equal(again._hooks.xdata, T)
    assert str(again) == str(result)


def test_functions_that_pickle_are_kept() -> None:
    settings: dict[str, Any] = {"ftol": None, "xtol": None, "gtol": None}
    result = lm_solve(partial(np.subtract, np.array([1.0, 2, 4])), [0.1, 1.0, 2.0], **settings)
    model = _result.Hooks(model=np.multiply, xdata=2.0)
    _result.attach(result, lambda: model)
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.predict(), 2 * result.x)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy], ids=lambda f: f.__name__)
def test_copies_answer_as_well(how: Any) -> None:
    result = with_model(decay_fit())
    _ = result.stderr
    again = how(result)
    np.testing.assert_array_equal(again.stderr, result.stderr)
    np.testing.assert_array_equal(again.profile("a").interval, result.profile("a").interval)
    np.testing.assert_array_equal(again.predict(), result.predict())


def test_answers_are_kept_until_the_result_changes() -> None:
    result = decay_fit()
    first = result._uncertainty()
    assert result._uncertainty() is first
    before = result.stderr
    before[:] = 0  # of the caller's
    assert np.all(result.stderr > 0)
    result.jacobian = 2 * result.jacobian
    np.testing.assert_allclose(result.stderr, first.stderr / 2, rtol=1e-12)


def test_a_question_adds_no_item() -> None:
    result = decay_fit()
    before = list(result)
    _ = result.stderr, result.undetermined, str(result)
    assert list(result) == before


def test_a_solve_computes_no_answer() -> None:
    assert "_answers" not in decay_fit().__dict__
