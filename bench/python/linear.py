"""Times linear least squares, `lstsq` beside NumPy's and SciPy's with each LAPACK driver, in one process.

    OPENBLAS_NUM_THREADS=1 python bench/python/linear.py [--case NAME] [--rounds N] [--budget SECONDS] [--json FILE]

A ratio is the peer's time over ours, formed within a round: above 1 we are faster. The last column compares with the
fastest peer of the case.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
from collections.abc import Callable

import numpy as np
import scipy
import scipy.linalg
from interleave import Timing, duration, interleave

import marquardt

OURS = "marquardt"
DRIVERS = ("gelsd", "gelss", "gelsy")
Contender = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Case:
    """A system to solve, or a stack of them."""

    name: str
    rows: int
    columns: int
    count: int = 1  # systems in the stack


CASES = [
    Case("tiny", 4, 2),
    Case("plane", 10, 3),
    Case("line", 20, 3),
    Case("quartic", 20, 5),
    Case("few", 50, 3),
    Case("small", 100, 5),
    Case("medium", 1000, 20),
    Case("tall", 20000, 50),
    Case("broad", 2000, 500),
    Case("stack-4x2", 4, 2, 100_000),
    Case("stack-10x3", 10, 3, 100_000),
    Case("stack-20x5", 20, 5, 100_000),
]

# A loop over NumPy's takes a second or more for a whole stack: this many of its systems are timed and multiplied.
LOOPED = 2000


def contenders(case: Case) -> dict[str, Contender]:
    rng = np.random.default_rng(0)
    if case.count > 1:
        A = rng.standard_normal((case.count, case.rows, case.columns))
        b = rng.standard_normal((case.count, case.rows))

        def loop() -> None:
            for i in range(LOOPED):
                np.linalg.lstsq(A[i], b[i], rcond=None)

        return {OURS: lambda: marquardt.lstsq(A, b), "numpy loop": loop}
    A, b = rng.standard_normal((case.rows, case.columns)), rng.standard_normal(case.rows)
    found: dict[str, Contender] = {
        OURS: lambda: marquardt.lstsq(A, b),
        "numpy": lambda: np.linalg.lstsq(A, b, rcond=None),
    }
    for driver in DRIVERS:
        found[f"scipy {driver}"] = lambda driver=driver: scipy.linalg.lstsq(A, b, lapack_driver=driver)
    return found


def measure(case: Case, rounds: int, budget: float) -> list[Timing]:
    timings = interleave(contenders(case), OURS, rounds, budget)
    if case.count == 1:
        return timings
    factor = case.count / LOOPED
    scaled = ("median", "lower", "upper", "ratio", "ratio_lower", "ratio_upper")
    return [
        t if t.label == OURS else dataclasses.replace(t, **{name: getattr(t, name) * factor for name in scaled})
        for t in timings
    ]


def show(case: Case, timings: list[Timing]) -> None:
    best = min((t for t in timings if t.label != OURS), key=lambda t: t.median)
    count = f", {case.count} systems" if case.count > 1 else ""
    print(f"\n{case.name}: {case.rows} x {case.columns}{count}")
    print(f"  {'solver':<14}{'median':>10}{'quartiles':>22}{'ratio':>8}{'quartiles':>16}")
    for t in timings:
        spread = f"{duration(t.lower)} .. {duration(t.upper)}"
        ratios = f"{t.ratio_lower:.2f} .. {t.ratio_upper:.2f}"
        mark = "  fastest peer" if t is best else ""
        print(f"  {t.label:<14}{duration(t.median):>10}{spread:>22}{t.ratio:>8.2f}{ratios:>16}{mark}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append", help="only this one")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds a case after which no round begins")
    parser.add_argument("--json", help="where to write the measurements")
    options = parser.parse_args()
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "not set: peers may use every core")
    print(f"OPENBLAS_NUM_THREADS {threads}; {platform.machine()}, numpy {np.__version__}, scipy {scipy.__version__}")
    rows = []
    for case in CASES:
        if options.case and case.name not in options.case:
            continue
        timings = measure(case, options.rounds, options.budget)
        show(case, timings)
        rows += [{"case": case.name, **dataclasses.asdict(t)} for t in timings]
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
