"""`lm_solve` as its users know it: examples, counts, statuses, history, table, edges; and two hundred bounded fits."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.special
from scipy.optimize import least_squares

from helpers import Recorder, decay_to, rosenbrock, rosenbrock_jacobian
from marquardt import LMStatus, Result, Status, lm_solve
from problems.mgh_functions import beale, beale_jacobian, wood, wood_jacobian

Array = np.ndarray
NAN, INF = float("nan"), float("inf")
BOX = ([0.0, 0.0], [0.8, 2.0])
EACH_JAC = pytest.mark.parametrize(
    "jac", [rosenbrock_jacobian, None, "3-point", "cs"], ids=["exact", "default", "3", "cs"]
)


def powell(x: Array) -> Array:
    return np.array(
        [x[0] + 10 * x[1], np.sqrt(5) * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, np.sqrt(10) * (x[0] - x[3]) ** 2]
    )


def powell_jacobian(x: Array) -> Array:
    a, b = 2 * (x[1] - 2 * x[2]), 2 * np.sqrt(10) * (x[0] - x[3])
    return np.array([[1, 10, 0, 0], [0, 0, np.sqrt(5), -np.sqrt(5)], [0, a, -2 * a, 0], [b, 0, 0, -b]])


# ---- the two examples of the documentation ---------------------------------------------------------------------------


@EACH_JAC
def test_rosenbrock(jac: Any) -> None:
    result = lm_solve(rosenbrock, np.array([-1.2, 1.0]), jac=jac)
    assert result.success
    assert result.status == LMStatus.GTOL_REACHED == 4
    np.testing.assert_allclose(result.x, [1, 1], rtol=0, atol=1e-6)
    assert result.nfev <= 20
    assert result.cost < 1e-12


@EACH_JAC
def test_rosenbrock_in_a_box(jac: Any) -> None:
    result = lm_solve(rosenbrock, x0=np.array([0.5, 0.5]), bounds=(np.array(BOX[0]), np.array(BOX[1])), jac=jac)
    assert result.success
    assert result.x[0] == 0.8
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=0, atol=1e-10)
    assert result.fun == result.cost == pytest.approx(0.02, rel=1e-12)
    assert result.active_mask.tolist() == [1, 0]


def test_a_function_that_only_runs_on_numbers() -> None:
    """Branches, special functions, lists, and the mathematics of the standard library."""
    import math

    def func(x: Any) -> list[float]:
        kink = x[0] - 2 if x[0] > 1 else math.sin(x[0]) - 2
        return [float(kink), float(scipy.special.erf(x[1])) - 0.5]

    result = lm_solve(func, [1.5, 0.1])
    assert result.success
    np.testing.assert_allclose(result.x, [2, scipy.special.erfinv(0.5)], rtol=1e-6)


# ---- evaluations -----------------------------------------------------------------------------------------------------

TIGHT = {"ftol": 1e-10, "xtol": 1e-10, "gtol": 1e-8, "max_nfev": 1000}


ROSENBROCK = (rosenbrock, rosenbrock_jacobian)
SHIFT = (lambda x: x - 2, lambda x: np.eye(1))

COUNTS: dict[str, tuple[Any, Any, dict[str, Any], int, Any]] = {
    "rosenbrock": (ROSENBROCK, [-1.2, 1], {}, 20, [1, 1]),
    "rosenbrock scaled": (ROSENBROCK, [-1.2, 1], {"diag": [1, 1]}, 26, [1, 1]),
    "powell": ((powell, powell_jacobian), [3, -1, 0, 1], {**TIGHT, "ftol": 1e-12, "xtol": 1e-12}, 16, [0, 0, 0, 0]),
    "wood": ((wood, wood_jacobian), [-3, -1, -3, -1], TIGHT, 61, [1, 1, 1, 1]),
    "beale": ((beale, beale_jacobian), [1, 1], TIGHT, 12, [3, 0.5]),
    "shift": (SHIFT, [5.0], {"ftol": 1e-8, "xtol": 1e-8, "gtol": 1e-8}, 4, [2]),
    "loose box": (ROSENBROCK, [0, 0], {"ftol": 1e-8, "xtol": 1e-8, "bounds": ([0, 0], [2, 2])}, 27, [1, 1]),
    "far": (ROSENBROCK, [1e3, 1e3], {}, 60, [1, 1]),
    "far the other way": (ROSENBROCK, [-120, 100], {}, 60, [1, 1]),
}


@pytest.mark.parametrize("name", COUNTS)
def test_evaluations(name: str) -> None:
    (fun, jac), x0, settings, most, solution = COUNTS[name]
    counted = Recorder(fun)
    result = lm_solve(counted, x0, jac=jac, **settings)
    assert result.success
    np.testing.assert_allclose(result.x, solution, rtol=0, atol=5e-3 if name == "powell" else 1e-4)
    assert result.nfev == counted.calls
    assert result.nfev <= most


T = np.linspace(0, 4, 50)
DECAY = decay_to(T, 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * np.sin(7 * T))
HUNDRED = (lambda x: rosenbrock(x) * [10, 1], lambda x: rosenbrock_jacobian(x) * [[10], [1]])
STRAIGHT = (lambda x: x - [3, 2], lambda x: np.eye(2))
NEAR = {"ftol": 1e-8, "xtol": 1e-8}

BOXED: dict[str, tuple[Any, Any, Any, dict[str, Any], int, Any]] = {
    "inside": (ROSENBROCK, [0.5, 0.5], BOX, {}, 5, [0.8, 0.64]),
    "from zero": (ROSENBROCK, [0, 0], BOX, NEAR, 21, [0.8, 0.64]),
    "on the bound": (ROSENBROCK, [0.8, 1], BOX, {}, 4, [0.8, 0.64]),
    "a fixed parameter": (ROSENBROCK, [0.5, 0], ([0.5, -2], [0.5, 2]), {}, 4, [0.5, 0.25]),
    "a steep valley": (HUNDRED, [0, 0], BOX, {}, 55, [0.8, 0.64]),
    "a straight problem": (STRAIGHT, [0.5, 0.5], ([0, 0], [2, 1]), {}, 2, [2, 1]),
    "outside above": (ROSENBROCK, [1.5, 1], BOX, {}, 4, [0.8, 0.64]),
    "outside below": (ROSENBROCK, [-1.2, 1], BOX, {}, 5, [0.8, 0.64]),
    "rate at its bound": (DECAY, [1, 1, 1], (None, [INF, 1, INF]), {}, 4, None),
    # 7 without the confirmation that a full step would not gain more
    "floor at its bound": (DECAY, [1, 1, 1], ([-INF, -INF, 0.6], None), {}, 8, None),
}


@pytest.mark.parametrize("name", BOXED)
def test_evaluations_in_a_box(name: str) -> None:
    (fun, jac), x0, bounds, settings, most, solution = BOXED[name]
    counted = Recorder(fun)
    result = lm_solve(counted, x0, jac=jac, bounds=bounds, **settings)
    lower, upper = (
        np.broadcast_to(s if s is not None else d, len(x0)) for s, d in zip(bounds, (-INF, INF), strict=True)
    )
    assert result.success
    assert all(np.all((lower <= x) & (x <= upper)) for x in counted.points)
    if solution is None:
        truth = least_squares(
            fun,
            np.clip(x0, lower, upper),
            jac,
            bounds=(lower, upper),
            method="dogbox",
            ftol=1e-15,
            xtol=1e-15,
            gtol=1e-15,
        )
        assert np.sum(truth.active_mask != 0) == 1
        solution = truth.x
        assert result.cost <= truth.cost * (1 + 1e-9)
    np.testing.assert_allclose(result.x, solution, rtol=0, atol=1e-4)
    assert result.nfev <= most


# ---- what the cases of the documentation ask -------------------------------------------------------------------------


def test_a_quadratic_in_a_box() -> None:
    result = lm_solve(STRAIGHT[0], [0.5, 0.5], bounds=(np.zeros(2), np.array([2.0, 1.0])))
    assert result.success
    np.testing.assert_array_equal(result.x, [2, 1])
    last = result.history[-1]
    assert (last["n_active_lower"], last["n_active_upper"], last["total_active"]) == (0, 2, 2)
    assert last["grad_proj_norm"] < 1e-12
    assert last["grad_norm"] == 1


def test_a_box_that_does_not_bind() -> None:
    tolerances = {"ftol": 1e-8, "xtol": 1e-8}
    free = lm_solve(rosenbrock, [0, 0], jac=rosenbrock_jacobian, **tolerances)
    loose = lm_solve(rosenbrock, [0, 0], jac=rosenbrock_jacobian, bounds=([-9, -9], [9, 9]), **tolerances)
    np.testing.assert_array_equal(loose.x, free.x)
    assert loose.nfev == free.nfev
    assert loose.history[-1]["total_active"] == 0


@pytest.mark.parametrize(("ftol", "xtol", "status"), [(1e-3, None, 1), (None, 1e-3, 2), (1e-3, 1e-2, 3)])
def test_tolerances_have_their_statuses(ftol: Any, xtol: Any, status: int) -> None:
    """A straight line with a residual that stays: the first step is damped, the second gains and moves little."""
    result = lm_solve(
        lambda x: np.append(x - 3, 4.0),
        [1.0],
        jac=lambda x: np.array([[1.0], [0.0]]),
        ftol=ftol,
        xtol=xtol,
        gtol=None,
    )
    assert result.status == status
    assert result.success
    assert ("ftol" in result.message) == (status in (1, 3))
    assert ("xtol" in result.message) == (status in (2, 3))
    np.testing.assert_allclose(result.x, [3], rtol=1e-5)


def test_the_budget_is_its_own_status() -> None:
    result = lm_solve(rosenbrock, [-1.2, 1], max_nfev=3)
    assert result.status is LMStatus.MAX_FEVAL
    assert result.status == 5
    assert not result.success
    assert "max_nfev" in result.message
    assert result.nfev == 3
    assert result.cost <= 12.1


@pytest.mark.parametrize("most", [1, 2, 5, 17])
def test_the_budget_is_kept(most: int) -> None:
    counted = Recorder(rosenbrock)
    result = lm_solve(counted, [-1.2, 1], jac=rosenbrock_jacobian, max_nfev=most)
    assert counted.calls == result.nfev <= most


def test_diag_makes_steps_small_where_it_is_large() -> None:
    """A parameter of 1e-3 beside one of 1e3: automatic scaling sees both, and a wrong one only costs evaluations."""

    def fun(x: Array) -> Array:
        return np.array([1000 * x[0] - 1, x[1] / 1000 - 1])

    J = np.diag([1e3, 1e-3])
    tight = {"ftol": 1e-10, "xtol": 1e-10, "gtol": 1e-10}
    counts = {}
    for name, diag in {"automatic": None, "right": [1e3, 1e-3], "wrong": [1e-3, 1e3]}.items():
        result = lm_solve(fun, [0.1, 10.0], jac=lambda x: J, diag=diag, **tight)
        assert result.success
        np.testing.assert_allclose(result.x, [1e-3, 1e3], rtol=1e-6)
        counts[name] = result.nfev
    assert counts["automatic"] <= 6
    assert counts["right"] <= 6
    assert counts["wrong"] > counts["right"]
    first = [
        abs(lm_solve(lambda x: x - 1, [0.0], jac=lambda x: np.eye(1), diag=d, max_nfev=2).x[0])
        for d in (1.0, 30.0, 300.0)
    ]
    assert first == sorted(first, reverse=True)
    np.testing.assert_allclose(first, [1 / (1 + 1e-3 * d * d) for d in (1.0, 30.0, 300.0)])


def test_lambda0_leans_on_the_gradient() -> None:
    """The first step solves (H + lambda0 D^2) p = -g exactly."""
    J = np.array([[1.0, 2], [3, 4], [5, 7]])
    for damping in (1e-6, 1.0, 1e3):
        result = lm_solve(lambda x: J @ x - 1, [0.0, 0.0], jac=lambda x: J, lambda0=damping, diag=[1, 2], max_nfev=2)
        p = np.linalg.solve(J.T @ J + damping * np.diag([1.0, 4.0]), J.sum(axis=0))
        np.testing.assert_allclose(result.x, p, rtol=1e-12)
        record = result.history[0]
        assert record["lambda"] == damping
        cost, model = 1.5, 0.5 * np.sum((J @ p - 1) ** 2)
        np.testing.assert_allclose(record["prered"], 1 - model / cost, rtol=1e-10)
        np.testing.assert_allclose(record["ratio"], 1, rtol=1e-9)


# ---- statuses --------------------------------------------------------------------------------------------------------


def test_codes_and_names_are_a_promise() -> None:
    assert {status.name: int(status) for status in LMStatus if status >= 0} == {
        "FTOL_REACHED": 1,
        "XTOL_REACHED": 2,
        "BOTH_TOL_REACHED": 3,
        "GTOL_REACHED": 4,
        "MAX_FEVAL": 5,
        "STATIONARY": 6,
        "ZERO_RESIDUAL": 7,
    }


def test_every_ending_of_the_core_has_its_status() -> None:
    """Each general status is one of lm_solve's, with its sentence; failures keep name and number but for the budget."""
    messages = [status.message for status in LMStatus]
    assert len(set(messages)) == len(messages) == len(Status)
    for status in LMStatus:
        assert status.success == status.message.startswith("Converged: ")
        assert status.success == (status in (1, 2, 3, 4, 6, 7))
    failures = {(s.name, int(s)) for s in Status if s < 0} - {("MAX_EVALUATIONS", -1)}
    assert failures == {(s.name, int(s)) for s in LMStatus if s < 0}


def test_statuses_are_integers_that_pickle() -> None:
    for status in LMStatus:
        assert isinstance(status, int)
        assert LMStatus(int(status)) is status
        assert pickle.loads(pickle.dumps(status)) is status


def test_status_success_and_message_agree() -> None:
    for settings in ({}, {"max_nfev": 2}, {"gtol": None}, {"ftol": None, "xtol": None, "gtol": None}):
        result = lm_solve(rosenbrock, [-1.2, 1], jac=rosenbrock_jacobian, **settings)
        assert isinstance(result.status, LMStatus)
        assert result.success is result.status.success
        assert result.message == result.status.message


def test_a_zero_gradient_meets_gtol() -> None:
    """At the solution all tests hold; gtol's is the one users know. Without it the ending has a name of its own."""
    assert lm_solve(lambda x: x - 2, [2.0]).status == LMStatus.GTOL_REACHED
    off = lm_solve(lambda x: x - 2, [2.0], gtol=None)
    assert off.status == LMStatus.ZERO_RESIDUAL
    assert off.success
    far = lm_solve(
        lambda x: np.append(x - 2, x - 3), [0.0], jac=lambda x: np.ones((2, 1)), ftol=None, xtol=None, gtol=None
    )
    assert far.status == LMStatus.STATIONARY
    assert far.success


# ---- the result ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [None, BOX], ids=["free", "box"])
def test_fields(bounds: Any) -> None:
    result = lm_solve(rosenbrock, [0.5, 0.5], bounds=bounds, jac=rosenbrock_jacobian)
    r, J = rosenbrock(result.x), rosenbrock_jacobian(result.x)
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.residuals, r)
    np.testing.assert_array_equal(result.jacobian, J)
    np.testing.assert_allclose(result.grad, J.T @ r, rtol=1e-14, atol=1e-20)
    assert result.jac is result.grad
    np.testing.assert_array_equal(result.hess, J.T @ J)
    assert result.fun == result.cost == pytest.approx(0.5 * r @ r)
    assert result.damping > 0
    assert result.njev == result.nit + 1
    assert result.nfev_differences == 0
    assert result["x"] is result.x


def test_positional_arguments_in_their_order() -> None:
    seen = []

    def func(x: Array, a: float) -> Array:
        seen.append(a)
        return np.array([10 * (x[1] - x[0] ** 2), a - x[0]])

    result = lm_solve(func, [0.5, 0.5], (1.0,), BOX, 1e-8, 1e-8, 1e-8, 50, [1.0, 1.0], 1e-2, None)
    np.testing.assert_allclose(result.x, [0.8, 0.64], atol=1e-8)
    assert set(seen) == {1.0}
    assert result.history[0]["lambda"] == 1e-2


# ---- history ---------------------------------------------------------------------------------------------------------

STATE = ["iter", "cost", "grad_norm", "lambda", "x"]
STEP = ["step_norm", "actred", "prered", "ratio", "lambda_next"]
BOUND = ["grad_proj_norm", "n_active_lower", "n_active_upper", "total_active"]


@pytest.mark.parametrize("bounds", [None, (None, [0.8, INF])], ids=["free", "box"])
@pytest.mark.parametrize("diag", [None, [3.0, 0.5]], ids=["automatic", "diag"])
def test_history_tells_the_story(bounds: Any, diag: Any) -> None:
    """Every number against what it claims to be, computed from the iterates alone."""
    result = lm_solve(rosenbrock, [-1.2, 1], bounds=bounds, diag=diag, jac=rosenbrock_jacobian)
    history = result.history
    assert len(history) == result.nit + 1 == result.njev
    lower, upper = np.full(2, -INF), np.array([INF if bounds is None else 0.8, INF])
    largest = np.zeros(2)
    for k, (record, following) in enumerate(zip(history, [*history[1:], None], strict=True)):
        expected = STATE + (BOUND if bounds else []) + (STEP if following else [])
        assert list(record) == expected
        assert record["iter"] == k
        x = record["x"]
        r, J = rosenbrock(x), rosenbrock_jacobian(x)
        g = J.T @ r
        assert record["cost"] == pytest.approx(0.5 * r @ r, rel=1e-14)
        assert record["grad_norm"] == pytest.approx(np.abs(g).max(), rel=1e-10, abs=1e-14)
        assert record["lambda"] > 0
        if bounds:
            assert record["grad_proj_norm"] == pytest.approx(np.abs(np.clip(x - g, lower, upper) - x).max(), abs=1e-8)
            assert record["n_active_upper"] == record["total_active"] == int(x[0] == 0.8)
            assert record["n_active_lower"] == 0
        largest = np.maximum(largest, np.linalg.norm(J, axis=0))
        if following:
            p = following["x"] - x
            D = largest if diag is None else np.array(diag)
            assert record["step_norm"] == pytest.approx(np.linalg.norm(D * p), rel=1e-9)
            assert record["actred"] == pytest.approx(1 - following["cost"] / record["cost"], rel=1e-9, abs=1e-13)
            assert record["ratio"] == pytest.approx(record["actred"] / record["prered"], rel=1e-9)
            assert record["lambda_next"] == following["lambda"]
    np.testing.assert_array_equal(history[0]["x"], [-1.2, 1])
    np.testing.assert_array_equal(history[-1]["x"], result.x)
    assert history[-1]["cost"] == result.cost


def test_history_is_a_sequence() -> None:
    result = lm_solve(rosenbrock, [-1.2, 1])
    history = result.history
    assert [record["iter"] for record in history] == list(range(len(history)))
    assert history[-1]["iter"] == len(history) - 1
    assert [record["iter"] for record in history[2:5]] == [2, 3, 4]
    assert next(reversed(history))["iter"] == len(history) - 1
    with pytest.raises(IndexError):
        history[len(history)]
    with pytest.raises(IndexError):
        history[-len(history) - 1]
    assert len(repr(history)) < 80
    for again in (pickle.loads(pickle.dumps(result)).history, copy.deepcopy(result).history):
        assert len(again) == len(history)
        for one, other in zip(again, history, strict=True):
            assert list(one) == list(other)
            assert all(np.array_equal(one[key], other[key]) for key in one)


def test_passes_show_rejected_trials_too() -> None:
    result = lm_solve(rosenbrock, [-1.2, 1], jac=rosenbrock_jacobian)
    passes = result.passes
    assert len(passes) >= len(result.history)
    assert passes["accepted"].sum() == result.nit
    rejected = [k for k, taken in enumerate(passes["accepted"][:-1]) if not taken]
    assert rejected
    assert np.all(passes["control"][[k + 1 for k in rejected]] > passes["control"][rejected])


def test_a_history_is_short_or_empty_where_the_solve_was() -> None:
    one = lm_solve(rosenbrock, [-1.2, 1], max_nfev=1).history
    assert list(one[0]) == STATE
    assert len(one) == 1
    assert len(lm_solve(lambda x: x * NAN, [1.0]).history) == 0


# ---- the table -------------------------------------------------------------------------------------------------------

HEADER = "Iteration   Total nfev       Cost       Cost reduction   Step norm    Optimality "


def test_the_table(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="marquardt"):
        result = lm_solve(rosenbrock, [-1.2, 1], log_level=logging.INFO, jac=rosenbrock_jacobian)
    header, *rows, message = caplog.messages
    assert header == HEADER
    assert message == result.message
    assert len(rows) == result.nit + 1
    tries = result.passes["nfev"][np.searchsorted(result.passes["iteration"], range(result.nit + 1))]
    for k, (row, record) in enumerate(zip(rows, result.history, strict=True)):
        assert len(row) == len(HEADER)
        before = result.history[k - 1] if k else None
        cells = [
            f"{k:^10}",
            f"{tries[k]:^12}",
            f"{record['cost']:^15.4e}",
            f"{before['actred'] * before['cost']:^15.2e}" if before else " " * 15,
            f"{before['step_norm']:^12.2e}" if before else " " * 12,
            f"{record['grad_norm']:^12.2e}",
        ]
        assert row == " ".join(cells)


def test_a_solve_that_never_started_logs_its_message_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="marquardt"):
        result = lm_solve(lambda x: x * NAN, [1.0], log_level="INFO")
    assert caplog.messages == [result.message]


@pytest.mark.parametrize("level", [None, 0, "NOTSET"])
def test_silence(level: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(1, logger="marquardt"):
        lm_solve(rosenbrock, [-1.2, 1], log_level=level)
    assert caplog.records == []
    assert "".join(capsys.readouterr()) == ""


def test_a_level_that_nobody_listens_to_costs_no_observer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="marquardt"):
        lm_solve(rosenbrock, [-1.2, 1], log_level=logging.INFO)
    assert caplog.records == []


# ---- edges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_start_where_the_function_is_not_finite(bad: float) -> None:
    counted = Recorder(lambda x: np.array([bad, x[0]]))
    result = lm_solve(counted, [1.0, 2.0])
    assert counted.calls == result.nfev == 1
    assert result.status is LMStatus.NOT_FINITE_START
    assert not result.success
    assert "x0" in result.message
    np.testing.assert_array_equal(result.x, [1, 2])


def test_a_start_where_the_jacobian_is_not_finite() -> None:
    result = lm_solve(lambda x: x, [1.0], jac=lambda x: np.array([[NAN]]))
    assert (result.status, result.nfev) == (LMStatus.NOT_FINITE_JACOBIAN, 1)
    assert not result.success


@pytest.mark.parametrize("x0", [1.0, 1e-3, 50.0])
def test_trials_outside_the_domain_are_stepped_back_from(x0: float) -> None:
    def func(x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x) + 3

    result = lm_solve(func, [x0])
    assert result.success
    np.testing.assert_allclose(result.x, [np.exp(-3)], rtol=1e-5)


@pytest.mark.parametrize(("x0", "most"), [(30.0, 84), (300.0, 1000)])
def test_an_exponential_from_far_up(x0: float, most: int) -> None:
    result = lm_solve(lambda x: np.exp(x) - 1, [x0], jac=lambda x: np.exp(x)[:, None], max_nfev=1000)
    assert result.success
    np.testing.assert_allclose(result.x, [0], atol=1e-6)
    assert result.nfev <= most


@pytest.mark.parametrize("start", [(1.5, 1.0), (-1.2, 1.0), (9, -9), (0.9, 2.1)], ids=str)
def test_a_start_outside_is_moved_or_refused(start: Any) -> None:
    counted = Recorder(rosenbrock)
    result = lm_solve(counted, start, bounds=BOX)
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=0, atol=1e-8)
    assert "moved into the bounds" in result.notes[0]
    assert all(np.all((np.array(BOX[0]) <= x) & (x <= BOX[1])) for x in counted.points)
    with pytest.raises(ValueError, match="within the bounds"):
        lm_solve(rosenbrock, start, bounds=BOX, outside="raise")


@pytest.mark.parametrize("start", [(0, 0), (0.8, 0), (0, 2), (0.8, 2), (0.8, 1), (0.4, 0), (0.8, 0.64)], ids=str)
@EACH_JAC
def test_a_start_on_the_walls_and_in_the_corners(start: Any, jac: Any) -> None:
    result = lm_solve(rosenbrock, start, bounds=BOX, jac=jac)
    assert result.success
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=0, atol=1e-7)
    assert result.x[0] == 0.8


def test_a_zero_outside_the_box_is_no_answer() -> None:
    result = lm_solve(lambda x: x - 5, [5.0, 5.0], bounds=(0, 1))
    assert result.success
    np.testing.assert_array_equal(result.x, [1, 1])


def test_equal_bounds_fix_parameters() -> None:
    one = lm_solve(rosenbrock, [0.5, 0.0], bounds=([0.5, -INF], [0.5, INF]))
    assert one.success
    np.testing.assert_allclose(one.x, [0.5, 0.25], rtol=0, atol=1e-8)
    both = lm_solve(rosenbrock, [9, 9], bounds=([0.5, 1], [0.5, 1]))
    assert both.success
    assert both.nfev == 1
    np.testing.assert_array_equal(both.x, [0.5, 1])


def test_infinite_bounds_are_no_bounds() -> None:
    free = lm_solve(rosenbrock, [-1.2, 1])
    for bounds in ((-INF, INF), (np.full(2, -INF), np.full(2, INF)), (None, None)):
        result = lm_solve(rosenbrock, [-1.2, 1], bounds=bounds)
        np.testing.assert_array_equal(result.x, free.x)
        assert result.nfev == free.nfev


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1e4, 1e8])
@pytest.mark.parametrize("bounds", [None, ([-5, -5], [0.8, 5])], ids=["free", "box"])
def test_units_of_the_residuals_do_not_matter(scale: float, bounds: Any) -> None:
    result = lm_solve(
        lambda x: scale * rosenbrock(x), [-1.2, 1], bounds=bounds, jac=lambda x: scale * rosenbrock_jacobian(x)
    )
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1] if bounds is None else [0.8, 0.64], rtol=0, atol=3e-4)


def test_a_parameter_of_ten_million() -> None:
    J = np.diag([1.0, 1e-7])
    result = lm_solve(lambda x: J @ x - 1, [0.0, 0.0], jac=lambda x: J)
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1e7], rtol=1e-5)


@pytest.mark.parametrize("jac", [None, lambda x: np.zeros((3, 2))], ids=["differences", "exact"])
def test_a_constant_residual(jac: Any) -> None:
    result = lm_solve(lambda x: np.array([1.0, 2, 3]), [4.0, 5.0], jac=jac)
    np.testing.assert_array_equal(result.x, [4, 5])
    assert result.cost == 7
    assert result.nfev < 20


def test_a_zero_residual_at_the_start() -> None:
    result = lm_solve(rosenbrock, [1.0, 1.0])
    assert (result.status, result.nfev, result.nit) == (4, 1, 0)
    assert result.success


def test_a_parameter_without_effect_stays() -> None:
    result = lm_solve(lambda x: np.array([x[0] - 1, x[0] - 2]), [5.0, 7.0])
    assert result.success
    np.testing.assert_allclose(result.x, [1.5, 7], rtol=1e-6)


@pytest.mark.parametrize("jac", [None, lambda x: np.ones((1, 3))], ids=["differences", "exact"])
def test_fewer_residuals_than_parameters(jac: Any) -> None:
    """The answer is the one nearest to the start (in the scaling, which is equal here)."""
    result = lm_solve(lambda x: [x.sum() - 1], [1.0, 1.0, 1.0], jac=jac, diag=1)
    assert result.success
    np.testing.assert_allclose(result.x, np.full(3, 1 / 3), rtol=1e-6)
    wide = np.array([[1.0, 2, 3, 4], [0, 1, 0, -1]])
    flat = lm_solve(lambda x: wide @ x - [1, 2], np.zeros(4), jac=lambda x: wide, diag=1)
    np.testing.assert_allclose(flat.x, np.linalg.pinv(wide) @ [1, 2], rtol=1e-5, atol=1e-6)


def test_equal_columns() -> None:
    J = np.ones((3, 2))
    result = lm_solve(lambda x: J @ x - 1.4, [0.0, 0.0], jac=lambda x: J)
    assert result.success
    np.testing.assert_allclose(result.x, [0.7, 0.7], rtol=1e-6)


def test_a_high_floor_does_not_burn_the_budget() -> None:
    result = lm_solve(
        lambda x: np.append(rosenbrock(x), 1e6),
        [-1.2, 1],
        jac=lambda x: np.vstack([rosenbrock_jacobian(x), np.zeros(2)]),
        ftol=1e-15,
        xtol=1e-15,
        gtol=1e-15,
        max_nfev=1000,
    )
    assert result.nfev < 100


def test_without_tolerances_the_last_digit_is_reached() -> None:
    for off in (None, 0):
        result = lm_solve(rosenbrock, [-1.2, 1], jac=rosenbrock_jacobian, ftol=off, xtol=off, gtol=off)
        assert result.success
        np.testing.assert_allclose(result.x, [1, 1], rtol=1e-13)


def test_an_exception_carries_the_best_point() -> None:
    class OwnError(Exception):
        pass

    calls = iter(range(100))

    def func(x: Array) -> Array:
        if next(calls) == 25:
            raise OwnError
        return rosenbrock(x)

    with pytest.raises(OwnError) as caught:
        lm_solve(func, [-1.2, 1])
    partial = caught.value.partial_result  # type: ignore[attr-defined]
    assert partial.status is LMStatus.INTERRUPTED
    assert not partial.success
    assert 0 < partial.cost < 12.1
    assert partial.history[-1]["cost"] == partial.cost
    np.testing.assert_array_equal(partial.history[-1]["x"], partial.x)


def test_an_exception_at_the_first_call_has_the_start() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        lm_solve(lambda x: 1 / 0, [1.0, 2.0])
    partial = caught.value.partial_result  # type: ignore[attr-defined]
    np.testing.assert_array_equal(partial.x, [1, 2])
    assert len(partial.history) == 0


@pytest.mark.parametrize("how", ["true value", "StopIteration"])
def test_a_callback_stops_the_solve(how: str) -> None:
    seen: list[Array] = []

    def callback(x: Array) -> bool:
        seen.append(x)
        if len(seen) == 3 and how == "StopIteration":
            raise StopIteration
        return len(seen) == 3

    result = lm_solve(rosenbrock, [-1.2, 1], callback=callback)
    assert result.status is LMStatus.STOPPED
    assert result.nit == 3
    assert not result.success
    np.testing.assert_array_equal(result.x, seen[-1])


def test_a_time_limit() -> None:
    result = lm_solve(rosenbrock, [-1.2, 1], max_time=1e-9)
    assert result.status is LMStatus.TIME_LIMIT
    assert not result.success


# ---- two hundred fits with bounds ------------------------------------------------------------------------------------


class BoundFit:
    """a exp(-b t) + c in a box against noisy data, the free answer usually cut off.

    For a given b the best (a, c) is a linear problem of two variables in a box, which is solved by going through its
    nine active sets; what remains is one variable, b, on an interval, looked through by ever finer grids. None of this
    has anything to do with the solver under test.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        t = np.linspace(0, rng.uniform(2, 6), 30)
        truth = np.array([rng.uniform(1, 5), rng.uniform(0.5, 2), rng.uniform(0.2, 1)])
        y = truth[0] * np.exp(-truth[1] * t) + truth[2] + rng.choice([1e-3, 0.02, 0.1]) * rng.standard_normal(t.size)
        self.fun, self.jac = decay_to(t, y)
        self.t, self.y = t, y
        self.lower, self.upper = np.array([0.0, 0.05, 0.0]), np.array([10.0, 5.0, 5.0])
        for j in rng.choice(3, rng.integers(1, 4), replace=False):
            if rng.uniform() < 0.5:
                self.upper[j] = rng.uniform(0.5, 0.95) * truth[j]
            else:
                self.lower[j] = rng.uniform(1.05, 1.5) * truth[j]
        middle = self.lower + rng.uniform(0.1, 0.9, 3) * (np.minimum(self.upper, 3 * truth) - self.lower)
        corner = np.where(rng.uniform(size=3) < 0.5, self.lower, self.upper)
        on_a_wall = np.where(np.arange(3) == rng.integers(3), corner, middle)
        outside = middle + np.where(rng.uniform(size=3) < 0.5, -3.0, 3.0)
        self.starts = (middle, on_a_wall, corner, outside)

    def minima(self) -> list[tuple[float, Array]]:
        """Return the costs and places of all local minima in the box, least cost first."""
        b = np.linspace(self.lower[1], self.upper[1], 401)
        costs = np.concatenate([[INF], self.profile(b)[0], [INF]])
        valleys = np.flatnonzero((costs[1:-1] <= costs[:-2]) & (costs[1:-1] <= costs[2:]))
        found = []
        for valley in valleys:
            low, high = b[max(valley - 1, 0)], b[min(valley + 1, b.size - 1)]
            for _ in range(10):
                finer = np.linspace(low, high, 41)
                cost, a, c = self.profile(finer)
                k = int(np.argmin(cost))
                low, high = finer[max(k - 1, 0)], finer[min(k + 1, finer.size - 1)]
            found.append((float(cost[k]), np.array([a[k], finer[k], c[k]])))
        return sorted(found, key=lambda pair: pair[0])

    def profile(self, b: Array) -> tuple[Array, Array, Array]:
        """Return the least cost over a and c for each b, with a and c."""
        e = np.exp(-np.outer(b, self.t))
        m, y = self.t.size, self.y
        ee, e1, ey = (e * e).sum(axis=1), e.sum(axis=1), e @ y
        (al, _, cl), (au, _, cu) = self.lower, self.upper
        det = ee * m - e1 * e1
        candidates = [((m * ey - e1 * y.sum()) / det, (ee * y.sum() - e1 * ey) / det)]
        candidates += [(np.full(b.size, a), (y.sum() - a * e1) / m) for a in (al, au)]
        candidates += [((ey - c * e1) / ee, np.full(b.size, c)) for c in (cl, cu)]
        candidates += [(np.full(b.size, a), np.full(b.size, c)) for a in (al, au) for c in (cl, cu)]
        a, c = (np.array(side) for side in zip(*candidates, strict=True))
        inside = (al <= a) & (a <= au) & (cl <= c) & (c <= cu)
        r = a[:, :, None] * e + c[:, :, None] - y
        costs = np.where(inside, 0.5 * np.einsum("kbi,kbi->kb", r, r), INF)
        pick = np.argmin(costs, axis=0), np.arange(b.size)
        return costs[pick], a[pick], c[pick]


def test_two_hundred_bounded_fits() -> None:
    """Every one right from all four starts: a local minimum, nearly always the least, on its walls to the last bit."""
    wrong, false_successes, at_walls, at_least = [], [], 0, 0
    for seed in range(200):
        problem = BoundFit(seed)
        minima = problem.minima()
        for start in problem.starts:
            result = lm_solve(problem.fun, start, bounds=(problem.lower, problem.upper), jac=problem.jac)
            assert np.all((problem.lower <= result.x) & (result.x <= problem.upper))
            cost, place = min(minima, key=lambda pair: abs(pair[0] - result.cost))
            lowest, highest = (np.abs(place - side) <= 1e-7 for side in (problem.lower, problem.upper))
            right = abs(result.cost - cost) <= 1e-8 * cost
            right &= np.array_equal(result.active_mask, highest.astype(int) - lowest)
            right &= np.array_equal(result.x[lowest], problem.lower[lowest])
            right &= np.array_equal(result.x[highest], problem.upper[highest])
            at_walls += bool(np.any(lowest | highest))
            at_least += cost == minima[0][0]
            case = (seed, start, result.status.name, result.cost / cost - 1, result.x, place)
            if not (right and result.success):
                wrong.append(case)
            if result.success and not right:
                false_successes.append(case)
    assert false_successes == []
    assert wrong == []
    assert at_walls >= 600
    assert at_least >= 780
