"""NIST's eleven linear regression sets, with exact rational solutions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

DATA: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="ascii"))
POLYNOMIALS = [name for name, data in DATA.items() if data["model"] == "polynomial"]


def system(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, b and the exact solution; polynomials in powers of x, as they come."""
    data = DATA[name]
    x, y = np.array(data["x"], dtype=float), np.array(data["y"], dtype=float)
    exact = np.array(data["coefficients"], dtype=float)
    if data["model"] == "polynomial":
        return np.vander(x[0], data["degree"] + 1, increasing=True), y, exact
    if data["model"] == "intercept":
        return np.column_stack([np.ones(y.size), *x]), y, exact
    return x.T.copy(), y, exact


def digits(value: np.ndarray, exact: np.ndarray) -> float:
    """Return the correct significant digits of the worst coefficient, at most 15.7."""
    error = float(np.max(np.abs(value - exact) / np.abs(exact)))
    return -np.log10(max(error, 2e-16))
