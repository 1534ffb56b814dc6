"""`lm_solve`: Levenberg-Marquardt on the damped normal equations, with exact box bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _compiled, _report, _result, _trees
from ._arguments import Vector
from ._minimise import NO_SCALE, Request, minimise, moved, watch


class LMStatus(IntEnum):
    """How `lm_solve` ended. 1 to 4, 6 and 7 are first-order points, successes; nothing else is.

    The general `Status` under the names and numbers of this face. At a first-order point where the test of gtol
    holds as well, the ending is GTOL_REACHED: STATIONARY and ZERO_RESIDUAL are for gtol switched off, or out of reach
    of double precision in the units of the residuals.

    Attributes
    ----------
    message : str
        What happened and, where it is no success, what to do.
    success : bool
        Whether the first-order conditions hold.
    general : Status
        The same ending as other faces name it.
    """

    FTOL_REACHED = 1
    XTOL_REACHED = 2
    BOTH_TOL_REACHED = 3
    GTOL_REACHED = 4
    MAX_FEVAL = 5
    STATIONARY = 6
    ZERO_RESIDUAL = 7
    # the other failures have the numbers of Status
    MAX_ITERATIONS = -2
    STALLED = -3
    PRECISION_LIMIT = -4
    NOT_FINITE_START = -5
    NOT_FINITE_JACOBIAN = -6
    STOPPED = -7
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


_RENAMED = {
    "COST": LMStatus.FTOL_REACHED,
    "STEP": LMStatus.XTOL_REACHED,
    "COST_AND_STEP": LMStatus.BOTH_TOL_REACHED,
    "GRADIENT": LMStatus.GTOL_REACHED,
    "MAX_EVALUATIONS": LMStatus.MAX_FEVAL,
}
_SPECIAL = {status: _RENAMED.get(status.name) or LMStatus[status.name] for status in _result.Status}
_GENERAL = {special: general for general, special in _SPECIAL.items()}
_BY_NO_TOLERANCE = (LMStatus.STATIONARY, LMStatus.ZERO_RESIDUAL)


class History(Sequence[dict[str, Any]]):
    """What the iterates were, and the steps that left them: a sequence of dicts, each made when it is asked for.

    Record k has of iterate k

    - ``iter`` (k), ``cost``, ``grad_norm`` (largest component of the gradient), ``lambda`` (damping of the first trial
      from there) and ``x`` (flat);
    - with bounds also ``grad_proj_norm`` (the optimality that gtol tests) and ``n_active_lower``, ``n_active_upper``,
      ``total_active`` (parameters on their bounds; fixed ones count as lower);
    - of the step that left it ``step_norm`` (in the scaling D), ``actred`` and ``prered`` (actual and predicted fall
      of the cost, relative to it), ``ratio`` of the two, and ``lambda_next``. The last record has none of these; a move
      that was found by a search instead of the damped model has NaN for what was predicted.
    """

    def __init__(self, passes: NDArray[Any], iterates: Sequence[Vector], bounds: tuple[Vector, Vector] | None) -> None:
        self._passes = passes
        self._iterates = iterates
        self._bounds = bounds

    def __len__(self) -> int:
        return int(self._passes["iteration"][-1]) + 1 if len(self._passes) else 0

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        chosen = range(len(self))[index]
        return self._record(chosen) if isinstance(chosen, int) else [self._record(k) for k in chosen]

    def __repr__(self) -> str:
        return f"<history of {len(self)} iterates>"

    def _record(self, k: int) -> dict[str, Any]:
        first, beyond = np.searchsorted(self._passes["iteration"], [k, k + 1])
        state, step = self._pass(first), self._pass(beyond - 1)
        cost, x = state["cost"], self._iterates[k]
        record = {"iter": k, "cost": cost, "grad_norm": state["grad_norm"], "lambda": state["control"], "x": x}
        if self._bounds is not None:
            record |= {"grad_proj_norm": state["optimality"], **_active(x, *self._bounds)}
        if step["accepted"]:
            record |= {
                "step_norm": step["step_norm"],
                "actred": step["actual"] / cost,
                "prered": step["predicted"] / cost,
                "ratio": step["ratio"],
                "lambda_next": self._pass(beyond)["control"],
            }
        return record

    def _pass(self, index: int) -> dict[str, Any]:
        return dict(zip(self._passes.dtype.names or (), self._passes[index].tolist(), strict=True))


def _active(x: Vector, lower: Vector, upper: Vector) -> dict[str, int]:
    at_lower = x <= lower
    below, above = int(at_lower.sum()), int(((x >= upper) & ~at_lower).sum())
    return {"n_active_lower": below, "n_active_upper": above, "total_active": below + above}


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
    jac: Any = None,
    callback: Callable[..., Any] | None = None,
    loss: str | Callable[..., Any] = "linear",
    f_scale: Any = 1.0,
    vectorized: bool = False,
    outside: str = "move",
    max_time: float | None = None,
    threads: int = 1,
    namespace: str = "",
) -> _result.Result:
    """Minimise ``0.5 * ||func(x)||**2`` subject to ``lower <= x <= upper`` by Levenberg-Marquardt.

    Parameters
    ----------
    func : callable
        ``func(x, *args) -> residuals``: an array of any shape (it is flattened), a scalar, or a tree of these; with
        ``jac=True`` ``(residuals, Jacobian)``. `x` is as `x0`. Or a `CompiledResidual`, for a flat `x0`.
    x0 : array_like or tree
        Start. A scalar or a flat sequence of n numbers gives vectors of shape (n,), an array of more dimensions
        comes back in its shape. Lists of lists, dicts, named tuples, dataclasses and other nodes known to optree
        (``pip install marquardt[trees]``) come back with their structure; None in them has no parameter. Everything
        becomes float64: an array in a tree comes back as an array, a number as a numpy.float64, which is a Python
        float that overflows to infinity instead of raising.
    args : tuple
        Extra arguments of `func`, `jac` and `callback`.
    bounds : (lower, upper), optional
        Each a scalar, an array like `x0` or None for unbounded; for a tree a scalar, None, or a tree like `x0` in
        which a scalar or None stands for a whole array. ``lower == upper`` fixes a parameter.
    ftol, xtol, gtol : float or None, default 1e-6
        Tolerances on the relative fall of the cost, on the relative size of the step, and on the largest component
        of the projected gradient. None switches a test off. None of them alone makes a success: the point must
        look first-order to a measure without units as well.
    max_nfev : int, default 100
        Largest number of residual evaluations, those of differences not counted.
    diag : array_like or tree, optional
        A scalar or like `x0`; the scaling D of the damping ``lambda * D**2``: a large entry means small steps of that
        parameter. By default the running maximum of the Jacobian's column norms.
    lambda0 : float, default 1e-3
        First damping, relative to D**2.
    log_level : int or str, optional
        Level of the logger ``"marquardt"`` at which the start, each accepted step and the ending are logged; None
        or 0: silent.
    jac : callable, True, '2-point', '3-point' or 'cs', optional
        ``jac(x, *args) -> array of shape (m, n)`` in any layout; True if `func` returns both; or differences, of
        which None means '2-point'. Where `x0` is an array of more dimensions also ``(m, *x0.shape)``; where it is a
        tree also a tree like `x0` with leaves ``(m, *leaf.shape)``, as automatic differentiation returns it (and an
        ``(m, n)`` array must then be an array, not lists).
    callback : callable, optional
        ``callback(x, *args)`` after each accepted step; a true value or StopIteration stops the solve.
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
        `func` also accepts points stacked as rows, (k, n), and returns (k, m): differences then take one call. For
        one-dimensional `x0` only.
    outside : {'move', 'raise'}
        What to do with an `x0` outside the bounds.
    max_time : float, optional
        Seconds after which the best point so far is returned.
    threads : int, default 1
        Threads that reduce the rows of the Jacobian where that takes over about 3 ms. The same number gives the same
        bits.
    namespace : str, optional
        Where optree finds the node types of `x0`, if they are registered under a name.

    Returns
    -------
    Result
        The fields of every result, of which `x` is as `x0` and all others are flat; ``status`` is an `LMStatus`; and

        - ``fun``: the cost; ``jac``: the gradient; ``hess``: ``J.T @ J``; ``damping``: the last lambda
        - ``history``: a dict for each iterate, with the step that left it (a lazy sequence)
        - ``passes``: a structured array with a record for each trial, rejected ones too: the `history` of other faces
        - ``names``: where `x0` is a tree, the path of each parameter, such as ``k[0]``

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, before `func` is called; or for what `func` returns.
    ImportError
        For a tree, if optree is not installed.

    Notes
    -----
    ``(J.T @ J + lambda * D**2) p = -g`` is solved by Cholesky; a step that leaves the box is replaced by the exact
    minimiser of the damped model in the box. Damping by the gain ratio [2]_, scaling after [1]_. A step that stays in
    the box is bent along the curvature of the residuals [3]_, which the last step has shown without an evaluation.

    References
    ----------
    .. [1] J. J. More, The Levenberg-Marquardt algorithm: implementation and theory, 1978.
    .. [2] H. B. Nielsen, Damping parameter in Marquardt's method, 1999.
    .. [3] M. K. Transtrum and J. P. Sethna, Improvements to the Levenberg-Marquardt algorithm for nonlinear
       least-squares minimization, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import lm_solve
    >>> def rosenbrock(x):
    ...     return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    >>> result = lm_solve(rosenbrock, [0.5, 0.5], bounds=([0, 0], [0.8, 2]))
    >>> result.success, result.x.round(6).tolist()
    (True, [0.8, 0.64])

    Parameters in a tree:

    >>> def residuals(p):
    ...     return {"fit": p["gain"] * p["rate"] - 6, "prior": [p["gain"] - 2, 0.1 * p["offset"]]}
    >>> start = {"gain": 1, "rate": np.ones(2), "offset": 5}
    >>> result = lm_solve(residuals, start, bounds=(0, {"gain": None, "rate": 10, "offset": None}))
    >>> result.x["rate"].round(6).tolist(), result.names
    ([3.0, 3.0], ['gain', 'offset', 'rate[0]', 'rate[1]'])
    """
    tree = _trees.read(x0, namespace)
    if tree is None:
        x = _arguments.start(x0)
        lower, upper = _arguments.box(bounds, x.size)
        x, notes = _arguments.into_box(x, lower, upper, outside)
    else:
        if vectorized:
            raise ValueError("vectorized needs a one-dimensional x0, as points are stacked as rows")
        x, lower, upper, notes = tree.start(bounds, outside)
    extra = _arguments.extra(args)
    log = _logger(log_level)
    gradient_tolerance = _arguments.tolerance("gtol", gtol)
    derivative = _compiled.derivative(func, _arguments.jacobian("2-point" if jac is None else jac), jac is not None)
    request = Request(
        fun=_trees.flat(_arguments.function("func", func), tree, derivative is True, namespace),
        jac=_trees.flat_jacobian(derivative, tree),
        args=extra,
        x0=x,
        lower=lower,
        upper=upper,
        method="levenberg_marquardt",
        subproblem="cholesky",
        scale=_scale(diag, x.size, tree),
        vectorized=bool(vectorized),
        ravel=True,
        loss=_arguments.loss(loss),
        f_scale=_arguments.residual_scale(f_scale),
        options={
            "ftol": _arguments.tolerance("ftol", ftol),
            "xtol": _arguments.tolerance("xtol", xtol),
            "gtol": gradient_tolerance,
            "max_nfev": _arguments.count("max_nfev", max_nfev, 1),
            "lambda0": _arguments.number("lambda0", lambda0),
            "max_time": _arguments.seconds("max_time", max_time),
            "threads": _arguments.count("threads", threads, 1),
            "keep_iterates": True,
        },
        observe=watch(_trees.of_vector(_arguments.callback("callback", callback), tree), extra, _table(log)),
        notes=notes,
    )

    def finish(result: _result.Result, aside: dict[str, Any]) -> _result.Result:
        _add_fields(result, aside, None if bounds is None else (lower, upper))
        _name_ending(result, gradient_tolerance)
        flat = None if tree is None else result["x"]
        _result.attach(result, partial(_result.request_hooks, minimise, request, (), flat))
        if tree is not None:
            result["x"] = tree.unravel(result["x"])
            if tree.has_paths:
                result["names"] = tree.names
        if log is not None:
            log(result["message"])
        return result

    return minimise(request, finish)


def _scale(diag: Any, n: int, tree: _trees.Tree | None) -> Vector:
    if diag is None:
        return NO_SCALE
    return _arguments.scale("diag", diag, n) if tree is None else tree.scale("diag", diag)


def _add_fields(result: _result.Result, aside: dict[str, Any], bounds: tuple[Vector, Vector] | None) -> None:
    result["passes"] = result["history"]
    result["history"] = History(result["passes"], aside["iterates"], bounds)
    result["damping"] = aside["control"]
    result["fun"] = result["cost"]
    result["jac"] = result["grad"]
    result["hess"] = result["jacobian"].T @ result["jacobian"]


def _name_ending(result: _result.Result, gtol: float) -> None:
    """Put the ending into this face's terms."""
    status = _SPECIAL[result["status"]]
    if status in _BY_NO_TOLERANCE and result["optimality"] <= gtol > 0:
        status = LMStatus.GTOL_REACHED
    result["status"] = status
    result["message"] = status.message


def _logger(level: int | str | None) -> Callable[[str], None] | None:
    """Where lines go; None if nobody wants them."""
    if level is None:
        return None
    import logging  # only where it is asked for: the import costs a millisecond

    if isinstance(level, str):
        number = logging.getLevelName(level.upper())
        if not isinstance(number, int):
            raise ValueError(f"log_level must be None, a logging level or its name, got {level!r}")
    else:
        number = _arguments.count("log_level", level, 0)
    logger = logging.getLogger("marquardt")
    return partial(logger.log, number) if number > 0 and logger.isEnabledFor(number) else None


def _table(log: Callable[[str], None] | None) -> Callable[[Any, Any], None] | None:
    """An observer of passes that logs a row for the start and for each accepted step."""
    if log is None:
        return None

    def show(now: Any, last: Any) -> None:
        if last is None:
            log(_report.log_header())
        if last is None or moved(now, last):
            log(_report.log_row(now, last))

    return show
