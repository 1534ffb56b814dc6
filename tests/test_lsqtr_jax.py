"""`lsqtr` with functions and arrays of JAX, in double and in single precision."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from helpers import DECAY, TR_METHODS, T
from marquardt import Status, lsqtr

jax = pytest.importorskip("jax")  # it has no builds for some of the platforms that the library has
jnp = jax.numpy

Array = Any
EACH_METHOD = pytest.mark.parametrize("method", TR_METHODS)
DATA = DECAY[0] * np.exp(-DECAY[1] * T) + DECAY[2] + 0.05 * np.sin(40 * T)


@pytest.fixture(params=["double", "single"])
def digits(request: pytest.FixtureRequest) -> Iterator[float]:
    """Switch JAX to a precision; the relative accuracy that x can then have."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", request.param == "double")
    yield 1e-6 if request.param == "double" else 2e-4
    jax.config.update("jax_enable_x64", before)


def by_hand(p: Array) -> np.ndarray:
    """Return the same residuals by NumPy."""
    return p[0] * np.exp(-p[1] * T) + p[2] - DATA


def by_hand_jacobian(p: Array) -> np.ndarray:
    e = np.exp(-p[1] * T)
    return np.stack([e, -p[0] * T * e, np.ones_like(T)], axis=1)


def reference(**settings: Any) -> np.ndarray:
    tolerances = {"ftol": None, "xtol": None, "gtol": None}
    return np.asarray(lsqtr(by_hand, [1, 1, 1], by_hand_jacobian, verbose=0, **tolerances, **settings).x)


LABELS = ("plain", "jit", "reverse", "together", "numpy Jacobian", "numpy residuals", "column by column")


def functions(label: str) -> tuple[Any, Any]:
    """Return residuals and Jacobian in one of the ways that they are written."""
    return compiled(label, bool(jax.config.jax_enable_x64))


@functools.cache
def compiled(label: str, double: bool) -> tuple[Any, Any]:
    """Each precision has functions of its own, since JAX keeps what it compiled by function."""
    t, data = jnp.array(T.tolist()), jnp.array(DATA.tolist())
    assert (t.dtype == np.float64) is double

    def fun(p: Array, scale: Array = 1.0) -> Array:
        return scale * (p[0] * jnp.exp(-p[1] * t) + p[2] - data)

    jac = jax.jacfwd(fun)
    return {
        "plain": (fun, jac),
        "jit": (jax.jit(fun), jax.jit(jac)),
        "reverse": (jax.jit(fun), jax.jit(jax.jacrev(fun))),
        "together": (jax.jit(lambda p: (fun(p), jac(p))), True),
        "numpy Jacobian": (jax.jit(fun), by_hand_jacobian),
        "numpy residuals": (by_hand, jax.jit(jac)),
        "column by column": (fun, lambda p: jnp.stack([jac(p)[:, j] for j in range(3)], axis=1)),
    }[label]


@pytest.mark.parametrize("label", LABELS)
@EACH_METHOD
def test_functions_of_jax(method: str, label: str, digits: float) -> None:
    f, jac = functions(label)
    result = lsqtr(f, jnp.array([1.0, 1.0, 1.0]), jac, verbose=0, options={"tr_method": method})
    assert result.success
    np.testing.assert_allclose(result.x, reference(), rtol=digits)
    for name in ("x", "fun", "jac", "grad", "v"):
        assert type(result[name]) is np.ndarray
        assert result[name].dtype == np.float64
    np.testing.assert_allclose(result.fun, by_hand(result.x), rtol=0, atol=digits)
    np.testing.assert_allclose(result.jac, by_hand_jacobian(result.x), rtol=0, atol=digits)
    assert result.cost == pytest.approx(0.5 * (result.fun @ result.fun), rel=1e-14)


def test_jax_and_numpy_walk_alike(digits: float) -> None:
    f, jac = functions("jit")
    one = lsqtr(f, jnp.array([1.0, 1.0, 1.0]), jac, verbose=0)
    other = lsqtr(by_hand, [1.0, 1.0, 1.0], by_hand_jacobian, verbose=0)
    k = min(len(one.allx), len(other.allx))
    assert k >= 5
    np.testing.assert_allclose(one.allx[:k], other.allx[:k], rtol=digits)
    if digits < 1e-5:
        assert (one.nfev, one.njev, one.nit, one.status) == (other.nfev, other.njev, other.nit, other.status)


def test_every_argument_may_be_an_array_of_jax(digits: float) -> None:
    """Start, bounds, scales, tolerances, options, extra arguments, and what the callback returns."""
    seen: list[Any] = []

    def callback(p: Any, scale: Any) -> Any:
        seen.append(p)
        return jnp.array(False)

    fun, jac = functions("jit")
    result = lsqtr(
        fun,
        jnp.array([1.0, 1.0, 1.0]),
        jac,
        bounds=(jnp.zeros(3), jnp.array([3.0, 1.2, jnp.inf])),
        args=(jnp.array(2.0),),
        x_scale=jnp.array([1.0, 2.0, 0.5]),
        ftol=jnp.float32(1e-6),
        gtol=jnp.array(1e-6),
        verbose=0,
        maxiter=jnp.array(100),
        callback=callback,
        options={"initial_trust_radius": jnp.array(1.0), "max_nfev": jnp.array(200), "max_dx": jnp.float32(50)},
    )
    assert result.success
    np.testing.assert_allclose(result.x, reference(bounds=([0, 0, 0], [3, 1.2, np.inf])), rtol=digits)
    assert result.active_mask.tolist() == [0, 1, 0]
    assert len(seen) == result.nit
    assert result.alltr[0] == 1.0


def test_bounds_given_by_jax_hold_exactly(digits: float) -> None:
    """Bounds are the numbers that the arrays hold, also where those are in single precision."""
    upper = jnp.array([3.0, 1.2, 2.0])
    points: list[Any] = []
    fun, jac = functions("jit")

    def f(p: Any) -> Any:
        points.append(np.array(p))
        return fun(p)

    result = lsqtr(f, jnp.array([1.0, 1.0, 1.0]), jac, bounds=(None, upper), verbose=0)
    assert np.all(np.array(points) <= np.asarray(upper, dtype=float))
    np.testing.assert_allclose(result.x, reference(bounds=(None, [3, 1.2, 2])), rtol=digits)
    assert result.active_mask.tolist() == [0, 1, 0]


@pytest.mark.parametrize("value", [True, False])
def test_the_callback_may_answer_by_jax(value: bool, digits: float) -> None:
    f, jac = functions("jit")
    result = lsqtr(f, jnp.ones(3), jac, verbose=0, callback=lambda p: jnp.array(value))
    assert (result.status is Status.STOPPED) is value
    assert result.success is not value


@EACH_METHOD
def test_without_tolerances_single_precision_ends_honestly(method: str, digits: float) -> None:
    f, jac = functions("jit")
    options = {"tr_method": method}
    result = lsqtr(f, jnp.ones(3), jac, ftol=None, xtol=None, gtol=None, verbose=0, options=options)
    assert result.nfev < 200
    assert result.status not in (Status.MAX_EVALUATIONS, Status.MAX_ITERATIONS)
    np.testing.assert_allclose(result.x, reference(), rtol=digits)


@pytest.mark.parametrize("x0", [-1.2, 1.0, 3.0])
def test_scalars_of_jax(x0: float, digits: float) -> None:
    """A function of one parameter and one residual, as 0-d arrays."""
    result = lsqtr(jax.jit(lambda x: x[0] ** 3 - 8), jnp.array(x0), jax.jit(lambda x: 3 * x[0] ** 2), verbose=0)
    assert result.success
    np.testing.assert_allclose(result.x, [2.0], rtol=digits)


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
@pytest.mark.parametrize("x0", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.2)], ids=str)
def test_differences_of_a_function_of_jax(x0: tuple[float, ...], scheme: str, digits: float) -> None:
    """The steps follow the precision of the residuals: a step for double precision shows nothing in single."""
    fun, _ = functions("jit")
    result = lsqtr(fun, jnp.array(x0), scheme, verbose=0)
    assert result.success
    accuracy = digits if digits < 1e-5 or scheme == "cs" else 5e-2
    np.testing.assert_allclose(result.x, reference(), rtol=accuracy)


def test_an_error_inside_a_function_of_jax_passes_through(digits: float) -> None:
    """A branch on a traced value cannot be jitted; the error is JAX's own, with the best point so far."""
    fun, jac = functions("jit")

    def branching(p: Any) -> Any:
        return fun(p) if p[0] > 0 else -fun(p)

    with pytest.raises(jax.errors.TracerBoolConversionError) as caught:
        lsqtr(jax.jit(branching), jnp.ones(3), jac, verbose=0)
    np.testing.assert_array_equal(caught.value.partial_result.x, np.ones(3))
    assert lsqtr(branching, jnp.ones(3), jac, verbose=0).success


def test_a_jacobian_of_the_wrong_shape_is_named(digits: float) -> None:
    fun, jac = functions("jit")
    with pytest.raises(ValueError, match="jac must return"):
        lsqtr(fun, jnp.ones(3), lambda p: jac(p).T, verbose=0)
