"""`lsqtr`: trust-region least squares with SVD, Cholesky, QR or automatic subproblem solves, bounds and scaling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from . import _arguments, _compiled, _report, _result
from ._arguments import UNBOUNDED
from ._minimise import NO_SCALE, Request, minimise, moved, watch

_TR_METHODS = {"svd": "svd", "cho": "cholesky", "qr": "qr", "auto": "auto"}
_RADIUS_RULES = ("scipy", "conngould", "mix")
_OPTION_NAMES = (
    "max_nfev",
    "max_dx",
    "initial_trust_radius",
    "initial_trust_ratio",
    "max_trust_radius",
    "min_trust_radius",
    "tr_increase_threshold",
    "tr_decrease_threshold",
    "tr_increase_ratio",
    "tr_decrease_ratio",
    "tr_method",
)


def lsqtr(
    fun: Callable[..., Any],
    x0: Any,
    jac: Any,
    bounds: Any = UNBOUNDED,
    args: tuple[Any, ...] = (),
    x_scale: Any = "jac",
    ftol: float | None = 1e-6,
    xtol: float | None = 1e-6,
    gtol: float | None = 1e-6,
    verbose: int = 1,
    maxiter: int | None = None,
    callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    loss: str | Callable[..., Any] = "linear",
    f_scale: Any = 1.0,
    vectorized: bool = False,
    outside: str = "move",
    max_time: float | None = None,
    threads: int = 1,
) -> _result.Result:
    """Minimise ``0.5 * ||fun(x)||**2`` subject to ``lower <= x <= upper`` by a trust-region method.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> residuals``, shape (m,); with ``jac=True`` ``(residuals, Jacobian)``. Or a
        `CompiledResidual`, whose own Jacobian ``jac=True`` is.
    x0 : array_like, shape (n,), or a scalar
        Start. Integers, booleans and single precision are promoted to float64.
    jac : callable, True, '2-point', '3-point' or 'cs'
        ``jac(x, *args) -> array of shape (m, n)`` in any layout; True if `fun` returns both; or differences.
    bounds : (lower, upper), or an object with `lb` and `ub` such as scipy.optimize.Bounds
        Each a scalar, an array of shape (n,) or None for unbounded. ``lower == upper`` fixes a parameter.
    args : tuple
        Extra arguments of `fun`, `jac` and `callback`.
    x_scale : 'jac', a scalar or array_like, shape (n,)
        Characteristic size of each parameter; 'jac' takes the inverse of the largest column norm of the Jacobian
        seen so far.
    ftol, xtol, gtol : float or None, default 1e-6
        Tolerances on the relative fall of the cost, on the relative size of the step, and on the largest component
        of the gradient times the distance to the bound it points at. None switches a test off. None of them alone
        makes a success: the point must look first-order to a measure without units as well.
    verbose : {0, 1, 2}, default 1
        0 silent, 1 a report at the end, 2 a line per iteration as well: "Step norm" is that of the scaled variables.
    maxiter : int, optional
        Largest number of iterations, ``100 * n`` by default.
    callback : callable, optional
        ``callback(x, *args)`` after each iteration; a true value or StopIteration stops the solve.
    options : mapping, optional
        - ``max_nfev`` (``5 * maxiter + 1``): largest number of residual evaluations, those of differences not counted
        - ``max_dx`` (inf): largest distance from x0
        - ``initial_trust_radius`` ('scipy'): the length of x0 in the scaled variables, but at least a thousandth of
          the Cauchy step; 'conngould': the length of the Cauchy step; 'mix': the geometric mean of the two; or a
          positive number. A rule that gives 0 becomes 1
        - ``initial_trust_ratio`` (1): factor on it
        - ``max_trust_radius`` (inf), ``min_trust_radius`` (0): limits of the radius, in the scaled variables, which
          have the units of the residuals with ``x_scale='jac'``; below the second, or where x can no longer change,
          the solve ends
        - ``tr_increase_threshold`` (0.75), ``tr_decrease_threshold`` (0.25): gain ratios above and below which the
          radius changes
        - ``tr_increase_ratio`` (2), ``tr_decrease_ratio`` (0.25): by these factors of the step's length
        - ``tr_method`` ('svd'): 'svd', 'cho' or 'qr', the factorisation of the subproblem; or 'auto', the cheapest
          that is safe at each point: 'cho' as long as the Jacobian with its columns scaled to length 1 is estimated
          to have no singular value below 1e-5, 'qr' otherwise, and 'svd' where its rank is in doubt
    loss : {'linear', 'soft_l1', 'huber', 'cauchy', 'arctan', 'welsch', 'tukey'} or callable
        What is minimised is ``0.5 * sum(C**2 * rho((r / C)**2))``, with ``C = f_scale`` and rho(z) = z (linear),
        ``2 * (sqrt(1 + z) - 1)`` (soft_l1), z up to 1 and ``2 * sqrt(z) - 1`` beyond (huber), ``log(1 + z)`` (cauchy),
        ``arctan(z)`` (arctan), ``1 - exp(-z)`` (welsch), ``(1 - (1 - z)**3) / 3`` up to 1 and 1/3 beyond (tukey). With
        the last four a solution may be a local one. `cost` is this sum, `residuals` are r; `jacobian` has each row
        scaled so that its product with itself is a Gauss-Newton matrix of the cost, and `grad` is the gradient of the
        cost. A callable is given z, shape (m,), and returns rho and its first two derivatives, shape (3, m).
    f_scale : float or array_like, shape (m,), default 1
        C: from about this size on a residual is an outlier.
    vectorized : bool, default False
        `fun` also accepts points stacked as rows, (k, n), and returns (k, m): differences then take one call.
    outside : {'move', 'raise'}
        What to do with an `x0` outside the bounds.
    max_time : float, optional
        Seconds after which the best point so far is returned.
    threads : int, default 1
        Threads that reduce the rows of the Jacobian where that takes over about 3 ms. The same number gives the same
        bits.

    Returns
    -------
    Result
        With `v` (distances to the bounds that the gradient points at),
        `allx` (x0 and every accepted x), `alltr` (the trust radius of every pass) and `trust_radius` besides the
        fields of every result.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, before `fun` is called; or for what `fun` or `jac` return.

    Notes
    -----
    Where `fun` returns single precision, rounding is expected to be that of single precision.

    Each step minimises the linear model within the trust radius [1]_, to 1 % of the radius; bounds by scaling with the
    distance to them and by reflection [2]_.

    References
    ----------
    .. [1] J. J. More and D. C. Sorensen, Computing a trust region step, 1983.
    .. [2] M. A. Branch, T. F. Coleman and Y. Li, A subspace, interior, and conjugate gradient method for large-scale
       bound-constrained minimization problems, 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import lsqtr
    >>> t = np.linspace(0, 4, 50)
    >>> y = 2.5 * np.exp(-1.3 * t) + 0.5
    >>> def residual(p):
    ...     return p[0] * np.exp(-p[1] * t) + p[2] - y
    >>> def jacobian(p):
    ...     e = np.exp(-p[1] * t)
    ...     return np.stack([e, -p[0] * t * e, np.ones_like(t)], axis=1)
    >>> result = lsqtr(residual, [1, 1, 1], jacobian, verbose=0)
    >>> result.success, result.x.round(6).tolist()
    (True, [2.5, 1.3, 0.5])
    """
    x = _arguments.start(x0)
    n = x.size
    lower, upper = _arguments.box(bounds, n)
    x, notes = _arguments.into_box(x, lower, upper, outside)
    extra = _arguments.extra(args)
    level = _arguments.count("verbose", verbose, 0)
    iterations = 100 * n if maxiter is None else _arguments.count("maxiter", maxiter, 0)
    subproblem, chosen = _read_options(options, iterations)
    request = Request(
        fun=_arguments.function("fun", fun),
        jac=_compiled.derivative(fun, _arguments.jacobian(jac), True),
        args=extra,
        x0=x,
        lower=lower,
        upper=upper,
        method="trust_region",
        subproblem=subproblem,
        scale=_read_scale(x_scale, n),
        vectorized=bool(vectorized),
        loss=_arguments.loss(loss),
        f_scale=_arguments.residual_scale(f_scale),
        options={
            "ftol": _arguments.tolerance("ftol", ftol),
            "xtol": _arguments.tolerance("xtol", xtol),
            "gtol": _arguments.tolerance("gtol", gtol),
            "max_iterations": iterations,
            "max_time": _arguments.seconds("max_time", max_time),
            "threads": _arguments.count("threads", threads, 1),
            "keep_iterates": True,
            **chosen,
        },
        observe=watch(_arguments.callback("callback", callback), extra, _printed() if level >= 2 else None),
        notes=notes,
    )

    def finish(result: _result.Result, aside: dict[str, Any]) -> _result.Result:
        _add_fields(result, aside)
        _result.attach(result, partial(_result.request_hooks, minimise, request))
        if level >= 1:
            print(_report.closing(result, float(np.linalg.norm(result["x"] - x))))
        return result

    return minimise(request, finish)


def _add_fields(result: _result.Result, aside: dict[str, Any]) -> None:
    result["v"] = aside["v"]
    result["allx"] = list(aside["iterates"])
    result["alltr"] = result["history"]["control"].tolist()
    result["trust_radius"] = aside["control"]


def _read_scale(x_scale: Any, n: int) -> Any:
    """D = 1 / x_scale; empty for 'jac'."""
    if isinstance(x_scale, str):
        _arguments.choice("x_scale", x_scale, ("jac",))
        return NO_SCALE
    return 1 / _arguments.scale("x_scale", x_scale, n)


def _read_options(options: Mapping[str, Any] | None, iterations: int) -> tuple[str, dict[str, Any]]:
    """The subproblem's kind and the core's options; the mapping is left as it was."""
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a mapping or None, got {options!r}")
    given = dict(options) if options else {}
    for name in given:
        if name not in _OPTION_NAMES:
            hint = _arguments.near_miss(name, _OPTION_NAMES)
            raise ValueError(f"unknown option {name!r}{hint}; the options are {', '.join(_OPTION_NAMES)}")
    subproblem = _TR_METHODS[_arguments.choice("tr_method", given.pop("tr_method", "svd"), _TR_METHODS)]
    max_nfev = given.pop("max_nfev", None)
    chosen: dict[str, Any] = {
        "max_nfev": 5 * iterations + 1 if max_nfev is None else _arguments.count("max_nfev", max_nfev, 1)
    }
    radius = given.pop("initial_trust_radius", "scipy")
    if isinstance(radius, str):
        chosen["initial_trust_radius"] = _arguments.choice("initial_trust_radius", radius, _RADIUS_RULES)
    else:
        chosen["initial_trust_radius"] = "number"
        chosen["initial_trust_radius_value"] = _arguments.number("initial_trust_radius", radius)
    for name, value in given.items():
        chosen[name] = _arguments.number(name, value)
    return subproblem, chosen


def _printed() -> Callable[[Any, Any], None]:
    def show(now: Any, last: Any) -> None:
        if last is None:
            print(_report.progress_header())
        if last is None or moved(now, last):
            print(_report.progress_row(now, last))

    return show
