"""What `least_squares` and `curve_fit` share: from SciPy's arguments to a request, through the core, to a result."""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _compiled, _report, _result, _trees
from ._arguments import UNBOUNDED, UNIT, Vector
from ._isa import core as _core
from ._minimise import NO_SCALE, NO_STEP, Request, minimise, moved

METHOD_OF_AUTO = "auto"
METHOD_OF_DOGBOX = "dogbox"
SCHEME_OF_AUTO = "auto"

METHODS = {"auto": METHOD_OF_AUTO, "trf": "trust_region", "dogbox": METHOD_OF_DOGBOX, "lm": "trust_region"}
_TR_SOLVERS = ("exact", "lsmr")
_LSMR_OPTIONS = ("damp", "atol", "btol", "conlim", "maxiter", "show", "regularize")
_MAD_OF_NORMAL = 0.6744897501960817  # the median of |r| for standard normal r
_SETTLED = 0.01  # a scale known to 1 %: it cannot be estimated nearly as well from fewer than 10^4 residuals
_FITS = 10  # of estimating the scale; it converges linearly, mostly in three to five


class LeastSquaresStatus(IntEnum):
    """How a solve ended. Positive: a first-order point, success; anything else is none.

    The general `Status` with SciPy's numbers where SciPy has such an ending: 0 to 4 and -2.

    Attributes
    ----------
    message : str
        What happened and, where it is no success, what to do.
    success : bool
        Whether the first-order conditions hold.
    general : Status
        The same ending as other faces name it.
    """

    GRADIENT = 1
    COST = 2
    STEP = 3
    COST_AND_STEP = 4
    STATIONARY = 5
    ZERO_RESIDUAL = 6
    MAX_EVALUATIONS = 0
    MAX_ITERATIONS = -1
    STOPPED = -2
    # the other failures have the numbers of Status
    STALLED = -3
    PRECISION_LIMIT = -4
    NOT_FINITE_START = -5
    NOT_FINITE_JACOBIAN = -6
    TIME_LIMIT = -8
    DISTANCE_LIMIT = -9
    INTERRUPTED = -10
    FLAT = -11
    DAMPING_LIMIT = -12
    RADIUS_LIMIT = -13

    @property
    def message(self) -> str:
        """What happened and, where it is no success, what to do."""
        return _result.sentence(self.general)

    @property
    def success(self) -> bool:
        """Whether the first-order conditions hold."""
        return _result.succeeded(self.general)

    @property
    def general(self) -> _result.Status:
        """The same ending as other faces name it."""
        return _GENERAL[self]


_SPECIAL = {status: LeastSquaresStatus[status.name] for status in _result.Status}
_GENERAL = {special: general for general, special in _SPECIAL.items()}
_BY_NO_TOLERANCE = (LeastSquaresStatus.STATIONARY, LeastSquaresStatus.ZERO_RESIDUAL)


Complete = Callable[[_result.Result, Request], None]


class Start:
    """Where a solve starts: the flat vector, what its entries are called, the box, and how x0 is laid out."""

    __slots__ = ("lower", "names", "tree", "upper", "x")

    def __init__(
        self, x: Vector, names: tuple[str, ...], lower: Vector, upper: Vector, tree: _trees.Tree | None = None
    ) -> None:
        self.x = x
        self.names = names
        self.lower = lower
        self.upper = upper
        self.tree = tree


def solve(
    fun: Callable[..., Any],
    start: Start,
    *,
    jac: Any = "auto",
    method: str = "auto",
    ftol: float | None = None,
    xtol: float | None = None,
    gtol: float | None = None,
    x_scale: Any = None,
    loss: Any = "linear",
    f_scale: Any = 1.0,
    diff_step: Any = None,
    tr_solver: str | None = None,
    tr_options: Mapping[str, Any] | None = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    workers: Any = None,
    max_time: float | None = None,
    threads: int = 1,
    vectorized: bool = False,
    named: bool = False,
    kind: type[_result.Result] = _result.Result,
    complete: Complete | None = None,
) -> _result.Result:
    """Minimise 0.5 * ||fun(x)||^2, or a robust loss of fun(x), in a box. `least_squares` documents the arguments.

    `named`: the result shows the names of the parameters. `kind` and `complete` give it another form than
    that of `least_squares`.
    """
    x, tree = start.x, start.tree
    _check_printing(verbose)
    if tr_solver is not None or tr_options is not None:
        _check_subproblem(tr_solver, tr_options)
    if vectorized:
        _check_stacking(workers, tree)
    of_user, derivative = _arguments.function("fun", fun), jac
    if not (isinstance(jac, str) and jac == SCHEME_OF_AUTO):
        derivative = _arguments.jacobian(jac)
    if isinstance(of_user, _compiled.CompiledResidual):
        derivative = _compiled.derivative(of_user, derivative, derivative != SCHEME_OF_AUTO)
    if kwargs is not None:
        keywords = _keywords(kwargs)
        of_user, derivative = _bound(of_user, keywords), _bound(derivative, keywords)
    estimates_scale = isinstance(f_scale, str) and _asks_for_estimate(f_scale, loss)
    options = {
        "ftol": _arguments.tolerance("ftol", ftol),
        "xtol": _arguments.tolerance("xtol", xtol),
        "gtol": _arguments.tolerance("gtol", gtol),
        "max_nfev": 100 * x.size if max_nfev is None else _arguments.count("max_nfev", max_nfev, 1),
        "max_time": _arguments.seconds("max_time", max_time),
        "threads": _arguments.count("threads", threads, 1),
    }
    request = Request(  # by position, as keywords of a class take 1 us
        of_user if tree is None else _trees.flat(of_user, tree, derivative is True),
        derivative if tree is None else _trees.flat_jacobian(derivative, tree),
        x,
        start.lower,
        start.upper,
        METHODS[_arguments.choice("method", method, METHODS)],
        "auto",
        options,
        _arguments.extra(args) if args else (),
        NO_SCALE if x_scale is None else _scale(x_scale, x.size, tree),
        bool(vectorized),
        False,  # ravel: residuals of several dimensions are refused
        _arguments.loss(loss),
        UNIT if estimates_scale else _arguments.residual_scale(f_scale),
        NO_STEP if diff_step is None else _sizes("diff_step", diff_step, x.size, tree),
    )
    groups = None if jac_sparsity is None else _Groups(_pattern(jac_sparsity, x.size))
    face = _Face(request, of_user, start, named or tree is not None, groups, kind, complete)
    watched = _arguments.callback("callback", callback)
    if workers is None:
        result = face.run(face.request, watched, verbose == 2, estimates_scale)
    else:
        with _mapping(workers) as mapping:
            result = face.run(face.with_map(mapping), watched, verbose == 2, estimates_scale)
    if verbose:
        print(_closing(result))
    return result


class _Face:
    """What a request does not say: how the user sees x, and how residuals of many points are evaluated.

    Attributes
    ----------
    request : Request
        The problem with all evaluations in this process, and nobody watching.
    """

    __slots__ = ("_complete", "_flat", "_fun", "_groups", "_kind", "_named", "_start", "request")

    def __init__(
        self,
        request: Request,
        fun: Callable[..., Any],
        start: Start,
        named: bool,
        groups: _Groups | None,
        kind: type[_result.Result],
        complete: Complete | None,
    ) -> None:
        self._fun = fun
        self._flat = request.fun
        self._start = start
        self._named = named
        self._groups = groups if isinstance(request.jac, str) else None
        self._kind = kind
        self._complete = complete
        self.request = request
        if self._groups is not None:
            each = self._flat if request.vectorized else _EachPoint(self._flat, fun, start.tree, map)
            self.request = request._replace(fun=self._groups.of(each), vectorized=True)

    def with_map(self, mapping: Callable[..., Any]) -> Request:
        """The request with points of differences evaluated through a map."""
        if not isinstance(self.request.jac, str):
            return self.request
        each = _EachPoint(self._flat, self._fun, self._start.tree, mapping)
        fun = each if self._groups is None else self._groups.of(each)
        return self.request._replace(fun=fun, vectorized=True)

    def run(
        self, request: Request, callback: Callable[..., Any] | None, show: bool, estimates_scale: bool
    ) -> _result.Result:
        """Solve that request with somebody watching, if there is anybody."""
        if callback is not None or show:
            request = _watched(request, callback, show, self._start.tree)
        if estimates_scale:
            return _estimating_scale(request, self.finish, self._kind)
        return minimise(request, self.finish, self._kind)

    def finish(self, result: _result.Result, aside: dict[str, Any], solved: Request | None = None) -> _result.Result:
        """Put a result into the user's terms; `aside` is not needed, as the result has all that this face shows.

        `solved` is what the core was asked where it differs from the request.
        """
        status = _SPECIAL[result["status"]]
        if status in _BY_NO_TOLERANCE and result["optimality"] <= self.request.options["gtol"] > 0:
            status = LeastSquaresStatus.GRADIENT  # where the test of gtol holds too SciPy names the ending after it
            result["message"] = status.message
        result["status"] = status
        again = self.request
        if solved is not None:  # where f_scale is estimated
            again = again._replace(loss=solved.loss, f_scale=solved.f_scale)
        if self._groups is not None:
            result["nfev_differences"] = self._groups.evaluations
        if self._complete is not None:
            self._complete(result, again)
            return result
        names, tree, flat = self._start.names, self._start.tree, None
        if tree is not None:
            flat = result["x"]
            result["x"] = tree.unravel(flat)
        _result.attach(result, partial(_result.request_hooks, minimise, again, names, flat))
        if self._named:
            result["names"] = list(names)
        return result


# ------------------------------------------------------------------------------------------- reading arguments


def read_start(x0: Any, bounds: Any, fixed: Any, names: Any) -> Start:
    """How x0 is laid out, the start, its bounds and what the parameters are called."""
    usual = _core.finite_vector(x0)
    if usual is not None and bounds is UNBOUNDED and fixed is None and names is None:
        return Start(usual, default_names(usual.size), *_arguments.everywhere(usual.size))
    tree = _read_tree(x0) if usual is None else None
    if tree is None:
        x = _start(x0) if usual is None else usual
        lower, upper = _box(bounds, x.size)
    else:
        _, lower, upper, _ = tree.start(bounds, "move")  # whether x0 lies inside is asked when fixed values are in
        x = tree.x
    labels = _labels(names, tree, x.size)
    if fixed is not None:
        x, lower, upper = fix(fixed, labels, x, lower, upper)
    return Start(_inside(x, lower, upper, labels), labels, lower, upper, tree)


def _read_tree(x0: Any) -> _trees.Tree | None:
    """The layout of an x0 that is a tree; arrays of several dimensions are refused, as SciPy does."""
    if type(x0) is np.ndarray and x0.ndim <= 1:  # the usual case
        return None
    tree = _trees.read(x0)
    if tree is not None and (not tree.has_paths or (type(x0) in (list, tuple) and _is_matrix(x0))):
        raise ValueError(
            f"x0 must be a scalar, one-dimensional or a tree such as a dict, got shape {np.shape(x0)}: "
            "pass x0.ravel(), and reshape in fun"
        )
    return tree


def _is_matrix(items: Any) -> bool:
    """Whether nested lists hold nothing but numbers, in rows of the same length."""
    try:
        return np.asarray(items).dtype != object
    except ValueError:  # ragged
        return False


def _start(x0: Any) -> Vector:
    try:
        return _arguments.start(x0)
    except TypeError as error:
        raise _of_complex(x0, error) from None


def _of_complex(value: Any, error: TypeError) -> Exception:
    """The same refusal as a ValueError where the value is complex: SciPy's type for it."""
    return ValueError(str(error)) if np.iscomplexobj(value) else error


def _box(bounds: Any, n: int) -> tuple[Vector, Vector]:
    """As everywhere, but a list of one number for n parameters is a slip, as in SciPy; one number stands for all."""
    lower, upper = _arguments.box(bounds, n)
    own = type(bounds) is tuple or not hasattr(bounds, "lb")  # Bounds makes a list of one number of one itself
    if n > 1 and bounds is not None and own:
        for name, side in zip(("lower", "upper"), bounds, strict=True):
            if type(side) not in (float, int) and np.shape(side) == (1,):
                raise ValueError(f"the {name} bound must be a scalar or have shape ({n},) as x0 has, got shape (1,)")
    return lower, upper


@functools.lru_cache(maxsize=16)
def default_names(n: int) -> tuple[str, ...]:
    """p0, p1, ...: what parameters are called that have no names."""
    return tuple(f"p{j}" for j in range(n))


def _labels(names: Any, tree: _trees.Tree | None, n: int) -> tuple[str, ...]:
    """What each parameter is called."""
    if names is None:
        return default_names(n) if tree is None else tuple(tree.names)
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names must be a sequence of strings, got {_arguments.brief(names)}")
    if len(names) != n or len(set(names)) != n:
        raise ValueError(f"names must be {n} different strings, one a parameter, got {_arguments.brief(names)}")
    return tuple(names)


def fix(fixed: Any, labels: tuple[str, ...], x: Vector, lower: Vector, upper: Vector) -> tuple[Vector, Vector, Vector]:
    """Start and bounds in which some parameters have one value only."""
    if not isinstance(fixed, Mapping):
        raise TypeError(f"fixed must be a mapping from names or indices to values, got {_arguments.brief(fixed)}")
    x, lower, upper = x.copy(), lower.copy(), upper.copy()
    for key, given in fixed.items():
        where = _places(key, labels)
        value = _arguments.finite(f"fixed[{key!r}]", given).reshape(-1)
        if value.size not in (1, len(where)):
            raise ValueError(f"fixed[{key!r}] must be one number or {len(where)}, got {_arguments.brief(given)}")
        for j, v in zip(where, np.broadcast_to(value, len(where)), strict=True):
            if not lower[j] <= v <= upper[j]:
                raise ValueError(f"fixed[{key!r}] must lie within the bounds [{lower[j]}, {upper[j]}], got {v}")
            x[j] = lower[j] = upper[j] = v
    return x, lower, upper


def _places(key: Any, labels: tuple[str, ...]) -> list[int]:
    """Indices of the parameters that a key of `fixed` names: an index, a name, or a leaf of a tree as a whole."""
    n = len(labels)
    if isinstance(key, str):
        name = _trees.pretty(key)
        where = [j for j, label in enumerate(labels) if label == name or label.startswith((f"{name}[", f"{name}."))]
        if where:
            return where
        hint = _arguments.near_miss(name, labels)
        raise ValueError(f"fixed names a parameter {key!r} that is none of {', '.join(labels)}{hint}")
    try:
        j = operator.index(key)
    except TypeError:
        raise TypeError(f"fixed must name parameters by strings or indices, got {_arguments.brief(key)}") from None
    if not -n <= j < n:
        raise ValueError(f"fixed names parameter {j}, but there are {n}")
    return [j % n]


def _inside(x: Vector, lower: Vector, upper: Vector, labels: tuple[str, ...]) -> Vector:
    """The start, with parameters that have one value only at it; elsewhere outside the bounds it is refused."""
    if inside(x, lower, upper):
        return x
    out = (x < lower) | (x > upper)
    x = np.where(lower == upper, lower, x)
    out &= lower < upper
    if np.count_nonzero(out):
        j = int(np.argmax(out))
        raise ValueError(
            f"x0 must lie within the bounds, but x0[{j}] = {x[j]} ({labels[j]}) is outside [{lower[j]}, {upper[j]}]"
        )
    return x


def inside(x: Vector, lower: Vector, upper: Vector) -> bool:
    """Whether x lies in the box."""
    everywhere, _ = _arguments.everywhere(x.size)
    return lower is everywhere or np.count_nonzero(x < lower) + np.count_nonzero(x > upper) == 0


def _check_printing(verbose: Any) -> None:
    if type(verbose) is not int or verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1 or 2, got {_arguments.brief(verbose)}")


def _check_stacking(workers: Any, tree: _trees.Tree | None) -> None:
    if tree is not None:
        raise ValueError("vectorized needs a one-dimensional x0, as points are stacked as rows")
    if workers is not None:
        raise ValueError("workers and vectorized exclude each other: a vectorized fun takes all points in one call")


def _check_subproblem(tr_solver: str | None, tr_options: Mapping[str, Any] | None) -> None:
    if tr_solver is not None:
        _arguments.choice("tr_solver", tr_solver, _TR_SOLVERS)
    if tr_options is not None:
        if not isinstance(tr_options, Mapping):
            raise TypeError(f"tr_options must be a mapping or None, got {_arguments.brief(tr_options)}")
        for name in tr_options:
            if name not in _LSMR_OPTIONS:
                raise TypeError(f"unknown entry {name!r} of tr_options; the options are {', '.join(_LSMR_OPTIONS)}")
    if tr_solver == "lsmr":
        raise ValueError(
            "tr_solver='lsmr' is not implemented, as Jacobians are dense: leave tr_solver out for the exact solution"
        )


def _keywords(kwargs: Any) -> dict[str, Any]:
    if not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs must be a mapping or None, got {_arguments.brief(kwargs)}")
    return dict(kwargs)


def _sizes(name: str, value: Any, n: int, tree: _trees.Tree | None) -> Vector:
    """Positive numbers, one a parameter."""
    if tree is not None:
        return tree.scale(name, value)
    try:
        return _arguments.scale(name, value, n)
    except TypeError as error:
        raise _of_complex(value, error) from None


def _scale(x_scale: Any, n: int, tree: _trees.Tree | None) -> Vector:
    """D = 1 / x_scale; empty for 'jac'."""
    if isinstance(x_scale, str):
        _arguments.choice("x_scale", x_scale, ("jac",))
        return NO_SCALE
    return 1 / _sizes("x_scale", x_scale, n, tree)


def _asks_for_estimate(f_scale: str, loss: Any) -> bool:
    _arguments.choice("f_scale", f_scale, ("mad",))
    if isinstance(loss, str) and loss == "linear":
        raise ValueError("f_scale='mad' needs a robust loss: with loss='linear' f_scale has no effect")
    return True


def _pattern(jac_sparsity: Any, n: int) -> NDArray[np.bool_]:
    """Where the Jacobian may differ from zero, shape (m, n)."""
    dense = jac_sparsity.toarray() if hasattr(jac_sparsity, "toarray") else jac_sparsity
    pattern = np.atleast_2d(_arguments.real("jac_sparsity", dense))
    if pattern.ndim != 2 or pattern.shape[1] != n:
        raise ValueError(f"jac_sparsity must have shape (m, {n}), got shape {pattern.shape}")
    mask: NDArray[np.bool_] = pattern != 0
    return mask


# ------------------------------------------------------------------------------------------- the user's functions


def _bound(function: Any, keywords: dict[str, Any]) -> Any:
    """A function with its keyword arguments; what is no function as it is."""
    return partial(function, **keywords) if keywords and callable(function) else function


class _WithArguments:
    """A function with its further arguments; unlike a closure it can be sent to another process."""

    def __init__(self, fun: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._fun = fun
        self._args = args

    def __call__(self, x: Any) -> Any:
        return self._fun(x, *self._args)


class _EachPoint:
    """A function of one point, also of points stacked as rows: each of these is evaluated through a map."""

    def __init__(
        self, flat: Callable[..., Any], fun: Callable[..., Any], tree: _trees.Tree | None, mapping: Callable[..., Any]
    ) -> None:
        self._flat = flat
        self._fun = fun  # of the user's x: trees are taken apart here, so that only `fun` is sent away
        self._tree = tree
        self._map = mapping

    def __call__(self, x: NDArray[Any], *args: Any) -> Any:
        if x.ndim == 1:
            return self._flat(x, *args)
        points = list(x) if self._tree is None else [self._tree.unravel(row) for row in x]
        returned = self._map(_WithArguments(self._fun, args) if args else self._fun, points)
        return np.stack([np.atleast_1d(_trees.residuals(r)) for r in returned])


class _Groups:
    """Columns of a sparse Jacobian that share evaluations of differences, as no residual depends on two of a group.

    A. R. Curtis, M. J. D. Powell and J. K. Reid, On the estimation of sparse Jacobian matrices, 1974.

    Attributes
    ----------
    evaluations : int
        Points evaluated for differences so far.
    """

    def __init__(self, pattern: NDArray[np.bool_]) -> None:
        self._pattern = pattern
        self._group = self._grouped(pattern)
        self._x: Vector = np.empty(0)
        self._r: NDArray[Any] = np.empty(0)
        self.evaluations = 0

    @staticmethod
    def _grouped(pattern: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The group of each column: the first that has room, full columns first. -1: nothing depends on it."""
        group = np.full(pattern.shape[1], -1)
        taken: list[NDArray[np.bool_]] = []  # rows that a group's columns touch
        for j in np.argsort(-pattern.sum(axis=0), kind="stable"):
            column = pattern[:, j]
            if not column.any():
                continue
            group[j] = next((g for g, rows in enumerate(taken) if not np.any(rows & column)), len(taken))
            if group[j] == len(taken):
                taken.append(column.copy())
            else:
                taken[group[j]] |= column
        return group

    def of(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        """A function of stacked points that knows that those which differ in one parameter share evaluations."""

        def shared(x: NDArray[Any], *args: Any) -> Any:
            return self._one(fun, x, args) if x.ndim == 1 else self._stack(fun, x, args)

        return shared

    def _one(self, fun: Callable[..., Any], x: Vector, args: tuple[Any, ...]) -> Any:
        r = fun(x, *args)
        self._x, self._r = x.copy(), np.atleast_1d(r)
        if self._r.ndim == 1 and self._r.size != len(self._pattern):
            rows, n = self._pattern.shape
            raise ValueError(
                f"jac_sparsity must have shape ({self._r.size}, {n}) (residuals, parameters), got shape ({rows}, {n})"
            )
        return r

    def _stack(self, fun: Callable[..., Any], X: NDArray[Any], args: tuple[Any, ...]) -> Any:
        """Differences are taken around the last single point; any other points are evaluated one by one."""
        differs = self._x != X
        if np.any(differs.sum(axis=1) > 1):
            self.evaluations += len(X)
            return fun(X, *args)
        columns = np.where(differs.any(axis=1), differs.argmax(axis=1), -1)  # -1: a step lost in rounding
        points: dict[tuple[int, int], NDArray[Any]] = {}
        place: list[tuple[int, int] | None] = []  # of each row of X, the shared point that it is part of
        seen = np.zeros(X.shape[1], dtype=int)
        for row, j in zip(X, columns, strict=True):
            key = (int(self._group[j]), int(seen[j])) if j >= 0 and self._group[j] >= 0 else None
            place.append(key)
            if key is not None:
                seen[j] += 1
                points.setdefault(key, self._x.astype(X.dtype))[j] = row[j]
        R = np.repeat(self._r[np.newaxis], len(X), axis=0)
        if not points:
            return R
        self.evaluations += len(points)
        shared = dict(zip(points, np.asarray(fun(np.stack(list(points.values())), *args)), strict=True))
        R = R.astype(np.result_type(R, *shared.values()))
        for k, (key, j) in enumerate(zip(place, columns, strict=True)):
            if key is not None:
                R[k, self._pattern[:, j]] = shared[key][self._pattern[:, j]]
        return R


@contextlib.contextmanager
def _mapping(workers: Any) -> Iterator[Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]]:
    """What evaluates points of differences: the user's map, or one over as many processes as asked for."""
    if workers is None or callable(workers):
        yield workers or map
        return
    processes = (os.cpu_count() or 1) if workers == -1 else _arguments.count("workers", workers, 1)
    if processes == 1:
        yield map
        return
    from multiprocessing import Pool  # only where it is asked for

    with Pool(processes) as pool:
        yield pool.map


# ------------------------------------------------------------------------------------------- watching


def _watched(request: Request, callback: Callable[..., Any] | None, show: bool, tree: _trees.Tree | None) -> Request:
    """The request with an observer of its passes: `show` prints each, the callback sees each that has moved."""
    wants_result = callback is not None and _wants_result(callback)
    known: dict[bytes, Any] = {}  # residuals by x, of the evaluations since the last pass

    def observe(x: Vector, now: Any, last: Any) -> object:
        if show:
            if last is None:
                print(_report.progress_header())
            if last is None or moved(now, last):
                print(_report.progress_row(now, last))
        if callback is None or not moved(now, last):
            return False
        of_user = x if tree is None else tree.unravel(x)
        try:
            if wants_result:
                returned = callback(intermediate_result=_intermediate(of_user, known.get(x.tobytes()), now))
            else:
                returned = callback(of_user)
        except StopIteration:
            return True
        finally:
            known.clear()
        return isinstance(returned, (bool, np.bool_)) and bool(returned)  # a count of something is no wish to stop

    if not wants_result:
        return request._replace(observe=observe)
    fun, together = request.fun, request.jac is True

    def remembering(x: Vector, *args: Any) -> Any:
        returned = fun(x, *args)
        known[x.tobytes()] = returned[0] if together else returned
        return returned

    return request._replace(fun=remembering, observe=observe)


def _wants_result(callback: Callable[..., Any]) -> bool:
    """Whether a callback is one of ``callback(intermediate_result)``, told by the parameter's name as in SciPy."""
    try:
        return set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # a builtin without a signature
        return False


def _intermediate(x: Any, r: Any, now: Any) -> _result.Fields:
    return _result.Fields(
        x=x,
        fun=np.atleast_1d(r),
        cost=now.cost,
        nit=now.iteration,
        nfev=now.nfev,
        njev=now.njev,
        optimality=now.optimality,
    )


def _closing(result: _result.Result) -> str:
    """What `verbose=1` prints at the end: SciPy's two lines."""
    first = result["history"]["cost"][0] if len(result["history"]) else result["cost"]
    return (
        f"{result['message']}\n"
        f"Function evaluations {result['nfev']}, initial cost {first:.4e}, final cost {result['cost']:.4e}, "
        f"first-order optimality {result['optimality']:.2e}."
    )


# ------------------------------------------------------------------------------------------- results


def _estimating_scale(
    request: Request,
    finish: Callable[[_result.Result, dict[str, Any], Request], _result.Result],
    kind: type[_result.Result],
) -> _result.Result:
    """Minimise with the scale of the residuals estimated from themselves, again and again until it settles.

    The first fit has no loss, as there is no scale yet; it is likely to be too large then, and the loss too mild, which
    keeps the solutions of losses with many minima near the first fit's until the outliers stand out.
    """
    spent = dict.fromkeys(("nfev", "njev", "nit", "nfev_differences"), 0)
    begin = time.monotonic()
    last: dict[str, Any] = dict.fromkeys(("x", "residuals", "active_mask"))
    seconds: Any = (0.0, 0.0, 0.0)
    scale = 0.0
    asked = request._replace(loss="linear")

    def total(result: _result.Result, aside: dict[str, Any]) -> _result.Result:
        nonlocal seconds
        for name in spent:
            spent[name] += result[name]
            result[name] = spent[name]
        seconds = tuple(map(operator.add, seconds, aside["seconds"]))
        result.__dict__["_seconds"] = seconds
        for name in last:
            last[name] = result[name]  # flat, before `finish` puts it into the user's terms
        result["f_scale"] = scale
        return finish(result, aside, asked)

    fits = 0
    while True:
        fits += 1
        result = minimise(asked, total, kind)
        estimate = _estimate(last["residuals"], int(np.count_nonzero(last["active_mask"] == 0)))
        if estimate == 0:
            note = f"f_scale='mad' ended at {scale:.6g}: most residuals are zero and show no scale"
        elif abs(estimate - scale) <= _SETTLED * scale:
            note = f"f_scale='mad' settled at {scale:.6g} after {fits} fits"
        elif not result["success"] or fits == _FITS:
            note = f"f_scale='mad' had not settled after {fits} fits, the last with {scale:.6g}"
        else:
            note = None
        if note is not None:
            result["notes"].append(note)
            return result
        scale = estimate
        left = _left(request.options, spent["nfev"], time.monotonic() - begin)
        asked = request._replace(x0=last["x"], f_scale=np.array([scale]), options=left)


def _estimate(r: Vector, free: int) -> float:
    """The standard deviation of the good residuals, from the median absolute value of r over that of normal noise.

    That takes an outlier for no more than any other large residual. As many residuals as there are free parameters
    can be made zero by the fit and say nothing of the noise: the smallest are left out.
    """
    sizes = np.sort(np.abs(r))
    informative = sizes[free:]
    estimate = float(np.median(informative)) / _MAD_OF_NORMAL if informative.size else 0.0
    return estimate if estimate > np.finfo(float).eps * sizes[-1] else 0.0


def _left(options: dict[str, Any], nfev: int, seconds: float) -> dict[str, Any]:
    """What is left of the budget; a fit needs an evaluation and some time at least, to say that it has run out."""
    return options | {
        "max_nfev": max(options["max_nfev"] - nfev, 1),
        "max_time": max(options["max_time"] - seconds, np.finfo(float).tiny),
    }
