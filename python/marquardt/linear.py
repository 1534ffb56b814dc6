"""`lstsq`: linear least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _arguments, _core, _result

_METHODS = ("auto", "qr", "cod", "svd", "cholesky")


class LinearResult(_result.Fields):
    """The outcome of a linear fit. Fields are attributes and mapping items alike.

    Attributes
    ----------
    x : ndarray, shape (n,) or (n, k)
        The solution; of least norm where A does not determine it.
    residuals : ndarray, shape (m,) or (m, k)
        ``b - A @ x``.
    rank : int
        Numerical rank of A.
    condition : float
        Condition estimate of A with columns scaled to length 1; infinite if rank-deficient.
    singular_values : ndarray
        Singular values, for ``method='svd'``; empty otherwise.
    cost : float or ndarray, shape (k,)
        ``0.5 * sum(residuals**2)``.
    """

    def __repr__(self) -> str:
        return f"LinearResult(x of shape {np.shape(self['x'])}, rank={self['rank']}, condition={self['condition']:.3g})"


def lstsq(A: Any, b: Any, *, rcond: float | None = None, method: str = "auto") -> LinearResult:
    """Minimise ``||A @ x - b||``: tall, wide, square or rank-deficient; the minimum-norm x where many are as good.

    Parameters
    ----------
    A : array_like, shape (m, n)
        The matrix, real and finite.
    b : array_like, shape (m,) or (m, k)
        Right-hand side, or one per column.
    rcond : float, optional
        Directions whose pivot or singular value is below `rcond` times the largest count as undetermined;
        ``max(m, n) * 2.2e-16`` by default.
    method : {'auto', 'qr', 'cod', 'svd', 'cholesky'}
        'auto' is column-pivoted QR of the column-scaled matrix, so that units do not decide the rank, refined in
        extended precision, and the minimum-norm solution where that is rank-deficient. 'qr' gives a basic
        solution when rank-deficient, 'cod' and 'svd' the minimum-norm one.
        'cholesky' solves the normal equations: half the work, half the digits, full column rank only.

    Returns
    -------
    LinearResult

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit; for 'cholesky' also when A has no full column rank.

    References
    ----------
    G. H. Golub and C. F. Van Loan, Matrix Computations, 4th ed., chapter 5.

    Examples
    --------
    >>> from marquardt import lstsq
    >>> fit = lstsq([[2, 3], [4, -1], [2, 1]], [1, 2, 3])
    >>> [round(v * 31, 12) for v in fit.x.tolist()]
    [20.0, 4.0]
    """
    matrix = _arguments.finite("A", A)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"A must have two dimensions and at least one entry, got shape {matrix.shape}")
    right = _arguments.finite("b", b)
    if right.ndim not in (1, 2) or right.shape[0] != matrix.shape[0] or right.size == 0:
        raise ValueError(f"b must have shape ({matrix.shape[0]},) or ({matrix.shape[0]}, k), got shape {right.shape}")
    cutoff = -1.0 if rcond is None else _arguments.tolerance("rcond", rcond)
    _arguments.choice("method", method, _METHODS)
    columns = right if right.ndim == 2 else right[:, np.newaxis]
    report = _core.solve_linear(matrix, columns, cutoff, method)
    x, residuals = report["x"], report["residuals"]
    if right.ndim == 1:
        x, residuals = x[:, 0], residuals[:, 0]
    cost = 0.5 * np.sum(residuals**2, axis=0)
    return LinearResult(
        x=x,
        residuals=residuals,
        rank=report["rank"],
        condition=report["condition"],
        singular_values=report["singular_values"],
        cost=float(cost) if right.ndim == 1 else cost,
    )
