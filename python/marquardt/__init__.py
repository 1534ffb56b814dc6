"""Least squares, linear and nonlinear, with bounds: right by default, never falsely successful, fast."""

from __future__ import annotations

from ._compiled import CompiledResidual, get_include
from ._isa import build_info
from ._nonlinear import LeastSquaresStatus
from ._questions import Profile
from ._result import Result, Status
from .bounded import BoundedResult, BoundedStatus, NnlsResult, lsq_linear, nnls
from .curve_fit import CovarianceWarning, CurveFit, FitError, FitWarning, curve_fit
from .derivatives import JacobianCheck, check_jacobian
from .least_squares import least_squares
from .linear import LinearResult, lstsq
from .lm import LMStatus, lm_solve
from .lsqtr import lsqtr
from .polynomial import PolynomialFit, polyfit
from .quadratic import QpResult, QpStatus, box_qp
from .robust import LadResult, RobustResult, RobustStatus, huber, lad, robust_linear
from .streaming import RowAccumulator

__all__ = [
    "BoundedResult",
    "BoundedStatus",
    "CompiledResidual",
    "CovarianceWarning",
    "CurveFit",
    "FitError",
    "FitWarning",
    "JacobianCheck",
    "LMStatus",
    "LadResult",
    "LeastSquaresStatus",
    "LinearResult",
    "NnlsResult",
    "PolynomialFit",
    "Profile",
    "QpResult",
    "QpStatus",
    "Result",
    "RobustResult",
    "RobustStatus",
    "RowAccumulator",
    "Status",
    "box_qp",
    "build_info",
    "check_jacobian",
    "curve_fit",
    "get_include",
    "huber",
    "lad",
    "least_squares",
    "lm_solve",
    "lsq_linear",
    "lsqtr",
    "lstsq",
    "nnls",
    "polyfit",
    "robust_linear",
]

__version__ = "0.1.0"
