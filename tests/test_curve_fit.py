"""`curve_fit`: SciPy's meanings against SciPy itself, and what goes beyond them."""

from __future__ import annotations

import functools
import inspect
import math
import multiprocessing.pool
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import marquardt
from marquardt import CovarianceWarning, CurveFit, FitError, FitWarning, curve_fit

Array = np.ndarray
T = np.linspace(0, 4, 50)
Y = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * np.random.default_rng(1).standard_normal(T.size)
SIGMA = 0.02 * (1 + T)


def decay(t: Array, a: float, b: float, c: float) -> Array:
    return a * np.exp(-b * t) + c


def decay_jacobian(t: Array, a: float, b: float, c: float) -> Array:
    e = np.exp(-b * t)
    return np.stack([e, -a * t * e, np.ones_like(t)], axis=1)


def covariance_of_data() -> Array:
    """Return errors that are correlated along t."""
    return np.outer(SIGMA, SIGMA) * np.exp(-np.abs(T[:, None] - T) / 0.3)


def tight(**settings: Any) -> tuple[Array, Array]:
    """Return SciPy's answer from the exact Jacobian to rounding level."""
    popt, pcov = optimize.curve_fit(
        decay, T, Y, [1.9, 1, 0.6], jac=decay_jacobian, method="trf", ftol=1e-15, xtol=1e-15, gtol=1e-15, **settings
    )
    return popt, pcov


# ---------------------------------------------------------------------------------------- the same as SciPy


def test_the_signature_is_that_of_scipy_and_more() -> None:
    ours = list(inspect.signature(curve_fit).parameters.values())
    theirs = list(inspect.signature(optimize.curve_fit).parameters.values())
    assert [(p.name, p.kind, p.default) for p in ours if p.name != "fixed"] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.parametrize("jac", [None, decay_jacobian, "2-point", "3-point", "cs"], ids=str)
@pytest.mark.parametrize("method", [None, "lm", "trf", "dogbox"])
@pytest.mark.parametrize("errors", ["none", "one", "each", "covariance"])
@pytest.mark.parametrize("absolute", [False, True])
def test_parameters_and_covariance_are_those_of_scipy(jac: Any, method: Any, errors: str, absolute: bool) -> None:
    sigma: Any = {"none": None, "one": 0.03, "each": SIGMA, "covariance": covariance_of_data()}[errors]
    popt, pcov = curve_fit(decay, T, Y, jac=jac, method=method, sigma=sigma, absolute_sigma=absolute)
    if errors == "one":
        sigma = np.full(T.size, sigma)  # SciPy does not take one number together with a callable jac
    expected, covariance = tight(sigma=sigma, absolute_sigma=absolute)
    np.testing.assert_allclose(popt, expected, rtol=2e-7)
    np.testing.assert_allclose(pcov, covariance, rtol=3e-6, atol=3e-7 * np.max(np.abs(covariance)))


@pytest.mark.parametrize("jac", [None, decay_jacobian], ids=str)
@pytest.mark.parametrize(
    "bounds",
    [
        (0, 10),
        ([0, 0, 0], [2.0, 5, 5]),
        ((-np.inf, 0, 0.55), np.inf),
        optimize.Bounds([0, 0, 0], [9, 9, 9]),
    ],
    ids=["inactive", "upper", "lower", "object"],
)
def test_bounds(jac: Any, bounds: Any) -> None:
    fit = curve_fit(decay, T, Y, jac=jac, bounds=bounds)
    expected, covariance = tight(bounds=bounds)
    np.testing.assert_allclose(fit.popt, expected, rtol=2e-6)
    np.testing.assert_allclose(fit.pcov, covariance, rtol=1e-4, atol=1e-5 * np.max(np.abs(covariance)))


def test_robust_losses() -> None:
    y = Y.copy()
    y[7] += 3
    for loss in ("soft_l1", "huber", "cauchy", "arctan"):
        popt, _ = curve_fit(decay, T, y, loss=loss, f_scale=0.1, bounds=(0, 10))
        expected, _ = optimize.curve_fit(
            decay, T, y, popt, loss=loss, f_scale=0.1, bounds=(0, 10), ftol=1e-15, xtol=1e-15, gtol=1e-15
        )
        np.testing.assert_allclose(popt, expected, rtol=1e-5)


def test_a_single_datum_for_all_and_a_single_value_for_all() -> None:
    zero = curve_fit(lambda t, a, b, c: decay(t, a, b, c) - Y, T, 0)
    np.testing.assert_allclose(zero.popt, tight()[0], rtol=1e-6)
    constant = curve_fit(lambda t, a: a, T, Y)
    np.testing.assert_allclose(constant.popt, [Y.mean()])
    np.testing.assert_allclose(constant.pcov, [[Y.var(ddof=1) / Y.size]], rtol=1e-6)


def test_full_output() -> None:
    fit = curve_fit(decay, T, Y, jac=decay_jacobian, sigma=SIGMA, full_output=True)
    popt, pcov, infodict, mesg, ier = fit
    assert ier in (1, 2, 3, 4)
    assert isinstance(mesg, str)
    assert infodict["nfev"] > 0
    np.testing.assert_allclose(infodict["fvec"], (decay(T, *popt) - Y) / SIGMA)
    assert infodict["fjac"].shape == (3, 50)
    R = np.triu(infodict["fjac"].T[:3])[:, infodict["ipvt"] - 1]
    np.testing.assert_allclose(np.linalg.inv(R.T @ R) * 2 * fit.cost / 47, pcov, rtol=1e-9)
    np.testing.assert_allclose(R.T @ infodict["qtf"], fit.grad, atol=1e-6)
    assert fit[:2][0] is fit.popt


# ---------------------------------------------------------------------------------------- the result


def test_the_result_is_a_tuple_and_a_mapping_and_has_attributes() -> None:
    fit = curve_fit(decay, T, Y)
    assert isinstance(fit, CurveFit)
    assert isinstance(fit, marquardt.Result)
    popt, pcov = fit
    for x in (fit.popt, fit.x, fit[0], fit["popt"], fit["x"]):
        assert x is popt
    for C in (fit.pcov, fit[1], fit["pcov"], fit[-1]):
        assert C is pcov
    assert list(fit.params) == list(fit.names) == ["a", "b", "c"]
    assert fit.params["b"] == popt[1]
    assert fit.success
    with pytest.raises(AttributeError, match="no 'popc'"):
        _ = fit.popc
    with pytest.raises(KeyError):
        _ = fit["popc"]
    with pytest.raises(IndexError):
        _ = fit[2]


def test_the_result_answers_questions() -> None:
    fit = curve_fit(decay, T, Y, sigma=SIGMA, absolute_sigma=True)
    np.testing.assert_allclose(fit.covariance(), fit.pcov, rtol=1e-9)
    np.testing.assert_allclose(fit.stderr, np.sqrt(np.diagonal(fit.pcov)), rtol=1e-9)
    np.testing.assert_array_equal(fit.predict(), decay(T, *fit.popt))
    np.testing.assert_array_equal(fit.predict(np.array([0.5])), decay(np.array([0.5]), *fit.popt))
    ends = fit.profile("b").interval
    assert ends[0] < fit.params["b"] < ends[1]
    np.testing.assert_allclose(ends, fit.confidence_intervals()[1], rtol=0.02)
    assert "b" in str(fit)


def test_profile_of_a_bounded_weighted_fit() -> None:
    """The fits along the profile keep weights, bounds and what is held."""
    fit = curve_fit(decay, T, Y, sigma=covariance_of_data(), bounds=(0, 10), fixed={"c": 0.5})
    profile = fit.profile("b")
    assert profile.interval[0] < fit.params["b"] < profile.interval[1]
    np.testing.assert_array_equal(np.asarray(profile.x)[:, 2], 0.5)


def test_pickles_keep_the_answer() -> None:
    for model in (decay, lambda t, a, b, c: decay(t, a, b, c)):
        fit = curve_fit(model, T, Y, sigma=SIGMA, absolute_sigma=True, fixed={"c": 0.5})
        again = pickle.loads(pickle.dumps(fit))
        assert type(again) is CurveFit
        np.testing.assert_array_equal(again.popt, fit.popt)
        np.testing.assert_array_equal(again.pcov, fit.pcov)
        assert again.params == fit.params


def test_residuals_are_weighted() -> None:
    fit = curve_fit(decay, T, Y, sigma=SIGMA)
    np.testing.assert_allclose(fit.residuals, (decay(T, *fit.x) - Y) / SIGMA)
    np.testing.assert_allclose(fit.jacobian, decay_jacobian(T, *fit.x) / SIGMA[:, None], rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------------------------- parameters


class Callable:
    def __call__(self, t: Array, a: float, b: float, c: float) -> Array:
        return decay(t, a, b, c)

    def method(self, t: Array, a: float, b: float, c: float) -> Array:
        return decay(t, a, b, c)

    @staticmethod
    def static(t: Array, a: float, b: float, c: float) -> Array:
        return decay(t, a, b, c)

    @classmethod
    def of_class(cls, t: Array, a: float, b: float, c: float) -> Array:
        return decay(t, a, b, c)


@functools.wraps(decay)
def wrapped(*args: Any) -> Array:
    return decay(*args)


def with_keyword(t: Array, a: float, b: float, c: float, *, offset: float = 0.0) -> Array:
    return decay(t, a, b, c) + offset


def with_offset(offset: float, t: Array, a: float, b: float, c: float) -> Array:
    return decay(t, a, b, c) + offset


@pytest.mark.parametrize(
    "f",
    [
        Callable(),
        Callable().method,
        Callable.static,
        Callable.of_class,
        wrapped,
        with_keyword,
        functools.partial(with_offset, 0.0),
        functools.partial(with_keyword, offset=0.0),
        lambda t, a, b, c: decay(t, a, b, c),
    ],
    ids=["callable", "method", "static", "class", "wrapped", "keyword", "partial", "partial-keyword", "lambda"],
)
def test_names_come_from_the_signature(f: Any) -> None:
    fit = curve_fit(f, T, Y)
    assert list(fit.names) == ["a", "b", "c"]
    np.testing.assert_allclose(fit.x, tight()[0], rtol=1e-6)


def test_a_signature_that_does_not_tell_needs_p0() -> None:
    def f(t: Array, *p: float) -> Array:
        return decay(t, *p)

    with pytest.raises(ValueError, match="Unable to determine number of fit parameters"):
        curve_fit(f, T, Y)
    with pytest.raises(ValueError, match="Unable to determine number of fit parameters"):
        curve_fit(lambda t: t, T, Y)
    assert list(curve_fit(f, T, Y, [1, 1, 1]).names) == ["p0", "p1", "p2"]
    assert list(curve_fit(f, T, Y, {"a": 1, "b": 1, "c": 0}).names) == ["a", "b", "c"]
    assert list(curve_fit(np.hypot, [1.0, 2], [2.0, 3], [1.5]).names) in (["p0"], ["x2"])


def test_defaults_of_the_model_stay_where_p0_is_short() -> None:
    def f(t: Array, a: float, b: float, c: float = 0.5) -> Array:
        return decay(t, a, b, c)

    fit = curve_fit(f, T, Y, [1, 1])
    assert list(fit.names) == ["a", "b"]
    np.testing.assert_allclose(fit.x, curve_fit(decay, T, Y, fixed={"c": 0.5}).x[:2], rtol=1e-6)


def test_a_start_by_name_may_be_partial() -> None:
    starts: list[tuple[float, ...]] = []

    def f(t: Array, a: float, b: float, c: float) -> Array:
        starts.append((a, b, c))
        return decay(t, a, b, c)

    for p0, bounds, expected in (
        ({"b": 2}, None, (1, 2, 1)),
        ({"b": 2}, ([0, 0, -np.inf], [4, 5, 7]), (2, 2, 6)),
        (None, ([0, 3, -np.inf], [4, np.inf, 7]), (2, 4, 6)),
        (None, {"a": (0, 4), "c": (None, 7)}, (2, 1, 6)),
        ({}, (-np.inf, np.inf), (1, 1, 1)),
    ):
        starts.clear()
        curve_fit(f, T, Y, p0, bounds=bounds)
        assert starts[0] == expected


def test_a_tree_is_handed_over_as_a_whole() -> None:
    pytest.importorskip("optree")

    def f(t: Array, p: Any) -> Array:
        return p["amount"] * np.exp(-p["shape"][0] * t) + p["shape"][1]

    def jac(t: Array, p: Any) -> Any:
        e = np.exp(-p["shape"][0] * t)
        return {"amount": e, "shape": np.stack([-p["amount"] * t * e, np.ones_like(t)], axis=1)}

    p0 = {"amount": 1.0, "shape": np.ones(2)}
    for derivative in (None, jac):
        fit = curve_fit(f, T, Y, p0, jac=derivative)
        np.testing.assert_allclose(fit.popt, tight()[0], rtol=1e-6)
        assert fit.params["amount"] == fit.popt[0]
        np.testing.assert_array_equal(fit.params["shape"], fit.popt[1:])
        np.testing.assert_allclose(fit.predict(), f(T, fit.params))
    both = curve_fit(lambda t, p: (f(t, p), jac(t, p)), T, Y, p0, jac=True)
    np.testing.assert_allclose(both.popt, tight()[0], rtol=1e-6)
    held = curve_fit(f, T, Y, p0, bounds=({"amount": 0, "shape": 0}, {"amount": 2, "shape": None}))
    np.testing.assert_allclose(held.popt[0], 2, rtol=1e-6)


@pytest.mark.parametrize("fixed", [{"c": 0.4}, {2: 0.4}, {-1: 0.4}], ids=str)
def test_a_fixed_parameter(fixed: Any) -> None:
    fit = curve_fit(decay, T, Y, fixed=fixed)
    popt, pcov = optimize.curve_fit(
        lambda t, a, b: decay(t, a, b, 0.4), T, Y, jac=lambda t, a, b: decay_jacobian(t, a, b, 0)[:, :2]
    )
    assert fit.x[2] == 0.4
    np.testing.assert_allclose(fit.x[:2], popt, rtol=1e-6)
    np.testing.assert_allclose(fit.pcov[:2, :2], pcov, rtol=1e-5)
    assert not fit.pcov[2].any()
    assert not fit.pcov[:, 2].any()


def test_everything_but_one_is_fixed() -> None:
    fit = curve_fit(decay, T, Y, fixed={"a": 2.5, "b": 1.3})
    np.testing.assert_allclose(fit.x, [2.5, 1.3, np.mean(Y - decay(T, 2.5, 1.3, 0))])


# ---------------------------------------------------------------------------------------- data


def test_data_of_any_shape() -> None:
    X = np.stack(np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 2, 5)))
    Z = 2 * X[0] - 3 * X[1] + 1 + 0.01 * np.cos(40 * X[0] * X[1])

    def plane(x: Array, a: float, b: float, c: float) -> Array:
        return a * x[0] + b * x[1] + c

    def jac(x: Array, a: float, b: float, c: float) -> Array:
        return np.stack([x[0], x[1], np.ones_like(x[0])], axis=-1)

    expected, pcov = optimize.curve_fit(plane, X.reshape(2, -1), Z.ravel(), jac=jac)
    for f, y in (
        (plane, Z),
        (plane, Z.ravel()),
        (lambda *p: plane(*p).ravel(), Z),
        (lambda *p: plane(*p).ravel(), Z.ravel()),
    ):
        for derivative in (None, jac):
            for sigma in (None, 1.0, np.ones(30), np.eye(30)):
                fit = curve_fit(f, X, y, [1, 1, 1], jac=derivative, sigma=sigma)
                np.testing.assert_allclose(fit.popt, expected, rtol=1e-7)
                np.testing.assert_allclose(fit.pcov, pcov, rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(curve_fit(plane, X, Z, sigma=np.ones_like(Z)).popt, expected, rtol=1e-7)


def test_a_column_of_values_is_no_matrix_of_residuals() -> None:
    """Broadcast against 50 data, 50 values in a column would be 2500 residuals."""
    fit = curve_fit(lambda t, a, b, c: decay(t, a, b, c)[:, None], T, Y)
    assert fit.residuals.shape == (50,)
    np.testing.assert_allclose(fit.popt, tight()[0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(49,), (51,), (2, 50), (0,), (10, 5)])
def test_values_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    y = Y if shape != (10, 5) else Y.reshape(5, 10)
    with pytest.raises(ValueError, match="f must return as many values as ydata has"):
        curve_fit(lambda t, a: np.ones(shape) * a, T, y)


@pytest.mark.parametrize("value", [None, "text", 1j * T, [[1, 2], [3]]], ids=["None", "text", "complex", "ragged"])
def test_values_that_are_no_numbers_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="f must return"):
        curve_fit(lambda t, a: value, T, Y)


def test_xdata_of_any_kind() -> None:
    expected = tight()[0]
    seen: list[Any] = []

    def f(t: Any, a: float, b: float, c: float) -> Array:
        seen.append(t)
        return decay(T, a, b, c)

    for xdata in (None, {"t": T}, object(), "text", T + 0j, list(T), T.astype(np.float32), np.arange(50)):
        np.testing.assert_allclose(curve_fit(f, xdata, Y).popt, expected, rtol=1e-6)
        if isinstance(xdata, (list, np.ndarray)) and np.isrealobj(xdata):
            assert seen[-1].dtype == np.float64
        else:
            assert seen[-1] is xdata


def test_parameters_are_numpy_floats() -> None:
    """Python's floats raise where these overflow or leave the real numbers."""
    types: set[type] = set()

    def f(t: Array, a: float, b: float) -> Array:
        types.update((type(a), type(b)))
        return a * t + b

    curve_fit(f, T, Y)
    assert types == {np.float64}


def test_single_precision_of_the_model_is_known() -> None:
    """Steps of differences, and what may be called converged, follow the precision of what f returns."""
    fit = curve_fit(lambda t, a, b, c: decay(t, a, b, c).astype(np.float32), T, Y)
    np.testing.assert_allclose(fit.popt, tight()[0], rtol=2e-3)


def test_lists_and_integers() -> None:
    popt, pcov = curve_fit(lambda x, a, b: a * x + b, [1, 2, 3, 4], [3, 5, 7, 9])
    np.testing.assert_allclose(popt, [2, 1], atol=1e-10)
    assert np.abs(pcov).max() < 1e-15


# ---------------------------------------------------------------------------------------- sigma


@pytest.mark.parametrize(
    ("sigma", "sentence"),
    [
        (0.0, "sigma must be positive, got sigma = 0.0"),
        (np.r_[np.ones(49), 0], r"sigma must be positive, got sigma\[49\] = 0.0"),
        (np.r_[1, np.nan, np.ones(48)], r"sigma must be positive, got sigma\[1\] = nan"),
        (-np.ones(50), r"sigma must be positive, got sigma\[0\] = -1.0"),
        (np.ones(49), "`sigma` has incorrect shape"),
        (np.eye(49), "`sigma` has incorrect shape"),
        (np.ones((50, 50)), "`sigma` must be positive definite"),
        (-np.eye(50), "`sigma` must be positive definite"),
        (np.diag(np.r_[np.ones(49), np.nan]), r"sigma must be finite, got sigma\[49, 49\] = nan"),
        (np.eye(50) + np.eye(50, k=1) / 3, r"`sigma` must be symmetric.*sigma\[0, 1\]"),
    ],
    ids=["0", "a 0", "a NaN", "negative", "short", "small", "singular", "indefinite", "NaN", "lopsided"],
)
def test_errors_that_are_none_are_refused_by_name(sigma: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        curve_fit(decay, T, Y, sigma=sigma)


def test_an_infinite_error_leaves_a_datum_out() -> None:
    y, sigma = Y.copy(), np.ones(50)
    y[10], sigma[10] = 1e3, np.inf
    keep = np.arange(50) != 10
    np.testing.assert_allclose(curve_fit(decay, T, y, sigma=sigma).x, curve_fit(decay, T[keep], Y[keep]).x, rtol=1e-7)


@pytest.mark.parametrize("jac", [None, decay_jacobian, "cs", True], ids=str)
def test_a_covariance_of_the_data_whitens_values_and_jacobian(jac: Any) -> None:
    C = covariance_of_data()
    f = (lambda *p: (decay(*p), decay_jacobian(*p))) if jac is True else decay
    fit = curve_fit(f, T, Y, [1, 1, 1], sigma=C, absolute_sigma=True, jac=jac)
    J, r = decay_jacobian(T, *fit.x), decay(T, *fit.x) - Y
    np.testing.assert_allclose(2 * fit.cost, r @ np.linalg.solve(C, r), rtol=1e-9)
    np.testing.assert_allclose(fit.pcov, np.linalg.inv(J.T @ np.linalg.solve(C, J)), rtol=1e-5)


# ---------------------------------------------------------------------------------------- NaN


@pytest.mark.parametrize("errors", [None, 0.1, "each", "covariance"], ids=str)
@pytest.mark.parametrize("jac", [None, decay_jacobian], ids=str)
def test_omitted_data_go_with_their_errors_and_rows(errors: Any, jac: Any) -> None:
    sigma: Any = {"each": SIGMA, "covariance": covariance_of_data()}.get(errors, errors)
    t, y = T.copy(), Y.copy()
    t[[3, 20]], y[[20, 31]] = np.nan, np.nan
    keep = np.isfinite(t) & np.isfinite(y)
    fit = curve_fit(decay, t, y, sigma=sigma, jac=jac, nan_policy="omit")
    if errors == "each":
        sigma = sigma[keep]
    elif errors == "covariance":
        sigma = sigma[np.ix_(keep, keep)]
    expected = curve_fit(decay, T[keep], Y[keep], sigma=sigma, jac=jac)
    np.testing.assert_array_equal(fit.x, expected.x)
    np.testing.assert_array_equal(fit.pcov, expected.pcov)


def test_omission_on_a_grid() -> None:
    X = np.stack(np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 2, 5)))
    Z = 2 * X[0] - 3 * X[1] + 1
    Z[1, 2] = np.nan
    X[0, 3, 3] = np.nan
    fit = curve_fit(lambda x, a, b, c: a * x[0] + b * x[1] + c, X, Z, nan_policy="omit", sigma=np.ones_like(Z))
    np.testing.assert_allclose(fit.x, [2, -3, 1], rtol=1e-9)
    assert fit.residuals.size == 28


def test_masked_data_are_not_data() -> None:
    y = np.ma.masked_where(T > 3, Y)
    with pytest.raises(ValueError, match=r"ydata must be finite.*nan_policy='omit'"):
        curve_fit(decay, T, y)
    np.testing.assert_array_equal(curve_fit(decay, T, y, nan_policy="omit").x, curve_fit(decay, T[T <= 3], Y[T <= 3]).x)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["xdata", "ydata"])
def test_what_is_not_finite_is_refused_by_name(bad: float, which: str) -> None:
    t, y = T.copy(), Y.copy()
    (t if which == "xdata" else y)[4] = bad
    with pytest.raises(ValueError, match=rf"{which} must be finite, got {which}\[4\] = {bad}"):
        curve_fit(decay, t, y)
    with pytest.raises(ValueError, match=rf"{which} must be finite"):
        curve_fit(decay, t, y, nan_policy="raise", check_finite=True)


def test_nan_policies_that_cannot_be_followed() -> None:
    with pytest.raises(ValueError, match="contains nan"):
        curve_fit(decay, T, np.where(T > 3, np.nan, Y), nan_policy="raise")
    with pytest.raises(ValueError, match="leaves no data"):
        curve_fit(decay, T, np.full(50, np.nan), nan_policy="omit")
    with pytest.raises(ValueError, match="last axes are those of ydata"):
        curve_fit(decay, T[:, None], np.where(T > 3, np.nan, Y), nan_policy="omit")
    with pytest.raises(ValueError, match="nan_policy must be one of"):
        curve_fit(decay, T, Y, nan_policy="drop")


# ---------------------------------------------------------------------------------------- covariance


def test_an_undetermined_product_has_an_infinite_covariance_by_every_method() -> None:
    """SciPy's lm reports errors of 1e12, its trf of 1e-3, for the same fit."""

    def f(t: Array, a: float, b: float, c: float) -> Array:
        return a * b * np.exp(-c * t)

    y = 6 * np.exp(-0.5 * T) + 0.01 * np.cos(9 * T)
    for method in (None, "lm", "trf", "dogbox"):
        for jac in (None, "3-point", "cs"):
            with pytest.warns(CovarianceWarning, match="could not be estimated: .*product"):
                fit = curve_fit(f, T, y, [1, 2, 1], method=method, jac=jac)
            assert np.isinf(fit.pcov).all()
            assert np.isinf(fit.stderr[:2]).all()
            assert 0 < fit.stderr[2] < 0.01


def test_as_many_parameters_as_data() -> None:
    with pytest.warns(CovarianceWarning, match="no more data than parameters"):
        fit = curve_fit(lambda x, a, b: a * x + b, [1.0, 2], [3.0, 5])
    assert np.isinf(fit.pcov).all()
    np.testing.assert_allclose(fit.popt, [2, 1])
    known = curve_fit(lambda x, a, b: a * x + b, [1.0, 2], [3.0, 5], sigma=[0.1, 0.1], absolute_sigma=True)
    np.testing.assert_allclose(known.pcov, [[0.02, -0.03], [-0.03, 0.05]], rtol=1e-6)


def test_the_warning_is_given_once_and_is_scipys_as_well() -> None:
    with pytest.warns(optimize.OptimizeWarning) as caught:
        _, pcov = curve_fit(lambda t, a, b: a * t, T, Y)
    assert np.isinf(pcov).all()
    (warning,) = caught
    assert issubclass(warning.category, CovarianceWarning)
    assert warning.filename == __file__


def test_units_do_not_decide_about_the_rank() -> None:
    units = np.array([1e-9, 1e6, 1e12])
    popt, pcov = curve_fit(lambda t, a, b, c: decay(t, a / 1e-9, b / 1e6, c / 1e12), T, Y, units)
    expected, covariance = tight()
    np.testing.assert_allclose(popt / units, expected, rtol=1e-6)
    np.testing.assert_allclose(pcov / np.outer(units, units), covariance, rtol=1e-5, atol=1e-9)


# ---------------------------------------------------------------------------------------- settings, failures


def test_settings_under_scipys_names() -> None:
    for settings in (
        {"maxfev": 1000, "ftol": 1e-10, "xtol": 1e-10, "gtol": 1e-10},
        {"epsfcn": 1e-14},
        {"diag": [1, 2, 3]},
        {"max_nfev": 100, "x_scale": [1, 2, 1], "method": "trf"},
        {"x_scale": "jac", "diff_step": 1e-7},
        {"maxfev": 0, "epsfcn": None, "diag": None},
        {"verbose": 0, "tr_solver": "exact", "max_time": 100},
    ):
        np.testing.assert_allclose(curve_fit(decay, T, Y, **settings).x, tight()[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("max_nfew", "did you mean 'max_nfev'"),
        ("lose", "did you mean 'loss'"),
        ("factor", "no argument 'factor'"),
        ("Dfun", "no argument 'Dfun'"),
    ],
)
def test_unknown_settings_are_refused_by_name(setting: str, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        curve_fit(decay, T, Y, **{setting: 1})


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"p0": [1, 1, 1, 1]}, ValueError, "p0 must have an entry a parameter, got 4 for the 3 of f: a, b, c"),
        ({"p0": {"d": 1}}, ValueError, "p0 names a parameter 'd'"),
        ({"p0": {"a": "x"}}, TypeError, r"p0\['a'\] must be a number"),
        ({"p0": {"a": np.nan}}, ValueError, r"p0\['a'\] must be finite"),
        ({"p0": [1, np.nan, 1]}, ValueError, r"p0\[1\] = nan"),
        ({"p0": [1, 1, 1], "bounds": (2, 3)}, ValueError, r"Initial guess is outside.*p0\[0\] = 1.0 \(a\)"),
        ({"bounds": {"e": (0, 1)}}, ValueError, "bounds names a parameter 'e'"),
        ({"bounds": {"a": (1, 0)}}, ValueError, "lower bound must be at most"),
        ({"bounds": (0, 1), "method": "lm"}, ValueError, "method='lm' takes no bounds"),
        ({"method": "trff"}, ValueError, "did you mean 'trf'"),
        ({"jac": "4-point"}, ValueError, "jac must be one of"),
        ({"jac": 3}, TypeError, "jac must be"),
        ({"fixed": {"d": 1}}, ValueError, "fixed names a parameter 'd'"),
        ({"args": (1,)}, ValueError, "args is no argument of curve_fit"),
        ({"sigma": "x"}, TypeError, "sigma must be real numbers"),
        ({"ydata": Y + 0j}, TypeError, "ydata must be real numbers"),
        ({"ydata": []}, ValueError, "ydata must not be empty"),
        ({"f": 3}, TypeError, "f must be callable"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else None,
)
def test_arguments_are_refused_before_the_model_is_called(
    arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    def f(t: Array, a: float, b: float, c: float) -> Array:
        raise AssertionError("called")

    with pytest.raises(error, match=sentence):
        curve_fit(**{"f": f, "xdata": T, "ydata": Y} | arguments)


def test_more_parameters_than_data() -> None:
    with pytest.raises(TypeError, match="The number of func parameters=3 must not exceed the number of data points=2"):
        curve_fit(decay, T[:2], Y[:2])
    fit = curve_fit(decay, T[:2], Y[:2], fixed={"c": 0.5}, sigma=1, absolute_sigma=True)
    assert fit.cost < 1e-12
    with pytest.warns(CovarianceWarning):
        assert curve_fit(decay, T[:2], Y[:2], method="trf").cost < 1e-12


def test_a_failure_keeps_the_best_point() -> None:
    with pytest.raises(FitError, match=r"Optimal parameters not found: .*max_nfev") as caught:
        curve_fit(decay, T, Y, max_nfev=2)
    assert isinstance(caught.value, RuntimeError)
    partial = caught.value.partial_result
    assert isinstance(partial, CurveFit)
    assert not partial.success
    assert partial.cost < 0.5 * np.sum((decay(T, 1, 1, 1) - Y) ** 2)
    assert partial.params.keys() == {"a", "b", "c"}


def test_an_exception_of_the_model_keeps_the_best_point() -> None:
    calls = iter(range(100))

    def f(t: Array, a: float, b: float, c: float) -> Array:
        if next(calls) == 12:
            raise ZeroDivisionError("mine")
        return decay(t, a, b, c)

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        curve_fit(f, T, Y)
    assert isinstance(caught.value.partial_result, CurveFit)  # type: ignore[attr-defined]


def test_a_model_that_is_not_finite_at_the_start() -> None:
    with np.errstate(all="ignore"), pytest.raises(FitError, match="not finite"):
        curve_fit(lambda t, a: np.log(-a * (t + 1)), T, Y)


def test_a_callback_that_stops_gets_its_result() -> None:
    seen: list[Array] = []

    def callback(x: Array) -> None:
        seen.append(x.copy())
        if len(seen) == 2:
            raise StopIteration

    fit = curve_fit(decay, T, Y, callback=callback)
    assert not fit.success
    assert len(seen) == 2
    np.testing.assert_array_equal(fit.x, seen[-1])


def test_noise_gives_a_warning_or_a_success_but_no_exception() -> None:
    """The seventh digit of the model is noise."""
    noise = np.random.default_rng(3)

    def f(t: Array, a: float, b: float, c: float) -> Array:
        return decay(t, a, b, c) * (1 + 1e-7 * noise.standard_normal(t.size))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = curve_fit(f, T, Y, jac=decay_jacobian)
        except FitError as error:
            fit = error.partial_result
    np.testing.assert_allclose(fit.x, tight()[0], rtol=1e-2)
    assert fit.success or any(issubclass(w.category, FitWarning) for w in caught) or fit.status <= 0


# ---------------------------------------------------------------------------------------- where it runs


def test_a_fit_inside_a_fit() -> None:
    """No state is shared: the model of one fit may call another."""

    def f(t: Array, a: float, b: float) -> Array:
        inner = curve_fit(lambda t, c: decay(t, a, b, c), t, Y)
        return decay(t, a, b, inner.x[0])

    np.testing.assert_allclose(curve_fit(f, T, Y).x, tight()[0][:2], rtol=1e-5)


def test_threads_and_workers() -> None:
    with multiprocessing.pool.ThreadPool(4) as pool:
        fits = pool.map(lambda k: curve_fit(decay, T, Y + 0.01 * k, sigma=SIGMA), range(16))
        mapped = curve_fit(decay, T, Y, sigma=SIGMA, workers=pool.map)
    alone = curve_fit(decay, T, Y, sigma=SIGMA)
    np.testing.assert_array_equal(fits[0].x, alone.x)
    np.testing.assert_allclose(mapped.x, alone.x, rtol=1e-6)
    for k, fit in enumerate(fits):
        np.testing.assert_allclose(fit.x[2], alone.x[2] + 0.01 * k, rtol=1e-6)


def test_nothing_of_the_callers_is_changed() -> None:
    t, y, sigma, p0 = T.copy(), Y.copy(), covariance_of_data(), np.ones(3)
    y[5] = np.nan
    before = [a.copy() for a in (t, y, sigma, p0)]
    curve_fit(decay, t, y, p0, sigma, bounds=(0, 10), fixed={"c": 0.5}, nan_policy="omit")
    for a, b in zip((t, y, sigma, p0), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("jac", [None, "3-point", "cs", True, decay_jacobian])
def test_parameters_that_the_model_keeps_stay_as_they_were(jac: Any) -> None:
    kept: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []

    def keeping(t: Array, *p: Any) -> Any:
        kept.append((p, tuple(complex(number) for number in p)))
        return (decay(t, *p), decay_jacobian(t, *p)) if jac is True else decay(t, *p)

    fit = curve_fit(keeping, T, Y, [1.0, 1.0, 1.0], jac=jac)
    np.testing.assert_allclose(fit.x, curve_fit(decay, T, Y, [1.0, 1.0, 1.0]).x, rtol=1e-6)
    assert len({copy for _, copy in kept}) > 5
    for p, copy in kept:
        assert p == copy
        assert all(isinstance(number, (np.float64, np.complex128)) for number in p)


def test_a_model_may_fit_the_same_model() -> None:
    depth = 0

    def nested(t: Array, a: float, b: float, c: float) -> Array:
        nonlocal depth
        before = (float(a), float(b), float(c))
        if depth < 1:
            depth += 1
            inner = curve_fit(nested, T, Y, [1.0, 1.0, 1.0])
            depth -= 1
            assert inner.success
        assert (a, b, c) == before
        return decay(t, a, b, c)

    fit = curve_fit(nested, T, Y, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(fit.x, curve_fit(decay, T, Y, [1.0, 1.0, 1.0]).x)


def test_the_model_is_not_kept_alive() -> None:
    """Model and data go when the result goes; the compiled function that held them goes with the solve."""
    import gc
    import weakref

    class Model:
        def __call__(self, t: Array, a: float, b: float, c: float) -> Array:
            return decay(t, a, b, c)

    model = Model()
    model.fit = curve_fit(model, T, Y)  # type: ignore[attr-defined]
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_epsilon_of_a_flat_fit() -> None:
    """A perfect fit has a covariance of rounding size, not NaN."""
    popt, pcov = curve_fit(decay, T, decay(T, 2.5, 1.3, 0.5))
    np.testing.assert_allclose(popt, [2.5, 1.3, 0.5], rtol=1e-7)
    assert np.isfinite(pcov).all()
    assert math.sqrt(np.abs(pcov).max()) < 1e-6
