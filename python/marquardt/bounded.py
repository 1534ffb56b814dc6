"""`lsq_linear` and `nnls`: linear least squares in a box, exactly."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _report, _result
from ._isa import core as _core

_FLOAT = np.dtype(np.float64)
_BLOCK = 1 << 20  # entries of a sparse matrix made dense at a time: 8 MB


class BoundedStatus(IntEnum):
    """How a bounded linear fit ended. Positive: solved, with the numbers that SciPy's `lsq_linear` has for it."""

    UNCONSTRAINED = 3
    SOLVED = 1
    LIMIT = 0
    STALLED = -1


_SENTENCES = {
    BoundedStatus.UNCONSTRAINED: "No bound holds the solution: it is that of the problem without bounds.",
    BoundedStatus.SOLVED: "The first-order conditions hold to rounding.",
    BoundedStatus.LIMIT: "The iteration limit was reached: x is the best feasible point so far; raise the limit.",
    BoundedStatus.STALLED: "Rounding or overflow kept the first-order conditions from being met: rescale A, b and the "
    "bounds.",
}
_MANY = " Others fit as well: columns of A that the bounds leave loose depend on each other to rounding."
_ENDS = {  # faster than the call BoundedStatus(number)
    int(status): (status, text, text + _MANY if status > 0 else text) for status, text in _SENTENCES.items()
}


class BoundedResult(_result.Fields):
    """The outcome of a bounded linear fit. Fields are attributes and mapping items alike.

    With several right-hand sides, those given below by a shape have one more axis, and `cost`, `optimality`, `kkt`,
    `nit`, `rank` and `unique` are arrays of shape (k,).

    Attributes
    ----------
    x : ndarray, shape (n,)
        The solution. Held variables equal their bound to the last bit.
    cost : float
        ``0.5 * sum(fun**2)``.
    fun : ndarray, shape (m,)
        ``A @ x - b``.
    residuals : ndarray, shape (m,)
        ``b - A @ x``.
    grad : ndarray, shape (n,)
        ``A.T @ (A @ x - b)``.
    multipliers : ndarray, shape (n,)
        The multiplier of the bound that holds each variable, never negative, zero for free variables.
    active_mask : ndarray of int, shape (n,)
        -1 at the lower bound, +1 at the upper bound, 0 free.
    optimality : float
        The largest component of `grad` that breaks the first-order conditions.
    kkt : float
        The same without units: each component over ``norm(A[:, j]) * (norm(b) + sum(norm(A[:, i]) * abs(x[i])))``.
    nit : int
        Least-squares systems solved.
    rank : int
        Rank of the free columns of A.
    unique : bool
        True only if no other point is as good, to rounding.
    status : BoundedStatus
        How it ended; of several right-hand sides, the worst.
    success : bool
        True only if every `x` is a minimiser to rounding.
    message : str
        The same as a sentence; where it is not a success, what to do.
    statuses : ndarray of int, shape (k,)
        The status of each right-hand side; only where there are several.
    unbounded_sol : tuple
        The solution without bounds as `numpy.linalg.lstsq` returns it; computed when first asked for.
    """

    def __missing__(self, name: str) -> Any:
        if name != "unbounded_sol" or "_system" not in self.__dict__:
            raise KeyError(name)
        A, b = self.__dict__["_system"]
        value = np.linalg.lstsq(A, b, rcond=None)
        self[name] = value
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        if "_system" in self.__dict__:
            self["unbounded_sol"]
        return super().__reduce__()

    def __repr__(self) -> str:
        x = _report.brief_numbers(self["x"])
        return f"{type(self).__name__}({self['status'].name}, x={x}, kkt={np.max(self['kkt'], initial=0):.1e})"


class NnlsResult(BoundedResult):
    """The outcome of `nnls`: ``x, rnorm = nnls(A, b)``, and every field of a `BoundedResult` besides.

    Attributes
    ----------
    rnorm : float
        ``norm(A @ x - b)``.
    dual : ndarray, shape (n,)
        ``A.T @ (b - A @ x)``: zero where `x` is positive, not positive where `x` is zero.
    """

    def __iter__(self) -> Iterator[Any]:
        return iter((self["x"], self["rnorm"]))


def lsq_linear(
    A: Any,
    b: Any,
    bounds: Any = (-np.inf, np.inf),
    method: str = "trf",
    tol: float = 1e-10,
    lsq_solver: str | None = None,
    lsmr_tol: Any = None,
    max_iter: int | None = None,
    verbose: int = 0,
    *,
    lsmr_maxiter: int | None = None,
    x0: Any = None,
) -> BoundedResult:
    """Minimise ``0.5 * norm(A @ x - b)**2`` subject to ``lower <= x <= upper``, exactly.

    Parameters
    ----------
    A : array_like, shape (m, n), or SciPy sparse matrix
        The matrix, real and finite, of any shape and rank. The rows of a sparse one are reduced in blocks to n dense
        ones.
    b : array_like, shape (m,) or (m, k)
        Right-hand side, or one per column.
    bounds : pair of array_like, or an object with `lb` and `ub`
        Lower and upper bounds; a number counts for every variable, None and infinity mean no bound.
    method : {'trf', 'bvls', 'auto'}
        Accepted as SciPy's names are; all are the same exact method.
    tol, lsq_solver, lsmr_tol, lsmr_maxiter
        Accepted for calls written for SciPy. The answer is exact to rounding whatever they are.
    max_iter : int, optional
        How many bounds may change one by one, after the blocks that nearly always settle it; ``100 + 10 * n`` by
        default. Reaching it is reported by `status`, not raised.
    verbose : {0, 1, 2}
        1 and 2 print a summary.
    x0 : array_like, shape (n,) or (n, k), optional
        A guess, moved into the bounds. If it lies on the bounds that hold the solution, as the solution of a problem
        nearby does, a single system is solved.

    Returns
    -------
    BoundedResult

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Notes
    -----
    A few sweeps over the variables and block principal pivoting find the active set; its free variables are then
    solved by QR of their columns, and the first-order conditions are checked on A itself. Where these do not hold,
    bounds change one by one, as in bounded-variable least squares, on orthogonal factors that are updated: the
    residual falls from each set to the next, so none comes twice. Where free columns depend on each other to rounding
    the shortest `x` of that residual is taken, if it lies inside the bounds.

    References
    ----------
    C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, 1974, chapter 23.
    P. B. Stark and R. L. Parker, Bounded-variable least squares: an algorithm and applications, Computational
    Statistics 10 (1995) 129-141.

    Examples
    --------
    >>> from marquardt import lsq_linear
    >>> fit = lsq_linear([[2, 0], [0, 1]], [4, 3], bounds=(0, [1, 5]))
    >>> fit.x.tolist(), fit.active_mask.tolist(), fit.multipliers.tolist()
    ([1.0, 3.0], [1, 0], [4.0, 0.0])
    """
    _arguments.choice("method", method, ("trf", "bvls", "auto"))
    _arguments.tolerance("tol", tol)
    if lsq_solver is not None:
        _arguments.choice("lsq_solver", lsq_solver, ("exact", "lsmr"))
    if lsmr_tol is not None and lsmr_tol != "auto":
        _arguments.tolerance("lsmr_tol", lsmr_tol)
    if lsmr_maxiter is not None:
        _arguments.count("lsmr_maxiter", lsmr_maxiter, 1)
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1 or 2, got {verbose!r}")
    cap = None if max_iter is None else _arguments.count("max_iter", max_iter, 0)
    matrix, right = _system(A, b)
    n = matrix.shape[1]
    lower, upper = _arguments.box(bounds, n) if n else (np.empty(0), np.empty(0))
    result: BoundedResult | None = None
    if x0 is None:
        result = _core.bounded_plain(matrix, right, lower, upper, _limit(cap, n), BoundedResult, _ENDS)
    if result is None:
        result = BoundedResult()
        _solve(result, matrix, right, lower, upper, x0, cap)
    if verbose:
        print(f"{result['message']}\n{_summary(result)}")
    return result


def nnls(A: Any, b: Any, maxiter: int | None = None, *, atol: Any = None, x0: Any = None) -> NnlsResult:
    """Minimise ``norm(A @ x - b)`` subject to ``x >= 0``, exactly.

    Parameters
    ----------
    A : array_like, shape (m, n), or SciPy sparse matrix
        The matrix, real and finite, of any shape and rank.
    b : array_like, shape (m,) or (m, k)
        Right-hand side, or one per column.
    maxiter : int, optional
        How many variables may change sides one by one, after the blocks that nearly always settle it; ``100 + 10 * n``
        by default. Reaching it is reported by `status`, not raised.
    atol
        Accepted for calls written for SciPy; the answer is exact to rounding whatever it is.
    x0 : array_like, shape (n,) or (n, k), optional
        A guess. If its zeros are those of the solution, a single system is solved.

    Returns
    -------
    NnlsResult
        Unpacks as ``x, rnorm``.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    See Also
    --------
    lsq_linear : any bounds; describes the method.

    Examples
    --------
    >>> from marquardt import nnls
    >>> x, rnorm = nnls([[1, 0], [1, 0], [0, 1]], [2, 1, -1])
    >>> x.tolist(), round(rnorm, 12)
    ([1.5, 0.0], 1.224744871392)
    """
    cap = None if maxiter is None else _arguments.count("maxiter", maxiter, 0)
    if x0 is None and type(A) is np.ndarray and A.ndim == 2:
        plain: NnlsResult | None = _core.bounded_plain(A, b, None, None, _limit(cap, A.shape[1]), NnlsResult, _ENDS)
        if plain is not None:
            return plain
    matrix, right = _system(A, b)
    n = matrix.shape[1]
    result = NnlsResult()
    _solve(result, matrix, right, np.zeros(n), _arguments.filled(n, np.inf), x0, cap)
    result["rnorm"] = _length(result["cost"], result["fun"])
    result["dual"] = -result["grad"]
    return result


def _is_sparse(A: Any) -> bool:
    """Whether A is a SciPy sparse matrix or array; only where SciPy is already in use, so it is never imported."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(A))


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    """A float64 array in one of the two contiguous orders; the user's own where it is one already."""
    array = value if type(value) is np.ndarray and value.dtype == _FLOAT else _arguments.real(name, value)
    return array if array.flags.c_contiguous or array.flags.f_contiguous else np.ascontiguousarray(array)


def _system(A: Any, b: Any) -> tuple[Any, NDArray[np.float64]]:
    """A (dense, or sparse by rows) and b, checked against each other; dense ones not for NaN, which the core does."""
    if _is_sparse(A):
        if A.dtype.kind not in "fiub":
            raise TypeError(f"A must be real numbers, got a sparse matrix of {A.dtype}")
        matrix = A.tocsr().astype(np.float64)
        _arguments.finite("the entries of A", matrix.data)
        _arguments.finite("b", b)
    else:
        matrix = _numbers("A", A)
    if matrix.ndim != 2:
        raise ValueError(f"A must have two dimensions, got shape {matrix.shape}")
    right = _numbers("b", b)
    if right.ndim not in (1, 2) or right.shape[0] != matrix.shape[0]:
        raise ValueError(f"b must have shape ({matrix.shape[0]},) or ({matrix.shape[0]}, k), got shape {right.shape}")
    return matrix, right


def _guess(x0: Any, n: int, right: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if x0 is None:
        return None
    start = _numbers("x0", _arguments.finite("x0", x0))
    if start.shape != (n,) and not (right.ndim == 2 and start.shape == (n, right.shape[1])):
        more = f" or ({n}, {right.shape[1]})" if right.ndim == 2 else ""
        raise ValueError(f"x0 must have shape ({n},){more}, got shape {start.shape}")
    return start


def _limit(cap: int | None, n: int) -> int:
    return 100 + 10 * n if cap is None else min(cap, 2**31 - 1)


def _solve(
    result: Any,
    A: Any,
    b: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    x0: Any,
    cap: int | None,
) -> None:
    """Fill the result with everything but what is particular to a face."""
    n = A.shape[1]
    start = _guess(x0, n, b)
    rows, right = (A, b) if type(A) is np.ndarray else _triangle(A, b)
    report = _core.solve_bounded(rows, right, lower, upper, start, _limit(cap, n))
    if "culprit" in report:
        _arguments.finite(report["culprit"], rows if report["culprit"] == "A" else right)
    result.update(report)
    with np.errstate(over="ignore", invalid="ignore"):
        fun = A @ report["x"]
        fun -= b
        if b.ndim == 1:
            cost, worst, unique = 0.5 * float(fun.dot(fun)), report["status"], report["unique"]
        else:
            cost, unique = 0.5 * np.einsum("ij,ij->j", fun, fun), all(report["unique"])
            result["unique"] = np.array(report["unique"], dtype=bool)
            result["statuses"] = report["status"]
            worst = int(min(report["status"], default=BoundedStatus.UNCONSTRAINED))
    finite = math.isfinite(cost) if b.ndim == 1 else np.isfinite(cost).all()
    if worst > 0 and not finite and not np.isfinite(fun).all():
        worst = -1
    status, sentence, with_others = _ENDS[worst]
    result["cost"] = cost
    result["fun"] = fun
    result["residuals"] = -fun
    result["status"] = status
    result["success"] = worst > 0
    result["message"] = sentence if unique else with_others
    result.__dict__["_system"] = (rows, right)


def _triangle(A: Any, b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reduce the rows of a sparse matrix, a block of them dense at a time, to at most n.

    Columns are brought near size 1 by powers of two before and back after: exact, and no square overflows.
    """
    m, n = A.shape
    largest = abs(A).max(axis=0).toarray().reshape(-1) if m and n else np.zeros(n)
    exponents = np.frexp(largest)[1]
    sides = b if b.ndim == 2 else b[:, np.newaxis]
    shift = np.frexp(np.abs(sides).max(axis=0, initial=0))[1]
    R, z = np.empty((0, n)), np.empty((0, sides.shape[1]))
    step = max(n, _BLOCK // max(n, 1), 1)
    for top in range(0, m, step):
        block = np.ldexp(A[top : top + step].toarray(), -exponents)
        R, z = _core.fold_rows(block, np.ldexp(sides[top : top + step], -shift), R, z)
    z = np.ldexp(z, shift)
    return np.ldexp(R, exponents), z if b.ndim == 2 else z[:, 0]


def _length(cost: Any, fun: NDArray[np.float64]) -> Any:
    """Length of each column, also where its square over- or underflows."""
    if fun.ndim == 1 and 1e-270 < cost < math.inf:
        return math.sqrt(2 * cost)
    largest = np.abs(fun).max(axis=0, initial=0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    norms = np.linalg.norm(fun / scale, axis=0) * scale
    return float(norms) if fun.ndim == 1 else norms


def _summary(result: BoundedResult) -> str:
    cost, optimality, nit = (np.asarray(result[name]) for name in ("cost", "optimality", "nit"))
    return (
        f"Number of systems solved: {np.sum(nit)}, final cost {np.sum(cost):.4e}, "
        f"first-order optimality {np.max(optimality, initial=0):.2e}."
    )
