"""Problems whose solution within bounds is known exactly: bounds active, idle, equal, or touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .case import Array, Case, make_case
from .mgh_functions import gulf, gulf_jacobian, rosenbrock, rosenbrock_jacobian, wood, wood_jacobian

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_INFINITY = np.inf


def _rosenbrock(
    label: str,
    x0: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    solution: Array | list[float],
    **details: Any,
) -> Case:
    """Return Rosenbrock's valley in a box; the cost of the solution follows from the function."""
    r = rosenbrock(np.asarray(solution, dtype=float))
    details.setdefault("tags", [])
    tags = ["bounded", *details.pop("tags"), *(["zero-residual"] if r @ r == 0 else [])]
    return make_case(
        f"bounded-rosenbrock-{label}",
        rosenbrock,
        rosenbrock_jacobian,
        x0,
        0.5 * (r @ r),
        [solution],
        lower=lower,
        upper=upper,
        tags=tags,
        **details,
    )


def _rosenbrock_cases() -> list[Case]:
    # With x1 <= 0.8 active, x2 is free to reach x1^2: (0.8, 0.64), cost 0.02.
    low, high, answer = [0.0, 0.0], [0.8, 2.0], [0.8, 0.64]
    free = [-_INFINITY, -_INFINITY]
    # With x2 >= 1.5 active (Hock-Schittkowski 2), x1 solves 400 x1^3 - 598 x1 - 2 = 0; the outer two of its
    # three real roots are minima.
    a = np.sqrt(598 / 1200)
    roots = [2 * a * np.cos((np.arccos(1 / (400 * a**3)) + turn) / 3) for turn in (0, 2 * np.pi)]
    costs = [0.5 * float(np.sum(rosenbrock(np.array([root, 1.5])) ** 2)) for root in roots]
    return [
        _rosenbrock("box", [0.5, 0.5], low, high, answer),
        _rosenbrock("on-lower", [0.0, 1.0], low, high, answer),
        _rosenbrock("on-upper", [0.8, 0.1], low, high, answer),
        _rosenbrock("corner-low", [0.0, 0.0], low, high, answer),
        _rosenbrock("corner-high", [0.8, 2.0], low, high, answer),
        _rosenbrock("corner-mixed", [0.0, 2.0], low, high, answer),
        _rosenbrock("at-solution", answer, low, high, answer),
        _rosenbrock("outside", [-1.2, 1.0], low, high, answer, tags=["outside"]),
        _rosenbrock("far-outside", [50.0, -70.0], low, high, answer, tags=["outside"]),
        _rosenbrock("upper-only", [-1.2, 1.0], free, [0.8, _INFINITY], answer),
        _rosenbrock("idle", [-1.2, 1.0], [-5.0, -5.0], [5.0, 5.0], [1.0, 1.0]),
        _rosenbrock("touching", [-1.2, 0.5], [-2.0, -2.0], [1.0, 1.0], [1.0, 1.0]),  # multipliers are zero
        _rosenbrock("hs1", [-2.0, 1.0], [-_INFINITY, -1.5], _INFINITY, [1.0, 1.0]),
        _rosenbrock(
            "hs2",
            [-2.0, 1.0],
            [-_INFINITY, 1.5],
            _INFINITY,
            [roots[0], 1.5],
            other_minima=[costs[1]],
            tags=["outside"],
        ),
        _rosenbrock("one-fixed", [0.5, 1.0], [0.5, -2.0], [0.5, 2.0], [0.5, 0.25], tags=["fixed"]),
        _rosenbrock("all-fixed", [0.5, 1.0], [0.5, 1.0], [0.5, 1.0], [0.5, 1.0], tags=["fixed"]),
        _rosenbrock("fixed-elsewhere", [0.0, 0.0], [0.5, -2.0], [0.5, 2.0], [0.5, 0.25], tags=["fixed", "outside"]),
    ]


def _linear(label: str, A: ArrayLike, b: ArrayLike, x0: ArrayLike, solution: ArrayLike, **details: Any) -> Case:
    """Return minimise 0.5 ||A x - b||^2 in a box."""
    matrix, right, x = (np.asarray(values, dtype=float) for values in (A, b, solution))
    r = matrix @ x - right
    return make_case(
        f"bounded-{label}",
        lambda x: matrix @ x - right,
        lambda x: matrix + 0 * x,
        x0,
        0.5 * float(r @ r),
        [x],
        tags=["bounded", "linear", *(["zero-residual"] if not r.any() else [])],
        **details,
    )


def _designed() -> Case:
    """Return a correlated 12 x 6 problem made backwards from its solution and multipliers.

    At the solution x the gradient is g, positive where the lower bound holds and negative where the upper one
    does; b = A x - A (A'A)^-1 g has exactly that gradient.
    """
    A = np.random.default_rng(7).standard_normal((12, 6)) + 1.0
    x = np.array([0.0, 1.0, 0.3, 0.0, 1.0, 0.6])
    g = np.array([2.0, -1.0, 0.0, 0.5, -3.0, 0.0])
    b = A @ x - A @ np.linalg.solve(A.T @ A, g)
    return _linear("linear-designed", A, b, np.full(6, 0.5), x, lower=0.0, upper=1.0)


def _linear_cases() -> list[Case]:
    centre = np.array([-1.0, 0.5, 3.0, 2.0])
    return [
        _linear("clip", np.eye(4), centre, np.full(4, 0.5), [0, 0.5, 1, 1], lower=0.0, upper=1.0),
        _linear(
            "clip-scaled",
            np.diag([1e-4, 1, 1e4, 1]),
            [-1e-4, 0.5, 3e4, 2],
            np.full(4, 0.5),
            [0, 0.5, 1, 1],
            lower=0.0,
            upper=1.0,
        ),
        _linear("half-line", [[1.0]], [-1.0], [5.0], [0.0], lower=0.0),
        _linear("half-line-from-bound", [[1.0]], [-1.0], [0.0], [0.0], lower=0.0),
        _linear("narrow", [[1.0]], [3.0], [1.0], [1 + 1e-10], lower=1.0, upper=1 + 1e-10),
        _linear("wide", [[1.0]], [3.0], [1.0], [3.0], lower=-1e300, upper=1e300),
        # The free answer is (1.5, -0.5); with x1 held at 1 the best x2 is -0.1, not the clipped -0.5.
        _linear("coupled", [[1.0, 0.5], [0.5, 1.0]], [1.25, 0.25], [0.0, 0.0], [1.0, -0.1], upper=1.0),
        _designed(),
    ]


def _curve_cases() -> list[Case]:
    """Return a exp(-k t) fitted to exp(-2 t) with k <= 1, where a is then a linear coefficient."""
    t = np.linspace(0, 2, 15)
    y = np.exp(-2 * t)
    best = np.exp(-t)
    a = (best @ y) / (best @ best)

    def residual(x: Array) -> Array:
        return x[0] * np.exp(-x[1] * t) - y

    def jacobian(x: Array) -> Array:
        e = np.exp(-x[1] * t)
        return np.stack([e, -x[0] * t * e], axis=1)

    cost = 0.5 * float(np.sum(residual(np.array([a, 1.0])) ** 2))
    common: dict[str, Any] = {"lower": [0.0, 0.0], "upper": [10.0, 1.0], "tags": ["bounded"]}
    return [
        make_case("bounded-decay", residual, jacobian, [3.0, 0.2], cost, [[a, 1.0]], **common),
        make_case("bounded-decay-from-bound", residual, jacobian, [3.0, 1.0], cost, [[a, 1.0]], **common),
        make_case("bounded-decay-corner", residual, jacobian, [10.0, 0.0], cost, [[a, 1.0]], **common),
    ]


def _classical_cases() -> list[Case]:
    return [
        make_case(
            "bounded-hs38",
            wood,
            wood_jacobian,
            [-3, -1, -3, -1],
            0,
            [np.ones(4)],
            lower=-10,
            upper=10,
            tags=["bounded", "zero-residual"],
        ),
        make_case(
            "bounded-hs25",
            gulf,
            gulf_jacobian,
            [60, 20, 2.0],  # from Hock and Schittkowski's own (100, 12.5, 3) all exponentials are flat zeros
            0,
            [[50, 25, 1.5]],
            lower=[0.1, 0, 0],
            upper=[100, 25.6, 5],
            tags=["bounded", "zero-residual"],
        ),
    ]


CASES: tuple[Case, ...] = (*_rosenbrock_cases(), *_linear_cases(), *_curve_cases(), *_classical_cases())
