"""Times whole calls of curve_fit, this library's and SciPy's, side by side in one process.

The model is a exp(-b t) + c at 50 points with noise, from SciPy's default start, unpacked as ``popt, pcov``. Beside
each call stands the cost of its model calls alone: as many as it made, in a bare loop. What is left is the solver's own
work, the reading of arguments and the covariance.

    python bench/python/curve_fit.py [--case NAME] [--rounds N] [--budget SECONDS] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
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

T = np.linspace(0, 4, 50)
Y = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * np.random.default_rng(1).standard_normal(T.size)
SIGMA = 0.05 * (1 + T)
AT = (2.5, 1.3, 0.5)  # where the bare loop calls the model

FACES: dict[str, Callable[..., Any]] = {"marquardt": marquardt.curve_fit, "scipy": optimize.curve_fit}
PEER = "scipy"


def model(t: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    return a * np.exp(-b * t) + c


def jacobian(t: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    e = np.exp(-b * t)
    return np.stack([e, -a * t * e, np.ones_like(t)], axis=1)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "jac": {"jac": jacobian},
    "sigma": {"sigma": SIGMA},
    "bounds": {"bounds": (0, 10)},
    "bounds-jac": {"bounds": (0, 10), "jac": jacobian},
    "bound-active": {"bounds": (0, [2.2, 5, 5])},
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: str
    face: str
    models: int
    jacobians: int
    cost: float
    call: Timing
    callbacks: Timing


def spent(face: Callable[..., Any], settings: dict[str, Any]) -> tuple[int, int, float]:
    """Return how often a fit calls model and Jacobian, and the cost where it ends."""
    calls = {"model": 0, "jac": 0}

    def counted_model(t: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        calls["model"] += 1
        return model(t, a, b, c)

    def counted_jacobian(t: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        calls["jac"] += 1
        return jacobian(t, a, b, c)

    counted = settings | ({"jac": counted_jacobian} if "jac" in settings else {})
    popt, _ = face(counted_model, T, Y, **counted)
    residuals = (model(T, *popt) - Y) / settings.get("sigma", 1.0)
    return calls["model"], calls["jac"], 0.5 * float(residuals @ residuals)


def fit(face: Callable[..., Any], settings: dict[str, Any]) -> Callable[[], object]:
    def call() -> object:
        popt, pcov = face(model, T, Y, **settings)
        return popt, pcov

    return call


def replay(models: int, jacobians: int) -> Callable[[], None]:
    """Return a loop that makes as many calls as a fit did and nothing else."""

    def loop() -> None:
        for _ in range(models):
            model(T, *AT)
        for _ in range(jacobians):
            jacobian(T, *AT)

    return loop


def measure(case: str, rounds: int, budget: float) -> list[Row]:
    settings = CASES[case]
    answers = {label: spent(face, settings) for label, face in FACES.items()}
    contenders: dict[str, Callable[[], object]] = {}
    for label, face in FACES.items():
        contenders[label] = fit(face, settings)
        contenders[f"callbacks of {label}"] = replay(*answers[label][:2])
    timings = {timing.label: timing for timing in interleave(contenders, PEER, rounds, budget)}
    return [Row(case, label, *answers[label], timings[label], timings[f"callbacks of {label}"]) for label in FACES]


def environment() -> dict[str, str]:
    """Return what a reader must know to compare two tables."""
    return {
        "marquardt": marquardt.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "not set"),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=list(CASES), help="time this one only (repeatable)")
    parser.add_argument("--rounds", type=int, default=21, help="batches of each contender (default 21)")
    parser.add_argument(
        "--budget", type=float, default=30.0, help="seconds a case after which no round begins (default 30)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there as well")
    arguments = parser.parse_args(argv)

    print(", ".join(f"{key} {value}" for key, value in environment().items()))
    print(f"ratio: to {PEER}, the less the faster; m = {T.size}, n = {len(AT)}\n")
    print(
        f"{'case':14}{'face':11}{'model':>6}{'jac':>5}{'time':>10}{'callbacks':>11}{'ratio':>8}{'quartiles':>14}  cost"
    )
    rows: list[Row] = []
    for case in arguments.case or CASES:
        for row in measure(case, arguments.rounds, arguments.budget):
            ratios = f"{row.call.ratio_lower:.2f} - {row.call.ratio_upper:.2f}"
            print(
                f"{row.case:14}{row.face:11}{row.models:6}{row.jacobians:5}{duration(row.call.median):>10}"
                f"{duration(row.callbacks.median):>11}{row.call.ratio:8.3f}{ratios:>14}  {row.cost:.8g}",
                flush=True,
            )
            rows.append(row)
    if arguments.json:
        document = {"environment": environment(), "rows": [dataclasses.asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
