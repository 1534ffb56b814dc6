"""The 27 NIST StRD problems as objects: observations, starts, certified answers, residual and Jacobian.

Each file under data/ lists, one item a line: the level of difficulty, both starts, the certified parameters,
their certified standard deviations, the certified residual sum of squares, then the observations (response
first). NIST certifies eleven significant digits, confirmed by two algorithms in 128-bit arithmetic.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .models import MODELS, Model

Array = NDArray[np.float64]

CERTIFIED_DIGITS = 11  # NIST prints eleven significant digits: agreement beyond that cannot be seen


@dataclass(frozen=True, eq=False)
class Problem:
    """One certified regression problem: minimise ||model(b) - y||^2 over the parameters b.

    Attributes
    ----------
    name : str
        NIST's name of the data set.
    level : str
        NIST's level of difficulty: "lower", "average" or "higher".
    starts : ndarray, shape (2, n)
        The two starting points; the second is nearer to the solution.
    certified : ndarray, shape (n,)
        Certified parameters.
    standard_deviation : ndarray, shape (n,)
        Certified standard deviations of the parameters.
    rss : float
        Certified residual sum of squares.
    x : ndarray, shape (m,) or (2, m)
        Predictor, or predictors row by row (Nelson).
    y : ndarray, shape (m,)
        Observed response; for Nelson its logarithm, which is what NIST's model describes.
    """

    name: str
    level: str
    starts: Array
    certified: Array
    standard_deviation: Array
    rss: float
    x: Array = field(repr=False)
    y: Array = field(repr=False)
    model: Model = field(repr=False)

    def residual(self, b: ArrayLike) -> Array:
        """Return model(b) - y; quietly infinite or NaN where the model is."""
        with np.errstate(all="ignore"):
            return self.model.value(self.x, *np.asarray(b)) - self.y

    def jacobian(self, b: ArrayLike) -> Array:
        """Return the m x n matrix of derivatives of the residual, column-contiguous."""
        with np.errstate(all="ignore"):
            return self.model.derivative(self.x, *np.asarray(b))


def names() -> tuple[str, ...]:
    """Return the names of the 27 problems in NIST's order, from lower to higher difficulty."""
    return tuple(MODELS)


@functools.cache
def load(name: str) -> Problem:
    """Return the problem of that name; its arrays are read-only and shared between callers."""
    if name not in MODELS:
        raise ValueError(f"no NIST problem is called {name!r}; the names are {', '.join(MODELS)}")
    text = (resources.files(__package__) / "data" / f"{name}.txt").read_text(encoding="ascii")
    head, _, body = text.partition("data ")
    items = [line.split() for line in head.splitlines()]
    numbers = {words[0]: _frozen(words[1:]) for words in items if words[0] not in ("level", "start")}
    y, *predictors = _frozen([line.split() for line in body.splitlines()[1:]]).T
    return Problem(
        name=name,
        level=next(words[1] for words in items if words[0] == "level"),
        starts=_frozen([words[1:] for words in items if words[0] == "start"]),
        certified=numbers["certified"],
        standard_deviation=numbers["deviation"],
        rss=float(numbers["rss"][0]),
        x=_frozen(predictors[0] if len(predictors) == 1 else predictors),
        y=_frozen(np.log(y) if name == "Nelson" else y),  # NIST models log[y] for Nelson, y for all others
        model=MODELS[name],
    )


def log_relative_error(b: ArrayLike, certified: ArrayLike) -> float:
    """Return the number of correct digits of the worst parameter.

    That is the least over the parameters of -log10(|b - c| / |c|), or of -log10|b| where c = 0; at most 11
    (all that NIST prints), and 0 where it would be negative or b is not finite.
    """
    b, c = np.asarray(b, dtype=float), np.asarray(certified, dtype=float)
    if b.shape != c.shape:
        raise ValueError(f"b has shape {b.shape} but certified has shape {c.shape}")
    if not np.all(np.isfinite(b)):
        return 0.0
    with np.errstate(over="ignore"):
        error = float(np.max(np.abs(b - c) / np.where(c == 0, 1.0, np.abs(c)), initial=0.0))
    smallest = 10.0**-CERTIFIED_DIGITS
    return max(0.0, float(-np.log10(max(error, smallest))))


def _frozen(values: Any) -> Array:
    """Return a contiguous read-only array of floats."""
    array = np.array(values, dtype=float)
    array.setflags(write=False)
    return array
