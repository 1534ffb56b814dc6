"""`lstsq`: linear least squares of any shape and rank, weighted, regularised, constrained, one or many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _result
from ._isa import core as _core

_METHODS = ("auto", "qr", "cod", "svd", "cholesky")
_SCALES = ("estimated", "known")
_NO_RIDGE = 0.0
_FULL_RANK = "A has full column rank: x is the one least-squares solution."
_NOISE = 1e-12  # an entry of the null space beside its largest, 1 or more: a thousand times the rounding of a triangle
_LARGE = 10_000  # numbers that are not worth another pass: 5 us
_LISTED = 3  # combinations spelled out in a message; a fourth adds nothing to what to do


class LinearResult(_result.Fields):
    """The outcome of a linear fit. Fields are attributes and mapping items alike.

    For stacks of matrices every field that belongs to one system has the stack's dimensions in front.

    Attributes
    ----------
    x : ndarray, shape (n,) or (n, k)
        The solution; of least norm (nearest to `x_prior`) where the data do not determine it.
    success : bool
        False only where a component of the solution is beyond the range of floating point numbers.
    message : str
        What was found: full rank, or which combinations of the variables are determined and which are not.
    residuals : ndarray, shape (m,) or (m, k)
        ``b - A @ x``, unweighted; None where the rows are gone (`RowAccumulator`).
    cost : float or ndarray, shape (k,)
        ``0.5 * sum(residuals**2)``; weighted by `weights` or `cov`.
    rank : int
        Directions of x that the equations determine, ridge and constraints included.
    condition : float
        Condition estimate of A with columns scaled to length 1; infinite if rank-deficient.
    singular_values : ndarray
        Singular values, for ``method='svd'``; empty otherwise.
    undetermined : tuple of str
        Names of the variables that other values would serve as well.
    null_space : ndarray, shape (n, n - rank), or None
        Steps of x that change no residual; None if there are none, or over 64.
    triangle : ndarray
        T with ``T.T @ T == A.T @ A`` after weights and ridge (and in the coordinates of `basis`): what `covariance`
        needs of A.
    basis : ndarray or None
        Under constraints: an orthonormal basis of the steps that they allow.
    ridge : float or None
        The ridge parameter, where cross-validation chose it.
    dof : float
        Degrees of freedom: rows less effective parameters.
    """

    def __repr__(self) -> str:
        x, rank = np.shape(self["x"]), np.max(self["rank"], initial=0)
        return f"LinearResult(x of shape {x}, rank={rank}, condition={np.max(self['condition'], initial=1.0):.3g})"

    def covariance(self, scale: str = "estimated") -> NDArray[Any]:
        """Covariance matrix of x, shape (n, n); one for each right-hand side, (k, n, n), if there are many.

        Parameters
        ----------
        scale : {'estimated', 'known'}
            'known': errors of b have variance 1, after `weights` or `cov`. 'estimated': their variance is taken from
            the residuals, ``2 * cost / dof``.

        Returns
        -------
        ndarray
            ``(A.T @ A)^-1`` times the variance. A variable that is not determined has infinite variance, and NaN
            beside it.

        Raises
        ------
        ValueError
            If the scale is to be estimated and there are no degrees of freedom.
        """
        unit = self._unit_covariance()
        variance = self.variance(scale)
        many = variance.ndim > np.ndim(self["dof"])
        return (unit[..., None, :, :] if many else unit) * variance[..., None, None]

    def variance(self, scale: str = "estimated") -> NDArray[np.float64]:
        """Return the variance of the errors of b: 1 if known, else ``2 * cost / dof``, one for each right-hand side."""
        _arguments.choice("scale", scale, _SCALES)
        dof, cost = np.asarray(self["dof"], dtype=float), np.asarray(self["cost"], dtype=float)
        if scale == "known":
            return np.ones(dof.shape)
        if not np.all(dof > 0):
            raise ValueError(
                f"scale='estimated' needs more rows than determined directions, got {np.min(dof, initial=0.0):.6g} "
                "degrees of freedom: pass scale='known'"
            )
        return np.asarray(2 * cost / (dof if cost.ndim == dof.ndim else dof[..., None]))

    def stderr(self, scale: str = "estimated") -> NDArray[np.float64]:
        """Return the standard errors of x: the roots of the covariance's diagonal, in the shape of x."""
        errors = np.sqrt(np.diagonal(self.covariance(scale), axis1=-2, axis2=-1).real)
        many = np.ndim(self["cost"]) > np.ndim(self["dof"])
        return np.asarray(np.swapaxes(errors, -1, -2) if many and scale == "estimated" else errors)

    def root(self) -> NDArray[np.float64]:
        """Return W with ``W @ W.T == (A.T @ A)^-1``, or the pseudo-inverse in A's scaled columns if rank-deficient.

        For complex systems that of the real one that acts alike on real parts above imaginary parts.
        """
        T, lengths, rank = self._scaled()
        if np.all(rank == T.shape[-1]) and T.shape[-2] == T.shape[-1]:
            root = np.linalg.inv(T) / lengths[..., :, None]
        else:
            _, s, vt = np.linalg.svd(T, full_matrices=False)
            kept = np.arange(s.shape[-1]) < rank[..., None]
            inverse = np.where(kept, 1 / np.where(kept, s, 1.0), 0.0)
            root = np.swapaxes(vt, -1, -2) * inverse[..., None, :] / lengths[..., :, None]
        return np.asarray(root if self["basis"] is None else self["basis"] @ root)

    def _scaled(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[Any]]:
        """Return the triangle with columns of length 1, their lengths and the rank."""
        T = self["triangle"]
        lengths = np.max(np.abs(T), axis=-2, initial=0.0)
        lengths = np.where(lengths > 0, lengths, 1.0)
        lengths = lengths * np.maximum(np.linalg.norm(T / lengths[..., None, :], axis=-2), 1.0)
        rank = np.asarray(self["rank"]) * (2 if np.iscomplexobj(self["x"]) else 1)
        if self["basis"] is not None:
            rank = rank - (self["basis"].shape[0] - T.shape[-1])
        return T / lengths[..., None, :], lengths, rank

    def _unit_covariance(self) -> NDArray[Any]:
        T, lengths, rank = self._scaled()
        root = self.root()
        covariance: NDArray[Any] = root @ np.swapaxes(root, -1, -2)
        if np.any(rank < T.shape[-1]):
            covariance = _mark_undetermined(covariance, T, lengths, rank, self["basis"])
        if np.iscomplexobj(self["x"]):
            half = covariance.shape[-1] // 2
            return covariance[..., :half, :half] + 1j * covariance[..., half:, :half]
        return covariance


def _mark_undetermined(C: Any, T: Any, lengths: Any, rank: Any, basis: Any) -> Any:
    """Infinite variances and NaN covariances for variables with a component in the null space."""
    vt = np.linalg.svd(T, full_matrices=True)[2]
    missing = np.arange(vt.shape[-2]) >= rank[..., None]
    steps = np.where(missing[..., None], vt, 0.0)
    if basis is not None:
        steps = (steps / lengths[..., None, :]) @ basis.T
        steps = steps / np.maximum(np.max(np.abs(steps), axis=-1, keepdims=True), np.finfo(float).tiny)
    free = np.max(np.abs(steps), axis=-2) > np.sqrt(_NOISE)
    C = np.where(free[..., :, None] | free[..., None, :], np.nan, C)
    diagonal = free[..., :, None] & np.eye(C.shape[-1], dtype=bool)
    return np.where(diagonal, np.inf, C)


def lstsq(
    A: Any,
    b: Any,
    *,
    rcond: float | None = None,
    weights: Any = None,
    cov: Any = None,
    ridge: Any = _NO_RIDGE,
    x_prior: Any = None,
    constraints: Any = None,
    method: str = "auto",
    names: Sequence[str] | None = None,
) -> LinearResult:
    """Minimise ``||A @ x - b||``: tall, wide, square or rank-deficient; the minimum-norm x where many are as good.

    Parameters
    ----------
    A : array_like, shape (m, n) or (..., m, n)
        The matrix, or a stack of them; real or complex, finite. Computed in double precision.
    b : array_like, shape (m,), (m, k), (..., m) or (..., m, k)
        Right-hand side, or one per column. With a stack of matrices, one dimension serves them all, as many
        dimensions as A has are columns, one less is a stack of vectors.
    rcond : float, optional
        Directions whose pivot or singular value is below `rcond` times the largest count as undetermined;
        ``max(m, n) * 2.2e-16`` by default.
    weights : array_like, shape (m,) or (..., m), optional
        How much each squared residual counts: minimises ``sum(weights * abs(A @ x - b)**2)``. For errors of known
        standard deviation s that is ``1 / s**2``.
    cov : array_like, shape (m, m) or (..., m, m), optional
        Covariance of the errors of b, positive definite: generalised least squares.
    ridge : float, array_like or 'gcv'
        Adds a penalty on the distance from `x_prior`: a number t adds ``t * sum((x - x_prior)**2)``, a vector of n
        numbers ``sum(t * (x - x_prior)**2)``, a matrix L of shape (p, n) ``sum((L @ (x - x_prior))**2)``. 'gcv' chooses
        the number by generalised cross-validation and reports it as ``ridge``.
    x_prior : array_like, shape (n,), optional
        What `ridge` pulls towards, and what x stays nearest to where the data do not determine it; 0 by default.
    constraints : pair (C, d), optional
        Equations ``C @ x == d`` to be met exactly: shapes (c, n) and (c,), or (c, k) for many right-hand sides.
    method : {'auto', 'qr', 'cod', 'svd', 'cholesky'}
        'auto' is QR of the column-scaled matrix, so that units do not decide the rank, refined in extended precision,
        and the minimum-norm solution where that is rank-deficient. 'qr' gives a basic solution when rank-deficient,
        'cod' and 'svd' the minimum-norm one, their rank that of the matrix as it stands.
        'cholesky' solves the normal equations: half the work, half the digits, full column rank only.
    names : sequence of str, optional
        Names of the variables for the message; ``x[0]``, ``x[1]``, ... by default.

    Returns
    -------
    LinearResult

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit; constraints that contradict each other, a `cov` that is not positive definite;
        for 'cholesky' also when A has no full column rank.

    References
    ----------
    G. H. Golub and C. F. Van Loan, Matrix Computations, 4th ed., chapters 5 and 6.
    A. Bjorck, Numerical Methods for Least Squares Problems, SIAM 1996.

    Examples
    --------
    >>> from marquardt import lstsq
    >>> fit = lstsq([[2, 3], [4, -1], [2, 1]], [1, 2, 3])
    >>> [round(v * 31, 12) for v in fit.x.tolist()]
    [20.0, 4.0]
    >>> print(lstsq([[1, 2, 5], [2, 4, 1], [3, 6, 1]], [1, 2, 3]).message)
    A has rank 2 for 3 variables: x is the shortest of many least-squares solutions. Determined is only x[1] + 0.5·x[0].
    """
    if (
        rcond is None
        and method == "auto"
        and weights is None
        and cov is None
        and ridge is _NO_RIDGE
        and x_prior is None
        and constraints is None
        and names is None
    ):
        plain: LinearResult | None = _core.lstsq_plain(A, b, LinearResult, _FULL_RANK)
        if plain is not None:
            return plain
    system = _System(A, b)
    system.weigh(weights, cov)
    system.regularise(ridge, x_prior)
    system.constrain(constraints)
    cutoff = -1.0 if rcond is None else _arguments.tolerance("rcond", rcond)
    _arguments.choice("method", method, _METHODS)
    return system.solve(cutoff, method, _labels(names, system.n))


def _labels(names: Sequence[str] | None, n: int) -> list[str]:
    if names is None:
        return [f"x[{j}]" for j in range(n)]
    if isinstance(names, str) or len(names) != n or not all(isinstance(name, str) for name in names):
        raise ValueError(f"names must be {n} strings, one for each column of A, got {names!r}")
    return list(names)


def _numbers(name: str, value: Any) -> NDArray[Any]:
    """Real or complex numbers, finite, as float64 or complex128; not copied where they are float64."""
    if type(value) is np.ndarray and value.dtype == np.float64:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.add.reduce(value, axis=None)):  # half the time of asking every number
                return value
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind != "c":
        return _arguments.finite(name, value)
    array = array.astype(np.complex128)
    if not np.isfinite(array).all():
        where = ", ".join(str(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {name}[{where}] = {array[~np.isfinite(array)][0]}")
    return array


def _stack(name: str, value: Any) -> NDArray[Any]:
    """As `_numbers`; a large array of float64 unchecked, because the core finds what is not finite in one pass less."""
    if type(value) is np.ndarray and value.dtype == np.float64 and value.size >= _LARGE:
        return value
    return _numbers(name, value)


def _stacked(A: NDArray[Any]) -> NDArray[np.float64]:
    """A matrix of complex numbers as the real one that acts alike on real parts above imaginary parts."""
    return np.concatenate(
        [np.concatenate([A.real, -A.imag], axis=-1), np.concatenate([A.imag, A.real], axis=-1)], axis=-2
    )


def _parts(b: NDArray[Any]) -> NDArray[np.float64]:
    return np.concatenate([b.real, b.imag], axis=-2)


class _System:
    """The arguments of `lstsq` as stacks of real matrices, and the way back."""

    def __init__(self, A: Any, b: Any) -> None:
        matrix, right = _stack("A", A), _stack("b", b)
        if matrix.ndim < 2:
            raise ValueError(f"A must have at least two dimensions, got shape {matrix.shape}")
        self.m, self.n = matrix.shape[-2:]
        self.lead = matrix.shape[:-2]
        self.vector = right.ndim == 1 or right.ndim == matrix.ndim - 1
        columns = right[..., None] if self.vector else right
        if columns.ndim not in (2, matrix.ndim) or columns.shape[-2] != self.m:
            m, stack = self.m, "..., " if self.lead else ""
            many = f"({m},), ({stack}{m}) or ({stack}{m}, k)" if stack else f"({m},) or ({m}, k)"
            raise ValueError(f"b must have shape {many} to go with A, got shape {right.shape}")
        self.k = columns.shape[-1]
        if columns.shape[:-2] not in ((), self.lead):
            raise ValueError(f"b must be stacked as A is, {self.lead}, got shape {right.shape}")
        columns = np.broadcast_to(columns, (*self.lead, self.m, self.k))
        self.complex = np.iscomplexobj(matrix) or np.iscomplexobj(right)
        self.A, self.b = self._flat(self._matrix(matrix)), self._flat(self._columns(columns))
        self.terms: dict[str, NDArray[np.float64] | None] = dict.fromkeys(
            ("weights", "covariance", "ridge", "prior", "constraints", "targets")
        )
        self.choose_ridge = False
        self.given = (matrix, right)

    def _matrix(self, A: NDArray[Any]) -> NDArray[np.float64]:
        return _stacked(A) if self.complex else A

    def _columns(self, b: NDArray[Any]) -> NDArray[np.float64]:
        return _parts(b) if self.complex else b

    def _flat(self, A: NDArray[Any]) -> NDArray[np.float64]:
        count = int(np.prod(A.shape[:-2], dtype=np.int64))
        return np.ascontiguousarray(A.reshape(count, *A.shape[-2:]))

    def _term(self, name: str, array: NDArray[Any], tail: tuple[int, ...], shown: str) -> None:
        if array.shape not in (tail, (*self.lead, *tail)):
            raise ValueError(f"{name} must have shape {shown} to go with A, got shape {array.shape}")

    def weigh(self, weights: Any, cov: Any) -> None:
        if weights is not None and cov is not None:
            raise ValueError("weights and cov exclude each other, got both: put the weights into cov")
        m = self.m
        if weights is not None:
            w = _arguments.finite("weights", weights)
            self._term("weights", w, (m,), f"({m},)")
            if w.size and np.min(w) < 0:
                raise ValueError(f"weights must not be negative, got {np.min(w)}")
            column = w[..., None]
            self.terms["weights"] = self._flat(np.concatenate([column, column], axis=-2) if self.complex else column)
        if cov is not None:
            v = _numbers("cov", cov)
            self._term("cov", v, (m, m), f"({m}, {m})")
            size = np.sqrt(np.abs(np.diagonal(v, axis1=-2, axis2=-1)))
            gap = np.abs(v - np.conj(np.swapaxes(v, -1, -2)))
            if np.any(gap > 1e-12 * size[..., :, None] * size[..., None, :]):
                raise ValueError(f"cov must be symmetric to rounding, got an asymmetry of {np.max(gap):.3g}")
            if np.iscomplexobj(v) and not self.complex:
                raise TypeError("cov must be real where A and b are")
            self.terms["covariance"] = self._flat(self._matrix(v))

    def regularise(self, ridge: Any, x_prior: Any) -> None:
        n, size = self.n, self.A.shape[-1]
        if isinstance(ridge, str):
            if ridge != "gcv":
                raise ValueError(f"ridge must be a number, a vector, a matrix or 'gcv', got {ridge!r}")
            self.choose_ridge = True
            self.terms["ridge"] = np.eye(size)[None]
        elif ridge is not _NO_RIDGE:
            t = _numbers("ridge", ridge)
            if t.ndim > 2 or t.shape[-1:] not in ((), (n,)) or t.size == 0:
                raise ValueError(f"ridge must be a number or have shape ({n},) or (p, {n}), got shape {t.shape}")
            if t.ndim < 2 and (np.iscomplexobj(t) or np.min(t) < 0):
                raise ValueError(f"ridge must be real and not negative, got {_arguments.brief(ridge)}")
            if t.ndim < 2 and np.any(t != 0):
                t = np.diag(np.sqrt(np.broadcast_to(t, (n,))))
            if t.ndim == 2:
                self.terms["ridge"] = np.ascontiguousarray(self._matrix(t)[None])
        if x_prior is not None:
            prior = _numbers("x_prior", x_prior)
            if prior.shape != (n,):
                raise ValueError(f"x_prior must have shape ({n},), got shape {prior.shape}")
            if np.iscomplexobj(prior) and not self.complex:
                raise TypeError("x_prior must be real where A and b are")
            self.terms["prior"] = np.ascontiguousarray(self._columns(prior[:, None])[None])

    def constrain(self, constraints: Any) -> None:
        if constraints is None:
            return
        if not isinstance(constraints, (tuple, list)) or len(constraints) != 2:
            raise ValueError(f"constraints must be a pair (C, d), got {_arguments.brief(constraints)}")
        C, d = _numbers("C of the constraints", constraints[0]), _numbers("d of the constraints", constraints[1])
        if C.ndim != 2 or C.shape[1] != self.n:
            raise ValueError(f"C of the constraints must have shape (c, {self.n}), got shape {C.shape}")
        c, k = C.shape[0], self.k
        if d.shape not in ((c,), (c, k)):
            raise ValueError(f"d of the constraints must have shape ({c},) or ({c}, {k}), got shape {d.shape}")
        if (np.iscomplexobj(C) or np.iscomplexobj(d)) and not self.complex:
            raise TypeError("constraints must be real where A and b are")
        if c > 0:
            targets = np.broadcast_to(d.reshape(c, -1), (c, k))
            self.terms["constraints"] = np.ascontiguousarray(self._matrix(C)[None])
            self.terms["targets"] = np.ascontiguousarray(self._columns(targets)[None])

    def solve(self, cutoff: float, method: str, labels: list[str]) -> LinearResult:
        report = self._report(cutoff, method)
        x, residuals, cost = self._back(report["x"]), self._back(report["residuals"]), report["cost"][..., 0]
        pair = 2 if self.complex else 1
        rank = -(-report["rank"].reshape(self.lead).astype(np.intp) // pair)
        cost = cost.reshape(*self.lead, self.k)
        finite = np.isfinite(x)
        sound = bool(finite.all())  # a tenth of the time of asking system by system
        success = np.ones(self.lead, dtype=bool) if sound else finite.all(axis=tuple(range(len(self.lead), x.ndim)))
        single = not self.lead
        constrained = self.terms["constraints"] is not None
        directions = report["null_space"][0] if single and report["null_space"].size else None
        undetermined, message = self._explain(rank, success, directions, labels)
        basis = report["basis"][0] if constrained and len(report["basis"]) else None

        def one(values: Any) -> Any:
            return values.item() if single else values

        return LinearResult(
            x=x,
            success=one(success),
            message=message,
            residuals=residuals,
            cost=one(cost[..., 0]) if self.vector else cost,
            rank=one(rank),
            condition=one(report["condition"].reshape(self.lead)),
            singular_values=report["singular_values"][..., 0].reshape(*self.lead, report["singular_values"].shape[1])[
                ..., ::pair
            ],
            undetermined=undetermined,
            null_space=None if self.complex else directions,
            triangle=report["triangle"].reshape(*self.lead, *report["triangle"].shape[1:]),
            basis=basis,
            ridge=one(report["ridge"].reshape(self.lead)) if self.choose_ridge else None,
            dof=one(report["dof"].reshape(self.lead) / pair),
        )

    def _report(self, cutoff: float, method: str) -> dict[str, NDArray[np.float64]]:
        A, b, t = self.A, self.b, self.terms
        if A.shape[0] == 0:  # no system: the shapes of one, none of its values
            one = _System(np.zeros(A.shape[1:]), np.zeros(b.shape[1:]))._report(cutoff, method)
            return {name: values[:0] for name, values in one.items()}
        terms = (t["weights"], t["covariance"], t["ridge"], t["prior"], t["constraints"], t["targets"])
        try:
            report: dict[str, NDArray[np.float64]] = _core.solve_linear(A, b, cutoff, method, *terms, self.choose_ridge)
        except ValueError:
            for name, array in zip(("A", "b"), self.given, strict=True):
                _numbers(name, array)  # says where it is not finite, if that was the matter
            raise
        return report

    def _back(self, parts: NDArray[np.float64]) -> NDArray[Any]:
        if self.complex:
            half = parts.shape[1] // 2
            parts = parts[:, :half] + 1j * parts[:, half:]
        array: NDArray[Any] = parts.reshape(*self.lead, *parts.shape[1:])
        return array[..., 0] if self.vector else array

    def _explain(self, rank: Any, success: Any, directions: Any, labels: list[str]) -> tuple[tuple[str, ...], str]:
        if not np.all(success):
            return (), "A component of the solution is beyond the range of floating point numbers: rescale A or b."
        short = rank < self.n
        if not np.any(short):
            constrained = self.terms["constraints"] is not None or self.terms["ridge"] is not None
            return (), "The equations determine x." if constrained else _FULL_RANK
        if self.lead:
            many = f"{np.count_nonzero(short)} of {short.size} matrices lack full column rank"
            return (), f"{many}: there x is the shortest of many solutions."
        what = "A has" if self.terms["constraints"] is None else "A and the constraints have"
        near = "shortest" if self.terms["prior"] is None else "nearest to x_prior"
        text = f"{what} rank {rank} for {self.n} variables: x is the {near} of many least-squares solutions."
        if directions is None:
            return (), text
        if self.complex:
            directions = np.abs(directions[: self.n]) + np.abs(directions[self.n :])
        names, details = _name_undetermined(directions, labels, spell=not self.complex)
        return names, f"{text} {details}"


def _name_undetermined(null_space: NDArray[Any], labels: list[str], spell: bool = True) -> tuple[tuple[str, ...], str]:
    """Names of the variables that a null space moves, and a sentence about the combinations that it leaves alone.

    A column of the null space that moves a variable of its own by 1 couples it to others; their sum with these
    coefficients is what the equations determine.
    """
    moves = np.abs(null_space) > _NOISE * np.max(np.abs(null_space), initial=0.0)
    touched = moves.any(axis=1)
    names = tuple(label for label, free in zip(labels, touched, strict=True) if free)
    own = (null_space == 1) & (np.count_nonzero(moves, axis=1) == 1)[:, None]
    free = [int(np.flatnonzero(own[:, i])[0]) if own[:, i].any() else -1 for i in range(null_space.shape[1])]
    if not spell or -1 in free or len(set(free)) < len(free):
        return names, f"Not determined: {_some(list(names))}."
    sums = []
    for p in np.flatnonzero(touched):
        if p not in free:
            terms = [_term(-null_space[p, i], labels[free[i]]) for i in np.flatnonzero(moves[p])]
            sums.append(labels[p] + "".join(terms))
    alone = [labels[f] for i, f in enumerate(free) if np.count_nonzero(moves[:, i]) == 1]
    details = []
    if sums:
        details.append(f"Determined {'is' if len(sums) == 1 else 'are'} only {_some(sums)}.")
    if alone:
        details.append(f"Nothing depends on {_some(alone)}.")
    return names, " ".join(details)


def _term(weight: float, label: str) -> str:
    sign, size = (" - " if weight < 0 else " + "), abs(weight)
    return sign + (label if abs(size - 1) < _NOISE else f"{size:.4g}·{label}")


def _some(items: list[str]) -> str:
    if len(items) <= _LISTED:
        return ", ".join(items)
    return f"{', '.join(items[:_LISTED])} and {len(items) - _LISTED} more"
