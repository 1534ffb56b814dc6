"""The package as installed: its version, its public names, its types, and what importing it brings in."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import inspect
import subprocess
import sys

import pytest

import marquardt
from marquardt._isa import core as _core


def test_version_is_that_of_the_distribution() -> None:
    assert marquardt.__version__ == importlib.metadata.version("marquardt")


def test_numpy_is_the_only_requirement() -> None:
    requirements = importlib.metadata.requires("marquardt") or []
    assert [r for r in requirements if "extra ==" not in r] == ["numpy>=1.24"]


def test_types_are_shipped() -> None:
    assert importlib.resources.files("marquardt").joinpath("py.typed").is_file()
    assert importlib.resources.files("marquardt").joinpath("_core.pyi").is_file()


@pytest.mark.parametrize("name", marquardt.__all__)
def test_public_names_are_documented(name: str) -> None:
    thing = getattr(marquardt, name)
    assert inspect.getdoc(thing)


@pytest.mark.parametrize("name", ["check_jacobian", "lm_solve", "lsqtr", "lstsq"])
def test_every_argument_is_documented(name: str) -> None:
    function = getattr(marquardt, name)
    text = inspect.getdoc(function) or ""
    for section in ("Parameters", "Returns", "Raises", "References", "Examples"):
        assert f"{section}\n---" in text
    parameters = text.partition("Parameters\n---")[2].partition("Returns\n---")[0]
    for argument in inspect.signature(function).parameters:
        assert any(argument in line.partition(" : ")[0].split(", ") for line in parameters.splitlines()), argument


def test_stubs_name_what_the_core_has() -> None:
    stub = importlib.resources.files("marquardt").joinpath("_core.pyi").read_text()
    public = {name for name in dir(_core) if not name.startswith("_")}
    named = {
        line.split()[1].partition("(")[0].rstrip(":") for line in stub.splitlines() if line[:4] in ("def ", "clas")
    }
    assert named == public


def test_every_option_of_the_core_has_a_meaning_and_a_default() -> None:
    fields = _core.option_fields()
    assert len({name for name, _, _ in fields}) == len(fields) >= 20
    assert all(meaning and default is not None for _, default, meaning in fields)


@pytest.fixture(scope="module")
def brought_in() -> set[str]:
    """Names of all modules that a fresh process has after `import marquardt` and not after `import numpy`."""
    code = "import sys, numpy; before = set(sys.modules); import marquardt; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""  # the import is silent
    return set(done.stdout.split())


def test_import_brings_in_numpy_alone(brought_in: set[str]) -> None:
    tops = {name.partition(".")[0] for name in brought_in}
    assert tops - {"numpy", *sys.stdlib_module_names} == {"marquardt"}


@pytest.mark.parametrize(
    "absent",
    [
        # parts of NumPy that it leaves for later itself
        *("numpy.polynomial", "numpy.testing", "numpy.f2py", "numpy.ma"),
        # parts of Python that take milliseconds and that only some calls need
        *(
            "asyncio",
            "concurrent.futures",
            "ctypes.util",
            "decimal",
            "difflib",
            "doctest",
            "email",
            "html",
            "http",
            "importlib.metadata",
        ),
        *("fractions", "json", "logging", "multiprocessing", "random", "shutil", "socket", "statistics", "subprocess"),
        *("tempfile", "unittest", "urllib"),
        # parts of marquardt for the command line
        *("marquardt.__main__", "marquardt.nist", "argparse"),
    ],
)
def test_what_few_need_is_imported_when_they_need_it(absent: str, brought_in: set[str]) -> None:
    assert absent not in brought_in


def test_one_variant_of_the_core_is_loaded(brought_in: set[str]) -> None:
    assert len([name for name in brought_in if name.startswith("marquardt._core")]) == 1
