"""The shipped NIST problems against their own certified values, and the report made of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from marquardt import Status, nist
from marquardt.__main__ import main
from marquardt.nist import report, runs

EPS = np.finfo(float).eps

# Observations, parameters and level of difficulty, from NIST's index of the data sets.
INDEX = {
    "Misra1a": (14, 2, "lower"),
    "Chwirut2": (54, 3, "lower"),
    "Chwirut1": (214, 3, "lower"),
    "Lanczos3": (24, 6, "lower"),
    "Gauss1": (250, 8, "lower"),
    "Gauss2": (250, 8, "lower"),
    "DanWood": (6, 2, "lower"),
    "Misra1b": (14, 2, "lower"),
    "Kirby2": (151, 5, "average"),
    "Hahn1": (236, 7, "average"),
    "Nelson": (128, 3, "average"),
    "MGH17": (33, 5, "average"),
    "Lanczos1": (24, 6, "average"),
    "Lanczos2": (24, 6, "average"),
    "Gauss3": (250, 8, "average"),
    "Misra1c": (14, 2, "average"),
    "Misra1d": (14, 2, "average"),
    "Roszman1": (25, 4, "average"),
    "ENSO": (168, 9, "average"),
    "MGH09": (11, 4, "higher"),
    "Thurber": (37, 7, "higher"),
    "BoxBOD": (6, 2, "higher"),
    "Rat42": (9, 3, "higher"),
    "MGH10": (16, 3, "higher"),
    "Eckerle4": (35, 3, "higher"),
    "Rat43": (15, 4, "higher"),
    "Bennett5": (154, 3, "higher"),
}

each_problem = pytest.mark.parametrize("problem", [nist.load(name) for name in INDEX], ids=lambda p: p.name)


def half_unit(values: np.ndarray) -> np.ndarray:
    """Return what rounding to eleven significant digits may have moved."""
    return 0.5 * 10.0 ** (np.floor(np.log10(np.abs(values))) - 10)


def evaluation_error(problem: nist.Problem) -> float:
    """Return a bound on ||error of r|| that comes from evaluating it in double precision."""
    sensitivity = np.abs(problem.jacobian(problem.certified)) @ np.abs(problem.certified)
    return float(8 * EPS * (np.linalg.norm(sensitivity) + np.linalg.norm(problem.y)))


def test_names_in_nist_order() -> None:
    assert nist.names() == tuple(INDEX)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="no NIST problem is called 'Misra'; the names are Misra1a, "):
        nist.load("Misra")


@each_problem
def test_index(problem: nist.Problem) -> None:
    n = problem.certified.size
    assert (problem.y.size, n, problem.level) == INDEX[problem.name]
    assert problem.x.shape == ((2, problem.y.size) if problem.name == "Nelson" else problem.y.shape)
    assert problem.starts.shape == (2, n)
    assert problem.standard_deviation.shape == (n,)


@each_problem
def test_arrays_are_read_only(problem: nist.Problem) -> None:
    for item in dataclasses.fields(problem):
        value = getattr(problem, item.name)
        if isinstance(value, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                value[...] = 0


@each_problem
def test_residual_sum_of_squares(problem: nist.Problem) -> None:
    """RSS at the certified parameters is the certified one, as far as eleven digits and double allow."""
    b = problem.certified
    r, J = problem.residual(b), problem.jacobian(b)
    noise = evaluation_error(problem)
    moved = np.linalg.norm(np.abs(J) @ half_unit(b)) + noise
    printed = half_unit(np.array(problem.rss))
    assert abs(r @ r - problem.rss) <= printed + moved**2 + 2 * np.sqrt(problem.rss) * noise


@each_problem
def test_gradient_is_zero_at_the_certified_parameters(problem: nist.Problem) -> None:
    b = problem.certified
    r, J = problem.residual(b), problem.jacobian(b)
    # Gauss-Newton part of the Hessian times the rounding of b, twice to leave room for the other part.
    moved = 2 * np.abs(J.T) @ np.abs(J) @ half_unit(b)
    assert np.all(np.abs(J.T @ r) <= moved + evaluation_error(problem) * np.linalg.norm(J, axis=0))


@each_problem
def test_standard_deviations(problem: nist.Problem) -> None:
    """sqrt(RSS / (m - n) diag (J'J)^-1) is certified too; it tests J and the data to many digits."""
    J = problem.jacobian(problem.certified)
    norms = np.linalg.norm(J, axis=0)
    R = np.linalg.qr(J / norms, mode="r")
    spread = np.linalg.norm(np.linalg.inv(R), axis=1) / norms
    deviation = spread * np.sqrt(problem.rss / (J.shape[0] - J.shape[1]))
    np.testing.assert_allclose(deviation, problem.standard_deviation, rtol=1e-7)  # worst: Bennett5, 1.2e-8


@each_problem
@pytest.mark.parametrize("start", [0, 1])
def test_jacobian_at_the_starts(problem: nist.Problem, start: int) -> None:
    """Sixth-order central differences agree; problems/ checks the same by complex steps."""
    b = problem.starts[start]
    J = problem.jacobian(b)
    for j in range(b.size):
        h = np.zeros_like(b)
        h[j] = 1e-3 * abs(b[j])  # the order-6 error and the rounding error then both stay below 1e-8 relative
        pairs = [problem.residual(b + k * h) - problem.residual(b - k * h) for k in (1, 2, 3)]
        slope = (45 * pairs[0] - 9 * pairs[1] + pairs[2]) / (60 * h[j])
        np.testing.assert_allclose(J[:, j], slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())


@each_problem
def test_overflow_is_quiet(problem: nist.Problem) -> None:
    """Absurd parameters give inf or NaN at worst; a warning would fail this test."""
    for factor in (-1e6, 1e6, 1e300):
        problem.residual(factor * problem.certified)
        problem.jacobian(factor * problem.certified)


@pytest.mark.parametrize(
    ("b", "certified", "digits"),
    [
        ([1.0, 2.0], [1.0, 2.0], 11.0),  # exact: as many digits as NIST prints
        ([1.0, 2.002], [1.0, 2.0], 3.0),  # the worst parameter counts
        ([1.0 + 1e-14], [1.0], 11.0),
        ([1e-5], [0.0], 5.0),  # absolute where the certified value is zero
        ([30.0], [1.0], 0.0),  # never negative
        ([np.nan, 1.0], [1.0, 1.0], 0.0),
        ([np.inf], [1.0], 0.0),
        ([-1e308], [1e-308], 0.0),
    ],
)
def test_log_relative_error(b: list[float], certified: list[float], digits: float) -> None:
    assert nist.log_relative_error(b, certified) == pytest.approx(digits, abs=1e-9)


def test_log_relative_error_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"b has shape \(1,\) but certified has shape \(2,\)"):
        nist.log_relative_error([1.0], [1.0, 2.0])


# --- python -m marquardt ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Answer:
    """What a solver might return."""

    x: Any
    success: bool
    status: Status = Status.STATIONARY
    nfev: int = 3
    njev: int = 2


def certified_answer(problem: nist.Problem, start: np.ndarray) -> Answer:
    return Answer(problem.certified, success=True)


def wrong_answer(problem: nist.Problem, start: np.ndarray) -> Answer:
    return Answer(start, success=True)


def honest_failure(problem: nist.Problem, start: np.ndarray) -> Answer:
    return Answer(start, success=False)


def modest_answer(problem: nist.Problem, start: np.ndarray) -> Answer:
    return Answer(problem.certified, success=False)


BEHAVIOURS = {
    "right": certified_answer,
    "wrong": wrong_answer,
    "gave-up": honest_failure,
    "modest": modest_answer,
}


@pytest.fixture
def _behaviours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the library's methods by known behaviours."""
    for label in list(runs.METHODS):
        monkeypatch.delitem(runs.METHODS, label)
    for label, method in BEHAVIOURS.items():
        monkeypatch.setitem(runs.METHODS, label, method)


@pytest.mark.parametrize(
    ("method", "verdict", "false_success"),
    [
        ("right", "solved", False),
        ("wrong", "FALSE SUCCESS", True),
        ("gave-up", "not solved", False),
        ("modest", "right, not claimed", False),
    ],
)
@pytest.mark.usefixtures("_behaviours")
def test_verdicts(method: str, verdict: str, false_success: bool) -> None:
    run = runs.solve(nist.load("Rat42"), 2, method)
    assert (run.verdict, run.false_success) == (verdict, false_success)
    assert (run.residuals, run.jacobians, run.start, run.level) == (3, 2, 2, "higher")
    assert run.status == "STATIONARY"


@pytest.mark.usefixtures("_behaviours")
def test_summary() -> None:
    pairs = [(name, label) for name in ("Rat42", "ENSO") for label in ("right", "gave-up")]
    four = [runs.solve(nist.load(name), 1, label) for name, label in pairs]
    summary = report.summarise(four)
    assert (summary.runs, summary.solved, summary.false_successes, summary.unclaimed) == (4, 2, 0, 0)
    assert summary.digits == pytest.approx(sum(run.digits for run in four) / 4)
    assert summary.residuals == 3


@pytest.mark.usefixtures("_behaviours")
def test_report_shows_the_best_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--method", "gave-up", "--method", "right", "--problem", "Rat42"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if "Rat42" in line]
    assert len(rows) == 2
    assert all("right" in row and "solved" in row for row in rows)
    assert [line.split()[:3] for line in lines if line.startswith("*")] == [["*", "right", "2/2"]]


@pytest.mark.usefixtures("_behaviours")
def test_report_of_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--all", "--problem", "Rat42"])
    assert sum("Rat42" in line and "STATIONARY" in line for line in capsys.readouterr().out.splitlines()) == 8


@pytest.mark.usefixtures("_behaviours")
def test_false_success_fails_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--problem", "BoxBOD"]) == 1
    assert "FALSE SUCCESS: wrong on BoxBOD, start 1: 0.0 digits" in capsys.readouterr().out


def test_report_of_a_real_solve(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--problem", "Misra1a"]) == 0
    summaries = [line for line in capsys.readouterr().out.splitlines() if " 2/2 " in line]
    assert len(summaries) == len(runs.METHODS)
