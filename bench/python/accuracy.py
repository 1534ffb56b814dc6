"""Correct digits of linear least squares on NIST's eleven regression sets, beside LAPACK's drivers.

    python bench/python/accuracy.py

A number is the correct significant digits of the worst coefficient, at most 15.7, against exact rational solutions
(tests/problems/nist_linear.json). Of LAPACK's drivers gelsd runs with NumPy's cut-off of small singular values and with
none, gelsy with none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.linalg

import marquardt

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # the one registry of problems
from problems.nist_linear import DATA, POLYNOMIALS, digits, system

NO_CUT = 1e-30
PEERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "gelsd, cut": lambda A, b: np.linalg.lstsq(A, b, rcond=None)[0],
    "gelsd": lambda A, b: scipy.linalg.lstsq(A, b, cond=NO_CUT, lapack_driver="gelsd")[0],
    "gelsy": lambda A, b: scipy.linalg.lstsq(A, b, cond=NO_CUT, lapack_driver="gelsy")[0],
}


def polynomial(name: str, exact: np.ndarray) -> str:
    """The digits of polyfit, where the set is a polynomial."""
    if name not in POLYNOMIALS:
        return "-"
    data = DATA[name]
    x, y = np.array(data["x"][0], dtype=float), np.array(data["y"], dtype=float)
    return f"{digits(marquardt.polyfit(x, y, data['degree']).x, exact):.1f}"


def main() -> None:
    """Print the table."""
    print(f"marquardt {marquardt.__version__}, numpy {np.__version__}, scipy {scipy.__version__}")
    print(f"{'set':<10} {'condition':>9} {'lstsq':>6} {'polyfit':>8}" + "".join(f" {peer:>11}" for peer in PEERS))
    for name in DATA:
        A, b, exact = system(name)
        row = f"{name:<10} {np.linalg.cond(A):>9.1e} {digits(marquardt.lstsq(A, b).x, exact):>6.1f}"
        row += f" {polynomial(name, exact):>8}"
        row += "".join(f" {max(digits(solve(A, b), exact), 0):>11.1f}" for solve in PEERS.values())
        print(row)


if __name__ == "__main__":
    main()
