"""The user's functions: what they may return, what they may do, how they fail, and where they are called."""

from __future__ import annotations

import functools
import signal
import time
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from helpers import (
    FACES,
    TR_FACES,
    Recorder,
    decay,
    decay_jacobian,
    ending,
    passes,
    rosenbrock,
    rosenbrock_jacobian,
    solve,
)
from marquardt import Result, Status, check_jacobian, lm_solve, lsqtr

Array = np.ndarray
EACH_FACE = pytest.mark.parametrize("face", FACES)

# A linear problem of small whole numbers: every type of number holds its Jacobian exactly.
A = np.array([[1.0, 2], [3, -1], [2, 2], [0, 5]])
B = np.array([1.0, 2, 3, 4])
ANSWER = np.linalg.lstsq(A, B, rcond=None)[0]


def linear(x: Array) -> Array:
    return A @ x - B


def holed(a: Array) -> Array:
    """Return the array as a view with steps of two and three elements."""
    wide = np.full((2 * a.shape[0], *(3 * k for k in a.shape[1:])), np.nan)
    view = wide[(slice(None, None, 2), *(slice(None, None, 3) for _ in a.shape[1:]))]
    view[...] = a
    return view


def backwards(a: Array) -> Array:
    """Return the array as a view with negative strides."""
    everywhere = (slice(None, None, -1),) * a.ndim
    return a[everywhere].copy()[everywhere]


def packed(a: Array) -> Array:
    """Return the array as an unaligned view, as the fields of packed records are."""
    records = np.zeros(a.shape, dtype=np.dtype([("flag", "i1"), ("value", "f8")]))
    records["value"] = a
    return records["value"]


def read_only(a: Array) -> Array:
    a = a.copy()
    a.setflags(write=False)
    return a


FORMS: dict[str, Callable[[Array], Any]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": holed,
    "reversed": backwards,
    "transposed": lambda a: a.T.copy().T,
    "unaligned": packed,
    "read-only": read_only,
    "big-endian": lambda a: a.astype(">f8"),
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist()),
    "object": lambda a: a.astype(object),
    "subclass": lambda a: a.view(type("Labelled", (np.ndarray,), {})),
}
WHOLE = {
    "int64": lambda a: a.astype(np.int64),
    "int8": lambda a: a.astype(np.int8),
    "ints": lambda a: a.astype(int).tolist(),
}


@pytest.mark.parametrize("form", [*FORMS, *WHOLE], ids=str)
@EACH_FACE
def test_jacobian_in_any_form(face: str, form: str) -> None:
    plain = solve(face, linear, [0.0, 0.0], lambda x: A)
    result = solve(face, linear, [0.0, 0.0], lambda x: (FORMS | WHOLE)[form](A))
    np.testing.assert_array_equal(result.jacobian, A)
    if form in ("float32", "float16"):  # less is expected of such a Jacobian, though this one is exact
        np.testing.assert_allclose(result.x, plain.x, rtol=1e-9)
    else:
        np.testing.assert_array_equal(result.x, plain.x)
    np.testing.assert_allclose(result.x, ANSWER, rtol=1e-6)


# A large Jacobian that nobody else holds is read where it lies.
LONG_T = np.linspace(0, 4, 700)
LONG_Y = 2.5 * np.exp(-1.3 * LONG_T) + 0.5


def long_decay(x: Array) -> Array:
    return x[0] * np.exp(-x[1] * LONG_T) + x[2] - LONG_Y


def long_jacobian(x: Array) -> Array:
    e = np.exp(-x[1] * LONG_T)
    return np.stack([e, -x[0] * LONG_T * e, np.ones_like(LONG_T)], axis=1)


@pytest.mark.parametrize("form", FORMS, ids=str)
@EACH_FACE
def test_large_jacobian_in_any_form(face: str, form: str) -> None:
    result = solve(face, long_decay, [1.0, 1.0, 0.0], lambda x: FORMS[form](long_jacobian(x)))
    assert result.success
    np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-5 if form in ("float32", "float16") else 1e-9)
    np.testing.assert_array_equal(result.jacobian, np.asarray(FORMS[form](long_jacobian(result.x)), dtype=float))


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[:], lambda a: a.T.T, lambda a: a[:, :3]], ids=range(4))
@pytest.mark.parametrize("together", [False, True])
@EACH_FACE
def test_a_jacobian_that_the_function_writes_over_is_copied(
    face: str, together: bool, view: Callable[[Array], Array]
) -> None:
    buffer = np.empty((700, 3))

    def jacobian(x: Array) -> Array:
        buffer[...] = long_jacobian(x)
        return view(buffer)

    def both(x: Array) -> tuple[Array, Array]:
        return long_decay(x), jacobian(x)

    result = solve(face, both, [1.0, 1.0, 0.0], True) if together else solve(face, long_decay, [1.0, 1, 0], jacobian)
    buffer[...] = np.nan
    assert result.success
    np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-9)
    np.testing.assert_array_equal(result.jacobian, long_jacobian(result.x))


@pytest.mark.parametrize("turned", [False, True])
@EACH_FACE
def test_jacobians_are_let_go(face: str, turned: bool) -> None:
    alive: set[int] = set()

    def jacobian(x: Array) -> Array:
        J = long_jacobian(x)
        owner = J if not turned else np.ascontiguousarray(J.T)
        number = len(made)
        made.append(number)
        alive.add(number)
        weakref.finalize(owner, alive.discard, number)
        assert len(alive) <= 4  # the point's, the trial's, and one on its way
        return owner.T if turned else owner

    made: list[int] = []
    result = solve(face, long_decay, [1.0, 1.0, 0.0], jacobian)
    assert result.success
    assert len(made) > 4
    assert len(alive) <= 1  # the result's own
    np.testing.assert_array_equal(result.jacobian, long_jacobian(result.x))
    del result
    assert not alive


@pytest.mark.parametrize("form", FORMS, ids=str)
@EACH_FACE
def test_residuals_in_any_form(face: str, form: str) -> None:
    """Halves and quarters only, which even float16 holds exactly."""

    def fun(x: Array) -> Array:
        return np.round(4 * (A @ x - B)) / 4

    plain = solve(face, fun, [0.0, 0.0], lambda x: A, max_nfev=3)
    result = solve(face, lambda x: FORMS[form](fun(x)), [0.0, 0.0], lambda x: A, max_nfev=3)
    np.testing.assert_array_equal(result.x, plain.x)
    np.testing.assert_array_equal(result.residuals, plain.residuals)
    assert result.residuals.dtype == np.float64


@EACH_FACE
def test_residuals_of_whole_numbers(face: str) -> None:
    result = solve(face, lambda x: np.array([1, 2], dtype=np.int16), [1.0], lambda x: np.zeros((2, 1)))
    assert result.success
    assert result.cost == 2.5


@pytest.mark.parametrize(
    "scalar", [float, np.float64, np.array, lambda v: [v], lambda v: np.array([v]), np.float32], ids=repr
)
@EACH_FACE
def test_one_residual_may_be_a_scalar(face: str, scalar: Callable[[float], Any]) -> None:
    result = solve(face, lambda x: scalar(float(x[0]) - 3), [1.0], lambda x: scalar(1.0))
    assert result.success
    np.testing.assert_allclose(result.x, [3], rtol=1e-6)


@EACH_FACE
def test_a_single_row_or_column_may_be_flat(face: str) -> None:
    data = np.array([1.0, 2, 6])
    column = solve(face, lambda x: x[0] - data, [0.0], lambda x: np.ones(3))
    np.testing.assert_allclose(column.x, [3], rtol=1e-6)
    row = solve(face, lambda x: x[:1] + 2 * x[1:] - 5, [0.0, 0.0], lambda x: np.array([1.0, 2.0]))
    assert row.success
    np.testing.assert_allclose(row.x @ [1, 2], 5, rtol=1e-6)


@EACH_FACE
def test_a_broadcast_jacobian(face: str) -> None:
    """Strides of zero."""
    data = np.array([1.0, 2, 6])
    result = solve(face, lambda x: x[0] + x[1] - data, [0.0, 0.0], lambda x: np.broadcast_to(1.0, (3, 2)))
    assert result.success
    np.testing.assert_allclose(result.x.sum(), 3, rtol=1e-6)


def test_lm_solve_flattens_residuals() -> None:
    result = lm_solve(lambda x: linear(x).reshape(2, 2), [0.0, 0.0], jac=lambda x: A)
    np.testing.assert_allclose(result.x, ANSWER, rtol=1e-6)
    assert result.residuals.shape == (4,)


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "shape"),
    [
        (A.T, "(2, 4)"),
        (A[:3], "(3, 2)"),
        (A[:, :1], "(4, 1)"),
        (np.ones((4, 3)), "(4, 3)"),
        (A[None], "(1, 4, 2)"),
        (A.ravel(), "(8,)"),
        (np.ones(4), "(4,)"),
        (1.0, "()"),
        (np.empty((0, 2)), "(0, 2)"),
    ],
    ids=lambda v: str(np.shape(v)) if not isinstance(v, str) else "",
)
@EACH_FACE
def test_a_jacobian_of_the_wrong_shape(face: str, wrong: Any, shape: str) -> None:
    with pytest.raises(ValueError, match="jac") as caught:
        solve(face, linear, [0.0, 0.0], lambda x: wrong)
    assert "(4, 2)" in str(caught.value)
    assert shape in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 2), (4, 1), (1, 4), (1, 2, 2)])
@pytest.mark.parametrize("face", TR_FACES)
def test_residuals_of_the_wrong_shape(face: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="fun") as caught:
        solve(face, lambda x: linear(x).reshape(shape), [0.0, 0.0], lambda x: A)
    assert "one-dimensional" in str(caught.value)
    assert str(shape) in str(caught.value)


@EACH_FACE
def test_no_residuals(face: str) -> None:
    with pytest.raises(ValueError, match="at least one residual"):
        solve(face, lambda x: np.empty(0), [0.0, 0.0], lambda x: np.empty((0, 2)))


@EACH_FACE
def test_a_changing_number_of_residuals(face: str) -> None:
    calls = iter(range(100))

    def fun(x: Array) -> Array:
        return linear(x)[: 4 if next(calls) < 1 else 3]

    with pytest.raises(ValueError, match="4 residuals") as caught:
        solve(face, fun, [0.0, 0.0], lambda x: A)
    assert "(3,)" in str(caught.value)


WRONG_RETURNS = {
    "None": None,
    "complex": np.array([1j, 1, 1, 1]),
    "complex list": [1j, 1, 1, 1],
    "complex of zero imaginary part": np.array([1 + 0j, 1, 1, 1]),
    "string": "residuals",
    "strings": ["a", "b", "c", "d"],
    "list with None": [None, 1.0, 2.0, 3.0],
    "dictionary of strings": {"r": "a"},
    "ragged strings": [["a"], ["b", "c"]],
    "function": rosenbrock,
    "dates": np.array(["2020-01-01"] * 4, dtype="datetime64[D]"),
}


@pytest.mark.parametrize("wrong", WRONG_RETURNS, ids=str)
@EACH_FACE
def test_residuals_that_are_no_real_numbers(face: str, wrong: str) -> None:
    with pytest.raises((TypeError, ValueError), match="fun"):
        solve(face, lambda x: WRONG_RETURNS[wrong], [0.0, 0.0], lambda x: A)


@pytest.mark.parametrize("wrong", [{"r": 1}, [[1.0], [1.0, 2.0]]], ids=["dictionary", "ragged"])
@pytest.mark.parametrize("face", TR_FACES)
def test_trees_of_residuals_are_for_lm_solve(face: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match="fun"):
        solve(face, lambda x: wrong, [0.0, 0.0], lambda x: A)


@pytest.mark.parametrize("wrong", WRONG_RETURNS, ids=str)
@EACH_FACE
def test_a_jacobian_that_is_no_real_numbers(face: str, wrong: str) -> None:
    with pytest.raises((TypeError, ValueError), match="jac"):
        solve(face, lambda x: x - 1, [0.0], lambda x: WRONG_RETURNS[wrong])


@EACH_FACE
def test_a_function_that_forgets_to_return(face: str) -> None:
    def forgetful(x: Array) -> None:
        linear(x)

    with pytest.raises(TypeError, match="fun") as caught:
        solve(face, forgetful, [0.0, 0.0], lambda x: A)
    assert "None" in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [np.ones(4), [np.ones(4), A], (np.ones(4),), (np.ones(4), A, 1), None, 5.0], ids=lambda v: type(v).__name__
)
@EACH_FACE
def test_together_means_a_pair(face: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match="tuple"):
        solve(face, lambda x: wrong, [0.0, 0.0], True)


# ---- what the functions may do ---------------------------------------------------------------------------------------


@EACH_FACE
def test_the_same_output_array_every_time(face: str) -> None:
    r, J = np.empty(2), np.empty((2, 2))

    def fun(x: Array) -> Array:
        r[:] = rosenbrock(x)
        return r

    def jac(x: Array) -> Array:
        J[:] = rosenbrock_jacobian(x)
        return J

    plain = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    apart = solve(face, fun, [-1.2, 1], jac)
    together = solve(face, lambda x: (fun(x), jac(x)), [-1.2, 1], True)
    for result in (apart, together):
        np.testing.assert_array_equal(result.x, plain.x)
        np.testing.assert_array_equal(result.residuals, plain.residuals)
        np.testing.assert_array_equal(result.jacobian, plain.jacobian)
        assert result.nfev == plain.nfev


@pytest.mark.parametrize("jac", ["analytic", "2-point", "cs"])
@EACH_FACE
def test_points_that_the_function_keeps_stay_as_they_were(face: str, jac: str) -> None:
    kept: list[tuple[Array, Array]] = []

    def keeping(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
        def call(x: Array) -> Any:
            kept.append((x, x.copy()))
            return function(x)

        return call

    result = solve(
        face,
        keeping(rosenbrock),
        [-1.2, 1],
        keeping(rosenbrock_jacobian) if jac == "analytic" else jac,
        callback=keeping(lambda x: None),
    )
    assert result.success
    assert len(kept) > result.nfev
    for x, copy in kept:
        np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("jac", ["analytic", "together", "2-point", "3-point", "cs"])
@EACH_FACE
def test_a_function_that_overwrites_x_does_no_harm(face: str, jac: str) -> None:
    def spoiling(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
        def call(x: Array) -> Any:
            value = function(x)
            x[:] = np.nan
            return value

        return call

    def both(x: Array) -> tuple[Array, Array]:
        return rosenbrock(x), rosenbrock_jacobian(x)

    sources: dict[str, tuple[Any, Any]] = {
        "analytic": (rosenbrock, rosenbrock_jacobian),
        "together": (both, True),
    }
    fun, source = sources.get(jac, (rosenbrock, jac))
    plain = solve(face, fun, [-1.2, 1], source)
    spoilt = solve(
        face,
        spoiling(fun),
        [-1.2, 1],
        spoiling(source) if callable(source) else source,
        callback=spoiling(lambda x: False),
    )
    assert plain.success
    np.testing.assert_array_equal(spoilt.x, plain.x)


@EACH_FACE
def test_args_reach_every_function(face: str) -> None:
    seen: set[str] = set()
    unit = object()

    def check(who: str, extra: tuple[Any, ...]) -> None:
        assert extra == (2.0, unit)
        assert extra[1] is unit
        seen.add(who)

    def fun(x: Array, *extra: Any) -> Array:
        check("fun", extra)
        return extra[0] * (x - 3)

    def jac(x: Array, *extra: Any) -> Array:
        check("jac", extra)
        return np.array([[extra[0]]])

    result = solve(face, fun, [1.0], jac, args=(2.0, unit), callback=lambda x, *extra: check("callback", extra))
    assert result.success
    assert seen == {"fun", "jac", "callback"}
    np.testing.assert_allclose(result.x, [3], rtol=1e-6)


@EACH_FACE
def test_residuals_and_jacobian_together(face: str) -> None:
    both = Recorder(lambda x: (rosenbrock(x), rosenbrock_jacobian(x)))
    apart = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    result = solve(face, both, [-1.2, 1], True)
    np.testing.assert_array_equal(result.x, apart.x)
    assert (result.nfev, result.njev, result.nit) == (apart.nfev, apart.njev, apart.nit)
    assert both.calls == result.nfev


@EACH_FACE
def test_each_call_is_counted(face: str) -> None:
    fun, jac = Recorder(rosenbrock), Recorder(rosenbrock_jacobian)
    result = solve(face, fun, [-1.2, 1], jac)
    assert (result.nfev, result.njev) == (fun.calls, jac.calls)
    assert result.nfev_differences == 0
    assert result.njev <= result.nit + 1 <= result.nfev


@EACH_FACE
def test_a_solve_within_a_solve(face: str) -> None:
    """The inner solve finds the best c for each (a, b); the outer one sees the same minimum."""

    def outer(p: Array) -> Array:
        inner = lsqtr(lambda c: decay(np.array([*p, c[0]])), [0.0], lambda c: np.ones((50, 1)), verbose=0, gtol=1e-12)
        return decay(np.array([*p, inner.x[0]]))

    result = solve(face, outer, [1.0, 1.0], "3-point")
    assert result.success
    np.testing.assert_allclose(result.x, [2.5, 1.3], rtol=1e-5)


@pytest.mark.parametrize("size", ["small", "large"])
@EACH_FACE
def test_threads_agree_with_one_after_another(face: str, size: str) -> None:
    """The large problem lets the interpreter's lock go during its arithmetic."""
    if size == "small":
        starts = [np.array([-1.2 + 0.1 * k, 1]) for k in range(16)]
        fun: Any = rosenbrock
        jac: Any = rosenbrock_jacobian
    else:
        rng = np.random.default_rng(1)
        M, b = rng.standard_normal((1200, 80)), rng.standard_normal(1200)
        starts = [rng.standard_normal(80) for _ in range(6)]

        def fun(x: Array) -> Array:
            return M @ x + 0.1 * np.sin(M @ x) - b

        def jac(x: Array) -> Array:
            return M * (1 + 0.1 * np.cos(M @ x))[:, None]

    serial = [solve(face, fun, start, jac) for start in starts]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda start: solve(face, fun, start, jac), starts))
    for one, other in zip(serial, threaded, strict=True):
        assert one.success
        assert one.nfev == other.nfev
        np.testing.assert_allclose(one.x, other.x, rtol=1e-9, atol=1e-12)


# ---- where the functions are called ----------------------------------------------------------------------------------

BOX = (np.array([0.0, -1.0]), np.array([0.8, 2.0]))


@pytest.mark.parametrize("jac", ["analytic", "2-point", "3-point", "cs"])
@pytest.mark.parametrize("start", [(0.5, 0.5), (0.0, -1.0), (0.8, 2.0), (0.8, 0.64), (50.0, -70.0)], ids=str)
@EACH_FACE
def test_functions_are_called_inside_the_box_only(face: str, start: tuple[float, float], jac: str) -> None:
    lower, upper = BOX
    fun, watched = Recorder(rosenbrock), Recorder(rosenbrock_jacobian)
    result = solve(face, fun, start, watched if jac == "analytic" else jac, bounds=BOX)
    assert result.success
    for x in np.real([*fun.points, *watched.points]):
        assert np.all((lower <= x) & (x <= upper))
    if face != "lm":  # trial points are strictly inside; differences may touch the wall
        strictly = [*watched.points] if jac == "analytic" else []
        strictly += fun.points if jac in ("analytic", "cs") else []
        for x in np.real(strictly):
            assert np.all((lower < x) & (x < upper))
        assert np.all((lower < result.x) & (result.x < upper))


@EACH_FACE
def test_a_fixed_parameter_is_never_moved(face: str) -> None:
    for jac in ("2-point", "3-point", "cs"):
        fun = Recorder(rosenbrock)
        result = solve(face, fun, [0.5, 1.0], jac, bounds=([0.5, -2], [0.5, 2]))
        assert result.success
        assert all(x[0] == 0.5 for x in fun.points)
        assert np.all(result.jacobian[:, 0] == 0)


# ---- budgets and stops -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", range(1, 12))
@EACH_FACE
def test_max_nfev_is_exact(face: str, budget: int) -> None:
    fun = Recorder(rosenbrock)
    result = solve(face, fun, [-1.2, 1], rosenbrock_jacobian, max_nfev=budget, tolerance=None)
    assert result.nfev == fun.calls == budget
    assert ending(result) is Status.MAX_EVALUATIONS
    assert not result.success
    assert "max_nfev" in result.message
    assert result.cost <= 0.5 * rosenbrock(np.array([-1.2, 1])) @ rosenbrock(np.array([-1.2, 1]))


@EACH_FACE
def test_more_budget_continues_the_same_path(face: str) -> None:
    whole = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    cut = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian, max_nfev=6)
    np.testing.assert_array_equal(passes(cut)["cost"], passes(whole)["cost"][: len(passes(cut))])


@pytest.mark.parametrize("iterations", [0, 1, 2, 5])
@pytest.mark.parametrize("face", TR_FACES)
def test_maxiter_is_exact(face: str, iterations: int) -> None:
    result = lsqtr(
        rosenbrock,
        [-1.2, 1],
        rosenbrock_jacobian,
        verbose=0,
        maxiter=iterations,
        options={"tr_method": face.removeprefix("tr-"), "max_nfev": 1000},
    )
    assert ending(result) is Status.MAX_ITERATIONS
    assert result.nit == iterations
    assert len(result.allx) == iterations + 1


@pytest.mark.parametrize("limit", [1e-3, 0.1, 0.5])
@pytest.mark.parametrize("face", TR_FACES)
def test_max_dx_is_never_exceeded(face: str, limit: float) -> None:
    x0 = np.array([-1.2, 1.0])
    fun = Recorder(rosenbrock)
    result = solve(face, fun, x0, rosenbrock_jacobian, options={"max_dx": limit})
    assert ending(result) is Status.DISTANCE_LIMIT
    assert not result.success
    assert all(np.linalg.norm(x - x0) <= limit for x in fun.points)


def endless(callback: Any = None, **settings: Any) -> Result:
    """Solve x = 0 from far away with tiny steps: a million cheap passes.

    Residual and Jacobian are compiled functions, so that no Python code runs that would notice a signal.
    """
    return lsqtr(
        np.positive,
        [1e9],
        np.sign,
        ftol=None,
        xtol=None,
        gtol=None,
        verbose=0,
        maxiter=10**9,
        callback=callback,
        options={"max_trust_radius": 1e-3, "initial_trust_radius": 1e-3},
        **settings,
    )


def test_max_time() -> None:
    result = endless(max_time=0.05)
    assert ending(result) is Status.TIME_LIMIT
    assert not result.success
    assert result.nit > 0
    assert result.x[0] < 1e9
    assert "max_time" in result.message


@pytest.mark.parametrize("answer", [True, 1, "stop", np.True_, [0]], ids=repr)
@EACH_FACE
def test_a_true_value_from_the_callback_stops(face: str, answer: Any) -> None:
    seen: list[Array] = []

    def callback(x: Array) -> Any:
        seen.append(x)
        return answer if len(seen) == 3 else False

    result = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian, callback=callback)
    assert ending(result) is Status.STOPPED
    assert not result.success
    assert "callback" in result.message
    assert len(seen) == result.nit == 3
    np.testing.assert_array_equal(result.x, seen[-1])
    np.testing.assert_array_equal(result.residuals, rosenbrock(result.x))


@EACH_FACE
def test_stop_iteration_from_the_callback_stops(face: str) -> None:
    def callback(x: Array) -> None:
        raise StopIteration

    result = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian, callback=callback)
    assert ending(result) is Status.STOPPED
    assert result.nit == 1


@pytest.mark.parametrize("tolerance", [1e-6, None])
@EACH_FACE
def test_the_callback_sees_every_accepted_step(face: str, tolerance: float | None) -> None:
    seen: list[Array] = []
    plain = solve(face, decay, [1, 1, 1], decay_jacobian, tolerance=tolerance)
    result = solve(face, decay, [1, 1, 1], decay_jacobian, tolerance=tolerance, callback=seen.append)
    assert result.success
    assert result.nfev == plain.nfev
    assert len(seen) == result.nit
    np.testing.assert_array_equal(seen[-1], result.x)
    if face != "lm":
        np.testing.assert_array_equal(seen, result.allx[1:])


# ---- exceptions ------------------------------------------------------------------------------------------------------


class BrokenError(Exception):
    """An exception of the user's, with more than a message."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def failing_after(count: int, function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    calls = iter(range(10**6))

    def users_function(x: Array) -> Any:
        if next(calls) >= count:
            raise BrokenError(f"failed at {x[0]:.3g}", 7)
        return function(x)

    return users_function


@pytest.mark.parametrize("count", [0, 1, 4])
@pytest.mark.parametrize("who", ["fun", "jac", "callback", "together", "2-point", "cs"])
@EACH_FACE
def test_exceptions_pass_through_with_the_best_point(face: str, who: str, count: int) -> None:
    points = Recorder(rosenbrock)
    calls: dict[str, tuple[Any, Any, Any]] = {
        "fun": (failing_after(count, points), rosenbrock_jacobian, None),
        "jac": (points, failing_after(count, rosenbrock_jacobian), None),
        "callback": (points, rosenbrock_jacobian, failing_after(count, lambda x: None)),
        "together": (failing_after(count, lambda x: (points(x), rosenbrock_jacobian(x))), True, None),
        "2-point": (failing_after(3 * count + 2, points), "2-point", None),
        "cs": (failing_after(3 * count + 2, points), "cs", None),
    }
    fun, jac, callback = calls[who]
    with pytest.raises(BrokenError, match="failed at") as caught:
        solve(face, fun, [-1.2, 1], jac, callback=callback, tolerance=1e-12)
    assert caught.value.code == 7
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].name == "users_function"
    assert any(frame.name == "test_exceptions_pass_through_with_the_best_point" for frame in frames)

    partial = caught.value.partial_result
    assert isinstance(partial, Result)
    assert ending(partial) is Status.INTERRUPTED
    assert partial.success is False
    real = [x for x in points.points if np.isrealobj(x)]
    costs = [0.5 * rosenbrock(x) @ rosenbrock(x) for x in real] if who not in ("2-point", "cs") else []
    if costs and partial.nit > 0:  # the best point whose Jacobian was there
        np.testing.assert_allclose(partial.cost, 0.5 * rosenbrock(partial.x) @ rosenbrock(partial.x), rtol=1e-12)
        assert any(np.array_equal(partial.x, x) for x in real)
        lowest = min(costs) if who in ("fun", "callback", "together") else costs[0]
        assert partial.cost <= lowest * (1 + 1e-12)
    if partial.nit == 0:
        np.testing.assert_array_equal(partial.x, [-1.2, 1])


@EACH_FACE
def test_a_partial_result_is_whole(face: str) -> None:
    """It prints, pickles and has every field, even if the very first call failed."""
    with pytest.raises(BrokenError) as caught:
        solve(face, failing_after(0, rosenbrock), [-1.2, 1], rosenbrock_jacobian)
    partial = caught.value.partial_result
    whole = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    assert set(partial) == set(whole)
    assert "INTERRUPTED" in repr(partial)
    assert str(partial)
    assert partial.nfev == 1
    assert partial.njev == partial.nit == 0


@EACH_FACE
def test_causes_of_exceptions_are_kept(face: str) -> None:
    def users_function(x: Array) -> Array:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise BrokenError("outer", 1) from error

    with pytest.raises(BrokenError) as caught:
        solve(face, users_function, [1.0], lambda x: np.ones((1, 1)))
    assert isinstance(caught.value.__cause__, KeyError)


@EACH_FACE
def test_a_callback_whose_answer_is_neither_true_nor_false(face: str) -> None:
    with pytest.raises(ValueError, match="truth value") as caught:
        solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian, callback=lambda x: np.array([1, 2]))
    assert caught.value.partial_result.nit == 1


@EACH_FACE
def test_keyboard_interrupt_in_a_function(face: str) -> None:
    def fun(x: Array) -> Array:
        signal.raise_signal(signal.SIGINT)
        return rosenbrock(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        solve(face, fun, [-1.2, 1], rosenbrock_jacobian)
    assert ending(caught.value.partial_result) is Status.INTERRUPTED


if hasattr(signal, "setitimer"):  # POSIX

    @pytest.mark.parametrize("language", ["compiled", "Python"])
    def test_a_signal_ends_a_long_solve_within_a_tenth_of_a_second(language: str) -> None:
        """The best of three attempts counts: the machine may be busy with something else."""
        callback = None if language == "compiled" else (lambda x: None)
        delays = []
        for _ in range(3):
            previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                due = time.perf_counter() + 0.1
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(KeyboardInterrupt) as caught:
                    endless(callback, max_time=20)
                delays.append(time.perf_counter() - due)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, previous)
            partial = caught.value.partial_result
            assert ending(partial) is Status.INTERRUPTED
            assert partial.nit > 0
            assert partial.x[0] < 1e9
        assert min(delays) < 0.1


# ---- NaN and infinity ------------------------------------------------------------------------------------------------

BAD = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)


@BAD
@EACH_FACE
def test_a_trial_that_is_not_finite_is_rejected(face: str, bad: float) -> None:
    """The full step from 1 leads to -2, where the logarithm is undefined."""

    def fun(x: Array) -> Array:
        return np.array([np.log(x[0]) + 3]) if x[0] > 0 else np.array([bad])

    fun = Recorder(fun)
    result = solve(face, fun, [1.0], lambda x: 1 / x[:, None])
    assert result.success
    np.testing.assert_allclose(result.x, [np.exp(-3)], rtol=1e-6)
    assert any(x[0] <= 0 for x in fun.points)


@BAD
@EACH_FACE
def test_one_bad_component_of_a_trial_is_enough(face: str, bad: float) -> None:
    calls = iter(range(10**6))

    def fun(x: Array) -> Array:
        r = decay(x)
        if next(calls) in (1, 3):
            r[17] = bad
        return r

    result = solve(face, fun, [1, 1, 1], decay_jacobian)
    assert result.success
    np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-5)
    assert np.isfinite(passes(result)["cost"]).all()


@BAD
@EACH_FACE
def test_a_jacobian_that_is_not_finite_later_is_a_rejection(face: str, bad: float) -> None:
    calls = iter(range(10**6))

    def fun(x: Array) -> Array:
        return np.array([10 * (x[1] - x[0] ** 2), 3 - x[0]])

    def jac(x: Array) -> Array:
        J = np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])
        if next(calls) == 1:
            J[1, 0] = bad
        return J

    result = solve(face, fun, [1.0, 1.0], jac)
    assert result.success
    np.testing.assert_allclose(result.x, [3, 9], rtol=1e-6)
    assert np.isfinite(result.jacobian).all()


@BAD
@EACH_FACE
def test_residuals_that_are_not_finite_at_the_start(face: str, bad: float) -> None:
    fun, jac = Recorder(lambda x: np.array([1.0, bad])), Recorder(lambda x: np.eye(2))
    result = solve(face, fun, [1.0, 2.0], jac)
    assert ending(result) is Status.NOT_FINITE_START
    assert not result.success
    assert fun.calls == result.nfev == 1
    assert jac.calls == result.njev == result.nit == 0
    assert "x0" in result.message
    np.testing.assert_array_equal(result.x, [1, 2])
    np.testing.assert_array_equal(result.residuals, [1, bad])
    assert result.jacobian.shape == (2, 2)
    assert str(result)
    assert repr(result)


@BAD
@EACH_FACE
def test_a_jacobian_that_is_not_finite_at_the_start(face: str, bad: float) -> None:
    jac = Recorder(lambda x: np.array([[1.0, 0], [0, bad]]))
    fun = Recorder(lambda x: x - 3)
    result = solve(face, fun, [1.0, 2.0], jac)
    assert ending(result) is Status.NOT_FINITE_JACOBIAN
    assert not result.success
    assert fun.calls == jac.calls == result.nfev == result.njev == 1
    np.testing.assert_array_equal(result.x, [1, 2])
    np.testing.assert_array_equal(result.residuals, [-2, -1])
    assert str(result)


@EACH_FACE
def test_differences_beside_a_wall_of_nan(face: str) -> None:
    """sqrt(x) is undefined below 0; the differences at 0 are taken on the side where it is defined."""

    def fun(x: Array) -> Array:
        return np.array([np.sqrt(x[0]) - 2]) if x[0] >= 0 else np.array([np.nan])

    for jac in ("2-point", "3-point"):
        result = solve(face, fun, [1e-8], jac)
        assert result.success
        np.testing.assert_allclose(result.x, [4], rtol=1e-5)


# ---- vectorised functions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 5), (2, 4, 1)])
@EACH_FACE
def test_a_stack_of_the_wrong_shape(face: str, shape: tuple[int, ...]) -> None:
    def fun(x: Array) -> Array:
        return linear(x) if x.ndim == 1 else np.ones(shape)

    with pytest.raises(ValueError, match="vectorized") as caught:
        solve(face, fun, [0.0, 0.0], "2-point", vectorized=True)
    assert "(2, 4)" in str(caught.value)
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("wrong", [np.array(["a"] * 4), rosenbrock], ids=["strings", "function"])
def test_complex_steps_want_complex_residuals(wrong: Any) -> None:
    def fun(x: Array) -> Any:
        return wrong if np.iscomplexobj(x) else linear(x)

    with pytest.raises((TypeError, ValueError)):
        lm_solve(fun, [0.0, 0.0], jac="cs")


def test_check_jacobian_with_functions_that_overwrite_x() -> None:
    def spoil(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
        @functools.wraps(function)
        def call(x: Array) -> Any:
            value = function(x)
            x[:] = np.nan
            return value

        return call

    assert check_jacobian(spoil(rosenbrock), spoil(rosenbrock_jacobian), [-1.2, 1.0])
    assert check_jacobian(spoil(lambda x: (rosenbrock(x), rosenbrock_jacobian(x))), True, [-1.2, 1.0])
