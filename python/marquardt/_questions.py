"""What a result can be asked: how sure the parameters are, what the data leave open, what the model predicts.

With J the Jacobian at the solution x, of the parameters that are free (neither fixed nor at a bound), its columns
scaled to length 1 by d, and J diag(1/d) = U S V' of numerical rank k:

    (J'J)^-1 = W W',    W = diag(1/d) V_k S_k^-1        of what is determined; infinite for the rest
    cov(x)   = s^2 (J'J)^-1,    s^2 = 2 cost / dof,    dof = m - k

(Bates & Watts, Nonlinear Regression Analysis and Its Applications, 1988, chapters 2 and 6). Under a robust loss with
psi(r) = d cost / d r the estimate is that of Huber (Robust Statistics, 1981, equation 7.6.6, without the factor K):

    s^2 = (sum psi^2 / dof) / (mean psi')^2

and J is that of the residuals. Parameters at a bound count as known: their variance is 0.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _student
from ._arguments import Vector
from ._isa import core as _core

_EPS = float(np.finfo(float).eps)
# Errors of Jacobians, relative to their columns: of a difference quotient eps^(1/2), or eps^(2/3) of a central one,
# times the curvature, and times the size of r over what the parameter contributes to it, for which there is room.
# NIST's 27 problems at their solutions have condition numbers of 2 to 6e4, well within either.
_ROOM = 64.0
_NOISE = {"2-point": _ROOM * _EPS ** (1 / 2), "3-point": _ROOM * _EPS ** (2 / 3), "cs": 0.0}
_NOISE_OF_OTHERS = _NOISE["2-point"]  # schemes that choose for themselves
_WORST_NOISE = 1e-4  # steps that the user chose may be wide where the model is straight
_WHOLE = 1e-3  # coefficients this near to small whole numbers are taken for them
_LARGEST_WHOLE = 4  # a**4 * b is a model that somebody wrote; a**17 * b is a coincidence
_CLEARLY = 0.01  # of two that change little, one that changes this much less is meant
_FACTORS = (0.5, -0.5, 0.1, -0.1, 0.02, -0.02)  # finite moves, relative to the parameter that moves most
_SAME_TAU = 1e-7  # relative error of an end of a profile interval: seven digits are more than anybody reads
_FARTHEST = 1e6  # a profile that has not ended this many times the parameter's size away has no end
_EVALUATIONS = 60  # of one side of a profile; two to six are usual


class Facts(NamedTuple):
    """All that uncertainty is computed from."""

    x: Vector
    J: NDArray[np.float64]  # its rows scaled by the loss
    residuals: Vector
    cost: float
    active: NDArray[Any]
    names: tuple[str, ...]
    lower: Vector
    upper: Vector
    noise: float  # of J, relative
    loss: Any = "linear"
    f_scale: Any = 1.0
    known_errors: bool = False  # residuals are in units of their standard deviations
    residuals_at: Callable[[Vector], Vector] | None = None  # the function, if it is still there


Trial = Callable[[Vector, bool], float]


def noise_of(jac: Any, differences: int, steps: Sequence[float] = ()) -> float:
    """Relative error of a Jacobian by how it was made; where that is not known (None), by whether differences were.

    `steps` are relative steps of differences that the user chose.
    """
    if jac is None:
        return _NOISE_OF_OTHERS if differences > 0 else 0.0
    if not isinstance(jac, str):
        return 0.0
    if len(steps) == 0 or jac == "cs":
        return float(_NOISE.get(jac, _NOISE_OF_OTHERS))
    h = np.abs(steps)
    truncation = h * h if jac == "3-point" else h
    return float(min(_ROOM * np.max(truncation + _EPS / h), _WORST_NOISE))


class Uncertainty:
    """The answers that follow from the Jacobian at the solution."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.n = facts.x.size
        self.m = facts.residuals.size
        self.fixed = facts.lower == facts.upper
        self.free = (facts.active == 0) & ~self.fixed
        weights, self._psi, self._slope = _of_loss(facts)
        J, kept = _unweighted(facts.J, weights)
        self.known = bool(np.isfinite(J).all()) and facts.J.shape == (self.m, self.n)
        self._factor(J[:, self.free] if self.known else np.zeros((0, int(self.free.sum()))))
        self._root /= math.sqrt(self.m / kept) if kept else 1.0
        self.dof = self.m - (self.rank if self.known else int(self.free.sum()))

    def _factor(self, J: NDArray[np.float64]) -> None:
        """W, the directions left open, and condition, from the triangle of J with columns of length 1."""
        largest = np.max(np.abs(J), axis=0, initial=0.0)
        sized = J / np.where(largest > 0, largest, 1)  # squares of entries may overflow
        lengths = np.linalg.norm(sized, axis=0)
        scaled = sized / np.where(lengths > 0, lengths, 1)
        self._lengths = lengths * largest
        self._per_length = 1 / np.where(self._lengths > 0, self._lengths, 1)
        if len(scaled) > scaled.shape[1]:
            scaled = np.asarray(np.linalg.qr(scaled, mode="r"))
        _, s, vt = np.linalg.svd(scaled, full_matrices=True)
        top = s[0] if s.size else 0.0
        cut = max(self.facts.noise, max(self.m, self.n) * _EPS) * top
        self.rank = int(np.count_nonzero(s > cut))
        n = scaled.shape[1]
        full = self.rank == n
        self.condition = (float(top / s[-1]) if n else 1.0) if full else math.inf
        self._root = self._per_length[:, None] * (vt[: self.rank].T / s[: self.rank])
        self.open = vt[self.rank :].T  # steps of the scaled parameters that change no residual
        # The open directions are known to the error of J over the gap above them; a tenth at worst.
        self._visible = min(10 * cut / s[self.rank - 1], 0.1) if self.rank else 0.1
        self.loose = np.linalg.norm(self.open, axis=1) > self._visible

    @functools.cached_property
    def variance(self) -> float:
        """s^2 as estimated from the residuals; NaN where nothing is left to estimate it from."""
        if self.dof <= 0:
            return math.nan
        if self._psi is None or self._slope is None:
            return 2 * self.facts.cost / self.dof
        slope = float(np.mean(self._slope))
        return float(self._psi @ self._psi) / self.dof / slope**2 if slope > 0 else math.nan

    @property
    def size(self) -> float:
        """Variance of the errors: 1 if known, infinite where nothing tells."""
        if self.facts.known_errors:
            return 1.0
        return self.variance if self.dof > 0 else math.inf

    @functools.cached_property
    def unit(self) -> NDArray[np.float64]:
        """(J'J)^-1, 0 for what is held, infinite for what is open, NaN beside that."""
        unit = np.zeros((self.n, self.n))
        if not self.known:
            unit[np.ix_(self.free, self.free)] = np.nan
            return unit
        block = self._root @ self._root.T
        block[self.loose, :] = np.nan
        block[:, self.loose] = np.nan
        block[self.loose, self.loose] = np.inf
        unit[np.ix_(self.free, self.free)] = block
        return unit

    def covariance(self, scale: bool | None = None) -> NDArray[np.float64]:
        """The covariance matrix; `scale` None: as the errors of the data are known or not."""
        if not (not self.facts.known_errors if scale is None else scale):
            return np.array(self.unit)
        if self.dof > 0:
            return _times(self.variance, self.unit)
        unknown = np.where(self.unit == 0, 0, np.nan)
        unknown[np.ix_(self.free, self.free)] = np.nan
        unknown[self.free, self.free] = np.inf if self.known else np.nan
        return unknown

    @functools.cached_property
    def stderr(self) -> Vector:
        return np.asarray(np.sqrt(np.diagonal(self.covariance())))

    @functools.cached_property
    def correlation(self) -> NDArray[np.float64]:
        lengths = np.sqrt(np.diagonal(self.unit))
        lengths = np.where((lengths > 0) & np.isfinite(lengths), lengths, np.nan)
        correlation = self.unit / lengths[:, None] / lengths
        np.fill_diagonal(correlation, np.where(np.isnan(lengths), np.nan, 1.0))
        return correlation

    def quantile(self, level: float) -> float:
        """How many standard errors an interval reaches to either side; NaN where they are not known."""
        level = _arguments.number("level", level)
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}")
        return -_student.quantile((1 - level) / 2, math.inf if self.facts.known_errors else self.dof)

    def reach(self, level: float, errors: Vector) -> Vector:
        """How far intervals reach; where nothing tells the size of the errors, as far as the standard errors."""
        quantile = self.quantile(level)
        return errors if math.isnan(quantile) else _times(quantile, errors)

    def intervals(self, level: float) -> NDArray[np.float64]:
        x, reach = self.facts.x, self.reach(level, self.stderr)
        return np.column_stack([np.maximum(x - reach, self.facts.lower), np.minimum(x + reach, self.facts.upper)])

    def spread(self, G: NDArray[np.float64]) -> Vector:
        """Standard errors of quantities with the derivatives G (a row each) by the parameters."""
        G = G[:, self.free]
        if not self.known:
            return np.full(len(G), np.nan)
        errors = _times(math.sqrt(self.size), np.linalg.norm(G @ self._root, axis=1))
        scaled = G * self._per_length
        along = np.linalg.norm(scaled @ self.open, axis=1)
        errors[along > self._visible * np.linalg.norm(scaled, axis=1)] = np.inf
        return np.asarray(errors)

    def with_free(self, i: int) -> Uncertainty:
        """The same where parameter i may move off its bound."""
        active = self.facts.active.copy()
        active[i] = 0
        return Uncertainty(self.facts._replace(active=active))

    @functools.cached_property
    def undetermined(self) -> list[str]:
        """A sentence for each group of parameters that the data determine in combination only."""
        if not self.known:
            return []
        where = np.flatnonzero(self.free)
        names = [self.facts.names[j] for j in where]
        x, steps = self.facts.x[where], _reduced(self.open, self._visible)
        said = []
        for group, columns in _groups(steps):
            if len(group) == 1:
                said.append(f"{names[group[0]]} has no influence on the residuals")
            else:
                moves = steps[np.ix_(group, columns)] * self._per_length[group, None]
                said.append(_sentence([names[j] for j in group], x[group], moves, self._trial(where[group])))
        return said

    def _trial(self, where: NDArray[np.intp]) -> Trial:
        """What a step changes, multiplied or added over a finite length, relative to what each part of it would."""
        facts = self.facts

        def change(step: Vector, multiplied: bool) -> float:
            if facts.residuals_at is None:
                return 0.0
            old = facts.x[where]
            sizes = np.abs(step) / np.where(old != 0, np.abs(old), np.abs(step) + (step == 0))
            for factor in _FACTORS:  # the farther the clearer, but within the bounds
                x, move = facts.x.copy(), factor / np.max(sizes) * step
                x[where] = old * np.exp(move / np.where(old != 0, old, 1)) if multiplied else old + move
                if not np.all((x >= facts.lower) & (x <= facts.upper)):
                    continue
                difference = np.ravel(facts.residuals_at(x)) - facts.residuals
                if np.isfinite(difference).all():
                    parts = np.linalg.norm(np.abs(facts.J[:, where]) @ np.abs(move))
                    return float(np.linalg.norm(difference) / parts)
            return 0.0

        return change

    @functools.cached_property
    def cautions(self) -> list[str]:
        """Why standard errors are missing, infinite, zero, or not to be trusted."""
        said = []
        if not self.known:
            return ["no standard errors: the Jacobian is not known at x"]
        if self.dof <= 0 and not self.facts.known_errors:
            said.append(
                f"no standard errors: {self.m} residuals leave no degrees of freedom to estimate their size from "
                f"beside {self.rank} determined directions; covariance(scale=False) takes it as 1"
            )
        if self._psi is not None and self.dof > 0 and not math.isfinite(self.variance):
            said.append("no standard errors: most residuals are where the loss no longer curves upwards")
        held = [
            name
            for name, free, fixed in zip(self.facts.names, self.free, self.fixed, strict=True)
            if not free and not fixed
        ]
        if held:
            verb = "is at a bound and counts" if len(held) == 1 else "are at bounds and count"
            said.append(f"{_and(held)} {verb} as known: standard error 0; profile() shows how far the data allow")
        return said


def _times(factor: float, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product in which zero stays zero and infinite infinite, whatever the factor, if that is a number."""
    with np.errstate(invalid="ignore"):
        product = factor * values
    if not math.isnan(factor):
        product[values == 0] = 0
        product[np.isinf(values)] = values[np.isinf(values)]
    return np.asarray(product)


# ------------------------------------------------------------------------------------------------- losses


def _of_loss(facts: Facts) -> tuple[Vector | None, Vector | None, Vector | None]:
    """What the loss scaled the rows of J by, psi, and psi'; None each for plain least squares."""
    if isinstance(facts.loss, str) and facts.loss == "linear":
        return None, None, None
    r = facts.residuals
    C = np.broadcast_to(np.asarray(facts.f_scale, dtype=float).reshape(-1), r.shape)
    with np.errstate(all="ignore"):
        z = (r / C) ** 2
        rho, first, second = np.asarray(facts.loss(z)) if callable(facts.loss) else _rho(facts.loss, z)
        weights = np.where(z > 0, np.sqrt(z / rho) * first, 1.0)
    return weights, r * first, first + 2 * z * second


def _rho(loss: str, z: Vector) -> tuple[Vector, Vector, Vector]:
    """rho(z) and its first two derivatives."""
    if loss == "soft_l1":
        q = np.sqrt(1 + z)
        return 2 * z / (q + 1), 1 / q, -0.5 / q**3
    if loss == "huber":
        q, out = np.sqrt(np.maximum(z, 1)), z > 1
        return np.where(out, 2 * q - 1, z), 1 / q, np.where(out, -0.5 / q**3, 0)
    if loss == "cauchy":
        return np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2
    if loss == "arctan":
        return np.arctan(z), 1 / (1 + z * z), -2 * z / (1 + z * z) ** 2
    if loss == "welsch":
        return -np.expm1(-z), np.exp(-z), -np.exp(-z)
    if loss == "tukey":
        q = np.maximum(1 - z, 0)
        return np.where(z < 1, z * (1 - z * (1 - z / 3)), 1 / 3), q * q, -2 * q  # without 1 - (1 - tiny)
    raise ValueError(f"the uncertainty under loss={loss!r} is not known")


def _unweighted(J: NDArray[np.float64], weights: Vector | None) -> tuple[NDArray[np.float64], int]:
    """The Jacobian of the residuals, and how many of its rows are there: a row of weight 0 is lost.

    Lost rows are taken to be like the others on average.
    """
    if weights is None or J.shape[0] != weights.size:
        return J, len(J)
    kept = np.isfinite(weights) & (weights > _EPS)
    return J[kept] / weights[kept, None] if not kept.all() else J / weights[:, None], int(kept.sum())


# ------------------------------------------------------------------------------------------------- what is open


def _reduced(basis: NDArray[np.float64], small: float) -> NDArray[np.float64]:
    """A basis of the same space with as many zeros as elimination gives; what is below `small` is none of it."""
    N = basis.copy()
    k = N.shape[1]
    used: list[int] = []
    for column in range(k):
        sizes = np.max(np.abs(N[:, column:]), axis=1)
        sizes[used] = 0
        row = int(np.argmax(sizes))
        best = column + int(np.argmax(np.abs(N[row, column:])))
        N[:, [column, best]] = N[:, [best, column]]
        N[:, column] /= N[row, column]
        others = [c for c in range(k) if c != column]
        N[:, others] -= np.outer(N[:, column], N[row, others])
        used.append(row)
    if k:
        N[np.abs(N) <= small * np.max(np.abs(N), axis=0)] = 0
    return np.asarray(N)


def _groups(steps: NDArray[np.float64]) -> list[tuple[list[int], list[int]]]:
    """Parameters that are tied together, with the columns that tie them."""
    groups: list[tuple[set[int], list[int]]] = []
    for column in range(steps.shape[1]):
        rows, columns = set(np.flatnonzero(steps[:, column]).tolist()), [column]
        for group in [g for g in groups if g[0] & rows]:
            rows |= group[0]
            columns += group[1]
            groups.remove(group)
        groups.append((rows, columns))
    return [(sorted(rows), sorted(columns)) for rows, columns in groups]


def _sentence(names: list[str], x: Vector, steps: NDArray[np.float64], change: Trial) -> str:
    """What is determined of parameters that steps along the columns of `steps` do not distinguish."""
    count, many = steps.shape
    relative = steps / x[:, None] if np.all(x != 0) else None
    if many == count - 1:  # one combination is left
        power = None if relative is None else _whole(_normal(relative))
        sums = _normal(steps)
        whole = _whole(sums)
        found: list[tuple[float, str]] = []
        if power is not None:
            found.append((change(steps[:, 0], True), _product(names, power)))
        if whole is not None:
            found.append((change(steps[:, 0], False), _sum(names, whole)))
        found = sorted((size, words) for size, words in found if size <= _WHOLE)
        if len(found) == 2 and found[0][0] < _CLEARLY * found[1][0]:
            found = found[:1]
        if found:
            if len(found) == 1:
                return f"only {found[0][1]} is determined"
            return f"only one combination, such as {' or '.join(words for _, words in found)}, is determined"
        sums = sums / math.copysign(np.max(np.abs(sums)), sums[0])
        return f"only the combination {_terms(names, sums)} is determined, to first order"
    moves = [_move(names, x, steps[:, c], change) for c in range(many)]
    return f"{_and(names)} are not determined separately: {'; '.join(moves)}"


def _normal(steps: NDArray[np.float64]) -> Vector:
    """The one direction at right angles to the columns."""
    sized = steps / np.max(np.abs(steps), axis=1, keepdims=True)  # rows may differ by the units of the parameters
    u, _, _ = np.linalg.svd(sized, full_matrices=True)
    return np.asarray(u[:, -1] / np.max(np.abs(steps), axis=1))


def _whole(direction: Vector) -> Vector | None:
    """The direction in small whole numbers, the first positive; None if it has none."""
    least = np.min(np.abs(direction))
    if not least > 0:
        return None
    for multiple in range(1, _LARGEST_WHOLE):
        scaled = direction * (multiple / least)
        rounded = np.round(scaled)
        if np.max(np.abs(scaled - rounded)) <= _WHOLE and np.max(np.abs(rounded)) <= _LARGEST_WHOLE:
            return np.asarray(rounded if rounded[0] > 0 else -rounded)
    return None


def _product(names: list[str], powers: Vector) -> str:
    """`the product a*b` or `the ratio a/b`."""
    factors = [name if abs(p) == 1 else f"{name}**{abs(p):.0f}" for name, p in zip(names, powers, strict=True)]
    above = [f for f, p in zip(factors, powers, strict=True) if p > 0]
    below = [f for f, p in zip(factors, powers, strict=True) if p < 0]
    if not below:
        return f"the product {'*'.join(above)}"
    bottom = "*".join(below)
    return f"the ratio {'*'.join(above)}/{bottom if len(below) == 1 else f'({bottom})'}"


def _sum(names: list[str], coefficients: Vector) -> str:
    """`the sum a + b` or `the difference a - b`."""
    kind = "sum" if np.all(coefficients > 0) else "difference" if len(names) == 2 else "combination"
    return f"the {kind} {_terms(names, coefficients)}"


def _terms(names: list[str], coefficients: Vector) -> str:
    """`a - 0.5*b`."""
    text = ""
    for name, c in zip(names, coefficients, strict=True):
        size = "" if abs(abs(c) - 1) <= _WHOLE else f"{abs(c):.3g}*"
        sign = (" - " if c < 0 else " + ") if text else ("-" if c < 0 else "")
        text += f"{sign}{size}{name}"
    return text


def _move(names: list[str], x: Vector, step: Vector, change: Trial) -> str:
    """One way to move parameters that changes no residual."""
    part = np.flatnonzero(step)
    names = [names[j] for j in part]
    if np.all(x[part] != 0):
        powers = _whole(step[part] / x[part])
        if powers is not None and change(step, True) <= _WHOLE:
            sides = ["" if p > 0 else "1/" for p in powers]
            factors = [
                side + ("t" if abs(p) == 1 else f"t**{abs(p):.0f}") for side, p in zip(sides, powers, strict=True)
            ]
            scaled = [f"{name} by {factor}" for name, factor in zip(names, factors, strict=True)]
            return f"multiplying {_and(scaled)} changes no residual"
    shift = step[part] / np.max(np.abs(step[part]))
    moved = [f"{name} by {c:.3g}*t" for name, c in zip(names, shift, strict=True)]
    return f"shifting {_and(moved)} changes no residual, to first order"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# ------------------------------------------------------------------------------------------------- profiles


class Profile(NamedTuple):
    """The likelihood of one parameter's values, all others fitted anew at each.

    Attributes
    ----------
    name : str
        The parameter.
    level : float
        Confidence level of the interval.
    interval : ndarray, shape (2,)
        Its ends; infinite where the cost never rises enough, a bound where it does not rise enough before.
    values : ndarray, shape (k,)
        Values of the parameter at which a fit was made, ascending.
    tau : ndarray, shape (k,)
        Square root of the rise of twice the cost over s^2, negative below the estimate. A straight line where the
        model is linear; intervals end where it is as large as the quantile of Student's t.
    cost : ndarray, shape (k,)
        Cost of each fit.
    x : ndarray, shape (k, n)
        All parameters of each fit.
    notes : list of str
        Remarks, such as that an end was not found or that a better fit was.
    """

    name: str
    level: float
    interval: Vector
    values: Vector
    tau: Vector
    cost: Vector
    x: NDArray[np.float64]
    notes: list[str]


Refit = Callable[[Mapping[int, float], Vector], Any]


def index_of(name: Any, names: Sequence[str]) -> int:
    """The place of a parameter given by name or index."""
    if isinstance(name, str):
        if name not in names:
            raise ValueError(f"there is no parameter {name!r}; the parameters are {', '.join(names)}")
        return list(names).index(name)
    try:
        i = operator.index(name)
    except TypeError:
        raise TypeError(f"a parameter is a name or an index, got {_arguments.brief(name)}") from None
    if not -len(names) <= i < len(names):
        raise ValueError(f"there is no parameter {i}; there are {len(names)}")
    return i % len(names)


def refit(minimise: Callable[..., Any], request: Any, fixed: Mapping[int, float], start: Vector) -> Any:
    """Solve a request again from `start` with some parameters fixed and with the tolerances off.

    Without tolerances a solve ends where rounding does not let it go on: small rises of the cost are to be seen.
    `minimise` and `request` are those of the layer above; bind them with functools.partial.
    """
    lower, upper, x0 = request.lower.copy(), request.upper.copy(), np.array(start, dtype=float)
    for i, value in fixed.items():
        x0[i] = lower[i] = upper[i] = value
    options = request.options | {"ftol": 0.0, "xtol": 0.0, "gtol": 0.0, "keep_iterates": False}
    options["max_nfev"] = max(options["max_nfev"], 100 * x0.size)  # one step less is no reason to end early
    x0 = np.clip(x0, lower, upper)
    again = request._replace(x0=x0, lower=lower, upper=upper, options=options, observe=None, notes=())
    return minimise(again, lambda result, report: result)


class _Profiler:
    """Fits with one parameter fixed, kept for the next to start from."""

    def __init__(self, uncertainty: Uncertainty, solve: Refit, flat: Callable[[Any], Vector], i: int) -> None:
        self.i, self.solve, self.flat = i, solve, flat
        self.facts = uncertainty.facts
        self.freed = uncertainty if uncertainty.free[i] else uncertainty.with_free(i)
        self.notes: list[str] = []
        best = solve({}, self.facts.x)
        better = np.isfinite(best["cost"]) and best["cost"] <= self.facts.cost
        self.x = flat(best) if better else self.facts.x
        self.cost = float(best["cost"]) if better else self.facts.cost
        self.center = float(self.x[i])
        self.fits: dict[float, tuple[float, Vector]] = {self.center: (self.cost, self.x)}
        self.spread = self._spread()
        unit = self.freed.unit[:, i]
        self.along = unit / unit[i] if np.isfinite(unit).all() and unit[i] > 0 else np.zeros(self.x.size)

    def _spread(self) -> float:
        """s^2 in units of twice the cost: what a rise of it is measured by."""
        freed = self.freed
        if freed._psi is None or freed._slope is None:
            return 1.0 if self.facts.known_errors else freed.variance
        return freed.variance * float(np.mean(freed._slope))  # the cost curves by psi' J'J

    def tau(self, value: float) -> float:
        """Signed root of the rise of twice the cost over s^2."""
        cost = self.fit(value)[0]
        rise = max(cost - self.cost, 0.0) if math.isfinite(cost) else math.inf
        return math.copysign(math.sqrt(2 * rise / self.spread), value - self.center)

    def fit(self, value: float) -> tuple[float, Vector]:
        if value not in self.fits:
            near = min(self.fits, key=lambda known: abs(known - value))
            start = self.fits[near][1] + self.along * (value - near)
            start[self.i] = value
            start = np.clip(start, self.facts.lower, self.facts.upper)
            result = self.solve({self.i: value}, start)
            cost = float(result["cost"])
            self.fits[value] = (cost if math.isfinite(cost) else math.inf, self.flat(result))
            name = self.facts.names[self.i]
            if not result["success"]:
                self.notes.append(f"the fit at {name} = {value:.6g} did not succeed: {result['message']}")
            if cost < self.cost * (1 - _SAME_TAU):
                self.notes.append(
                    f"a better fit was found at {name} = {value:.6g}, cost {cost:.6g} instead of {self.cost:.6g}: "
                    "solve again from there"
                )
        return self.fits[value]

    def end(self, sign: int, target: float) -> float:
        """Where tau reaches the target on one side."""
        wall = float((self.facts.upper if sign > 0 else self.facts.lower)[self.i])
        room = abs(wall - self.center)
        size = abs(self.center) or 1.0
        first = target * math.sqrt(self.spread * self.freed.unit[self.i, self.i])
        if self.freed._slope is not None:
            first /= math.sqrt(float(np.mean(self.freed._slope)))
        reach = min(first if math.isfinite(first) and first > 0 else 0.1 * size, room)
        if reach <= 8 * _EPS * size:  # the data are fitted to rounding, or there is no room
            return self.center + sign * reach
        inside, below = 0.0, -target
        for _ in range(_EVALUATIONS):
            rest = abs(self.tau(self._at(sign, reach, wall, room))) - target
            if abs(rest) <= _SAME_TAU * target:
                return self._at(sign, reach, wall, room)
            if rest > 0:
                return self._between(sign, (inside, below), (reach, rest), target)
            if reach >= room:
                return wall
            if reach > _FARTHEST * max(size, first if math.isfinite(first) else 0):
                break
            inside, below = reach, rest
            tau = rest + target
            growth = target / tau if tau > 0 else math.inf
            reach = min(reach * min(max(1.1 * growth, 1.3), 4.0), room)  # past the end, but not far past
        self.notes.append(
            f"{self.facts.names[self.i]} has no {'upper' if sign > 0 else 'lower'} end: "
            f"the cost does not rise enough up to {self.center + sign * reach:.3g}"
        )
        return sign * math.inf

    def _between(self, sign: int, low: tuple[float, float], high: tuple[float, float], target: float) -> float:
        """The root between two distances, by false position; an end that stays weighs half (Illinois)."""
        (a, fa), (b, fb) = low, high
        if not math.isfinite(fb):
            fb = target  # a cost that is infinite says no more than too far
        moved = 0  # which end the last point replaced
        for _ in range(_EVALUATIONS):
            c = a + (b - a) * fa / (fa - fb)
            f = abs(self.tau(self.center + sign * c)) - target
            if abs(f) <= _SAME_TAU * target or b - a <= 8 * _EPS * abs(self.center):
                return self.center + sign * c
            if f > 0:
                b, fb = c, f if math.isfinite(f) else target
                fa = fa / 2 if moved == 1 else fa
                moved = 1
            else:
                a, fa = c, f
                fb = fb / 2 if moved == -1 else fb
                moved = -1
        self.notes.append(f"an end of {self.facts.names[self.i]} is known to {abs(b - a):.1g} only")
        return self.center + sign * b

    def _at(self, sign: int, reach: float, wall: float, room: float) -> float:
        return wall if reach >= room else self.center + sign * reach


def profile(
    uncertainty: Uncertainty, solve: Refit, flat: Callable[[Any], Vector], i: int, level: float, points: Any
) -> Profile:
    """Profile likelihood of parameter i (Bates & Watts 1988, section 6.1)."""
    facts = uncertainty.facts
    name = facts.names[i]
    if uncertainty.fixed[i]:
        raise ValueError(f"{name} is fixed: there is nothing to profile")
    wanted = uncertainty.quantile(level)
    profiler = _Profiler(uncertainty, solve, flat, i)
    if not (math.isfinite(wanted) and math.isfinite(profiler.spread)):
        raise ValueError("a profile needs the size of the errors: " + "; ".join(uncertainty.cautions))
    ends = np.array([profiler.end(sign, wanted) for sign in (-1, 1)])
    if points is not None:
        for value in _values(points, np.where(np.isfinite(ends), ends, [min(profiler.fits), max(profiler.fits)])):
            profiler.fit(min(max(float(value), float(facts.lower[i])), float(facts.upper[i])))
    values = sorted(profiler.fits)
    costs = np.array([profiler.fits[value][0] for value in values])
    tau = np.array([profiler.tau(value) for value in values])
    x = np.array([profiler.fits[value][1] for value in values])
    return Profile(name, level, ends, np.array(values), tau, costs, x, profiler.notes)


def _values(points: Any, ends: Vector) -> Vector:
    """So many values between the ends, or the values given."""
    if np.ndim(points) == 0:
        return np.linspace(ends[0], ends[1], _arguments.count("points", points, 2))
    return _arguments.finite("points", points).reshape(-1)


# ------------------------------------------------------------------------------------------------- predictions


def predict(
    uncertainty: Uncertainty,
    model: Callable[..., Any],
    xdata: Any,
    band: str | None,
    level: float,
    sigma: Any,
) -> Any:
    """Values of the model, with a band of confidence or prediction on request: linear in the parameters."""
    facts = uncertainty.facts
    y = np.asarray(model(xdata, facts.x.copy()), dtype=float)
    if band is None:
        return y
    _arguments.choice("band", band, ("confidence", "prediction"))
    _, G, _ = _core.difference_jacobian(
        lambda p: np.asarray(model(xdata, p), dtype=float).reshape(-1),
        (), facts.x, facts.lower, facts.upper, "3-point", False,
    )  # fmt: skip
    errors = uncertainty.spread(G)
    if band == "prediction":
        errors = np.hypot(
            errors, math.sqrt(uncertainty.size) * np.broadcast_to(np.asarray(sigma, dtype=float), y.shape).reshape(-1)
        )
    reach = uncertainty.reach(level, errors).reshape(y.shape)
    return y, y - reach, y + reach
