"""Evaluations and answers of `lsqtr` on problems that are known by the digit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from helpers import (
    DECAY,
    TR_METHODS,
    Recorder,
    T,
    decay,
    decay_jacobian,
    rosenbrock,
    rosenbrock_jacobian,
)
from marquardt import lsqtr

Array = np.ndarray
EACH_METHOD = pytest.mark.parametrize("method", TR_METHODS)


def wood(x: Array) -> Array:
    """Return Wood's function as seven residuals; the sum of squares is twice the usual one."""
    a, b, c, d = x
    return np.sqrt([200, 2, 180, 2, 0.4, 0.4, 19.8]) * [b - a**2, 1 - a, d - c**2, 1 - c, b - 1, d - 1, b + d - 2]


def wood_jacobian(x: Array) -> Array:
    a, c = x[0], x[2]
    rows = [
        [-2 * a, 1, 0, 0],
        [-1, 0, 0, 0],
        [0, 0, -2 * c, 1],
        [0, 0, -1, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 1],
        [0, 1, 0, 1],
    ]
    return np.sqrt([200, 2, 180, 2, 0.4, 0.4, 19.8])[:, None] * rows


def powell(x: Array) -> Array:
    a, b, c, d = x
    return np.array([a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2])


def powell_jacobian(x: Array) -> Array:
    a, b, c, d = x
    u, v = 2 * (b - 2 * c), 2 * np.sqrt(10) * (a - d)
    return np.array([[1, 10, 0, 0], [0, 0, np.sqrt(5), -np.sqrt(5)], [0, u, -2 * u, 0], [v, 0, 0, -v]])


def beale(x: Array) -> Array:
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** np.arange(1, 4))


def beale_jacobian(x: Array) -> Array:
    i = np.arange(1, 4)
    return np.stack([x[1] ** i - 1, x[0] * i * x[1] ** (i - 1.0)], axis=1)


NOISY = decay(DECAY) - 0.05 * np.random.default_rng(0).standard_normal(T.size)


@dataclass(frozen=True)
class Count:
    """A solve with default tolerances, the evaluations that a good trust-region method takes, and where it ends."""

    fun: Callable[[Array], Array]
    jac: Callable[[Array], Array]
    x0: tuple[float, ...]
    nfev: int
    cost: float
    x: tuple[float, ...] | None = None
    keywords: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


VALLEY: Any = (rosenbrock, rosenbrock_jacobian, (-1.2, 1.0))
BOX: dict[str, Any] = {"bounds": ([0, 0], [0.8, 2])}
FIT: Any = (lambda p: decay(p) + NOISY, decay_jacobian, (1.0, 1.0, 1.0))
FIT_BOX: dict[str, Any] = {"bounds": ([0, 0, 0], [3, 1.2, 2])}
WOOD_BOX: dict[str, Any] = {"bounds": (-10, [0.9, 2, 2, 0.7])}
# One evaluation is allowed beyond each count: rounding decides about the last.
COUNTS = {
    "valley": Count(*VALLEY, 13, 0.0, (1, 1)),
    "valley-unscaled": Count(*VALLEY, 25, 0.0, (1, 1), {"x_scale": 1}),
    "valley-short": Count(*VALLEY, 20, 0.0, (1, 1), {}, {"initial_trust_radius": 0.15}),
    # the factor of the gradient that leads to the Cauchy point, 0.5003, and its geometric mean with the length of x0
    "valley-factor": Count(*VALLEY, 13, 0.0, (1, 1), {}, {"initial_trust_radius": 0.5003}),
    "valley-mean": Count(*VALLEY, 11, 0.0, (1, 1), {}, {"initial_trust_radius": 3.907}),
    # the same rules with the Cauchy step's length itself: a worse guess here, 3.14 and 9.79
    "valley-conngould": Count(*VALLEY, 13, 0.0, (1, 1), {}, {"initial_trust_radius": "conngould"}),
    "valley-mix": Count(*VALLEY, 16, 0.0, (1, 1), {}, {"initial_trust_radius": "mix"}),
    "box": Count(rosenbrock, rosenbrock_jacobian, (0.5, 0.5), 10, 0.02, (0.8, 0.64), BOX),
    "box-corner": Count(rosenbrock, rosenbrock_jacobian, (0.0, 0.0), 25, 0.02, (0.8, 0.64), BOX),
    "fit": Count(*FIT, 6, 0.04318800044),
    "fit-box": Count(*FIT, 8, 0.08180203117, None, FIT_BOX),
    "powell": Count(powell, powell_jacobian, (3.0, -1.0, 0.0, 1.0), 11, 0.0, (0, 0, 0, 0)),
    "beale": Count(beale, beale_jacobian, (1.0, 1.0), 9, 0.0, (3, 0.5)),
    "wood-box": Count(wood, wood_jacobian, (-3.0, -1.0, -3.0, -1.0), 24, 4.533292714, None, WOOD_BOX),
}


@pytest.mark.parametrize("name", COUNTS, ids=str)
@EACH_METHOD
def test_known_counts(method: str, name: str) -> None:
    c = COUNTS[name]
    result = lsqtr(c.fun, c.x0, c.jac, verbose=0, options={"tr_method": method} | c.options, **c.keywords)
    assert result.success
    assert result.cost == pytest.approx(c.cost, rel=1e-6, abs=1e-10)
    if c.x is not None:
        np.testing.assert_allclose(result.x, c.x, rtol=1e-6, atol=5e-3 if name == "powell" else 0)
    assert result.njev <= result.nfev
    assert result.nfev <= c.nfev + 1


def test_the_first_radii_of_the_valley() -> None:
    """The first radius is ||D x0||, and the step is then cut to a quarter, doubled, and cut again."""
    result = lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=0)
    np.testing.assert_allclose(result.alltr[:4], [30.5103, 7.6276, 15.2552, 3.8138], rtol=1e-4)


def six_parameters(p: Array, x: Array) -> Array:
    tail = sum(p[3 + i] ** (i + 1) * (x + 2) ** (-2.0 * i) for i in range(3))
    return p[0] * x + np.exp(-p[1] * x**2) + 3 * np.cos(np.sin(p[2] * x - p[3] * x**2)) + tail


def six_parameters_jacobian(p: Array, x: Array) -> Array:
    u = p[2] * x - p[3] * x**2
    k = -3 * np.sin(np.sin(u)) * np.cos(u)
    tail = [(i + 1) * p[3 + i] ** i * (x + 2) ** (-2.0 * i) for i in range(3)]
    return np.stack([x, -(x**2) * np.exp(-p[1] * x**2), k * x, tail[0] - k * x**2, *tail[1:]], axis=1)


SIX, GRID = np.array([1.0, 2, 3, 4, 1, 2]), np.linspace(-1, 1, 100)


def misfit(p: Array) -> Array:
    return six_parameters(p, GRID) - six_parameters(SIX, GRID)


def misfit_jacobian(p: Array) -> Array:
    return six_parameters_jacobian(p, GRID)


def near_six(seed: int) -> Array:
    return SIX + 0.25 * (np.random.default_rng(seed).random(6) - 0.5)


@EACH_METHOD
def test_an_exact_fit(method: str) -> None:
    """Six parameters from 100 exact points, in steps that are never longer than a quarter."""
    options = {"initial_trust_radius": 0.15, "max_trust_radius": 0.25, "tr_method": method}
    result = lsqtr(misfit, near_six(0), misfit_jacobian, verbose=0, x_scale=1, options=options)
    assert result.success
    np.testing.assert_allclose(result.x, SIX, rtol=1e-7)
    assert result.nfev <= 6
    assert max(result.alltr) <= 0.25


@EACH_METHOD
def test_a_start_at_the_solution_is_not_moved(method: str) -> None:
    rng = np.random.default_rng(0)
    A, b = rng.uniform(size=(20, 10)), rng.uniform(size=20)
    x0 = np.linalg.lstsq(A, b, rcond=None)[0]
    result = lsqtr(lambda x: A @ x - b, x0, lambda x: A, verbose=0, options={"tr_method": method})
    assert result.success
    assert (result.nfev, result.njev, result.nit) == (1, 1, 0)
    np.testing.assert_array_equal(result.x, x0)


@EACH_METHOD
def test_a_bounded_fit_agrees_with_scipy(method: str) -> None:
    x0 = np.clip(near_six(5), 2, np.inf)
    tolerances: dict[str, float] = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-8}
    peer = least_squares(misfit, np.maximum(x0, 2 + 1e-10), misfit_jacobian, bounds=(2, np.inf), **tolerances)
    result = lsqtr(
        misfit,
        x0,
        misfit_jacobian,
        bounds=(2, np.inf),
        x_scale=1,
        verbose=0,
        options={"tr_method": method},
        **tolerances,
    )
    assert result.success
    np.testing.assert_allclose(result.x, peer.x, rtol=1e-6, atol=1e-6)
    assert result.cost == pytest.approx(8.534014175, rel=1e-9)
    assert result.active_mask.tolist() == [-1, 0, 0, 0, -1, -1]


@EACH_METHOD
def test_a_bounded_fit_takes_few_evaluations(method: str) -> None:
    """Convergence is slow and linear here, which takes 59; looking for a way on at the end adds none."""
    result = lsqtr(
        misfit,
        np.clip(near_six(5), 2, np.inf),
        misfit_jacobian,
        bounds=(2, np.inf),
        x_scale=1,
        ftol=1e-14,
        xtol=1e-14,
        gtol=1e-8,
        verbose=0,
        options={"tr_method": method},
    )
    assert result.nfev <= 59


@pytest.mark.parametrize("seed", range(6))
@EACH_METHOD
def test_overstepping_with_a_noisy_jacobian(method: str, seed: int) -> None:
    """x is never worse than the start, and where every trial is worse it is the start, to the last bit."""
    rng = np.random.default_rng(seed)
    noise = 100 * rng.standard_normal((GRID.size, 6))
    fun = Recorder(misfit)
    result = lsqtr(
        fun,
        near_six(seed),
        lambda p: misfit_jacobian(p) + noise,
        verbose=0,
        ftol=None,
        gtol=None,
        xtol=1e-3,
        maxiter=5,
        options={"tr_method": method},
    )
    costs = [0.5 * float(np.sum(misfit(x) ** 2)) for x in fun.points]
    assert result.cost == pytest.approx(min(costs), rel=1e-12)
    assert len(result.alltr) > 1
    if min(costs) == costs[0]:
        np.testing.assert_array_equal(result.x, near_six(seed))


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-12, None])
@EACH_METHOD
def test_a_saddle_is_not_reported_as_the_minimum(method: str, tolerance: float | None) -> None:
    """Wood's function passes a saddle of cost 7.877 on the way; the minimum is 0."""
    result = lsqtr(
        wood,
        [-3, -1, -3, -1],
        wood_jacobian,
        verbose=0,
        ftol=tolerance,
        xtol=tolerance,
        gtol=tolerance,
        options={"tr_method": method},
    )
    if result.success:
        np.testing.assert_allclose(result.x, np.ones(4), rtol=1e-4)
        assert result.cost < 1e-8
    assert min(np.abs(result.history["cost"] - 7.877)) < 0.01
