"""Times box QPs, this library's and its peers', side by side in one process, and measures how exact the answers are.

The problems have a known solution: a random symmetric H of given spectrum, a share of the variables on their bounds
-1 and 1 with multipliers between 0.1 and 1, the others between -0.9 and 0.9, and the g that makes this the solution.

    python bench/python/box_qp.py [--sizes 2 5 10] [--kinds regular] [--rounds N] [--budget SECONDS] [--json FILE]

Peers: OSQP, PIQP, DAQP and ProxQP (the dependency group `bench`), each at its default tolerances and, marked "tight",
at 1e-12 absolute and relative; those that are not installed are named and left out. `marquardt` is `box_qp` as it
comes, which proves H convex; "known convex" leaves that out.

kkt is the same for everybody, taken from x alone: the largest over the variables of its distance to the box and of
min(|y_i| / scale_i, distance of x_i to the bound that y_i presses against), where y = Hx + g and scale_i is the size
of the terms of y_i.
"""

# ruff: noqa: E402 - NumPy reads the environment when it is imported

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported
    os.environ.setdefault(_name, "1")

import argparse
import dataclasses
import importlib
import itertools
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from interleave import duration, interleave

import marquardt

SIZES = (2, 5, 10, 20, 50, 100, 200, 500)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
KINDS = ("regular", "ill", "semi")
TIGHT = 1e-12
OURS = "marquardt"
NOT_CONVERGED = 1e-6  # a kkt above this is shown, but its time is not compared: the problem was not solved

Solve = Callable[[], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Problem:
    """Minimise 0.5 x'Hx + g'x in a box."""

    H: np.ndarray
    g: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclasses.dataclass(frozen=True)
class Row:
    """One solver on one problem."""

    n: int
    kind: str
    share: float
    solver: str
    seconds: float
    ratio: float
    kkt: float
    failure: str


def problem(n: int, kind: str, share: float, seed: int) -> Problem:
    """Return a random problem with `share` of its variables on their bounds at the solution."""
    rng = np.random.default_rng((seed, n, KINDS.index(kind), round(100 * share)))
    spectrum = {
        "regular": np.linspace(0.1, 1, n),
        "ill": np.logspace(-8, 0, n),
        "semi": np.where(np.arange(n) < (n + 1) // 2, np.linspace(0.1, 1, n), 0.0),
    }[kind]
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    H = (Q * spectrum) @ Q.T
    H = 0.5 * (H + H.T)
    x, y = rng.uniform(-0.9, 0.9, n), np.zeros(n)
    held = rng.permutation(n)[: round(share * n)]
    x[held] = rng.choice([-1.0, 1.0], held.size)
    y[held] = -x[held] * rng.uniform(0.1, 1, held.size)
    return Problem(H, y - H @ x, -np.ones(n), np.ones(n))


def kkt(p: Problem, x: np.ndarray) -> float:
    """Measure how far x is from first order, without looking at anything that a solver says."""
    if x is None or not np.isfinite(x).all():
        return float("inf")
    outside = np.maximum(np.maximum(p.lower - x, x - p.upper), 0)
    y = p.H @ x + p.g
    scale = np.abs(p.g) + np.abs(p.H) @ np.abs(x)
    room = np.maximum(np.where(y > 0, x - p.lower, p.upper - x), 0)
    return float(np.max(np.maximum(outside, np.minimum(np.abs(y) / scale, room))))


# --- solvers: each takes a problem and a tolerance (None: its own) and returns a call from data to x ------------


def solve_marquardt(p: Problem, known: float | None) -> Solve:
    check = known is None
    return lambda: marquardt.box_qp(p.H, p.g, p.lower, p.upper, check_convex=check).x


def solve_osqp(p: Problem, tolerance: float | None) -> Solve:
    import osqp
    from scipy import sparse

    H, eye = sparse.csc_matrix(np.triu(p.H)), sparse.eye(p.g.size, format="csc")
    tight = {} if tolerance is None else {"eps_abs": tolerance, "eps_rel": tolerance, "max_iter": 100000}

    def call() -> np.ndarray:
        solver = osqp.OSQP()
        solver.setup(H, p.g, eye, p.lower, p.upper, verbose=False, **tight)
        return solver.solve(raise_error=False).x

    return call


def solve_piqp(p: Problem, tolerance: float | None) -> Solve:
    import piqp

    def call() -> np.ndarray:
        solver = piqp.DenseSolver()
        if tolerance is not None:
            solver.settings.eps_abs = solver.settings.eps_rel = tolerance
            solver.settings.check_duality_gap = False
        solver.setup(p.H, p.g, x_l=p.lower, x_u=p.upper)
        solver.solve()
        return solver.result.x

    return call


def solve_daqp(p: Problem, tolerance: float | None) -> Solve:
    import daqp

    none, sense = np.zeros((0, p.g.size)), np.zeros(p.g.size, dtype=np.int32)
    tight = {} if tolerance is None else {"primal_tol": tolerance, "dual_tol": tolerance}
    return lambda: daqp.solve(p.H, p.g, none, p.upper, p.lower, sense, **tight)[0]


def solve_proxqp(p: Problem, tolerance: float | None) -> Solve:
    import proxsuite

    def call() -> np.ndarray:
        solver = proxsuite.proxqp.dense.QP(p.g.size, 0, 0, True)
        if tolerance is not None:
            solver.settings.eps_abs, solver.settings.eps_rel = tolerance, 0.0
        solver.init(p.H, p.g, l_box=p.lower, u_box=p.upper)
        solver.solve()
        return solver.results.x

    return call


PEERS = {"osqp": solve_osqp, "piqp": solve_piqp, "daqp": solve_daqp, "proxqp": solve_proxqp}
MODULES = {"osqp": "osqp", "piqp": "piqp", "daqp": "daqp", "proxqp": "proxsuite"}


def missing() -> dict[str, str]:
    """Peers that cannot be imported, and why."""
    return {peer: reason for peer, module in MODULES.items() if (reason := why_not(module))}


def why_not(module: str) -> str:
    """Why a module cannot be imported; empty if it can."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)
    return ""


def contenders(p: Problem, absent: set[str]) -> dict[str, Solve]:
    """Return every solver there is, by its label in the table."""
    calls = {OURS: solve_marquardt(p, None), "known convex": solve_marquardt(p, 1.0)}
    for peer, make in PEERS.items():
        if peer not in absent:
            calls[peer] = make(p, None)
            calls[f"{peer} tight"] = make(p, TIGHT)
    return calls


# --- measuring --------------------------------------------------------------------------------------------------


def measure(n: int, kind: str, share: float, absent: set[str], rounds: int, budget: float, seed: int) -> list[Row]:
    """Measure every solver on one problem."""
    p = problem(n, kind, share, seed)
    calls, failures, exactness = contenders(p, absent), {}, {}
    for label, call in list(calls.items()):
        exactness[label], failure = attempt(p, call)
        if failure:
            failures[label] = failure
            del calls[label]
    timings = interleave(calls, OURS, rounds=rounds, budget=budget)
    rows = [Row(n, kind, share, t.label, t.median, t.ratio, exactness[t.label], "") for t in timings]
    return rows + [Row(n, kind, share, k, float("nan"), float("nan"), float("inf"), v) for k, v in failures.items()]


def attempt(p: Problem, call: Solve) -> tuple[float, str]:
    """Return the kkt that a solver reaches, and what it throws, if anything."""
    try:
        return kkt(p, call()), ""
    except Exception as error:  # noqa: BLE001 - whatever a peer throws is its result
        return float("inf"), f"{type(error).__name__}: {error}"


def show(rows: list[Row]) -> None:
    """Print one problem: for each solver its time, its ratio to ours and its kkt."""
    first = rows[0]
    print(f"\nn = {first.n}, {first.kind}, {first.share:.0%} on bounds")
    for row in rows:
        remark = row.failure or ("not solved" if row.kkt > NOT_CONVERGED else "")
        print(
            f"  {row.solver:14s} {duration(row.seconds):>9s}  x{row.ratio:<8.3g} kkt {row.kkt:8.1e}  {remark}".rstrip()
        )


def summary(rows: list[Row]) -> None:
    """Print for each size and kind the worst of our times, against the best peer that solved the problem."""
    print("\nFastest peer that solved it (kkt below 1e-6), its time over ours; five shares of active bounds each")
    print("   n  kind     " + "".join(f"{share:>22.0%}" for share in SHARES) + "   worst kkt: ours, best peer's")
    for n, kind in dict.fromkeys((row.n, row.kind) for row in rows):
        cells, ours, theirs = [], 0.0, 0.0
        for share in SHARES:
            here = [row for row in rows if (row.n, row.kind, row.share) == (n, kind, share)]
            peers = [row for row in here if row.solver.removesuffix(" tight") in PEERS]
            solved = [row for row in peers if row.kkt <= NOT_CONVERGED]
            ours = max([ours, *(row.kkt for row in here if row.solver == OURS)])
            theirs = max([theirs, *([min(row.kkt for row in peers)] if peers else [])])
            best = min(solved, key=lambda row: row.seconds, default=None)
            cells.append(f"{best.solver} x{best.ratio:.2f}" if best else "-")
        print(f"{n:4d}  {kind:8s} " + "".join(f"{cell:>22s}" for cell in cells) + f"   {ours:.1e}, {theirs:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Box QP: time and exactness beside OSQP, PIQP, DAQP and ProxQP.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of variables")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS, help="spectra of H")
    parser.add_argument("--rounds", type=int, default=7, help="batches of each solver (default 7)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds per problem, at least three rounds")
    parser.add_argument("--seed", type=int, default=0, help="another set of problems")
    parser.add_argument("--without", nargs="*", default=(), choices=tuple(PEERS), help="peers to leave out")
    parser.add_argument("--json", type=Path, help="write the measurements here")
    options = parser.parse_args()

    absent = missing()
    print(f"marquardt {marquardt.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, one thread")
    for peer, reason in absent.items():
        print(f"left out: {peer} ({reason})")
    rows: list[Row] = []
    for n, kind, share in itertools.product(options.sizes, options.kinds, SHARES):
        left_out = {*absent, *options.without}
        rows += (found := measure(n, kind, share, left_out, options.rounds, options.budget, options.seed))
        show(found)
    summary(rows)
    if options.json:
        table: list[dict[str, Any]] = [dataclasses.asdict(row) for row in rows]
        options.json.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
