"""What an evaluation costs beyond the user's function, of Python and compiled ones, in one process beside SciPy.

Every solver gets the same functions, exact Jacobian, start and tolerances. Beside each solve stand its callbacks alone,
as often as it called them, in a bare loop. What is left is the solver's own, set-up and result included; divided by the
evaluations it is what one costs.

Compiled functions are numba's (`pip install numba`; left out without it). Their own time is that of the same loop
compiled.

    python bench/python/callbacks.py [--rounds N] [--budget SECONDS] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from interleave import Timing, duration, interleave
from scipy import optimize
from solve import environment

import marquardt

try:
    import numba
except ImportError:
    numba = None

TOLERANCE = 1e-8
PEER = "scipy leastsq"  # MINPACK, the fastest that Python has: ratios refer to it
EACH = {"ftol": TOLERANCE, "xtol": TOLERANCE, "gtol": TOLERANCE}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Residual and Jacobian, as Python functions that numba can compile as well; `fill` is in place."""

    name: str
    residual: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray]
    fill: Callable[..., None]
    fill_jacobian: Callable[..., None]
    x0: np.ndarray
    m: int


def rosenbrock() -> Problem:
    def residual(x):
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    def jacobian(x):
        return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    def fill(x, r):
        r[0] = 10 * (x[1] - x[0] * x[0])
        r[1] = 1 - x[0]

    def fill_jacobian(x, J):
        J[0, 0], J[0, 1], J[1, 0], J[1, 1] = -20 * x[0], 10.0, -1.0, 0.0

    return Problem("rosenbrock", residual, jacobian, fill, fill_jacobian, np.array([-1.2, 1.0]), 2)


def curve() -> Problem:
    """a exp(-b t) + c at 50 points with noise."""
    t = np.linspace(0, 4, 50)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.05 * np.random.default_rng(1).standard_normal(t.size)

    def residual(x):
        return x[0] * np.exp(-x[1] * t) + x[2] - y

    def jacobian(x):
        e = np.exp(-x[1] * t)
        return np.stack([e, -x[0] * t * e, np.ones_like(t)], axis=1)

    def fill(x, r):
        for i in range(50):
            r[i] = x[0] * np.exp(-x[1] * t[i]) + x[2] - y[i]

    def fill_jacobian(x, J):
        for i in range(50):
            e = np.exp(-x[1] * t[i])
            J[i, 0], J[i, 1], J[i, 2] = e, -x[0] * t[i] * e, 1.0

    return Problem("curve", residual, jacobian, fill, fill_jacobian, np.array([1.0, 1.0, 0.0]), 50)


def ten() -> Problem:
    """100 residuals u + u^2 / 10 of u = A x with ten parameters, with noise."""
    rng = np.random.default_rng(2)
    A = rng.standard_normal((100, 10)) / np.sqrt(10)
    u = A @ rng.standard_normal(10)
    y = u + 0.1 * u**2 + 0.01 * rng.standard_normal(100)

    def residual(x):
        u = A @ x
        return u + 0.1 * u**2 - y

    def jacobian(x):
        return A * (1 + 0.2 * (A @ x))[:, None]

    def fill(x, r):
        for i in range(100):
            u = 0.0
            for j in range(10):
                u += A[i, j] * x[j]
            r[i] = u + 0.1 * u * u - y[i]

    def fill_jacobian(x, J):
        for i in range(100):
            u = 0.0
            for j in range(10):
                u += A[i, j] * x[j]
            for j in range(10):
                J[i, j] = A[i, j] * (1 + 0.2 * u)

    return Problem("ten", residual, jacobian, fill, fill_jacobian, np.zeros(10), 100)


PROBLEMS = (rosenbrock, curve, ten)

Solver = Callable[[Any, Any, np.ndarray], Any]


def leastsq(fun: Any, jac: Any, x0: np.ndarray) -> Any:
    return optimize.leastsq(fun, x0, Dfun=jac, full_output=True, **EACH)


SOLVERS: dict[str, Solver] = {
    "marquardt least_squares": lambda fun, jac, x0: marquardt.least_squares(fun, x0, jac, **EACH),
    "marquardt lm_solve": lambda fun, jac, x0: marquardt.lm_solve(fun, x0, jac=jac, **EACH),
    "marquardt lsqtr": lambda fun, jac, x0: marquardt.lsqtr(fun, x0, jac, verbose=0, **EACH),
    "scipy leastsq": leastsq,
    "scipy least_squares trf": lambda fun, jac, x0: optimize.least_squares(fun, x0, jac, **EACH),
}


@dataclasses.dataclass(frozen=True)
class Row:
    problem: str
    solver: str
    residuals: int
    jacobians: int
    solve: Timing
    callbacks: Timing

    @property
    def beyond(self) -> float:
        """Seconds an evaluation costs beyond the callback: of the first quartiles, as noise only ever adds."""
        return (self.solve.lower - self.callbacks.lower) / (self.residuals + self.jacobians)


def counts(problem: Problem, solver: Solver) -> tuple[int, int]:
    calls = [0, 0]

    def residual(x: np.ndarray) -> np.ndarray:
        calls[0] += 1
        return problem.residual(x)

    def jacobian(x: np.ndarray) -> np.ndarray:
        calls[1] += 1
        return problem.jacobian(x)

    solver(residual, jacobian, problem.x0)
    return calls[0], calls[1]


def bare(problem: Problem, residuals: int, jacobians: int) -> Callable[[], None]:
    def loop() -> None:
        for _ in range(residuals):
            problem.residual(problem.x0)
        for _ in range(jacobians):
            problem.jacobian(problem.x0)

    return loop


def compiled(problem: Problem) -> tuple[marquardt.CompiledResidual, Callable[[int, int], Callable[[], Any]]]:
    """The same functions by numba, and a compiled loop of so many calls."""
    types = numba.types
    doubles = types.CPointer(types.double)
    signature = types.intc(doubles, types.intp, doubles, types.intp, types.voidptr)
    fill, fill_jacobian = numba.njit(problem.fill), numba.njit(problem.fill_jacobian)

    @numba.cfunc(signature)
    def residual(x, n, r, m, user):
        fill(numba.carray(x, n), numba.carray(r, m))
        return 0

    @numba.cfunc(signature)
    def jacobian(x, n, J, m, user):
        fill_jacobian(numba.carray(x, n), numba.carray(J, (m, n)))
        return 0

    @numba.njit
    def loop(x, r, J, residuals, jacobians):
        total = 0.0
        for k in range(residuals):
            x[0] += 1e-9 * k  # or the calls would be made once
            fill(x, r)
            total += r[0]
        for k in range(jacobians):
            x[0] += 1e-9 * k
            fill_jacobian(x, J)
            total += J[0, 0]
        return total

    r, J = np.empty(problem.m), np.empty((problem.m, problem.x0.size))

    def repeated(residuals: int, jacobians: int) -> Callable[[], Any]:
        return lambda: loop(problem.x0.copy(), r, J, residuals, jacobians)

    return marquardt.CompiledResidual(residual, problem.m, jacobian), repeated


def measure(problem: Problem, rounds: int, budget: float) -> list[Row]:
    calls: dict[str, tuple[int, int]] = {}
    contenders: dict[str, Callable[[], object]] = {}
    for label, solver in SOLVERS.items():
        calls[label] = counts(problem, solver)
        contenders[label] = lambda solver=solver: solver(problem.residual, problem.jacobian, problem.x0)
        contenders[f"callbacks of {label}"] = bare(problem, *calls[label])
    if numba is not None:
        fun, repeated = compiled(problem)
        for label, solver in list(SOLVERS.items())[:3]:
            name = f"{label}, compiled"
            result = solver(fun, True, problem.x0)
            calls[name] = (result.nfev, result.njev)
            contenders[name] = lambda solver=solver: solver(fun, True, problem.x0)
            contenders[f"callbacks of {name}"] = repeated(*calls[name])
    timings = {timing.label: timing for timing in interleave(contenders, PEER, rounds, budget)}
    return [
        Row(problem.name, label, *calls[label], timings[label], timings[f"callbacks of {label}"]) for label in calls
    ]


def table(rows: list[Row]) -> str:
    lines = [
        f"{'solver':34}{'res':>5}{'jac':>5}{'time':>10}{'callbacks':>11}{'beyond/eval':>13}{'ratio':>8}{'quartiles':>14}"
    ]
    for row in rows:
        spread = f"{row.solve.ratio_lower:.2f} - {row.solve.ratio_upper:.2f}"
        lines.append(
            f"{row.solver:34}{row.residuals:5}{row.jacobians:5}{duration(row.solve.median):>10}"
            f"{duration(row.callbacks.median):>11}{1e6 * row.beyond:>10.2f} µs{row.solve.ratio:8.2f}{spread:>14}"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21, help="batches of each contender (default 21)")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds a problem after which no round begins")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there as well")
    arguments = parser.parse_args(argv)
    print(", ".join(f"{key} {value}" for key, value in environment().items()))
    print(f"ratio: to {PEER}, the less the faster; beyond/eval: the solver's own time for each evaluation\n")
    rows: list[Row] = []
    for make in PROBLEMS:
        problem = make()
        found = measure(problem, arguments.rounds, arguments.budget)
        print(f"{problem.name}: m = {problem.m}, n = {problem.x0.size}\n{table(found)}\n", flush=True)
        rows += found
    if arguments.json:
        document = {
            "environment": environment(),
            "rows": [{**dataclasses.asdict(row), "beyond": row.beyond} for row in rows],
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
