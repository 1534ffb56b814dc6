"""SciPy's own tests with functions of this library in place of SciPy's: nothing is copied, only a name is replaced.

A test module of this folder says

    adopt(globals(), "scipy.optimize.tests.test_least_squares", {"least_squares": least_squares}, EXCEPTIONS)

and has the tests of that module from then on. EXCEPTIONS maps a test, as in ``TestLM::test_loss``, to the reason why
it has to fail here. It must fail: an entry whose test passes, or does not exist, is an error, so that the list cannot
outlive its reasons.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest

MARKS = ("fail_slow", "parallel_threads_limit", "slow", "thread_unsafe", "xslow")  # of SciPy's own pytest plugins


def adopt(
    namespace: dict[str, Any],
    name: str,
    replacements: Mapping[str, Any],
    exceptions: Mapping[str, str],
    only: Sequence[str] | None = None,
) -> None:
    """Put the tests of a SciPy module (all, or those of `only`) into a test module's namespace."""
    module = _imported(name)
    for replaced in replacements:
        if not hasattr(module, replaced):
            raise LookupError(f"{name} has no {replaced!r} to replace")
    tests = [test for test in vars(module) if test.startswith(("Test", "test_"))] if only is None else only
    namespace |= {test: getattr(module, test) for test in tests}
    for exception in exceptions:
        _check_exists(exception, namespace, name)

    @pytest.fixture(autouse=True)
    def replaced(monkeypatch: pytest.MonkeyPatch) -> None:
        """Exchange the functions in SciPy's module for as long as a test of it runs."""
        for old, new in replacements.items():
            monkeypatch.setattr(module, old, new)

    namespace |= {"replaced": replaced, "EXCEPTIONS": dict(exceptions)}


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this SciPy comes without its tests ({error.name} is missing): install SciPy from PyPI or conda-forge"
        ) from error


def _check_exists(exception: str, namespace: Mapping[str, Any], name: str) -> None:
    first, _, method = exception.partition("[")[0].partition("::")
    found = namespace.get(first)
    if found is None or (method and not hasattr(found, method)):
        raise LookupError(f"{exception!r} is listed as an exception, but {name} has no such test")


def reason(item: pytest.Item) -> str | None:
    """Why a test has to fail; None if it has to pass. An entry without parameters stands for all of them."""
    exceptions: Mapping[str, str] = getattr(getattr(item, "module", None), "EXCEPTIONS", {})
    test = "::".join(item.nodeid.split("::")[1:])
    return exceptions.get(test) or exceptions.get(test.partition("[")[0])
