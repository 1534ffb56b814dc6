"""`least_squares`: SciPy's arguments and meanings, and what it has beyond them."""

from __future__ import annotations

import inspect
import itertools
import math
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse

from helpers import DECAY, Recorder, T, decay, decay_jacobian, rosenbrock, rosenbrock_jacobian
from marquardt import LeastSquaresStatus, Result, Status, least_squares

Array = np.ndarray[Any, np.dtype[Any]]
METHODS = ("auto", "trf", "dogbox", "lm")
SCHEMES = ("auto", "2-point", "3-point", "cs")

NOISE = 0.05 * np.random.default_rng(1).standard_normal(T.size)
NOISE[::9] += 1.0  # six outliers of 50
START = [1.0, 1.0, 0.3]
BOUNDS = {"free": (-np.inf, np.inf), "loose": ([0, 0, 0], [9, 9, np.inf]), "tight": ([0, 0, 0.2], [2.4, 1.1, 9])}


def noisy(p: Array) -> Array:
    return decay(p) - NOISE


def cubic(z: Array) -> Array:
    """A loss given by its values and derivatives: 3 ((1 + z)^(1/3) - 1)."""
    t = 1 + z
    return np.stack([3 * (np.cbrt(t) - 1), t ** (-2 / 3), -2 / 3 * t ** (-5 / 3)])


# ------------------------------------------------------------------------------------------- beside SciPy


@pytest.mark.parametrize("loss", ["linear", "soft_l1", "huber", "cauchy", "arctan", cubic])
@pytest.mark.parametrize("box", BOUNDS)
@pytest.mark.parametrize("jac", [*SCHEMES, "exact", "both"])
@pytest.mark.parametrize("method", METHODS)
def test_is_as_good_as_scipy(method: str, jac: str, box: str, loss: Any) -> None:
    # arctan has minima of its own where most residuals are beyond f_scale: from the start there is one basin
    settings: dict[str, Any] = {"bounds": BOUNDS[box], "loss": loss, "f_scale": 0.5}
    tight = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14, "max_nfev": 2000}
    reference = optimize.least_squares(noisy, START, decay_jacobian, **settings, **tight)
    if jac == "both":
        result = least_squares(lambda p: (noisy(p), decay_jacobian(p)), START, True, method=method, **settings)
    else:
        derivative = decay_jacobian if jac == "exact" else jac
        result = least_squares(noisy, START, derivative, method=method, **settings)
    assert result.success, result.message
    assert result.status > 0
    assert_allclose(result.cost, reference.cost, rtol=1e-9)
    assert_allclose(result.x, reference.x, rtol=2e-4, atol=1e-5)
    assert_array_equal(result.fun, noisy(result.x))
    lower, upper = (np.broadcast_to(side, 3) for side in BOUNDS[box])
    assert np.all((lower <= result.x) & (result.x <= upper))


@pytest.mark.parametrize("method", METHODS)
def test_tolerances_have_scipys_meaning(method: str) -> None:
    loose = least_squares(rosenbrock, [-1.2, 1], rosenbrock_jacobian, method=method, gtol=1e-3)
    assert loose.success
    assert loose.optimality <= 1e-3
    tight = least_squares(rosenbrock, [-1.2, 1], rosenbrock_jacobian, method=method)
    assert tight.success
    assert tight.nfev >= loose.nfev
    assert_allclose(tight.x, [1, 1], rtol=1e-12)


def test_an_ending_where_gtol_holds_too_is_named_after_it() -> None:
    assert least_squares(rosenbrock, [1.0, 1.0]).status is LeastSquaresStatus.ZERO_RESIDUAL
    result = least_squares(rosenbrock, [1.0, 1.0], gtol=1e-8)
    assert result.status is LeastSquaresStatus.GRADIENT
    assert result.status == 1
    assert "gtol" in result.message


def test_the_signature_begins_with_scipys() -> None:
    theirs = inspect.signature(optimize.least_squares).parameters
    ours = inspect.signature(least_squares).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    assert all(ours[name].kind is theirs[name].kind for name in theirs)
    assert all(ours[name].kind is inspect.Parameter.KEYWORD_ONLY for name in list(ours)[len(theirs) :])
    tolerances_off = dict.fromkeys(("ftol", "xtol", "gtol"))
    changed = {"jac": "auto", "method": "auto", **tolerances_off}
    assert {name: ours[name].default for name in theirs if ours[name].default != theirs[name].default} == changed


def test_every_field_is_filled() -> None:
    result = least_squares(noisy, START, decay_jacobian, bounds=BOUNDS["tight"])
    assert isinstance(result, Result)
    for name in ("x", "cost", "fun", "jac", "grad", "optimality", "active_mask", "nfev", "njev", "status", "success"):
        assert result[name] is getattr(result, name)
    assert_allclose(result.cost, 0.5 * np.sum(result.fun**2), rtol=1e-14)
    assert_allclose(result.jac, decay_jacobian(result.x))
    assert_allclose(result.grad, result.jac.T @ result.fun, rtol=1e-12, atol=1e-14)
    assert_array_equal(result.active_mask, [1, 1, 0])
    assert result.message == result.status.message
    assert result.status.success
    assert result.status.general is Status[result.status.name]
    assert result.nfev_differences == 0
    assert result.history["cost"][-1] == result.cost
    assert result.notes == []
    assert "max_nfev" in least_squares(rosenbrock, [-1.2, 1], max_nfev=2).message


def test_statuses_have_scipys_numbers_where_scipy_has_them() -> None:
    assert {status.name for status in LeastSquaresStatus} == {status.name for status in Status}
    scipys = {"MAX_EVALUATIONS": 0, "GRADIENT": 1, "COST": 2, "STEP": 3, "COST_AND_STEP": 4, "STOPPED": -2}
    assert {name: LeastSquaresStatus[name] for name in scipys} == scipys
    assert all(status.success == (status > 0) for status in LeastSquaresStatus)


def test_budgets() -> None:
    result = least_squares(rosenbrock, [-1.2, 1], max_nfev=3)
    assert (result.status, result.nfev, result.success) == (LeastSquaresStatus.MAX_EVALUATIONS, 3, False)
    crawling = Recorder(lambda x: np.append(np.arctan(x - 1e3), 1e-3 * np.sin(1e3 * x)))  # it takes more than 200
    assert least_squares(crawling, [0.0, 0.0], max_nfev=None).nfev <= 200
    slow = threading.Event()

    def fun(x: Array) -> Array:
        slow.wait(0.01)
        return rosenbrock(x)

    assert least_squares(fun, [-1.2, 1], max_time=0.02).status is LeastSquaresStatus.TIME_LIMIT


def test_arguments_reach_every_function() -> None:
    def fun(x: Array, a: float, *, b: float) -> Array:
        return np.array([x[0] - a, b * (x[1] - 2 * a)])

    def jac(x: Array, a: float, *, b: float) -> Array:
        return np.diag([1.0, b])

    for derivative in (*SCHEMES, jac):
        result = least_squares(fun, [0, 0], derivative, args=(3.0,), kwargs={"b": 7.0})
        assert_allclose(result.x, [3, 6], rtol=1e-7)
    with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
        least_squares(fun, [0, 0], args=(3.0,), kwargs={"b": 7.0, "c": 1})


@pytest.mark.parametrize("x_scale", [None, "jac", 1.0, [1.0, 1e-3, 10.0]])
@pytest.mark.parametrize("method", METHODS)
def test_scales(method: str, x_scale: Any) -> None:
    result = least_squares(decay, START, x_scale=x_scale, method=method)
    assert result.success
    assert_allclose(result.x, DECAY, rtol=1e-7)


def test_steps_of_differences_are_relative_to_the_parameters() -> None:
    fun = Recorder(rosenbrock)
    least_squares(fun, [-1.5, 2.0], "2-point", diff_step=[1e-3, 1e-5], max_nfev=1)
    start = np.array([-1.5, 2.0])
    steps = np.abs([point - start for point in fun.points[1:]])
    assert_allclose(steps, [[1.5e-3, 0], [0, 2e-5]], rtol=1e-6)
    result = least_squares(decay, START, "3-point", diff_step=1e-4)
    assert result.success
    assert_allclose(result.x, DECAY, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_bounds_like_those_of_scipy(method: str) -> None:
    result = least_squares(decay, START, bounds=optimize.Bounds(lb=0, ub=[2, 9, 9]), method=method)
    assert result.success
    assert_allclose(result.x[0], 2, rtol=1e-7)
    assert result.active_mask[0] == 1
    simple = least_squares(decay, START, bounds=SimpleNamespace(lb=None, ub=[2, 9, 9]), method=method)
    assert_allclose(simple.x, result.x, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_fewer_residuals_than_parameters(method: str) -> None:
    result = least_squares(lambda x: rosenbrock(x)[:1], [-2, 1], method=method)
    assert result.success
    assert result.cost < 1e-14


def test_single_precision_of_the_residuals_is_seen() -> None:
    result = least_squares(lambda p: noisy(p).astype(np.float32), START)
    reference = least_squares(noisy, START)
    assert result.nfev > 2
    assert_allclose(result.cost, reference.cost, rtol=1e-5)


# ------------------------------------------------------------------------------------------- refusals


def never(*_: Any) -> Any:
    raise AssertionError("no function may be called before all arguments are read")


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"fun": 3}, TypeError, "fun must be callable, got 3"),
    ({"x0": np.ones((2, 2))}, ValueError, r"x0 must be .* got shape \(2, 2\)"),
    ({"x0": [[1, 2], [3, 4]]}, ValueError, r"x0 must be .* got shape \(2, 2\)"),
    ({"x0": [1, 2 + 0j]}, ValueError, "x0 must be real"),
    ({"x0": "two"}, TypeError, "x0 must be real"),
    ({"x0": []}, ValueError, "x0 must have at least one parameter"),
    ({"x0": [1, np.nan]}, ValueError, r"x0 must be finite, got x0\[1\] = nan"),
    ({"jac": "oops"}, ValueError, "jac must be one of .* got 'oops'"),
    ({"jac": None}, TypeError, "jac must be callable, True or one of"),
    (
        {"bounds": (3, 4)},
        ValueError,
        r"x0 must lie within the bounds, but x0\[0\] = 1.0 \(p0\) is outside \[3.0, 4.0\]",
    ),
    ({"bounds": (9, 0)}, ValueError, "each lower bound must be at most its upper"),
    ({"bounds": (1, 2, 3)}, ValueError, r"bounds must be a pair \(lower, upper\)"),
    ({"bounds": ([0.0], [3, 4])}, ValueError, r"the lower bound must be .* got shape \(1,\)"),
    ({"bounds": (0, np.ones(3))}, ValueError, r"the upper bound must be .* got shape \(3,\)"),
    ({"method": "trr"}, ValueError, r"method must be one of .*did you mean 'trf'"),
    ({"method": 3}, ValueError, "method must be one of"),
    ({"ftol": -1}, ValueError, "ftol must be None, zero or"),
    ({"xtol": "small"}, TypeError, "xtol must be a number"),
    ({"gtol": math.inf}, ValueError, "gtol must be None, zero or"),
    ({"x_scale": "auto"}, ValueError, "x_scale must be one of 'jac', got 'auto'"),
    ({"x_scale": -1.0}, ValueError, "x_scale must be positive and finite, got -1.0"),
    ({"x_scale": 1 + 2j}, ValueError, "x_scale must be real"),
    ({"x_scale": [1, 2, 3]}, ValueError, r"x_scale must be a scalar or have shape \(2,\)"),
    ({"loss": "hinge"}, ValueError, "loss must be one of"),
    ({"loss": 3}, ValueError, "loss must be one of"),
    ({"f_scale": 0}, ValueError, "f_scale must be positive"),
    ({"f_scale": "std", "loss": "huber"}, ValueError, "f_scale must be one of 'mad', got 'std'"),
    ({"f_scale": "mad"}, ValueError, "f_scale='mad' needs a robust loss"),
    ({"diff_step": [1e-3] * 3}, ValueError, r"diff_step must be a scalar or have shape \(2,\)"),
    ({"diff_step": -1e-3}, ValueError, "diff_step must be positive and finite, got -0.001"),
    ({"tr_solver": "best"}, ValueError, "tr_solver must be one of 'exact', 'lsmr', got 'best'"),
    ({"tr_solver": "lsmr"}, ValueError, "tr_solver='lsmr' is not implemented, as Jacobians are dense"),
    ({"tr_options": {"tol": 1e-3}}, TypeError, "unknown entry 'tol' of tr_options"),
    ({"tr_options": 3}, TypeError, "tr_options must be a mapping or None, got 3"),
    ({"jac_sparsity": np.ones((2, 3))}, ValueError, r"jac_sparsity must have shape \(m, 2\), got shape \(2, 3\)"),
    ({"jac_sparsity": "banded"}, TypeError, "jac_sparsity must be real numbers"),
    ({"max_nfev": 0}, ValueError, "max_nfev must be at least 1, got 0"),
    ({"max_nfev": 2.5}, TypeError, "max_nfev must be an integer"),
    ({"verbose": 3}, ValueError, "verbose must be 0, 1 or 2, got 3"),
    ({"verbose": True}, ValueError, "verbose must be 0, 1 or 2, got True"),
    ({"args": 3}, TypeError, "args must be a tuple, got 3"),
    ({"kwargs": [1]}, TypeError, r"kwargs must be a mapping or None, got \[1\]"),
    ({"callback": 3}, TypeError, "callback must be callable or None, got 3"),
    ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
    ({"workers": "all"}, TypeError, "workers must be an integer, got 'all'"),
    ({"workers": map, "vectorized": True}, ValueError, "workers and vectorized exclude each other"),
    ({"fixed": [0]}, TypeError, r"fixed must be a mapping from names or indices to values, got \[0\]"),
    ({"fixed": {2: 1.0}}, ValueError, "fixed names parameter 2, but there are 2"),
    ({"fixed": {"p2": 1.0}}, ValueError, "fixed names a parameter 'p2' that is none of p0, p1$"),
    ({"fixed": {1.5: 1.0}}, TypeError, "fixed must name parameters by strings or indices, got 1.5"),
    ({"fixed": {0: np.nan}}, ValueError, r"fixed\[0\] must be finite"),
    ({"fixed": {0: [1, 2]}}, ValueError, r"fixed\[0\] must be one number or 1, got \[1, 2\]"),
    ({"fixed": {0: 5}, "bounds": (0, 3)}, ValueError, r"fixed\[0\] must lie within the bounds \[0.0, 3.0\], got 5.0"),
    ({"names": ["a"]}, ValueError, r"names must be 2 different strings, one a parameter, got \['a'\]"),
    ({"names": ["a", "a"]}, ValueError, "names must be 2 different strings"),
    ({"names": "ab"}, TypeError, "names must be a sequence of strings, got 'ab'"),
    ({"max_time": 0}, ValueError, "max_time must be None or positive"),
    ({"x0": {"a": 1.0}, "vectorized": True}, ValueError, "vectorized needs a one-dimensional x0"),
]


@pytest.mark.parametrize(("arguments", "error", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_wrong_arguments_are_refused_before_any_call(
    arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as caught:
        least_squares(**{"fun": never, "x0": [1.0, 2.0], **arguments})
    assert not hasattr(caught.value, "partial_result")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"fun": lambda x: np.ones((2, 2))}, "fun must return a one-dimensional array"),
        ({"jac": lambda x: np.ones((3, 2))}, r"jac must return an array of shape \(2, 2\)"),
        ({"loss": "huber", "f_scale": [1.0, 1, 1]}, "f_scale"),
        ({"loss": lambda z: np.ones((2, z.size))}, "loss"),
        ({"jac_sparsity": np.ones((3, 2))}, r"jac_sparsity must have shape \(2, 2\) .*, got shape \(3, 2\)"),
    ],
)
def test_wrong_shapes_are_named(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        least_squares(**{"fun": rosenbrock, "x0": [1.0, 2.0], **arguments})


# ------------------------------------------------------------------------------------------- robust losses


def test_each_residual_has_a_scale_of_its_own() -> None:
    scales = np.where(np.arange(T.size) % 9 == 0, 0.01, 100.0)  # only the outliers are outliers
    result = least_squares(noisy, START, loss="soft_l1", f_scale=scales)
    z = (result.fun / scales) ** 2
    assert_allclose(result.cost, 0.5 * np.sum(scales**2 * 2 * z / (np.sqrt(1 + z) + 1)), rtol=1e-12)
    assert_allclose(result.x, DECAY, atol=0.1)
    assert_allclose(result.grad, 0, atol=1e-7)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "tukey", cubic])
@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e9])
def test_the_scale_is_estimated_from_the_residuals(loss: Any, unit: float) -> None:
    result = least_squares(lambda p: unit * noisy(p), START, loss=loss, f_scale="mad")
    assert result.success
    fitted = np.sort(np.abs(result.fun))[3:]
    assert_allclose(result.f_scale, np.median(fitted) / 0.6744897501960817, rtol=0.011)
    assert 0.03 * unit < result.f_scale < 0.07 * unit
    (note,) = result.notes
    assert note.startswith("f_scale='mad' settled at ")
    again = least_squares(lambda p: unit * noisy(p), result.x, loss=loss, f_scale=result.f_scale)
    assert_allclose(again.cost, result.cost, rtol=1e-9)
    assert again.nfev < result.nfev  # which counts all fits
    assert np.isfinite(result.stderr).all()


@pytest.mark.parametrize("method", METHODS)
def test_where_all_residuals_are_outliers_there_is_no_success(method: str) -> None:
    result = least_squares(noisy, START, loss="tukey", f_scale=0.05, method=method)
    assert_array_equal(result.grad, 0)
    assert result.status is LeastSquaresStatus.FLAT
    assert not result.success


def test_residuals_without_a_scale_end_the_estimation() -> None:
    exact = least_squares(decay, START, loss="huber", f_scale="mad")
    assert exact.success
    assert "most residuals are zero and show no scale" in exact.notes[0]
    determined = least_squares(rosenbrock, [-1.2, 1], loss="huber", f_scale="mad")
    assert_allclose(determined.x, [1, 1], rtol=1e-7)
    assert determined.f_scale == 0


def test_the_budget_is_that_of_all_fits_together() -> None:
    first = least_squares(noisy, START)
    budget = first.nfev + 2  # enough for the first fit, not for the second
    result = least_squares(noisy, START, loss="cauchy", f_scale="mad", max_nfev=budget)
    assert result.status is LeastSquaresStatus.MAX_EVALUATIONS
    assert result.nfev == budget
    assert "had not settled" in result.notes[0]


# ------------------------------------------------------------------------------------------- evaluations elsewhere


def from_module(p: Array, shift: float = 0.0) -> Array:
    """Residuals that another process can import."""
    return noisy(p) + shift


@pytest.mark.filterwarnings("ignore:.*fork.*")  # of other libraries' threads, where processes are made by forking
@pytest.mark.parametrize("scheme", SCHEMES)
def test_processes_give_the_same_result_to_the_last_bit(scheme: str) -> None:
    serial = least_squares(from_module, START, scheme, kwargs={"shift": 0.1})
    parallel = least_squares(from_module, START, scheme, kwargs={"shift": 0.1}, workers=2)
    assert_array_equal(parallel.x, serial.x)
    counts = ("nfev", "njev", "nfev_differences")
    assert [parallel[name] for name in counts] == [serial[name] for name in counts]
    assert_allclose(parallel.stderr, serial.stderr)
    assert parallel.profile(0).interval[0] < parallel.x[0]  # fits again when the processes are gone


@pytest.mark.parametrize("workers", [1, map, "threads"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_differences_go_through_the_map(scheme: str, workers: Any) -> None:
    serial = least_squares(noisy, START, scheme)
    mapped: list[int] = []
    with ThreadPoolExecutor(2) as threads:

        def mapping(fun: Callable[..., Any], points: Any) -> Any:
            mapped.append(len(points))
            return (threads.map if workers == "threads" else map)(fun, points)

        result = least_squares(noisy, START, scheme, workers=1 if workers == 1 else mapping)
    assert_array_equal(result.x, serial.x)
    if workers != 1:
        assert sum(mapped) == result.nfev_differences == serial.nfev_differences
        assert max(mapped) >= 3


def test_a_map_is_given_the_users_own_x() -> None:
    seen: list[Any] = []

    def mapping(fun: Callable[..., Any], points: list[Any]) -> list[Any]:
        seen.extend(points)
        return [fun(point) for point in points]

    def fun(p: dict[str, Any], y: float) -> Array:
        return np.append(p["k"] - y, p["c"] - 1)

    result = least_squares(fun, {"k": np.ones(2), "c": 3.0}, args=(2.0,), workers=mapping)
    assert_allclose(result.x["k"], [2, 2], rtol=1e-7)
    assert all(set(point) == {"k", "c"} for point in seen)
    assert seen


def test_workers_have_nothing_to_do_for_a_jacobian_of_the_users() -> None:
    result = least_squares(noisy, START, decay_jacobian, workers=never)
    assert result.success


def test_stacked_points_take_one_call() -> None:
    fun = Recorder(lambda x: np.stack([10 * (x[..., 1] - x[..., 0] ** 2), 1 - x[..., 0]], axis=-1))
    result = least_squares(fun, [-1.2, 1], "2-point", vectorized=True)
    assert fun.calls <= result.nfev + 2 * result.njev
    assert sum(point.ndim == 2 for point in fun.points) >= result.njev
    assert_allclose(result.x, [1, 1], rtol=1e-7)


# ------------------------------------------------------------------------------------------- sparsity


def tridiagonal(x: Array) -> Array:
    """Broyden's tridiagonal function."""
    r = (3 - x) * x + 1
    r[1:] -= x[:-1]
    r[:-1] -= 2 * x[1:]
    return r


N = 30
BAND = np.eye(N) + np.eye(N, k=1) + np.eye(N, k=-1)


@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, sparse.csr_array, sparse.lil_array])
@pytest.mark.parametrize(("scheme", "points"), [("2-point", 3), ("3-point", 6), ("cs", 3)])
def test_columns_without_a_common_row_share_evaluations(form: Callable[[Any], Any], scheme: str, points: int) -> None:
    fun = Recorder(tridiagonal)
    dense = least_squares(tridiagonal, -np.ones(N), scheme)
    result = least_squares(fun, -np.ones(N), scheme, jac_sparsity=form(BAND))
    assert_allclose(result.x, dense.x, rtol=1e-10)
    assert result.nfev_differences == points * result.njev == fun.calls - result.nfev
    assert dense.nfev_differences == points // 3 * N * dense.njev
    assert_allclose(result.jac, np.where(BAND, result.jac, 0))
    assert_allclose(result.jac, dense.jac, atol=1e-6)


@pytest.mark.parametrize(
    "companions", [{"workers": map}, {"bounds": (-2, -0.1)}, {"loss": "huber"}, {"vectorized": True}]
)
def test_sparsity_with_all_else(companions: dict[str, Any]) -> None:
    def fun(x: Array) -> Array:
        return np.apply_along_axis(tridiagonal, -1, x)

    dense = least_squares(tridiagonal, np.full(N, -0.9), "3-point", **{**companions, "vectorized": False})
    result = least_squares(fun, np.full(N, -0.9), "3-point", jac_sparsity=BAND, **companions)
    assert result.success
    assert_allclose(result.x, dense.x, rtol=1e-8)
    assert result.nfev_differences <= 6 * result.njev


def test_a_column_of_zeros_costs_nothing() -> None:
    pattern = np.array([[1, 0, 0], [1, 1, 0]])
    result = least_squares(
        lambda x: np.array([x[0] - 1, x[0] * x[1] - 2]), [3.0, 3.0, 3.0], "2-point", jac_sparsity=pattern
    )
    assert_allclose(result.x, [1, 2, 3], rtol=1e-7)
    assert result.nfev_differences == 2 * result.njev
    assert_array_equal(result.jac[:, 2], 0)


# ------------------------------------------------------------------------------------------- callbacks, printing


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (-8, 8)])
@pytest.mark.parametrize("jac", ["2-point", rosenbrock_jacobian, True])
@pytest.mark.parametrize("method", METHODS)
def test_callbacks_of_both_kinds(method: str, jac: Any, bounds: Any) -> None:
    fun = (lambda x: (rosenbrock(x), rosenbrock_jacobian(x))) if jac is True else rosenbrock
    points: list[Array] = []
    states: list[Any] = []
    settings: dict[str, Any] = {"jac": jac, "bounds": bounds, "method": method}
    result = least_squares(fun, [-1.2, 1], callback=points.append, **settings)
    least_squares(fun, [-1.2, 1], callback=lambda intermediate_result: states.append(intermediate_result), **settings)
    assert [state.nit for state in states] == list(range(1, result.nit + 1))
    assert_array_equal([state.x for state in states], points)
    assert_array_equal(points[-1], result.x)
    for state in states:
        assert_array_equal(state.fun, rosenbrock(state.x))
        assert_allclose(state.cost, 0.5 * np.sum(state.fun**2))
    assert (states[-1].nfev, states[-1].njev) <= (result.nfev, result.njev)


@pytest.mark.parametrize("how", ["StopIteration", "True", "numpy"])
@pytest.mark.parametrize("method", METHODS)
def test_a_callback_stops_the_solve(method: str, how: str) -> None:
    def callback(x: Array) -> Any:
        if how == "StopIteration":
            raise StopIteration
        return True if how == "True" else np.True_

    result = least_squares(rosenbrock, [-1.2, 1], method=method, callback=callback)
    assert (result.status, result.nit, result.success) == (-2, 1, False)


def test_what_else_a_callback_returns_stops_nothing() -> None:
    assert least_squares(rosenbrock, [-1.2, 1], callback=lambda x: "a count, a figure").success


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_printing_is_laid_out_as_scipys(verbose: int, capsys: pytest.CaptureFixture[str]) -> None:
    optimize.least_squares(rosenbrock, [-1.2, 1], verbose=verbose)
    theirs = capsys.readouterr().out.splitlines()
    result = least_squares(rosenbrock, [-1.2, 1], verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (0, 2, 4 + result.nit)[verbose]
    if verbose == 2:
        assert lines[0].split() == theirs[0].split()
        assert lines[1].split()[:2] == ["0", "1"]
    if verbose:
        assert lines[-2] == result.message
        start = theirs[-1].partition("initial cost ")[2].partition(",")[0]
        assert lines[-1].startswith(f"Function evaluations {result.nfev}, initial cost {start}, final cost ")
        assert ", first-order optimality " in lines[-1]


# ------------------------------------------------------------------------------------------- fixed, names, trees


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("key", [1, -2, np.int64(1), "p1", "rate"])
def test_a_parameter_is_held(method: str, key: Any) -> None:
    names = None if key != "rate" else ["size", "rate", "floor"]
    result = least_squares(noisy, START, fixed={key: 1.2}, names=names, method=method)
    assert result.success
    assert result.x[1] == 1.2
    free = optimize.least_squares(lambda q: noisy(np.array([q[0], 1.2, q[1]])), [1, 0.3], xtol=1e-14, ftol=1e-14)
    assert_allclose(result.x[[0, 2]], free.x, rtol=1e-6)
    assert result.stderr[1] == 0


def test_all_parameters_may_be_held() -> None:
    result = least_squares(noisy, START, fixed={0: 1, 1: 2, 2: 3})
    assert_array_equal(result.x, [1, 2, 3])
    assert_array_equal(result.fun, noisy(np.array([1.0, 2, 3])))


def test_a_held_parameter_is_within_the_bounds_and_its_start_need_not_be() -> None:
    result = least_squares(noisy, [1, -7, 0.3], bounds=(0, 5), fixed={1: 1.2})
    assert result.x[1] == 1.2
    closed = least_squares(noisy, [1, -7, 0.3], bounds=([0, 1.2, 0], [5, 1.2, 5]))
    assert_allclose(closed.x, result.x)


def test_names_are_those_of_the_result() -> None:
    result = least_squares(noisy, START, names=("size", "rate", "floor"))
    assert result.names == ["size", "rate", "floor"]
    assert "rate" in str(result)
    assert least_squares(noisy, START).names == ["p0", "p1", "p2"]


def tree_residual(p: dict[str, Any]) -> dict[str, Any]:
    amplitude, (rate, floor) = p["amplitude"], p["rest"]
    return {"data": amplitude * np.exp(-rate * T) + floor - decay_data(), "prior": [0.001 * (rate - 1)]}


def decay_data() -> Array:
    return -decay(np.zeros(3)) + NOISE


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_parameters_in_a_tree(scheme: str, method: str) -> None:
    start = {"amplitude": 1.0, "rest": np.array([1.0, 0.3])}
    bounds = ({"amplitude": 0, "rest": None}, {"amplitude": None, "rest": [5.0, 5.0]})
    states: list[Any] = []
    result = least_squares(tree_residual, start, scheme, method=method, bounds=bounds, callback=states.append)

    def flat(p: Array) -> Array:
        return np.append(noisy(p), 0.001 * (p[1] - 1))

    reference = least_squares(flat, START, scheme, method=method, bounds=([0, -np.inf, -np.inf], [np.inf, 5, 5]))
    assert set(result.x) == {"amplitude", "rest"}
    assert_allclose(result.x["rest"], reference.x[1:], rtol=1e-7)
    assert_allclose(result.fun, reference.fun, atol=1e-7)
    assert result.names == ["amplitude", "rest[0]", "rest[1]"]
    assert_array_equal(states[-1]["rest"], result.x["rest"])
    assert_allclose(result.stderr, reference.stderr, rtol=1e-4)
    pickle.loads(pickle.dumps(result))


def test_leaves_of_a_tree_are_held_by_name() -> None:
    start = {"amplitude": 1.0, "rest": np.array([1.0, 0.3])}
    for key, value, index in (("rest", [1.2, 0.4], [0, 1]), ("rest[1]", 0.4, [1]), ("['rest'][1]", 0.4, [1])):
        result = least_squares(tree_residual, start, fixed={key: value})
        assert_array_equal(result.x["rest"][index], np.ravel(value))
    assert least_squares(tree_residual, start, fixed={"amplitude": 2.0}).x["amplitude"] == 2


# ------------------------------------------------------------------------------------------- exceptions


@pytest.mark.parametrize("who", ["fun", "jac", "callback", "loss"])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_carries_the_best_point(who: str, error: type[BaseException]) -> None:
    calls = itertools.count()

    def breaking(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Array) -> Any:
            if next(calls) == 4:
                raise error("here")
            return function(x)

        return call

    settings: dict[str, Any] = {
        "jac": rosenbrock_jacobian,
        "callback": lambda x: None,
        "loss": cubic,
        "fun": rosenbrock,
    }
    settings[who] = breaking(settings[who])
    with pytest.raises(error, match="here") as caught:
        least_squares(x0=[-1.2, 1], names=["a", "b"], **settings)
    partial_result = caught.value.partial_result  # type: ignore[attr-defined]
    assert partial_result.status is LeastSquaresStatus.INTERRUPTED
    assert not partial_result.success
    assert partial_result.names == ["a", "b"]
    assert partial_result.cost <= 0.5 * 3 * (np.cbrt(1 + 4.4**2) + np.cbrt(1 + 2.2**2) - 2) * (1 + 1e-12)


def test_an_exception_in_another_process_comes_through() -> None:
    def mapping(fun: Callable[..., Any], points: Any) -> Any:
        raise OSError("no connection")

    with pytest.raises(OSError, match="no connection") as caught:
        least_squares(noisy, START, "2-point", workers=mapping)
    assert_array_equal(caught.value.partial_result.x, START)  # type: ignore[attr-defined]
