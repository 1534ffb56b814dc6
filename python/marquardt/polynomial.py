"""`polyfit`: polynomials of any degree, fitted in Chebyshev polynomials and converted exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arguments, _linear, _result


class PolynomialFit(_result.Fields):
    """The outcome of `polyfit`; calling it evaluates the fitted polynomial. Fields are attributes and mapping items.

    Attributes
    ----------
    polynomial : numpy.polynomial.Polynomial
        The fit, with the interval of the data as its domain. ``polynomial.convert()`` gives powers of x.
    chebyshev : numpy.polynomial.Chebyshev
        The same in the basis in which it was found; calling the result evaluates this.
    x : ndarray, shape (deg + 1,)
        Coefficients of ascending powers of x, each converted without rounding and rounded once.
    success : bool
        False where a coefficient is beyond the range of floating point numbers.
    message : str
        Whether the data determine the polynomial.
    residuals : ndarray, shape (m,)
        y less the fitted values, unweighted.
    cost : float
        ``0.5 * sum(residuals**2)``; weighted by `weights` or `cov`.
    rank : int
        Coefficients that the data determine.
    condition : float
        Condition of the fit in Chebyshev polynomials, columns scaled; infinite if rank-deficient.
    dof : float
        Degrees of freedom: observations less rank.
    fit : LinearResult
        The linear fit behind it; its variables are the Chebyshev coefficients.
    """

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the fitted values at x."""
        values: NDArray[np.float64] = self["chebyshev"](np.asarray(x, dtype=float))
        return values

    def __repr__(self) -> str:
        return f"PolynomialFit(degree={len(self['x']) - 1}, rank={self['rank']}, cost={self['cost']:.6g})"

    def covariance(self, scale: str = "estimated") -> NDArray[np.float64]:
        """Covariance matrix of the coefficients `x`, shape (deg + 1, deg + 1).

        Parameters
        ----------
        scale : {'estimated', 'known'}
            As in `LinearResult.covariance`.
        """
        variance = self["fit"].variance(scale)
        center, half = self._interval()
        exact = [_to_powers(row, center, half)[1] for row in np.eye(len(self["x"]))]
        root = np.array(exact).T @ self["fit"].root()
        return np.asarray(variance * (root @ root.T))

    def stderr(self, scale: str = "estimated") -> NDArray[np.float64]:
        """Return the standard errors of the coefficients `x`."""
        return np.sqrt(np.diagonal(self.covariance(scale)))

    def band(self, x: ArrayLike, scale: str = "estimated") -> NDArray[np.float64]:
        """Return the standard error of the fitted curve at each x."""
        center, half = self._interval()
        basis = _chebyshev_basis((np.asarray(x, dtype=float) - center) / half, len(self["x"]) - 1)
        return np.asarray(np.sqrt(self["fit"].variance(scale)) * np.linalg.norm(basis @ self["fit"].root(), axis=-1))

    def plot(self, ax: Any = None, points: int = 400) -> Any:
        """Draw data, curve and, where it can be estimated, a band of two standard errors; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        points : int
            Points of the curve.

        Returns
        -------
        matplotlib Axes
        """
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError:
                raise ImportError(
                    "plot() needs matplotlib, which is not installed: pip install marquardt[plot]"
                ) from None
            ax = plt.figure().add_subplot()
        data, values = self["data"]
        grid = np.linspace(np.min(data), np.max(data), _arguments.count("points", points, 2))
        curve = self(grid)
        ax.plot(data, values, "o", label="data")
        ax.plot(grid, curve, "-", label=f"degree {len(self['x']) - 1}")
        if self["dof"] > 0 and self["rank"] == len(self["x"]):
            error = 2 * self.band(grid)
            ax.fill_between(grid, curve - error, curve + error, alpha=0.25, label="two standard errors")
        ax.legend()
        return ax

    def _interval(self) -> tuple[float, float]:
        return self["interval"]  # type: ignore[no-any-return]


def polyfit(
    x: Any,
    y: Any,
    deg: int,
    *,
    weights: Any = None,
    cov: Any = None,
    rcond: float | None = None,
) -> PolynomialFit:
    """Fit a polynomial of degree `deg` to y at x by least squares.

    The fit is made in Chebyshev polynomials on the interval of the data, where it is well-conditioned whatever the
    units and offset of x, and converted to powers in whole numbers, without rounding.

    Parameters
    ----------
    x : array_like, shape (m,)
        Where the observations are.
    y : array_like, shape (m,)
        Observations.
    deg : int
        Degree, at least 0.
    weights : array_like, shape (m,), optional
        How much each squared residual counts, as in `lstsq`: ``1 / s**2`` for standard deviations s. (The `w` of
        ``numpy.polyfit`` is the square root of this.)
    cov : array_like, shape (m, m), optional
        Covariance of the errors of y.
    rcond : float, optional
        As in `lstsq`.

    Returns
    -------
    PolynomialFit

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Examples
    --------
    >>> from marquardt import polyfit
    >>> fit = polyfit([1000, 1001, 1002, 1003], [1, 2, 5, 10], 2)
    >>> [round(c, 6) for c in fit.x.tolist()]
    [1000001.0, -2000.0, 1.0]
    >>> round(float(fit(1004)), 9)
    17.0
    """
    data, values = _arguments.finite("x", x), _arguments.finite("y", y)
    if data.ndim != 1 or data.size == 0:
        raise ValueError(f"x must have one dimension and at least one entry, got shape {data.shape}")
    if values.shape != data.shape:
        raise ValueError(f"y must have shape {data.shape} as x has, got shape {values.shape}")
    degree = _arguments.count("deg", deg, 0)
    low, high = float(np.min(data)), float(np.max(data))
    center, half = low / 2 + high / 2, high / 2 - low / 2
    if not half > 0:
        half = 1.0
    if not half > np.spacing(abs(center)):  # the next numbers beside it: no interval at all
        half = float(np.spacing(abs(center)))
    basis = _chebyshev_basis((data - center) / half, degree)
    fit = _linear.lstsq(basis, values, weights=weights, cov=cov, rcond=rcond)
    inside, powers = _to_powers(fit.x, center, half)
    domain = [center - half, center + half]
    message = "The data determine the polynomial."
    if fit.rank <= degree:
        distinct = np.unique(data).size
        why = (
            f"x has {distinct} distinct values" if distinct <= degree else f"to rounding the data have rank {fit.rank}"
        )
        message = f"The data do not determine all {degree + 1} coefficients, {why}: lower deg to {fit.rank - 1}."
    success = bool(fit.success and np.all(np.isfinite(powers)))
    if not success:
        message = "A coefficient is beyond the range of floating point numbers: rescale x or y."
    from numpy.polynomial import Chebyshev, Polynomial  # not at import: NumPy leaves it out too, and it takes 10 ms

    return PolynomialFit(
        polynomial=Polynomial(inside, domain=domain),
        chebyshev=Chebyshev(fit.x, domain=domain),
        x=powers,
        success=success,
        message=message,
        residuals=fit.residuals,
        cost=fit.cost,
        rank=fit.rank,
        condition=fit.condition,
        dof=fit.dof,
        fit=fit,
        interval=(center, half),
        data=(data, values),
    )


def _chebyshev_basis(u: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """The values of T_0 to T_degree at u, a column each."""
    from numpy.polynomial.chebyshev import chebvander

    return np.asarray(chebvander(u, degree), dtype=np.float64)


def _to_powers(coefficients: Any, center: float, half: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients of powers of u = (x - center) / half and of x, from those of T_k(u).

    Floating point numbers are whole numbers over powers of two, so that all sums here are exact. Only the last division
    rounds.
    """
    if not np.all(np.isfinite(coefficients)):
        nothing = np.full(len(coefficients), np.nan)
        return nothing, nothing
    ratios = [float(c).as_integer_ratio() for c in coefficients]
    unit = max(d for _, d in ratios)
    inside = _powers_of_u([n * (unit // d) for n, d in ratios])
    (c, c_unit), (h, h_unit) = center.as_integer_ratio(), half.as_integer_ratio()
    grain = max(c_unit, h_unit)
    c, h = c * (grain // c_unit), h * (grain // h_unit)
    # sum p_i ((g x - c) / h)^i with g the grain: times h^n, whole numbers, by Horner's rule in t = g x
    n = len(inside) - 1
    outside = [0]
    for i in range(n, -1, -1):
        longer = [0, *outside]
        for j, value in enumerate(outside):
            longer[j] -= c * value
        longer[0] += inside[i] * h ** (n - i)
        outside = longer
    powers = [_divide(value * grain**j, unit * h**n) for j, value in enumerate(outside[: n + 1])]
    return np.array([_divide(p, unit) for p in inside]), np.array(powers)


def _powers_of_u(coefficients: list[int]) -> list[int]:
    """Whole coefficients of u^i for those of T_k(u), by T_k = 2 u T_(k-1) - T_(k-2)."""
    total = [0] * len(coefficients)
    before, now = [0], [1]
    for k, c in enumerate(coefficients):
        for i, t in enumerate(now):
            total[i] += c * t
        following = [0, *(t if k == 0 else 2 * t for t in now)]
        for i, t in enumerate(before if k > 0 else []):
            following[i] -= t
        before, now = now, following
    return total


def _divide(numerator: int, denominator: int) -> float:
    """Return the quotient rounded once; infinite beyond the range."""
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf
