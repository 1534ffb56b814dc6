"""`lstsq`: linear least squares; the work is in `_linear`, which other faces share."""

from __future__ import annotations

from ._linear import LinearResult, lstsq

__all__ = ["LinearResult", "lstsq"]
