"""Least squares, linear and nonlinear, with bounds: right by default, never falsely successful, fast."""

from __future__ import annotations

from ._result import Result, Status
from .derivatives import JacobianCheck, check_jacobian
from .linear import LinearResult, lstsq
from .lm import LMStatus, lm_solve
from .lsqtr import lsqtr
from .quadratic import QpResult, QpStatus, box_qp

__all__ = [
    "JacobianCheck",
    "LMStatus",
    "LinearResult",
    "QpResult",
    "QpStatus",
    "Result",
    "Status",
    "box_qp",
    "check_jacobian",
    "lm_solve",
    "lsqtr",
    "lstsq",
]

__version__ = "0.1.0"
