"""How results and iterations look as text. Fields are computed once and laid out here; nothing else prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_NAMES = ("Iteration", "Total nfev", "Cost", "Cost reduction", "Step norm", "Optimality")
_LONGEST_X = 80  # of `one_line`: six numbers fit
LEVEL = 0.95  # of the intervals in a report
_STRONG = 0.9  # correlations from here on are worth a line: a standard error is twice what it is without the other
_MOST_ROWS = 40  # parameters in a report: a screen
_MOST_PAIRS = 10  # correlations in a report
_LOG_WIDTHS = (10, 12, 15, 15, 12, 12)  # room for the headings and for a hundred thousand iterations


def one_line(result: Mapping[str, Any]) -> str:
    """`Result(GRADIENT, cost=1.2e-13, x=[1. 1.], nfev=20)`."""
    x = brief_numbers(result.get("x"))
    if len(x) > _LONGEST_X:
        x = x[: _LONGEST_X - 3] + "..."
    status = result.get("status")
    name = getattr(status, "name", status)
    return f"Result({name}, cost={result.get('cost'):.6g}, x={x}, nfev={result.get('nfev')})"


def brief_numbers(x: Any) -> str:
    """An array, or whatever x is, on one line to six digits, its middle left out where it is long."""
    with np.printoptions(precision=6, threshold=6):
        return " ".join(str(x).split())


def table(result: Mapping[str, Any]) -> str:
    """One field a line; arrays on one line, shortened."""
    width = max(map(len, result.keys()))  # a result may iterate over something else
    lines = []
    with np.printoptions(precision=8, threshold=12, edgeitems=3):
        for name, value in result.items():
            if isinstance(value, np.ndarray) and (value.ndim > 1 or value.dtype.names):
                text = f"array of shape {value.shape}"
            elif isinstance(value, list) and len(value) > 3:
                text = f"list of {len(value)}"
            elif hasattr(value, "name") and hasattr(value, "value"):
                text = f"{value.name} ({value.value})"
            else:
                text = str(value).replace("\n", " ")
            lines.append(f"{name:>{width}}: {text}")
    return "\n".join(lines)


class Summary(NamedTuple):
    """What a report is made of."""

    result: Mapping[str, Any]
    names: Sequence[str]
    x: NDArray[np.float64]
    stderr: NDArray[np.float64]
    intervals: NDArray[np.float64]
    free: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    correlation: NDArray[np.float64]
    dof: int
    variance: float
    open: Sequence[str]
    cautions: Sequence[str]
    timing: Mapping[str, float]


_HEADINGS = ("name", "value", "stderr", "relative", f"{LEVEL:.0%} interval", "")


def text(summary: Summary) -> str:
    """How the solve ended, the parameters, how good the fit is, what is left open, what it took."""
    rows = [_HEADINGS, *_rows(summary)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEADINGS))]
    lines = [[_cell(cell, widths[k], k) for k, cell in enumerate(row)] for row in rows]
    table = ["  ".join(line).rstrip() for line in lines]
    return "\n".join([_ending(summary.result), "", *table, "", *_remarks(summary)])


def html(summary: Summary) -> str:
    """The same for a notebook."""
    rows = "".join(_html_row("td", row) for row in _rows(summary))
    head = _html_row("th", _HEADINGS)
    remarks = "".join(f"<div>{escaped(line)}</div>" for line in _remarks(summary))
    ending = escaped(_ending(summary.result))
    return f"<div><p><b>{ending}</b></p><table><thead>{head}</thead><tbody>{rows}</tbody></table>{remarks}</div>"


def _html_row(tag: str, row: Sequence[str]) -> str:
    cells = (f'<{tag} style="text-align:{_side(k)}">{escaped(cell)}</{tag}>' for k, cell in enumerate(row))
    return f"<tr>{''.join(cells)}</tr>"


def escaped(words: str) -> str:
    """Text as HTML."""
    import html as standard  # only where a notebook asks

    return standard.escape(words)


def _cell(cell: str, width: int, column: int) -> str:
    return f"{cell:<{width}}" if _side(column) == "left" else f"{cell:>{width}}"


def _side(column: int) -> str:
    return "right" if column in (1, 2, 3) else "left"  # numbers stand below each other


def _ending(result: Mapping[str, Any]) -> str:
    status = result["status"]
    name = getattr(status, "name", status)
    return f"{'Success' if result['success'] else 'NO SUCCESS'} ({name}): {result['message']}"


def _rows(summary: Summary) -> list[tuple[str, ...]]:
    n = len(summary.names)
    shown = range(n) if n <= _MOST_ROWS else [*range(_MOST_ROWS // 2), *range(n - _MOST_ROWS // 2, n)]
    rows = [_row(summary, j) for j in shown]
    if n > _MOST_ROWS:
        rows.insert(_MOST_ROWS // 2, (f"... {n - _MOST_ROWS} more", "", "", "", "", ""))
    return rows


def _row(summary: Summary, j: int) -> tuple[str, ...]:
    x, error = float(summary.x[j]), float(summary.stderr[j])
    if summary.fixed[j]:
        return summary.names[j], _number(x), "", "", "", "fixed"
    if not summary.free[j]:
        side = "lower" if np.ravel(summary.result["active_mask"])[j] < 0 else "upper"
        return summary.names[j], _number(x), "", "", "", f"at {side} bound"
    relative = f"{error / abs(x):.2%}" if x != 0 and math.isfinite(error) and error < 100 * abs(x) else ""
    low, high = summary.intervals[j]
    interval = "" if math.isnan(error) else f"[{_number(low)}, {_number(high)}]"
    uncertain = "unknown" if math.isnan(error) else f"{error:.3g}"
    return summary.names[j], _number(x, error), uncertain, relative, interval, ""


def _number(value: float, error: float = math.nan) -> str:
    """To seven digits, or to the third digit of the error where that needs more."""
    digits = 7
    if value != 0 and math.isfinite(value) and 0 < error < math.inf:
        digits = min(max(digits, math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 3), 16)
    return f"{value:.{digits}g}"


def _remarks(summary: Summary) -> list[str]:
    result, lines = summary.result, []
    cost = f"cost = {result['cost']:.6g}, {np.size(result['residuals'])} residuals, dof = {summary.dof}"
    if summary.dof > 0 and math.isfinite(summary.variance):
        cost = f"s = {math.sqrt(summary.variance):.6g} (residual standard deviation), {cost}"
        cost += f", reduced chi-square = {2 * result['cost'] / summary.dof:.6g}"
    lines.append(cost)
    strong = _strong_pairs(summary)
    if strong:
        lines.append("strong correlations: " + ", ".join(strong))
    lines += [f"not determined: {sentence}" for sentence in summary.open]
    lines += [f"note: {sentence}" for sentence in [*summary.cautions, *result.get("notes", ())]]
    lines.append(_effort(result, summary.timing))
    return lines


def _strong_pairs(summary: Summary) -> list[str]:
    rows, columns = np.nonzero(np.triu(np.abs(np.nan_to_num(summary.correlation)) > _STRONG, 1))
    sizes = summary.correlation[rows, columns]
    order = np.argsort(-np.abs(sizes), kind="stable")
    pairs = [f"{summary.names[rows[k]]}, {summary.names[columns[k]]}: {sizes[k]:+.4f}" for k in order[:_MOST_PAIRS]]
    return pairs + ([f"{len(order) - _MOST_PAIRS} more"] if len(order) > _MOST_PAIRS else [])


def _effort(result: Mapping[str, Any], timing: Mapping[str, float]) -> str:
    differences = f" + {result['nfev_differences']} for differences" if result.get("nfev_differences") else ""
    line = f"{result['nfev']} evaluations{differences}, {result['njev']} Jacobians, {result['nit']} steps"
    if timing:
        parts = ", ".join(f"{name} {_duration(timing[name])}" for name in ("function", "jacobian", "solver"))
        line += f" in {_duration(timing['total'])} ({parts})"
    return line


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{max(seconds, 0.0) / 1e-6:.3g} us"


def plot(result: Any, xdata: Any, ydata: Any, sigma: Any, axes: Any, points: int, level: float) -> Any:
    """Data, curve and band on one pair of axes, residuals on the other; by index where there are more predictors."""
    if axes is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise ImportError("plot() needs matplotlib, which is not installed: pip install marquardt[plot]") from None
        axes = plt.figure().subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above, below = axes
    y = np.ravel(ydata)
    x = np.asarray(xdata)
    smooth = x.ndim == 1 and x.size == y.size and x.dtype.kind in "fiu"
    at = x if smooth else np.arange(y.size)
    errors = np.broadcast_to(sigma, y.shape) if np.ndim(sigma) < 2 and sigma is not None else None
    above.errorbar(at, y, yerr=errors, fmt="o", label="data")
    grid = np.linspace(at.min(), at.max(), points) if smooth else at
    values, low, high = (np.ravel(v) for v in result.predict(grid if smooth else None, band="confidence", level=level))
    above.plot(grid, values, "-", label="fit")
    if np.isfinite(low).all() and np.isfinite(high).all():
        above.fill_between(grid, low, high, alpha=0.25, label=f"{level:.0%} confidence band")
    above.legend()
    below.axhline(0, linewidth=1)
    below.errorbar(at, y - np.ravel(result.predict()), yerr=errors, fmt="o")
    below.set_ylabel("data - fit")
    return axes


def progress_header() -> str:
    """The head of the table that `verbose=2` prints."""
    return "".join(f"{name:^15}" for name in _NAMES)


def progress_row(now: Any, last: Any | None) -> str:
    """A row of that table: where the iteration stands, and the step that led there."""
    cells = (str(now.iteration), str(now.nfev), f"{now.cost:.3e}", *_step(last, 3), f"{now.optimality:.3e}")
    return "".join(f"{cell:^15}" for cell in cells)


def log_header() -> str:
    """The head of the table that `log_level` logs."""
    return _log_line(_NAMES)


def log_row(now: Any, last: Any | None) -> str:
    """A row of that table: where the iteration stands, and the step that led there."""
    return _log_line((now.iteration, now.nfev, f"{now.cost:.4e}", *_step(last, 2), f"{now.optimality:.2e}"))


def _log_line(cells: Iterable[Any]) -> str:
    return " ".join(f"{cell:^{width}}" for cell, width in zip(cells, _LOG_WIDTHS, strict=True))


def _step(last: Any | None, digits: int) -> tuple[str, str]:
    """Fall of the cost and length of a step; blank where none led here, as at the start."""
    if last is None or not last.accepted:
        return "", ""
    return f"{last.actual:.{digits}e}", f"{last.step_norm:.{digits}e}"


def closing(result: Mapping[str, Any], travelled: float) -> str:
    """What `verbose=1` prints at the end."""
    warning = "" if result["success"] else "Warning: "
    indent = " " * 9
    return "\n".join(
        (
            f"{warning}{result['message']}",
            f"{indent}Current function value: {result['cost']:.3e}",
            f"{indent}Total delta_x: {travelled:.3e}",
            f"{indent}Iterations: {result['nit']}",
            f"{indent}Function evaluations: {result['nfev']}",
            f"{indent}Jacobian evaluations: {result['njev']}",
        )
    )
