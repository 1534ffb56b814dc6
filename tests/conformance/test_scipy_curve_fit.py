"""SciPy's tests of `curve_fit`, run on ours; and those of `leastsq`, run on `least_squares` in its dress."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from conformance.curve_fit_exceptions import EXCEPTIONS
from conformance.suite import adopt
from marquardt import curve_fit
from marquardt.least_squares import least_squares


def leastsq(
    func: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    Dfun: Callable[..., Any] | None = None,
    full_output: bool = False,
) -> tuple[Any, ...]:
    """Return what SciPy's `leastsq` returns."""
    result = least_squares(func, np.ravel(x0), "2-point" if Dfun is None else Dfun, args=args)
    ier = 4 if result.success else 5  # of its successes the one by the gradient
    if not full_output:
        return result.x, ier
    return result.x, result.covariance(scale=False), {"nfev": result.nfev, "fvec": result.fun}, result.message, ier


# Some tests reach the functions through the module `optimize`: its names, two of them exchanged.
namespace = types.SimpleNamespace(**{name: getattr(optimize, name) for name in optimize.__all__})
namespace.curve_fit, namespace.leastsq = curve_fit, leastsq

adopt(
    globals(),
    "scipy.optimize.tests.test_minpack",
    {"curve_fit": curve_fit, "leastsq": leastsq, "optimize": namespace},
    EXCEPTIONS,
    only=["TestCurveFit", "TestLeastSq"],
)
