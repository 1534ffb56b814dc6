"""The one function that calls the core's minimise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _core, _result
from ._arguments import Vector


@dataclass(frozen=True)
class Request:
    """A nonlinear problem with all arguments checked."""

    fun: Callable[..., Any]
    jac: Any  # callable, True, or the name of a difference scheme
    x0: Vector
    lower: Vector
    upper: Vector
    method: str
    subproblem: str
    args: tuple[Any, ...] = ()
    scale: Vector = field(default_factory=lambda: np.empty(0))  # D; empty: running maximum of column norms
    vectorized: bool = False
    ravel: bool = False  # residuals of any shape are flattened
    options: dict[str, Any] = field(default_factory=dict)
    observe: Callable[[Vector, _core.Record, _core.Record | None], object] | None = None
    notes: list[str] = field(default_factory=list)


def minimise(request: Request, finish: Callable[[_result.Result, dict[str, Any]], _result.Result]) -> _result.Result:
    """Run the core and dress what it reports.

    `finish` adds the face's own fields to the result, from the core's plain report. An exception of the user's
    functions (Ctrl-C included) is raised again with the best point so far as its `partial_result`.
    """
    report, exception = _core.minimise(
        fun=request.fun,
        jac=request.jac,
        args=request.args,
        vectorized=request.vectorized,
        ravel=request.ravel,
        x0=request.x0,
        lower=request.lower,
        upper=request.upper,
        method=request.method,
        subproblem=request.subproblem,
        scale=request.scale,
        options=request.options,
        observe=request.observe,
    )
    result = finish(_result.dress(report, request.notes), report)
    if exception is None:
        return result
    exception.partial_result = result  # type: ignore[attr-defined]
    raise exception


def watch(
    callback: Callable[..., Any] | None,
    args: tuple[Any, ...],
    show: Callable[[_core.Record, _core.Record | None], None] | None,
) -> Callable[[Vector, _core.Record, _core.Record | None], object] | None:
    """An observer of passes: `show` sees each, `callback(x, *args)` each accepted step.

    A true value from the callback, or StopIteration, stops the solve.
    """
    if callback is None and show is None:
        return None

    def observe(x: Vector, now: _core.Record, last: _core.Record | None) -> object:
        if show is not None:
            show(now, last)
        if callback is None or last is None or not last.accepted:
            return False
        try:
            return callback(x, *args)
        except StopIteration:
            return True

    return observe
