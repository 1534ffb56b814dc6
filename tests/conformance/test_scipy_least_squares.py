"""SciPy's tests of `least_squares`, run on ours."""

from __future__ import annotations

from conformance.least_squares_exceptions import EXCEPTIONS
from conformance.suite import adopt
from marquardt import least_squares

adopt(globals(), "scipy.optimize.tests.test_least_squares", {"least_squares": least_squares}, EXCEPTIONS)
