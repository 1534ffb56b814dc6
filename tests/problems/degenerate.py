"""Problems that break careless solvers: lost rank, no residual, no slope, starts a world away, odd units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .case import Array, Case, Function, make_case
from .mgh_functions import rosenbrock, rosenbrock_jacobian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

_T = np.linspace(0, 1, 8)


def _case(
    label: str,
    residual: Function,
    jacobian: Function,
    x0: ArrayLike,
    minimum: float,
    solutions: Iterable[ArrayLike] = (),
    tags: Iterable[str] = (),
) -> Case:
    zero = ["zero-residual"] if minimum == 0 else []
    return make_case(
        f"degenerate-{label}", residual, jacobian, x0, minimum, solutions, tags=["degenerate", *tags, *zero]
    )


def _linear(label: str, A: Array, b: Array, x0: ArrayLike, tags: Iterable[str]) -> Case:
    """Return minimise 0.5 ||A x - b||^2 for an A of deficient rank, with its solution of least norm."""
    x = np.linalg.pinv(A) @ b
    r = A @ x - b
    exact = np.allclose(r, 0, rtol=0, atol=1e-12)
    return _case(label, lambda x: A @ x - b, lambda x: A + 0 * x, x0, 0.0 if exact else 0.5 * float(r @ r), [x], tags)


def _product_residual(x: Array) -> Array:
    return x[0] * x[1] * _T - 6 * _T


def _product_jacobian(x: Array) -> Array:
    return np.stack([x[1] * _T, x[0] * _T], axis=1)


def _rank_cases() -> list[Case]:
    ones = np.ones(8)
    wave = np.sin(7 * _T)  # what no straight line can follow
    deficient = ["rank-deficient"]
    wide = [*deficient, "underdetermined"]
    return [
        _linear("zero-column", np.stack([ones, 0 * ones], axis=1), _T + wave, [5.0, 7.0], deficient),
        _linear("zero-column-first", np.stack([0 * ones, ones], axis=1), _T + wave, [5.0, 7.0], deficient),
        _linear("equal-columns", np.stack([_T, _T], axis=1), wave, [1.0, -3.0], deficient),
        _linear("dependent-columns", np.stack([ones, _T, 2 * ones - _T], axis=1), wave, [1, 2, 3.0], deficient),
        _linear("wide-linear", np.array([[1.0, 1, 1], [1, -1, 0]]), np.array([3.0, 0]), [5.0, -2, 1], wide),
        _case("product", _product_residual, _product_jacobian, [1.0, 1.0], 0, [[2, 3], [6, 1]], deficient),
        _case("product-skewed", _product_residual, _product_jacobian, [100.0, 1e-3], 0, [[2, 3]], deficient),
        _case(
            "circle",
            lambda x: np.array([x @ x - 1]),
            lambda x: 2 * x[None, :],
            [3.0, 4.0],
            0,
            [[0.6, 0.8], [1, 0]],
            wide,
        ),
        _case(
            "constant",
            lambda x: np.array([1.0, 2.0]) + 0 * x[0],
            lambda x: np.zeros((2, 2)),
            [1.0, -1.0],
            2.5,
            [[1, -1], [30, 40]],
            deficient,
        ),
        _case("solved", rosenbrock, rosenbrock_jacobian, [1.0, 1.0], 0, [[1, 1]]),
        _case("all-zero", lambda x: 0 * x, lambda x: np.zeros((3, 3)), [1.0, 2, 3], 0, [[1, 2, 3]], deficient),
    ]


def _line(x: Array) -> Array:
    return x - 3


def _line_jacobian(x: Array) -> Array:
    return np.ones((1, 1))


def _scalar_cases() -> list[Case]:
    return [
        *(_case(f"line-from-{x0:g}", _line, _line_jacobian, [x0], 0, [[3]]) for x0 in (1e-9, 0.0, 1e-300, 1e12)),
        _case("exponential-from-30", np.expm1, lambda x: np.exp(x)[None, :], [30.0], 0, [[0]]),
        _case(
            "quartic-from-1000",
            lambda x: np.array([x[0] ** 4 - 1, x[0] - 1]),
            lambda x: np.array([4 * x**3, 1 + 0 * x]),
            [1000.0],
            0,
            [[1]],
        ),
        _case("logarithm-from-0.01", lambda x: np.log(x) - 5, lambda x: 1 / x[None, :], [0.01], 0, [[np.exp(5)]]),
    ]


def _in_units(unit: float, units: Array) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return Rosenbrock's residual in other units: residuals times `unit`, parameters times `units`."""

    def residual(x: Array) -> Array:
        return unit * rosenbrock(x / units)

    def jacobian(x: Array) -> Array:
        return unit * rosenbrock_jacobian(x / units) / units

    return residual, jacobian


def _unit_cases() -> list[Case]:
    cases = []
    for label, unit, units in (
        ("residuals-1e8", 1e8, [1.0, 1.0]),
        ("residuals-1e-8", 1e-8, [1.0, 1.0]),
        ("parameters-1e8", 1.0, [1e8, 1e8]),
        ("parameters-1e-8", 1.0, [1e-8, 1e-8]),
        ("parameters-mixed", 1.0, [1e8, 1e-8]),
    ):
        scale = np.array(units)
        functions = _in_units(unit, scale)
        cases.append(_case(f"rosenbrock-{label}", *functions, scale * [-1.2, 1.0], 0, [scale]))
    return cases


CASES: tuple[Case, ...] = (*_rank_cases(), *_scalar_cases(), *_unit_cases())
