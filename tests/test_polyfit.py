"""Polynomial fits: digits at high degree and odd offsets, exact conversion, covariances, data that say too little."""

from __future__ import annotations

import pickle
import sys
import types
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from marquardt import lstsq, polyfit

Array = np.ndarray
X16 = np.arange(1.0, 17)
Y16 = np.array([1, 3, 0, 1, 2, 4, 6, 7, 5, 5, 6, 7.2, 5.5, 4, 3.2, 5])
QUARTIC = np.array(
    [4.320673076923077, -3.3515882584477787, 0.9697320046439628, -0.08461679037336932, 0.0023208650869254582]
)


def test_quartic_through_sixteen_points() -> None:
    fit = polyfit(X16, Y16, 4)
    np.testing.assert_allclose(fit.x, QUARTIC, rtol=2e-14)
    np.testing.assert_allclose(2 * fit.cost, 17.164392266015717, rtol=1e-14)
    assert isinstance(fit.polynomial, Polynomial)
    np.testing.assert_allclose(fit.polynomial.convert().coef, QUARTIC, rtol=1e-11)
    np.testing.assert_allclose(fit(X16), Y16 - fit.residuals, rtol=1e-13)
    assert fit.success
    assert (fit.rank, fit.dof) == (5, 11)


def test_degree_twenty_on_a_thousand() -> None:
    """Values, where powers of x on [0, 1000] span 60 orders of magnitude."""
    x = np.linspace(0, 1000, 201)
    y = np.cos(x / 130) + 1e-3 * x
    fit = polyfit(x, y, 20)
    assert fit.condition < 100
    assert fit.rank == 21
    np.testing.assert_allclose(fit(x), y, atol=1e-10)
    grid = np.linspace(0, 1000, 997)
    np.testing.assert_allclose(fit(grid), np.cos(grid / 130) + 1e-3 * grid, atol=1e-9)
    np.testing.assert_allclose(fit.polynomial(grid), fit(grid), atol=1e-9)


@pytest.mark.parametrize("degree", [0, 1, 5, 20])
def test_conversion_is_exact(degree: int) -> None:
    """The powers of x are those of the Chebyshev series, in rational arithmetic, rounded once."""
    rng = np.random.default_rng(degree)
    x = rng.uniform(3, 1000, 60)
    fit = polyfit(x, rng.standard_normal(60), degree)
    center, half = (Fraction(float(v)) for v in fit.interval)
    u = [-center / half, 1 / half]  # (x - center) / half
    before: list[Fraction] = [Fraction(0)]
    now: list[Fraction] = [Fraction(1)]
    total = [Fraction(0)] * (degree + 1)
    for k, c in enumerate(fit.chebyshev.coef):
        for i, t in enumerate(now):
            total[i] += Fraction(float(c)) * t
        following = [Fraction(0)] * (len(now) + 1)
        for i, t in enumerate(now):
            following[i] += (1 if k == 0 else 2) * u[0] * t
            following[i + 1] += (1 if k == 0 else 2) * u[1] * t
        if k > 0:
            for i, t in enumerate(before):
                following[i] -= t
        before, now = now, following
    np.testing.assert_array_equal(fit.x, [float(t) for t in total])


@pytest.mark.parametrize(("shift", "stretch"), [(0, 1), (1e6, 1), (-3e8, 1e-3), (0, 1e-60), (0, 1e60)])
def test_offset_and_units_of_x_do_not_count(shift: float, stretch: float) -> None:
    t = np.linspace(-1, 1, 41)
    y = np.exp(t)
    reference = polyfit(t, y, 6)
    x = shift + stretch * t
    rounding = np.spacing(abs(shift)) / stretch if shift else 0
    np.testing.assert_allclose(polyfit(x, y, 6)(x), reference(t), rtol=1e-13 + 10 * rounding)


def test_covariance_is_that_of_the_powers() -> None:
    fit = polyfit(X16 / 8 - 1, Y16, 3)
    powers = lstsq(np.vander(X16 / 8 - 1, 4, increasing=True), Y16)
    np.testing.assert_allclose(fit.covariance(), powers.covariance(), rtol=1e-11)
    np.testing.assert_allclose(fit.covariance("known"), powers.covariance("known"), rtol=1e-11)
    np.testing.assert_allclose(fit.stderr(), powers.stderr(), rtol=1e-11)
    grid = np.array([-0.5, 0.1, 1.3])
    V = np.vander(grid, 4, increasing=True)
    np.testing.assert_allclose(fit.band(grid), np.sqrt(np.diag(V @ powers.covariance() @ V.T)), rtol=1e-10)


def test_against_numpy_polyfit() -> None:
    p, V = np.polyfit(X16, Y16, 2, cov=True)
    fit = polyfit(X16, Y16, 2)
    np.testing.assert_allclose(fit.x, p[::-1], rtol=1e-11)
    np.testing.assert_allclose(fit.covariance(), V[::-1, ::-1], rtol=1e-10)
    w = np.linspace(1, 3, 16)
    np.testing.assert_allclose(polyfit(X16, Y16, 2, weights=w**2).x, np.polyfit(X16, Y16, 2, w=w)[::-1], rtol=1e-11)
    np.testing.assert_allclose(polyfit(X16, Y16, 2, cov=np.diag(w**-2)).x, polyfit(X16, Y16, 2, weights=w**2).x)


def test_too_few_distinct_points() -> None:
    fit = polyfit([1, 1, 2, 2, 3], [1, 1, 2, 2, 3], 4)
    assert fit.rank == 3
    assert "3 distinct values" in fit.message
    assert "lower deg to 2" in fit.message
    np.testing.assert_allclose(fit([1, 2, 3]), [1, 2, 3], rtol=1e-13)
    one = polyfit([5, 5, 5], [1, 2, 3], 0)
    assert one.rank == 1
    np.testing.assert_allclose(one.x, [2], rtol=1e-15)
    assert polyfit([5.0], [3.0], 1).rank == 1


def test_beyond_the_range_is_no_success() -> None:
    t = np.linspace(0, 1e-200, 9)
    fit = polyfit(t, np.linspace(0, 1, 9) ** 3, 3)
    assert not fit.success
    assert "range" in fit.message
    np.testing.assert_allclose(fit(t), np.linspace(0, 1, 9) ** 3, atol=1e-14)


def test_pickle_and_repr() -> None:
    fit = polyfit(X16, Y16, 4)
    copy = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(copy.x, fit.x)
    np.testing.assert_array_equal(copy(X16), fit(X16))
    assert repr(fit).startswith("PolynomialFit(degree=4, rank=5")


class Axes:
    """Takes what is drawn."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def plot(self, *args: Any, label: str) -> None:
        assert all(np.all(np.isfinite(a)) for a in args if not isinstance(a, str))
        self.drawn.append(label)

    def fill_between(self, x: Array, low: Array, high: Array, *, alpha: float, label: str) -> None:
        assert np.all(low < high)
        self.drawn.append(label)

    def legend(self) -> None:
        self.drawn.append("legend")


def test_plot_draws_data_curve_and_band() -> None:
    axes = Axes()
    assert polyfit(X16, Y16, 4).plot(ax=axes) is axes
    assert axes.drawn == ["data", "degree 4", "two standard errors", "legend"]
    exact = Axes()
    polyfit([0, 1], [0, 1], 1).plot(ax=exact)
    assert exact.drawn == ["data", "degree 1", "legend"]


def test_plot_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install marquardt\[plot\]"):
        polyfit(X16, Y16, 1).plot()


def test_plot_makes_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = Axes()
    pyplot = types.ModuleType("matplotlib.pyplot")
    pyplot.figure = lambda: types.SimpleNamespace(add_subplot=lambda: axes)  # type: ignore[attr-defined]
    package = types.ModuleType("matplotlib")
    package.pyplot = pyplot  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    assert polyfit(X16, Y16, 1).plot() is axes


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        (([], [], 1), ValueError, "x must have one dimension"),
        (([[1, 2]], [[1, 2]], 1), ValueError, "x must have one dimension"),
        (([1, 2], [1], 1), ValueError, "y must have shape"),
        (([1, 2], [1, 2], -1), ValueError, "deg must be at least 0"),
        (([1, 2], [1, 2], 1.5), TypeError, "deg must be an integer"),
        (([1, np.inf], [1, 2], 1), ValueError, "x must be finite"),
    ],
)
def test_refusals(args: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        polyfit(*args)
