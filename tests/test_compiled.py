"""Compiled residuals: what has an address, what it may return, and how a solve treats it."""

from __future__ import annotations

import _thread
import ctypes
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marquardt import (
    CompiledResidual,
    Status,
    check_jacobian,
    get_include,
    least_squares,
    lm_solve,
    lsqtr,
)

Array = np.ndarray
X0 = [-1.2, 1.0]
DOUBLES = ctypes.POINTER(ctypes.c_double)
SIZE = ctypes.c_ssize_t
RESIDUAL = ctypes.CFUNCTYPE(ctypes.c_int, DOUBLES, SIZE, DOUBLES, SIZE, ctypes.c_void_p)
BOTH = ctypes.CFUNCTYPE(ctypes.c_int, DOUBLES, SIZE, DOUBLES, SIZE, DOUBLES, ctypes.c_void_p)


@RESIDUAL
def residual(x: Any, n: int, r: Any, m: int, user: Any) -> int:
    r[0] = 10 * (x[1] - x[0] ** 2)
    r[1] = 1 - x[0]
    return 0


@RESIDUAL
def jacobian(x: Any, n: int, J: Any, m: int, user: Any) -> int:
    J[0], J[1], J[2], J[3] = -20 * x[0], 10, -1, 0
    return 0


@RESIDUAL
def jacobian_by_columns(x: Any, n: int, J: Any, m: int, user: Any) -> int:
    J[0], J[2], J[1], J[3] = -20 * x[0], 10, -1, 0
    return 0


@BOTH
def both(x: Any, n: int, r: Any, m: int, J: Any, user: Any) -> int:
    if J:
        jacobian(x, n, J, m, user)
    return residual(x, n, r, m, user)


def address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def rosenbrock(x: Array) -> Array:
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_jacobian(x: Array) -> Array:
    return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])


def by_least_squares(fun: Any, jac: Any = "auto", **options: Any) -> Any:
    return least_squares(fun, options.pop("x0", X0), jac, **options)


def by_lm(fun: Any, jac: Any = None, **options: Any) -> Any:
    return lm_solve(fun, options.pop("x0", X0), jac=None if jac == "auto" else jac, **options)


def by_lsqtr(fun: Any, jac: Any = True, **options: Any) -> Any:
    return lsqtr(fun, options.pop("x0", X0), True if jac == "auto" else jac, verbose=0, **options)


FACES = {"least_squares": by_least_squares, "lm_solve": by_lm, "lsqtr": by_lsqtr}
EACH_FACE = pytest.mark.parametrize("face", FACES.values(), ids=list(FACES))


# ------------------------------------------------------------------------------------------- faces and derivatives


@EACH_FACE
@pytest.mark.parametrize(
    "make",
    [
        lambda: CompiledResidual(residual, 2, jacobian),
        lambda: CompiledResidual(residual, 2, jacobian_by_columns, order="F"),
        lambda: CompiledResidual(both, 2, both=True),
        lambda: CompiledResidual(address(residual), 2, address(jacobian)),
        lambda: CompiledResidual((address(residual), 0), 2, (address(jacobian), ctypes.c_void_p(8))),
    ],
    ids=["two functions", "columns", "both", "addresses", "pairs"],
)
def test_the_solve_is_that_of_the_same_python_functions(face: Callable[..., Any], make: Callable[[], Any]) -> None:
    result, expected = face(make(), "auto"), face(rosenbrock, rosenbrock_jacobian)
    assert result.success
    assert result.x.tolist() == expected.x.tolist()
    assert (result.nfev, result.njev) == (expected.nfev, expected.njev)
    assert result.nfev_differences == 0
    np.testing.assert_allclose(result.jacobian, rosenbrock_jacobian(result.x), rtol=0, atol=0)


@EACH_FACE
@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_differences_of_a_compiled_function(face: Callable[..., Any], scheme: str) -> None:
    result = face(CompiledResidual(residual, 2, jacobian), scheme)
    expected = face(rosenbrock, scheme)
    assert result.success
    assert result.nfev_differences == expected.nfev_differences > 0
    assert result.x.tolist() == expected.x.tolist()


def test_automatic_differences_where_there_is_no_jacobian() -> None:
    result = least_squares(CompiledResidual(residual, 2), X0)
    assert result.success
    assert result.nfev_differences > 0


@EACH_FACE
def test_a_python_jacobian_for_a_compiled_residual(face: Callable[..., Any]) -> None:
    result = face(CompiledResidual(residual, 2), rosenbrock_jacobian)
    assert result.success
    assert result.nfev_differences == 0


def test_a_compiled_jacobian_for_a_python_residual() -> None:
    result = least_squares(rosenbrock, X0, CompiledResidual(residual, 2, jacobian).jacobian)
    assert result.success
    assert result.nfev_differences == 0


def test_vectorized_differences_take_each_point() -> None:
    result = least_squares(CompiledResidual(residual, 2), X0, "3-point", vectorized=True)
    assert result.success


def test_bounds_losses_and_questions() -> None:
    fun = CompiledResidual(residual, 2, jacobian)
    bounded = least_squares(fun, [0.5, 0.5], bounds=([0, 0], [0.8, 2]))
    np.testing.assert_allclose(bounded.x, [0.8, 0.64], atol=1e-6)
    robust = least_squares(fun, X0, loss="soft_l1")
    assert robust.success
    by_hand = least_squares(fun, X0, loss=lambda z: np.array([z, np.ones_like(z), np.zeros_like(z)]))
    assert by_hand.success
    assert check_jacobian(fun, fun.jacobian, X0)


def test_the_callback_of_scipy_with_an_intermediate_result() -> None:
    costs = []

    def callback(intermediate_result: Any) -> None:
        costs.append(intermediate_result.cost)

    assert least_squares(CompiledResidual(residual, 2, jacobian), X0, callback=callback).success
    assert costs == sorted(costs, reverse=True)


def test_a_callback_stops_the_solve() -> None:
    seen: list[Array] = []
    result = lm_solve(CompiledResidual(residual, 2, jacobian), X0, callback=lambda x: seen.append(x) or len(seen) == 2)
    assert len(seen) == 2
    assert result.status.general == Status.STOPPED


def test_an_exception_of_the_callback_has_the_partial_result() -> None:
    def callback(x: Array) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError) as caught:
        lsqtr(CompiledResidual(residual, 2, jacobian), X0, True, verbose=0, callback=callback)
    assert caught.value.partial_result.nit == 1


def test_calls_from_python() -> None:
    fun = CompiledResidual(residual, 2, jacobian)
    assert fun(X0).tolist() == rosenbrock(np.array(X0)).tolist()
    assert fun.jacobian(np.array(X0)).tolist() == rosenbrock_jacobian(np.array(X0)).tolist()
    assert (fun.m, fun.has_jacobian) == (2, True)
    assert repr(fun) == "CompiledResidual(m=2, has_jacobian=True)"
    with pytest.raises(TypeError, match="vector of real numbers, got 'x'"):
        fun("x")
    with pytest.raises(TypeError, match="no compiled Jacobian"):
        CompiledResidual(residual, 2).jacobian(X0)


# ------------------------------------------------------------------------------------------- what may go wrong


def returning(code: int, beyond: float) -> Any:
    """Rosenbrock's residuals, but a code is returned where x0 is beyond a number."""

    @RESIDUAL
    def fails(x: Any, n: int, r: Any, m: int, user: Any) -> int:
        residual(x, n, r, m, user)
        return code if x[0] > beyond else 0

    return fails


@EACH_FACE
def test_a_positive_code_is_no_value(face: Callable[..., Any]) -> None:
    result = face(CompiledResidual(returning(3, 0.5), 2, jacobian))  # the minimum is at x0 = 1
    assert result.x[0] <= 0.5
    assert not result.success
    start = face(CompiledResidual(returning(3, -2), 2, jacobian))
    assert getattr(start.status, "general", start.status) == Status.NOT_FINITE_START


@EACH_FACE
def test_a_positive_code_is_no_jacobian(face: Callable[..., Any]) -> None:
    result = face(CompiledResidual(residual, 2, returning(1, -2)))
    assert getattr(result.status, "general", result.status) == Status.NOT_FINITE_JACOBIAN


@EACH_FACE
@pytest.mark.parametrize("which", ["fun", "jac"])
def test_a_negative_code_ends_the_solve(face: Callable[..., Any], which: str) -> None:
    ends = returning(-7, -1)
    if which == "jac":

        @RESIDUAL
        def ends(x: Any, n: int, J: Any, m: int, user: Any) -> int:
            jacobian(x, n, J, m, user)
            return -7 if x[0] > -1 else 0

    fun = CompiledResidual(ends, 2, jacobian) if which == "fun" else CompiledResidual(residual, 2, ends)
    with pytest.raises(RuntimeError, match=f"the compiled {which} returned -7, which ends the solve") as caught:
        face(fun)
    partial = caught.value.partial_result
    assert partial.x[0] <= -1
    assert np.isfinite(partial.cost)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(value: float) -> None:
    @RESIDUAL
    def fails(x: Any, n: int, r: Any, m: int, user: Any) -> int:
        residual(x, n, r, m, user)
        if x[0] > 0.5:
            r[1] = value
        return 0

    result = lm_solve(CompiledResidual(fails, 2, jacobian), X0)
    assert result.x[0] <= 0.5
    assert not result.success


def test_what_is_not_filled_is_not_finite() -> None:
    @RESIDUAL
    def forgets(x: Any, n: int, r: Any, m: int, user: Any) -> int:
        r[0] = 1
        return 0

    assert np.isnan(CompiledResidual(forgets, 2)(X0)[1])
    assert np.isnan(CompiledResidual(residual, 2, forgets).jacobian(X0)).sum() == 3
    assert lm_solve(CompiledResidual(forgets, 2), X0).status.general == Status.NOT_FINITE_START


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_behind_a_ctypes_pointer_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lost.append)

    @RESIDUAL
    def raises(x: Any, n: int, r: Any, m: int, user: Any) -> int:
        if x[0] > 0.5:
            raise ZeroDivisionError("lost")
        return residual(x, n, r, m, user)  # type: ignore[no-any-return]

    # what ctypes returns after an exception is not defined: any value, NaN residuals behind it
    try:
        result = lm_solve(CompiledResidual(raises, 2, jacobian), X0)
    except RuntimeError as error:
        result = error.partial_result  # type: ignore[attr-defined]
    assert not result.success
    assert result.x[0] <= 0.5
    assert {type(entry.exc_value) for entry in lost} == {ZeroDivisionError}


@EACH_FACE
def test_the_complex_step_is_refused(face: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="jac='cs' needs a function of complex numbers"):
        face(CompiledResidual(residual, 2), "cs")


def test_true_needs_a_jacobian() -> None:
    with pytest.raises(ValueError, match="jac=True needs a Jacobian, and this CompiledResidual has none"):
        lsqtr(CompiledResidual(residual, 2), X0, True, verbose=0)


@EACH_FACE
def test_args_are_refused(face: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="a compiled fun takes no args: give it user_data instead"):
        face(CompiledResidual(residual, 2, jacobian), args=(1,))


# ------------------------------------------------------------------------------------------- what has an address

WRONG = [
    (lambda: CompiledResidual(rosenbrock, 2), TypeError, "fun must be compiled"),
    (lambda: CompiledResidual(residual, 2, rosenbrock_jacobian), TypeError, "jac must be compiled"),
    (lambda: CompiledResidual(True, 2), TypeError, "fun must be compiled"),
    (lambda: CompiledResidual(None, 2), TypeError, "fun must be compiled"),
    (lambda: CompiledResidual(0, 2), ValueError, "the address of fun is null"),
    (lambda: CompiledResidual(-4, 2), ValueError, "the address of fun must be at least 0"),
    (lambda: CompiledResidual(2**70, 2), ValueError, "the address of fun is too large"),
    (lambda: CompiledResidual(residual, 2, 0), ValueError, "the address of jac is null"),
    (lambda: CompiledResidual((0, 0), 2), ValueError, "the address of fun is null"),
    (lambda: CompiledResidual(RESIDUAL(), 2), ValueError, "the address of fun is null"),
    (lambda: CompiledResidual((1, 2, 3), 2), TypeError, "must be a pair"),
    (lambda: CompiledResidual(residual, 0), ValueError, "m must be at least 1, got 0"),
    (lambda: CompiledResidual(residual, 2.5), TypeError, "m must be an integer"),
    (lambda: CompiledResidual(residual, 2, order="K"), ValueError, "order must be one of 'C', 'F'"),
    (lambda: CompiledResidual(both, 2), ValueError, "fun must have the signature .* it has 6 parameters"),
    (lambda: CompiledResidual(residual, 2, both=True), ValueError, "it has 5 parameters"),
    (lambda: CompiledResidual(both, 2, jacobian, both=True), ValueError, "jac must be None"),
    (lambda: CompiledResidual(residual, 2, user_data="text"), TypeError, "user_data must be an address"),
    (lambda: CompiledResidual(residual, 2, user_data=np.zeros((4, 4))[:, 0]), ValueError, "contiguous"),
    (lambda: CompiledResidual((address(residual), 8), 2, user_data=8), ValueError, "fun brings its own along"),
]


@pytest.mark.parametrize(("make", "error", "message"), WRONG)
def test_what_does_not_fit_is_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((None, DOUBLES, SIZE, DOUBLES, SIZE, ctypes.c_void_p), "it returns None"),
        ((ctypes.c_double, DOUBLES, SIZE, DOUBLES, SIZE, ctypes.c_void_p), "it returns c_double"),
        ((ctypes.c_int, DOUBLES, ctypes.c_int32, DOUBLES, SIZE, ctypes.c_void_p), "its parameter 1 is c_int"),
        ((ctypes.c_int, ctypes.POINTER(ctypes.c_float), SIZE, DOUBLES, SIZE, ctypes.c_void_p), "its parameter 0"),
        ((ctypes.c_int, DOUBLES, SIZE, DOUBLES, SIZE, ctypes.c_double), "its parameter 4 is c_double"),
    ],
)
def test_another_ctypes_signature_is_refused(types: tuple[Any, ...], message: str) -> None:
    function = ctypes.CFUNCTYPE(*types)(lambda *_: 0)
    with pytest.raises(ValueError, match=message):
        CompiledResidual(function, 2)


def test_pointers_to_doubles_in_other_words() -> None:
    pointer = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
    for given in (ctypes.c_void_p, pointer):
        function = ctypes.cast(residual, ctypes.c_void_p).value
        typed = ctypes.CFUNCTYPE(ctypes.c_int)(function)
        typed.argtypes = [given, SIZE, given, SIZE, ctypes.c_void_p]
        assert CompiledResidual(typed, 2)(X0).tolist() == rosenbrock(np.array(X0)).tolist()


class Target(ctypes.Structure):
    _fields_ = (("value", ctypes.c_double),)


DATA = [
    np.array([3.0]),
    Target(3.0),
    ctypes.c_double(3.0),
    ctypes.pointer(ctypes.c_double(3.0)),
    (ctypes.c_double * 1)(3),
]


@pytest.mark.parametrize("data", DATA, ids=["ndarray", "structure", "number", "pointer", "array"])
def test_user_data(data: Any) -> None:
    @RESIDUAL
    def to_target(x: Any, n: int, r: Any, m: int, user: int) -> int:
        r[0] = x[0] - ctypes.cast(user, DOUBLES)[0]
        return 0

    assert least_squares(CompiledResidual(to_target, 1, user_data=data), [0.0]).x[0] == pytest.approx(3)


def test_function_and_data_are_kept_alive() -> None:
    def make() -> CompiledResidual:
        return CompiledResidual(returning(0, 0), 2, user_data=np.zeros(1000))

    fun = make()
    assert lm_solve(fun, X0).success


def test_scipy_low_level_callable() -> None:
    scipy = pytest.importorskip("scipy")
    target = ctypes.c_double(2.0)

    @RESIDUAL
    def scaled(x: Any, n: int, r: Any, m: int, user: int) -> int:
        residual(x, n, r, m, user)
        r[1] = ctypes.cast(user, DOUBLES)[0] - x[0]
        return 0

    callable_ = scipy.LowLevelCallable(scaled, ctypes.cast(ctypes.pointer(target), ctypes.c_void_p))
    fun = CompiledResidual(callable_, 2, scipy.LowLevelCallable(jacobian))
    np.testing.assert_allclose(least_squares(fun, X0).x, [2, 4], rtol=1e-7)
    with pytest.raises(ValueError, match=r"fun must have the signature .* got 'int"):
        CompiledResidual(scipy.LowLevelCallable(both), 2)


def test_numba_cfunc() -> None:
    numba = pytest.importorskip("numba")
    types = numba.types
    doubles = types.CPointer(types.double)

    @numba.cfunc(types.intc(doubles, types.intp, doubles, types.intp, types.voidptr))
    def fast(x, n, r, m, user):  # type: ignore[no-untyped-def]
        r[0] = 10 * (x[1] - x[0] * x[0])
        r[1] = 1 - x[0]
        return 0

    assert least_squares(CompiledResidual(fast, 2, jacobian), X0).success
    assert least_squares(CompiledResidual(fast.address, 2), X0).success
    wrong = numba.cfunc(types.double(types.double))(lambda x: x)
    with pytest.raises(ValueError, match="it returns c_double"):
        CompiledResidual(wrong, 2)


# ------------------------------------------------------------------------------------------- C, threads, Ctrl-C

SOURCE = r"""
#include <marquardt/callback.h>
#include <math.h>
#include <time.h>

marquardt_residual decay;
marquardt_jacobian decay_jacobian;
marquardt_both decay_both;

int decay(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, void* user) {
  const double* y = user;
  for (ptrdiff_t i = 0; i < m; ++i) r[i] = x[0] * exp(-x[1] * i / (double)m) - y[i];
  return n == 2 ? 0 : -1;
}

int decay_jacobian(const double* x, ptrdiff_t n, double* J, ptrdiff_t m, void* user) {
  (void)user;
  for (ptrdiff_t i = 0; i < m; ++i) {
    const double t = i / (double)m, e = exp(-x[1] * t);
    J[i * n] = e;
    J[i * n + 1] = -x[0] * t * e;
  }
  return 0;
}

int decay_both(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, double* J, void* user) {
  if (J) decay_jacobian(x, n, J, m, user);
  return decay(x, n, r, m, user);
}

/* Spins until both of two threads are here at the same time, or for long; a solve that holds a lock never meets
 * another one. user: the number of those here, and whether they met. */
int meets(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, void* user) {
  volatile int* state = user;
  (void)n;
  (void)m;
  __sync_fetch_and_add(&state[0], 1);
  for (long k = 0; k < 400000000L && !state[1]; ++k) {
    if (state[0] >= 2) state[1] = 1;
  }
  __sync_fetch_and_sub(&state[0], 1);
  r[0] = x[0] - 1;
  return 0;
}

/* Falls and falls, a little more slowly than one would like. */
int falling(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, void* user) {
  const struct timespec pause = {0, 20000000};
  (void)n;
  (void)m;
  (void)user;
  nanosleep(&pause, NULL);
  r[0] = exp(-x[0]);
  return 0;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """A library compiled with the public header by the system's compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("compiled")
    source, target = folder / "model.c", folder / "model.so"
    source.write_text(SOURCE, encoding="utf-8")
    flags = ["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-I", get_include()]
    subprocess.run([compiler, *flags, str(source), "-o", str(target), "-lm"], check=True)
    return ctypes.CDLL(str(target))


def test_the_header_says_what_the_core_calls() -> None:
    header = (Path(get_include()) / "marquardt" / "callback.h").read_text(encoding="utf-8")
    for out in "rJ":
        assert f"(const double* x, ptrdiff_t n, double* {out}, ptrdiff_t m, void* user)" in header
    assert "(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, double* J, void* user)" in header


@pytest.mark.parametrize("together", [False, True])
def test_functions_of_c(library: ctypes.CDLL, together: bool) -> None:
    t = np.arange(50) / 50
    y = 2.5 * np.exp(-1.3 * t)
    if together:
        fun = CompiledResidual(library.decay_both, 50, user_data=y, both=True)
    else:
        fun = CompiledResidual(library.decay, 50, library.decay_jacobian, user_data=y)
    result = least_squares(fun, [1.0, 1.0])
    assert result.success
    np.testing.assert_allclose(result.x, [2.5, 1.3], rtol=1e-7)
    assert check_jacobian(fun, fun.jacobian, [1.0, 1.0])
    assert result.stderr.shape == (2,)


def test_solves_in_two_threads_overlap(library: ctypes.CDLL) -> None:
    state = np.zeros(2, dtype=np.int32)
    fun = CompiledResidual(library.meets, 1, user_data=state)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(lm_solve(fun, [0.0]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.tolist() == [0, 1]
    assert [result.success for result in results] == [True, True]


def test_ctrl_c_ends_a_solve_that_holds_no_lock(library: ctypes.CDLL) -> None:
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        lm_solve(CompiledResidual(library.falling, 1), [0.0])  # some 70 evaluations of 20 ms
    timer.join()
    assert 0 < caught.value.partial_result.nit < 30
