"""Rows reduced to a triangle or a Gram matrix, beside LAPACK's dgeqrf and BLAS's dsyrk in the same process.

    python bench/python/rows.py                 # the table
    python bench/python/rows.py --json out.json # and the measurements

Every contender gets the same J, random, in both orders of memory; dgeqrf works in place on a fresh copy that is not
timed, so that its time holds no copy, while ours reads J as it is. A ratio above 1 says how many times faster this
library is. Set OPENBLAS_NUM_THREADS=1 for one thread against one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from marquardt import _isa

SHAPES = ((1000, 3), (1000, 10), (10000, 10), (20000, 50), (10000, 50), (2000, 100), (2000, 500))
GROWTH = (1000, 10_000, 100_000, 1_000_000)  # rows at GROWTH_COLUMNS columns
GROWTH_COLUMNS = 20
THREADED = ((20000, 50, False), (2000, 500, True))  # m, n, Gram form


def seconds(run: Callable[..., Any], prepare: Callable[[], Any] | None, rounds: int) -> list[float]:
    """Times of `run`, each on what `prepare` made, which is not timed."""
    times = []
    for _ in range(rounds):
        given = () if prepare is None else (prepare(),)
        begin = time.perf_counter()
        run(*given)
        times.append(time.perf_counter() - begin)
    return times


def interleaved(
    contenders: dict[str, tuple[Callable[..., Any], Callable[[], Any] | None]], rounds: int
) -> dict[str, list[float]]:
    """Times of all contenders, who take turns; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, (run, prepare) in contenders.items():
            spent = seconds(run, prepare, 1)
            if turn:
                times[name] += spent
    return times


def ratio(slow: list[float], fast: list[float]) -> tuple[float, float, float]:
    """Median and quartiles of slow / fast within each round."""
    low, middle, high = np.percentile(np.array(slow) / np.array(fast), [25, 50, 75])
    return float(middle), float(low), float(high)


def rounds_for(m: int, n: int, budget: float) -> int:
    """About `budget` seconds at a GFLOP/s for everybody, but no fewer than 7 rounds and no more than 301."""
    return int(np.clip(budget * 1e9 / (8 * m * n * n), 7, 301))


def compare(m: int, n: int, gram: bool, budget: float) -> dict[str, Any]:
    """One shape and form against BLAS or LAPACK, in both orders of memory."""
    rng = np.random.default_rng(m + n)
    J, r = np.asfortranarray(rng.standard_normal((m, n))), rng.standard_normal(m)
    by_rows = np.ascontiguousarray(J)
    ours = _isa.core.reduce_rows
    work = int(lapack.dgeqrf_lwork(m, n)[0])
    contenders: dict[str, tuple[Callable[..., Any], Callable[[], Any] | None]] = {
        "columns": (lambda: ours(J, r, gram, 1), None),
        "rows": (lambda: ours(by_rows, r, gram, 1), None),
    }
    if gram:
        contenders["peer"] = (lambda: blas.dsyrk(1.0, J, trans=1, lower=1), None)
        contenders["peer, rows"] = (lambda: blas.dsyrk(1.0, by_rows.T, lower=1), None)
    else:
        contenders["peer"] = (lambda A: lapack.dgeqrf(A, lwork=work, overwrite_a=1), lambda: J.copy(order="F"))
    times = interleaved(contenders, rounds_for(m, n, budget))
    flops = (1 if gram else 2) * m * n * n
    return {
        "m": m,
        "n": n,
        "form": "gram" if gram else "triangle",
        "times": {name: float(np.median(spent)) for name, spent in times.items()},
        "gflops": {name: flops / float(np.median(spent)) / 1e9 for name, spent in times.items()},
        "by columns": ratio(times["peer"], times["columns"]),
        "by rows": ratio(times["peer, rows" if gram else "peer"], times["rows"]),
    }


def threads(m: int, n: int, gram: bool, budget: float) -> dict[str, Any]:
    """Two threads against one; that equal counts give equal bits is looked at on the way."""
    rng = np.random.default_rng(m + n)
    J, r = np.asfortranarray(rng.standard_normal((m, n))), rng.standard_normal(m)
    ours = _isa.core.reduce_rows
    first, second = ours(J, r, gram, 2), ours(J, r, gram, 2)
    same = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    times = interleaved(
        {"one": (lambda: ours(J, r, gram, 1), None), "two": (lambda: ours(J, r, gram, 2), None)},
        rounds_for(m, n, budget),
    )
    return {
        "m": m,
        "n": n,
        "form": "gram" if gram else "triangle",
        "gain": ratio(times["one"], times["two"]),
        "same": same,
    }


def growth(gram: bool, budget: float) -> list[dict[str, Any]]:
    """Time a row from 1e3 to 1e6 rows, and how far memory grew beside J."""
    ours = _isa.core.reduce_rows
    found = []
    for m in GROWTH:
        rng = np.random.default_rng(m)
        J, r = np.asfortranarray(rng.standard_normal((m, GROWTH_COLUMNS))), rng.standard_normal(m)
        ours(J[:100], r[:100], gram, 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent = seconds(lambda J=J, r=r: ours(J, r, gram, 1), None, rounds_for(m, GROWTH_COLUMNS, budget))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found.append({"m": m, "ns a row": float(np.median(spent)) / m * 1e9, "memory of J, MB": J.nbytes / 1e6,
                      "further memory, MB": (after - before) * 1024 / 1e6})  # fmt: skip
    return found


def shown(value: tuple[float, float, float]) -> str:
    """A median with its quartiles."""
    return f"{value[0]:5.2f} [{value[1]:.2f}, {value[2]:.2f}]"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=2.0, help="seconds or so for each row of the table")
    parser.add_argument("--json", help="where to write the measurements")
    given = parser.parse_args()
    print("OPENBLAS_NUM_THREADS =", os.environ.get("OPENBLAS_NUM_THREADS", "not set: every core"))
    report: dict[str, Any] = {"shapes": [], "threads": [], "growth": {}}
    print(f"{'form':>8} {'m':>7} {'n':>4} {'GFLOP/s':>8} {'peer':>8}   peer's time / ours: by columns, by rows")
    for gram in (False, True):
        for m, n in SHAPES:
            row = compare(m, n, gram, given.budget)
            report["shapes"].append(row)
            speeds = f"{row['gflops']['columns']:8.1f} {row['gflops']['peer']:8.1f}"
            print(f"{row['form']:>8} {m:7} {n:4} {speeds}   {shown(row['by columns'])} {shown(row['by rows'])}")
    print("two threads: time of one / time of two")
    for m, n, gram in THREADED:
        row = threads(m, n, gram, given.budget)
        report["threads"].append(row)
        print(f"{row['form']:>8} {m:7} {n:4} {shown(row['gain'])}, {'same bits' if row['same'] else 'BITS DIFFER'}")
    print(f"growth, n = {GROWTH_COLUMNS}: ns a row (further memory beside J)")
    for gram in (False, True):
        name = "gram" if gram else "triangle"
        report["growth"][name] = growth(gram, given.budget)
        print(f"{name:>8}", *(f"{row['m']}: {row['ns a row']:.1f} ({row['further memory, MB']:.1f} MB)  "
                              for row in report["growth"][name]))  # fmt: skip
    if given.json:
        with open(given.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
