"""Marks of SciPy's tests, and which of them have to fail.

The lists of exceptions are for SciPy 1.17 and later. Older versions, the last ones for old versions of Python, test
rules that SciPy has given up since; this folder is left out there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import __version__

from conformance.suite import MARKS, reason

SCIPY = tuple(int(part) for part in __version__.split(".")[:2])
collect_ignore_glob = [] if SCIPY >= (1, 17) else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: of SciPy's tests, without effect here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and (why := reason(item)):
            item.add_marker(pytest.mark.xfail(reason=why, strict=True))
