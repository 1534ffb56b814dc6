"""NIST's eleven linear regression sets: digits against exact rational solutions, and against LAPACK in the same test.

The exact values were computed in rational arithmetic from the decimal data; they agree with those that NIST certifies.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from marquardt import lstsq, polyfit
from problems.nist_linear import DATA, POLYNOMIALS, digits, system

# Filip's powers are rounded before anything is solved; Wampler4 and 5 have residuals 1e5 and 1e7 times the fit.
LEAST = {"filip": 7.0, "wampler4": 11.0, "wampler5": 8.5}


@pytest.mark.parametrize("name", DATA)
def test_at_least_the_digits_of_gelsd(name: str) -> None:
    A, y, exact = system(name)
    fit = lstsq(A, y)
    ours = digits(fit.x, exact)
    peers = [digits(scipy.linalg.lstsq(A, y, lapack_driver="gelsd", cond=cut)[0], exact) for cut in (None, 1e-30)]
    assert fit.rank == A.shape[1]
    assert ours >= LEAST.get(name, 12.5)
    assert ours >= min(max(peers), 15.0) - 0.3  # 0.3: a factor of two in the last place


@pytest.mark.parametrize("name", DATA)
def test_residual_sum_of_squares(name: str) -> None:
    A, y, _ = system(name)
    fit = lstsq(A, y)
    rss = float(DATA[name]["rss"])
    np.testing.assert_allclose(2 * fit.cost, rss, rtol=1e-8 if name == "filip" else 1e-12, atol=1e-10)


def test_filip_is_beyond_gelsd_by_default() -> None:
    A, y, exact = system("filip")
    assert digits(np.linalg.lstsq(A, y, rcond=None)[0], exact) < 1  # gelsd with the usual cut-off
    assert digits(lstsq(A, y).x, exact) >= 7


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polyfit(name: str) -> None:
    data = DATA[name]
    x, y = np.array(data["x"][0], dtype=float), np.array(data["y"], dtype=float)
    fit = polyfit(x, y, data["degree"])
    exact = np.array(data["coefficients"], dtype=float)
    assert fit.success
    assert fit.rank == data["degree"] + 1
    assert digits(fit.x, exact) >= {"filip": 7.5, "wampler5": 8.0, "pontius": 11.0}.get(name, 10.0)
    np.testing.assert_allclose(2 * fit.cost, float(data["rss"]), rtol=1e-9, atol=1e-9)
