"""`curve_fit`: a model f(xdata, *parameters) fitted to data, with SciPy's arguments; its result unpacks as SciPy's."""

from __future__ import annotations

import functools
import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _nonlinear, _questions, _result, _trees
from ._arguments import UNBOUNDED, Vector
from ._isa import core as _core
from ._minimise import Request
from ._nonlinear import Start

_SETTINGS = (  # those of least_squares that make sense for a curve
    "callback",
    "diff_step",
    "f_scale",
    "ftol",
    "gtol",
    "jac_sparsity",
    "loss",
    "max_nfev",
    "max_time",
    "threads",
    "tr_options",
    "tr_solver",
    "verbose",
    "workers",
    "x_scale",
    "xtol",
)
_ALIASES = ("diag", "epsfcn", "maxfev")  # of SciPy's leastsq
_POLICIES = (None, "raise", "omit")
_VARARGS = 0x04  # the flag of a code object that takes *args
_NO_BOUNDS: Vector = np.empty(0)
_UNDETERMINED = "Covariance of the parameters could not be estimated"


class FitError(RuntimeError):
    """No fit was found. The best point so far is in `partial_result`."""

    partial_result: _result.Result


class FitWarning(UserWarning):
    """The fit ended where rounding or noise of the model hides whether it is the best one."""


class CovarianceWarning(UserWarning):
    """The data do not determine all parameters: the covariance is infinite."""


class CurveFit(_result.Result):
    """The outcome of a `curve_fit`: unpacks as ``popt, pcov``, and is a Result besides.

    With ``full_output=True`` it unpacks as ``popt, pcov, infodict, mesg, ier``. The fields are those of every Result,
    of which `residuals` and `jacobian` are weighted by `sigma`, and these.

    Attributes
    ----------
    popt : ndarray, shape (n,)
        The parameters, the same as `x`.
    pcov : ndarray, shape (n, n)
        Their covariance as SciPy defines it: of the linearised model without regard to bounds, times
        ``2 * cost / (m - n)`` unless `absolute_sigma`. Infinite, all of it, where a parameter is not determined;
        `covariance()` tells which. Rows and columns of fixed parameters are 0. Computed when it is first asked for.
    params : dict or tree
        The parameters by name; where `p0` was a tree, like it.
    infodict, mesg, ier : dict, str, int
        With ``full_output=True`` only: as SciPy's.
    """

    @property
    def popt(self) -> Vector:
        """The parameters."""
        x: Vector = self["x"]
        return x

    @property
    def pcov(self) -> NDArray[np.float64]:
        """The covariance of the parameters."""
        known: NDArray[np.float64] | None = self.__dict__.get("_known_pcov")
        if known is None:
            hooks = self._hooks
            request, absolute = hooks.request, hooks.absolute_sigma
            lower, upper = (_NO_BOUNDS, _NO_BOUNDS) if request is None else (request.lower, request.upper)
            J = self["jacobian"]
            known, finite = _core.curve_covariance(J, lower, upper, self._noise(), self["cost"], absolute)
            self.__dict__["_known_pcov"] = known
            if not finite:
                free = J.shape[1] if request is None else _free(lower, upper)
                self._warn(len(J) <= free and not absolute)
        return known

    @property
    def params(self) -> Any:
        """The parameters by name."""
        tree = self.get("params")
        return dict(zip(self.names, self["x"].tolist(), strict=True)) if tree is None else tree

    def __iter__(self) -> Iterator[Any]:
        return iter(self._as_tuple())

    if sys.version_info < (3, 12):  # slices have no hash: a dict refuses them before it asks __missing__

        def __getitem__(self, key: Any) -> Any:
            return self._as_tuple()[key] if type(key) is slice else super().__getitem__(key)

    def __missing__(self, key: Any) -> Any:
        """What is no item: places of the tuple that SciPy returns, and the fields that are computed when asked for."""
        if isinstance(key, (int, slice)):
            return self._as_tuple()[key]
        if key in ("popt", "pcov", "params"):
            # Not by getattr: an AttributeError inside would ask for the item again, and so on.
            return getattr(type(self), key).fget(self)
        raise KeyError(key)

    def _as_tuple(self) -> tuple[Any, ...]:
        if "infodict" in self:
            return self.popt, self.pcov, self["infodict"], self["mesg"], self["ier"]
        return self.popt, self.pcov

    def _noise(self) -> float:
        """Relative error of the Jacobian."""
        request, differences = self._hooks.request, self["nfev_differences"]
        if request is None:
            return _questions.noise_of(None, differences)
        return _questions.noise_of(request.jac, differences, request.diff_step)

    def _warn(self, saturated: bool) -> None:
        reason = "there are no more data than parameters, whose scatter is thus unknown"
        if not saturated:
            reason = "; ".join(self.undetermined) or "the data do not determine all parameters"
        # From here to the line that unpacks, through pcov, _as_tuple and __iter__, are as many calls as through _judge.
        warnings.warn(f"{_UNDETERMINED}: {reason}", _covariance_warning(), stacklevel=5)


class _Data(NamedTuple):
    xdata: Any
    ydata: NDArray[np.float64]  # any shape
    sigma: NDArray[np.float64] | None
    whitening: NDArray[np.float64] | None  # 1 / sigma, or a Cholesky factor


def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = UNBOUNDED,
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    fixed: Mapping[Any, float] | None = None,
    **kwargs: Any,
) -> CurveFit:
    """Fit ``f(xdata, *parameters)`` to `ydata` by least squares.

    Parameters
    ----------
    f : callable
        ``f(xdata, a, b, ...) -> values``, as many as `ydata` has. With ``jac=True`` ``(values, Jacobian)``.
    xdata : array_like or any object
        Handed to `f` as it is; lists and arrays of real numbers as float64.
    ydata : array_like
        The data, any shape.
    p0 : array_like, mapping or tree, optional
        Start. A mapping gives some parameters by name. Those not given start at 1, or within bounds: in the middle of
        two finite ones, at a distance of 1 from one. A tree (nested dict, dataclass, ...) for an `f` of one parameter
        is handed to it as a whole.
    sigma : scalar or array_like, optional
        Standard deviations of `ydata`, one or one each; or its covariance matrix, shape (m, m).
    absolute_sigma : bool, default False
        Whether `sigma` is meant in the units of `ydata`. If not, only its ratios count, and the covariance is scaled
        so that the reduced chi-square is 1.
    check_finite : bool, optional
        Whether NaN and infinity in the data are refused: yes, unless `nan_policy` is given.
    bounds : (lower, upper), or an object with `lb` and `ub`, or a mapping
        Each a scalar, an array of shape (n,) or None; a mapping has a pair for each named parameter.
        ``lower == upper`` fixes a parameter.
    method : {'trf', 'dogbox', 'lm'}, optional
        As in `least_squares`; the default is its 'auto'.
    jac : callable, True, '2-point', '3-point' or 'cs', optional
        ``jac(xdata, a, b, ...) -> array of shape (m, n)``, weighted by `sigma` here; True if `f` returns both; or
        a difference scheme.
    full_output : bool, default False
        Whether the result unpacks as five instead of two.
    nan_policy : {None, 'raise', 'omit'}
        Whether NaN in the data is an error, or such data are left out with their `xdata` and `sigma`. Masked entries
        of masked arrays count as NaN.
    fixed : mapping, optional
        Values of parameters to hold, by name or index.
    **kwargs
        Settings of `least_squares`: callback, diff_step, f_scale, ftol, gtol, jac_sparsity, loss, max_nfev, max_time,
        threads, tr_options, tr_solver, verbose, workers, x_scale, xtol; and those of SciPy's leastsq: maxfev
        (max_nfev), epsfcn (diff_step squared), diag (1 / x_scale).

    Returns
    -------
    CurveFit
        Unpacks as ``popt, pcov``; a Result with all its questions besides.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, before `f` is called; or for what `f` returns.
    FitError
        A RuntimeError: no fit was found; the best point so far is its `partial_result`.

    Warns
    -----
    CovarianceWarning
        Where the covariance is infinite. It is an OptimizeWarning too where SciPy has been imported.
    FitWarning
        Where noise or rounding of the model hides whether the fit is the best one.

    Notes
    -----
    Parameters are handed to `f` as numpy.float64. A fit that its `callback` stops is returned, without success.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import curve_fit
    >>> def decay(t, amount, rate, floor):
    ...     return amount * np.exp(-rate * t) + floor
    >>> t = np.linspace(0, 4, 50)
    >>> y = decay(t, 2.5, 1.3, 0.5) + 0.01 * np.cos(40 * t)
    >>> popt, pcov = curve_fit(decay, t, y)
    >>> popt.round(2).tolist()
    [2.5, 1.3, 0.5]
    >>> fit = curve_fit(decay, t, y, p0={"rate": 2}, fixed={"floor": 0.5})
    >>> {name: round(value, 2) for name, value in fit.params.items()}
    {'amount': 2.5, 'rate': 1.3, 'floor': 0.5}
    """
    _arguments.function("f", f)
    settings = _read_settings(kwargs) if kwargs else {}
    data = _read_data(xdata, ydata, sigma, check_finite, nan_policy)
    start = _read_start(f, p0, bounds, fixed)
    method = _read_method(method, start, data.ydata.size)
    result = _Fit(f, jac, data, start, method, bool(absolute_sigma), settings).solve(start, settings)
    if full_output:
        _add_output(result)
    _judge(result, start)
    return result


# ------------------------------------------------------------------------------------------------------ arguments


def _read_settings(given: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments as those of least_squares."""
    settings = {}
    for name, value in given.items():
        if name == "maxfev":
            settings["max_nfev"] = None if value == 0 else value  # leastsq: 0 asks for the default
        elif name == "epsfcn":
            settings["diff_step"] = None if value is None else math.sqrt(_arguments.number(name, value))
        elif name == "diag":
            settings["x_scale"] = None if value is None else 1 / _arguments.real(name, value)
        elif name in _SETTINGS:
            settings[name] = value
        elif name == "args":
            raise ValueError("args is no argument of curve_fit: bind extra arguments of f by functools.partial")
        else:
            known = (*_SETTINGS, *_ALIASES)
            hint = _arguments.near_miss(name, known)
            raise TypeError(f"curve_fit has no argument {name!r}{hint}; its settings are {', '.join(known)}")
    return settings


def _read_data(xdata: Any, ydata: Any, sigma: Any, check_finite: bool | None, nan_policy: str | None) -> _Data:
    if nan_policy is not None:
        _check_policy(nan_policy)
    x, usual = _numbers_if_any(xdata), _core.finite_vector(ydata)
    y = _arguments.real("ydata", _unmasked(ydata)) if usual is None else usual
    if y.size == 0:
        raise ValueError("ydata must not be empty")
    if check_finite or (check_finite is None and nan_policy is None):
        if usual is None:
            _require_finite("ydata", y)
        if isinstance(x, np.ndarray) and x.dtype == np.float64:
            _require_finite("xdata", x)
    scatter = None if sigma is None else _arguments.real("sigma", _unmasked(sigma))
    if nan_policy is not None:
        x, y, scatter = _without_nan(x, y, scatter, nan_policy)
    return _Data(x, y, scatter, None if scatter is None else _whitening(scatter, y))


def _check_policy(nan_policy: Any) -> None:
    if nan_policy == "propagate":
        raise ValueError("`nan_policy='propagate'` is not supported by this function.")
    if nan_policy not in _POLICIES:
        raise ValueError(f"nan_policy must be one of {{None, 'raise', 'omit'}}, got {_arguments.brief(nan_policy)}")


def _unmasked(values: Any) -> Any:
    """A masked array with NaN for its masked entries; anything else as it is."""
    if type(values) is np.ndarray or not isinstance(values, np.ma.MaskedArray):
        return values
    return np.ma.filled(values.astype(float), np.nan)


def _numbers_if_any(xdata: Any) -> Any:
    """Lists and arrays of real numbers in double precision; what else a model may take as it is."""
    if type(xdata) is np.ndarray and xdata.dtype == np.float64:
        return xdata
    if not isinstance(xdata, (list, tuple, np.ndarray)):
        return xdata
    try:
        array = np.asarray(_unmasked(xdata))
    except ValueError:  # ragged
        return xdata
    return array.astype(np.float64) if array.dtype.kind in "fiub" else xdata


def _require_finite(name: str, array: NDArray[np.float64]) -> None:
    if not _arguments.all_finite(array):
        raise ValueError(f"{_not_finite(name, array)}: pass nan_policy='omit' to leave such data out")


def _not_finite(name: str, array: NDArray[np.float64]) -> str:
    where = np.argwhere(~np.isfinite(array))[0]
    return f"{name} must be finite, got {name}[{', '.join(map(str, where))}] = {array[tuple(where)]}"


def _without_nan(
    x: Any, y: NDArray[np.float64], sigma: NDArray[np.float64] | None, policy: str
) -> tuple[Any, NDArray[np.float64], NDArray[np.float64] | None]:
    """The data without those that are NaN, in ydata or anywhere in their xdata, whose last axes are those of ydata."""
    numeric = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    bad = np.isnan(y)
    if policy == "raise":
        if bad.any() or (numeric and np.isnan(x).any()):
            raise ValueError("The input contains nan values: pass nan_policy='omit' to leave such data out")
        return x, y, sigma
    if (numeric and np.isnan(x).any()) or (bad.any() and x is not None):
        if not isinstance(x, np.ndarray) or x.shape[x.ndim - y.ndim :] != y.shape:
            raise ValueError(
                f"nan_policy='omit' needs xdata whose last axes are those of ydata, {y.shape}, "
                f"got {f'shape {x.shape}' if isinstance(x, np.ndarray) else _arguments.brief(x)}"
            )
        if numeric:
            bad |= np.isnan(x).any(axis=tuple(range(x.ndim - y.ndim)))
    if not bad.any():
        return x, y, sigma
    keep = ~bad
    if not keep.any():
        raise ValueError("nan_policy='omit' leaves no data: each of them is NaN in xdata or in ydata")
    if sigma is not None and sigma.size > 1:
        if sigma.ndim == 2 and y.ndim == 1 and sigma.shape == (y.size, y.size):
            sigma = sigma[np.ix_(keep, keep)]
        elif sigma.shape == y.shape:
            sigma = sigma[keep]
        else:
            flat = keep.reshape(-1)
            _check_sigma_shape(sigma, y)
            sigma = sigma[np.ix_(flat, flat)] if sigma.size > flat.size else sigma.reshape(-1)[flat]
    return (None if x is None else x[..., keep]), y[keep], sigma


def _check_sigma_shape(sigma: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    m = y.size
    if sigma.size != 1 and sigma.shape not in (y.shape, (m,), (m, m)) and m > 1:
        raise ValueError(
            f"`sigma` has incorrect shape: it must be a scalar, {m} numbers or ({m}, {m}), got {sigma.shape}"
        )


def _whitening(sigma: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / sigma, or the lower triangle L with L L' = sigma."""
    _check_sigma_shape(sigma, y)
    m = y.size
    if sigma.ndim == 2 and sigma.shape == (m, m) and sigma.shape != y.shape:
        return _factor(sigma)
    good = sigma > 0  # infinity is the weight 0
    if np.count_nonzero(good) < sigma.size:
        where = np.argwhere(~good)[0]
        label = f"sigma[{', '.join(map(str, where))}]" if where.size else "sigma"
        raise ValueError(f"sigma must be positive, got {label} = {sigma[tuple(where)]}")
    return 1.0 / sigma.reshape(-1)


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.count_nonzero(np.isfinite(covariance)) < covariance.size:
        raise ValueError(_not_finite("sigma", covariance))
    if not np.allclose(covariance, covariance.T, rtol=1e-10, atol=0):  # well above the rounding of products A A'
        i, j = np.unravel_index(np.argmax(np.abs(covariance - covariance.T)), covariance.shape)
        raise ValueError(
            "`sigma` must be symmetric as a covariance matrix is, "
            f"got sigma[{i}, {j}] = {covariance[i, j]} and sigma[{j}, {i}] = {covariance[j, i]}"
        )
    try:
        return np.linalg.cholesky(covariance).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        raise ValueError("`sigma` must be positive definite as a covariance matrix is") from None


def _read_method(method: str | None, start: Start, m: int) -> str:
    """The method, refused where SciPy's of that name would be at a loss."""
    chosen = "auto" if method is None else _arguments.choice("method", method, ("lm", "trf", "dogbox"))
    if chosen == "lm" and start.lower is not _arguments.everywhere(start.x.size)[0]:
        raise ValueError("method='lm' takes no bounds: leave method out, or use 'trf' or 'dogbox'")
    n = start.x.size
    if n > m > 1 and chosen in ("auto", "lm"):  # one datum may stand for as many as f returns
        free = _free(start.lower, start.upper)
        if free > m:
            raise TypeError(
                f"The number of func parameters={free} must not exceed the number of data points={m}: "
                "fix some, or ask for one of the many solutions by method='trf'"
            )
    return chosen


# ------------------------------------------------------------------------------------------------------ parameters


def _parameters(f: Callable[..., Any]) -> tuple[tuple[str, ...], bool]:
    """Names of the parameters of f beside xdata, and whether there may be more of them."""
    if type(f) is FunctionType and not f.__dict__ and not f.__code__.co_flags & _VARARGS:  # 20 times faster
        return f.__code__.co_varnames[1 : f.__code__.co_argcount], False
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # such as compiled functions
        return (), True
    names = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(names[1:]), any(p.kind is p.VAR_POSITIONAL for p in found)


def _free(lower: Vector, upper: Vector) -> int:
    """How many parameters the bounds leave any freedom."""
    unbounded = lower is _arguments.everywhere(lower.size)[0]
    return lower.size if unbounded else int(np.count_nonzero(lower < upper))


def _read_start(f: Callable[..., Any], p0: Any, bounds: Any, fixed: Mapping[Any, float] | None) -> Start:
    names, open_ended = _parameters(f)
    tree: _trees.Tree | None = None
    given = None if p0 is None else _core.finite_vector(p0)  # NaN: not given; the usual case is all numbers
    whole = given is not None  # whether all are given
    if given is not None:
        names = _names_for(given.size, names, open_ended)
    elif p0 is None:
        if not names:
            raise ValueError("Unable to determine number of fit parameters. Pass p0: the signature of f does not tell.")
    elif type(p0) is not np.ndarray and isinstance(p0, Mapping) and (len(names) != 1 or names[0] in p0):
        names, given = _named(p0, names, open_ended)
    else:
        tree = _trees.read(p0)
        given = _arguments.start(p0, "p0") if tree is None else tree.x
        names = _names_for(given.size, names, open_ended) if tree is None else tuple(tree.names)
        whole = True
    lower, upper = _read_bounds(bounds, names, tree)
    if fixed is not None:
        _, lower, upper = _nonlinear.fix(fixed, names, np.zeros(len(names)), lower, upper)
    if given is None:
        return Start(_middle(lower, upper), names, lower, upper, tree)
    if whole and _nonlinear.inside(given, lower, upper):
        return Start(given, names, lower, upper, tree)
    x = np.where(np.isnan(given) | (lower == upper), _middle(lower, upper), given)
    out = (x < lower) | (x > upper)
    if out.any():
        j = int(np.argmax(out))
        raise ValueError(
            f"Initial guess is outside of provided bounds: p0[{j}] = {x[j]} ({names[j]}) "
            f"must lie in [{lower[j]}, {upper[j]}]"
        )
    return Start(x, names, lower, upper, tree)


def _named(p0: Mapping[Any, Any], names: tuple[str, ...], open_ended: bool) -> tuple[tuple[str, ...], Vector]:
    """Parameters given by name: all names, and their values, NaN where none is given."""
    if open_ended:
        names += tuple(name for name in p0 if name not in names)
    given = _arguments.filled(len(names), np.nan)
    for name, value in p0.items():
        given[_index("p0", name, names)] = _arguments.finite(f"p0[{name!r}]", _arguments.number(f"p0[{name!r}]", value))
    if not names:
        raise ValueError("p0 must have at least one parameter, got an empty mapping")
    return names, given


def _index(argument: str, name: Any, names: tuple[str, ...]) -> int:
    if name in names:
        return names.index(name)
    hint = _arguments.near_miss(name, names)
    raise ValueError(f"{argument} names a parameter {name!r} that is none of {', '.join(names)}{hint}")


def _names_for(n: int, names: tuple[str, ...], open_ended: bool) -> tuple[str, ...]:
    """Names of the first n parameters; those of a signature that ends in *args have numbers."""
    if n <= len(names):
        return names[:n]
    if not open_ended:
        raise ValueError(f"p0 must have an entry a parameter, got {n} for the {len(names)} of f: {', '.join(names)}")
    return names + tuple(name for name in _nonlinear.default_names(n)[len(names) :])


def _read_bounds(bounds: Any, names: tuple[str, ...], tree: _trees.Tree | None) -> tuple[Vector, Vector]:
    if type(bounds) is tuple and tree is None:  # the usual case
        return _arguments.box(bounds, len(names))
    if tree is not None:
        _, lower, upper, _ = tree.start(bounds, "move")
        return lower, upper
    if isinstance(bounds, Mapping):
        sides = np.full(len(names), -np.inf), np.full(len(names), np.inf)
        for name, pair in bounds.items():
            j = _index("bounds", name, names)
            (sides[0][j],), (sides[1][j],) = _arguments.box(pair, 1)
        return _arguments.box(sides, len(names))
    return _arguments.box(bounds, len(names))


def _middle(lower: Vector, upper: Vector) -> Vector:
    """Where SciPy starts: 1, or in the middle of two bounds, or at a distance of 1 from one."""
    if lower is _arguments.everywhere(lower.size)[0]:
        return _arguments.filled(lower.size, 1.0)
    return np.array([_between(*sides) for sides in zip(lower.tolist(), upper.tolist(), strict=True)])


def _between(lower: float, upper: float) -> float:
    if lower > -math.inf:
        x = 0.5 * lower + 0.5 * upper if upper < math.inf else lower + 1
    else:
        x = upper - 1 if upper < math.inf else 1.0
    return min(max(x, lower), upper)  # the middle may be rounded out of a narrow interval


# ------------------------------------------------------------------------------------------------------ functions


class _Portable:
    """Residuals that can be sent to other processes, if `f` can."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __call__(self, p: Vector) -> Any:
        return _core.curve_residuals(*self._parts)(p)


def _functions(f: Callable[..., Any], jac: Any, data: _Data, tree: _trees.Tree | None, portable: bool) -> Any:
    """Residuals and what is to be their Jacobian, of the flat vector."""
    model, derivative = f, jac
    if tree is not None:
        model = _of_tree_together(f, tree) if jac is True else _of_tree(f, tree)
        derivative = _jacobian_of_tree(jac, tree) if callable(jac) else jac
    make = _Portable if portable else _core.curve_residuals
    residuals = make(model, data.xdata, data.ydata, data.whitening, jac is True)
    if jac is None:
        return residuals, "auto"
    if callable(jac):
        return residuals, _core.curve_jacobian(derivative, data.xdata, data.ydata, data.whitening)
    return residuals, jac


def _of_tree(f: Callable[..., Any], tree: _trees.Tree) -> Callable[..., Any]:
    return lambda x, *p: f(x, tree.unravel(np.array(p)))


def _jacobian_of_tree(jac: Callable[..., Any], tree: _trees.Tree) -> Callable[..., Any]:
    return lambda x, *p: tree.jacobian(jac(x, tree.unravel(np.array(p))))


def _of_tree_together(f: Callable[..., Any], tree: _trees.Tree) -> Callable[..., Any]:
    def both(x: Any, *p: Any) -> Any:
        returned = f(x, tree.unravel(np.array(p)))
        if not isinstance(returned, tuple) or len(returned) != 2:
            return returned  # refused where it is read
        values, J = returned
        return values, tree.jacobian(J)

    return both


# ------------------------------------------------------------------------------------------------------ result


class _Fit:
    """A fit, and what its result needs for further questions."""

    __slots__ = ("_absolute", "_data", "_f", "_jac", "_method", "_settings", "_start")

    def __init__(
        self,
        f: Callable[..., Any],
        jac: Any,
        data: _Data,
        start: Start,
        method: str,
        absolute_sigma: bool,
        settings: dict[str, Any],
    ) -> None:
        self._f = f
        self._jac = jac
        self._data = data
        self._start = start
        self._method = method
        self._absolute = absolute_sigma
        self._settings = settings

    def solve(self, start: Start, settings: dict[str, Any]) -> CurveFit:
        tree = start.tree
        residuals, jacobian = _functions(self._f, self._jac, self._data, tree, "workers" in settings)
        if tree is not None:  # f and its Jacobian see to it
            start = Start(start.x, start.names, start.lower, start.upper)
        result = _nonlinear.solve(
            residuals, start, jac=jacobian, method=self._method, kind=CurveFit, complete=self.complete, **settings
        )
        assert isinstance(result, CurveFit)
        return result

    def complete(self, result: _result.Result, request: Request) -> None:
        """What a CurveFit has besides the items of other results."""
        # The request's functions must not outlive the solve, see curve.cpp; questions do not need them.
        _result.attach(result, partial(self.hooks, request.facts()))
        if self._start.tree is not None:
            result["params"] = self._start.tree.unravel(result["x"])

    def hooks(self, facts: tuple[Any, ...]) -> _result.Hooks:
        """What the result needs for questions, from the facts of the request."""
        data = self._data
        known = (data.xdata, data.ydata, data.sigma, self._absolute)
        return _result.Hooks(self._start.names, self.refit, self.model, *known, request=Request._make(facts))

    def refit(self, held: Mapping[int, float], x: Vector) -> _result.Result:
        """The same data fitted again from x, with some parameters held."""
        names, tree = self._start.names, self._start.tree
        quiet = {name: value for name, value in self._settings.items() if name not in ("callback", "verbose")}
        x, lower, upper = _nonlinear.fix(held, names, x, self._start.lower, self._start.upper)
        return self.solve(Start(x, names, lower, upper, tree), quiet)

    def model(self, xdata: Any, p: Vector) -> Any:
        """The model's values for parameters in a vector."""
        tree = self._start.tree
        return self._f(xdata, *p) if tree is None else self._f(xdata, tree.unravel(p))


def _judge(result: CurveFit, start: Start) -> None:
    """Return in peace, or warn, or raise."""
    if result["success"]:
        n = _free(start.lower, start.upper)
        if result["rank"] < n or result["residuals"].size <= n:
            _ = result.pcov  # warns where it is infinite
        return
    ending = result["status"].name
    if ending == "STOPPED":
        return
    if ending == "PRECISION_LIMIT":
        warnings.warn(result["message"], FitWarning, stacklevel=3)
        return
    error = FitError(f"Optimal parameters not found: {result['message']}")
    error.partial_result = result
    raise error


def _add_output(result: CurveFit) -> None:
    """What SciPy returns besides with full_output."""
    J, r = result["jacobian"], result["residuals"]
    n = J.shape[1]
    Q, R = np.linalg.qr(J)
    fjac = np.zeros(J.shape[::-1])
    fjac[:, : R.shape[0]] = R.T
    result["infodict"] = {
        "nfev": result["nfev"] + result["nfev_differences"],
        "fvec": r,
        "fjac": fjac,
        "ipvt": np.arange(1, n + 1, dtype=np.int32),  # no pivoting; counted from 1 as in Fortran
        "qtf": Q.T @ r,
    }
    result["mesg"] = result["message"]
    ier = int(result["status"])
    result["ier"] = 1 if ier > 4 else ier  # 1 to 4 are SciPy's successes; 1 that of the gradient


def _covariance_warning() -> type[Warning]:
    """CovarianceWarning; where SciPy is imported one that is its OptimizeWarning too: filters of that still work."""
    scipys = getattr(sys.modules.get("scipy.optimize"), "OptimizeWarning", None)
    return CovarianceWarning if scipys is None else _both_warnings(scipys)


@functools.cache
def _both_warnings(scipys: type[Warning]) -> type[Warning]:
    return type("CovarianceWarning", (CovarianceWarning, scipys), {"__module__": __name__, "__doc__": scipys.__doc__})
