"""What the user passed, as arrays; whatever does not fit is refused before any function of the user's is called.

Every refusal is one sentence: the argument, the rule, the value.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._isa import core as _core

Vector = NDArray[np.float64]

_DOUBLE = np.dtype(np.float64)
_PLAIN = (float, int)
SCHEMES = ("2-point", "3-point", "cs")
UNIT: Vector = np.ones(1)
UNBOUNDED = (-np.inf, np.inf)
LOSSES = ("linear", "soft_l1", "huber", "cauchy", "arctan", "welsch", "tukey")


def real(name: str, value: Any) -> NDArray[np.float64]:
    """Value as a float64 array of its own; integers and booleans are promoted."""
    if type(value) is np.ndarray and value.dtype is _DOUBLE:  # the usual case
        own: NDArray[np.float64] = value.copy()
        return own
    try:
        array = np.asarray(value)
        if array.dtype.kind in "fiub" or (array.dtype.kind == "O" and not any(v is None for v in array.flat)):
            return array.astype(np.float64)
    except (TypeError, ValueError):  # ragged, or objects that are not numbers
        pass
    raise TypeError(f"{name} must be real numbers, got {brief(value)}")


def _any(mask: NDArray[np.bool_]) -> bool:
    """Whether any entry is true; for a few entries counting takes a third of the time of mask.any()."""
    return bool(np.count_nonzero(mask))


def filled(n: int, value: float) -> Vector:
    """The value n times, in a third of the time of np.full."""
    x = np.empty(n)
    x.fill(value)
    return x


def _spread(array: NDArray[np.float64], n: int) -> Vector:
    """One number or n of them as shape (n,)."""
    return array.reshape(-1) if array.size == n else filled(n, array.item())


def brief(value: Any) -> str:
    """A value on one line of a message, shortened."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def all_finite(array: NDArray[np.float64]) -> bool:
    """Whether all entries are finite."""
    return _core.is_finite(array) or bool(np.isfinite(array).all())


def start(x0: Any, name: str = "x0") -> Vector:
    """The starting point as a vector of its own, shape (n,)."""
    usual = _core.finite_vector(x0)
    if usual is not None:
        return usual
    x = real(name, x0)
    if x.ndim > 1:
        raise ValueError(f"{name} must be a scalar or one-dimensional, got shape {x.shape}")
    x = x.reshape(-1)
    if x.size == 0:
        raise ValueError(f"{name} must have at least one parameter, got an empty array")
    if not all_finite(x):
        j = int(np.argmin(np.isfinite(x)))
        raise ValueError(f"{name} must be finite, got {name}[{j}] = {x[j]}")
    return x


def _side(name: str, value: Any, n: int, missing: float) -> Vector:
    if value is None:
        return filled(n, missing)
    if type(value) in _PLAIN and value == value:  # the usual case, a plain number, without detours
        return filled(n, value)
    side = real(name, value)
    if side.ndim > 1 or side.size not in (1, n):
        raise ValueError(f"{name} must be a scalar or have shape ({n},) as x0 has, got shape {side.shape}")
    if _any(np.isnan(side)):
        raise ValueError(f"{name} must not be NaN, got {brief(value)}")
    return _spread(side, n)


@functools.lru_cache(maxsize=16)  # few sizes are met at a time; each keeps two arrays
def everywhere(n: int) -> tuple[Vector, Vector]:
    """The box of an unbounded problem, which most are: making and checking it anew would cost 5 µs a solve."""
    sides = filled(n, -np.inf), filled(n, np.inf)
    for side in sides:
        side.flags.writeable = False
    return sides


def _open(value: Any, missing: float) -> bool:
    return value is None or (type(value) is float and value == missing)


def box(bounds: Any, n: int) -> tuple[Vector, Vector]:
    """Lower and upper bounds, shape (n,) each; None or a None side means unbounded."""
    if bounds is UNBOUNDED or bounds is None:  # the usual case
        return everywhere(n)
    if type(bounds) is not tuple and hasattr(bounds, "lb") and hasattr(bounds, "ub"):  # like scipy.optimize.Bounds
        bounds = (bounds.lb, bounds.ub)
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise ValueError(f"bounds must be a pair (lower, upper), got {brief(bounds)}") from None
    if _open(lower, -math.inf) and _open(upper, math.inf):
        return everywhere(n)
    if type(lower) in _PLAIN and type(upper) in _PLAIN and lower <= upper and lower < math.inf and upper > -math.inf:
        return filled(n, lower), filled(n, upper)  # the usual case, without detours
    lb = _side("the lower bound", lower, n, -np.inf)
    ub = _side("the upper bound", upper, n, np.inf)
    if _any(lb > ub):
        j = int(np.argmax(lb > ub))
        raise ValueError(f"each lower bound must be at most its upper bound, got {lb[j]} > {ub[j]} for parameter {j}")
    if not (all_finite(lb) and all_finite(ub)):
        nowhere = (lb == np.inf) | (ub == -np.inf)
        if _any(nowhere):
            j = int(np.argmax(nowhere))
            raise ValueError(f"bounds must leave room for finite numbers, got [{lb[j]}, {ub[j]}] for parameter {j}")
        if not _any(np.isfinite(lb) | np.isfinite(ub)):
            return everywhere(n)
    return lb, ub


def into_box(x0: Vector, lower: Vector, upper: Vector, outside: str, name: str = "x0") -> tuple[Vector, list[str]]:
    """x0 moved into the box, and a note that says so; or a refusal if the caller asked for one."""
    choice("outside", outside, ("move", "raise"))
    no_lower, no_upper = everywhere(x0.size)
    if lower is no_lower and upper is no_upper:
        return x0, []
    out = (x0 < lower) | (x0 > upper)
    if not _any(out):
        return x0, []
    j = int(np.argmax(out))
    where = f"{name}[{j}] = {x0[j]} is outside [{lower[j]}, {upper[j]}]"
    if outside == "raise":
        raise ValueError(f"{name} must lie within the bounds, but {where}")
    return np.clip(x0, lower, upper), [f"{name} was moved into the bounds: {where}"]


def finite(name: str, value: Any) -> NDArray[np.float64]:
    """A real array without NaN or infinity, any shape."""
    array = real(name, value)
    if not all_finite(array):
        where = ", ".join(str(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {name}[{where}] = {array[~np.isfinite(array)][0]}")
    return array


def scale(name: str, value: Any, n: int) -> Vector:
    """Positive finite scales, shape (n,)."""
    array = real(name, value)
    if array.ndim > 1 or array.size not in (1, n):
        raise ValueError(f"{name} must be a scalar or have shape ({n},) as x0 has, got shape {array.shape}")
    bad = np.flatnonzero(~((array.reshape(-1) > 0) & np.isfinite(array.reshape(-1))))
    if bad.size:
        raise ValueError(f"{name} must be positive and finite, got {array.reshape(-1)[bad[0]]}")
    return _spread(array, n)


def residual_scale(value: Any) -> Vector:
    """The scale of a loss: positive, one number or a vector with an entry for each residual."""
    if type(value) is float and value == 1:  # the usual case
        return UNIT
    array = np.atleast_1d(real("f_scale", value))
    return scale("f_scale", array, array.size)


def number(name: str, value: Any) -> float:
    """A real number."""
    if type(value) is float:
        return value
    if isinstance(value, (bool, np.bool_, str, bytes, complex, np.complexfloating)) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a number, got {brief(value)}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {brief(value)}") from None


def tolerance(name: str, value: Any) -> float:
    """A tolerance; None switches the test off."""
    if value is None:
        return 0.0
    if type(value) is float and 0 <= value < math.inf:  # the usual case
        return value
    tol = number(name, value)
    if not tol >= 0 or np.isinf(tol):
        raise ValueError(f"{name} must be None, zero or a positive finite number, got {tol}")
    return tol


def count(name: str, value: Any, least: int) -> int:
    """An integer that is at least `least`; an integral float is accepted."""
    if type(value) is int and value >= least:  # the usual case
        return value
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value}")
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {brief(value)}") from None
    if n < least:
        raise ValueError(f"{name} must be at least {least}, got {n}")
    return n


def seconds(name: str, value: Any) -> float:
    """A time limit; None means none."""
    if value is None:
        return np.inf
    limit = number(name, value)
    if not limit > 0:
        raise ValueError(f"{name} must be None or positive, got {limit}")
    return limit


def choice(name: str, value: Any, valid: Collection[str]) -> str:
    """One of the valid strings; a near miss is told which one it is near to."""
    if isinstance(value, str) and value in valid:
        return value
    listed = ", ".join(repr(v) for v in valid)
    raise ValueError(f"{name} must be one of {listed}, got {brief(value)}{near_miss(value, valid)}")


def near_miss(value: Any, valid: Iterable[str]) -> str:
    """For the end of a message: which valid name a wrong one is near to, if any."""
    import difflib  # costs an import more than most solves take, and only a misspelt name needs it

    near = difflib.get_close_matches(value, valid, n=1) if isinstance(value, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""


def callback(name: str, value: Any) -> Callable[..., Any] | None:
    """A callable or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable or None, got {brief(value)}")
    checked: Callable[..., Any] | None = value
    return checked


def function(name: str, value: Any) -> Callable[..., Any]:
    """A callable."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {brief(value)}")
    checked: Callable[..., Any] = value
    return checked


def jacobian(value: Any) -> Any:
    """A callable, True (fun returns residuals and Jacobian together), or the name of a difference scheme."""
    if value is True or callable(value):
        return value
    if isinstance(value, str):
        return choice("jac", value, SCHEMES)
    listed = ", ".join(repr(s) for s in SCHEMES)
    raise TypeError(f"jac must be callable, True or one of {listed}, got {brief(value)}")


def loss(value: Any) -> Any:
    """The name of a loss, or a callable as SciPy's: rho, rho' and rho'' of z, shape (3, m)."""
    return value if callable(value) else choice("loss", value, LOSSES)


def extra(args: Any) -> tuple[Any, ...]:
    """Extra arguments of the user's functions, as a tuple; a single object that is not a tuple is refused."""
    if not isinstance(args, (tuple, list)):
        raise TypeError(f"args must be a tuple, got {brief(args)}")
    return tuple(args)
