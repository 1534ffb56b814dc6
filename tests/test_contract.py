"""Every face on every problem: what a result claims is true, whoever computed it.

The truth is computed here, from the residuals and the Jacobian at the point returned.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import helpers
from helpers import EPS, FirstOrder, Recorder, ending, first_order, passes, solve
from marquardt import LMStatus, Result, Status
from problems import ALL, Case, by_name, by_tag

# The four ways to factorise a trust region's subproblem, and Levenberg-Marquardt.
TR_FACES = (*helpers.TR_FACES, "tr-auto")
FACES = (*helpers.FACES, "tr-auto")

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
        self.face, self.case, self.source, self.tolerance = face, case, source, tolerance
        self.fun, self.jac = Recorder(case.residual), Recorder(case.jacobian)
        bounds = (case.lower, case.upper)
        jac: Any = self.jac if source == "analytic" else source
        self.budget = 1000 if tolerance is not None or "hard" in case.tags else 10_000
        self.result: Result = solve(
            face, self.fun, case.x0, jac, bounds=bounds, tolerance=tolerance, max_nfev=self.budget
        )

    def measure(self) -> FirstOrder:
        """First order at the point returned, by the analytic Jacobian."""
        x, case = self.result.x, self.case
        return first_order(case.jacobian(x), case.residual(x), x, case.lower, case.upper, np.abs(self.fun.points[0]))

    @property
    def terms(self) -> float:
        """The size of the terms that make up r, hence of its rounding errors."""
        result = self.result
        return float(np.linalg.norm(result.jacobian, axis=0) @ np.abs(result.x) + np.linalg.norm(result.residuals))


@functools.cache
def run(face: str, name: str, source: str = "analytic", tolerance: float | None = None) -> Run:
    return Run(face, by_name(name), source, tolerance)


RUNS = [
    pytest.param(face, case, source, tolerance, id=f"{face}-{source}-{setting}-{case}")
    for face in FACES
    for source, setting, tolerance, cases in (
        ("analytic", "default", 1e-6, ALL),
        ("analytic", "tight", None, ALL),
        ("2-point", "default", 1e-6, DIFFERENCED),
        ("3-point", "tight", None, DIFFERENCED),
    )
    for case in cases
]
EVERY_FACE = pytest.mark.parametrize("face", FACES)
EVERY_RUN = pytest.mark.parametrize(("face", "case", "source", "tolerance"), RUNS)

DERIVATIVE_ERROR = {"analytic": EPS, "2-point": EPS**0.5, "3-point": EPS ** (2 / 3)}


@EVERY_RUN
def test_success_is_never_false(face: str, case: Case, source: str, tolerance: float | None) -> None:
    """Success means first order: by the residuals' angle to the Jacobian, or by the length of the full step.

    With tolerances of 1e-6 three digits of either; without tolerances all that the Jacobian's error leaves. Where
    the Jacobian is singular at a minimum both measures fail; there the cost must be a known minimum.
    """
    done = run(face, case.name, source, tolerance)
    if not done.result.success:
        return
    here = done.measure()
    digits = 2e-3 if tolerance is not None else max(1e-5, 1e3 * DERIVATIVE_ERROR[source])
    by_angle = here.gain <= digits * here.norm_r + 1e3 * here.noise
    by_step = here.step <= digits * here.size
    assert by_angle or by_step or at_a_known_minimum(done), f"{done.result!r}: {here}"


@EVERY_RUN
def test_the_result_is_true(face: str, case: Case, source: str, tolerance: float | None) -> None:
    done = run(face, case.name, source, tolerance)
    check_fields(done)
    check_points(done)
    check_counts(done)
    check_history(done)


def check_fields(done: Run) -> None:
    """The fields belong to x and to each other."""
    result, case = done.result, done.case
    x, r, J = result.x, result.residuals, result.jacobian
    assert isinstance(result.status, LMStatus if done.face == "lm" else Status)
    assert result.success is (ending(result) > 0)
    assert result.message.startswith("Converged: ") is result.success
    np.testing.assert_array_equal(r, case.residual(x))
    np.testing.assert_allclose(result.cost, 0.5 * (r @ r), rtol=1e-13)
    if done.source == "analytic":
        np.testing.assert_array_equal(J, case.jacobian(x))
    rounding = 100 * EPS * np.linalg.norm(J, axis=0) * np.linalg.norm(r)
    np.testing.assert_array_less(np.abs(result.grad - J.T @ r), rounding + 1e-300)
    assert 0 <= result.optimality < np.inf
    assert 0 <= result.rank <= min(J.shape)
    if done.face == "lm":
        assert result.fun == result.cost
        np.testing.assert_array_equal(result.jac, result.grad)
        np.testing.assert_array_equal(result.hess, J.T @ J)
        assert result.damping > 0
    else:
        np.testing.assert_array_equal(result.fun, r)
        np.testing.assert_array_equal(result.jac, J)
        assert result.trust_radius >= 0
        assert np.all(result.v >= 0)


def check_points(done: Run) -> None:
    """Every evaluation is inside the box, for the trust region strictly; the mask names the walls."""
    result, lower, upper = done.result, done.case.lower, done.case.upper
    points = np.array([*done.fun.points, *done.jac.points, result.x])
    assert np.all((lower <= points) & (points <= upper))
    free = lower < upper
    if done.face != "lm":
        strictly = (points if done.source == "analytic" else points[-1:])[:, free]
        assert np.all((lower[free] < strictly) & (strictly < upper[free]))
    for sign, bound in ((-1, lower), (1, upper)):
        at = result.active_mask == sign
        assert np.isfinite(bound[at]).all()
        np.testing.assert_allclose(result.x[at], bound[at], rtol=1e-5, atol=1e-5)


def check_counts(done: Run) -> None:
    """Counts are the calls made."""
    result = done.result
    assert done.fun.calls == result.nfev + result.nfev_differences
    assert result.nfev <= done.budget
    assert result.nit + 1 <= result.nfev
    if done.source == "analytic":
        assert done.jac.calls == result.njev
        assert result.nfev_differences == 0
    else:
        free = int(np.sum(done.case.lower < done.case.upper))
        assert result.nfev_differences >= result.njev * free * (1 if done.source == "2-point" else 2)


def check_history(done: Run) -> None:
    """The history tells the same story as the result."""
    result, history = done.result, passes(done.result)
    first, last = history[0], history[-1]
    start = done.fun.points[0]
    assert (first["iteration"], first["nfev"], first["njev"]) == (0, 1, 1)
    np.testing.assert_allclose(first["cost"], done.case.cost(start), rtol=1e-12)
    assert last["iteration"] == result.nit
    assert last["cost"] == result.cost
    assert last["optimality"] == result.optimality
    assert last["nfev"] <= result.nfev
    assert last["njev"] <= result.njev
    assert not last["accepted"]

    assert np.all(history["control"] > 0)
    assert np.isfinite(history["optimality"]).all()
    for name in ("iteration", "nfev", "njev"):
        assert np.all(np.diff(history[name]) >= 0)
    moved = np.diff(history["iteration"]) == 1
    assert np.all(moved | (np.diff(history["iteration"]) == 0))
    assert np.all(np.diff(history["cost"])[~moved] == 0)
    # the cost falls, but for rounding of r, which is that of its terms
    noise = 40 * EPS * (result.cost + np.sqrt(2 * result.cost) * done.terms)
    assert np.all(np.diff(history["cost"]) <= noise + 1e-13 * history["cost"][:-1])

    tried, accepted = history[:-1], history["accepted"][:-1]
    np.testing.assert_array_equal(moved, accepted)
    own = accepted & np.isfinite(tried["ratio"])  # the others: found by a search, or polishing within rounding
    assert np.all(tried["actual"][own] > 0)
    assert np.all(tried["ratio"][own] > 0)
    fall = (tried["cost"] - history["cost"][1:])[accepted]
    np.testing.assert_allclose(tried["actual"][accepted], fall, rtol=1e-6, atol=float(1e-13 * first["cost"]))
    if done.face == "lm":
        assert [record["cost"] for record in result.history] == history["cost"][np.append(True, moved)].tolist()
    else:
        assert len(result.alltr) == len(history)
        assert len(result.allx) == result.nit + 1
        np.testing.assert_array_equal(result.allx[-1], result.x)
        np.testing.assert_array_equal(result.allx[0], start)


# ---- the known minima ------------------------------------------------------------------------------------------------


def excess_allowed(case: Case, known: float) -> float:
    """How far from a known minimum a cost may end: the digits to which it is known, and rounding of r.

    A cost of zero is reached if r is down to seven digits of its terms, or to 1e-13 where there are none at the
    solution.
    """
    if known != case.minimum:
        return 1e-5 * known
    points = case.solutions or (np.clip(case.x0, case.lower, case.upper),)
    terms = max(float(np.linalg.norm(case.jacobian(x), axis=0) @ np.abs(x)) for x in points)
    return 100 * 10.0**-case.digits * known + 1e-14 * terms**2 + 1e-26


def at_a_known_minimum(done: Run) -> bool:
    known = done.case.nearest_minimum(done.result.cost)
    return abs(done.result.cost - known) <= excess_allowed(done.case, known)


EASY = [case for case in ALL if "hard" not in case.tags]


@pytest.mark.parametrize("case", EASY, ids=str)
@EVERY_FACE
def test_a_known_minimum_is_reached(face: str, case: Case) -> None:
    """Where three methods of SciPy's all get with tight tolerances, every face gets."""
    done = run(face, case.name)
    assert at_a_known_minimum(done), f"{done.result!r}; known: {case.minimum}, {case.other_minima}"


@pytest.mark.parametrize("case", [case for case in EASY if case.solutions], ids=str)
@EVERY_FACE
def test_reaching_the_minimum_is_a_success(face: str, case: Case) -> None:
    """A minimum at a finite point is claimed when it is reached."""
    done = run(face, case.name)
    if case.nearest_minimum(done.result.cost) == case.minimum and at_a_known_minimum(done):
        assert done.result.success, f"{done.result!r}: {done.result.message}"


@pytest.mark.parametrize("case", [case for case in ALL if "hard" in case.tags], ids=str)
@EVERY_FACE
def test_on_hard_problems_success_means_a_known_minimum(face: str, case: Case) -> None:
    done = run(face, case.name)
    assert at_a_known_minimum(done) or not done.result.success, f"{done.result!r}; known: {case.minimum}"


@pytest.mark.parametrize("case", by_tag("nist"), ids=str)
@EVERY_FACE
def test_certified_parameters(face: str, case: Case) -> None:
    """Success with tight tolerances means at least six certified digits of each parameter."""
    result = run(face, case.name).result
    if result.success:
        np.testing.assert_allclose(result.x, case.solutions[0], rtol=1e-6)


@pytest.mark.parametrize("case", by_tag("bounded"), ids=str)
@EVERY_FACE
def test_active_bounds_are_named(face: str, case: Case) -> None:
    result = run(face, case.name).result
    x = min(case.solutions, key=lambda known: float(np.linalg.norm(known - result.x)))
    J, r = case.jacobian(x), case.residual(x)
    pushed = np.abs(J.T @ r) > 1e-8 * np.linalg.norm(J, axis=0)
    expected = np.where(x == case.lower, -1, np.where(x == case.upper, 1, 0))
    np.testing.assert_array_equal(result.active_mask[pushed], expected[pushed])
    np.testing.assert_array_equal(result.active_mask[(case.lower < x) & (x < case.upper)], 0)


AGREEING = [case for case in EASY if not case.other_minima and not case.tags & {"rank-deficient", "underdetermined"}]


@pytest.mark.parametrize("case", AGREEING, ids=str)
def test_the_factorisations_agree(case: Case) -> None:
    first, *others = (run(face, case.name).result for face in TR_FACES)
    size = np.abs(first.allx).max(axis=0)
    size = np.maximum(size, 1e-3 * size.max())
    for other in others:
        assert other.success == first.success
        assert abs(other.cost - first.cost) <= excess_allowed(case, case.minimum)
        if case.minimum > 0:
            assert np.all(np.abs(other.x - first.x) <= 1e-6 * size)


@pytest.mark.parametrize("case", by_tag("x1"), ids=str)
def test_the_first_steps_of_the_factorisations_are_equal(case: Case) -> None:
    first, *others = (
        solve(face, case.residual, case.x0, case.jacobian, tolerance=None, max_nfev=4).history for face in TR_FACES
    )
    for other in others:
        k = min(len(first), len(other), 3)
        np.testing.assert_allclose(other["cost"][:k], first["cost"][:k], rtol=1e-4, atol=1e-12)


def test_the_automatic_factorisation_costs_no_evaluations() -> None:
    """Over the classical and the certified problems no more iterations than with QR, in the median and in the mean."""
    ratios = []
    for case in (*by_tag("mgh", "x1"), *by_tag("nist", "start2")):
        qr, auto = run("tr-qr", case.name), run("tr-auto", case.name)
        if at_a_known_minimum(qr) and at_a_known_minimum(auto):
            ratios.append((auto.result.nit + 1) / (qr.result.nit + 1))
    assert len(ratios) > 40
    assert np.median(ratios) <= 1
    assert np.exp(np.mean(np.log(ratios))) <= 1.02
