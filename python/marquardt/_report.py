"""How results and iterations look as text. Fields are computed once and laid out here; nothing else prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_NAMES = ("Iteration", "Total nfev", "Cost", "Cost reduction", "Step norm", "Optimality")
_LONGEST_X = 80  # of `one_line`: six numbers fit
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
