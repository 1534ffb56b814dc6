"""Solves NIST problems with this library's methods and measures the answers against the certified ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from marquardt import Result, least_squares, lm_solve, lsqtr

from .problems import Array, Problem, log_relative_error

DIGITS_WANTED = 4.0  # digits to which every parameter must be right: the line NIST comparisons usually draw
BUDGET = 20_000  # passes and evaluations: generous, so that a run ends where the method ends


Method = Callable[[Problem, Array], Result]


def _trust_region(tr_method: Literal["svd", "qr", "cho"], x_scale: Any) -> Method:
    def solve(problem: Problem, start: Array) -> Result:
        return lsqtr(
            problem.residual,
            start,
            problem.jacobian,
            x_scale=x_scale,
            ftol=None,
            xtol=None,
            gtol=None,
            verbose=0,
            maxiter=BUDGET,
            options={"max_nfev": BUDGET, "tr_method": tr_method},
        )

    return solve


def _levenberg_marquardt(problem: Problem, start: Array) -> Result:
    return lm_solve(
        problem.residual,
        start,
        ftol=None,
        xtol=None,
        gtol=None,
        max_nfev=BUDGET,
        jac=problem.jacobian,
    )


def _plain(problem: Problem, start: Array) -> Result:
    return least_squares(problem.residual, start, max_nfev=BUDGET)


def _exact(problem: Problem, start: Array) -> Result:
    return least_squares(problem.residual, start, problem.jacobian, max_nfev=BUDGET)


# The plain call has differences for a Jacobian, which bound what can be known. All others get the exact one. All stop
# at the first-order test of rounding level alone: with the tolerances off, what is left is the method.
METHODS: dict[str, Method] = {
    "plain": _plain,
    "exact": _exact,
    "lm": _levenberg_marquardt,
    "tr-svd": _trust_region("svd", "jac"),
    "tr-qr": _trust_region("qr", "jac"),
    "tr-cho": _trust_region("cho", "jac"),
    "tr": _trust_region("qr", 1.0),
}


@dataclass(frozen=True)
class Run:
    """One problem solved from one start by one method."""

    problem: str
    level: str
    start: int  # 1 or 2, as NIST counts
    method: str
    residuals: int  # evaluations of the residual
    jacobians: int  # evaluations of the Jacobian
    seconds: float
    digits: float  # log relative error of the worst parameter
    success: bool  # what the solver claims
    status: str  # name of the status it gives

    @property
    def solved(self) -> bool:
        """Whether every parameter has the digits wanted, whatever the solver claims."""
        return self.digits >= DIGITS_WANTED

    @property
    def false_success(self) -> bool:
        """Whether success was claimed for a wrong answer."""
        return self.success and not self.solved

    @property
    def verdict(self) -> str:
        """The claim and the truth in a word or two."""
        if self.solved:
            return "solved" if self.success else "right, not claimed"
        return "FALSE SUCCESS" if self.success else "not solved"


def solve(problem: Problem, start: int, method: str) -> Run:
    """Solve one problem from its first (1) or second (2) start and time it once."""
    b = problem.starts[start - 1].copy()
    begin = time.perf_counter()
    fit = METHODS[method](problem, b)
    seconds = time.perf_counter() - begin
    return Run(
        problem=problem.name,
        level=problem.level,
        start=start,
        method=method,
        residuals=int(fit.nfev),
        jacobians=int(fit.njev),
        seconds=seconds,
        digits=log_relative_error(fit.x, problem.certified),
        success=bool(fit.success),
        status=fit.status.name,
    )
