"""Least squares, linear and nonlinear, with bounds: right by default, never falsely successful, fast."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._compiled import CompiledResidual, get_include
from ._isa import build_info
from ._nonlinear import LeastSquaresStatus
from ._questions import Profile
from ._result import Result, Status
from .curve_fit import CovarianceWarning, CurveFit, FitError, FitWarning, curve_fit
from .least_squares import least_squares
from .lm import LMStatus, lm_solve
from .lsqtr import lsqtr

if TYPE_CHECKING:
    from .bounded import BoundedResult, BoundedStatus, NnlsResult, lsq_linear, nnls
    from .derivatives import JacobianCheck, check_jacobian
    from .linear import LinearResult, lstsq
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

# Modules that few programs use are imported at the first use of one of their names: a third of the import's time. None
# of these names is that of a module.
_LATER = {
    "bounded": ("BoundedResult", "BoundedStatus", "NnlsResult", "lsq_linear", "nnls"),
    "derivatives": ("JacobianCheck", "check_jacobian"),
    "linear": ("LinearResult", "lstsq"),
    "polynomial": ("PolynomialFit", "polyfit"),
    "quadratic": ("QpResult", "QpStatus", "box_qp"),
    "robust": ("LadResult", "RobustResult", "RobustStatus", "huber", "lad", "robust_linear"),
    "streaming": ("RowAccumulator",),
}
_HOME = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LATER})
