"""What several test modules share: one way to call every face, and measures that owe nothing to the library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from marquardt import Result, Status, lm_solve, lsqtr

Array = NDArray[Any]

EPS = float(np.finfo(float).eps)
TR_METHODS = ("svd", "cho", "qr")
TR_FACES = tuple(f"tr-{method}" for method in TR_METHODS)
FACES = ("lm", *TR_FACES)


def solve(
    face: str,
    fun: Callable[..., Any],
    x0: Any,
    jac: Any,
    *,
    bounds: Any = None,
    tolerance: float | None = 1e-6,
    max_nfev: int = 1000,
    **settings: Any,
) -> Result:
    """Call a face by its label, silently, with one tolerance for all tests (None: off) and one budget."""
    settings = {"ftol": tolerance, "xtol": tolerance, "gtol": tolerance, "bounds": bounds} | settings
    if face == "lm":
        return lm_solve(fun, x0, jac=jac, max_nfev=max_nfev, **settings)
    options = {"tr_method": face.removeprefix("tr-"), "max_nfev": max_nfev} | settings.pop("options", {})
    return lsqtr(fun, x0, jac, verbose=0, maxiter=max_nfev, options=options, **settings)


def ending(result: Result) -> Status:
    """How a solve ended, in the terms of all faces; lm_solve has names of its own."""
    status: Status = getattr(result.status, "general", result.status)
    return status


def passes(result: Result) -> Array:
    """One record for each trial: the history of all faces but lm_solve, whose history has one for each iterate."""
    records: Array = result.get("passes", result.history)
    return records


class Recorder:
    """A function that keeps a copy of every point it is called with."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.points: list[Array] = []

    def __call__(self, x: Array, *args: Any) -> Any:
        self.points.append(np.array(x))
        return self.function(x, *args)

    @property
    def calls(self) -> int:
        return len(self.points)


def rosenbrock(x: Array) -> Array:
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_jacobian(x: Array) -> Array:
    return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])


T = np.linspace(0, 4, 50)
DECAY = np.array([2.5, 1.3, 0.5])


def decay(p: Array) -> Array:
    """Return the residuals of a exp(-b t) + c against exact data."""
    return p[0] * np.exp(-p[1] * T) + p[2] - (DECAY[0] * np.exp(-DECAY[1] * T) + DECAY[2])


def decay_jacobian(p: Array) -> Array:
    e = np.exp(-p[1] * T)
    return np.stack([e, -p[0] * T * e, np.ones_like(T)], axis=1)


def decay_to(t: Array, y: Array) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return the residuals of a exp(-b t) + c against data of the caller's, and their Jacobian."""

    def fun(p: Array) -> Array:
        return p[0] * np.exp(-p[1] * t) + p[2] - y

    def jac(p: Array) -> Array:
        e = np.exp(-p[1] * t)
        return np.stack([e, -p[0] * t * e, np.ones_like(t)], axis=1)

    return fun, jac


@dataclass(frozen=True)
class FirstOrder:
    """How far a point is from first order, without units.

    With J's columns scaled to length 1, the full linear least-squares step p in the box, a variable at rest whose
    own best move would cross its wall: `gain` is sqrt(2 x what the linear model could still gain), and `noise` what
    rounding of the terms of r makes of it. `step` is the length of p, `size` that of x, in the same scaling.
    """

    gain: float
    norm_r: float
    noise: float
    step: float
    size: float


def first_order(J: Array, r: Array, x: Array, lower: ArrayLike, upper: ArrayLike, reach: ArrayLike = 0.0) -> FirstOrder:
    """Measure a point; `reach` is a size of each parameter that counts beside |x|."""
    lengths = np.linalg.norm(J, axis=0)
    g = J.T @ r
    room = np.where(g > 0, x - lower, upper - x)
    matters = (lengths > 0) & (np.asarray(lower) < upper)
    held = matters & (np.abs(g) >= np.where(matters, lengths, 1) ** 2 * room)
    free = matters & ~held
    squared = 2 * float(np.sum((np.abs(g) * np.where(held, room, 0))[held]))
    step = 0.0
    if free.any():
        u, s, _ = np.linalg.svd(J[:, free] / lengths[free], full_matrices=False)
        kept = s > 100 * EPS * s[0]
        along = u[:, kept].T @ r
        squared += float(along @ along)
        step = float(np.linalg.norm(along / s[kept]))
    size = np.maximum(np.abs(x), reach)
    terms = float(lengths @ np.abs(x))
    return FirstOrder(
        gain=float(np.sqrt(squared)),
        norm_r=float(np.linalg.norm(r)),
        noise=4 * EPS * (terms + float(np.linalg.norm(r))),
        step=step,
        size=float(np.linalg.norm(lengths * size)),
    )
