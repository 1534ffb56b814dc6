"""Robust losses on both nonlinear faces: the cost they name is what is minimised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from helpers import FACES, Array, decay_to, solve

EACH_FACE = pytest.mark.parametrize("face", FACES)
LOSSES = ("linear", "soft_l1", "huber", "cauchy", "arctan", "tukey")
T = np.linspace(0, 4, 60)


def rho(name: str, z: Array) -> Array:
    """Return rho(z) as the documentation has it."""
    match name:
        case "linear":
            return z
        case "soft_l1":
            return 2 * (np.sqrt(1 + z) - 1)
        case "huber":
            return np.where(z <= 1, z, 2 * np.sqrt(z) - 1)
        case "cauchy":
            return np.log1p(z)
        case "arctan":
            return np.arctan(z)
        case _:
            return np.where(z <= 1, (1 - (1 - np.minimum(z, 1)) ** 3) / 3, 1 / 3)


def data(seed: int) -> Array:
    """Return a decay with noise of 0.05 and one datum in ten far off."""
    rng = np.random.default_rng(seed)
    y = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * rng.standard_normal(T.size)
    y[rng.choice(T.size, 6, replace=False)] += rng.uniform(1, 4, 6)
    return y


def cost_of(loss: str, r: Array, scale: Any) -> float:
    return 0.5 * float(np.sum(np.broadcast_to(scale, r.shape) ** 2 * rho(loss, (r / scale) ** 2)))


@pytest.mark.parametrize("bounded", [False, True], ids=["free", "boxed"])
@pytest.mark.parametrize("loss", LOSSES)
@EACH_FACE
def test_the_loss_is_minimised(face: str, loss: str, bounded: bool) -> None:
    for seed in range(3):
        fun, jac = decay_to(T, data(seed))
        bounds = (-np.inf, [np.inf, 1.0, np.inf]) if bounded else (-np.inf, np.inf)
        result = solve(face, fun, [2.0, 0.9, 0.3], jac, bounds=bounds, loss=loss, f_scale=0.1)
        assert result.success, result.message
        np.testing.assert_array_equal(result.residuals, fun(result.x))
        assert result.cost == pytest.approx(cost_of(loss, result.residuals, 0.1), rel=1e-12)
        if loss != "tukey":
            peer = least_squares(
                fun, [2.0, 0.9, 0.3], jac, bounds=bounds, loss=loss, f_scale=0.1, xtol=1e-15, ftol=1e-15, gtol=1e-12
            )
            assert result.cost <= peer.cost * (1 + 1e-6)
        if not bounded and loss not in ("linear", "soft_l1"):
            np.testing.assert_allclose(result.x[[0, 2]], [2.5, 0.5], atol=0.25)  # outliers do not pull


@pytest.mark.parametrize("loss", LOSSES)
@EACH_FACE
def test_the_gradient_is_that_of_the_cost(face: str, loss: str) -> None:
    fun, jac = decay_to(T, data(3))
    x = np.array([2.0, 0.9, 0.3])
    key = "max_nfev" if face == "lm" else "options"
    result = solve(face, fun, x, jac, loss=loss, f_scale=0.2, **({key: {"max_nfev": 1}} if face != "lm" else {key: 1}))
    np.testing.assert_array_equal(result.x, x)
    steps = 1e-5 * np.eye(3)
    slope = [(cost_of(loss, fun(x + h), 0.2) - cost_of(loss, fun(x - h), 0.2)) / 2e-5 for h in steps]
    np.testing.assert_allclose(result.grad, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs", True], ids=str)
@EACH_FACE
def test_a_loss_with_any_jacobian(face: str, jac: Any) -> None:
    fun, exact = decay_to(T, data(4))
    both = (lambda p: (fun(p), exact(p))) if jac is True else fun
    plain = solve(face, fun, [2.0, 0.9, 0.3], exact, loss="huber", f_scale=0.1)
    result = solve(face, both, [2.0, 0.9, 0.3], jac, loss="huber", f_scale=0.1)
    assert result.success
    np.testing.assert_allclose(result.x, plain.x, rtol=1e-4)


@EACH_FACE
def test_a_scale_for_each_residual(face: str) -> None:
    """With residuals and scales both multiplied, each by its own number, the weights of huber do the same."""
    fun, jac = decay_to(T, data(5))
    weights = np.random.default_rng(6).uniform(0.5, 2, T.size)
    plain = solve(face, fun, [2.0, 0.9, 0.3], jac, loss="huber", f_scale=0.1 * np.ones(T.size))
    same = solve(face, fun, [2.0, 0.9, 0.3], jac, loss="huber", f_scale=0.1)
    np.testing.assert_array_equal(plain.x, same.x)
    result = solve(face, fun, [2.0, 0.9, 0.3], jac, loss="huber", f_scale=0.1 * weights)
    assert result.cost == pytest.approx(cost_of("huber", fun(result.x), 0.1 * weights), rel=1e-12)
    for shift in 1e-3 * np.vstack([np.eye(3), -np.eye(3)]):
        assert cost_of("huber", fun(result.x + shift), 0.1 * weights) > result.cost


@EACH_FACE
def test_what_does_not_fit_is_refused(face: str) -> None:
    fun, jac = decay_to(T, data(7))
    for settings, words in (
        ({"loss": "hubert"}, ("loss", "did you mean 'huber'?")),
        ({"loss": "huber", "f_scale": 0}, ("f_scale", "positive", "0")),
        ({"loss": "huber", "f_scale": -1.0}, ("f_scale", "positive", "-1")),
        ({"loss": "huber", "f_scale": [1.0, np.nan]}, ("f_scale", "positive", "nan")),
        ({"loss": "huber", "f_scale": np.ones(7)}, ("f_scale", "60", "7")),
    ):
        with pytest.raises(ValueError, match=r"f_scale|loss") as caught:
            solve(face, fun, [1.0, 1.0, 1.0], jac, **settings)
        assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("loss", ["arctan", "tukey"])
@EACH_FACE
def test_infinite_residuals_are_no_start(face: str, loss: str) -> None:
    """A bounded loss of infinity is a number, but no residual."""
    result = solve(face, lambda x: np.array([np.inf, x[0]]), [1.0], lambda x: np.ones((2, 1)), loss=loss)
    assert not result.success
    assert result.status.name == "NOT_FINITE_START"


@EACH_FACE
def test_where_every_residual_is_an_outlier_nothing_is_claimed(face: str) -> None:
    """Tukey's loss is flat out there: all columns are zero."""
    result = solve(face, lambda x: x - np.array([100.0]), [0.0], lambda x: np.eye(1), loss="tukey", f_scale=1.0)
    assert result.cost == pytest.approx(1 / 6)
    assert not result.success
