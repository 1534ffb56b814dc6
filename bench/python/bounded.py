"""Bounded linear least squares beside SciPy, in one process: medians and the ratio to each peer.

    OPENBLAS_NUM_THREADS=1 python bench/python/bounded.py [--rounds ROUNDS] [--budget SECONDS]

`nnls` meets scipy.optimize.nnls on families of matrices: random ones, data that x >= 0 fits exactly, and
ill-conditioned ones (kernels of exponentials and of Gaussians, low rank, Hilbert). `lsq_linear` meets SciPy's bvls
(where m >= n) and trf at its default tolerance. A ratio above 1 says how many times longer the peer takes; kkt is the
largest relative violation of the first-order conditions, measured here for all alike (trf ends inside the box, so that
bounds it only nears count in full). On the largest systems bvls is stopped after 20 iterations and trf left out.
"""

from __future__ import annotations

import argparse
import os
import warnings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded

import numpy as np
import scipy
import scipy.optimize
from interleave import duration, interleave

from marquardt import lsq_linear, nnls

TINY = ((8, 4), (20, 10), (50, 20))
SIZES = (*TINY, (100, 50), (300, 200))
LARGE = (1000, 500)
BOXES = (*TINY, (100, 50), (100, 200), (300, 200), LARGE, (20000, 50))
RANDOM = ("uniform", "normal", "half", "consistent")
ILL = ("laplace", "gauss", "lowrank", "hilbert")
SLOW = 100_000  # entries from which trf and bvls are left out


def kkt(A, b, x, lower, upper):
    g = A.T @ (A @ x - b)
    lengths = np.linalg.norm(A, axis=0)
    wrong = np.where(x <= lower, np.maximum(-g, 0), np.where(x >= upper, np.maximum(g, 0), np.abs(g)))
    return np.max(wrong / (lengths * (np.linalg.norm(b) + lengths @ np.abs(x))))


def family(kind, m, n):
    """A and b; x is half zero, and fits b but for noise, or exactly."""
    rng = np.random.default_rng(m + n)
    if kind == "uniform":
        return rng.random((m, n)), rng.random(m)
    if kind == "normal":
        return rng.standard_normal((m, n)), rng.standard_normal(m)
    x, noise = rng.random(n) * (rng.random(n) < 0.5), rng.standard_normal(m)
    s, t = np.linspace(0, 1, n), np.linspace(0, 1, m)[:, np.newaxis]
    if kind == "half":
        A = rng.standard_normal((m, n))
        return A, A @ x + 0.1 * noise
    if kind == "consistent":
        A = rng.random((m, n))
        return A, A @ x
    if kind == "laplace":
        A = np.exp(-3 * (t + 0.003) * 10 ** (4 * s - 2))
        return A, A @ x + 1e-3 * noise
    if kind == "gauss":
        A = np.exp(-(((t - s) / 0.03) ** 2) / 2)
        return A, A @ x + 1e-3 * noise
    if kind == "lowrank":
        A = rng.random((m, max(2, n // 5))) @ rng.random((max(2, n // 5), n))
        return A, A @ x + 0.1 * noise
    A = 1 / (np.arange(m)[:, np.newaxis] + np.arange(n) + 1.0)  # Hilbert
    return A, A @ x + 1e-4 * noise


def cases():
    for m, n in (*SIZES, LARGE):
        for kind in RANDOM if (m, n) == LARGE else RANDOM + ILL:
            yield f"nnls {kind} {m}x{n}", *family(kind, m, n), 0.0, np.inf
    for m, n in BOXES:
        rng = np.random.default_rng(m + n)
        A, x = rng.standard_normal((m, n)), rng.uniform(-2, 2, n)
        yield f"box half held {m}x{n}", A, A @ x + rng.standard_normal(m), -1.0, 1.0


def contenders(label, A, b, lower, upper):
    if label.startswith("nnls"):
        cap = 100 * A.shape[1]
        return {"marquardt": lambda: nnls(A, b), "scipy nnls": lambda: scipy.optimize.nnls(A, b, maxiter=cap)}
    box = (lower, upper)
    found = {"marquardt": lambda: lsq_linear(A, b, box)}
    if A.size < SLOW:
        found["scipy trf"] = lambda: scipy.optimize.lsq_linear(A, b, box, method="trf")
        if A.shape[0] >= A.shape[1]:
            found["scipy bvls"] = lambda: scipy.optimize.lsq_linear(A, b, box, method="bvls")
    else:
        found["bvls, 20 its"] = lambda: scipy.optimize.lsq_linear(A, b, box, method="bvls", max_iter=20)
    return found


def main(rounds: int, budget: float) -> None:
    warnings.simplefilter("ignore")  # SciPy's, at its cap
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, {rounds} rounds, median of each; peer / marquardt")
    print(f"{'problem':<26}{'solver':<13}{'median':>10}{'ratio':>8}{'quartiles':>16}{'kkt':>10}")
    for label, A, b, lower, upper in cases():
        solvers = contenders(label, A, b, lower, upper)
        for timing in interleave(solvers, "marquardt", rounds=rounds, budget=budget):
            answer = solvers[timing.label]()
            x = answer[0] if isinstance(answer, tuple) else answer.x
            spread = f"{timing.ratio_lower:.2f} .. {timing.ratio_upper:.2f}"
            worst = kkt(A, b, x, lower, upper)
            print(
                f"{label:<26}{timing.label:<13}{duration(timing.median):>10}{timing.ratio:>8.2f}{spread:>16}{worst:>10.0e}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Times bounded linear least squares beside SciPy's.")
    parser.add_argument("--rounds", type=int, default=11, help="rounds a problem (default 11)")
    parser.add_argument("--budget", type=float, default=20, help="seconds after which no round begins (default 20)")
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.budget)
