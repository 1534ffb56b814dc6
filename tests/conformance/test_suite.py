"""The lists of exceptions cannot rot, and a SciPy without tests is no success."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.suite import adopt

HERE = Path(__file__).parent
MODULE = "scipy.optimize.tests.test_least_squares"


def run(folder: Path, exceptions: dict[str, str]) -> str:
    """Run two tests of SciPy with 'abs' for `least_squares`, which they fail, in a folder of their own."""
    for file in ("suite.py", "conftest.py"):
        (folder / "conformance").mkdir(exist_ok=True)
        shutil.copy(HERE / file, folder / "conformance")
    (folder / "conformance" / "test_adopted.py").write_text(
        "from conformance.suite import adopt\n"
        f"adopt(globals(), {MODULE!r}, {{'minimize': abs}}, {exceptions}, only=['test_basic', 'test_fp32_gh12991'])\n"
    )
    settings = [f"-opythonpath={folder}", "-oaddopts=", "--import-mode=importlib", f"--rootdir={folder}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *settings, str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    return done.stdout


def test_a_test_that_fails_is_a_failure_unless_it_is_listed(tmp_path: Path) -> None:
    assert "1 failed, 1 passed" in run(tmp_path, {})
    assert "1 passed, 1 xfailed" in run(tmp_path, {"test_fp32_gh12991": "it minimises with abs"})


def test_a_listed_test_that_passes_is_a_failure(tmp_path: Path) -> None:
    output = run(tmp_path, {"test_basic": "no good reason", "test_fp32_gh12991": "it minimises with abs"})
    assert "1 failed, 1 xfailed" in output
    assert "XPASS(strict)" in output


@pytest.mark.parametrize("entry", ["test_absent", "TestTRF::test_absent", "TestAbsent::test_basic"])
def test_a_listed_test_that_does_not_exist_is_an_error(entry: str) -> None:
    namespace: dict[str, Any] = {}
    with pytest.raises(LookupError, match=f"'{entry}' is listed"):
        adopt(namespace, MODULE, {}, {entry: "a reason"})


def test_a_name_that_does_not_exist_cannot_be_replaced() -> None:
    with pytest.raises(LookupError, match="has no 'least_cubes' to replace"):
        adopt({}, MODULE, {"least_cubes": abs}, {})


def test_a_scipy_without_its_tests_says_so() -> None:
    with pytest.raises(ModuleNotFoundError, match="this SciPy comes without its tests"):
        adopt({}, "scipy.optimize.tests.test_absent", {}, {})
