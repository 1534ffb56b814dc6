"""`least_squares`: SciPy's signature and meanings, so that one changed import switches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _nonlinear, _result
from ._arguments import UNBOUNDED


def least_squares(
    fun: Callable[..., Any],
    x0: Any,
    jac: Any = "auto",
    bounds: Any = UNBOUNDED,
    method: str = "auto",
    ftol: float | None = None,
    xtol: float | None = None,
    gtol: float | None = None,
    x_scale: Any = None,
    loss: Any = "linear",
    f_scale: Any = 1.0,
    diff_step: Any = None,
    tr_solver: str | None = None,
    tr_options: Mapping[str, Any] | None = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    callback: Callable[..., Any] | None = None,
    workers: Any = None,
    *,
    fixed: Mapping[Any, Any] | None = None,
    names: Sequence[str] | None = None,
    max_time: float | None = None,
    threads: int = 1,
    vectorized: bool = False,
) -> _result.Result:
    """Minimise ``0.5 * sum(rho(fun(x)**2))`` subject to ``lower <= x <= upper``.

    The arguments are those of scipy.optimize.least_squares, in its order and with its meanings; the defaults are this
    library's. ``from marquardt import least_squares`` is all that a program written for SciPy has to change, unless its
    Jacobian is sparse.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args, **kwargs) -> residuals``, shape (m,), or a scalar; with ``jac=True`` ``(residuals, Jacobian)``.
        Where `x0` is a tree so is `x`, and the residuals may be one. Or a `CompiledResidual`, for a flat `x0`.
    x0 : array_like, shape (n,), a scalar, or a tree
        Start, within the bounds. Dicts, named tuples, dataclasses and nests of them come back with their structure as
        ``result.x`` (``pip install marquardt[trees]``).
    jac : {'auto', '2-point', '3-point', 'cs'}, callable or True
        Differences, or ``jac(x, *args, **kwargs) -> array of shape (m, n)`` in any layout, or True if `fun` returns
        both. 'auto' begins with forward differences and leaves the choice of better ones to the solver.
    bounds : (lower, upper), or an object with `lb` and `ub` such as scipy.optimize.Bounds
        Each a scalar, an array of shape (n,) or None for unbounded; a tree where `x0` is one.
        ``lower == upper`` fixes a parameter.
    method : {'auto', 'trf', 'dogbox', 'lm'}
        - 'auto': this library's choice, a trust region that learns the curvature of the residuals
        - 'trf': a trust region [1]_ with bounds by scaling and reflection [2]_
        - 'dogbox': a rectangular trust region [3]_, whose steps end on bounds exactly
        - 'lm': the trust region of [1]_, which is the algorithm of MINPACK. Unlike there bounds, robust losses, fewer
          residuals than parameters and callbacks are welcome, as with 'trf'
    ftol, xtol, gtol : float or None, default None
        Tolerances on the relative fall of the cost, on the relative size of the step, and on the largest component of
        the (scaled) gradient. None switches a test off, and all may be off: whether the residuals are orthogonal to
        the Jacobian's columns, a measure without units, is tested in any case. None of the three alone makes a
        success: the point must look first-order to that measure as well.
    x_scale : None, 'jac', a scalar or array_like, shape (n,)
        Characteristic size of each parameter; 'jac', and None for every method, takes the inverse of the largest column
        norm of the Jacobian seen so far. SciPy's default for 'trf' and 'dogbox' is ``x_scale=1.0``.
    loss : {'linear', 'soft_l1', 'huber', 'cauchy', 'arctan', 'tukey', 'welsch'} or callable
        What is minimised is ``0.5 * sum(C**2 * rho((r / C)**2))``, with ``C = f_scale`` and rho(z) = z (linear),
        ``2 * (sqrt(1 + z) - 1)`` (soft_l1), z up to 1 and ``2 * sqrt(z) - 1`` beyond (huber), ``log(1 + z)`` (cauchy),
        ``arctan(z)`` (arctan), ``(1 - (1 - z)**3) / 3`` up to 1 and 1/3 beyond (tukey), ``1 - exp(-z)`` (welsch). With
        the last three a solution may be a local one. A callable is given z, shape (m,), and returns rho and its first
        two derivatives, shape (3, m).
    f_scale : float, array_like of shape (m,), or 'mad'
        C: from about this size on a residual is an outlier. 'mad' estimates it from the residuals: the median of their
        absolute values over 0.6745, which is their standard deviation if the good ones are normal, fitted anew until
        it settles to 1 %; ``result.f_scale`` has it.
    diff_step : float or array_like, shape (n,), optional
        Steps of differences relative to the parameters.
    tr_solver : {None, 'exact'}
        Steps are those of the exact subproblem. SciPy's 'lsmr' is for sparse Jacobians and is refused.
    tr_options : mapping, optional
        Options of SciPy's 'lsmr'; their names are checked, and they have no effect.
    jac_sparsity : array_like, shape (m, n), or a sparse array, optional
        Nonzero where the Jacobian may be nonzero. Differences then perturb columns that have no row in common together
        [4]_; ``result.nfev_differences`` counts these evaluations. The Jacobian itself is dense.
    max_nfev : int, optional
        Largest number of residual evaluations, those of differences not counted; ``100 * n`` by default.
    verbose : {0, 1, 2}
        0 silent, 1 a report at the end, 2 a line per iteration as well: "Step norm" is that of the scaled variables.
    args, kwargs : tuple, mapping
        Further arguments of `fun` and `jac`.
    callback : callable, optional
        ``callback(x)`` after each iteration, or, if its parameter has that very name,
        ``callback(intermediate_result=...)`` with the fields x, fun, cost, nit, nfev, njev, optimality. StopIteration,
        or returning True, stops the solve.
    workers : int or map-like callable, optional
        Evaluates the points of differences: so many processes (-1: one for each processor), or
        ``workers(fun, points)``, such as the map of a pool. What other processes are to evaluate has to pickle.
    fixed : mapping, optional
        Parameters that have one value only, by name or index: ``{"b": 2.0}``. In a tree a name stands for all numbers
        of a leaf.
    names : sequence of str, optional
        Names of the parameters, for `fixed` and for what the result says. By default the paths in the tree, or p0, p1.
    max_time : float, optional
        Seconds after which the best point so far is returned.
    threads : int, default 1
        Threads that reduce the rows of the Jacobian where that takes over about 3 ms. The same number gives the same
        bits.
    vectorized : bool, default False
        `fun` also accepts points stacked as rows, (k, n), and returns (k, m): differences then take one call.

    Returns
    -------
    Result
        With SciPy's fields x, cost, fun, jac, grad, optimality, active_mask, nfev, njev, status, message and success,
        and those of every result. ``status`` is a `LeastSquaresStatus`, which has SciPy's numbers.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, before `fun` is called; or for what `fun`, `jac` or `loss` return. What is raised
        during a solve, by a function of the caller's too, has the best point so far as ``partial_result``.
    ImportError
        For a tree, if optree is not installed.

    Notes
    -----
    Where `fun` returns single precision, rounding is expected to be that of single precision.

    A large array of float64 that `jac` returns and nobody else holds is not copied: ``result.jac`` may be that array.

    With a robust loss `cost` is its sum, `fun` are the residuals themselves; `jac` has each row scaled so that its
    product with itself is a Gauss-Newton matrix of the cost, and `grad` is the gradient of the cost.

    References
    ----------
    .. [1] J. J. More, The Levenberg-Marquardt algorithm: implementation and theory, 1978.
    .. [2] M. A. Branch, T. F. Coleman and Y. Li, A subspace, interior, and conjugate gradient method for large-scale
       bound-constrained minimization problems, 1999.
    .. [3] C. Voglis and I. E. Lagaris, A rectangular trust region dogleg approach for unconstrained and bound
       constrained nonlinear optimization, 2004.
    .. [4] A. R. Curtis, M. J. D. Powell and J. K. Reid, On the estimation of sparse Jacobian matrices, 1974.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import least_squares
    >>> t = np.linspace(0, 4, 50)
    >>> y = 2.5 * np.exp(-1.3 * t) + 0.5
    >>> y[::7] += 1
    >>> def residual(p):
    ...     return p[0] * np.exp(-p[1] * t) + p[2] - y
    >>> result = least_squares(residual, [1, 1, 1], loss="tukey", f_scale=0.1, bounds=(0, 10))
    >>> result.success, result.x.round(6).tolist()
    (True, [2.5, 1.3, 0.5])

    Some parameters held, by name:

    >>> result = least_squares(residual, [1, 1, 1], names=["a", "b", "c"], fixed={"c": 0.5}, loss="tukey", f_scale=0.1)
    >>> result.x.round(6).tolist()
    [2.5, 1.3, 0.5]
    """
    return _nonlinear.solve(
        fun,
        _nonlinear.read_start(x0, bounds, fixed, names),
        jac=jac,
        method=method,
        ftol=ftol,
        xtol=xtol,
        gtol=gtol,
        x_scale=x_scale,
        loss=loss,
        f_scale=f_scale,
        diff_step=diff_step,
        tr_solver=tr_solver,
        tr_options=tr_options,
        jac_sparsity=jac_sparsity,
        max_nfev=max_nfev,
        verbose=verbose,
        args=args,
        kwargs=kwargs,
        callback=callback,
        workers=workers,
        max_time=max_time,
        threads=threads,
        vectorized=vectorized,
        named=names is not None,
    )
