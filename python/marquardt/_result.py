"""What a solve returns: one class for every face, readable as attributes or as a mapping."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _questions, _report
from ._isa import core as _core

_TABLE = {number: (name, sentence, success) for number, name, sentence, success in _core.status_table()}

Status = IntEnum("Status", {name: number for number, (name, _, _) in _TABLE.items()})  # type: ignore[misc]
Status.__doc__ = "How a solve ended. Positive: a first-order point, success; negative: anything else."
Status.__module__ = "marquardt"


def sentence(status: int) -> str:
    """What a status means and, where it is not a success, what to do."""
    return _TABLE[int(status)][1]


def succeeded(status: int) -> bool:
    """Whether a status is a success: the first-order conditions hold."""
    return _TABLE[int(status)][2]


class Fields(dict[str, Any]):
    """A mapping whose items are attributes as well.

    Its names are taken from `keys`, because a result may iterate over something else, to be unpacked.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this result has no {name!r}; it has {', '.join(self.keys())}") from None

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"this result has no {name!r}; it has {', '.join(self.keys())}")
        del self[name]

    __setattr__ = dict.__setitem__

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.keys()]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self),))

    def __str__(self) -> str:
        return _report.table(self)


class Hooks:
    """What a face knows of a solve that its result does not say; some questions need it.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters; empty: p0, p1, ...
    refit : callable or None
        ``refit(fixed, start) -> Result``: the same problem solved again from the flat `start` with the parameters
        in `fixed` (index: value) held.
    model : callable or None
        ``model(xdata, params) -> values``, of flat parameters.
    xdata, ydata, sigma : object
        The data of a curve fit.
    absolute_sigma : bool
        Whether residuals are in units of their known standard deviations.
    request : Request or None
        The problem as the core was asked to solve it: bounds, loss, and how the Jacobian was made.
    x : ndarray or None
        The solution as a flat vector, where the result's x is a tree.
    """

    __slots__ = ("absolute_sigma", "model", "names", "refit", "request", "sigma", "x", "xdata", "ydata")

    def __init__(
        self,
        names: Sequence[str] = (),
        refit: Callable[[Mapping[int, float], NDArray[np.float64]], Any] | None = None,
        model: Callable[[Any, NDArray[np.float64]], Any] | None = None,
        xdata: Any = None,
        ydata: Any = None,
        sigma: Any = None,
        absolute_sigma: bool = False,
        *,
        request: Any = None,
        x: NDArray[np.float64] | None = None,
    ) -> None:
        self.names = names
        self.refit = refit
        self.model = model
        self.xdata = xdata
        self.ydata = ydata
        self.sigma = sigma
        self.absolute_sigma = absolute_sigma
        self.request = request
        self.x = x

    def __copy__(self) -> Hooks:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        return self  # nobody changes one, and the user's functions need not be copied

    def __reduce__(self) -> tuple[Any, ...]:
        data = (self.xdata, self.ydata, self.sigma)
        kept = (tuple(self.names), _or_none(self.refit), _or_none(self.model), *data, self.absolute_sigma)
        return (_hooks_again, (kept, _without_functions(self.request), self.x))


def _hooks_again(contract: tuple[Any, ...], request: Any, x: Any) -> Hooks:
    return Hooks(*contract, request=request, x=x)


def _or_none(value: Any) -> Any:
    """What pickles as it is; anything else, such as a lambda, is dropped."""
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001  # whatever the user's objects raise
        return None
    return value


def _without_functions(request: Any) -> Any:
    """A request with what tells of the answer, without what tells how to find it."""
    if request is None:
        return None
    return request._make(request.facts())._replace(args=(), loss=_or_none(request.loss))


def attach(result: Result, make: Callable[[], Hooks]) -> None:
    """Let a result answer what takes hooks, no items of the mapping, made when first needed: most are never asked."""
    result.__dict__["_make_hooks"] = make
    result.__dict__["_attached"] = None


def request_hooks(
    minimise: Callable[..., Any], request: Any, names: Sequence[str] = (), x: NDArray[np.float64] | None = None
) -> Hooks:
    """Hooks with the request, and with `minimise` for fitting it again."""
    return Hooks(names, partial(_questions.refit, minimise, request), request=request, x=x)


_NO_HOOKS = Hooks()


class Result(Fields):
    """The outcome of a solve. Fields are attributes and mapping items alike.

    Every face's result has at least these; a face may add its own. What else it can be asked is computed on the first
    question and is no item of the mapping. `str` and a notebook show a report.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The best point found.
    success : bool
        True only if the first-order conditions hold at `x`.
    status : Status
        How the solve ended.
    message : str
        The same as a sentence; where it is not a success, what to do.
    cost : float
        ``0.5 * sum(residuals**2)``.
    residuals, fun : ndarray, shape (m,)
        Residuals at `x`, also under SciPy's name; `lm_solve` has a `fun` of its own.
    jacobian, jac : ndarray, shape (m, n)
        Jacobian at `x`, also under SciPy's name; NaN where it was never evaluated; `lm_solve` has a `jac` of its own.
        Under a robust loss with rows scaled so that its product with itself is a Gauss-Newton matrix of the cost.
    grad : ndarray, shape (n,)
        ``jacobian.T @ residuals``.
    optimality : float
        What the method drives to zero: the largest component of the gradient, projected on the bounds.
    active_mask : ndarray of int, shape (n,)
        -1 at a lower bound, +1 at an upper bound, 0 free.
    nfev, njev, nit : int
        Residual evaluations (those of differences apart), Jacobians, accepted steps.
    nfev_differences : int
        Residual evaluations spent on finite differences.
    rank : int
        Numerical rank of the scaled Jacobian.
    history : ndarray
        One record per pass, a structured array: iteration, nfev, njev, cost, optimality, grad_norm, control
        (damping or trust radius), and of its trial step_norm, actual, predicted, ratio, accepted.
    notes : list of str
        Remarks, such as that x0 was moved into the bounds.

    Notes
    -----
    Uncertainties are those of linear regression with the Jacobian at the solution [1]_, under a robust loss Huber's
    [2]_. Parameters that are fixed or at a bound count as known: their standard error is 0. What the data do not
    determine has infinite variance, and `undetermined` says which combination of it they do; a Jacobian by
    differences determines nothing beyond its own accuracy.

    References
    ----------
    .. [1] D. M. Bates and D. G. Watts, Nonlinear Regression Analysis and Its Applications, 1988.
    .. [2] P. J. Huber, Robust Statistics, 1981, section 7.6.
    """

    _seconds: tuple[float, float, float] | None = None  # total, in functions, in Jacobians
    _answers: tuple[tuple[Any, ...], _questions.Uncertainty] | None = None

    def __repr__(self) -> str:
        return _report.one_line(self)

    def __str__(self) -> str:
        return _report.text(self._summary()) if self._is_whole() else _report.table(self)

    def _repr_html_(self) -> str:
        return (
            _report.html(self._summary()) if self._is_whole() else f"<pre>{_report.escaped(_report.table(self))}</pre>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {"_attached": self._hooks, "_seconds": self._seconds}
        return (type(self), (dict(self),), kept)

    @property
    def _hooks(self) -> Hooks:
        hooks = self.__dict__.get("_attached")
        if hooks is None:
            make = self.__dict__.get("_make_hooks")
            hooks = self.__dict__["_attached"] = _NO_HOOKS if make is None else make()
        return hooks

    # ---- uncertainty -----------------------------------------------------------------------------------------

    def covariance(self, scale: bool | None = None) -> NDArray[np.float64]:
        """Covariance matrix of the parameters, shape (n, n).

        Parameters
        ----------
        scale : bool, optional
            True: ``(J.T @ J)^-1`` times `variance`, the size of the errors estimated from the residuals. False: without
            it, for residuals in units of their standard deviations. By default as the solve was told: True, except for
            ``curve_fit(..., absolute_sigma=True)``.

        Returns
        -------
        ndarray
            0 in the rows and columns of parameters that are fixed or at a bound. A parameter that is not determined has
            infinite variance, and NaN beside it; without degrees of freedom (`dof`) that is so for all.
        """
        return self._uncertainty().covariance(scale)

    @property
    def stderr(self) -> NDArray[np.float64]:
        """Standard errors of the parameters, shape (n,): roots of the covariance's diagonal."""
        return np.array(self._uncertainty().stderr)

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Correlations of the parameters, shape (n, n); NaN for those that are held or not determined."""
        return np.array(self._uncertainty().correlation)

    @property
    def dof(self) -> int:
        """Degrees of freedom: residuals less determined directions of the free parameters."""
        return self._uncertainty().dof

    @property
    def variance(self) -> float:
        """Variance of the residuals' errors as estimated from them; NaN without degrees of freedom.

        ``2 * cost / dof``; under a robust loss Huber's estimate of what takes its place.
        """
        return self._uncertainty().variance

    @property
    def reduced_chi_square(self) -> float:
        """``2 * cost / dof``: about 1 where residuals are in units of their errors; NaN without degrees of freedom."""
        dof = self.dof
        return 2 * float(self["cost"]) / dof if dof > 0 else float("nan")

    @property
    def condition(self) -> float:
        """Condition number of the free parameters' Jacobian, columns scaled to length 1; infinite if rank-deficient."""
        uncertainty = self._uncertainty()
        return uncertainty.condition if uncertainty.known else float("nan")

    @property
    def undetermined(self) -> list[str]:
        """What the data leave open: a sentence for each group of parameters determined in combination only."""
        return list(self._uncertainty().undetermined)

    @property
    def cautions(self) -> list[str]:
        """Why standard errors are missing, infinite or 0."""
        return list(self._uncertainty().cautions)

    def confidence_intervals(self, level: float = 0.95) -> NDArray[np.float64]:
        """Intervals x -+ t stderr of the linearised model, cut at the bounds, shape (n, 2).

        Parameters
        ----------
        level : float
            Confidence that each interval holds its parameter.
        """
        return self._uncertainty().intervals(level)

    def profile(self, parameter: str | int, level: float = 0.95, points: Any = None) -> _questions.Profile:
        """Profile-likelihood interval of one parameter: all others are fitted again for each of its values.

        It needs no linear model: it ends where the cost has risen as much as the level allows.

        Parameters
        ----------
        parameter : str or int
            Name or index.
        level : float
            Confidence that the interval holds the parameter.
        points : int or array_like, optional
            So many values across the interval, or these values, to be fitted besides those that the search needs.

        Returns
        -------
        Profile
            ``interval``, and what was found on the way: ``values``, ``tau``, ``cost``, ``x``, ``notes``.
        """
        if self._hooks.refit is None:
            raise ValueError("profile() fits again, and and this result has no function: a pickle may have lost it")
        uncertainty = self._uncertainty()
        i = _questions.index_of(parameter, uncertainty.facts.names)
        return _questions.profile(uncertainty, self._hooks.refit, _flat, i, level, points)

    def predict(
        self, x: Any = None, band: str | None = None, level: float = 0.95, *, sigma: ArrayLike | None = None
    ) -> Any:
        """Values of the fitted model, with a band on request.

        Parameters
        ----------
        x : object, optional
            Where, as `xdata` of the fit, which is the default.
        band : {None, 'confidence', 'prediction'}
            'confidence' is for the curve, at each point by itself; 'prediction' for a new observation there.
        level : float
            Confidence that the band holds it.
        sigma : array_like, optional
            Errors of new observations, in the meaning of the fit's sigma; needed if that differed between observations
            and `x` is not that of the fit.

        Returns
        -------
        ndarray, or (ndarray, ndarray, ndarray)
            Values; with a band values, lower and upper ends.
        """
        hooks = self._hooks
        if hooks.model is None:
            raise ValueError("predict() needs the model, which curve_fit knows and a pickle may have lost")
        if band == "prediction" and sigma is None:
            sigma = _sigma_of(hooks, at_data=x is None)
        where = hooks.xdata if x is None else np.asarray(x) if type(x) in (list, tuple) else x
        return _questions.predict(self._uncertainty(), hooks.model, where, band, level, 1.0 if sigma is None else sigma)

    # ---- what else there is to know --------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """Names of the parameters; p0, p1, ... where they have none."""
        return list(self.get("names") or self._hooks.names) or [f"p{j}" for j in range(self._flat_x().size)]

    @property
    def timing(self) -> dict[str, float]:
        """Seconds spent in the user's function, in Jacobians, in the solver itself, and in total; empty if unknown."""
        if self._seconds is None:
            return {}
        total, function, jacobian = self._seconds
        return {"function": function, "jacobian": jacobian, "solver": total - function - jacobian, "total": total}

    def plot(self, ax: Any = None, points: int = 400, level: float = 0.95) -> Any:
        """Draw data, fitted curve with its confidence band, and residuals below; needs matplotlib.

        Parameters
        ----------
        ax : pair of matplotlib Axes, optional
            Where to draw the curve and the residuals; a new figure by default.
        points : int
            Points of the curve.
        level : float
            Confidence of the band.

        Returns
        -------
        pair of matplotlib Axes
        """
        hooks = self._hooks
        if hooks.model is None or hooks.ydata is None:
            raise ValueError("plot() needs model and data, which curve_fit knows and a pickle may have lost")
        return _report.plot(self, hooks.xdata, hooks.ydata, hooks.sigma, ax, points, level)

    def _is_whole(self) -> bool:
        return all(name in self for name in ("x", "jacobian", "residuals", "cost", "active_mask", "status"))

    def _flat_x(self) -> NDArray[np.float64]:
        return _flat(self)

    def _uncertainty(self) -> _questions.Uncertainty:
        """Computed once; anew if what it follows from has been replaced."""
        basis = (self["x"], self["jacobian"], self["residuals"], self["cost"], self["active_mask"], self._hooks)
        if self._answers is None or any(a is not b for a, b in zip(self._answers[0], basis, strict=True)):
            self.__dict__["_answers"] = (basis, _questions.Uncertainty(self._facts()))
        assert self._answers is not None
        return self._answers[1]

    def _facts(self) -> _questions.Facts:
        x, request = self._flat_x(), self._hooks.request
        differences = int(self.get("nfev_differences", 0))
        return _questions.Facts(
            x=x,
            J=self["jacobian"],
            residuals=np.ravel(self["residuals"]),
            cost=float(self["cost"]),
            active=np.ravel(self["active_mask"]),
            names=tuple(self.names),
            lower=np.full(x.size, -np.inf) if request is None else request.lower,
            upper=np.full(x.size, np.inf) if request is None else request.upper,
            noise=_questions.noise_of(getattr(request, "jac", None), differences, getattr(request, "diff_step", ())),
            loss="linear" if request is None else request.loss,
            f_scale=1.0 if request is None else request.f_scale,
            known_errors=bool(self._hooks.absolute_sigma),
            residuals_at=None if self._hooks.refit is None else self._residuals_at,
        )

    def _residuals_at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The residuals elsewhere: a fit with nothing left free."""
        assert self._hooks.refit is not None
        refitted = self._hooks.refit(dict(enumerate(x.tolist())), x)
        return np.ravel(refitted["residuals"])

    def _summary(self) -> _report.Summary:
        uncertainty = self._uncertainty()
        return _report.Summary(
            result=self,
            names=uncertainty.facts.names,
            x=uncertainty.facts.x,
            stderr=uncertainty.stderr,
            intervals=uncertainty.intervals(_report.LEVEL),
            free=uncertainty.free,
            fixed=uncertainty.fixed,
            correlation=uncertainty.correlation,
            dof=uncertainty.dof,
            variance=uncertainty.variance,
            open=uncertainty.undetermined,
            cautions=uncertainty.cautions,
            timing=self.timing,
        )


def _flat(result: Result) -> NDArray[np.float64]:
    """The parameters as a vector, also where x is a tree."""
    hooked = result._hooks.x
    return np.ravel(np.asarray(result["x"], dtype=float)) if hooked is None else hooked


def _sigma_of(hooks: Hooks, at_data: bool) -> Any:
    """Errors of the observations that predictions are for, in the units of the fit's sigma."""
    sigma = 1.0 if hooks.sigma is None else np.asarray(hooks.sigma, dtype=float)
    if np.ndim(sigma) == 2:
        sigma = np.sqrt(np.diagonal(sigma))
    if at_data or np.ptp(sigma) == 0:
        return sigma if at_data else np.ravel(sigma)[0]
    raise ValueError("predict(x, band='prediction') needs sigma=, the errors at x: those of the data differ")


_STATUS = {int(status): status for status in Status}  # a lookup costs a tenth of the call Status(number)


def dress(result: Result, seconds: tuple[float, float, float] | None, notes: Sequence[str]) -> None:
    """What the core's plain report lacks as a Result. Times are no items, so that equal solves have equal items."""
    result["status"] = _STATUS[result["status"]]
    result["notes"] = list(notes)
    result.__dict__["_seconds"] = seconds
