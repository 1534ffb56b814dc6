"""`box_qp`: a convex quadratic in a box, exactly."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _report, _result
from ._isa import core as _core

_Array = NDArray[np.float64]


class QpStatus(IntEnum):
    """How a box QP ended. Positive: solved; negative: anything else."""

    SOLVED = 1
    UNBOUNDED = -1
    NOT_CONVEX = -2
    STALLED = -3


_ENDS = (  # in the order of the core's BoxQpStatus
    (QpStatus.SOLVED, "The first-order conditions hold to rounding."),
    (
        QpStatus.UNBOUNDED,
        "The objective falls without end along `ray`: bound the variables it moves, or add curvature to H.",
    ),
    (
        QpStatus.NOT_CONVEX,
        "H has a negative eigenvalue, so that a first-order point need not be a minimum: check the sign of H, or add a "
        "multiple of the identity.",
    ),
    (
        QpStatus.STALLED,
        "Rounding or overflow kept the first-order conditions from being met: rescale H, g and the bounds.",
    ),
)


class QpResult(_result.Fields):
    """The outcome of a box QP. Fields are attributes and mapping items alike.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The solution. Held variables equal their bound to the last bit.
    success : bool
        True only if `x` is a minimiser to rounding.
    status : QpStatus
        How it ended.
    message : str
        The same as a sentence; where it is not a success, what to do.
    fun : float
        ``0.5 * x @ H @ x + g @ x``.
    grad : ndarray, shape (n,)
        ``H @ x + g``.
    multipliers : ndarray, shape (n,)
        The multiplier of the bound that holds each variable, never negative, zero for free variables:
        ``grad == multipliers`` at a lower bound, ``grad == -multipliers`` at an upper one.
    active_mask : ndarray of int, shape (n,)
        -1 at the lower bound, +1 at the upper bound, 0 free. Where both bounds are the same, the one that the
        gradient presses against.
    kkt : float
        The largest violation of the first-order conditions, each gradient component measured against
        ``abs(g[i]) + sqrt(H[i, i]) * sum(sqrt(H[j, j]) * abs(x[j]))``, the size of its terms.
    nit : int
        Reduced linear systems solved.
    singular : bool
        Whether a system was singular to rounding: other points may be as good.
    ray : ndarray, shape (n,), or None
        Where the objective is unbounded below: a direction along which it falls without end and no bound is met, its
        largest component 1 in size.
    """

    def __repr__(self) -> str:
        x = _report.brief_numbers(self["x"])
        return f"QpResult({self['status'].name}, fun={self['fun']:.6g}, x={x}, kkt={self['kkt']:.1e})"


# Every name, in the order in which they print. A copy, filled, costs less than a dictionary that grows.
_BLANK: dict[str, Any] = dict.fromkeys(
    ("x", "success", "status", "message", "fun", "grad", "multipliers", "active_mask", "kkt", "nit", "singular", "ray")
)


def box_qp(
    H: Any,
    g: Any,
    lower: Any = None,
    upper: Any = None,
    x0: Any = None,
    *,
    check_convex: bool = True,
) -> QpResult:
    """Minimise ``0.5 * x @ H @ x + g @ x`` subject to ``lower <= x <= upper``, exactly.

    An active-set method: the answer lies on its bounds to the last bit, and the free variables solve their linear
    system to rounding.

    Parameters
    ----------
    H : array_like, shape (n, n)
        Symmetric positive definite or semidefinite.
    g : array_like, shape (n,)
        The linear term.
    lower, upper : array_like, shape (n,), float or None
        Bounds; a number counts for every variable, None and infinity mean no bound.
    x0 : array_like, shape (n,), optional
        A start, moved into the bounds. If it lies on the bounds that hold the solution, as the solution of a problem
        nearby does, a single linear system is solved.
    check_convex : bool
        Prove that H has no negative eigenvalue beyond rounding, by a Cholesky factorisation of all of it. Where it is
        known, as for ``M.T @ M``, False saves up to nearly all of the work when many bounds hold the solution.

    Returns
    -------
    QpResult

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, are not finite, or an H that is not symmetric to rounding.

    Notes
    -----
    A few sweeps over the coordinates guess the active set; where they leave hardly anybody on a bound, the minimiser
    without bounds is tried. Block principal pivoting makes the set right in one to a few linear systems, which share
    what they can of one Cholesky factor. Should it not settle, a projected Newton method
    with an exact line search takes over, and in the end an active-set method that changes one bound at a time, which
    ends after finitely many steps.

    References
    ----------
    J. J. Judice and F. M. Pires, A block principal pivoting algorithm for large-scale strictly monotone linear
    complementarity problems, Computers & Operations Research 21 (1994) 587-596.
    D. P. Bertsekas, Projected Newton methods for optimization problems with simple constraints, SIAM Journal on
    Control and Optimization 20 (1982) 221-246.
    J. J. More and G. Toraldo, On the solution of large quadratic programming problems with bound constraints, SIAM
    Journal on Optimization 1 (1991) 93-113.

    Examples
    --------
    >>> from marquardt import box_qp
    >>> fit = box_qp([[2, 1], [1, 2]], [-4, -1], lower=0, upper=[1.5, 1])
    >>> fit.x.tolist(), fit.active_mask.tolist(), fit.multipliers.tolist()
    ([1.5, 0.0], [1, -1], [1.0, 0.5])
    """
    if type(check_convex) is not bool:
        raise TypeError(f"check_convex must be True or False, got {check_convex!r}")
    fit = QpResult(_BLANK)
    end = _core.box_qp(H, g, lower, upper, x0, check_convex, fit)
    if isinstance(end, str):  # nothing was solved, and this is what does not fit
        H, g, lower, upper, x0 = _arrays(H, g, lower, upper, x0)
        end = _core.box_qp(H, g, lower, upper, x0, check_convex, fit)
        if isinstance(end, str):
            _refuse(end, H, g, lower, upper, x0)
    fit["status"], fit["message"] = _ENDS[end]
    return fit


def _arrays(H: Any, g: Any, lower: Any, upper: Any, x0: Any) -> tuple[_Array, _Array, _Array, _Array, _Array | None]:
    """Give each argument the form that the core takes."""
    matrix, right = _arguments.real("H", H), _arguments.real("g", g)
    if right.ndim != 1 or right.size == 0:
        raise ValueError(f"g must have one dimension and at least one entry, got shape {right.shape}")
    n = right.size
    if matrix.shape != (n, n):
        raise ValueError(f"H must have shape ({n}, {n}) to go with g, got shape {matrix.shape}")
    start = None
    if x0 is not None:
        start = np.ascontiguousarray(_arguments.real("x0", x0))
        if start.shape != (n,):
            raise ValueError(f"x0 must have shape ({n},) as g has, got shape {start.shape}")
    low, high = _bound("lower", lower, n, -np.inf), _bound("upper", upper, n, np.inf)
    return np.ascontiguousarray(matrix), np.ascontiguousarray(right), low, high, start


def _bound(name: str, value: Any, n: int, missing: float) -> _Array:
    if value is None:
        return np.full(n, missing)
    side = _arguments.real(name, value)
    if side.shape not in ((), (1,), (n,)):
        raise ValueError(f"{name} must be a number or have shape ({n},) as g has, got shape {side.shape}")
    return np.array(np.broadcast_to(side, (n,)))


def _refuse(culprit: str, H: _Array, g: _Array, lower: _Array, upper: _Array, x0: _Array | None) -> NoReturn:
    """Say in a sentence what the core found not to fit."""
    if culprit == "symmetry":
        gap = np.abs(H - H.T)
        i, j = np.unravel_index(int(np.argmax(gap)), gap.shape)
        raise ValueError(
            f"H must be symmetric to rounding, got H[{i}, {j}] = {H[i, j]} and H[{j}, {i}] = {H[j, i]}, "
            f"the largest asymmetry, {gap[i, j]:.3g}"
        )
    for name, value in (("H", H), ("g", g), ("x0", x0)):
        if culprit == name:
            _arguments.finite(name, value)
    _arguments.box((lower, upper), g.size)
    raise ValueError(f"box_qp cannot use these {culprit}")  # a rule of the core that is not told above
