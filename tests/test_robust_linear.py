"""`lad`, `huber`, `robust_linear`: proofs checked from outside, linear programming, and the definition of each loss."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from marquardt import RobustStatus, huber, lad, lstsq, robust_linear

Array = Any


def programme(A: Array, b: Array) -> float:
    """The least sum of absolute residuals, by linear programming."""
    m, n = A.shape
    cost = np.concatenate([np.zeros(n), np.ones(2 * m)])
    rows = np.concatenate([A, np.eye(m), -np.eye(m)], axis=1)
    solution = scipy.optimize.linprog(
        cost, A_eq=rows, b_eq=b, bounds=[(None, None)] * n + [(0, None)] * (2 * m), method="highs"
    )
    return float(solution.fun)


def check_proof(A: Array, b: Array, fit: Any) -> None:
    assert fit.success
    assert fit.status is RobustStatus.PROVEN
    assert np.abs(fit.dual).max() <= 1
    assert np.abs(A.T @ fit.dual).max(initial=0) <= 1e-11 * (1 + np.abs(A).sum(axis=0).max())
    total = np.abs(b - A @ fit.x).sum()
    assert fit.cost == pytest.approx(total, rel=1e-12, abs=1e-13 * np.abs(b).sum())
    assert fit.dual @ b == pytest.approx(total, rel=1e-10, abs=1e-11 * np.abs(b).sum())


def systems(seed: int) -> tuple[Array, Array]:
    """Random ones, every other with small integers: ties, repeated rows, deficient ranks and exact fits."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 40)), int(rng.integers(1, 8))
    A = rng.integers(-2, 3, (m, n)).astype(float) if seed % 2 else rng.standard_normal((m, n))
    b = rng.integers(-3, 4, m).astype(float) if seed % 3 else rng.standard_normal(m)
    return A, b


@pytest.mark.parametrize("seed", range(80))
def test_lad_against_linear_programming(seed: int) -> None:
    A, b = systems(seed)
    fit = lad(A, b)
    check_proof(A, b, fit)
    assert fit.cost == pytest.approx(programme(A, b), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_lad_is_the_best_vertex(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((9, 3)), rng.standard_normal(9)
    best = min(
        np.abs(b - A @ np.linalg.solve(A[list(rows)], b[list(rows)])).sum()
        for rows in itertools.combinations(range(9), 3)
    )
    fit = lad(A, b)
    assert fit.cost == pytest.approx(best, rel=1e-12)
    assert np.count_nonzero(np.abs(fit.residuals) < 1e-13) == 3


def test_lad_of_a_constant_is_the_median() -> None:
    rng = np.random.default_rng(0)
    b = rng.standard_normal(101)
    fit = lad(np.ones((101, 1)), b)
    assert fit.x[0] == pytest.approx(np.median(b), rel=1e-14)
    assert fit.unique
    even = lad(np.ones((4, 1)), [1.0, 2.0, 5.0, 9.0])
    assert not even.unique
    ends = sorted([even.x[0], even.x[0] + even.direction[0]])
    np.testing.assert_allclose(ends, [2, 5])
    assert "Not the only one" in even.message


@pytest.mark.parametrize("seed", range(40))
def test_lad_names_another_solution(seed: int) -> None:
    A, b = systems(2 * seed + 1)
    fit = lad(A, b)
    if fit.direction is None:
        return
    assert not fit.unique
    for t in (0.3, 1.0):
        assert np.abs(b - A @ (fit.x + t * fit.direction)).sum() == pytest.approx(fit.cost, rel=1e-10, abs=1e-10)


def test_lad_does_not_see_outliers() -> None:
    rng = np.random.default_rng(1)
    A = np.stack([np.ones(30), np.arange(30.0)], axis=1)
    b = A @ [1.0, 2.0]
    b[::4] += 1e6 * rng.standard_normal(8)
    fit = lad(A, b)
    np.testing.assert_allclose(fit.x, [1, 2], rtol=1e-12)


def test_lad_of_a_deficient_matrix_is_the_shortest_through_its_rows() -> None:
    rng = np.random.default_rng(2)
    A = rng.standard_normal((20, 2)) @ rng.standard_normal((2, 4))
    b = rng.standard_normal(20)
    fit = lad(A, b)
    check_proof(A, b, fit)
    assert fit.rank == 2
    assert not fit.unique
    assert "rank 2 of 4" in fit.message
    rows = np.abs(fit.residuals) < 1e-12
    np.testing.assert_allclose(fit.x, np.linalg.pinv(A[rows]) @ b[rows], rtol=1e-9)


@pytest.mark.parametrize("degree", [5, 10, 14])
def test_lad_of_an_ill_conditioned_matrix(degree: int) -> None:
    t = np.linspace(0, 1, 60)
    A = t[:, np.newaxis] ** np.arange(degree + 1)
    rng = np.random.default_rng(degree)
    b = np.cos(3 * t) + (rng.random(60) < 0.2) * rng.standard_normal(60)
    fit = lad(A, b)
    check_proof(A, b, fit)


@pytest.mark.parametrize("size_A", [1e-150, 1.0, 1e150])
@pytest.mark.parametrize("size_b", [1e-140, 1.0, 1e140])
def test_lad_in_any_units(size_A: float, size_b: float) -> None:
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((25, 4)), rng.standard_normal(25)
    plain, fit = lad(A, b), lad(A * size_A, b * size_b)
    assert fit.success
    np.testing.assert_allclose(fit.x * size_A / size_b, plain.x, rtol=1e-11)
    assert fit.cost == pytest.approx(plain.cost * size_b, rel=1e-12)


def test_lad_of_zeros() -> None:
    for A, b in ((np.zeros((5, 2)), np.arange(5.0)), (np.ones((5, 2)), np.zeros(5)), (np.zeros((1, 1)), np.zeros(1))):
        fit = lad(A, b)
        check_proof(A, b, fit)
        assert not np.any(fit.x)


def test_lad_reports_its_limit() -> None:
    rng = np.random.default_rng(4)
    A, b = rng.standard_normal((200, 10)), rng.standard_cauchy(200)
    fit = lad(A, b, max_iter=1)
    assert fit.status is RobustStatus.LIMIT
    assert not fit.success
    assert lad(A, b).success


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_lad_always_proves_what_it_says(seed: int) -> None:
    A, b = systems(seed)
    fit = lad(A, b)
    check_proof(A, b, fit)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        there = fit.x + 10.0 ** rng.integers(-6, 2) * rng.standard_normal(fit.x.size)
        assert np.abs(b - A @ there).sum() >= fit.cost * (1 - 1e-12) - 1e-12


# ------------------------------------------------------------------------------------------------ robust losses

RHO: dict[str, Callable[[Array], Array]] = {
    "huber": lambda u: np.where(np.abs(u) <= 1, u * u / 2, np.abs(u) - 0.5),
    "soft_l1": lambda u: np.sqrt(1 + u * u) - 1,
    "cauchy": lambda u: np.log1p(u * u) / 2,
    "arctan": lambda u: np.arctan(u * u) / 2,
    "welsch": lambda u: (1 - np.exp(-u * u)) / 2,
    "tukey": lambda u: np.where(np.abs(u) < 1, (1 - (1 - u * u) ** 3) / 6, 1 / 6),
}
WEIGHT: dict[str, Callable[[Array], Array]] = {
    "huber": lambda u: 1 / np.maximum(np.abs(u), 1),
    "soft_l1": lambda u: 1 / np.sqrt(1 + u * u),
    "cauchy": lambda u: 1 / (1 + u * u),
    "arctan": lambda u: 1 / (1 + u**4),
    "welsch": lambda u: np.exp(-u * u),
    "tukey": lambda u: np.where(np.abs(u) < 1, (1 - u * u) ** 2, 0),
}
LOSSES = tuple(RHO)


def contaminated(seed: int, m: int = 60, n: int = 4) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    A, x = rng.standard_normal((m, n)), rng.standard_normal(n)
    return A, A @ x + 0.1 * rng.standard_normal(m) + 20 * (rng.random(m) < 0.2), x


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [0.1, 1.0, "mad"])
@pytest.mark.parametrize("seed", range(8))
def test_a_first_order_point_of_the_loss(loss: str, scale: Any, seed: int) -> None:
    A, b, _ = contaminated(seed)
    fit = robust_linear(A, b, loss, scale=scale)
    assert fit.success
    u = (b - A @ fit.x) / fit.threshold
    np.testing.assert_allclose(fit.weights, WEIGHT[loss](u), atol=1e-10)
    psi = u * WEIGHT[loss](u)
    assert (np.abs(A.T @ psi) <= 1e-11 * (np.abs(A).T @ np.abs(u))).all()
    assert fit.cost == pytest.approx(fit.threshold**2 * RHO[loss](u).sum(), rel=1e-10)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        there = fit.x + 1e-4 * fit.threshold * rng.standard_normal(4)
        moved = fit.threshold**2 * RHO[loss]((b - A @ there) / fit.threshold).sum()
        assert moved >= fit.cost * (1 - 1e-12) or not fit.local_minimum


@pytest.mark.parametrize("loss", LOSSES)
def test_outliers_do_not_decide(loss: str) -> None:
    A, b, x = contaminated(1, m=200)
    error = np.abs(robust_linear(A, b, loss).x - x).max()
    assert error < 0.2 * np.abs(lstsq(A, b).x - x).max()
    if loss in ("welsch", "tukey"):
        assert error < 0.05


@pytest.mark.parametrize("loss", LOSSES)
def test_without_outliers_it_nears_least_squares(loss: str) -> None:
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((50, 3)), rng.standard_normal(50)
    fit = robust_linear(A, b, loss, scale=1e8)
    np.testing.assert_allclose(fit.x, lstsq(A, b).x, rtol=1e-12)
    assert fit.local_minimum


@pytest.mark.parametrize("loss", ["huber", "soft_l1"])
@pytest.mark.parametrize("seed", range(10))
def test_convex_losses_have_one_minimum(loss: str, seed: int) -> None:
    A, b, _ = contaminated(seed)
    first = robust_linear(A, b, loss, scale=0.1)
    for x0 in (np.zeros(4), 100 * np.ones(4)):
        other = robust_linear(A, b, loss, scale=0.1, x0=x0)
        assert other.cost == pytest.approx(first.cost, rel=1e-12)
        np.testing.assert_allclose(other.x, first.x, atol=1e-10)
    assert first.message.startswith("The minimum")
    peer = scipy.optimize.minimize(
        lambda x: float(RHO[loss]((b - A @ x) / first.threshold).sum()), first.x + 0.01, method="BFGS"
    )
    assert first.cost <= peer.fun * first.threshold**2 * (1 + 1e-12)


def test_huber_of_a_constant() -> None:
    fit = huber(np.ones((4, 1)), [1.0, 2.0, 3.0, 100.0], 1.5, scale=1)
    assert fit.x[0] == pytest.approx(2.5, rel=1e-14)
    assert fit.weights.tolist() == pytest.approx([1, 1, 1, 1.5 / 97.5])


def test_huber_nears_lad() -> None:
    A, b, _ = contaminated(3)
    np.testing.assert_allclose(huber(A, b, 1.0, scale=1e-7).x, lad(A, b).x, atol=1e-6)


def test_the_mad_is_that_of_the_lad_fit() -> None:
    A, b, _ = contaminated(4)
    residuals = np.sort(np.abs(lad(A, b).residuals))[4:]
    assert huber(A, b).scale == pytest.approx(np.median(residuals) / 0.6744897501960817, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "tuning"), [("huber", 1.345), ("soft_l1", 1.2871), ("cauchy", 2.3849), ("arctan", 2.5714)]
)
def test_tuning_constants_have_95_percent_efficiency(loss: str, tuning: float) -> None:
    A, b, _ = contaminated(5)
    assert robust_linear(A, b, loss, scale=2.0).threshold == pytest.approx(2 * tuning)
    r = np.linspace(-12, 12, 240001)
    density = np.exp(-r * r / 2) / np.sqrt(2 * np.pi) * (r[1] - r[0])
    psi = r * WEIGHT[loss](r / tuning)
    assert (np.gradient(psi, r) @ density) ** 2 / (psi**2 @ density) == pytest.approx(0.95, abs=1e-4)


def test_an_exact_fit_of_most_rows() -> None:
    A = np.stack([np.ones(20), np.arange(20.0)], axis=1)
    b = A @ [3.0, -1.0]
    b[[2, 11, 17]] += 50
    fit = huber(A, b)
    assert fit.status is RobustStatus.EXACT_FIT
    assert fit.success
    np.testing.assert_allclose(fit.x, [3, -1], rtol=1e-12)
    assert np.flatnonzero(fit.weights == 0).tolist() == [2, 11, 17]


@pytest.mark.parametrize("loss", LOSSES)
def test_as_many_rows_as_columns(loss: str) -> None:
    rng = np.random.default_rng(6)
    A, b = rng.standard_normal((4, 4)), rng.standard_normal(4)
    fit = robust_linear(A, b, loss, scale=1.0)
    assert fit.success
    if loss in ("huber", "soft_l1"):
        np.testing.assert_allclose(fit.x, np.linalg.solve(A, b), rtol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_deficient_matrices_give_the_shortest(loss: str) -> None:
    A, b, _ = contaminated(7)
    wide = np.concatenate([A, A[:, :1], np.zeros((60, 1))], axis=1)
    fit, plain = robust_linear(wide, b, loss, scale=0.1), robust_linear(A, b, loss, scale=0.1)
    assert fit.success
    assert not fit.local_minimum
    np.testing.assert_allclose(fit.x, [plain.x[0] / 2, *plain.x[1:], plain.x[0] / 2, 0], atol=1e-9)


def test_robust_reports_its_limit() -> None:
    A, b, _ = contaminated(8)
    fit = robust_linear(A, b, "cauchy", scale=0.1, x0=50 * np.ones(4), max_iter=1)
    assert fit.status is RobustStatus.LIMIT
    assert not fit.success


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lad([[np.nan]], [1.0]), "A must be finite"),
        (lambda: lad([[1.0]], [np.inf]), "b must be finite"),
        (lambda: lad([[1.0]], [1.0, 2.0]), "b must have shape"),
        (lambda: lad(np.empty((0, 2)), []), "A must have two dimensions and at least one entry"),
        (lambda: lad([[1.0]], [1.0], max_iter=-1), "max_iter must be"),
        (lambda: robust_linear([[1.0]], [1.0], "hubert"), "loss must be one of .*did you mean 'huber'"),
        (lambda: robust_linear([[1.0]], [1.0], scale="sd"), "scale must be one of"),
        (lambda: robust_linear([[1.0]], [1.0], scale=0), "scale must be positive"),
        (lambda: huber([[1.0]], [1.0], -1.0), "tuning must be positive"),
        (lambda: robust_linear([[1.0]], [1.0], x0=[1.0, 2.0]), "x0 must have shape"),
    ],
)
def test_refusals(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
