"""Wrong arguments are refused by name, with value and rule, before any function of the user's is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from helpers import FACES, decay, decay_jacobian, ending, rosenbrock, rosenbrock_jacobian, solve
from marquardt import Status, _arguments, check_jacobian, lm_solve, lsqtr, lstsq

NAN, INF = float("nan"), float("inf")


class Untouched:
    """A function that must not be called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Any, *args: Any) -> Any:
        self.calls += 1
        return np.array([x[0] - 1, x[1] - 2, x[0] + x[1]])


def call(face: Callable[..., Any], changes: dict[str, Any], fun: Untouched) -> Any:
    """Call a face on a sound problem with some arguments replaced."""
    if face is lm_solve:
        return lm_solve(**({"func": fun, "x0": [1.0, 2.0], "jac": fun} | changes))
    if face is lsqtr:
        return lsqtr(**({"fun": fun, "x0": [1.0, 2.0], "jac": fun, "verbose": 0} | changes))
    return check_jacobian(**({"fun": fun, "jac": fun, "x": [1.0, 2.0]} | changes))


def refuse(face: Callable[..., Any], changes: dict[str, Any], words: tuple[str, ...]) -> None:
    fun = Untouched()
    with pytest.raises((ValueError, TypeError)) as caught:
        call(face, changes, fun)
    for word in words:
        assert word in str(caught.value)
    assert fun.calls == 0


def cases(*rows: tuple[str, Any, tuple[str, ...]]) -> Any:
    """Parametrise over (argument, wrong value, words of the message); the argument's name is always one of them."""
    return pytest.mark.parametrize(
        ("name", "value", "words"), rows, ids=[f"{name}={value!r}"[:60] for name, value, _ in rows]
    )


NONLINEAR = pytest.mark.parametrize("face", [lm_solve, lsqtr], ids=["lm_solve", "lsqtr"])

WRONG_STARTS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    ([], ("at least one", "empty")),
    (np.empty((0,)), ("at least one", "empty")),
    ([1, NAN], ("finite", "x0[1] = nan")),
    ([INF, 1], ("finite", "x0[0] = inf")),
    ([1, -INF], ("finite", "x0[1] = -inf")),
    ("ab", ("real numbers", "'ab'")),
    (["1", "2"], ("real numbers", "'1'")),
    ([1 + 2j, 0], ("real numbers", "1+2j")),
    (None, ("real numbers", "None")),
    (np.array(["2020-01-01"], dtype="datetime64[D]"), ("real numbers", "2020")),
)

# What lm_solve takes as an array or a tree of parameters.
TREES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    ([[1, 2]], ("one-dimensional", "(1, 2)")),
    (np.ones((2, 2, 2)), ("one-dimensional", "(2, 2, 2)")),
    ([1, None], ("real numbers", "None")),
    ({"a": 1}, ("real numbers", "{'a': 1}")),
    ([[1], [1, 2]], ("real numbers", "[[1], [1, 2]]")),
)

WRONG_BOUNDS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (5, ("pair", "5")),
    ([0], ("pair", "[0]")),
    (([0, 0], [1, 1], [2, 2]), ("pair",)),
    ("ab", ("lower bound", "real numbers", "'a'")),
    (([0, 0, 0], 9), ("lower bound", "(2,)", "(3,)")),
    ((0, [9, 9, 9]), ("upper bound", "(2,)", "(3,)")),
    (([[0, 0]], 9), ("lower bound", "(2,)", "(1, 2)")),
    ((0, [[9], [9]]), ("upper bound", "(2,)", "(2, 1)")),
    (([], 9), ("lower bound", "(2,)", "(0,)")),
    (([0, 5], [9, 4]), ("lower bound", "upper bound", "5.0 > 4.0", "parameter 1")),
    ((3, 2), ("3.0 > 2.0", "parameter 0")),
    (([0, NAN], 9), ("lower bound", "NaN")),
    ((0, NAN), ("upper bound", "NaN")),
    ((INF, INF), ("inf", "parameter 0")),
    ((-INF, [1, -INF]), ("-inf", "parameter 1")),
    ((0, 1j), ("upper bound", "real numbers", "1j")),
    ((["a", "b"], 1), ("lower bound", "real numbers", "'a'")),
)


@pytest.mark.parametrize(("value", "words"), WRONG_STARTS, ids=lambda v: repr(v)[:40])
@NONLINEAR
def test_wrong_x0(face: Callable[..., Any], value: Any, words: tuple[str, ...]) -> None:
    refuse(face, {"x0": value}, ("x0", *words))


@pytest.mark.parametrize(("value", "words"), TREES, ids=lambda v: repr(v)[:40])
def test_trees_are_for_lm_solve(value: Any, words: tuple[str, ...]) -> None:
    refuse(lsqtr, {"x0": value}, ("x0", *words))


@pytest.mark.parametrize(("value", "words"), WRONG_BOUNDS, ids=lambda v: repr(v)[:40])
@NONLINEAR
def test_wrong_bounds(face: Callable[..., Any], value: Any, words: tuple[str, ...]) -> None:
    refuse(face, {"bounds": value}, ("bound", *words))


@pytest.mark.parametrize("name", ["ftol", "xtol", "gtol"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1, ("zero or a positive", "-1.0")),
        (-1e-300, ("zero or a positive", "-1e-300")),
        (NAN, ("positive", "nan")),
        (INF, ("finite", "inf")),
        ("tight", ("number", "'tight'")),
        ("1e-6", ("number", "'1e-6'")),
        ([1e-6], ("number", "[1e-06]")),
        (np.array([1e-6]), ("number",)),
        (True, ("number", "True")),
        (1j, ("number", "1j")),
        (np.complex128(1e-6), ("number",)),
    ],
    ids=repr,
)
@NONLINEAR
def test_wrong_tolerances(face: Callable[..., Any], name: str, value: Any, words: tuple[str, ...]) -> None:
    refuse(face, {name: value}, (name, *words))


@cases(
    ("args", 5, ("tuple", "5")),
    ("args", "ab", ("tuple", "'ab'")),
    ("args", {"a": 1}, ("tuple", "{'a': 1}")),
    ("args", None, ("tuple", "None")),
    ("callback", 5, ("callable", "5")),
    ("callback", "show", ("callable", "'show'")),
    ("outside", "clip", ("'move'", "'raise'", "'clip'")),
    ("outside", "mov", ("did you mean 'move'?",)),
    ("outside", None, ("'move'", "None")),
    ("max_time", 0, ("positive", "0")),
    ("max_time", -1, ("positive", "-1")),
    ("max_time", NAN, ("positive", "nan")),
    ("max_time", "long", ("number", "'long'")),
    ("jac", "2point", ("'2-point'", "'3-point'", "'cs'", "did you mean '2-point'?")),
    ("jac", "exact", ("'2-point'", "'3-point'", "'cs'", "'exact'")),
    ("jac", 5, ("callable", "'2-point'", "5")),
    ("jac", False, ("callable", "True", "False")),
    ("jac", np.eye(2), ("callable", "'2-point'")),
)
@NONLINEAR
def test_wrong_arguments_of_both(face: Callable[..., Any], name: str, value: Any, words: tuple[str, ...]) -> None:
    refuse(face, {name: value}, (name, *words))


@pytest.mark.parametrize("value", [None, 5, "fun", [1, 2]], ids=repr)
def test_wrong_functions(value: Any) -> None:
    refuse(lm_solve, {"func": value}, ("func", "callable", repr(value)))
    refuse(lsqtr, {"fun": value}, ("fun", "callable", repr(value)))
    refuse(check_jacobian, {"fun": value}, ("fun", "callable", repr(value)))
    refuse(check_jacobian, {"jac": value}, ("jac", "callable", repr(value)))


@cases(
    ("max_nfev", 0, ("at least 1", "0")),
    ("max_nfev", -5, ("at least 1", "-5")),
    ("max_nfev", 2.5, ("integer", "2.5")),
    ("max_nfev", "10", ("integer", "'10'")),
    ("max_nfev", True, ("integer", "True")),
    ("max_nfev", NAN, ("integer", "nan")),
    ("max_nfev", None, ("integer", "None")),
    ("diag", 0, ("positive", "0")),
    ("diag", [1, -2], ("positive", "-2")),
    ("diag", [1, NAN], ("positive", "nan")),
    ("diag", [INF, 1], ("finite", "inf")),
    ("diag", [1, 2, 3], ("(2,)", "(3,)")),
    ("diag", [[1, 2]], ("(2,)", "(1, 2)")),
    ("diag", "jac", ("real numbers", "'jac'")),
    ("diag", [1j, 1], ("real numbers", "1j")),
    ("lambda0", 0, ("positive", "0")),
    ("lambda0", -1e-3, ("positive", "-0.001")),
    ("lambda0", NAN, ("positive", "nan")),
    ("lambda0", INF, ("finite", "inf")),
    ("lambda0", "small", ("number", "'small'")),
    ("lambda0", None, ("number", "None")),
    ("lambda0", [1e-3], ("number", "[0.001]")),
    ("log_level", "LOUD", ("level", "'LOUD'")),
    ("log_level", -1, ("at least 0", "-1")),
    ("log_level", 2.5, ("integer", "2.5")),
)
def test_wrong_arguments_of_lm_solve(name: str, value: Any, words: tuple[str, ...]) -> None:
    refuse(lm_solve, {name: value}, (name, *words))


@cases(
    ("x_scale", 0, ("positive", "0")),
    ("x_scale", [1, -2], ("positive", "-2")),
    ("x_scale", [1, NAN], ("positive", "nan")),
    ("x_scale", INF, ("finite", "inf")),
    ("x_scale", [1, 2, 3], ("(2,)", "(3,)")),
    ("x_scale", [[1], [2]], ("(2,)", "(2, 1)")),
    ("x_scale", "jacc", ("'jac'", "did you mean 'jac'?")),
    ("x_scale", "auto", ("'jac'", "'auto'")),
    ("x_scale", 1j, ("real numbers", "1j")),
    ("x_scale", None, ("real numbers", "None")),
    ("jac", None, ("callable", "'2-point'", "None")),
    ("verbose", -1, ("at least 0", "-1")),
    ("verbose", 1.5, ("integer", "1.5")),
    ("verbose", "much", ("integer", "'much'")),
    ("maxiter", -1, ("at least 0", "-1")),
    ("maxiter", 2.5, ("integer", "2.5")),
    ("maxiter", "10", ("integer", "'10'")),
    ("options", 5, ("mapping", "5")),
    ("options", "fast", ("mapping", "'fast'")),
    ("options", [1], ("mapping", "[1]")),
)
def test_wrong_arguments_of_lsqtr(name: str, value: Any, words: tuple[str, ...]) -> None:
    refuse(lsqtr, {name: value}, (name, *words))


@cases(
    ("max_nfev", 0, ("at least 1", "0")),
    ("max_nfev", 2.5, ("integer", "2.5")),
    ("max_nfev", "many", ("integer", "'many'")),
    ("max_dx", 0, ("positive", "0")),
    ("max_dx", -1, ("positive", "-1")),
    ("max_dx", NAN, ("positive", "nan")),
    ("max_dx", "far", ("number", "'far'")),
    ("initial_trust_radius", "scipi", ("'scipy'", "'conngould'", "'mix'", "did you mean 'scipy'?")),
    ("initial_trust_radius", 0, ("positive", "0")),
    ("initial_trust_radius", -1, ("positive", "-1")),
    ("initial_trust_radius", NAN, ("positive", "nan")),
    ("initial_trust_radius", INF, ("finite", "inf")),
    ("initial_trust_radius", None, ("number", "None")),
    ("initial_trust_radius", [1.0], ("number", "[1.0]")),
    ("initial_trust_ratio", 0, ("positive", "0")),
    ("initial_trust_ratio", -1, ("positive", "-1")),
    ("initial_trust_ratio", NAN, ("positive", "nan")),
    ("initial_trust_ratio", INF, ("finite", "inf")),
    ("max_trust_radius", 0, ("positive", "0")),
    ("max_trust_radius", -1, ("positive", "-1")),
    ("max_trust_radius", NAN, ("positive", "nan")),
    ("min_trust_radius", -1, ("positive", "-1")),
    ("min_trust_radius", NAN, ("positive", "nan")),
    ("min_trust_radius", "small", ("number", "'small'")),
    ("min_trust_radius", INF, ("less than max_trust_radius", "inf")),
    ("tr_increase_threshold", 1, ("tr_decrease_threshold", "1")),
    ("tr_increase_threshold", 0.1, ("tr_decrease_threshold", "0.1")),
    ("tr_increase_threshold", NAN, ("tr_decrease_threshold", "nan")),
    ("tr_decrease_threshold", 0, ("between 0 and 1", "0")),
    ("tr_decrease_threshold", 1, ("between 0 and 1", "1")),
    ("tr_decrease_threshold", -1, ("between 0 and 1", "-1")),
    ("tr_decrease_threshold", NAN, ("between 0 and 1", "nan")),
    ("tr_increase_ratio", 1, ("greater than 1", "1")),
    ("tr_increase_ratio", INF, ("finite", "inf")),
    ("tr_increase_ratio", NAN, ("greater than 1", "nan")),
    ("tr_decrease_ratio", 0, ("between 0 and 1", "0")),
    ("tr_decrease_ratio", 1, ("between 0 and 1", "1")),
    ("tr_decrease_ratio", 1.5, ("between 0 and 1", "1.5")),
    ("tr_decrease_ratio", NAN, ("between 0 and 1", "nan")),
    ("tr_decrease_ratio", "quarter", ("number", "'quarter'")),
    ("tr_method", "chol", ("'svd'", "'cho'", "'qr'", "did you mean 'cho'?")),
    ("tr_method", "lu", ("'svd'", "'cho'", "'qr'", "'lu'")),
    ("tr_method", None, ("'svd'", "None")),
    ("tr_method", 5, ("'svd'", "5")),
    ("tr_methd", "svd", ("did you mean 'tr_method'?", "max_nfev")),
    ("max_nfv", 5, ("did you mean 'max_nfev'?",)),
    ("inital_trust_radius", 5, ("did you mean 'initial_trust_radius'?",)),
    ("ftol", 1e-6, ("unknown option", "initial_trust_radius")),
    ("wholly different", 1, ("unknown option", "tr_method")),
)
def test_wrong_options_of_lsqtr(name: str, value: Any, words: tuple[str, ...]) -> None:
    refuse(lsqtr, {"options": {name: value}}, (name, *words))


def test_options_that_contradict_each_other() -> None:
    refuse(
        lsqtr,
        {"options": {"min_trust_radius": 2.0, "max_trust_radius": 1.0}},
        ("min_trust_radius", "less than max_trust_radius", "2"),
    )
    refuse(
        lsqtr,
        {"options": {"tr_increase_threshold": 0.3, "tr_decrease_threshold": 0.4}},
        ("tr_increase_threshold", "tr_decrease_threshold", "0.3"),
    )


def test_an_option_key_that_is_no_string() -> None:
    refuse(lsqtr, {"options": {5: 1}}, ("unknown option 5",))


@cases(
    ("x", [1, NAN], ("finite", "nan")),
    ("x", [[1, 2]], ("one-dimensional", "(1, 2)")),
    ("x", "ab", ("real numbers", "'ab'")),
    ("bounds", (3, 2), ("3.0 > 2.0", "parameter 0")),
    ("bounds", ([0, 0], [0.5, 5]), ("within the bounds", "[0] = 1.0", "[0.0, 0.5]")),
    ("tolerance", -1, ("positive", "-1")),
    ("tolerance", NAN, ("positive", "nan")),
    ("tolerance", "loose", ("number", "'loose'")),
    ("method", "3point", ("'3-point'", "did you mean '3-point'?")),
    ("method", None, ("'3-point'", "None")),
    ("args", 5, ("tuple", "5")),
    ("jac", False, ("callable", "False")),
    ("jac", "2-point", ("callable", "'2-point'")),
)
def test_wrong_arguments_of_check_jacobian(name: str, value: Any, words: tuple[str, ...]) -> None:
    refuse(check_jacobian, {name: value}, (name.removesuffix("s"), *words))


@pytest.mark.parametrize(
    "changes", [{"x": [1, NAN]}, {"x": []}, {"x": [[1, 2]]}, {"bounds": ([0, 0], [0.5, 5])}], ids=repr
)
def test_check_jacobian_calls_its_point_x(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^x\b") as caught:
        call(check_jacobian, changes, Untouched())
    assert "x0" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"A": "ab"}, ("A", "real numbers", "'ab'")),
        ({"A": None}, ("A", "real numbers", "None")),
        ({"A": [[1, 2], [3]]}, ("A", "real numbers")),
        ({"A": [1.0, 2.0]}, ("A", "two dimensions", "(2,)")),
        ({"A": 3.0}, ("A", "two dimensions", "()")),
        ({"A": [[1, NAN], [3, 4]]}, ("A", "finite", "A[0, 1] = nan")),
        ({"A": [[1, 2], [-INF, 4]]}, ("A", "finite", "A[1, 0] = -inf")),
        ({"b": [1, 2, 3]}, ("b", "(2,)", "(3,)")),
        ({"b": [[1, 2]]}, ("b", "(2, k)", "(1, 2)")),
        ({"b": 1.0}, ("b", "(2,)", "()")),
        ({"b": np.ones((2, 2, 2))}, ("b", "(2, k)", "(2, 2, 2)")),
        ({"b": [1, NAN]}, ("b", "finite", "b[1] = nan")),
        ({"b": ["a", "b"]}, ("b", "real numbers", "'a'")),
        ({"b": None}, ("b", "real numbers", "None")),
        ({"rcond": -1}, ("rcond", "positive", "-1")),
        ({"rcond": NAN}, ("rcond", "positive", "nan")),
        ({"rcond": "small"}, ("rcond", "number", "'small'")),
        ({"method": "cholesk"}, ("method", "'auto'", "did you mean 'cholesky'?")),
        ({"method": "lu"}, ("method", "'auto'", "'qr'", "'cod'", "'svd'", "'cholesky'", "'lu'")),
        ({"method": None}, ("method", "'auto'", "None")),
    ],
    ids=lambda v: repr(v)[:50],
)
def test_wrong_arguments_of_lstsq(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        lstsq(**({"A": [[1.0, 2], [3, 4]], "b": [1.0, 2]} | changes))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("face", [lm_solve, lsqtr, check_jacobian, lstsq])
def test_an_unknown_keyword_is_a_type_error(face: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="tolerence"):
        face(rosenbrock, [1.0, 2.0], rosenbrock_jacobian, tolerence=1)


# ---- what is accepted ------------------------------------------------------------------------------------------------


def test_signatures() -> None:
    """Names, order and defaults of the positional arguments are a promise."""

    def positional(face: Callable[..., Any]) -> dict[str, Any]:
        parameters = inspect.signature(face).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}

    required = inspect.Parameter.empty
    assert list(positional(lm_solve).items()) == [
        ("func", required),
        ("x0", required),
        ("args", ()),
        ("bounds", None),
        ("ftol", 1e-6),
        ("xtol", 1e-6),
        ("gtol", 1e-6),
        ("max_nfev", 100),
        ("diag", None),
        ("lambda0", 1e-3),
        ("log_level", None),
    ]
    assert list(positional(lsqtr).items()) == [
        ("fun", required),
        ("x0", required),
        ("jac", required),
        ("bounds", (-INF, INF)),
        ("args", ()),
        ("x_scale", "jac"),
        ("ftol", 1e-6),
        ("xtol", 1e-6),
        ("gtol", 1e-6),
        ("verbose", 1),
        ("maxiter", None),
        ("callback", None),
        ("options", None),
    ]
    assert list(positional(lstsq)) == ["A", "b"]
    assert list(positional(check_jacobian)) == ["fun", "jac", "x", "args"]


STARTS = {
    "list": [-1, 1],
    "tuple": (-1.0, 1.0),
    "int": np.array([-1, 1]),
    "int8": np.array([-1, 1], dtype=np.int8),
    "uint8": np.array([0, 1], dtype=np.uint8),
    "bool": np.array([False, True]),
    "bools": [False, True],
    "float32": np.array([-1, 1], dtype=np.float32),
    "float16": np.array([-1, 1], dtype=np.float16),
    "longdouble": np.array([-1, 1], dtype=np.longdouble),
    "big-endian": np.array([-1, 1], dtype=">f8"),
    "strided": np.array([-1.0, 9, 1, 9])[::2],
    "reversed": np.array([1.0, -1])[::-1],
    "fractions": [Fraction(-1), Fraction(1)],
    "0-d each": [np.array(-1), np.float32(1)],
}


@pytest.mark.parametrize("start", STARTS, ids=str)
@pytest.mark.parametrize("face", FACES)
def test_x0_of_any_real_type_is_promoted(face: str, start: str) -> None:
    """Whole-number starts are never truncated: the answer (1.3, 0.4) is no whole number."""

    def fun(x: Any) -> Any:
        assert x.dtype == np.float64
        return np.array([x[0] - 1.3, 10 * (x[1] - 0.4), 0.0])

    result = solve(face, fun, STARTS[start], lambda x: np.array([[1.0, 0], [0, 10], [0, 0]]))
    assert result.success
    assert result.x.dtype == np.float64
    np.testing.assert_allclose(result.x, [1.3, 0.4], rtol=1e-6)


@pytest.mark.parametrize(
    "x0", [[2**53 + 1, 1], (-(2**62) - 1, 0.5), [2**70, 1], [np.float32(0.1), 1], [True, 2.5], [-0.0, 5e-324]], ids=repr
)
def test_x0_in_a_sequence_is_what_numpy_makes_of_it(x0: Any) -> None:
    start, expected = _arguments.start(x0), np.array(x0, dtype=np.float64)
    np.testing.assert_array_equal(start, expected)
    np.testing.assert_array_equal(np.signbit(start), np.signbit(expected))


@pytest.mark.parametrize("x0", [2, 2.5, np.float64(2), np.array(2.0), np.array([2]), [2], True], ids=repr)
@pytest.mark.parametrize("face", FACES)
def test_one_parameter_may_be_a_scalar(face: str, x0: Any) -> None:
    result = solve(face, lambda x: x - 1.5, x0, lambda x: np.ones((1, 1)))
    assert result.success
    assert result.x.shape == (1,)
    np.testing.assert_allclose(result.x, [1.5], rtol=1e-6)


@pytest.mark.parametrize("face", FACES)
def test_arguments_are_left_as_they_were(face: str) -> None:
    x0, lower, upper = np.array([-1.2, 1.0]), np.array([-2.0, -2.0]), np.array([0.8, 2.0])
    before = [a.copy() for a in (x0, lower, upper)]
    solve(face, rosenbrock, x0, rosenbrock_jacobian, bounds=(lower, upper))
    for after, kept in zip((x0, lower, upper), before, strict=True):
        np.testing.assert_array_equal(after, kept)
    for a in (x0, lower, upper):
        a.setflags(write=False)
    assert solve(face, rosenbrock, x0, rosenbrock_jacobian, bounds=(lower, upper)).success


def test_options_are_left_as_they_were() -> None:
    options = {"tr_method": "qr", "max_nfev": 40, "initial_trust_radius": "mix", "max_dx": 100.0}
    before = dict(options)
    first = lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=0, options=options)
    second = lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, verbose=0, options=options)
    assert options == before
    assert first.nfev == second.nfev
    np.testing.assert_array_equal(first.x, second.x)


@pytest.mark.parametrize(
    "options",
    [
        {"max_nfev": 50.0},
        {"max_nfev": np.int64(50)},
        {"max_dx": INF},
        {"max_dx": 1000},
        {"initial_trust_radius": "scipy"},
        {"initial_trust_radius": "conngould"},
        {"initial_trust_radius": "mix"},
        {"initial_trust_radius": 0.5},
        {"initial_trust_radius": np.float32(0.5)},
        {"initial_trust_radius": 3},
        {"initial_trust_ratio": 0.1},
        {"max_trust_radius": INF},
        {"max_trust_radius": 5.0},
        {"min_trust_radius": 0},
        {"tr_increase_threshold": 0.9, "tr_decrease_threshold": 0.1},
        {"tr_increase_threshold": 0.5, "tr_decrease_threshold": 0.5},
        {"tr_increase_ratio": 1.001},
        {"tr_increase_ratio": 10, "tr_decrease_ratio": 0.9},
        *({"tr_method": method} for method in ("svd", "cho", "qr")),
        {},
        None,
    ],
    ids=repr,
)
def test_every_option_is_accepted(options: Any) -> None:
    result = lsqtr(decay, [1, 1, 1], decay_jacobian, verbose=0, options=options)
    assert result.success
    np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-6)


def test_options_may_be_any_mapping() -> None:
    from types import MappingProxyType

    options = MappingProxyType({"tr_method": "cho"})
    assert lsqtr(decay, [1, 1, 1], decay_jacobian, verbose=0, options=options).success


@pytest.mark.parametrize("value", [None, 0, 0.0, 1, np.float32(1e-3), np.float64(1e-9)], ids=repr)
@pytest.mark.parametrize("name", ["ftol", "xtol", "gtol"])
@pytest.mark.parametrize("face", FACES)
def test_tolerances(face: str, name: str, value: Any) -> None:
    assert solve(face, decay, [1, 1, 1], decay_jacobian, **{name: value}).success


@pytest.mark.parametrize("tolerance", [None, 0])
@pytest.mark.parametrize("face", FACES)
def test_without_tolerances_the_last_digit_is_reached(face: str, tolerance: Any) -> None:
    result = solve(face, decay, [1, 1, 1], decay_jacobian, tolerance=tolerance)
    assert ending(result) in (Status.STATIONARY, Status.ZERO_RESIDUAL)
    np.testing.assert_allclose(result.x, [2.5, 1.3, 0.5], rtol=1e-13)


ONE_BOX = {
    "arrays": (np.array([0.0, 0.0]), np.array([0.8, 2.0])),
    "lists": ([0, 0], [0.8, 2]),
    "list of lists": [[0, 0], [0.8, 2]],
    "scalar below": (0, [0.8, 2]),
    "none below": (None, [0.8, 2]),
    "infinite below": (-INF, [0.8, INF]),
    "one-element": ([0], [0.8, 2]),
    "one scalar": (None, np.array(0.8)),
    "integers and floats": (np.array([0, 0], dtype=int), np.array([0.8, 2], dtype=np.float64)),
    "rows of an array": np.array([[0.0, 0.0], [0.8, 2.0]]),
    "object": SimpleNamespace(lb=[0, 0], ub=[0.8, 2]),
    "scipy": scipy.optimize.Bounds([0, 0], [0.8, 2]),
}


@pytest.mark.parametrize("bounds", ONE_BOX, ids=str)
@pytest.mark.parametrize("face", FACES)
def test_bounds_in_every_form(face: str, bounds: str) -> None:
    result = solve(face, rosenbrock, [0.5, 0.5], rosenbrock_jacobian, bounds=ONE_BOX[bounds])
    assert result.success
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=1e-6)
    assert result.active_mask.tolist() == [1, 0]


@pytest.mark.parametrize("bounds", [None, (None, None), (-INF, INF), ([-INF, -INF], None)], ids=repr)
@pytest.mark.parametrize("face", FACES)
def test_no_bounds_in_every_form(face: str, bounds: Any) -> None:
    plain = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian)
    result = solve(face, rosenbrock, [-1.2, 1], rosenbrock_jacobian, bounds=bounds)
    assert result.nfev == plain.nfev
    np.testing.assert_array_equal(result.x, plain.x)


@pytest.mark.parametrize("face", FACES)
def test_equal_bounds_fix_a_parameter(face: str) -> None:
    result = solve(face, rosenbrock, [0.5, 1], rosenbrock_jacobian, bounds=([0.5, -2], [0.5, 2]))
    assert result.success
    assert result.x[0] == 0.5
    np.testing.assert_allclose(result.x, [0.5, 0.25], rtol=1e-6)
    assert result.active_mask[0] != 0


@pytest.mark.parametrize("face", FACES)
def test_all_parameters_fixed(face: str) -> None:
    result = solve(face, rosenbrock, [0.5, 1], rosenbrock_jacobian, bounds=([0.5, 1], [0.5, 1]))
    assert result.success
    assert result.nfev == 1
    np.testing.assert_array_equal(result.x, [0.5, 1])


@pytest.mark.parametrize("face", FACES)
def test_a_start_outside_is_moved_with_a_note(face: str) -> None:
    result = solve(face, rosenbrock, [0.5, 7], rosenbrock_jacobian, bounds=([0, 0], [0.8, 2]))
    assert result.success
    np.testing.assert_allclose(result.x, [0.8, 0.64], rtol=1e-6)
    assert len(result.notes) == 1
    for word in ("x0[1] = 7.0", "[0.0, 2.0]", "moved"):
        assert word in result.notes[0]


@pytest.mark.parametrize("face", FACES)
def test_a_start_inside_has_no_note(face: str) -> None:
    for outside in ("move", "raise"):
        result = solve(face, rosenbrock, [0.8, 0.0], rosenbrock_jacobian, bounds=([0, 0], [0.8, 2]), outside=outside)
        assert result.notes == []


@NONLINEAR
def test_a_start_outside_is_refused_on_request(face: Callable[..., Any]) -> None:
    refuse(
        face,
        {"x0": [0.5, 7.0], "bounds": ([0, 0], [0.8, 2]), "outside": "raise"},
        ("x0[1] = 7.0", "[0.0, 2.0]", "within the bounds"),
    )


def test_scales_may_be_scalars_or_arrays() -> None:
    for scale in (2, 0.5, np.float32(3), [1, 10], np.array([1.0, 10.0]), np.array([2])):
        assert lm_solve(rosenbrock, [-1.2, 1], diag=scale, jac=rosenbrock_jacobian).success
        assert lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, x_scale=scale, verbose=0).success


def test_args_may_be_a_list() -> None:
    result = lm_solve(lambda x, a: x - a, [0.0], args=[3.0], jac=lambda x, a: np.ones((1, 1)))
    np.testing.assert_allclose(result.x, [3.0], rtol=1e-6)


@pytest.mark.parametrize("value", [100.0, np.int32(100), np.uint8(100)], ids=repr)
def test_counts_may_be_whole_numbers_of_any_type(value: Any) -> None:
    assert lm_solve(rosenbrock, [-1.2, 1], max_nfev=value, jac=rosenbrock_jacobian).success
    assert lsqtr(rosenbrock, [-1.2, 1], rosenbrock_jacobian, maxiter=value, verbose=0).success


def test_arrays_of_lstsq_are_left_as_they_were() -> None:
    A, b = np.arange(6, dtype=float).reshape(3, 2), np.ones(3)
    before = A.copy(), b.copy()
    for method in ("auto", "qr", "cod", "svd", "cholesky"):
        lstsq(A, b, method=method)
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(b, before[1])
