"""The problem registry against itself: no solver is involved."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from problems import ALL, Case, by_name, by_tag
from problems.hard import HARD

EPS = np.finfo(float).eps

SOLVED = [case for case in ALL if case.solutions]


def generator(case: Case) -> np.random.Generator:
    """Return random numbers that belong to the case: the same in every run and in any order of tests."""
    return np.random.default_rng(zlib.crc32(case.name.encode()))


def complex_step_jacobian(case: Case, x: np.ndarray) -> np.ndarray:
    """Differentiate the residual by a complex step: no subtraction, so right to rounding."""
    columns = []
    for j in range(x.size):
        h = 1e-40 * max(abs(x[j]), 1.0)  # h^2 is far below rounding, h far above underflow
        z = x.astype(complex)
        z[j] += 1j * h
        columns.append(case.residual(z).imag / h)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_shapes(case: Case) -> None:
    n = case.x0.size
    r = case.residual(case.x0)
    assert case.x0.shape == case.lower.shape == case.upper.shape == (n,)
    assert r.ndim == 1
    assert case.jacobian(case.x0).shape == (r.size, n)
    assert all(x.shape == (n,) for x in case.solutions)
    assert ("underdetermined" in case.tags) == (r.size < n)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_start_is_usable(case: Case) -> None:
    assert np.isfinite(case.cost(case.x0))
    assert np.isfinite(case.jacobian(case.x0)).all()
    inside = bool(np.all((case.lower <= case.x0) & (case.x0 <= case.upper)))
    assert ("outside" in case.tags) == (not inside)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_bounds_are_a_box(case: Case) -> None:
    assert np.all(case.lower <= case.upper)
    assert case.bounded == ("bounded" in case.tags)
    assert ("fixed" in case.tags) == bool(np.any(case.lower == case.upper))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_no_known_cost_is_below_the_minimum(case: Case) -> None:
    assert 0 <= case.minimum <= min((np.inf, *case.other_minima))
    assert ("zero-residual" in case.tags) == (case.minimum == 0)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_jacobian(case: Case) -> None:
    rng = generator(case)
    for _ in range(2):
        x = case.x0 * (1 + 0.02 * rng.uniform(-1, 1, case.x0.size)) + 1e-3 * (case.x0 == 0)
        J = case.jacobian(x)
        reference = complex_step_jacobian(case, x)
        assert np.isfinite(reference).all()
        # An entry may be a difference of large terms, so rounding is judged by its row and column.
        rows, columns = (np.abs(reference).max(axis=axis, keepdims=True, initial=0) for axis in (1, 0))
        np.testing.assert_array_less(np.abs(J - reference), 1e-11 * np.minimum(rows, columns) + 1e-300)


def test_gulf_jacobian_beyond_its_kink() -> None:
    """The starts have x2 below every y_i, where |y - x2| = y - x2; here x2 lies among them."""
    case = by_name("mgh-gulf-x1")
    x = np.array([50.0, 33.0, 1.5])
    np.testing.assert_allclose(case.jacobian(x), complex_step_jacobian(case, x), rtol=1e-11)


def test_helical_valley_is_continuous() -> None:
    """The angle runs on across x1 = 0 where x2 > 0, from a quarter turn."""
    residual = by_name("mgh-helical_valley-x1").residual
    left, right = (residual(np.array([side, 1.0, 0.3])) for side in (-1e-12, 1e-12))
    np.testing.assert_allclose(left, right, atol=1e-9)


def attainable(case: Case, x: np.ndarray) -> float:
    """Return how far cost(x) may lie from the minimum when x is a solution rounded to the digits given.

    Rounding moves x by at most half a unit of the last digit, hence r by at most dr = sum_j |J_j| |dx_j| and,
    the gradient being zero, the cost by dr'dr / 2. Evaluating r itself loses a few units in the last place of
    its largest terms, which enter the cost through r and squared.
    """
    r, J = case.residual(x), np.abs(case.jacobian(x))
    moved = np.linalg.norm(J @ np.abs(x)) * 0.5 * 10.0 ** (1 - case.digits)
    rounded = 4 * EPS * (np.linalg.norm(J @ np.abs(x)) + np.linalg.norm(r) + np.sqrt(r.size))
    last_digit = 0.5 * 10.0 ** (1 - case.digits) * case.minimum
    return float(last_digit + 0.5 * (moved + rounded) ** 2 + np.linalg.norm(r) * rounded)


@pytest.mark.parametrize("case", SOLVED, ids=str)
def test_solutions_have_the_minimum_cost(case: Case) -> None:
    for x in case.solutions:
        assert np.all((case.lower <= x) & (x <= case.upper))
        assert abs(case.cost(x) - case.minimum) <= attainable(case, x)


@pytest.mark.parametrize("case", SOLVED, ids=str)
def test_solutions_are_stationary(case: Case) -> None:
    """The gradient vanishes, or pushes against an active bound, to the digits the solution is given with."""
    for x in case.solutions:
        r, J = case.residual(x), case.jacobian(x)
        g = J.T @ r
        g = np.where((x == case.lower) & (g > 0), 0, np.where((x == case.upper) & (g < 0), 0, g))
        norms = np.linalg.norm(J, axis=0)
        # Gauss-Newton part of the Hessian times the error of x, twice for the other part; rounding of r.
        moved = 10.0 ** (1 - case.digits) * (np.abs(J.T) @ np.abs(J) @ np.abs(x))
        rounded = 1e3 * EPS * norms * (np.linalg.norm(r) + np.linalg.norm(np.abs(J) @ np.abs(x)))
        np.testing.assert_array_less(np.abs(g), moved + rounded + 1e-300)


def singular(J: np.ndarray) -> bool:
    """Whether the columns, brought to length one, are dependent to ten digits."""
    norms = np.linalg.norm(J, axis=0)
    if not norms.all() or J.shape[0] < J.shape[1]:
        return True
    values = np.linalg.svd(J / norms, compute_uv=False)
    return bool(values[-1] < 1e-10 * values[0])


@pytest.mark.parametrize("case", SOLVED, ids=str)
def test_rank_at_solutions(case: Case) -> None:
    lost = any(singular(case.jacobian(x)) for x in case.solutions)
    assert ("rank-deficient" in case.tags) == lost


def test_rank_at_local_minima() -> None:
    points = {
        "freudenstein_roth": [11.412778986902092, -0.8968052532744766],
        "trigonometric": [
            *(0.055150903980691425, 0.05684061679473867, 0.058764001762695355, 0.060990608656760856),
            *(0.06362621369585482, 0.06684317945275943, 0.20816151856988055, 0.164363095885649),
            *(0.08500689568850706, 0.09143145071470792),
        ],
    }
    assert {case.name for case in by_tag("singular-local", "x1")} == {f"mgh-{name}-x1" for name in points}
    for name, x in points.items():
        case = by_name(f"mgh-{name}-x1")
        assert case.cost(x) == pytest.approx(case.other_minima[0], rel=1e-10)
        assert singular(case.jacobian(np.array(x)))


def test_bounds_bind_or_are_named_idle() -> None:
    """Most bounded cases are there because a bound holds at the solution."""
    idle = [
        case.name for case in by_tag("bounded") for x in case.solutions if np.all((case.lower < x) & (x < case.upper))
    ]
    assert set(idle) == {
        "bounded-rosenbrock-idle",
        "bounded-rosenbrock-hs1",
        "bounded-wide",
        "bounded-hs38",
        "bounded-hs25",
    }


def test_paper_minima() -> None:
    """Sums of squares as printed by Moré, Garbow and Hillstrom, six digits."""
    printed = {
        "freudenstein_roth": 48.9842,
        "jennrich_sampson": 124.362,
        "bard": 8.21487e-3,
        "gaussian": 1.12793e-8,
        "meyer": 87.9458,
        "kowalik_osborne": 3.07505e-4,
        "brown_dennis": 85822.2,
        "osborne_1": 5.46489e-5,
        "osborne_2": 4.01377e-2,
        "watson-6": 2.28767e-3,
        "watson-9": 1.39976e-6,
        "watson-12": 4.72238e-10,
        "penalty_1-4": 2.24997e-5,
        "penalty_1-10": 7.08765e-5,
        "penalty_2-4": 9.37629e-6,
        "penalty_2-10": 2.93660e-4,
        "trigonometric": 2.79506e-5,
        "biggs_exp6": 5.65565e-3,
        "brown_almost_linear": 1.0,
        "chebyquad-8": 3.51687e-3,
        "chebyquad-10": 6.50395e-3,
    }
    for name, square in printed.items():
        case = by_name(f"mgh-{name}-x1")
        assert 2 * case.nearest_minimum(square / 2) == pytest.approx(square, rel=5e-6), name


def test_hock_schittkowski_2() -> None:
    """Minimum and local minimum of the sum of squares as published."""
    case = by_name("bounded-rosenbrock-hs2")
    assert 2 * case.minimum == pytest.approx(0.0504261879, rel=1e-8)
    assert 2 * case.other_minima[0] == pytest.approx(4.941229318, rel=1e-8)


def test_names_are_unique_and_found() -> None:
    assert len({case.name for case in ALL}) == len(ALL)
    assert all(by_name(case.name) is case for case in ALL)


def test_families() -> None:
    families = [by_tag(family) for family in ("nist", "mgh", "bounded", "degenerate")]
    assert sum(map(len, families)) == len(ALL)
    assert len(families[0]) == 54
    functions = {case.residual for case in by_tag("mgh", "x1")}
    assert len(functions) == len(by_tag("mgh", "x1")) >= 35


def test_multiples_of_the_standard_start() -> None:
    for case in by_tag("mgh", "x10"):
        standard = by_name(case.name.removesuffix("0"))
        np.testing.assert_allclose(case.x0, 10 * standard.x0, rtol=1e-15)


def test_hard_names_exist() -> None:
    assert {case.name for case in by_tag("hard")} == HARD


def test_unknown_tag() -> None:
    with pytest.raises(ValueError, match="no case is tagged imaginary; tags: average"):
        by_tag("mgh", "imaginary")
