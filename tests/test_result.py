"""Results: reading, copying, printing; what the faces print and log, and when they are silent."""

from __future__ import annotations

import copy
import logging
import pickle
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from helpers import FACES, ending, passes, rosenbrock, rosenbrock_jacobian, solve
from marquardt import JacobianCheck, LinearResult, Result, Status, check_jacobian, lm_solve, lsqtr, lstsq

COMMON = (
    *("x", "success", "status", "message", "cost", "residuals", "jacobian", "grad", "optimality", "active_mask"),
    *("nfev", "njev", "nit", "nfev_differences", "rank", "history", "notes", "fun", "jac"),
)
OWN = {
    "lm": ("hess", "damping", "passes"),
    "tr-svd": ("v", "allx", "alltr", "trust_radius"),
}
COLUMNS = (
    *("iteration", "nfev", "njev", "cost", "optimality", "grad_norm", "control"),
    *("step_norm", "actual", "predicted", "ratio", "accepted"),
)


@pytest.fixture(params=["lm", "tr-svd"])
def face(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def result(face: str) -> Result:
    return solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, Sequence) and not isinstance(a, str):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) and a.dtype.names:
        return all(np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f") for name in a.dtype.names)
    return bool(np.array_equal(a, b))


def test_fields(face: str, result: Result) -> None:
    assert set(result) == {*COMMON, *OWN[face]}
    n, m = 2, 2
    assert result.x.shape == result.grad.shape == result.active_mask.shape == (n,)
    assert result.residuals.shape == (m,)
    assert result.jacobian.shape == (m, n)
    assert isinstance(result.success, bool)
    assert all(isinstance(result[name], int) for name in ("nfev", "njev", "nit", "nfev_differences", "rank"))
    assert isinstance(result.cost, float)
    assert isinstance(result.optimality, float)
    assert result.active_mask.dtype.kind == "i"


def test_every_common_field_is_documented() -> None:
    text = Result.__doc__ or ""
    documented = {name for line in re.findall(r"^ {4}(\w[\w, ]*) : ", text, re.MULTILINE) for name in line.split(", ")}
    assert documented == set(COMMON)


def test_attributes_and_items_are_the_same(result: Result) -> None:
    for name in result:
        assert getattr(result, name) is result[name]
    assert dict(result) == {**result}
    assert result.get("nothing") is None


def test_residuals_and_jacobian_have_the_names_of_scipy_too() -> None:
    result = solve("tr-svd", rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    assert result.fun is result.residuals
    assert result.jac is result.jacobian


def test_assignment_and_deletion(result: Result) -> None:
    result.mine = 1
    assert result["mine"] == 1
    del result.mine
    assert "mine" not in result


def test_a_missing_field_says_what_there_is(result: Result) -> None:
    with pytest.raises(AttributeError, match="residual_vector") as caught:
        _ = result.residual_vector
    assert "residuals" in str(caught.value)
    assert not hasattr(result, "covar")
    with pytest.raises(KeyError):
        result["residual_vector"]


def test_deleting_a_missing_field_is_an_attribute_error(result: Result) -> None:
    with pytest.raises(AttributeError):
        del result.nothing


def test_dir_lists_the_fields(result: Result) -> None:
    assert {"x", "cost", "keys", "items", *result} <= set(dir(result))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(result: Result, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(result, protocol))
    assert type(again) is Result
    assert list(again) == list(result)
    assert all(same(again[name], result[name]) for name in result)
    assert again.status is result.status


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy], ids=lambda f: f.__name__)
def test_copy(result: Result, how: Any) -> None:
    again = how(result)
    assert type(again) is Result
    assert all(same(again[name], result[name]) for name in result)
    again.cost = -1.0
    assert result.cost != -1.0
    assert (again.x is result.x) is (how is copy.copy)


def test_repr_is_one_line(result: Result) -> None:
    text = repr(result)
    assert "\n" not in text
    assert text.startswith(f"Result({result.status.name}, ")
    assert f"nfev={result.nfev}" in text
    assert len(text) < 150


def test_repr_of_many_parameters_is_one_short_line() -> None:
    result = lm_solve(lambda x: x - 1, np.zeros(500), jac=lambda x: np.eye(500))
    assert "\n" not in repr(result)
    assert len(repr(result)) < 200


def test_results_own_their_arrays(face: str) -> None:
    """Changing one result changes neither another nor a later solve."""
    J = np.array([[1.0, 0], [0, 2]])
    first = solve(face, lambda x: J @ x - 1, [0.0, 0.0], lambda x: J)
    kept = first.jacobian.copy()
    for name in ("x", "residuals", "jacobian", "grad"):
        first[name][...] = -7
    np.testing.assert_array_equal(J, [[1, 0], [0, 2]])
    again = solve(face, lambda x: J @ x - 1, [0.0, 0.0], lambda x: J)
    np.testing.assert_array_equal(again.jacobian, kept)


def test_history_columns(result: Result) -> None:
    records = passes(result)
    assert records.dtype.names == COLUMNS
    assert records["accepted"].dtype == bool
    assert np.isnan(records["step_norm"][-1])
    assert np.isfinite(records["step_norm"][:-1]).all()


def test_times_are_no_items() -> None:
    """Equal solves have equal items; what the core measured is asked for by `timing`."""
    assert Result().timing == {}
    result = solve("tr-svd", rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    assert set(result) == set(COMMON) | set(OWN["tr-svd"])
    result.__dict__["_seconds"] = (1.0, 0.5, 0.125)
    assert result.timing == {"function": 0.5, "jacobian": 0.125, "solver": 0.375, "total": 1.0}
    for again in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert again.timing == result.timing


# ---- status ----------------------------------------------------------------------------------------------------------


def test_status_values_are_a_promise() -> None:
    assert {status.name: status.value for status in Status} == {
        "GRADIENT": 1,
        "COST": 2,
        "STEP": 3,
        "COST_AND_STEP": 4,
        "STATIONARY": 5,
        "ZERO_RESIDUAL": 6,
        "MAX_EVALUATIONS": -1,
        "MAX_ITERATIONS": -2,
        "STALLED": -3,
        "PRECISION_LIMIT": -4,
        "NOT_FINITE_START": -5,
        "NOT_FINITE_JACOBIAN": -6,
        "STOPPED": -7,
        "TIME_LIMIT": -8,
        "DISTANCE_LIMIT": -9,
        "INTERRUPTED": -10,
        "FLAT": -11,
        "DAMPING_LIMIT": -12,
        "RADIUS_LIMIT": -13,
    }


def test_status_is_an_integer_that_pickles() -> None:
    assert "first-order" in (Status.__doc__ or "")
    for status in Status:
        assert isinstance(status, int)
        assert pickle.loads(pickle.dumps(status)) is status
        assert Status(int(status)) is status


@pytest.mark.parametrize(
    ("status", "settings"),
    [
        (Status.GRADIENT, {"xtol": None, "ftol": None}),
        (Status.COST, {"xtol": None, "gtol": None}),
        (Status.STEP, {"ftol": None, "gtol": None}),
    ],
    ids=lambda v: v.name if isinstance(v, Status) else "",
)
def test_each_tolerance_has_its_status(face: str, status: Status, settings: dict[str, Any]) -> None:
    """Large residuals at the solution x = 2: full steps converge by a factor of 0.7 each, past one test at a time."""

    def fun(x: Any) -> Any:
        y = x[0] - 2
        return np.array([y + 1, 0.7 * y**2 + y - 1])

    def jac(x: Any) -> Any:
        return np.array([[1.0], [1.4 * (x[0] - 2) + 1]])

    result = solve(face, fun, [3.0], jac, **settings)
    np.testing.assert_allclose(result.x, [2], rtol=2e-3)
    assert ending(result) is status
    assert result.success
    word = {Status.GRADIENT: "gtol", Status.COST: "ftol", Status.STEP: "xtol"}[status]
    assert word in result.message


# ---- what is printed -------------------------------------------------------------------------------------------------

NUMBER = r"(\d\.\d{3}e[+-]\d\d)"
ROW = re.compile(rf"^\s*(\d+)\s+(\d+)\s+{NUMBER}(?:\s+{NUMBER}\s+{NUMBER})?\s+{NUMBER}\s*$")
HEADINGS = ("Iteration", "Total nfev", "Cost", "Cost reduction", "Step norm", "Optimality")
HEADER = "".join(f"{name:^15}" for name in HEADINGS)


@pytest.mark.parametrize("face", FACES)
def test_lm_solve_and_verbose_0_are_silent(face: str, capsys: pytest.CaptureFixture[str]) -> None:
    solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian, max_nfev=3)
    lm_solve(rosenbrock, [-1.2, 1])
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_verbose_1_reports_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    result = lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    assert capsys.readouterr().out.splitlines() == [
        result.message,
        f"         Current function value: {result.cost:.3e}",
        "         Total delta_x: 2.200e+00",
        f"         Iterations: {result.nit}",
        f"         Function evaluations: {result.nfev}",
        f"         Jacobian evaluations: {result.njev}",
    ]


def test_verbose_1_warns_of_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    result = lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, maxiter=2)
    first = capsys.readouterr().out.splitlines()[0]
    assert not result.success
    assert first == f"Warning: {result.message}"


def test_verbose_2_prints_a_row_for_each_iteration(capsys: pytest.CaptureFixture[str]) -> None:
    result = lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == HEADER
    rows = [ROW.match(line) for line in lines[1:-6]]
    assert all(rows)
    assert len(rows) == result.nit + 1
    cells = [row.groups() for row in rows if row]
    assert [int(row[0]) for row in cells] == list(range(result.nit + 1))
    assert cells[0][3:5] == (None, None)
    assert all(row[3] and row[4] for row in cells[1:])
    assert cells[0][2] == "1.210e+01"
    costs = [0.5 * rosenbrock(x) @ rosenbrock(x) for x in result.allx]
    np.testing.assert_allclose([float(row[2]) for row in cells], costs, rtol=1e-3, atol=1e-300)
    assert lines[-6] == result.message
    assert all(len(line) == len(HEADER) for line in lines[1:-6])


def test_verbose_3_is_as_verbose_2(capsys: pytest.CaptureFixture[str]) -> None:
    lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=2)
    two = capsys.readouterr().out
    lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=3)
    assert capsys.readouterr().out == two


def test_a_solve_that_never_started_prints_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    lsqtr(lambda x: x * np.nan, [1.0], lambda x: np.eye(1), verbose=2)
    assert capsys.readouterr().out.startswith("Warning: Not started")


# ---- what is logged --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [logging.INFO, "INFO", "info", logging.DEBUG, "WARNING", 15], ids=repr)
def test_lm_solve_logs_at_the_level_asked_for(level: Any, caplog: pytest.LogCaptureFixture) -> None:
    number = level if isinstance(level, int) else getattr(logging, level.upper())
    with caplog.at_level(1, logger="marquardt"):
        result = lm_solve(rosenbrock, [-1.2, 1], log_level=level, jac=rosenbrock_jacobian)
    assert {(record.name, record.levelno) for record in caplog.records} == {("marquardt", number)}
    assert len(caplog.records) == result.nit + 3  # a header, the start, each step, the ending


def test_lm_solve_logs_nothing_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(1):
        lm_solve(rosenbrock, [-1.2, 1])
    assert caplog.records == []


def test_logging_prints_nothing_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    lm_solve(rosenbrock, [-1.2, 1], log_level="DEBUG")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_logging_changes_nothing() -> None:
    plain = lm_solve(rosenbrock, [-1.2, 1])
    logged = lm_solve(rosenbrock, [-1.2, 1], log_level=1)
    np.testing.assert_array_equal(plain.x, logged.x)
    assert plain.nfev == logged.nfev


# ---- the other results -----------------------------------------------------------------------------------------------


def test_linear_result() -> None:
    fit = lstsq([[2, 3], [4, -1], [2, 1]], [1, 2, 3])
    assert isinstance(fit, LinearResult)
    assert {"x", "success", "message", "residuals", "rank", "condition", "singular_values", "cost"} <= set(fit)
    for name in fit:
        assert getattr(fit, name) is fit[name]
    assert "\n" not in repr(fit)
    assert repr(fit).startswith("LinearResult(")
    assert len(str(fit).splitlines()) == len(fit)
    assert not hasattr(fit, "nothing")
    with pytest.raises(AttributeError, match="residuals"):
        _ = fit.nothing
    assert set(fit) <= set(dir(fit))


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_linear_result_is_copied_and_pickled(how: Any) -> None:
    fit = lstsq([[2, 3], [4, -1], [2, 1]], [1, 2, 3])
    again = how(fit)
    assert type(again) is LinearResult
    assert all(same(again[name], fit[name]) for name in fit)


def test_jacobian_check() -> None:
    check = check_jacobian(rosenbrock, rosenbrock_jacobian, [-1.2, 1.0])
    assert isinstance(check, JacobianCheck)
    assert bool(check) is check.ok is True
    assert "agrees" in str(check)
    assert type(pickle.loads(pickle.dumps(check))) is JacobianCheck
