"""What `lsqtr` returns, prints and calls, on the way and at the end.

Fields that every face has are in test_contract.py and test_result.py.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any

import numpy as np
import pytest

from helpers import (
    TR_METHODS,
    T,
    decay,
    decay_jacobian,
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


# ---- the result ------------------------------------------------------------------------------------------------------

CONFIGURATIONS = list(itertools.product(TR_METHODS, (1e-6, None)))


@functools.cache
def finished(name: str, method: str, tolerance: float | None) -> Result:
    return run(by_name(name), method, ftol=tolerance, xtol=tolerance, gtol=tolerance)


@pytest.mark.parametrize("case", PROBLEMS, ids=str)
def test_v_and_optimality_follow_from_the_gradient(case: Case) -> None:
    """v is the distance to the wall that -grad points at, 1 where there is none; optimality is max |grad * v|."""
    for configuration in CONFIGURATIONS:
        result = finished(case.name, *configuration)
        x, g = result.x, result.grad
        v = np.where((g < 0) & np.isfinite(case.upper), case.upper - x, 1.0)
        v = np.where((g > 0) & np.isfinite(case.lower), x - case.lower, v)
        v[case.lower == case.upper] = 0.0
        np.testing.assert_array_equal(result.v, v)
        assert result.optimality == pytest.approx(np.max(np.abs(g * v)), rel=1e-12, abs=0)


@pytest.mark.parametrize("case", PROBLEMS, ids=str)
def test_the_path_is_whole(case: Case) -> None:
    """allx, alltr, history and the counts tell one story."""
    x0 = np.clip(case.x0, case.lower, case.upper)
    for configuration in CONFIGURATIONS:
        result = finished(case.name, *configuration)
        history, costs = result.history, np.array([case.cost(x) for x in result.allx])
        assert result.nit == len(result.allx) - 1 <= result.nfev - 1
        assert result.njev >= result.nit + 1
        # the first point is x0, moved inside by no more than 1e-10 of its wall
        np.testing.assert_allclose(result.allx[0], x0, rtol=2e-10, atol=2e-10)
        free = case.lower < case.upper
        assert np.all(((case.lower < result.allx) & (result.allx < case.upper))[:, free])
        np.testing.assert_array_equal(result.allx[-1], result.x)
        np.testing.assert_allclose(history["cost"], costs[history["iteration"]], rtol=1e-12, atol=1e-300)
        assert result.alltr == history["control"].tolist()
        assert result.trust_radius >= 0
        if np.isnan(history["step_norm"][-1]):  # no trial was judged after the last record
            assert result.trust_radius == result.alltr[-1]
        tried = np.isfinite(history["actual"])  # what was not evaluated, or not finite, has no fall
        assert np.count_nonzero(tried) <= result.nfev - 1
        # each record's step leads from its point to the next: its length in x is that of the difference
        for record, later in itertools.pairwise(history):
            if record["accepted"]:
                assert later["iteration"] == record["iteration"] + 1
                assert record["actual"] == pytest.approx(record["cost"] - later["cost"], rel=1e-6, abs=1e-12 * costs[0])


@pytest.mark.parametrize("case", by_tag("bounded"), ids=str)
def test_active_mask_does_not_depend_on_xtol(case: Case) -> None:
    for method in TR_METHODS:
        masks = [run(case, method, xtol=xtol).active_mask.tolist() for xtol in (None, 0, 1e-12, 1e-6, 1e-4)]
        assert all(mask == masks[0] for mask in masks)


def test_no_wall_is_active_however_large_xtol_is() -> None:
    """The answer 0.5 lies well inside [0, 1]."""
    for xtol in (1e-6, 0.5, 0.9):
        result = lsqtr(lambda x: x - 0.5, [0.4], lambda x: np.eye(1), bounds=(0, 1), xtol=xtol, verbose=0)
        assert result.active_mask.tolist() == [0]


# ---- what is printed and called --------------------------------------------------------------------------------------


def wavy(p: Array) -> Array:
    """Return the residuals of a exp(-b t) + c against data that it cannot fit exactly."""
    return decay(p) - 0.05 * np.sin(40 * T)


PRINTED = {
    "rejections": (rosenbrock, [-1.2, 1.0], rosenbrock_jacobian, {}),
    "box": (rosenbrock, [0.0, 0.0], rosenbrock_jacobian, {"bounds": ([0, 0], [0.8, 2])}),
    "to the last digit": (wavy, [1.0, 1.0, 1.0], decay_jacobian, {"ftol": None, "xtol": None, "gtol": None}),
    "out of iterations": (rosenbrock, [-1.2, 1.0], rosenbrock_jacobian, {"maxiter": 4}),
    "no iteration": (rosenbrock, [-1.2, 1.0], rosenbrock_jacobian, {"maxiter": 0}),
    "out of evaluations": (rosenbrock, [-1.2, 1.0], rosenbrock_jacobian, {"options": {"max_nfev": 4}}),
    "differences": (rosenbrock, [-1.2, 1.0], "2-point", {}),
}
EACH_PRINTED = pytest.mark.parametrize("label", PRINTED, ids=str)


@EACH_PRINTED
def test_the_table_has_a_row_for_each_iteration(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    fun, x0, jac, keywords = PRINTED[label]
    result = lsqtr(fun, x0, jac, verbose=2, **keywords)
    lines = capsys.readouterr().out.splitlines()
    head, rows, end = lines[0], lines[1:-6], lines[-6:]
    assert re.split(r"\s{2,}", head.strip()) == [
        "Iteration",
        "Total nfev",
        "Cost",
        "Cost reduction",
        "Step norm",
        "Optimality",
    ]
    assert {len(row) for row in (head, *rows)} == {90}
    cells = [[row[i : i + 15] for i in range(0, 90, 15)] for row in rows]
    for row in cells:
        assert all(cell == cell.strip().center(15) or cell == f"{cell.strip():^15}" for cell in row)
    assert [int(row[0]) for row in cells] == list(range(result.nit + 1))
    assert not cells[0][3].strip()
    assert not cells[0][4].strip()
    costs = [0.5 * float(np.sum(fun(x) ** 2)) for x in result.allx]
    assert [row[2].strip() for row in cells] == [f"{cost:.3e}" for cost in costs]
    # the last digits may cost a rise of the cost by its rounding
    assert all(re.fullmatch(r"-?\d\.\d{3}e[+-]\d\d", row[k].strip()) for row in cells[1:] for k in (2, 3, 4, 5))
    counts = [int(row[1]) for row in cells]
    assert counts[0] == 1
    assert counts == sorted(counts)
    assert counts[-1] <= result.nfev
    assert cells[-1][5].strip() == f"{result.optimality:.3e}"
    assert end == [
        ("" if result.success else "Warning: ") + result.message,
        f"         Current function value: {result.cost:.3e}",
        f"         Total delta_x: {np.linalg.norm(result.x - np.array(x0)):.3e}",
        f"         Iterations: {result.nit}",
        f"         Function evaluations: {result.nfev}",
        f"         Jacobian evaluations: {result.njev}",
    ]


@pytest.mark.parametrize("label", [label for label in PRINTED if label != "no iteration"], ids=str)
@EACH_METHOD
def test_the_callback_is_called_after_each_iteration(method: str, label: str) -> None:
    """With the new point, once, in order, whatever took the solve there."""
    fun, x0, jac, keywords = PRINTED[label]
    seen: list[Array] = []
    options = {"tr_method": method} | keywords.get("options", {})
    result = lsqtr(fun, x0, jac, verbose=0, callback=seen.append, **keywords | {"options": options})
    assert len(seen) == result.nit > 0
    np.testing.assert_array_equal(seen, result.allx[1:])


@EACH_METHOD
def test_the_callback_is_called_after_each_iteration_of_every_problem(method: str) -> None:
    missed = []
    for case in PROBLEMS:
        seen: list[Array] = []
        result = run(case, method, ftol=None, xtol=None, gtol=None, callback=seen.append)
        if len(seen) != result.nit:
            missed.append(f"{case.name}: {len(seen)} of {result.nit}")
    assert missed == []


@pytest.mark.parametrize("stop_at", [1, 2, 5])
@EACH_METHOD
def test_a_stop_by_the_callback_keeps_the_result(method: str, stop_at: int) -> None:
    """In the middle, with extra arguments, by a true value or by StopIteration alike."""
    calls: list[tuple[Any, ...]] = []

    def answer(x: Array, *args: Any) -> bool:
        calls.append(args)
        return len(calls) == stop_at

    def raising(x: Array, *args: Any) -> None:
        if answer(x, *args):
            raise StopIteration

    def fun(x: Array, scale: float, shift: float) -> Array:
        return scale * rosenbrock(x - shift)

    def jac(x: Array, scale: float, shift: float) -> Array:
        return scale * rosenbrock_jacobian(x - shift)

    results = []
    for callback in (answer, raising):
        calls.clear()
        results.append(
            lsqtr(fun, [-0.2, 2.0], jac, args=(2.0, 1.0), verbose=0, callback=callback, options={"tr_method": method})
        )
        assert calls == [(2.0, 1.0)] * stop_at
    for result in results:
        assert result.status is Status.STOPPED
        assert not result.success
        assert result.nit == stop_at == len(result.allx) - 1
        np.testing.assert_array_equal(result.fun, fun(result.x, 2.0, 1.0))
        np.testing.assert_array_equal(result.jac, jac(result.x, 2.0, 1.0))
    np.testing.assert_array_equal(results[0].allx, results[1].allx)
