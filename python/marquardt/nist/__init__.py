"""NIST's 27 certified nonlinear regression problems (StRD), to try a fitting routine on.

>>> from marquardt import nist
>>> problem = nist.load("Misra1a")
>>> problem.residual(problem.starts[0]).shape
(14,)
"""

from __future__ import annotations

from .problems import CERTIFIED_DIGITS, Problem, load, log_relative_error, names

__all__ = ["CERTIFIED_DIGITS", "Problem", "load", "log_relative_error", "names"]
