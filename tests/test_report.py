"""What a result looks like: as text, in a notebook, drawn."""

from __future__ import annotations

import re
import sys
import types
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from helpers import FACES, T, decay_to, rosenbrock, rosenbrock_jacobian, solve
from marquardt import Result, _report, _result, lm_solve

Array = np.ndarray
Y = 2.5 * np.exp(-1.3 * T) + 0.5 + 0.05 * np.sin(40 * T)


def fit(face: str = "lm", **settings: Any) -> Result:
    fun, jac = decay_to(T, Y)
    return solve(face, fun, [1.0, 1.0, 1.0], jac, **settings)


def with_model(result: Result, names: tuple[str, ...] = ("height", "rate", "floor"), **settings: Any) -> Result:
    data = {"xdata": T, "ydata": Y} | settings
    hooks = _result.Hooks(names, result._hooks.refit, curve, **data, request=result._hooks.request)
    _result.attach(result, lambda: hooks)
    return result


def curve(x: Array, p: Array) -> Array:
    return p[0] * np.exp(-p[1] * np.asarray(x)) + p[2]


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of the table of parameters, which are at least two blanks apart."""
    table = text.split("\n\n")[1].splitlines()
    return {line.split()[0]: re.split(r"\s{2,}", line.strip()) for line in table}


@pytest.mark.parametrize("face", FACES)
def test_text(face: str) -> None:
    result = with_model(fit(face))
    text = str(result)
    assert text.splitlines()[0] == f"Success ({result.status.name}): {result.message}"
    table = rows(text)
    assert table["name"] == ["name", "value", "stderr", "relative", "95% interval"]
    for name, x, error, (low, high) in zip(
        result.names, result.x, result.stderr, result.confidence_intervals(), strict=True
    ):
        _, value, shown, relative, interval = table[name]
        assert float(value) == pytest.approx(x, rel=1e-6)
        assert float(shown) == pytest.approx(error, rel=5e-3)
        assert float(relative.rstrip("%")) == pytest.approx(100 * error / abs(x), abs=6e-3)
        assert interval == f"[{low:.7g}, {high:.7g}]"
    assert f"s = {np.sqrt(result.variance):.6g} (residual standard deviation)" in text
    assert "50 residuals, dof = 47" in text
    assert f"reduced chi-square = {result.reduced_chi_square:.6g}" in text
    assert f"{result.nfev} evaluations, {result.njev} Jacobians, {result.nit} steps" in text
    assert "correlations" not in text
    assert all(len(line) < 200 for line in text.splitlines())


def test_columns_stand_below_each_other() -> None:
    lines = str(with_model(fit())).split("\n\n")[1].splitlines()
    assert len({line.index("[") for line in lines[1:]}) == 1
    ends = [re.match(r"\S+\s+\S+", line) for line in lines]
    assert len({end.end() for end in ends if end}) == 1


def test_a_failure_comes_first() -> None:
    text = str(fit(max_nfev=2))
    assert text.startswith("NO SUCCESS (")


def test_bounds_and_fixed_parameters() -> None:
    text = str(fit(bounds=([0, 1.2, 0.6], [2.2, 1.2, 9])))
    table = rows(text)
    assert table["p0"][-1] == "at upper bound"
    assert table["p1"] == ["p1", "1.2", "fixed"]
    assert table["p2"] == ["p2", "0.6", "at lower bound"]
    assert "note: p0 and p2 are at bounds and count as known" in text


def test_strong_correlations() -> None:
    x = np.linspace(100, 101, 20)
    y = 3 + 2 * x + 0.01 * np.sin(17 * x)
    result = lm_solve(lambda p: p[0] + p[1] * x - y, [1.0, 1.0])
    assert result.correlation[0, 1] < -0.999
    assert f"strong correlations: p0, p1: {result.correlation[0, 1]:+.4f}" in str(result)


def test_only_the_strongest_correlations() -> None:
    x = np.linspace(100, 101, 30)
    J = np.stack([np.cos(0.01 * k * x) for k in range(6)], axis=1)
    result = lm_solve(lambda p: J @ p - np.sin(50 * x), np.ones(6), jac=lambda p: J)
    (line,) = [line for line in str(result).splitlines() if line.startswith("strong correlations")]
    assert line.count(":") == 11
    assert line.endswith(", 5 more")


def test_what_is_undetermined() -> None:
    result = lm_solve(lambda p: p[0] * p[1] * T - 2 * T - 0.1 * np.sin(T), [1.0, 1.5])
    text = str(result)
    assert "not determined: only the product p0*p1 is determined" in text
    assert rows(text)["p0"][2:] == ["inf", "[-inf, inf]"]


def test_no_degrees_of_freedom() -> None:
    text = str(lm_solve(lambda p: p - [1.0, 2.0], [0.0, 0.0]))
    assert "2 residuals, dof = 0" in text
    assert "s = " not in text
    assert "note: no standard errors: 2 residuals leave no degrees of freedom" in text


@pytest.mark.parametrize("face", FACES)
def test_a_solve_that_never_started(face: str) -> None:
    text = str(solve(face, lambda p: p * np.nan, [1.0, 2.0], lambda p: np.eye(2)))
    assert text.startswith("NO SUCCESS (NOT_FINITE_START)")
    assert rows(text)["p0"] == ["p0", "1", "unknown"]


def test_notes_are_shown() -> None:
    result = lm_solve(lambda p: np.array([p[0] - 1, p[0] - 2]), [9.0], bounds=(0, 5))
    assert result.notes
    assert all(f"note: {note}" in str(result) for note in result.notes)


def test_many_parameters_take_a_screen() -> None:
    result = lm_solve(lambda p: np.concatenate([p - 1, p - 1.1]), np.zeros(100))
    table = rows(str(result))
    assert len(str(result).splitlines()) < 60
    assert {"p0", "p19", "p80", "p99"} <= set(table)
    assert table["..."] == ["... 60 more"]
    assert "p50" not in table


def test_values_have_the_digits_that_their_errors_ask_for() -> None:
    x = np.linspace(0, 1, 50)
    result = lm_solve(lambda p: p[0] + p[1] * x - 1e6 - x - 1e-5 * np.sin(900 * x), [0.0, 0.0], ftol=None, xtol=None)
    value = rows(str(result))["p0"][1]
    assert 1e-7 < result.stderr[0] < 1e-5
    assert abs(float(value) - result.x[0]) < 0.02 * result.stderr[0]


def test_times() -> None:
    result = fit()
    result.__dict__["_seconds"] = (2.0, 1.5, 0.25)
    assert str(result).endswith("in 2 s (function 1.5 s, jacobian 250 ms, solver 250 ms)")
    result.__dict__["_seconds"] = (2e-3, 1.5e-4, 2.5e-5)
    assert str(result).endswith("in 2 ms (function 150 us, jacobian 25 us, solver 1.82 ms)")


def test_evaluations_for_differences() -> None:
    result = lm_solve(rosenbrock, [-1.2, 1.0])
    assert f"{result.nfev} evaluations + {result.nfev_differences} for differences" in str(result)


def test_what_is_no_whole_result_is_a_plain_table() -> None:
    partial = Result(x=np.ones(2), cost=1.0)
    assert str(partial).splitlines() == ["   x: [1. 1.]", "cost: 1.0"]
    assert partial._repr_html_().startswith("<pre>")


def test_repr_is_one_line_still() -> None:
    assert "\n" not in repr(fit())


# ---- notebooks -------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects the cells."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_html_says_what_the_text_says() -> None:
    result = with_model(fit(bounds=([0, 0, 0], [9, 9, 0.45])))
    reader = Reader()
    reader.feed(result._repr_html_())
    assert reader.open == []
    assert [cell for cell in reader.cells if cell] == [cell for row in rows(str(result)).values() for cell in row]
    for line in str(result).split("\n\n")[2].splitlines():
        assert line in reader.text


def test_html_is_escaped() -> None:
    names = ("<b>a</b>", "b&c", '"<script>"')
    html = with_model(fit(), names)._repr_html_()
    assert "<b>a</b>" not in html
    assert "<script>" not in html
    reader = Reader()
    reader.feed(html)
    assert set(names) <= set(reader.cells)


# ---- drawing ---------------------------------------------------------------------------------------------------------


class Axes:
    """Stands for matplotlib's, and keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **settings: self.calls.append((name, args, settings))

    def of(self, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        ((_, args, settings),) = [call for call in self.calls if call[0] == name]
        return args, settings


def test_plot_draws_data_curve_band_and_residuals() -> None:
    result = with_model(fit(), sigma=0.05)
    above, below = axes = Axes(), Axes()
    assert result.plot(axes, points=33) is axes
    (x, y), settings = above.of("errorbar")
    np.testing.assert_array_equal(x, T)
    np.testing.assert_array_equal(y, Y)
    np.testing.assert_array_equal(settings["yerr"], 0.05)
    (grid, values, _), _ = above.of("plot")
    np.testing.assert_array_equal(grid, np.linspace(0, 4, 33))
    np.testing.assert_array_equal(values, result.predict(grid))
    (grid, low, high), _ = above.of("fill_between")
    np.testing.assert_array_equal([low, high], result.predict(grid, band="confidence")[1:])
    (x, r), _ = below.of("errorbar")
    np.testing.assert_array_equal(r, Y - result.predict())


def test_plot_of_several_predictors_goes_by_index() -> None:
    result = fit()
    hooks = _result.Hooks(model=lambda x, p: curve(x[0], p), xdata=np.stack([T, T]), ydata=Y)
    _result.attach(result, lambda: hooks)
    above, _ = axes = Axes(), Axes()
    result.plot(axes)
    np.testing.assert_array_equal(above.of("plot")[0][0], np.arange(T.size))


def test_plot_without_degrees_of_freedom_has_no_band() -> None:
    result = lm_solve(lambda p: p[0] + p[1] * np.array([0.0, 1.0]) - [1.0, 2.0], [0.0, 0.0])
    hooks = _result.Hooks(model=lambda x, p: p[0] + p[1] * x, xdata=np.array([0.0, 1]), ydata=np.array([1.0, 2]))
    _result.attach(result, lambda: hooks)
    above, _ = axes = Axes(), Axes()
    result.plot(axes)
    assert "fill_between" not in [name for name, _, _ in above.calls]


def test_plot_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install marquardt\[plot\]"):
        with_model(fit()).plot()
    with pytest.raises(ValueError, match="curve_fit"):
        solve("lm", rosenbrock, [-1.2, 1], rosenbrock_jacobian).plot()


def test_plot_makes_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = Axes(), Axes()
    pyplot = types.ModuleType("matplotlib.pyplot")
    figure = types.SimpleNamespace(subplots=lambda *args, **settings: axes)
    pyplot.figure = lambda: figure  # type: ignore[attr-defined]
    package = types.ModuleType("matplotlib")
    package.pyplot = pyplot  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    assert with_model(fit()).plot() is axes


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.0, 0.1, "0"),
        (1.23456789, 0.1, "1.234568"),
        (1.23456789, 1e-8, "1.2345678900"),
        (1e6 + 0.125, 1e-3, "1000000.12500"),
        (np.inf, 1.0, "inf"),
        (-2.5e-300, np.inf, "-2.5e-300"),
        (1.5, np.nan, "1.5"),
    ],
)
def test_numbers(value: float, error: float, shown: str) -> None:
    assert float(_report._number(value, error)) == pytest.approx(float(shown), rel=1e-15)
    assert len(_report._number(value, error)) <= max(len(shown), 3)
