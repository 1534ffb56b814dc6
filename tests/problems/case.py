"""The one kind of entry of the problem registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .hard import HARD

Array = NDArray[Any]
Function = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Case:
    """A least-squares problem from one start: minimise 0.5 ||residual(x)||^2 for lower <= x <= upper.

    Attributes
    ----------
    name : str
        Unique, readable as a test id.
    residual, jacobian : callable
        Functions of x alone, quiet: overflow and bad arguments give inf and NaN, no warning. The residual
        accepts complex x, so that a complex step can check the Jacobian.
    x0 : ndarray
        The start; not always inside the bounds.
    lower, upper : ndarray
        Bounds, infinite where there are none.
    minimum : float
        The best known cost.
    solutions : tuple of ndarray
        Known minimisers, each with cost `minimum`; empty if none is known or none is finite.
    other_minima : tuple of float
        Costs at which a solver may rightly end too: local minima, and infima approached at infinity, where it
        need not claim success.
    digits : int
        Significant digits to which `minimum` and `solutions` are given.
    tags : frozenset of str
    """

    name: str
    residual: Function
    jacobian: Function
    x0: Array
    lower: Array
    upper: Array
    minimum: float
    solutions: tuple[Array, ...]
    tags: frozenset[str]
    other_minima: tuple[float, ...] = ()
    digits: int = 15

    def __str__(self) -> str:
        return self.name

    @property
    def bounded(self) -> bool:
        """Whether any bound is finite."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def cost(self, x: ArrayLike) -> float:
        """Return 0.5 ||residual(x)||^2; infinite if it overflows."""
        r = np.asarray(self.residual(np.asarray(x)))
        with np.errstate(over="ignore"):
            return float(0.5 * (r @ r))

    def nearest_minimum(self, cost: float) -> float:
        """Return the one of the known minima nearest to a cost."""
        return min((self.minimum, *self.other_minima), key=lambda known: abs(known - cost))


def make_case(
    name: str,
    residual: Function,
    jacobian: Function,
    x0: ArrayLike,
    minimum: float,
    solutions: Iterable[ArrayLike] = (),
    *,
    lower: ArrayLike = -np.inf,
    upper: ArrayLike = np.inf,
    other_minima: Iterable[float] = (),
    digits: int = 15,
    tags: Iterable[str] = (),
) -> Case:
    """Build a case: bounds broadcast to the shape of x0, functions quiet, arrays read-only."""
    start = _frozen(x0)
    return Case(
        name=name,
        residual=quiet(residual),
        jacobian=quiet(jacobian),
        x0=start,
        lower=_frozen(np.broadcast_to(lower, start.shape)),
        upper=_frozen(np.broadcast_to(upper, start.shape)),
        minimum=float(minimum),
        solutions=tuple(_frozen(solution) for solution in solutions),
        tags=frozenset([*tags, "hard"] if name in HARD else tags),
        other_minima=tuple(float(cost) for cost in other_minima),
        digits=digits,
    )


def quiet(function: Function) -> Function:
    """Return the function with NumPy's floating-point warnings off and its argument as an array."""

    def call(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(np.asarray(x))

    return call


def _frozen(values: ArrayLike) -> Array:
    array = np.array(values, dtype=float)
    array.setflags(write=False)
    return array
