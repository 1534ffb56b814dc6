"""The compiled variants: which is chosen and why, and that all of them give the same answers to rounding.

That the choice is right on processors other than this one is shown by `nox -s isa`, under an emulator.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import marquardt
from marquardt import _isa

INFO = marquardt.build_info()
RUNNABLE = [variant for variant in INFO["variants"] if set(_isa.NEEDS[variant]) <= set(INFO["features"])]
EVERYTHING = sorted({need for needs in _isa.NEEDS.values() for need in needs})
WIDE = ["avx2", "baseline"]


def run(code: str, isa: str | None) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, with MARQUARDT_ISA set or not."""
    environment = {name: value for name, value in os.environ.items() if name != "MARQUARDT_ISA"}
    if isa is not None:
        environment["MARQUARDT_ISA"] = isa
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment)


def report(isa: str | None) -> dict[str, Any]:
    done = run("import json, marquardt; print(json.dumps(marquardt.build_info()))", isa)
    assert done.returncode == 0, done.stderr
    info: dict[str, Any] = json.loads(done.stdout)
    return info


# -------------------------------------------------------------------------------------------------- the choice


def without(*names: str) -> list[str]:
    return [name for name in EVERYTHING if name not in names]


@pytest.mark.parametrize(
    ("asked", "built", "features", "variant", "why"),
    [
        ("", WIDE, EVERYTHING, "avx2", "the best of this build"),
        ("", ["avx512", *WIDE], EVERYTHING, "avx512", "the best of this build"),
        ("", ["avx512", *WIDE], without("avx512vl"), "avx2", "not support avx512vl, which avx512 needs"),
        ("", ["avx512", *WIDE], [], "baseline", "which avx512 needs"),
        ("", WIDE, [], "baseline", "sse4.2, popcnt, xsave, avx, avx2 and fma, which avx2 needs"),
        ("", WIDE, without("fma"), "baseline", "not support fma, which avx2 needs"),
        ("", WIDE, without("avx2"), "baseline", "not support avx2, which avx2 needs"),
        ("", ["baseline"], EVERYTHING, "baseline", "the only variant"),
        ("", ["baseline"], [], "baseline", "the only variant"),
        ("baseline", WIDE, EVERYTHING, "baseline", "MARQUARDT_ISA"),
        ("baseline", WIDE, [], "baseline", "MARQUARDT_ISA"),
        ("baseline", ["baseline"], [], "baseline", "MARQUARDT_ISA"),
        ("avx2", WIDE, EVERYTHING, "avx2", "MARQUARDT_ISA"),
        ("avx2", ["avx512", *WIDE], EVERYTHING, "avx2", "MARQUARDT_ISA"),
    ],
)
def test_the_best_that_runs_is_chosen_unless_one_is_asked_for(
    asked: str, built: list[str], features: list[str], variant: str, why: str
) -> None:
    chosen, reason = _isa.choose(asked, built, features)
    assert chosen == variant
    assert why in reason


@pytest.mark.parametrize("missing", _isa.NEEDS["avx2"])
def test_a_processor_that_lacks_any_one_part_gets_the_baseline(missing: str) -> None:
    assert _isa.choose("", WIDE, without(missing))[0] == "baseline"
    with pytest.raises(ImportError, match=f"MARQUARDT_ISA is 'avx2', but .* does not support {missing}"):
        _isa.choose("avx2", WIDE, without(missing))


@pytest.mark.parametrize(
    ("asked", "built", "message"),
    [
        ("sse9", WIDE, "MARQUARDT_ISA is 'sse9'; this build of marquardt knows avx2 and baseline"),
        ("AVX2", WIDE, "MARQUARDT_ISA is 'AVX2'; this build of marquardt knows avx2 and baseline"),
        ("avx2 ", WIDE, "MARQUARDT_ISA is 'avx2 '"),
        ("avx512", WIDE, "MARQUARDT_ISA is 'avx512', but this build of marquardt has only avx2 and baseline"),
        ("avx2", ["baseline"], "MARQUARDT_ISA is 'avx2', but this build of marquardt has only baseline"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_reason(asked: str, built: list[str], message: str) -> None:
    with pytest.raises(ImportError) as caught:
        _isa.choose(asked, built, EVERYTHING)
    assert str(caught.value).startswith(message)


def test_an_unknown_name_in_the_environment_stops_the_import() -> None:
    done = run("import marquardt", "sse9")
    assert done.returncode != 0
    assert "ImportError: MARQUARDT_ISA is 'sse9'; this build of marquardt knows " in done.stderr


def test_an_empty_name_in_the_environment_is_none() -> None:
    assert report("") == report(None)


def test_the_environment_is_obeyed() -> None:
    if os.environ.get("MARQUARDT_ISA"):
        assert INFO["variant"] == os.environ["MARQUARDT_ISA"]
    else:
        assert INFO["variant"] == RUNNABLE[0]
    for variant in RUNNABLE:
        assert (report(variant)["variant"], report(variant)["why"]) == (variant, "MARQUARDT_ISA asks for it")
    for variant in set(_isa.NEEDS) - set(RUNNABLE):
        assert run("import marquardt", variant).returncode != 0


def test_all_that_the_compiler_could_use_is_asked_for() -> None:
    everywhere = set(report("baseline")["compiled_for"])  # what every processor of this system has
    for variant in RUNNABLE:
        assert set(report(variant)["compiled_for"]) - everywhere <= set(_isa.NEEDS[variant])


def test_build_info_says_all_it_promises() -> None:
    text = _isa.build_info.__doc__ or ""
    assert all(f"``{name}``" in text for name in INFO)
    assert INFO["variants"][-1] == "baseline"
    assert INFO["variant"] in INFO["variants"]
    assert INFO["why"]
    assert INFO["compiler"]
    assert INFO["eigen"].count(".") == 2
    assert INFO["threads"] >= 1
    assert INFO["version"] in ("", marquardt.__version__)
    assert json.loads(json.dumps(INFO)) == INFO


def test_nothing_but_isa_loads_a_compiled_module() -> None:
    # A second variant in one process would clash with the first, or be run by a processor that cannot.
    package = Path(_isa.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.name == "_isa.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                assert not any(part == "_cpu" or part.startswith("_core") for part in name.split(".")), path.name


# ------------------------------------------------------------------------------------------------ the answers

# Every part of the core once, on problems whose answer does not depend on the last digit: full rank or clearly not,
# bounds clearly active or not. Sizes pass the widths of vectors and the edges of blocks.
# Prints {name: [relative agreement to expect, numbers]}.
SOLVES = """
import json
import numpy as np
import marquardt as mq
rng = np.random.default_rng(20240607)
answers = {}
def keep(name, *values, within=1e-12):
    answers[name] = [within, np.concatenate([np.ravel(value) for value in values]).astype(float).tolist()]

for m, n in [(3, 1), (7, 3), (40, 8), (131, 17), (700, 64), (333, 101)]:
    A, b = rng.standard_normal((m, n)), rng.standard_normal(m)
    keep(f"lstsq {m}x{n}", mq.lstsq(A, b).x)
    keep(f"lstsq by columns {m}x{n}", mq.lstsq(np.asfortranarray(A), b).x)
    keep(f"nnls {m}x{n}", mq.nnls(A, b).x)
    keep(f"lsq_linear {m}x{n}", mq.lsq_linear(A, b, (-0.05, 0.1)).x)
    keep(f"huber {m}x{n}", mq.huber(A, b).x)
    H = A.T @ A + np.eye(n)
    keep(f"box_qp {m}x{n}", mq.box_qp(H, -A.T @ b, np.full(n, -0.05), np.full(n, 0.1)).x)
    rows = mq.RowAccumulator(n)
    for part in np.array_split(np.arange(m), 5):
        rows.add(A[part], b[part])
    keep(f"rows {m}x{n}", rows.solve().x)
A = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 9))
keep("lstsq of rank 4", mq.lstsq(A, rng.standard_normal(60)).x)
keep("lad", mq.lad(rng.standard_normal((41, 3)), rng.standard_normal(41)).x)
t = np.linspace(0, 4, 53)
y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.05 * rng.standard_normal(t.size)
keep("polyfit", mq.polyfit(t, y, 5).x)

fun = lambda x: x[0] * np.exp(-x[1] * t) + x[2] - y
jac = lambda x: np.column_stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t), np.ones(t.size)])
for tr_method in ("svd", "qr", "cho"):
    options = {"tr_method": tr_method}
    for bounds in (None, ([0, 0, 0], [9, 9, 0.4])):
        fit = mq.lsqtr(fun, [1.0, 1.0, 0.1], jac, bounds=bounds, ftol=None, xtol=None, gtol=1e-12, options=options,
                       verbose=0)
        keep(f"lsqtr {tr_method} {bounds}", fit.x, fit.success, within=1e-9)
for bounds in (None, ([0, 0, 0], [9, 9, 0.4])):
    keep(f"lm_solve {bounds}", mq.lm_solve(fun, [1.0, 1.0, 0.1], jac=jac, bounds=bounds).x, within=1e-9)
for loss in ("linear", "huber", "soft_l1", "cauchy", "arctan"):
    fit = mq.least_squares(fun, [1.0, 1.0, 0.1], jac, loss=loss, f_scale=0.1, ftol=None, xtol=None, gtol=1e-12)
    keep(f"least_squares {loss}", fit.x, fit.success, within=1e-9)
keep("least_squares without a Jacobian", mq.least_squares(fun, [1.0, 1.0, 0.1]).x, within=1e-9)
popt, pcov = mq.curve_fit(lambda t, a, k, c: a * np.exp(-k * t) + c, t, y, [1.0, 1.0, 0.1])
keep("curve_fit", popt, within=1e-9)
keep("curve_fit, covariance", pcov, within=1e-9)
n = 45
chain = lambda x: np.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x])
keep("a long chain", mq.least_squares(chain, np.full(n, 0.5)).x, within=1e-9)
print(json.dumps(answers))
"""


def answers(variant: str) -> dict[str, tuple[float, list[float]]]:
    done = run(SOLVES, variant)
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[float, list[float]]] = json.loads(done.stdout)
    return found


def test_the_variants_agree_to_rounding() -> None:
    # Linear problems here have conditions of at most 1e2 and answer alike to 1e-14. A nonlinear fit stops somewhere in
    # the region where its gradient is lost in rounding: 1e-12 across, for a covariance by differences 1e-10.
    expected = answers("baseline")
    assert len(expected) > 50
    for variant in RUNNABLE:
        found = answers(variant)
        assert found.keys() == expected.keys()
        for name, (within, numbers) in expected.items():
            assert np.all(np.isfinite(numbers))
            tolerance = within * max(map(abs, numbers))
            np.testing.assert_allclose(found[name][1], numbers, rtol=0, atol=tolerance, err_msg=f"{variant}: {name}")


def test_a_variant_gives_the_same_bits_each_time() -> None:
    for variant in RUNNABLE:
        assert answers(variant) == answers(variant)
