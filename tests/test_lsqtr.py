"""`lsqtr`: the three subproblems, scaling, when it stops, bounds.

Options are in test_lsqtr_options.py, results and what is printed in test_lsqtr_result.py, evaluations on known problems
in test_lsqtr_counts.py, JAX functions in test_lsqtr_jax.py, and what all faces have in common in test_contract.py.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import (
    EPS,
    TR_METHODS,
    Recorder,
    T,
    decay,
    decay_jacobian,
    first_order,
    rosenbrock,
    rosenbrock_jacobian,
)
from marquardt import Result, Status, lsqtr
from problems import Case, by_name, by_tag

Array = np.ndarray
EACH_METHOD = pytest.mark.parametrize("method", TR_METHODS)
PROBLEMS = (*by_tag("mgh", "x1"), *by_tag("bounded"), *by_tag("degenerate"))


def run(case: Case, method: str = "svd", options: dict[str, Any] | None = None, **keywords: Any) -> Result:
    keywords = {"bounds": (case.lower, case.upper), "verbose": 0, "maxiter": 300} | keywords
    return lsqtr(case.residual, case.x0, case.jacobian, options={"tr_method": method} | (options or {}), **keywords)


# ---- the subproblem --------------------------------------------------------------------------------------------------


def conditioned(cond: float, seed: int, m: int = 20, n: int = 6) -> tuple[Array, Array, Array]:
    """Return A with singular values from 1 down to 1 / cond, b and a start."""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.standard_normal((m, n)))
    v, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return u * np.geomspace(1, 1 / cond, n) @ v.T, rng.standard_normal(m), rng.standard_normal(n)


@pytest.mark.parametrize("share", [0.99, 0.9, 0.5, 0.1, 0.01, 1e-4])
@pytest.mark.parametrize("cond", [10.0, 1e2, 1e3, 1e4, 1e5, 1e6])
@pytest.mark.parametrize("x_scale", ["jac", 1.0, 4.0], ids=str)
@EACH_METHOD
def test_a_step_belongs_to_its_own_alpha(method: str, x_scale: Any, cond: float, share: float) -> None:
    """(J'J + alpha D^2) p = -c g for one alpha >= 0 and a c within 1 % of 1, and ||D p|| is the radius.

    c is the last correction of the length: the step at alpha has the radius to 1 % and is scaled to have it exactly.
    A step whose alpha is another's, such as that of the pass before, solves no equation of this form.
    """
    for seed in range(5):
        A, b, x0 = conditioned(cond, seed)
        D = np.linalg.norm(A, axis=0) if x_scale == "jac" else np.full(6, 1 / x_scale)
        full = np.linalg.lstsq(A, b - A @ x0, rcond=None)[0]
        radius = share * float(np.linalg.norm(D * full))
        options = {"tr_method": method, "initial_trust_radius": radius}
        result = lsqtr(
            lambda x, A=A, b=b: A @ x - b,
            x0,
            lambda x, A=A: A,
            x_scale=x_scale,
            verbose=0,
            maxiter=1,
            options=options,
        )
        p, g = D * (result.allx[1] - x0), A.T @ (A @ x0 - b) / D
        B = (A / D).T @ (A / D)
        np.testing.assert_allclose(np.linalg.norm(p), radius, rtol=1e-10)
        # least squares for (alpha, c) in  alpha p + c g = -B p
        (alpha, c), *_ = np.linalg.lstsq(np.stack([p, g], axis=1), -B @ p, rcond=None)
        defect = np.linalg.norm(alpha * p + c * g + B @ p)
        assert defect <= 1e-9 * np.linalg.norm(g)
        assert alpha >= 0
        assert abs(c - 1) <= 0.0101


@pytest.mark.parametrize("cond", [10.0, 1e3, 1e6])
@EACH_METHOD
def test_later_steps_belong_to_their_own_alpha_too(method: str, cond: float) -> None:
    """The alpha of the pass before is a first guess for the next, never its answer: ||D p|| <= radius holds and the
    model cannot be lowered by a hundredth more."""
    for seed in range(5):
        A, b, x0 = conditioned(cond, seed)
        result = lsqtr(
            lambda x, A=A, b=b: A @ x - b,
            x0,
            lambda x, A=A: A,
            x_scale=1,
            verbose=0,
            maxiter=8,
            ftol=None,
            xtol=None,
            gtol=None,
            options={"tr_method": method, "initial_trust_radius": 0.01, "tr_increase_ratio": 3},
        )
        w, V = np.linalg.eigh(A.T @ A)
        for x, there, record in zip(result.allx, result.allx[1:], result.history, strict=False):
            p, g, radius = there - x, A.T @ (A @ x - b), record["control"]
            q = V.T @ g

            def length(alpha: float, q: Array = q, w: Array = w) -> float:
                return float(np.linalg.norm(q / (w + alpha)))

            low, high = 0.0, float(np.linalg.norm(g)) / radius
            if length(low) > radius:
                for _ in range(100):
                    middle = np.sqrt(low * high) if low > 0 else 1e-16 * high
                    low, high = (middle, high) if length(middle) > radius else (low, middle)
            best = -V @ (q / (w + low))
            fall = [-(0.5 * s @ A.T @ A @ s + g @ s) for s in (p, best)]
            rounding = EPS * float(np.sum((A @ x - b) ** 2))
            assert fall[0] >= fall[1] * (1 - 0.01) - rounding


SAME_WALK = [*by_tag("mgh", "x1"), *by_tag("bounded")]


@pytest.mark.parametrize("case", [case for case in SAME_WALK if "hard" not in case.tags], ids=str)
def test_the_three_methods_walk_alike_where_the_problem_is_well_conditioned(case: Case) -> None:
    """To rounding, multiplied by what each step does to an error: the iterates up to the first rank-deficient or
    nearly singular Jacobian."""
    walks = [run(case, method, maxiter=4).allx for method in TR_METHODS]
    sound = 0
    for x in walks[0]:
        J = case.jacobian(x)
        lengths = np.linalg.norm(J, axis=0)
        if np.any(lengths == 0) or np.linalg.cond(J / lengths) > 1e3:
            break
        sound += 1
    assert len({len(walk[: sound + 1]) for walk in walks}) == 1
    scale = np.abs(walks[0]).max(axis=0)
    scale = np.maximum(scale, 1e-3 * scale.max())
    for walk in walks[1:]:
        for one, other in zip(walks[0][: sound + 1], walk[: sound + 1], strict=True):
            assert np.all(np.abs(one - other) <= 1e-7 * scale)


@pytest.mark.parametrize("method", ["cho", "qr"])
@pytest.mark.parametrize("bounds", [None, ([0, 0, 0], [3, 1.2, 2])], ids=["free", "box"])
def test_the_three_methods_walk_alike_on_a_fit(method: str, bounds: Any) -> None:
    svd, other = (
        lsqtr(decay, [1, 1, 1], decay_jacobian, bounds, verbose=0, options={"tr_method": name})
        for name in ("svd", method)
    )
    np.testing.assert_allclose(other.allx, svd.allx, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(other.alltr, svd.alltr, rtol=1e-9)
    assert (other.nfev, other.njev, other.nit) == (svd.nfev, svd.njev, svd.nit)


@EACH_METHOD
def test_dependent_columns_take_the_shortest_step(method: str) -> None:
    """Of all x with x0 + x1 = 1.4, the one nearest the start, in one step."""
    J = np.ones((3, 2))
    options = {"tr_method": method, "initial_trust_radius": 100.0}
    result = lsqtr(lambda x: J @ x - 1.4, [0.0, 0.0], lambda x: J, verbose=0, options=options)
    assert result.success
    assert result.nfev == 2
    assert result.rank == 1
    np.testing.assert_allclose(result.x, [0.7, 0.7], rtol=1e-14)
    moved = lsqtr(lambda x: J @ x - 1.4, [1.0, -3.0], lambda x: J, verbose=0, options=options)
    np.testing.assert_allclose(moved.x, [2.7, -1.3], rtol=1e-14)


@pytest.mark.parametrize("x_scale", ["jac", 1.0, (1.0, 2.0, 3.0)], ids=str)
@pytest.mark.parametrize("rank", [1, 2])
@EACH_METHOD
def test_fewer_residuals_than_parameters_take_the_shortest_step(method: str, rank: int, x_scale: Any) -> None:
    """Shortest in the scaled variables, also where the rows depend on each other."""
    W = np.array([[1.0, 2, 3], [4, 5, 7]]) if rank == 2 else np.array([[1.0, 2, 3], [2, 4, 6]])
    x0, b = np.array([0.3, -0.2, 0.5]), W @ [1.0, 2.0, -1.0]
    D = np.linalg.norm(W, axis=0) if x_scale == "jac" else 1 / np.broadcast_to(x_scale, 3)
    options = {"tr_method": method, "initial_trust_radius": 100.0}
    result = lsqtr(lambda x: W @ x - b, x0, lambda x: W, x_scale=x_scale, verbose=0, options=options)
    assert result.success
    assert result.nfev == 2
    assert result.rank == rank
    np.testing.assert_allclose(result.x, x0 + np.linalg.pinv(W / D) @ (b - W @ x0) / D, rtol=1e-10)


@pytest.mark.parametrize("radius", ["scipy", "conngould", "mix", 0.15], ids=str)
@pytest.mark.parametrize("method", ["cho", "qr"])
def test_cholesky_and_qr_take_no_more_evaluations_than_svd(method: str, radius: Any) -> None:
    """A wrong derivative of the secular equation doubles the count here."""
    counts = [
        lsqtr(
            rosenbrock,
            [-1.2, 1],
            rosenbrock_jacobian,
            verbose=0,
            options={"tr_method": name, "initial_trust_radius": radius},
        ).nfev
        for name in (method, "svd")
    ]
    assert counts[0] <= counts[1] + 1


@pytest.mark.parametrize("cond", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("method", ["cho", "qr"])
def test_ill_conditioned_problems_take_no_more_evaluations_than_by_svd(method: str, cond: float) -> None:
    """A curved problem with one minimum, and a radius that cuts most steps."""
    for seed in range(5):
        A, noise, x0 = conditioned(cond, seed)
        b = 0.1 * (noise - A @ np.linalg.lstsq(A, noise, rcond=None)[0])

        def fun(x: Array, A: Array = A, b: Array = b) -> Array:
            return A @ (x + 0.1 * x**3) - b

        def jac(x: Array, A: Array = A) -> Array:
            return A * (1 + 0.3 * x**2)

        svd, other = (
            lsqtr(fun, x0, jac, verbose=0, options={"tr_method": name, "initial_trust_radius": 0.15})
            for name in ("svd", method)
        )
        assert other.status is svd.status
        assert other.nfev <= svd.nfev + 1
        assert abs(other.cost - svd.cost) <= 1e-6 * svd.cost


# ---- x_scale ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["mgh-rosenbrock-x1", "mgh-helical_valley-x1", "bounded-rosenbrock-box", "bounded-hs38"]
)
@EACH_METHOD
def test_x_scale_is_a_change_of_variables(method: str, name: str) -> None:
    """The same walk as in xs = x / x_scale, to the last bit where the scales are powers of two."""
    case = by_name(name)
    s = 2.0 ** np.array([3, -5, 1, -2])[: case.x0.size]
    scaled = run(case, method, x_scale=s)
    other = lsqtr(
        lambda y: case.residual(s * y),
        case.x0 / s,
        lambda y: case.jacobian(s * y) * s,
        bounds=(case.lower / s, case.upper / s),
        x_scale=1,
        verbose=0,
        maxiter=300,
        options={"tr_method": method},
    )
    k = min(len(scaled.allx), len(other.allx)) - 1
    assert k >= 3
    if not case.bounded:
        np.testing.assert_array_equal(scaled.allx[:k], s * np.array(other.allx[:k]))
    np.testing.assert_allclose(scaled.x, s * other.x, rtol=1e-6, atol=1e-6)


# ---- stopping --------------------------------------------------------------------------------------------------------


def check_first_order(case: Case, result: Result, digits: float) -> None:
    """First order by the angle of r to J's columns or the length of the full step, or a known minimum's cost."""
    x = result.x
    J, r = case.jacobian(x), case.residual(x)
    here = first_order(J, r, x, case.lower, case.upper, np.abs(result.allx[0]))
    near = case.nearest_minimum(result.cost)
    terms = float(np.linalg.norm(J, axis=0) @ np.abs(x))
    known = abs(result.cost - near) <= digits**2 * near + 1e-14 * terms**2 + 1e-20
    assert here.gain <= digits * here.norm_r + 1e3 * here.noise or here.step <= digits * here.size or known, (
        f"{case.name}: {result!r} {here}"
    )


CUTS: tuple[dict[str, Any], ...] = (
    {"initial_trust_radius": 1e-12},
    {"initial_trust_radius": 1e-6},
    {"initial_trust_ratio": 1e-10},
    {"max_trust_radius": 1e-2},
    {"max_trust_radius": 1e-4, "max_nfev": 50},
    {"max_trust_radius": 1e-9, "max_nfev": 50},
    {"tr_decrease_ratio": 1e-6},
    {"max_dx": 1e-3},
)


@pytest.mark.parametrize("options", CUTS, ids=str)
@pytest.mark.parametrize("tolerance", [1e-6, 1e-3])
@EACH_METHOD
def test_a_step_that_the_radius_cut_short_is_no_convergence(
    method: str, tolerance: float, options: dict[str, Any]
) -> None:
    for case in PROBLEMS:
        result = run(case, method, options, ftol=tolerance, xtol=tolerance, gtol=tolerance)
        if result.success:
            check_first_order(case, result, 2e-3 if tolerance == 1e-6 else 6e-2)
        last = result.history[-1]
        if result.status in (Status.COST, Status.STEP, Status.COST_AND_STEP) and np.isnan(last["step_norm"]):
            made = result.history[-2]  # the step that brought the end, where no later trial had a part in it
            assert made["accepted"]
            assert made["step_norm"] < made["control"] * (1 - 1e-12), case.name


@pytest.mark.parametrize("loose", ["ftol", "xtol"])
@EACH_METHOD
def test_a_loose_tolerance_waits_for_a_full_step(method: str, loose: str) -> None:
    """From 1e6 down to 3 by steps of 1 or less, each a millionth of x and of the cost."""
    tolerances: dict[str, Any] = {"ftol": None, "xtol": None, "gtol": None, loose: 1e-3}
    options = {"tr_method": method, "max_trust_radius": 1.0, "max_nfev": 50}
    result = lsqtr(
        lambda x: x - 3, [1e6], lambda x: np.ones((1, 1)), verbose=0, options=options, maxiter=100, **tolerances
    )
    assert not result.success
    assert result.status is Status.MAX_EVALUATIONS
    assert np.all(result.history["actual"][:-1] < 1e-5 * result.history["cost"][:-1])


@EACH_METHOD
def test_single_precision_ends_at_the_answer(method: str) -> None:
    """With tolerances at the edge of what single precision holds: a success, or a status that names the precision."""
    t, ends = T.astype(np.float32), set()
    for seed in range(40):
        noise = 0.05 * np.random.default_rng(seed).standard_normal(T.size)
        y = (noise - decay(np.zeros(3))).astype(np.float32)

        def fun(p: Array, y: Array = y) -> Array:
            p = p.astype(np.float32)
            return p[0] * np.exp(-p[1] * t) + p[2] - y

        def jac(p: Array) -> Array:
            return decay_jacobian(p).astype(np.float32)

        for bounds in (None, (None, [3, 1.2, 2])):
            result = lsqtr(fun, [1, 1, 1], jac, bounds, verbose=0, options={"tr_method": method})
            exact = lsqtr(
                lambda p, y=y: decay(p) - decay(np.zeros(3)) - y, [1, 1, 1], decay_jacobian, bounds, verbose=0
            )
            assert result.fun.dtype == np.float64
            np.testing.assert_allclose(result.x, exact.x, rtol=1e-3)
            ends.add(Status.GRADIENT if result.success else result.status)
    assert ends <= {Status.GRADIENT, Status.PRECISION_LIMIT}


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@EACH_METHOD
def test_differences_of_single_precision_claim_no_false_success(method: str, scheme: str) -> None:
    """Steps for double precision are lost in the rounding of single, and columns that are zero look like a minimum."""

    def valley(x: Array) -> Array:
        x = x.astype(np.float32)
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]], dtype=np.float32)

    result = lsqtr(valley, [-1.2, 1.0], scheme, verbose=0, options={"tr_method": method})
    assert result.success
    np.testing.assert_allclose(result.x, [1, 1], rtol=5e-3)


# ---- bounds ----------------------------------------------------------------------------------------------------------

PLACES = ("inside", "lower", "upper", "corner", "outside", "solution")


@dataclass(frozen=True)
class Separable:
    """r_j = s_j (exp(k_j (x_j - a_j)) - 1): one minimum in every box, at a clipped into it."""

    s: Array
    k: Array
    a: Array
    x0: Array
    lower: Array
    upper: Array

    def fun(self, x: Array) -> Array:
        return self.s * np.expm1(self.k * (x - self.a))

    def jac(self, x: Array) -> Array:
        return np.diag(self.s * self.k * np.exp(self.k * (x - self.a)))


@st.composite
def separable(draw: st.DrawFn) -> Separable:
    n = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a = rng.uniform(-2, 2, n)
    lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
    for j in range(n):
        kind = draw(st.sampled_from(["free", "idle", "below", "above", "touching", "fixed"]))
        gap, width = rng.uniform(0.1, 1), rng.uniform(0.5, 3)
        if kind == "idle":
            lower[j], upper[j] = a[j] - gap, a[j] + width
        if kind == "below":
            lower[j], upper[j] = a[j] - gap - width, a[j] - gap
        if kind == "above":
            lower[j], upper[j] = a[j] + gap, a[j] + gap + width
        if kind == "touching":
            lower[j] = a[j]
        if kind == "fixed":
            lower[j] = upper[j] = a[j] + rng.uniform(-1, 1)
    wide_lower, wide_upper = np.maximum(lower, a - 2), np.minimum(upper, a + 2)
    x0 = {
        "inside": wide_lower + rng.uniform(0.1, 0.9, n) * (wide_upper - wide_lower),
        "lower": wide_lower,
        "upper": wide_upper,
        "corner": np.where(rng.uniform(size=n) < 0.5, wide_lower, wide_upper),
        "outside": np.where(rng.uniform(size=n) < 0.5, wide_lower - 1, wide_upper + 1),
        "solution": np.clip(a, lower, upper),
    }[draw(st.sampled_from(PLACES))]
    return Separable(rng.uniform(0.1, 10, n), rng.uniform(0.5, 2, n), a, x0, lower, upper)


@given(problem=separable(), tight=st.booleans())
@settings(max_examples=150)
def test_the_one_minimum_in_a_box_is_found_from_everywhere(problem: Separable, tight: bool) -> None:
    answer = np.clip(problem.a, problem.lower, problem.upper)
    tolerance = None if tight else 1e-6
    for method in TR_METHODS:
        fun = Recorder(problem.fun)
        result = lsqtr(
            fun,
            problem.x0,
            problem.jac,
            bounds=(problem.lower, problem.upper),
            ftol=tolerance,
            xtol=tolerance,
            gtol=tolerance,
            verbose=0,
            options={"tr_method": method},
        )
        points = np.array(fun.points)
        assert np.all((problem.lower <= points) & (points <= problem.upper))
        assert result.success, result
        np.testing.assert_allclose(result.x, answer, rtol=0, atol=1e-6 if tight else 2e-3)
        assert result.cost == pytest.approx(0.5 * np.sum(problem.fun(answer) ** 2), rel=1e-5, abs=1e-6)
        pushed = np.abs(problem.fun(answer)) > 1e-3
        expected = np.where(answer == problem.lower, -1, np.where(answer == problem.upper, 1, 0))
        np.testing.assert_array_equal(result.active_mask[pushed], expected[pushed])


@pytest.mark.parametrize("corner", list(itertools.product((0, 1), repeat=3)), ids=str)
@EACH_METHOD
def test_from_every_corner_to_a_corner(method: str, corner: tuple[int, ...]) -> None:
    """The minimum is a corner of the box, with every wall active; the start is any corner, the answer's own too."""
    A = np.array([[2.0, 0.3, 0.1], [0.1, 1.5, -0.2], [0, 0.2, 3], [0.3, 0.3, 0.3]])
    result = lsqtr(
        lambda x: A @ x - A @ [2.0, -2.0, 3.0],
        corner,
        lambda x: A,
        bounds=(0, 1),
        verbose=0,
        options={"tr_method": method},
    )
    assert result.success
    np.testing.assert_allclose(result.x, [1, 0, 1], rtol=0, atol=1e-6)
    assert result.active_mask.tolist() == [1, -1, 1]


@pytest.mark.parametrize("width", [1e-6, 1e-12, 4 * EPS])
@EACH_METHOD
def test_a_box_that_is_hardly_wider_than_a_point(method: str, width: float) -> None:
    fun = Recorder(rosenbrock)
    lower, upper = np.array([0.5, -2.0]), np.array([0.5 + width, 2.0])
    result = lsqtr(
        fun, [0.5, 1.0], rosenbrock_jacobian, bounds=(lower, upper), verbose=0, options={"tr_method": method}
    )
    points = np.array(fun.points)
    assert np.all((lower <= points) & (points <= upper))
    assert result.success
    np.testing.assert_allclose(result.x, [0.5, 0.25], rtol=1e-5)
