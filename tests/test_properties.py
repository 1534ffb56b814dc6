"""Properties that hold for every problem, on generated ones. The examples are the same in every run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import EPS, FACES, TR_FACES, Recorder, first_order, passes, solve
from marquardt import Result, lstsq

Array = np.ndarray
FEW = settings(max_examples=60)


@dataclass(frozen=True)
class Problem:
    """r(x) = A x + c sin(B x) - b: linear for c = 0, with curvature and local minima for larger c."""

    A: Array
    B: Array
    b: Array
    c: float
    x0: Array
    lower: Array
    upper: Array

    def residual(self, x: Array) -> Array:
        return self.A @ x + self.c * np.sin(self.B @ x) - self.b

    def jacobian(self, x: Array) -> Array:
        return self.A + self.c * np.cos(self.B @ x)[:, None] * self.B


def check_end(problem: Problem, result: Result, start: Array, digits: float) -> None:
    """The end is a first-order point, and if it is one beyond doubt it is claimed.

    Where the Jacobian is singular at a minimum the linear model says nothing; there no way downhill may be left.
    """
    x = result.x
    here = first_order(problem.jacobian(x), problem.residual(x), x, problem.lower, problem.upper, np.abs(start))
    if here.gain <= 1e-3 * digits * here.norm_r:
        assert result.success, f"{result!r}: {result.message} {here}"
    if here.gain > digits * here.norm_r + 1e3 * here.noise and here.step > digits * here.size:
        assert not falls_downhill(problem, x, digits), f"{result!r}: {result.message} {here}"


def falls_downhill(problem: Problem, x: Array, digits: float) -> bool:
    """Whether the cost falls by more than digits^2 of itself along the scaled, projected gradient or a part of it.

    Steps of up to a tenth of x: farther away there may be another minimum.
    """
    r, J = problem.residual(x), problem.jacobian(x)
    lengths = np.linalg.norm(J, axis=0)
    p = -(J.T @ r) / np.where(lengths > 0, lengths, 1) ** 2
    p /= max(1.0, float(np.max(np.abs(p) / (np.abs(x) + 1e-300))))
    ways = [p, *np.diag(p)]
    costs = []
    for way in ways:
        for t in 10.0 ** np.arange(-10, 0):
            there = problem.residual(np.clip(x + t * way, problem.lower, problem.upper))
            costs.append(there @ there)
    return bool(min(costs) < (1 - digits**2) * (r @ r))


@st.composite
def problems(draw: st.DrawFn, bounded: bool = True, curved: bool = True, tall: bool = False) -> Problem:
    n = draw(st.integers(1, 6))
    m = draw(st.integers(n + 1 if tall else 1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    units = 10.0 ** rng.integers(-3, 4, n)
    A, B = rng.standard_normal((m, n)) / units, rng.standard_normal((m, n)) / units
    x = rng.standard_normal(n) * units
    lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
    if bounded:
        for j in range(n):
            kind = draw(st.sampled_from(["free", "below", "above", "box", "fixed", "narrow"]))
            width = units[j] * rng.uniform(0.1, 2)
            centre = units[j] * rng.standard_normal()
            if kind in ("below", "box"):
                lower[j] = centre - width
            if kind in ("above", "box"):
                upper[j] = centre + width
            if kind == "fixed":
                lower[j] = upper[j] = centre
            if kind == "narrow":
                lower[j], upper[j] = centre, centre + 1e-6 * width
    x0 = draw(st.sampled_from(["inside", "corner", "outside"]))
    start = x + units * rng.standard_normal(n)
    if bounded and x0 == "corner":
        start = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper, start))
    if x0 != "outside":
        start = np.clip(start, lower, upper)
    c = draw(st.sampled_from([0.0, 0.1, 0.5])) if curved else 0.0
    return Problem(A, B, rng.standard_normal(m), c, start, lower, upper)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("jac", ["analytic", "2-point", "3-point"])
@given(problem=problems())
@FEW
def test_bounded_problems_end_at_first_order_points_inside_the_box(face: str, jac: str, problem: Problem) -> None:
    fun = Recorder(problem.residual)
    bounds = (problem.lower, problem.upper)
    result = solve(face, fun, problem.x0, problem.jacobian if jac == "analytic" else jac, bounds=bounds)
    points = np.array(fun.points)
    assert np.all((problem.lower <= points) & (points <= problem.upper))
    check_end(problem, result, points[0], 2e-3)


@given(problem=problems(curved=False))
@FEW
def test_linear_problems_in_a_box_have_one_minimum(problem: Problem) -> None:
    """All faces find it, wherever they start."""
    bounds = (problem.lower, problem.upper)
    results = [
        solve(face, problem.residual, problem.x0, problem.jacobian, bounds=bounds, tolerance=None) for face in FACES
    ]
    lowest = min(result.cost for result in results)
    scale = float(np.linalg.norm(problem.b)) + float(np.linalg.norm(problem.A, axis=0) @ np.abs(results[0].x))
    for face, result in zip(FACES, results, strict=True):
        assert result.success, face
        assert result.cost <= lowest * (1 + 1e-7) + 1e-13 * scale**2, face


@given(problem=problems())
@FEW
def test_the_three_factorisations_walk_the_same_way(problem: Problem) -> None:
    bounds = (problem.lower, problem.upper)
    results = [
        solve(face, problem.residual, problem.x0, problem.jacobian, bounds=bounds, tolerance=None) for face in TR_FACES
    ]
    scale = float(np.linalg.norm(problem.b)) + float(np.linalg.norm(problem.A, axis=0) @ np.abs(results[0].x))
    for other in results[1:]:
        assert abs(other.cost - results[0].cost) <= 1e-6 * results[0].cost + 1e-13 * scale**2


@pytest.mark.parametrize("face", FACES)
@given(problem=problems())
@FEW
def test_history_falls(face: str, problem: Problem) -> None:
    result = solve(face, problem.residual, problem.x0, problem.jacobian, bounds=(problem.lower, problem.upper))
    costs = passes(result)["cost"]
    assert np.all(np.diff(costs) <= 1e-14 * costs[:-1] + EPS * np.linalg.norm(problem.b) ** 2)
    assert costs[-1] == result.cost


# ---- units -----------------------------------------------------------------------------------------------------------


def iterates(face: str, fun: Any, x0: Array, jac: Any, settings_: dict[str, Any]) -> Array:
    """Return the points that the callback sees."""
    seen: list[Array] = []
    solve(face, fun, x0, jac, tolerance=None, callback=seen.append, **settings_)
    return np.array(seen)


def same_walk(one: Array, other: Array) -> bool:
    """Equal to the last bit, as far as both go: where they stop is decided by comparisons with rounding."""
    k = min(len(one), len(other))
    return k > 0 and abs(len(one) - len(other)) <= 2 and bool(np.array_equal(one[: k - 1], other[: k - 1]))


@pytest.mark.parametrize("face", FACES)
@given(problem=problems(bounded=False, tall=True), exponent=st.integers(-40, 40))
@FEW
def test_units_of_the_residuals_do_not_matter(face: str, problem: Problem, exponent: int) -> None:
    """Multiplying r by a power of two, which is free of rounding, changes no bit of any iterate."""
    unit = 2.0**exponent
    plain = iterates(face, problem.residual, problem.x0, problem.jacobian, {})
    scaled = iterates(face, lambda x: unit * problem.residual(x), problem.x0, lambda x: unit * problem.jacobian(x), {})
    assert same_walk(plain, scaled)


@pytest.mark.parametrize("face", FACES)
@given(problem=problems(bounded=False, tall=True), exponents=st.lists(st.integers(-30, 30), min_size=6, max_size=6))
@FEW
def test_units_of_the_parameters_do_not_matter(face: str, problem: Problem, exponents: list[int]) -> None:
    """Nor does measuring each parameter in its own power of two, with the scaling by columns."""
    unit = 2.0 ** np.array(exponents[: problem.x0.size])
    plain = iterates(face, problem.residual, problem.x0, problem.jacobian, {})
    scaled = iterates(
        face,
        lambda y: problem.residual(y / unit),
        problem.x0 * unit,
        lambda y: problem.jacobian(y / unit) / unit,
        {},
    )
    assert same_walk(plain, scaled / unit)


@pytest.mark.parametrize("face", FACES)
@given(problem=problems(), exponents=st.lists(st.integers(-20, 20), min_size=6, max_size=6))
@FEW
def test_bounded_answers_do_not_depend_on_units(face: str, problem: Problem, exponents: list[int]) -> None:
    unit = 2.0 ** np.array(exponents[: problem.x0.size])
    bounds = (problem.lower, problem.upper)
    plain = solve(face, problem.residual, problem.x0, problem.jacobian, bounds=bounds, tolerance=None)
    scaled = solve(
        face,
        lambda y: problem.residual(y / unit),
        problem.x0 * unit,
        lambda y: problem.jacobian(y / unit) / unit,
        bounds=(problem.lower * unit, problem.upper * unit),
        tolerance=None,
    )
    check_end(problem, plain, problem.x0, 1e-5)
    scaled.x = scaled.x / unit
    check_end(problem, scaled, problem.x0, 1e-5)


@pytest.mark.parametrize("face", FACES)
@given(problem=problems(bounded=False, tall=True), order=st.randoms(use_true_random=False))
@FEW
def test_the_order_of_residuals_does_not_matter(face: str, problem: Problem, order: Any) -> None:
    rows = list(range(problem.b.size))
    order.shuffle(rows)
    plain = solve(face, problem.residual, problem.x0, problem.jacobian, tolerance=None)
    shuffled = solve(
        face, lambda x: problem.residual(x)[rows], problem.x0, lambda x: problem.jacobian(x)[rows], tolerance=None
    )
    k = min(len(passes(plain)), len(passes(shuffled)), 3)
    np.testing.assert_allclose(passes(shuffled)["cost"][:k], passes(plain)["cost"][:k], rtol=1e-6, atol=1e-14)


# ---- linear ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "cod", "svd"])
@given(problem=problems(bounded=False, curved=False))
@FEW
def test_linear_answers_are_orthogonal_and_of_least_norm(method: str, problem: Problem) -> None:
    A, b = problem.A, problem.b
    fit = lstsq(A, b, method=method)
    lengths = np.linalg.norm(A, axis=0)
    by_column = method == "auto"  # the others are as accurate as the matrix is large, whatever its columns
    terms = lengths @ np.abs(fit.x) if by_column else np.linalg.norm(A) * np.linalg.norm(fit.x)
    noise = 1e3 * EPS * (np.linalg.norm(b) + terms)
    assert np.all(np.abs(A.T @ fit.residuals) <= lengths * noise)
    np.testing.assert_array_less(np.abs(fit.residuals - (b - A @ fit.x)), noise)
    if fit.rank < A.shape[1]:
        pseudo = np.linalg.pinv(A) @ b
        assert np.linalg.norm(fit.x) <= np.linalg.norm(pseudo) * (1 + 1e-6)


@given(problem=problems(bounded=False, curved=False, tall=True))
@FEW
def test_linear_problems_take_one_full_step(problem: Problem) -> None:
    """The nonlinear faces agree with the linear one; a radius that holds the answer needs one trial."""
    exact = lstsq(problem.A, problem.b)
    for face in FACES:
        extra = {} if face == "lm" else {"options": {"initial_trust_radius": 1e12}}
        result = solve(face, problem.residual, problem.x0, problem.jacobian, tolerance=None, **extra)
        assert result.success
        assert result.cost <= exact.cost * (1 + 1e-9) + 1e-24
        if face != "lm":
            assert result.history["nfev"][1] == 2
            np.testing.assert_allclose(result.history["cost"][1], exact.cost, rtol=1e-6, atol=1e-20)
