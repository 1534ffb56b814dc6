"""Least squares, linear and nonlinear, with bounds: right by default, never falsely successful, fast."""

from __future__ import annotations

from ._result import Result, Status
from .derivatives import JacobianCheck, check_jacobian
from .linear import LinearResult, lstsq
from .lm import lm_solve
from .lsqtr import lsqtr

__all__ = [
    "JacobianCheck",
    "LinearResult",
    "Result",
    "Status",
    "check_jacobian",
    "lm_solve",
    "lsqtr",
    "lstsq",
]

__version__ = "0.1.0"
