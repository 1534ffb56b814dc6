"""Every face on every problem: what a result claims is true, whoever computed it.

The truth is computed here, from the residuals and the Jacobian at the point returned.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from helpers import EPS, FACES, TR_FACES, FirstOrder, Recorder, first_order, solve
from marquardt import Result, Status
from problems import ALL, Case, by_name, by_tag

SUCCESSES = frozenset(status for status in Status if status > 0)
BUDGET = 5000

# Finite differences are the same code whatever the problem: a cross-section of the registry will do.
DIFFERENCED = (
    *by_tag("bounded"),
    *by_tag("degenerate"),
    *by_tag("nist", "lower", "start2"),
    *by_tag("nist", "average", "start2"),
    *by_tag("mgh", "x1"),
)


class Run:
    """A solve with everything that it called."""

    def __init__(self, face: str, case: Case, source: str, tolerance: float | None) -> None:
        self.case = case
        self.fun, self.jac = Recorder(case.residual), Recorder(case.jacobian)
        bounds = (case.lower, case.upper)
        jac: Any = self.jac if source == "analytic" else source
        self.result: Result = solve(
            face, self.fun, case.x0, jac, bounds=bounds, tolerance=tolerance, max_nfev=BUDGET
        )

    def measure(self) -> FirstOrder:
        """First order at the point returned, by the analytic Jacobian."""
        x, case = self.result.x, self.case
        visited = np.abs(self.fun.points[0])
        return first_order(case.jacobian(x), case.residual(x), x, case.lower, case.upper, visited)


@functools.cache
def run(face: str, name: str, source: str, tolerance: float | None) -> Run:
    return Run(face, by_name(name), source, tolerance)


EVERY_FACE = pytest.mark.parametrize("face", FACES)
SOURCES = ["analytic", "2-point", "3-point"]

RUNS = [
    pytest.param(face, case, source, tolerance, id=f"{face}-{source}-{'tight' if tolerance is None else 'default'}-{case}")
    for face in FACES
    for source in SOURCES
    for tolerance in (1e-6, None)
    for case in (ALL if source == "analytic" else DIFFERENCED)
]
EVERY_RUN = pytest.mark.parametrize(("face", "case", "source", "tolerance"), RUNS)


def error_of(source: str) -> float:
    """Relative error that a source of Jacobians may have in the directions it resolves."""
    return {"analytic": EPS, "2-point": EPS**0.5, "3-point": EPS ** (2 / 3)}[source]


@EVERY_RUN
def test_success_is_never_false(face: str, case: Case, source: str, tolerance: float | None) -> None:
    """Success means first order: by the residuals' angle to the Jacobian, or by the length of the full step.

    With tolerances of 1e-6 three digits of either; without tolerances all that the Jacobian's error leaves.
    """
    done = run(face, case.name, source, tolerance)
    if not done.result.success:
        return
    here = done.measure()
    digits = 2e-3 if tolerance is not None else max(1e-5, 1e3 * error_of(source))
    by_angle = here.gain <= digits * here.norm_r + 1e3 * here.noise
    by_step = here.step <= digits * here.size
    assert by_angle or by_step, f"{done.result!r}: {here}"


@EVERY_RUN
def test_the_result_is_true_to_itself(face: str, case: Case, source: str, tolerance: float | None) -> None:
    result = run(face, case.name, source, tolerance).result
    x, r, J = result.x, result.residuals, result.jacobian
    assert isinstance(result.status, Status)
    assert result.success is (result.status in SUCCESSES)
    assert result.message.startswith("Converged: ") is result.success
    np.testing.assert_array_equal(r, case.residual(x))
    np.testing.assert_allclose(result.cost, 0.5 * (r @ r), rtol=1e-13)
    if source == "analytic":
        np.testing.assert_array_equal(J, case.jacobian(x))
    rounding = 100 * EPS * np.linalg.norm(J, axis=0) * np.linalg.norm(r)
    np.testing.assert_array_less(np.abs(result.grad - J.T @ r), rounding + 1e-300)
    assert 0 <= result.optimality < np.inf
    assert 0 <= result.rank <= min(J.shape)
    if face == "lm":
        assert result.fun == result.cost
        np.testing.assert_array_equal(result.jac, result.grad)
        np.testing.assert_array_equal(result.hess, J.T @ J)
        assert result.damping > 0
    else:
        np.testing.assert_array_equal(result.fun, r)
        np.testing.assert_array_equal(result.jac, J)
        assert result.trust_radius > 0
        assert np.all(result.v >= 0)


@EVERY_RUN
def test_every_evaluation_is_inside_the_box(face: str, case: Case, source: str, tolerance: float | None) -> None:
    done = run(face, case.name, source, tolerance)
    lower, upper = case.lower, case.upper
    points = np.array([*done.fun.points, *done.jac.points])
    assert np.all((lower <= points) & (points <= upper))
    assert np.all((lower <= done.result.x) & (done.result.x <= upper))
    free = lower < upper
    if face != "lm":
        strictly = points[:, free] if source == "analytic" else done.result.x[None, free]
        assert np.all((lower[free] < strictly) & (strictly < upper[free]))
    for mask, bound in ((-1, lower), (1, upper)):
        at = result_at(done.result, mask)
        assert np.isfinite(bound[at]).all()
        np.testing.assert_allclose(done.result.x[at], bound[at], rtol=1e-5, atol=1e-5)


def result_at(result: Result, mask: int) -> Any:
    return np.flatnonzero(result.active_mask == mask)


@EVERY_RUN
def test_counts_are_the_calls_made(face: str, case: Case, source: str, tolerance: float | None) -> None:
    done = run(face, case.name, source, tolerance)
    result = done.result
    assert done.fun.calls == result.nfev + result.nfev_differences
    assert result.nfev <= BUDGET
    assert result.nit + 1 <= result.nfev
    if source == "analytic":
        assert done.jac.calls == result.njev
        assert result.nfev_differences == 0
    else:
        free = int(np.sum(case.lower < case.upper))
        assert result.nfev_differences >= result.njev * free * (1 if source == "2-point" else 2)


@EVERY_RUN
def test_the_history_tells_the_same_story(face: str, case: Case, source: str, tolerance: float | None) -> None:
    done = run(face, case.name, source, tolerance)
    result, history = done.result, done.result.history
    first, last = history[0], history[-1]
    assert (first["iteration"], first["nfev"], first["njev"]) == (0, 1, 1)
    start = done.fun.points[0]
    np.testing.assert_allclose(first["cost"], case.cost(start), rtol=1e-12)
    assert last["iteration"] == result.nit
    assert last["cost"] == result.cost
    assert last["optimality"] == result.optimality
    assert last["nfev"] <= result.nfev
    assert last["njev"] <= result.njev

    for name in ("iteration", "nfev", "njev"):
        assert np.all(np.diff(history[name]) >= 0)
    assert np.all(np.diff(history["iteration"]) <= 1)
    # the cost falls, but for rounding of r, which is that of its terms
    noise = 40 * EPS * (result.cost + np.sqrt(2 * result.cost) * (1 + terms(done)))
    assert np.all(np.diff(history["cost"]) <= noise + 1e-13 * history["cost"][:-1])
    assert np.all(history["control"] > 0)
    assert np.isfinite(history["optimality"]).all()

    tried, accepted = history[:-1], history["accepted"][:-1]
    assert not last["accepted"]
    moved = np.diff(history["iteration"]) == 1
    assert np.all(moved[accepted])
    assert np.all(tried["actual"][accepted] > 0)
    assert np.all(tried["ratio"][accepted] > 0)
    fall = tried["cost"] - history["cost"][1:]
    np.testing.assert_allclose(
        tried["actual"][accepted], fall[accepted], rtol=1e-6, atol=float(np.max(1e-13 * history["cost"]))
    )
    assert np.all(np.diff(history["cost"])[~moved] == 0)
    if face != "lm":
        assert len(result.alltr) == len(history)
        assert len(result.allx) == result.nit + 1
        np.testing.assert_array_equal(result.allx[-1], result.x)
        np.testing.assert_array_equal(result.allx[0], start)


def terms(done: Run) -> float:
    return float(np.linalg.norm(done.result.jacobian, axis=0) @ np.abs(done.result.x))


# ---- the known minima ------------------------------------------------------------------------------------------------


def excess_allowed(case: Case) -> float:
    """How far above a known minimum a cost may end: the digits to which it is known, and rounding of r.

    Seven digits of the terms that make up r, which is what double precision leaves of a cost near zero.
    """
    J = case.jacobian(np.clip(case.x0, case.lower, case.upper))
    sizes = np.abs([*case.solutions, case.x0]).max(axis=0)
    terms_of_r = float(np.linalg.norm(J, axis=0) @ sizes)
    at_solution = max((np.linalg.norm(case.jacobian(x), axis=0) @ np.abs(x) for x in case.solutions), default=terms_of_r)
    scale = min(terms_of_r, at_solution + np.linalg.norm(case.residual(np.clip(case.x0, case.lower, case.upper))))
    return 100 * 10.0**-case.digits * case.minimum + 1e-14 * scale**2


EASY = [case for case in ALL if "hard" not in case.tags]


@pytest.mark.parametrize("case", EASY, ids=str)
@EVERY_FACE
def test_the_known_minimum_is_reached(face: str, case: Case) -> None:
    """Where SciPy's three methods all get there with tight tolerances, so does every face, and says so."""
    result = run(face, case.name, "analytic", None).result
    known = case.nearest_minimum(result.cost)
    assert result.success, f"{result!r}: {result.message}"
    assert abs(result.cost - known) <= excess_allowed(case), f"{result!r}; known: {known}"


@pytest.mark.parametrize("case", [case for case in ALL if "hard" in case.tags], ids=str)
@EVERY_FACE
def test_on_hard_problems_success_means_a_known_minimum(face: str, case: Case) -> None:
    result = run(face, case.name, "analytic", None).result
    if result.success:
        known = case.nearest_minimum(result.cost)
        assert abs(result.cost - known) <= excess_allowed(case), f"{result!r}; known: {known}"


@pytest.mark.parametrize("case", by_tag("nist"), ids=str)
@EVERY_FACE
def test_certified_parameters_are_reached(face: str, case: Case) -> None:
    """Success with tight tolerances means at least four certified digits; the exact Jacobian gives mostly ten."""
    result = run(face, case.name, "analytic", None).result
    if result.success:
        np.testing.assert_allclose(result.x, case.solutions[0], rtol=1e-4)


@pytest.mark.parametrize("case", by_tag("bounded"), ids=str)
@EVERY_FACE
def test_active_bounds_are_named(face: str, case: Case) -> None:
    result = run(face, case.name, "analytic", None).result
    x = min(case.solutions, key=lambda known: float(np.linalg.norm(known - result.x)))
    g = case.jacobian(x).T @ case.residual(x)
    pushed = np.abs(g) > 1e-8 * np.linalg.norm(case.jacobian(x), axis=0)
    expected = np.where(x == case.lower, -1, np.where(x == case.upper, 1, 0))
    np.testing.assert_array_equal(result.active_mask[pushed], expected[pushed])
    np.testing.assert_array_equal(result.active_mask[(case.lower < x) & (x < case.upper)], 0)


AGREEING = [case for case in EASY if not case.other_minima and "rank-deficient" not in case.tags]


@pytest.mark.parametrize("case", AGREEING, ids=str)
def test_the_three_factorisations_agree(case: Case) -> None:
    """The first steps are the same to rounding, and so is the end."""
    results = [run(face, case.name, "analytic", None).result for face in TR_FACES]
    for other in results[1:]:
        assert other.success == results[0].success
        assert abs(other.cost - results[0].cost) <= excess_allowed(case)
        if case.solutions and "underdetermined" not in case.tags and case.minimum > 0:
            np.testing.assert_allclose(other.x, results[0].x, rtol=1e-5, atol=1e-6 * np.abs(results[0].x).max())


@pytest.mark.parametrize("case", by_tag("x1"), ids=str)
def test_the_first_steps_of_the_three_factorisations_are_equal(case: Case) -> None:
    results = [
        solve(face, case.residual, case.x0, case.jacobian, tolerance=None, max_nfev=4) for face in TR_FACES
    ]
    reference = results[0].history
    for other in results[1:]:
        k = min(len(reference), len(other.history), 3)
        np.testing.assert_allclose(other.history["cost"][:k], reference["cost"][:k], rtol=1e-5, atol=1e-12)
