"""Robust losses on both nonlinear faces: the cost they name is what is minimised."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from helpers import FACES, Array, decay_to, solve
from marquardt import Result
from marquardt._minimise import Request, minimise

EACH_FACE = pytest.mark.parametrize("face", FACES)
LOSSES = ("linear", "soft_l1", "huber", "cauchy", "arctan", "welsch", "tukey")
METHODS = ("levenberg_marquardt", "trust_region", "dogbox")
EACH_METHOD = pytest.mark.parametrize("method", METHODS)
T = np.linspace(0, 4, 60)


def terms(name: str, z: Array) -> Array:
    """Return rho, rho' and rho'' of z as the documentation has them, each by its plain formula; shape (3, m)."""
    match name:
        case "linear":
            rows = z, np.ones_like(z), np.zeros_like(z)
        case "soft_l1":
            rows = 2 * (np.sqrt(1 + z) - 1), (1 + z) ** -0.5, -0.5 * (1 + z) ** -1.5
        case "huber":
            far = np.maximum(z, 1)
            rows = (
                np.where(z <= 1, z, 2 * np.sqrt(far) - 1),
                np.where(z <= 1, 1, far**-0.5),
                np.where(z <= 1, 0, -0.5 * far**-1.5),
            )
        case "cauchy":
            rows = np.log(1 + z), 1 / (1 + z), -((1 + z) ** -2)
        case "arctan":
            rows = np.arctan(z), 1 / (1 + z**2), -2 * z / (1 + z**2) ** 2
        case "welsch":
            rows = 1 - np.exp(-z), np.exp(-z), -np.exp(-z)
        case _:
            near = 1 - np.minimum(z, 1)
            rows = (1 - near**3) / 3, near**2, -2 * near
    return np.array(rows)


def rho(name: str, z: Array) -> Array:
    return terms(name, z)[0]


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
        named = loss not in ("welsch", "tukey")
        peer = least_squares(
            fun,
            [2.0, 0.9, 0.3],
            jac,
            bounds=bounds,
            loss=loss if named else functools.partial(terms, loss),
            f_scale=0.1,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-12,
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


# ------------------------------------------------------------------------------------------- losses of the caller's


def run(
    method: str,
    fun: Callable[..., Any],
    x0: Any,
    jac: Any,
    loss: Any,
    f_scale: Any = 1.0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    subproblem: str = "qr",
) -> Result:
    """Call the core's loop by any of its methods."""
    x = np.array(x0, dtype=float)
    sides = [np.full(x.size, side) for side in bounds]
    options = {"ftol": 1e-6, "xtol": 1e-6, "gtol": 1e-6, "max_nfev": 1000}
    scale = np.atleast_1d(np.asarray(f_scale, dtype=float))
    request = Request(fun, jac, x, *sides, method, subproblem, options, loss=loss, f_scale=scale)
    return minimise(request, lambda result, _: result)


@pytest.mark.parametrize("weighted", [False, True], ids=["one-scale", "scales"])
@pytest.mark.parametrize("loss", LOSSES)
@EACH_METHOD
def test_a_callable_does_what_the_built_in_loss_does(method: str, loss: str, weighted: bool) -> None:
    fun, jac = decay_to(T, data(11))
    C = 0.1 * (np.random.default_rng(12).uniform(0.5, 2, T.size) if weighted else np.ones(1))
    plain = run(method, fun, [2.0, 0.9, 0.3], jac, loss, C)
    result = run(method, fun, [2.0, 0.9, 0.3], jac, functools.partial(terms, loss), C)
    assert result.success, result.message
    assert result.status == plain.status
    assert abs(result.nfev - plain.nfev) <= 1
    np.testing.assert_allclose(result.x, plain.x, rtol=1e-7)
    assert result.cost == pytest.approx(plain.cost, rel=1e-12)
    np.testing.assert_allclose(result.grad, plain.grad, atol=1e-7)
    np.testing.assert_array_equal(result.residuals, fun(result.x))


@EACH_FACE
@pytest.mark.parametrize("loss", LOSSES[1:])
def test_each_face_takes_a_callable(face: str, loss: str) -> None:
    fun, jac = decay_to(T, data(1))
    named = solve(face, fun, [2.0, 0.9, 0.3], jac, loss=loss, f_scale=0.1)
    result = solve(face, fun, [2.0, 0.9, 0.3], jac, loss=functools.partial(terms, loss), f_scale=0.1)
    assert result.success
    np.testing.assert_allclose(result.x, named.x, rtol=1e-5)
    assert result.cost == pytest.approx(named.cost, rel=1e-10)
    with pytest.raises(TypeError, match="loss"):
        solve(face, fun, [2.0, 0.9, 0.3], jac, loss=lambda z: "none")


@EACH_METHOD
def test_a_loss_that_nobody_built_in(method: str) -> None:
    """The cubic soft_l1 of SciPy's documentation of callables, against SciPy."""

    def cubic(z: Array) -> Array:
        t = 1 + z
        return np.array([3 * (t ** (1 / 3) - 1), t ** (-2 / 3), -2 / 3 * t ** (-5 / 3)])

    for seed in range(3):
        fun, jac = decay_to(T, data(seed))
        result = run(method, fun, [2.0, 0.9, 0.3], jac, cubic, 0.1)
        peer = least_squares(fun, [2.0, 0.9, 0.3], jac, loss=cubic, f_scale=0.1, xtol=1e-15, ftol=1e-15, gtol=1e-12)
        assert result.success
        assert result.cost == pytest.approx(0.5 * 0.01 * np.sum(cubic((fun(result.x) / 0.1) ** 2)[0]), rel=1e-12)
        assert result.cost <= peer.cost * (1 + 1e-9)


@EACH_METHOD
def test_residuals_that_vanish_keep_their_digits_under_a_plain_formula(method: str) -> None:
    """Of 2 (sqrt(1 + z) - 1) nothing is left below z = 1e-16, which is where an exact fit ends."""
    fun, jac = decay_to(T, 2.5 * np.exp(-1.3 * T) + 0.5)
    result = run(method, fun, [2.0, 0.9, 0.3], jac, functools.partial(terms, "soft_l1"))
    assert result.success
    np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-9)


def test_what_a_callable_gets_and_may_return() -> None:
    fun, jac = decay_to(T, data(13))
    seen: list[Array] = []

    def watched(z: Array) -> Any:
        seen.append(z)
        return list(terms("huber", z))  # a sequence of rows will do

    result = run("trust_region", fun, [2.0, 0.9, 0.3], jac, watched, 0.1)
    assert result.success
    assert all(z.shape == (T.size,) and z.dtype == np.float64 and (z >= 0).all() for z in seen)
    np.testing.assert_allclose(seen[1], (fun(np.array([2.0, 0.9, 0.3])) / 0.1) ** 2, rtol=1e-14)

    def single(z: Array) -> Array:
        return terms("huber", z).astype(np.float32)

    assert run("trust_region", fun, [2.0, 0.9, 0.3], jac, single, 0.1).cost == pytest.approx(result.cost, rel=1e-6)


def test_a_callable_that_spoils_its_argument_spoils_nothing_else() -> None:
    fun, jac = decay_to(T, data(13))

    def destructive(z: Array) -> Array:
        rows = terms("cauchy", z)
        z[:] = np.nan
        return rows

    clean = run("trust_region", fun, [2.0, 0.9, 0.3], jac, functools.partial(terms, "cauchy"), 0.1)
    result = run("trust_region", fun, [2.0, 0.9, 0.3], jac, destructive, 0.1)
    np.testing.assert_array_equal(result.x, clean.x)


@pytest.mark.parametrize(
    ("loss", "kind", "words"),
    [
        (lambda z: z, ValueError, ("(3, 60)", "(60,)")),
        (lambda z: np.zeros((2, z.size)), ValueError, ("(3, 60)", "(2, 60)")),
        (lambda z: np.zeros((3, z.size + 1)), ValueError, ("(3, 60)", "(3, 61)")),
        (lambda z: np.zeros((z.size, 3)), ValueError, ("(3, 60)", "(60, 3)")),
        (lambda z: None, TypeError, ("NoneType",)),
        (lambda z: "huber", TypeError, ("<U5",)),
        (lambda z: np.zeros((3, z.size), complex), TypeError, ("complex128",)),
        (lambda z: np.array([1 + z, 1 + 0 * z, 0 * z]), ValueError, ("rho(0) = 0", "rho(0) = 1")),
        (lambda z: np.array([-z, 0 * z - 1, 0 * z]), ValueError, ("rho(z) >= 0", "= -")),
    ],
    ids=["vector", "two-rows", "too-long", "transposed", "none", "string", "complex", "offset", "negative"],
)
def test_what_is_no_loss_is_refused_at_the_first_evaluation(
    loss: Callable[[Array], Any], kind: type[Exception], words: tuple[str, ...]
) -> None:
    fun, jac = decay_to(T, data(14))
    calls: list[Array] = []

    def counted(x: Array) -> Array:
        calls.append(x)
        return fun(x)

    for method in METHODS:
        calls.clear()
        with pytest.raises(kind, match=r"^loss must ") as caught:
            run(method, counted, [2.0, 0.9, 0.3], jac, loss, 0.1)
        assert all(word in str(caught.value) for word in words)
        assert len(calls) == 1


def test_what_is_neither_a_name_nor_callable_is_refused() -> None:
    fun, jac = decay_to(T, data(14))
    with pytest.raises(TypeError, match="loss must be a name or callable, got 3"):
        run("trust_region", fun, [1.0, 1.0, 1.0], jac, 3)
    with pytest.raises(ValueError, match="unknown loss 'hubert'"):
        run("trust_region", fun, [1.0, 1.0, 1.0], jac, "hubert")


@EACH_METHOD
def test_an_exception_in_a_loss_brings_the_best_point_so_far(method: str) -> None:
    fun, jac = decay_to(T, data(15))

    class TroubleError(Exception):
        pass

    for raised in (TroubleError("here"), KeyboardInterrupt()):
        left = 15  # beyond the trials that are rejected at first

        def failing(z: Array, raised: BaseException = raised) -> Array:
            nonlocal left
            left -= 1
            if left == 0:
                raise raised
            return terms("cauchy", z)

        with pytest.raises(type(raised)) as caught:
            run(method, fun, [2.0, 0.9, 0.3], jac, failing, 0.1)
        assert caught.value is raised
        partial = caught.value.partial_result  # type: ignore[attr-defined]
        assert partial.status.name == "INTERRUPTED"
        assert partial.nit > 0
        assert partial.cost == pytest.approx(cost_of("cauchy", fun(partial.x), 0.1))


@EACH_METHOD
def test_a_loss_that_turns_negative_later_brings_the_best_point_so_far(method: str) -> None:
    fun, jac = decay_to(T, data(15))
    left = 15  # beyond the trials that are rejected at first

    def turning(z: Array) -> Array:
        nonlocal left
        left -= 1
        return terms("cauchy", z) * (1 if left > 0 else -1)

    with pytest.raises(ValueError, match="loss must return rho") as caught:
        run(method, fun, [2.0, 0.9, 0.3], jac, turning, 0.1)
    assert caught.value.partial_result.nit > 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@EACH_METHOD
def test_a_loss_that_is_not_finite_makes_a_trial_that_is_rejected(method: str, bad: float) -> None:
    """Undefined beyond |r| = 40: the first trial from 30 would overshoot the minimum by far."""

    def guarded(z: Array) -> Array:
        rows = terms("soft_l1", z)
        rows[:, z > 1600] = bad
        return rows

    fun, jac = (lambda x: np.array([np.exp(x[0]) - 2])), (lambda x: np.array([[np.exp(x[0])]]))
    result = run(method, fun, [-4.0], jac, guarded)
    assert result.success
    assert result.x[0] == pytest.approx(np.log(2), rel=1e-6)
    nowhere = run(method, lambda x: x + 50, [0.0], lambda x: np.eye(1), guarded)
    assert nowhere.status.name == "NOT_FINITE_START"


@pytest.mark.parametrize("subproblem", ["qr", "cholesky"])
def test_a_loss_without_a_slope_at_zero_is_no_crash(subproblem: str) -> None:
    """|r| as a loss: rho' is infinite where a residual vanishes, so there is no Jacobian there."""

    def absolute(z: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.array([np.sqrt(z), 0.5 * z**-0.5, -0.25 * z**-1.5])

    result = run("trust_region", lambda x: np.array([x[0], 1.0]), [0.0], lambda x: np.eye(2)[:, :1], absolute)
    assert result.status.name == "NOT_FINITE_JACOBIAN"
    result = run("trust_region", lambda x: x - 1, [0.0], lambda x: np.eye(1), absolute, subproblem=subproblem)
    assert result.cost <= 0.5


def test_a_callable_where_the_interpreter_lock_was_let_go() -> None:
    """A Jacobian of 10 million operations is folded without the lock; the loss is asked for its slopes in there."""
    m, n = 60_000, 12
    rng = np.random.default_rng(16)
    A = rng.standard_normal((m, n))
    b = A @ np.ones(n) + 0.1 * rng.standard_normal(m)
    b[::50] += 30

    def solve_with(loss: Any) -> Result:
        return run("trust_region", lambda x: A @ x - b, np.zeros(n), lambda x: A, loss, 0.1)

    plain, result = solve_with("soft_l1"), solve_with(functools.partial(terms, "soft_l1"))
    np.testing.assert_allclose(result.x, plain.x, rtol=1e-7)

    left = 4

    def failing(z: Array) -> Array:
        nonlocal left
        left -= 1
        if left == 0:
            raise ZeroDivisionError
        return terms("soft_l1", z)

    for calls in (3, 4):  # while the lock is let go, and while it is held
        left = calls
        with pytest.raises(ZeroDivisionError):
            solve_with(failing)
