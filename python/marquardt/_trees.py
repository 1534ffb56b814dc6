"""Parameters, bounds, scales, residuals and Jacobians in trees (dicts, lists, dataclasses, ...), as flat vectors.

optree takes trees apart and puts them together; here stand only the flat vector, the broadcasting and the sentences.
Leaves are raveled in C order, one after the other. optree is imported when the first tree is met.
"""

from __future__ import annotations

import itertools
import math
import numbers
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments
from ._arguments import Vector
from ._compiled import CompiledResidual

_NUMBERS = (numbers.Number, np.generic)
_PLAIN = (np.ndarray, *_NUMBERS, str, bytes, type(None))  # no tree, whatever optree makes of it


def read(x0: Any, namespace: str = "") -> Tree | None:
    """The layout of parameters that are a tree or an array of more than one dimension; None for a plain vector."""
    if isinstance(x0, _PLAIN) or hasattr(x0, "__array__"):
        array = np.asarray(x0)
        return Tree(None, [array], namespace) if array.ndim > 1 else None
    if type(x0) in (list, tuple) and _is_flat(x0):
        return None
    leaves, spec = _optree("x0", x0).tree_flatten(x0, namespace=namespace)
    if not leaves:
        raise ValueError(f"x0 must have at least one parameter, got {_arguments.brief(x0)}")
    return Tree(spec, leaves, namespace)


def residuals(returned: Any, namespace: str = "") -> Any:
    """A tree of residuals as one vector; what is no tree as it is."""
    if isinstance(returned, _PLAIN) or hasattr(returned, "__array__"):
        return returned
    if isinstance(returned, (list, tuple)) and _is_rectangular(returned):
        return returned
    leaves = _optree("the value of func", returned).tree_leaves(returned, namespace=namespace)
    if len(leaves) == 1 and leaves[0] is returned:  # an object that optree does not know either
        return returned
    return np.concatenate([np.ravel(leaf) for leaf in leaves]) if leaves else np.empty(0)


def flat(fun: Callable[..., Any], tree: Tree | None, together: bool, namespace: str = "") -> Callable[..., Any]:
    """`fun` as a function of the flat vector, its residuals an array; `together`: it returns a Jacobian as well.

    Arrays, the usual residuals, come first: what is added to each call then is 0.1 µs.
    """
    if together:
        return _flat_both(fun, tree, namespace)
    if tree is None:
        if isinstance(fun, CompiledResidual):  # the core calls it without Python
            return fun

        def of_vector(x: Vector, *args: Any) -> Any:
            r = fun(x, *args)
            return r if type(r) is np.ndarray else residuals(r, namespace)

        return of_vector
    unravel = tree.unravel

    def of_tree(x: Vector, *args: Any) -> Any:
        r = fun(unravel(x), *args)
        return r if type(r) is np.ndarray else residuals(r, namespace)

    return of_tree


def _flat_both(fun: Callable[..., Any], tree: Tree | None, namespace: str) -> Callable[..., Any]:
    def both(x: Vector, *args: Any) -> Any:
        returned = fun(x if tree is None else tree.unravel(x), *args)
        if not isinstance(returned, tuple) or len(returned) != 2:
            return returned  # the core refuses it
        r, J = returned
        return residuals(r, namespace), J if tree is None else tree.jacobian(J)

    return both


def of_vector(function: Any, tree: Tree | None) -> Any:
    """A function of the user's x as one of the flat vector; what is no function as it is."""
    if tree is None or not callable(function):
        return function
    unravel = tree.unravel
    return lambda x, *args: function(unravel(x), *args)


def flat_jacobian(jac: Any, tree: Tree | None) -> Any:
    """The same for a function that returns a Jacobian, with that as a matrix."""
    if tree is None or not callable(jac):
        return jac
    unravel, read = tree.unravel, tree.jacobian
    return lambda x, *args: read(jac(unravel(x), *args))


def pretty(path: str) -> str:
    """The path of a leaf without what is clear without it: ``rate[0]`` for ``['rate'][0]`` and ``.rate[0]``."""
    match = re.match(r"\['(\w+)'\]|\.(\w+)", path)
    return path if match is None else (match[1] or match[2]) + path[match.end() :]


class Tree:
    """How parameters are laid out in the flat vector.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The parameters.
    names : list of str
        One a parameter: the path of its leaf and its place in it, such as ``k[0]``.
    has_paths : bool
        Whether there is a tree, not just one array.
    unravel : callable
        From a flat vector (real or complex) to the tree. Arrays are views of the vector.
    """

    def __init__(self, spec: Any, leaves: list[Any], namespace: str) -> None:
        self._spec = spec
        self._namespace = namespace
        self._paths = [""] if spec is None else [accessor.codify("") for accessor in spec.accessors()]
        self._shapes = [np.shape(leaf) for leaf in leaves]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        ends = list(itertools.accumulate(self._sizes))
        self._slices = [slice(end - size, end) for end, size in zip(ends, self._sizes, strict=True)]
        is_number = [isinstance(leaf, _NUMBERS) for leaf in leaves]
        self.x = self._read(leaves, all(is_number))
        self.has_paths = spec is not None
        self.unravel = self._unraveller(is_number)

    def _read(self, leaves: list[Any], numbers_only: bool) -> Vector:
        """All leaves at once; only if that fails one after the other, for a sentence that names the leaf."""
        try:
            return _arguments.start(leaves if numbers_only else np.concatenate([np.ravel(leaf) for leaf in leaves]))
        except (TypeError, ValueError):
            for path, leaf in zip(self._paths, leaves, strict=True):
                _check_leaf(f"x0{path}", leaf)
            raise

    def _unraveller(self, is_number: list[bool]) -> Callable[[Any], Any]:
        if self._spec is None:
            (shape,) = self._shapes
            return lambda x: x.reshape(shape)
        unflatten = self._spec.unflatten
        if all(is_number):
            return lambda x: unflatten(list(x))
        keys = [
            (whole.start if number else whole, None if number or len(shape) == 1 else shape)
            for number, shape, whole in zip(is_number, self._shapes, self._slices, strict=True)
        ]
        return lambda x: unflatten([x[key] if shape is None else x[key].reshape(shape) for key, shape in keys])

    @property
    def names(self) -> list[str]:
        names: list[str] = []
        for path, shape in zip(self._paths, self._shapes, strict=True):
            name = pretty(path)
            names += [f"{name}{list(index)}" for index in np.ndindex(*shape)] if shape else [name]
        return names

    def start(self, bounds: Any, outside: str) -> tuple[Vector, Vector, Vector, list[str]]:
        """The start moved into the box, lower and upper bounds, and notes."""
        below, above = _sides(bounds)
        lows, highs = self._match("the lower bound", below), self._match("the upper bound", above)
        try:
            lower, upper = _arguments.box((self._spread(lows, -np.inf), self._spread(highs, np.inf)), self.x.size)
        except (TypeError, ValueError):
            for path, size, low, high in zip(self._paths, self._sizes, lows, highs, strict=True):
                _check_box(f"x0{path}", size, low, high)
            raise
        if not np.any((self.x < lower) | (self.x > upper)):
            x, notes = _arguments.into_box(self.x, lower, upper, outside)  # checks the choice of `outside`
            return x, lower, upper, notes
        x, notes = self.x.copy(), []
        for path, part in zip(self._paths, self._slices, strict=True):
            x[part], note = _arguments.into_box(x[part], lower[part], upper[part], outside, f"x0{path}")
            notes += note
        return x, lower, upper, notes

    def scale(self, name: str, value: Any) -> Vector:
        """Positive scales: a tree like x0, or one number."""
        items = zip(self._paths, self._sizes, self._match(name, value), strict=True)
        return np.concatenate([_arguments.scale(f"{name}{path}", item, size) for path, size, item in items])

    def _spread(self, items: list[Any], missing: float) -> NDArray[Any] | None:
        """One number a parameter from one item a leaf; None is `missing`, and so is None for all."""
        if all(item is None for item in items):
            return None
        items = [missing if item is None else item for item in items]
        if all(isinstance(item, _NUMBERS) for item in items):
            return np.repeat(items, self._sizes)
        return np.concatenate([np.broadcast_to(item, size) for item, size in zip(items, self._sizes, strict=True)])

    def _match(self, name: str, value: Any) -> list[Any]:
        """One flat item a leaf from a tree like x0, where a number stands for a whole leaf, or from one number."""
        if value is None or isinstance(value, _NUMBERS) or getattr(value, "ndim", None) == 0:
            return [value] * len(self._sizes)
        items = [value] if self._spec is None else self._flatten(name, value)
        return [
            _shaped(name, path, item, shape) for path, item, shape in zip(self._paths, items, self._shapes, strict=True)
        ]

    def _flatten(self, name: str, value: Any) -> list[Any]:
        try:
            items: list[Any] = self._spec.flatten_up_to(value)
        except ValueError:
            path, wanted, got = _misfit(self._spec, value, "")
            raise ValueError(
                f"{name} must have the structure of x0, where x0{path} is {wanted}, got {_arguments.brief(got)}"
            ) from None
        return items

    def jacobian(self, returned: Any) -> Any:
        """A Jacobian as an array of shape (m, n).

        `returned` is that, or a tree like x0 with leaves of shape (m, *shape of the leaf).
        """
        if isinstance(returned, _PLAIN) or hasattr(returned, "__array__"):
            return returned if self._spec is not None else self._raveled(np.asarray(returned))
        if self._spec is None:
            return returned
        blocks = self._flatten("the value of jac", returned)
        matrices = []
        for path, shape, size, block in zip(self._paths, self._shapes, self._sizes, blocks, strict=True):
            array = np.asarray(block)
            rows = array.shape[: array.ndim - len(shape)]
            if array.shape != rows + shape:
                wanted = ", ".join(map(str, ("m", *shape)))
                raise ValueError(f"the value of jac must have shape ({wanted}) at {path}, got shape {array.shape}")
            matrices.append(array.reshape(math.prod(rows), size))
        if len({len(matrix) for matrix in matrices}) > 1:
            counts = ", ".join(f"{len(m)} at {path}" for path, m in zip(self._paths, matrices, strict=True))
            raise ValueError(
                f"the value of jac must have as many rows at every leaf as there are residuals, got {counts}"
            )
        return np.hstack(matrices)

    def _raveled(self, J: NDArray[Any]) -> NDArray[Any]:
        """(m, *shape of x0) as (m, n); what has another shape as it is."""
        (shape,) = self._shapes
        return J.reshape(-1, self.x.size) if J.ndim > 2 and J.shape[J.ndim - len(shape) :] == shape else J


def _optree(name: str, value: Any) -> Any:
    try:
        import optree
    except ImportError:
        raise ImportError(
            f"{name} is a tree ({type(value).__name__}), which takes optree: pip install marquardt[trees]"
        ) from None
    return optree


def _is_flat(items: Any) -> bool:
    """Whether NumPy reads a list or tuple as one dimension of anything but containers and None."""
    try:
        array = np.asarray(items)
    except ValueError:  # ragged
        return False
    return array.ndim == 1 and (array.dtype != object or all(isinstance(item, numbers.Number) for item in items))


def _is_rectangular(items: Any) -> bool:
    """Whether NumPy reads a list or tuple as an array, or the core shall say why that is no array of numbers."""
    try:
        array = np.asarray(items)
    except ValueError:
        return False
    return array.dtype != object or all(isinstance(item, _PLAIN) for item in array.flat)


def _check_leaf(name: str, value: Any) -> None:
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype == object and not isinstance(value, (*_PLAIN, np.ndarray)):
        raise TypeError(
            f"{name} must be real numbers or a node registered with optree (under `namespace`), "
            f"got {_arguments.brief(value)}"
        )
    if array.size:
        _arguments.start(value if array.ndim == 0 else array.reshape(-1), name)


def _check_box(name: str, size: int, low: Any, high: Any) -> None:
    try:
        _arguments.box((low, high), size)
    except (TypeError, ValueError) as error:
        raise type(error)(f"bounds of {name}: {error}") from None


def _shaped(name: str, path: str, item: Any, shape: tuple[int, ...]) -> Any:
    """The item raveled, if it has the leaf's shape; a number, or None, stands for all."""
    if item is None or isinstance(item, _NUMBERS):
        return item
    try:
        array = np.asarray(item)
    except ValueError:
        raise TypeError(f"{name} must be real numbers at x0{path}, got {_arguments.brief(item)}") from None
    if array.shape != shape and array.size != 1:
        raise ValueError(f"{name} must be a scalar or have shape {shape} as x0{path} has, got shape {array.shape}")
    return array.reshape(-1)


def _sides(bounds: Any) -> tuple[Any, Any]:
    if bounds is None:
        return None, None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        return bounds.lb, bounds.ub
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise ValueError(
            f"bounds must be a pair (lower, upper) of trees like x0, got {_arguments.brief(bounds)}"
        ) from None
    return lower, upper


def _misfit(spec: Any, tree: Any, path: str) -> tuple[str, str, Any]:
    """Where a tree first differs from a structure: the path, what should be there, what is."""
    level = spec.one_level()
    if not _fits(level, tree):
        return path, _describe(spec), tree
    below = zip(level.accessors(), spec.children(), level.flatten_up_to(tree), strict=True)
    accessor, child_spec, child = next(entry for entry in below if not _fits(*entry[1:]))
    return _misfit(child_spec, child, path + accessor.codify(""))


def _fits(spec: Any, tree: Any) -> bool:
    try:
        spec.flatten_up_to(tree)
    except ValueError:
        return False
    return True


def _describe(spec: Any) -> str:
    if spec.type is type(None):
        return "None"
    if issubclass(spec.type, dict):
        return f"a {spec.type.__name__} with the keys {', '.join(map(repr, spec.entries()))}"
    return f"a {spec.type.__name__} of {spec.num_children}"
