"""`lm_solve`: Levenberg-Marquardt on the damped normal equations, with exact box bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _arguments, _result
from ._minimise import Request, minimise, watch


def lm_solve(
    func: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    bounds: Any = None,
    ftol: float | None = 1e-6,
    xtol: float | None = 1e-6,
    gtol: float | None = 1e-6,
    max_nfev: int = 100,
    diag: Any = None,
    lambda0: float = 1e-3,
    log_level: int | str | None = None,
    *,
    jac: Any = "2-point",
    callback: Callable[..., Any] | None = None,
    vectorized: bool = False,
    outside: str = "move",
    max_time: float | None = None,
) -> _result.Result:
    """Minimise ``0.5 * ||func(x)||**2`` subject to ``lower <= x <= upper`` by Levenberg-Marquardt.

    Parameters
    ----------
    func : callable
        ``func(x, *args) -> residuals``: an array of any shape (it is flattened) or a scalar; with ``jac=True``
        ``(residuals, Jacobian)``.
    x0 : array_like, shape (n,)
        Start. Integers and booleans are promoted to float64.
    args : tuple
        Extra arguments of `func`, `jac` and `callback`.
    bounds : (lower, upper), optional
        Each a scalar, an array of shape (n,) or None for unbounded. ``lower == upper`` fixes a parameter.
    ftol, xtol, gtol : float or None, default 1e-6
        Tolerances on the relative fall of the cost, on the relative size of the step, and on the largest component
        of the projected gradient. None switches a test off. None of them alone makes a success: the point must
        look first-order to a measure without units as well.
    max_nfev : int, default 100
        Largest number of residual evaluations, those of differences not counted.
    diag : array_like, shape (n,), optional
        Scaling D of the damping ``lambda * D**2``: a large entry means small steps of that parameter. By default
        the running maximum of the Jacobian's column norms.
    lambda0 : float, default 1e-3
        First damping, relative to D**2.
    log_level : int or str, optional
        Level of the logger ``"marquardt"`` at which each accepted step is logged; None: silent.
    jac : callable, True, '2-point', '3-point' or 'cs', default '2-point'
        ``jac(x, *args) -> array of shape (m, n)`` in any layout; True if `func` returns both; or differences.
    callback : callable, optional
        ``callback(x, *args)`` after each accepted step; a true value or StopIteration stops the solve.
    vectorized : bool, default False
        `func` also accepts points stacked as rows, (k, n), and returns (k, m): differences then take one call.
    outside : {'move', 'raise'}
        What to do with an `x0` outside the bounds.
    max_time : float, optional
        Seconds after which the best point so far is returned.

    Returns
    -------
    Result
        With `fun` (the cost), `jac` (the gradient), `hess` (``J.T @ J``) and ``damping`` besides the fields of
        every result.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, before `func` is called; or for what `func` returns.

    Notes
    -----
    ``(J.T @ J + lambda * D**2) p = -g`` is solved by Cholesky; a step that leaves the box is replaced by the exact
    minimiser of the damped model in the box. Damping by the gain ratio [2]_, scaling after [1]_.

    References
    ----------
    .. [1] J. J. More, The Levenberg-Marquardt algorithm: implementation and theory, 1978.
    .. [2] H. B. Nielsen, Damping parameter in Marquardt's method, 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import lm_solve
    >>> def rosenbrock(x):
    ...     return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    >>> result = lm_solve(rosenbrock, [0.5, 0.5], bounds=([0, 0], [0.8, 2]))
    >>> result.success, result.x.round(6).tolist()
    (True, [0.8, 0.64])
    """
    x = _arguments.start(x0)
    lower, upper = _arguments.box(bounds, x.size)
    x, notes = _arguments.into_box(x, lower, upper, outside)
    extra = _arguments.extra(args)
    level = _logging_level(log_level)
    request = Request(
        fun=_arguments.function("func", func),
        jac=_arguments.jacobian(jac),
        args=extra,
        x0=x,
        lower=lower,
        upper=upper,
        method="levenberg_marquardt",
        subproblem="cholesky",
        scale=np.empty(0) if diag is None else _arguments.scale("diag", diag, x.size),
        vectorized=bool(vectorized),
        ravel=True,
        options={
            "ftol": _arguments.tolerance("ftol", ftol),
            "xtol": _arguments.tolerance("xtol", xtol),
            "gtol": _arguments.tolerance("gtol", gtol),
            "max_nfev": _arguments.count("max_nfev", max_nfev, 1),
            "lambda0": _arguments.number("lambda0", lambda0),
            "max_time": _arguments.seconds("max_time", max_time),
        },
        observe=watch(_arguments.callback("callback", callback), extra, None if level is None else _logged(level)),
        notes=notes,
    )
    return minimise(request, _finish)


def _finish(result: _result.Result, report: dict[str, Any]) -> _result.Result:
    result["damping"] = report.get("control", np.nan)
    result["fun"] = result["cost"]
    result["jac"] = result["grad"]
    result["hess"] = result["jacobian"].T @ result["jacobian"]
    return result


def _logging_level(level: int | str | None) -> int | None:
    if level is None:
        return None
    import logging  # only where it is asked for: the import costs a millisecond

    if isinstance(level, str):
        number = logging.getLevelName(level.upper())
        if not isinstance(number, int):
            raise ValueError(f"log_level must be None, a logging level or its name, got {level!r}")
        return number
    return _arguments.count("log_level", level, 0)


def _logged(level: int) -> Callable[[Any, Any], None]:
    import logging

    from . import _report

    logger = logging.getLogger("marquardt")
    logger.log(level, _report.progress_header())

    def show(now: Any, last: Any) -> None:
        if last is None or last.accepted:
            logger.log(level, _report.progress_row(now, last))

    return show
