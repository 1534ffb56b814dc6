"""Parameters, bounds, scales, residuals and Jacobians in trees: structure, names and shapes, and what is refused."""

from __future__ import annotations

import collections
import dataclasses
import pickle
import sys
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import optree
import pytest

from helpers import decay, decay_jacobian, rosenbrock, rosenbrock_jacobian
from marquardt import LMStatus, Result, lm_solve

Array = np.ndarray
INF = float("inf")
SPACE = "marquardt.tests"


class Decay(NamedTuple):
    amplitude: Any
    rate: Any


@optree.dataclasses.dataclass(namespace=SPACE)
class Motor:
    gain: Any
    table: Any
    label: str = optree.dataclasses.field(default="m1", pytree_node=False)


@dataclasses.dataclass
class Spring:
    stiffness: Any
    damping: Any


optree.register_pytree_node(
    Spring,
    lambda spring: ((spring.stiffness, spring.damping), None, ("stiffness", "damping")),
    lambda _, children: Spring(*children),
    namespace=SPACE,
)


@dataclasses.dataclass
class Unknown:
    k: float


def flat(tree: Any) -> Array:
    leaves = optree.tree_leaves(tree, namespace=SPACE)
    return np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(float)


def structure(tree: Any) -> Any:
    return optree.tree_structure(tree, namespace=SPACE)


def to_target(tree: Any, *_: Any) -> Array:
    """Residuals that vanish where parameter k is k + 0.25: no whole number, so nothing may be truncated."""
    x = flat(tree)
    return x - (np.arange(x.size) + 0.25)


TREES: dict[str, tuple[Any, list[str]]] = {
    "dict": ({"k": 1.0, "c": 2.0}, ["c", "k"]),
    "whole numbers": ({"a": -1, "b": True, "c": np.int8(3)}, ["a", "b", "c"]),
    "fractions": ({"a": Fraction(1, 3)}, ["a"]),
    "arrays": (
        {"w": np.zeros((2, 2)), "b": np.ones(2)},
        ["b[0]", "b[1]", "w[0, 0]", "w[0, 1]", "w[1, 0]", "w[1, 1]"],
    ),
    "whole arrays": ({"w": np.array([[1, 2]]), "b": np.array([True])}, ["b[0]", "w[0, 0]", "w[0, 1]"]),
    "0-d array": ({"a": np.array(3), "b": np.float32(2)}, ["a", "b"]),
    "3-d": ([np.zeros((1, 2, 1))], ["[0][0, 0, 0]", "[0][0, 1, 0]"]),
    "list of arrays": ([np.zeros(1), np.zeros(2)], ["[0][0]", "[1][0]", "[1][1]"]),
    "lists of lists": ([[1, 2], [3, 4]], ["[0][0]", "[0][1]", "[1][0]", "[1][1]"]),
    "ragged lists": ([[1], [2, 3]], ["[0][0]", "[1][0]", "[1][1]"]),
    "tuple": ((1.0, [2.0], {"a": 3.0}), ["[0]", "[1][0]", "[2]['a']"]),
    "named tuple": (Decay(1.0, 2.0), ["amplitude", "rate"]),
    "ordered dict": (collections.OrderedDict(z=1.0, a=2.0), ["z", "a"]),
    "default dict": (collections.defaultdict(float, a=1.0), ["a"]),
    "deque": (collections.deque([1.0, 2.0]), ["[0]", "[1]"]),
    "None": ({"a": None, "b": [1.0, None], "c": (None,)}, ["b[0]"]),
    "None in a list": ([1.0, None, 2.0], ["[0]", "[2]"]),
    "dataclass": (Motor(1.0, np.zeros((2, 1)), "m7"), ["gain", "table[0, 0]", "table[1, 0]"]),
    "registered": ([Spring(1, {"c": 2.0})], ["[0].stiffness", "[0].damping['c']"]),
    "deep": ({"a": {"b": {"c": [Decay(1.0, np.zeros(2))]}}},
             ["a['b']['c'][0].amplitude", "a['b']['c'][0].rate[0]", "a['b']['c'][0].rate[1]"]),
    "nothing in it": ({"a": 1.0, "b": np.empty((0, 2))}, ["a"]),
    "float32": ({"a": np.zeros(2, dtype=np.float32)}, ["a[0]", "a[1]"]),
    "Fortran order": ({"a": np.asfortranarray([[1.0, 2.0], [3.0, 4.0]])},
                      ["a[0, 0]", "a[0, 1]", "a[1, 0]", "a[1, 1]"]),
}  # fmt: skip

EACH_TREE = pytest.mark.parametrize("name", TREES)


def same_shapes(a: Any, b: Any) -> bool:
    shapes = [[np.shape(leaf) for leaf in optree.tree_leaves(tree, namespace=SPACE)] for tree in (a, b)]
    return shapes[0] == shapes[1]


@EACH_TREE
def test_structure_shapes_and_names_come_back(name: str) -> None:
    x0, names = TREES[name]
    before = flat(x0)
    seen = []

    def func(x: Any) -> Array:
        seen.append(x)
        return to_target(x)

    result = lm_solve(func, x0, namespace=SPACE)
    assert result.success
    assert result.names == names
    np.testing.assert_allclose(flat(result.x), np.arange(len(names)) + 0.25, rtol=1e-5)
    for x in (*seen, result.x):
        assert structure(x) == structure(x0)
        assert same_shapes(x, x0)
        for leaf in optree.tree_leaves(x, namespace=SPACE):
            assert leaf.dtype == np.float64
    np.testing.assert_array_equal(flat(x0), before)
    assert result.grad.shape == result.active_mask.shape == (len(names),)
    assert result.history[-1]["x"].shape == (len(names),)


@EACH_TREE
def test_a_tree_is_solved_as_its_flat_vector(name: str) -> None:
    x0, _ = TREES[name]
    tree = lm_solve(to_target, x0, namespace=SPACE)
    vector = lm_solve(to_target, flat(x0))
    assert (tree.nfev, tree.nit, tree.status) == (vector.nfev, vector.nit, vector.status)
    np.testing.assert_array_equal(flat(tree.x), vector.x)
    assert "names" not in vector


def test_numbers_are_floats_that_overflow_quietly() -> None:
    """A trial far out is an infinity, which the solve steps back from, not an exception, which would end it."""
    exponents = []

    def func(p: Any) -> Any:
        assert isinstance(p["k"], float)
        exponents.append(p["k"])
        with np.errstate(over="ignore"):
            return 10 ** p["k"] * 1e-3 - 1

    result = lm_solve(func, {"k": -5})
    assert max(exponents) > 1000
    assert result.success
    assert result.x["k"] == pytest.approx(3)


def test_the_static_part_of_a_node_is_kept() -> None:
    assert lm_solve(to_target, Motor(1.0, [2.0], "m7"), namespace=SPACE).x.label == "m7"


def test_leaves_may_be_kept_and_written_to() -> None:
    kept = []

    def func(p: Any) -> Array:
        kept.append((p["a"], p["a"].copy()))
        return np.append(rosenbrock(p["a"]), p["b"] - 1)

    assert lm_solve(func, {"a": np.array([-1.2, 1]), "b": 0.0}).success
    assert all(np.array_equal(leaf, copy) for leaf, copy in kept)

    def vandal(p: Any) -> Array:
        r = np.append(rosenbrock(p["a"]), p["b"] - 1)
        p["a"][:] = np.nan
        p["b"] = None
        return r

    result = lm_solve(vandal, {"a": np.array([-1.2, 1]), "b": 0.0})
    np.testing.assert_allclose(result.x["a"], [1, 1], rtol=1e-5)


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs"], ids=str)
def test_every_difference_scheme(jac: Any) -> None:
    def func(p: Any) -> Any:
        return {"fit": np.stack([10 * (p["y"] - p["x"] ** 2), 1 - p["x"]]), "rest": [p["w"] - 2]}

    result = lm_solve(func, {"x": -1.2, "y": 1, "w": np.zeros((2, 1))}, jac=jac)
    assert result.success
    np.testing.assert_allclose(flat(result.x), [2, 2, 1, 1], rtol=1e-5)


# ---- arrays of more dimensions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 1, 2), (1, 4)], ids=str)
@pytest.mark.parametrize("optree_installed", [True, False])
def test_an_array_comes_back_in_its_shape(
    shape: tuple[int, ...], optree_installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not optree_installed:
        monkeypatch.setitem(sys.modules, "optree", None)
    target = np.arange(np.prod(shape)).reshape(shape) + 0.5
    seen: list[Any] = []
    result = lm_solve(
        lambda x: np.asarray(x) - target,
        np.zeros(shape, dtype=int),
        bounds=(-100, np.full(shape, 1.5)),
        diag=np.ones(shape),
        callback=lambda x: seen.append(x.shape),
    )
    assert result.success
    assert result.x.shape == shape
    np.testing.assert_allclose(result.x, np.minimum(target, 1.5), rtol=1e-6)
    assert set(seen) == {shape}
    assert "names" not in result


@pytest.mark.parametrize("flat_columns", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_a_jacobian_of_an_array(flat_columns: bool, together: bool) -> None:
    """The derivative of X X' - B has the shape (2, 2, 2, 2), or (4, 2, 2), or (4, 4)."""
    B = np.array([[5.0, 1], [1, 3]])

    def func(X: Array) -> Array:
        return X @ X.T - B

    def jac(X: Array) -> Array:
        eye = np.eye(2)
        J = np.einsum("ik,jl->ijkl", eye, X) + np.einsum("jk,il->ijkl", eye, X)
        return J.reshape(4, 4) if flat_columns else J.reshape(4, 2, 2)

    def both(X: Array) -> Any:
        return func(X), jac(X)

    result = lm_solve(both if together else func, np.eye(2), jac=True if together else jac)
    assert result.success
    np.testing.assert_allclose(func(result.x), 0, atol=1e-6)
    assert result.jacobian.shape == (4, 4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bounds": ([0, 0, 0, 0], None)}, ("the lower bound", "(2, 2)", "(4,)")),
        ({"bounds": (None, np.ones((1, 2)))}, ("the upper bound", "(2, 2)", "(1, 2)")),
        ({"bounds": (2, np.ones((2, 2)))}, ("bounds of x0", "2.0 > 1.0", "parameter 0")),
        ({"diag": np.ones(4)}, ("diag", "(2, 2)", "(4,)")),
        ({"diag": -np.ones((2, 2))}, ("diag", "positive")),
        ({"vectorized": True}, ("vectorized", "one-dimensional")),
        ({"x0": np.full((2, 2), np.nan)}, ("x0", "finite")),
        ({"x0": np.empty((2, 0))}, ("x0", "at least one", "empty")),
        ({"x0": np.array([["a", "b"]])}, ("x0", "real numbers")),
        ({"x0": np.ones((2, 2), dtype=complex)}, ("x0", "real numbers")),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_what_does_not_fit_an_array_is_refused(settings: dict[str, Any], words: tuple[str, ...]) -> None:
    refuse({"x0": np.ones((2, 2))} | settings, words)


def refuse(settings: dict[str, Any], words: tuple[str, ...]) -> None:
    def untouched(x: Any) -> Any:
        raise AssertionError("a function of the user's was called")

    with pytest.raises((ValueError, TypeError)) as caught:
        lm_solve(untouched, **settings)
    text = str(caught.value)
    for word in words:
        assert word in text
    assert "\n" not in text


# ---- bounds and scales -----------------------------------------------------------------------------------------------

PARAMETERS = {"k": [-1.2, 1.0], "w": np.zeros((2, 2)), "s": 5.0, "n": None}
NOTHING = {"k": [None, None], "w": None, "s": None, "n": None}
UPPER = {"k": [0.8, 2], "w": 0.5, "s": INF, "n": None}

EQUAL_BOXES: dict[str, Any] = {
    "spread out": (NOTHING | {"w": np.full((2, 2), -INF), "s": -INF}, UPPER | {"w": np.full((2, 2), 0.5)}),
    "scalars for arrays": ({"k": [-INF, -INF], "w": -INF, "s": -INF, "n": None}, UPPER),
    "None for leaves": (NOTHING, UPPER),
    "None for the tree": (None, UPPER | {"s": None}),
    "a scalar for the tree": (-INF, UPPER),
    "a 0-d array for the tree": (np.array(-INF), UPPER),
    "nested lists for arrays": (None, UPPER | {"w": [[0.5, 0.5], [0.5, 0.5]]}),
    "one element": (None, UPPER | {"w": [0.5], "s": [INF]}),
    "whole numbers": (np.int64(-1000), UPPER | {"s": 1000}),
}  # fmt: skip


def three_parts(p: Any) -> Any:
    return [rosenbrock(p["k"]), p["w"] - 1, (p["s"] - 3, None)]


@pytest.mark.parametrize("name", EQUAL_BOXES)
def test_bounds_in_every_form(name: str) -> None:
    result = lm_solve(three_parts, PARAMETERS, bounds=EQUAL_BOXES[name])
    assert result.success
    np.testing.assert_allclose(result.x["k"], [0.8, 0.64], rtol=1e-7)
    np.testing.assert_array_equal(result.x["w"], np.full((2, 2), 0.5))
    assert result.x["s"] == pytest.approx(3, rel=1e-6)
    assert result.active_mask.tolist() == [1, 0, 0, 1, 1, 1, 1]
    assert result.history[-1]["n_active_upper"] == 5


def test_bounds_of_an_object_with_two_sides() -> None:
    class Box:
        lb, ub = None, UPPER

    assert lm_solve(three_parts, PARAMETERS, bounds=Box()).active_mask.sum() == 5


def test_one_number_bounds_everything() -> None:
    result = lm_solve(to_target, {"a": np.zeros(3), "b": [0.5]}, bounds=(0, 1))
    assert result.success
    np.testing.assert_allclose(flat(result.x), [0.25, 1, 1, 1], rtol=1e-6)


def test_equal_bounds_fix_a_leaf() -> None:
    fixed = {"k": [None, None], "w": np.arange(4.0).reshape(2, 2), "s": None, "n": None}
    result = lm_solve(three_parts, PARAMETERS, bounds=(fixed, fixed | {"k": [0.8, 2]}))
    assert result.success
    np.testing.assert_array_equal(result.x["w"], fixed["w"])


def test_a_start_outside_is_moved_with_a_note_that_names_the_leaf() -> None:
    result = lm_solve(three_parts, PARAMETERS, bounds=(None, UPPER | {"w": -1}))
    (note,) = result.notes
    assert "x0['w'][0] = 0.0 is outside [-inf, -1.0]" in note
    refuse({"x0": PARAMETERS, "bounds": (None, UPPER | {"w": -1}), "outside": "raise"}, ("x0['w'][0] = 0.0", "within"))


def test_scales_in_every_form() -> None:
    vector = lm_solve(lambda x: rosenbrock(x), [-1.2, 1], diag=[1.0, 10.0])
    for diag in ({"a": 1, "b": 10}, {"a": [1.0], "b": np.array(10)}):
        tree = lm_solve(lambda p: rosenbrock((p["a"], p["b"])), {"a": -1.2, "b": 1}, diag=diag)
        np.testing.assert_array_equal(flat(tree.x), vector.x)
        assert tree.nfev == vector.nfev
    one = lm_solve(lambda p: rosenbrock((p["a"], p["b"])), {"a": -1.2, "b": 1}, diag=2)
    np.testing.assert_array_equal(flat(one.x), lm_solve(rosenbrock, [-1.2, 1], diag=2).x)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bounds": ({"k": [0, 0], "w": 0, "s": 0}, None)}, ("the lower bound", "x0 is a dict", "'k', 'n', 's', 'w'")),
        ({"bounds": (None, UPPER | {"z": 1})}, ("the upper bound", "x0 is a dict", "'z'")),
        ({"bounds": (None, UPPER | {"k": [1, 2, 3]})}, ("the upper bound", "x0['k'] is a list of 2", "[1, 2, 3]")),
        ({"bounds": (None, UPPER | {"k": (1, 2)})}, ("the upper bound", "x0['k'] is a list of 2", "(1, 2)")),
        ({"bounds": (None, UPPER | {"k": 1.0})}, ("the upper bound", "x0['k'] is a list of 2", "1.0")),
        ({"bounds": (None, UPPER | {"n": 1.0})}, ("the upper bound", "x0['n'] is None", "1.0")),
        ({"bounds": (None, UPPER | {"w": np.ones(4)})}, ("the upper bound", "(2, 2)", "x0['w']", "(4,)")),
        ({"bounds": (None, UPPER | {"w": [[1], [1, 2]]})}, ("the upper bound", "real numbers", "x0['w']")),
        ({"bounds": (UPPER | {"s": "low"}, None)}, ("bounds of x0['s']", "lower bound", "real numbers", "'low'")),
        ({"bounds": (NOTHING | {"s": np.nan}, None)}, ("bounds of x0['s']", "lower bound", "NaN")),
        ({"bounds": (NOTHING | {"w": 9}, UPPER)}, ("bounds of x0['w']", "9.0 > 0.5")),
        ({"bounds": (NOTHING | {"k": [0, 5]}, UPPER)}, ("bounds of x0['k'][1]", "5.0 > 2.0")),
        ({"bounds": 5}, ("bounds", "pair", "5")),
        ({"bounds": (None, [0.8, 2, 1, 1, 1, 1, 1])}, ("the upper bound", "x0 is a dict")),
        ({"diag": {"k": [1, 1]}}, ("diag", "x0 is a dict")),
        ({"diag": NOTHING | {"k": [1, 1], "w": 1}}, ("diag['s']", "real numbers", "None")),
        ({"diag": UPPER | {"s": -1}}, ("diag['s']", "positive", "-1")),
        ({"diag": "auto"}, ("diag", "x0 is a dict", "'auto'")),
        ({"x0": {}}, ("x0", "at least one", "{}")),
        ({"x0": {"a": None}}, ("x0", "at least one")),
        ({"x0": {"a": np.empty((0, 2))}}, ("x0", "at least one", "empty")),
        ({"x0": {"a": [1.0, np.nan]}}, ("x0['a'][1]", "finite", "nan")),
        ({"x0": {"a": np.array([1.0, np.inf])}}, ("x0['a'][1]", "finite", "inf")),
        ({"x0": {"a": "text"}}, ("x0['a']", "real numbers", "'text'")),
        ({"x0": {"a": 1j}}, ("x0['a']", "real numbers", "1j")),
        ({"x0": [[1], [1, "b"]]}, ("x0[1][1]", "real numbers", "'b'")),
        ({"x0": Unknown(1.0)}, ("x0", "registered with optree", "Unknown(k=1.0)", "namespace")),
        ({"x0": {"a": Unknown(1.0)}}, ("x0['a']", "registered with optree", "Unknown(k=1.0)")),
        ({"x0": Motor(1.0, 2.0), "namespace": ""}, ("x0", "registered with optree", "namespace")),
        ({"x0": {1.0, 2.0}}, ("x0", "real numbers")),
        ({"vectorized": True}, ("vectorized", "one-dimensional")),
    ],
    ids=lambda v: repr(v)[:60] if isinstance(v, dict) else "",
)
def test_what_does_not_fit_a_tree_is_refused_by_path(settings: dict[str, Any], words: tuple[str, ...]) -> None:
    refuse({"x0": PARAMETERS} | settings, words)


# ---- Jacobians -------------------------------------------------------------------------------------------------------

FIT = {"a": 1, "b": (1.0,), "c": np.ones((1, 1))}


def fit(p: Any) -> Array:
    return decay(flat(p))


def fit_jacobian(p: Any) -> Array:
    return decay_jacobian(flat(p))


def fit_jacobian_tree(p: Any) -> Any:
    J = fit_jacobian(p)
    return {"a": J[:, 0], "b": (J[:, 1],), "c": J[:, 2].reshape(-1, 1, 1)}


@pytest.mark.parametrize("jac", [fit_jacobian, fit_jacobian_tree, lambda p: np.asfortranarray(fit_jacobian(p))])
@pytest.mark.parametrize("together", [True, False])
def test_a_jacobian_is_a_matrix_or_a_tree(jac: Any, together: bool) -> None:
    func = (lambda p: (fit(p), jac(p))) if together else fit
    result = lm_solve(func, FIT, jac=True if together else jac)
    vector = lm_solve(decay, [1, 1, 1], jac=decay_jacobian)
    np.testing.assert_array_equal(flat(result.x), vector.x)
    np.testing.assert_array_equal(result.jacobian, vector.jacobian)
    assert (result.nfev, result.nfev_differences) == (vector.nfev, 0)


def test_a_jacobian_of_residuals_in_a_matrix_may_keep_their_shape() -> None:
    def jac(p: Any) -> Any:
        J = fit_jacobian(p).reshape(10, 5, 3)
        return {"a": J[..., 0], "b": (J[..., 1],), "c": J[..., 2].reshape(10, 5, 1, 1)}

    result = lm_solve(lambda p: fit(p).reshape(10, 5), FIT, jac=jac)
    np.testing.assert_allclose(flat(result.x), [2.5, 1.3, 0.5], rtol=1e-6)


def test_a_jacobian_of_a_leaf_without_parameters() -> None:
    x0 = {"a": np.ones(2), "none": np.empty((0, 3)), "no more": None}
    result = lm_solve(
        lambda p: p["a"] - 3,
        x0,
        bounds=({"a": 0, "none": np.empty((0, 3)), "no more": None}, None),
        diag={"a": 1, "none": 1, "no more": None},
        jac=lambda p: {"a": np.eye(2), "none": np.empty((2, 0, 3)), "no more": None},
    )
    assert result.success
    assert result.x["none"].shape == (0, 3)


def test_a_jacobian_of_one_residual() -> None:
    result = lm_solve(
        lambda p: p["a"] * p["b"][0] - 6,
        {"a": 2.0, "b": np.array([2.0])},
        jac=lambda p: {"a": p["b"][0], "b": [p["a"]]},
    )
    assert result.success
    assert result.x["a"] * result.x["b"][0] == pytest.approx(6)


@pytest.mark.parametrize(
    ("jac", "words"),
    [
        (lambda p: fit_jacobian_tree(p) | {"c": np.ones(50)}, ("jac", "(m, 1, 1)", "['c']", "(50,)")),
        (lambda p: fit_jacobian_tree(p) | {"a": np.ones(49)}, ("jac", "as many rows at every leaf", "49 at ['a']")),
        (lambda p: {"a": np.ones(50)}, ("jac", "structure of x0", "'a', 'b', 'c'")),
        (lambda p: fit_jacobian_tree(p) | {"b": np.ones(50)}, ("jac", "x0['b'] is a tuple of 1")),
        (lambda p: fit_jacobian(p).tolist(), ("jac", "structure of x0")),
        (lambda p: fit_jacobian(p)[:, :2], ("jac", "(50, 3)", "(50, 2)")),
        (lambda p: {k: v[:-1] if k != "b" else (v[0][:-1],) for k, v in fit_jacobian_tree(p).items()},
         ("jac", "(50, 3)", "(49, 3)")),
        (lambda p: None, ("jac", "real numbers")),
    ],
)  # fmt: skip
def test_a_jacobian_that_does_not_fit_is_refused_by_path(jac: Any, words: tuple[str, ...]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        lm_solve(fit, FIT, jac=jac)
    for word in words:
        assert word in str(caught.value)
    assert structure(caught.value.partial_result.x) == structure(FIT)  # type: ignore[attr-defined]


# ---- residuals -------------------------------------------------------------------------------------------------------

RESIDUALS: dict[str, Any] = {
    "list": lambda r: r.tolist(),
    "tuple": tuple,
    "list of arrays": lambda r: [r[:1], r[1:]],
    "ragged": lambda r: [r[:1], r[1:].reshape(2, 1)],
    "dict": lambda r: {"a": r[0], "b": [r[1], {"c": r[2:]}]},
    "None in it": lambda r: {"a": r, "b": None},
    "list with None": lambda r: [r, None],
    "node": lambda r: Spring(r[0], r[1:]),
    "named tuple": lambda r: Decay(r[:2], r[2]),
    "dicts in a list": lambda r: [{"a": r[0]}, {"a": r[1:]}],
    "matrix": lambda r: r[:, None],
    "lists of lists": lambda r: r[:, None].tolist(),
}


@pytest.mark.parametrize("x0", [[-1.2, 1.0], {"x": [-1.2, 1.0]}], ids=["vector", "tree"])
@pytest.mark.parametrize("name", RESIDUALS)
def test_residuals_may_be_a_tree(name: str, x0: Any) -> None:
    def func(x: Any) -> Array:
        x = x["x"] if isinstance(x, dict) else x
        return np.append(rosenbrock(x), 0.1 * x[0])

    plain = lm_solve(func, [-1.2, 1.0])
    result = lm_solve(lambda x: RESIDUALS[name](func(x)), x0, namespace=SPACE)
    np.testing.assert_array_equal(flat(result.x), plain.x)
    np.testing.assert_array_equal(result.residuals, plain.residuals)
    assert result.nfev == plain.nfev


def test_a_scalar_residual() -> None:
    assert lm_solve(lambda p: p["x"] - 3, {"x": 1}).x["x"] == pytest.approx(3)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, ("real numbers", "None")),
        ("text", ("real numbers",)),
        ({}, ("at least one residual",)),
        ({"a": "text"}, ("real numbers",)),
        ([1.0, None], ("real numbers", "None")),
        ({"a": 1j}, ("real numbers", "complex")),
        (Unknown(1.0), ("real numbers", "Unknown")),
    ],
    ids=repr,
)
def test_residuals_that_are_no_numbers_are_refused(returned: Any, words: tuple[str, ...]) -> None:
    for x0 in ([1.0], {"a": 1.0}):
        with pytest.raises((ValueError, TypeError)) as caught:
            lm_solve(lambda x: returned, x0)
        for word in words:
            assert word in str(caught.value)


# ---- callbacks, exceptions, results ----------------------------------------------------------------------------------


def test_args_follow_the_tree() -> None:
    seen = []
    result = lm_solve(
        lambda p, a, b: np.array([p["x"] - a, p["x"] - b]),
        {"x": 0.0},
        args=(1, 3),
        jac=lambda p, a, b: {"x": np.ones(2)},
        callback=lambda p, a, b: seen.append((p["x"], a, b)),
    )
    assert result.x["x"] == pytest.approx(2)
    assert seen[-1] == (result.x["x"], 1, 3)


def test_a_callback_stops_with_the_tree_so_far() -> None:
    result = lm_solve(three_parts, PARAMETERS, callback=lambda p: p["s"] < 4)
    assert result.status is LMStatus.STOPPED
    assert structure(result.x) == structure(PARAMETERS)


def test_an_exception_carries_the_tree_so_far() -> None:
    calls = iter(range(100))

    def func(p: Any) -> Any:
        if next(calls) == 30:
            raise KeyError("a mistake of the user's")
        return three_parts(p)

    with pytest.raises(KeyError, match="mistake") as caught:
        lm_solve(func, PARAMETERS)
    partial = caught.value.partial_result  # type: ignore[attr-defined]
    assert partial.status is LMStatus.INTERRUPTED
    assert structure(partial.x) == structure(PARAMETERS)
    assert len(partial.names) == 7


@EACH_TREE
def test_results_are_printed_and_pickled(name: str) -> None:
    result = lm_solve(to_target, TREES[name][0], namespace=SPACE)
    assert len(repr(result).splitlines()) == 1
    assert len(repr(result)) < 200
    assert result.message.split(":")[0] in str(result)
    assert all(name in str(result) for name in result.names)
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is Result
    assert structure(again.x) == structure(result.x)
    np.testing.assert_array_equal(flat(again.x), flat(result.x))
    assert again.names == result.names


# ---- without optree --------------------------------------------------------------------------------------------------


@pytest.fixture
def no_optree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optree", None)


@pytest.mark.usefixtures("no_optree")
@pytest.mark.parametrize(
    "x0",
    [[1, 2], (1.0, 2.0), np.array([1, 2]), np.ones((2, 1)), [np.array(1), np.float32(2)], [Fraction(1, 2), 1]],
    ids=repr,
)
def test_arrays_and_flat_sequences_need_numpy_alone(x0: Any) -> None:
    result = lm_solve(lambda x: np.ravel(x) - [3, 4], x0, bounds=(None, 5), diag=1)
    assert result.success
    assert isinstance(result.x, np.ndarray)
    np.testing.assert_allclose(np.ravel(result.x), [3, 4], rtol=1e-6)


@pytest.mark.usefixtures("no_optree")
@pytest.mark.parametrize("x0", [{"a": 1.0}, [[1], [2, 3]], [1.0, None], Decay(1.0, 2.0), Unknown(1.0)], ids=repr)
def test_a_tree_says_what_to_install(x0: Any) -> None:
    with pytest.raises(ImportError, match=r"x0 is a tree \(\w+\).*pip install marquardt\[trees\]"):
        lm_solve(to_target, x0)


@pytest.mark.usefixtures("no_optree")
def test_a_tree_of_residuals_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"the value of func is a tree \(dict\).*pip install marquardt\[trees\]"):
        lm_solve(lambda x: {"r": x}, [1.0])


@pytest.mark.usefixtures("no_optree")
def test_what_is_no_tree_is_refused_as_ever() -> None:
    for x0 in ("ab", None, ["1", "2"], 1j, []):
        refuse({"x0": x0}, ("x0",))
    assert lm_solve(rosenbrock, [-1.2, 1], jac=rosenbrock_jacobian).success
