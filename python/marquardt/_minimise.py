"""The one function that calls the core's minimise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _result
from ._arguments import UNIT, Vector
from ._isa import core as _core

NO_SCALE: Vector = np.empty(0)
NO_STEP: Vector = np.empty(0)

Observe = Callable[[Vector, _core.Record, "_core.Record | None"], object]


class Request(NamedTuple):
    """A nonlinear problem with all arguments checked: those of the core, in its order, and what is to be noted."""

    fun: Callable[..., Any]
    jac: Any  # callable, True, or the name of a difference scheme
    x0: Vector
    lower: Vector
    upper: Vector
    method: str
    subproblem: str
    options: dict[str, Any]
    args: tuple[Any, ...] = ()
    scale: Vector = NO_SCALE  # D; empty: running maximum of column norms
    vectorized: bool = False
    ravel: bool = False  # residuals of any shape are flattened
    loss: str | Callable[..., Any] = "linear"
    f_scale: Vector = UNIT  # one entry, or one a residual
    diff_step: Vector = NO_STEP  # h_j / |x_j| of finite differences; empty: chosen by the core
    observe: Observe | None = None
    notes: Sequence[str] = ()

    def facts(self) -> tuple[Any, ...]:
        """What tells of the answer, without what tells how to find it, for another request."""
        jac = self.jac if isinstance(self.jac, str) else True
        return (None, jac, *self[2:-2], None, ())


Finish = Callable[[_result.Result, dict[str, Any]], _result.Result]


def minimise(request: Request, finish: Finish, kind: type[_result.Result] = _result.Result) -> _result.Result:
    """Run the core and dress what it reports, as a result of that kind.

    `finish` adds the face's own fields to the result, from what the core reports besides: control (the last lambda or
    Delta) and, with the option keep_iterates, v and iterates. An exception of the user's functions (Ctrl-C included)
    is raised again with the best point so far as its `partial_result`.
    """
    result = kind()
    aside, exception = _core.minimise(result, *request[:-1])
    _result.dress(result, aside["seconds"], request.notes)
    result = finish(result, aside)
    if exception is None:
        return result
    exception.partial_result = result  # type: ignore[attr-defined]
    raise exception


def moved(now: _core.Record, last: _core.Record | None) -> bool:
    """Whether an iteration lies between two passes: an accepted trial, or a move made outside the method's steps."""
    return last is not None and now.iteration > last.iteration


def watch(
    callback: Callable[..., Any] | None,
    args: tuple[Any, ...],
    show: Callable[[_core.Record, _core.Record | None], None] | None,
) -> Observe | None:
    """An observer of passes: `show` sees each, `callback(x, *args)` each that starts where x has moved.

    A true value from the callback, or StopIteration, stops the solve.
    """
    if callback is None and show is None:
        return None

    def observe(x: Vector, now: _core.Record, last: _core.Record | None) -> object:
        if show is not None:
            show(now, last)
        if callback is None or not moved(now, last):
            return False
        try:
            return callback(x, *args)
        except StopIteration:
            return True

    return observe
