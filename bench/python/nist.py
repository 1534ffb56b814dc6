"""Counts what plain calls solve, beside SciPy's least_squares, in one process.

NIST's 27 certified problems from both starts, and the problems of Moré, Garbow and Hillstrom from 1, 10 and 100 times
their standard starts; each with differences of two kinds, an exact Jacobian, and this library's own choice. A NIST
run is solved where every parameter has four digits, one of the others where the cost is that of the best known minimum.

    python bench/python/nist.py [--suite NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

import marquardt
from marquardt.nist.problems import log_relative_error

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # the one registry of problems
from problems import Case, by_tag

DIGITS = 4.0  # the line that comparisons on NIST's problems usually draw
SAME_COST = 1e-4  # relative; and of the cost at the start what counts as zero, squared: |r| has fallen 1e-6 fold
ZERO = 1e-28  # a cost that is rounding, where the start itself is a minimum
BUDGET = 20_000  # evaluations: a run ends where the method ends
PEER = "trf"
SUITES = {
    "nist": ("nist",),
    "mgh-x1": ("mgh", "x1"),
    "mgh-x10": ("mgh", "x10"),
    "mgh-x100": ("mgh", "x100"),
}
JACOBIANS = ("auto", "2-point", "3-point", "exact")


@dataclasses.dataclass(frozen=True)
class Run:
    """One problem solved once."""

    case: str
    solver: str
    jacobian: str
    solved: bool
    success: bool  # as the solver claims
    cost: float
    evaluations: int  # of residuals, those of differences too, and of Jacobians, each counted as one


def contenders() -> dict[str, tuple[str, Callable[..., Any]]]:
    """Label -> (kind of Jacobian, solver of (fun, x0, jac))."""
    found: dict[str, tuple[str, Callable[..., Any]]] = {}
    for jacobian in JACOBIANS:
        found[f"marquardt {jacobian}"] = (jacobian, marquardt.least_squares)
        if jacobian != "auto":
            for method in ("trf", "dogbox", "lm"):
                found[f"{method} {jacobian}"] = (jacobian, _scipys(method))
    return found


def _scipys(method: str) -> Callable[..., Any]:
    def solve(fun: Callable[..., Any], x0: np.ndarray, jac: Any, max_nfev: int) -> Any:
        return optimize.least_squares(fun, x0, jac, method=method, max_nfev=max_nfev)

    return solve


def run(case: Case, label: str, jacobian: str, solver: Callable[..., Any]) -> Run:
    calls = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: np.ndarray) -> np.ndarray:
            nonlocal calls
            calls += 1
            return function(x)

        return call

    x, success = case.x0, False
    jac = counted(case.jacobian) if jacobian == "exact" else jacobian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ValueError, np.linalg.LinAlgError):  # SciPy's answer to what is not finite
            fit = solver(counted(case.residual), case.x0.copy(), jac, max_nfev=BUDGET)
            x, success = fit.x, bool(fit.success)
    cost = case.cost(x)
    return Run(case.name, label.split()[0], jacobian, is_solved(case, x, cost), success, cost, calls)


def zero(case: Case) -> float:
    """The cost up to which one counts as zero."""
    return 1e-12 * min(case.cost(case.x0), 1.0) + ZERO


def is_solved(case: Case, x: np.ndarray, cost: float) -> bool:
    if "nist" in case.tags:
        return log_relative_error(x, case.solutions[0]) >= DIGITS
    return cost - case.minimum <= SAME_COST * abs(case.minimum) + zero(case)


def is_false(case: Case, run: Run) -> bool:
    """Whether success was claimed at no known minimum."""
    if not run.success or run.solved:
        return False
    if "nist" in case.tags:
        return True
    near = case.nearest_minimum(run.cost)
    return abs(run.cost - near) > SAME_COST * abs(near) + zero(case)


def ratio_to_peer(runs: list[Run], peers: list[Run]) -> tuple[float, int]:
    """Geometric mean of evaluations over the peer's where both end at the same cost, and how many such runs."""
    logs = [
        math.log(own.evaluations / peer.evaluations)
        for own, peer in zip(runs, peers, strict=True)
        if abs(own.cost - peer.cost) <= SAME_COST * max(own.cost, peer.cost) or (own.solved and peer.solved)
    ]
    return (math.exp(sum(logs) / len(logs)) if logs else math.nan), len(logs)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", action="append", choices=list(SUITES), help="run this one only (repeatable)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the runs there as well")
    arguments = parser.parse_args(argv)
    everything: list[Run] = []
    for suite in arguments.suite or SUITES:
        cases = by_tag(*SUITES[suite])
        runs = {
            label: [run(case, label, jacobian, solver) for case in cases]
            for label, (jacobian, solver) in contenders().items()
        }
        print(f"{suite}: {len(cases)} runs; ratio: evaluations to {PEER}'s with the same Jacobian, 2-point for auto")
        print(f"{'solver':22}{'solved':>8}{'false':>7}{'unclaimed':>11}{'evaluations':>13}{'ratio':>8}{'of runs':>9}")
        for label, own in runs.items():
            jacobian = own[0].jacobian
            ratio, count = ratio_to_peer(own, runs[f"{PEER} {'2-point' if jacobian == 'auto' else jacobian}"])
            false = sum(is_false(case, each) for case, each in zip(cases, own, strict=True))
            unclaimed = sum(each.solved and not each.success for each in own)
            print(
                f"{label:22}{sum(each.solved for each in own):8}{false:7}{unclaimed:11}"
                f"{sum(each.evaluations for each in own) / len(own):13.1f}{ratio:8.3f}{count:9}"
            )
            everything += own
        print(flush=True)
    if arguments.json:
        document = {"marquardt": marquardt.__version__, "runs": [dataclasses.asdict(each) for each in everything]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
