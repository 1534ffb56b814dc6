"""Times whole solves, this library's, SciPy's and (with pyceres) Ceres's, side by side in one process.

Every solver gets the same residual, the same exact Jacobian, the same start and the tolerance 1e-8 in each
of its tests. Beside each solve stands the cost of its callbacks alone: the same numbers of residual and
Jacobian calls, made in a bare loop. What is left is the solver's own work; divided by the Jacobians it is
the cost of an iteration beyond the callbacks, "own/jac", and "own" is that against the peer's.

    python bench/python/solve.py [--problem NAME] [--rounds N] [--budget SECONDS] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from interleave import Timing, duration, interleave
from scipy import optimize

import marquardt

try:
    import pyceres
except ImportError:  # left out
    pyceres = None

TOLERANCE = 1e-8
PEER = "scipy least_squares trf"  # what most users of Python call: ratios refer to it

Function = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A residual with its Jacobian and start."""

    name: str
    m: int
    residual: Function
    jacobian: Function
    x0: np.ndarray


@dataclasses.dataclass(frozen=True)
class Answer:
    """Where a solver ended, and what it spent, counted by ourselves for everybody alike."""

    cost: float
    success: bool
    residuals: int
    jacobians: int


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    problem: str
    solver: str
    answer: Answer
    solve: Timing
    callbacks: Timing
    own: float  # seconds of a solve beyond its callbacks, over the Jacobians: medians of the two
    own_ratio: float  # the same to the peer's

    @property
    def own_figures(self) -> str:
        return f"{duration(max(self.own, 0)):>10}{self.own_ratio:7.3f}"


# --- problems -----------------------------------------------------------------------------------------------


def rosenbrock() -> Problem:
    """Rosenbrock's valley from its standard start: next to no arithmetic, all overhead."""

    def residual(x: np.ndarray) -> np.ndarray:
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    def jacobian(x: np.ndarray) -> np.ndarray:
        return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    return Problem("rosenbrock", 2, residual, jacobian, np.array([-1.2, 1.0]))


def curve() -> Problem:
    """Fit a exp(-b t) + c to 50 noisy points: the everyday case."""
    t = np.linspace(0, 4, 50)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.05 * np.random.default_rng(1).standard_normal(t.size)

    def residual(x: np.ndarray) -> np.ndarray:
        return x[0] * np.exp(-x[1] * t) + x[2] - y

    def jacobian(x: np.ndarray) -> np.ndarray:
        e = np.exp(-x[1] * t)
        return np.stack([e, -x[0] * t * e, np.ones_like(t)], axis=1)

    return Problem("curve", t.size, residual, jacobian, np.array([1.0, 1.0, 0.0]))


def large() -> Problem:
    """20000 residuals, 50 parameters: all linear algebra."""
    return _bent_plane("large", 20_000, 50)


def wide() -> Problem:
    """2000 residuals, 500 parameters: the most that a dense solve is asked for."""
    return _bent_plane("wide", 2_000, 500)


def _bent_plane(name: str, m: int, n: int) -> Problem:
    """u + u^2 / 10 of u = A x, with noise."""
    rng = np.random.default_rng(2)
    A = rng.standard_normal((m, n)) / np.sqrt(n)
    truth = rng.standard_normal(n)
    u = A @ truth
    y = u + 0.1 * u**2 + 0.01 * rng.standard_normal(u.size)

    def residual(x: np.ndarray) -> np.ndarray:
        u = A @ x
        return u + 0.1 * u**2 - y

    def jacobian(x: np.ndarray) -> np.ndarray:
        return A * (1 + 0.2 * (A @ x))[:, None]

    return Problem(name, m, residual, jacobian, np.zeros(n))


PROBLEMS = {make.__name__: make for make in (rosenbrock, curve, large, wide)}


# --- solvers ------------------------------------------------------------------------------------------------

Solver = Callable[[Problem], Any]


def _lm_solve(problem: Problem) -> Any:
    return marquardt.lm_solve(
        problem.residual, problem.x0, jac=problem.jacobian, ftol=TOLERANCE, xtol=TOLERANCE, gtol=TOLERANCE
    )


def _lsqtr(tr_method: str) -> Solver:
    def solve(problem: Problem) -> Any:
        return marquardt.lsqtr(
            problem.residual,
            problem.x0,
            problem.jacobian,
            ftol=TOLERANCE,
            xtol=TOLERANCE,
            gtol=TOLERANCE,
            verbose=0,
            options={"tr_method": tr_method},
        )

    return solve


def _plain(problem: Problem) -> Any:
    return marquardt.least_squares(
        problem.residual, problem.x0, problem.jacobian, ftol=TOLERANCE, xtol=TOLERANCE, gtol=TOLERANCE
    )


def _least_squares(method: str) -> Solver:
    def solve(problem: Problem) -> Any:
        return optimize.least_squares(
            problem.residual,
            problem.x0,
            problem.jacobian,
            method=method,
            ftol=TOLERANCE,
            xtol=TOLERANCE,
            gtol=TOLERANCE,
        )

    return solve


def _leastsq(problem: Problem) -> Any:
    x, _, _, _, flag = optimize.leastsq(
        problem.residual,
        problem.x0,
        Dfun=problem.jacobian,
        full_output=True,
        ftol=TOLERANCE,
        xtol=TOLERANCE,
        gtol=TOLERANCE,
    )
    return optimize.OptimizeResult(x=x, success=flag in (1, 2, 3, 4))


def _ceres(linear_solver: str) -> Solver:
    class Cost(pyceres.CostFunction):
        def __init__(self, problem: Problem) -> None:
            super().__init__()
            self._problem = problem
            self.set_num_residuals(problem.m)
            self.set_parameter_block_sizes([problem.x0.size])

        def Evaluate(self, parameters: Any, residuals: np.ndarray, jacobians: Any) -> bool:  # noqa: N802
            x = np.array(parameters[0])
            residuals[:] = self._problem.residual(x)
            if jacobians is not None:
                jacobians[0][:] = self._problem.jacobian(x).ravel()
            return True

    def solve(problem: Problem) -> Any:
        options = pyceres.SolverOptions()
        options.linear_solver_type = getattr(pyceres.LinearSolverType, linear_solver)
        options.function_tolerance = options.gradient_tolerance = options.parameter_tolerance = TOLERANCE
        options.max_num_iterations = 500
        options.num_threads = 1
        options.logging_type = pyceres.LoggingType.SILENT
        x, blocks, summary = problem.x0.copy(), pyceres.Problem(), pyceres.SolverSummary()
        blocks.add_residual_block(Cost(problem), None, [x])
        pyceres.solve(options, blocks, summary)
        return optimize.OptimizeResult(x=x, success=summary.termination_type == pyceres.TerminationType.CONVERGENCE)

    return solve


SOLVERS: dict[str, Solver] = {
    "marquardt least_squares": _plain,
    "marquardt lm_solve": _lm_solve,
    "marquardt lsqtr auto": _lsqtr("auto"),
    "marquardt lsqtr svd": _lsqtr("svd"),
    "marquardt lsqtr qr": _lsqtr("qr"),
    "marquardt lsqtr cho": _lsqtr("cho"),
    "scipy leastsq": _leastsq,
    "scipy least_squares lm": _least_squares("lm"),
    "scipy least_squares trf": _least_squares("trf"),
    "scipy least_squares dogbox": _least_squares("dogbox"),
}
if pyceres is not None:
    SOLVERS["ceres normal cholesky"] = _ceres("DENSE_NORMAL_CHOLESKY")
    SOLVERS["ceres qr"] = _ceres("DENSE_QR")


# --- measuring ----------------------------------------------------------------------------------------------


def answer(problem: Problem, solver: Solver) -> Answer:
    """Solve once with counters in the callbacks."""
    calls = {"residual": 0, "jacobian": 0}

    def residual(x: np.ndarray) -> np.ndarray:
        calls["residual"] += 1
        return problem.residual(x)

    def jacobian(x: np.ndarray) -> np.ndarray:
        calls["jacobian"] += 1
        return problem.jacobian(x)

    result = solver(dataclasses.replace(problem, residual=residual, jacobian=jacobian))
    cost = 0.5 * float(np.sum(problem.residual(result.x) ** 2))
    return Answer(cost, bool(result.success), calls["residual"], calls["jacobian"])


def replay(problem: Problem, counts: Answer) -> Callable[[], None]:
    """Return a loop that makes as many calls as a solve did and nothing else."""

    def loop() -> None:
        for _ in range(counts.residuals):
            problem.residual(problem.x0)
        for _ in range(counts.jacobians):
            problem.jacobian(problem.x0)

    return loop


def measure(problem: Problem, rounds: int, budget: float) -> list[Row]:
    """Time every solver and its callbacks on one problem."""
    answers = {label: answer(problem, solver) for label, solver in SOLVERS.items()}
    contenders: dict[str, Callable[[], object]] = {}
    for label, solver in SOLVERS.items():
        contenders[label] = lambda solver=solver: solver(problem)
        contenders[f"callbacks of {label}"] = replay(problem, answers[label])
    timings = {timing.label: timing for timing in interleave(contenders, PEER, rounds, budget)}
    own = {
        label: (timings[label].median - timings[f"callbacks of {label}"].median) / max(answers[label].jacobians, 1)
        for label in SOLVERS
    }
    return [
        Row(
            problem.name,
            label,
            answers[label],
            timings[label],
            timings[f"callbacks of {label}"],
            own[label],
            own[label] / own[PEER],
        )
        for label in SOLVERS
    ]


# --- output -------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """Return what a reader must know to compare two tables."""
    return {
        "marquardt": marquardt.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        **({} if pyceres is None else {"pyceres": importlib.metadata.version("pyceres")}),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "not set"),
    }


def table(rows: list[Row]) -> str:
    """Lay out the rows of one problem."""
    head = f"{'solver':27}{'res':>5}{'jac':>5}{'time':>10}{'quartiles':>22}{'callbacks':>11}{'own/jac':>10}{'own':>7}"
    lines = [f"{head}{'ratio':>8}{'quartiles':>14}  {'cost':12}"]
    for row in rows:
        solve, spent = row.solve, row.answer
        quartiles = f"{duration(solve.lower)} - {duration(solve.upper)}"
        ratios = f"{solve.ratio_lower:.2f} - {solve.ratio_upper:.2f}"
        claim = "" if spent.success else "  no success"
        lines.append(
            f"{row.solver:27}{spent.residuals:5}{spent.jacobians:5}{duration(solve.median):>10}{quartiles:>22}"
            f"{duration(row.callbacks.median):>11}{row.own_figures}"
            f"{solve.ratio:8.2f}{ratios:>14}  {spent.cost:<12.6g}{claim}"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", action="append", choices=list(PROBLEMS), help="time this one only (repeatable)")
    parser.add_argument("--rounds", type=int, default=21, help="batches of each contender (default 21)")
    parser.add_argument(
        "--budget",
        type=float,
        default=60.0,
        help="seconds a problem after which no round begins (default 60)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there as well")
    arguments = parser.parse_args(argv)

    print(", ".join(f"{key} {value}" for key, value in environment().items()))
    print(f"ratio: to {PEER}, the less the faster\n")
    rows: list[Row] = []
    for name in arguments.problem or PROBLEMS:
        problem = PROBLEMS[name]()
        found = measure(problem, arguments.rounds, arguments.budget)
        print(
            f"{name}: m = {problem.m}, n = {problem.x0.size}, {found[0].solve.rounds} rounds\n{table(found)}\n",
            flush=True,
        )
        rows += found
    if arguments.json:
        document = {"environment": environment(), "rows": [dataclasses.asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
