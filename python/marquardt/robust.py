"""`lad`, `huber` and `robust_linear`: linear fits that outliers do not decide."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _report, _result
from ._isa import core as _core


class RobustStatus(IntEnum):
    """How a robust linear fit ended. Positive: what was asked for holds to rounding."""

    PROVEN = 1
    FIRST_ORDER = 2
    EXACT_FIT = 3
    LIMIT = 0
    STALLED = -1


# The constant of each loss with which, on normal errors of standard deviation `scale`, the estimate has 95 % of the
# efficiency of least squares: (E psi')**2 / E psi**2 = 0.95.
_TUNING = {"huber": 1.345, "soft_l1": 1.2871, "cauchy": 2.3849, "arctan": 2.5714, "welsch": 2.9846, "tukey": 4.6851}
_CONVEX = ("huber", "soft_l1")

_NORMAL_MAD = 0.6744897501960817  # the median of |r| for standard normal r


class LadResult(_result.Fields):
    """The outcome of `lad`. Fields are attributes and mapping items alike.

    Attributes
    ----------
    x : ndarray, shape (n,)
        A minimiser; it fits `rank` rows exactly, and is the shortest that fits these.
    cost : float
        ``sum(abs(residuals))``.
    residuals : ndarray, shape (m,)
        ``b - A @ x``.
    dual : ndarray, shape (m,)
        The proof: ``abs(dual) <= 1`` and ``A.T @ dual == 0``, so that no point has a sum below ``dual @ b``.
    gap : float
        ``cost - dual @ b``, relative to ``sum(abs(b))``: what the proof leaves open.
    excess : float
        The largest ``abs(dual) - 1``, before it was cut off at zero.
    stationarity : float
        The largest ``abs(A[:, j] @ dual)``, relative to ``sum(abs(A[:, j]))``.
    rank : int
        Numerical rank of A.
    unique : bool
        True only if no other point is proved to be as good.
    direction : ndarray, shape (n,), or None
        Where `x` is not unique and another minimiser is known: ``x + t * direction`` for t between 0 and 1.
    nit : int
        Vertices visited.
    success : bool
        True only if `gap`, `excess` and `stationarity` are rounding.
    status : RobustStatus
        How it ended.
    message : str
        The same as a sentence; where it is not a success, what to do.
    """

    def __repr__(self) -> str:
        return f"LadResult({self['status'].name}, cost={self['cost']:.6g}, x={_report.brief_numbers(self['x'])})"


class RobustResult(_result.Fields):
    """The outcome of `huber` and `robust_linear`. Fields are attributes and mapping items alike.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The fit; of all with the same residuals the shortest.
    cost : float
        ``threshold**2 * sum(rho(residuals / threshold))``, with ``rho(u)`` near ``u**2 / 2`` for small u.
    residuals : ndarray, shape (m,)
        ``b - A @ x``.
    weights : ndarray, shape (m,)
        What each row counts: 1 where fully trusted, 0 where ignored. `x` is the least-squares fit with these weights.
    scale : float
        Standard deviation of the good residuals, as given or estimated.
    threshold : float
        ``tuning * scale``: where the loss begins to differ from squares.
    stationarity : float
        The largest component of the gradient of the cost beyond the rounding of the residuals, relative to its terms,
        in orthonormal coordinates of A's columns.
    local_minimum : bool
        Whether the Hessian is positive definite at `x`. For a convex loss the minimiser then is unique.
    rank : int
        Numerical rank of A.
    nit : int
        Newton or reweighted steps.
    success : bool
        True only if `stationarity` is rounding.
    status : RobustStatus
        How it ended.
    message : str
        The same as a sentence; where it is not a success, what to do.
    """

    def __repr__(self) -> str:
        return f"RobustResult({self['status'].name}, cost={self['cost']:.6g}, x={_report.brief_numbers(self['x'])})"


def lad(A: Any, b: Any, *, max_iter: int | None = None) -> LadResult:
    """Least absolute deviations: minimise ``sum(abs(b - A @ x))``, exactly and with a proof.

    Parameters
    ----------
    A : array_like, shape (m, n)
        The matrix, real and finite, of any rank.
    b : array_like, shape (m,)
        Right-hand side.
    max_iter : int, optional
        Vertices to visit at most, ``1000 + 50 * n`` by default. Reaching it is reported by `status`, not raised.

    Returns
    -------
    LadResult
        `success` only with the proof, a dual point without gap.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Notes
    -----
    A linear programme: some minimiser fits as many rows exactly as A has rank. The method walks from such a vertex to
    the next along edges, past every kink at which the sum still falls (Barrodale and Roberts), on an orthonormal basis
    of A's columns.

    References
    ----------
    I. Barrodale and F. D. K. Roberts, An improved algorithm for discrete l1 linear approximation, SIAM Journal on
    Numerical Analysis 10 (1973) 839-848.

    Examples
    --------
    >>> from marquardt import lad
    >>> fit = lad([[1], [1], [1]], [1, 2, 30])
    >>> round(float(fit.x[0]), 12), fit.success
    (2.0, True)
    """
    matrix, right = _system(A, b)
    n = matrix.shape[1]
    cap = 1000 + 50 * n if max_iter is None else min(_arguments.count("max_iter", max_iter, 0), 2**31 - 1)
    report = _core.least_absolute(matrix, right, cap)
    certified, limit = report.pop("certified"), report.pop("limit")
    if certified:
        status = RobustStatus.PROVEN
        message = "A minimum, proved by the dual point to rounding."
        if report["rank"] < n:
            message += f" A has rank {report['rank']} of {n}: this is the shortest x that fits the same rows."
        if report["direction"] is not None:
            message += " Not the only one: any point from x to x + direction is as good."
        elif not report["unique"]:
            message += " It may not be the only one."
    elif limit:
        status = RobustStatus.LIMIT
        message = "The iteration limit was reached before a proof was found: raise max_iter."
    else:
        status = RobustStatus.STALLED
        message = "Rounding kept the proof from being completed: rescale A and b, or drop columns that nearly depend."
    return LadResult(report, success=certified, status=status, message=message)


def huber(A: Any, b: Any, delta: float = 1.345, *, scale: Any = "mad", max_iter: int = 200) -> RobustResult:
    """Huber's fit: squares up to ``delta * scale``, absolute values beyond, minimised exactly.

    ``robust_linear(A, b, 'huber', tuning=delta, scale=scale)``; see there.

    Parameters
    ----------
    A : array_like, shape (m, n)
        The matrix, real and finite, of any rank.
    b : array_like, shape (m,)
        Right-hand side.
    delta : float
        Where squares end, in units of `scale`. 1.345 has 95 % of the efficiency of least squares on normal errors.
    scale : float or 'mad'
        Standard deviation of the good residuals, or how to estimate it.
    max_iter : int
        Steps at most.

    Returns
    -------
    RobustResult

    Examples
    --------
    >>> from marquardt import huber
    >>> fit = huber([[1], [1], [1], [1]], [1, 2, 3, 100], 1.5, scale=1)
    >>> round(float(fit.x[0]), 12)
    2.5
    """
    return robust_linear(A, b, "huber", tuning=delta, scale=scale, max_iter=max_iter)


def robust_linear(
    A: Any,
    b: Any,
    loss: str = "huber",
    *,
    tuning: float | None = None,
    scale: Any = "mad",
    x0: Any = None,
    max_iter: int = 200,
) -> RobustResult:
    """Minimise ``sum(rho((b - A @ x) / (tuning * scale)))`` for a robust loss rho.

    Parameters
    ----------
    A : array_like, shape (m, n)
        The matrix, real and finite, of any rank.
    b : array_like, shape (m,)
        Right-hand side.
    loss : {'huber', 'soft_l1', 'cauchy', 'arctan', 'welsch', 'tukey'}
        'huber' and 'soft_l1' are convex: a first-order point is the minimum. The others give far residuals ever less
        weight ('tukey' none at all) and may have several local minima.
    tuning : float, optional
        Where the loss begins to differ from squares, in units of `scale`; by default where the estimate has 95 % of
        the efficiency of least squares on normal errors: 1.345, 1.2871, 2.3849, 2.5714, 2.9846, 4.6851.
    scale : float or 'mad'
        Standard deviation of the good residuals. 'mad' estimates it once, from the least absolute deviations fit: the
        median of its ``m - rank`` largest absolute residuals over 0.6745, the others being zero by construction.
    x0 : array_like, shape (n,), optional
        Where to start; by default least squares for a convex loss and least absolute deviations for the others, whose
        result depends on it.
    max_iter : int
        Newton or reweighted steps at most. Reaching it is reported by `status`, not raised.

    Returns
    -------
    RobustResult
        `success` only at a first-order point.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    References
    ----------
    P. J. Huber and E. M. Ronchetti, Robust Statistics, 2nd ed., 2009, chapter 7.

    Examples
    --------
    >>> from marquardt import robust_linear
    >>> fit = robust_linear([[1, 0], [1, 1], [1, 2], [1, 3]], [0, 1.1, 1.9, 30], "tukey", scale=0.1)
    >>> fit.weights[3].item()
    0.0
    """
    matrix, right = _system(A, b)
    _arguments.choice("loss", loss, tuple(_TUNING))
    factor = _TUNING[loss] if tuning is None else _positive("tuning", tuning)
    cap = min(_arguments.count("max_iter", max_iter, 0), 2**31 - 1)
    start = np.empty(0)
    if x0 is not None:
        start = _arguments.start(x0)
        if start.shape != (matrix.shape[1],):
            raise ValueError(f"x0 must have shape ({matrix.shape[1]},), got shape {start.shape}")
    absolute = None
    if isinstance(scale, str):
        _arguments.choice("scale", scale, ("mad",))
        absolute = lad(matrix, right)
        sigma = _deviation(absolute, _rounding(matrix, absolute["x"], right))
        if sigma == 0:
            return _exact_fit(absolute, _rounding(matrix, absolute["x"], right))
    else:
        sigma = _positive("scale", scale)
    if x0 is None and loss not in _CONVEX:
        start = (lad(matrix, right) if absolute is None else absolute)["x"]
    report = _core.robust_linear(matrix, right, loss, factor * sigma, start, cap)
    first_order, curved, limit = (report.pop(name) for name in ("first_order", "curved", "limit"))
    status, message = _verdict(first_order, curved, limit, loss)
    return RobustResult(
        report,
        scale=sigma,
        threshold=factor * sigma,
        local_minimum=curved,
        success=first_order,
        status=status,
        message=message,
    )


def _verdict(first_order: bool, curved: bool, limit: bool, loss: str) -> tuple[RobustStatus, str]:
    if first_order and loss in _CONVEX:
        more = "." if curved else "; others may be as good, as the Hessian is singular."
        return RobustStatus.FIRST_ORDER, "The minimum: the loss is convex and the gradient zero to rounding" + more
    if first_order:
        kind = "a local minimum" if curved else "a stationary point whose Hessian is not positive definite"
        return (
            RobustStatus.FIRST_ORDER,
            f"The gradient is zero to rounding: {kind}; with this loss others may be lower.",
        )
    if limit:
        return RobustStatus.LIMIT, "The iteration limit was reached: raise max_iter."
    return RobustStatus.STALLED, "Rounding kept the gradient from vanishing: rescale A and b, or raise `scale`."


def _rounding(A: NDArray[np.float64], x: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """What rounding may leave of each residual that should be zero."""
    level: NDArray[np.float64] = A.shape[0] * float(np.finfo(float).eps) * (np.abs(b) + np.abs(A) @ np.abs(x))
    return level


def _deviation(fit: LadResult, rounding: NDArray[np.float64]) -> float:
    """Spread of the residuals of a LAD fit; zero where most of them are rounding."""
    size = np.abs(fit["residuals"])
    largest = np.sort(np.where(size > rounding, size, 0.0))[fit["rank"] :]
    return float(np.median(largest)) / _NORMAL_MAD if largest.size else 0.0


def _exact_fit(fit: LadResult, rounding: NDArray[np.float64]) -> RobustResult:
    residuals = fit["residuals"]
    return RobustResult(
        x=fit["x"],
        residuals=residuals,
        weights=np.where(np.abs(residuals) <= rounding, 1.0, 0.0),
        cost=0.0,
        stationarity=0.0,
        rank=fit["rank"],
        nit=fit["nit"],
        scale=0.0,
        threshold=0.0,
        local_minimum=False,
        success=fit["success"],
        status=RobustStatus.EXACT_FIT if fit["success"] else fit["status"],
        message="Most rows are fitted exactly, so that the residuals have no scale: x is the least absolute deviations "
        "fit; give `scale` a number for any other."
        if fit["success"]
        else fit["message"],
    )


def _positive(name: str, value: Any) -> float:
    number = _arguments.number(name, value)
    if not 0 < number < np.inf:
        raise ValueError(f"{name} must be positive and finite, got {number}")
    return number


def _system(A: Any, b: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrix, right = _arguments.finite("A", A), _arguments.finite("b", b)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"A must have two dimensions and at least one entry, got shape {matrix.shape}")
    if right.shape != (matrix.shape[0],):
        raise ValueError(f"b must have shape ({matrix.shape[0]},) to go with A, got shape {right.shape}")
    return np.ascontiguousarray(matrix), right
