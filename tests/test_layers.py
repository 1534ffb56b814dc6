"""A file depends on its own layer and on those below it, never on one above.

C++     base <- linalg <- problem <- step <- solve <- marquardt.hpp <- bind <- tests; headers of pybind11,
        Python and NumPy only in bind.
Python  _core <- leaf modules (_arguments, _result, ...) <- _minimise, _nonlinear <- faces (lm, ...) <- __init__
        <- nist, __main__. Leaf modules, and the modules of nist, may use each other but not in a circle;
        faces do not use each other.
"""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# ------------------------------------------------------------------------------------------------------ C++

CPP_LAYERS = ["base", "linalg", "problem", "step", "solve", "umbrella", "bind", "tests"]
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)
PYTHON_HEADER = re.compile(r"^(pybind11/|numpy/|Python\.h)")


def cpp_layer(path: Path, root: Path) -> str:
    """Name the layer of a file below `root`, the folder that holds marquardt/, bind/ and tests/."""
    parts = path.relative_to(root).parts
    if parts[0] == "marquardt":
        return parts[1] if len(parts) > 2 else "umbrella"
    return parts[0]


def cpp_files(root: Path) -> list[Path]:
    found = [path for suffix in ("*.hpp", "*.cpp", "*.h") for path in root.rglob(suffix)]
    return sorted(path for path in found if path.relative_to(root).parts[0] != "extern")


def resolve_include(name: str, quoted: bool, includer: Path, root: Path) -> Path | None:
    """Find the project's file that an #include names; None for a header of somebody else."""
    places = [includer.parent, root] if quoted else [root]
    candidates = ((place / name).resolve() for place in places)
    return next((path for path in candidates if path.is_file()), None)


def cpp_violations(root: Path) -> list[str]:
    """List every #include below `root` that points upwards, nowhere, or at Python from outside bind."""
    root = root.resolve()
    violations = []
    for path in cpp_files(root):
        layer, shown = cpp_layer(path, root), path.relative_to(root).as_posix()
        if layer not in CPP_LAYERS:
            violations.append(f"{shown}: {layer!r} is not a layer")
            continue
        for bracket, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
            target = resolve_include(name, bracket == '"', path, root)
            if target is None:
                if PYTHON_HEADER.match(name) and layer != "bind":
                    violations.append(f"{shown} includes {name}: only bind knows of Python")
                elif bracket == '"' or name.startswith(("marquardt/", "bind/")):
                    violations.append(f"{shown} includes {name}, which does not exist")
            elif not target.is_relative_to(root):
                violations.append(f"{shown} includes {name}, outside the tree")
            elif CPP_LAYERS.index(cpp_layer(target, root)) > CPP_LAYERS.index(layer):
                violations.append(f"{shown} ({layer}) includes {name} ({cpp_layer(target, root)})")
    return violations


# --------------------------------------------------------------------------------------------------- Python

CORE, LEAF, MINIMISE, FACE, INIT, TOP = range(6)


def python_layer(module: str) -> int:
    """Rank a module by its dotted name inside the package ("" is the package itself)."""
    first = module.partition(".")[0]
    if first in ("nist", "__main__"):
        return TOP
    if first == "":
        return INIT
    if first == "_core":
        return CORE
    if first in ("_minimise", "_nonlinear"):
        return MINIMISE
    return LEAF if first.startswith("_") else FACE


def python_modules(package: Path) -> dict[str, Path]:
    """Map dotted names inside the package to files; a folder stands for its __init__."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imported(module: str, path: Path, package: str) -> set[str]:
    """Dotted names inside the package that a module imports anywhere, also lazily or for types only."""
    names = set()
    here = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                folder = f"{package}.{here}".rstrip(".").split(".")
                base = ".".join([*folder[: len(folder) - node.level + 1], *filter(None, [base])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return {name.removeprefix(package).lstrip(".") for name in names if f"{name}.".startswith(f"{package}.")}


def owner(name: str, modules: set[str]) -> str:
    """Name the module that defines `name`: the longest prefix that is a module."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def python_violations(package: Path) -> list[str]:
    """List every import below `package` that points upwards, from face to face, or round in a circle."""
    modules = python_modules(package)
    known = {*modules, "_core"}
    edges = {m: {owner(n, known) for n in imported(m, p, package.name)} - {m} for m, p in modules.items()}
    violations = []
    for module, targets in edges.items():
        for target in sorted(targets):
            low, high = python_layer(target), python_layer(module)
            if low > high or low == high == FACE:
                violations.append(f"{module or '__init__'} imports {target or '__init__'}")
    inside = {m: {t for t in targets if python_layer(t) == python_layer(m)} for m, targets in edges.items()}
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        violations.append("circle: " + " -> ".join(error.args[1]))
    return violations


# ---------------------------------------------------------------------------------------------------- tests


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_cpp_includes_point_downwards() -> None:
    assert len(cpp_files(ROOT / "cpp")) > 1
    assert cpp_violations(ROOT / "cpp") == []


def test_python_imports_point_downwards() -> None:
    package = ROOT / "python" / "marquardt"
    assert "" in python_modules(package)
    assert python_violations(package) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("marquardt/linalg/model.hpp", '#include "marquardt/step/step.hpp"'),
        ("marquardt/linalg/model.hpp", '#include "../step/step.hpp"'),
        ("marquardt/linalg/model.hpp", "  #  include <marquardt/step/step.hpp>"),
        ("marquardt/step/step.cpp", '#include "bind/module.hpp"'),
        ("marquardt/step/step.cpp", '#include "marquardt/marquardt.hpp"'),
        ("marquardt/step/step.cpp", "#include <pybind11/pybind11.h>"),
        ("marquardt/step/step.cpp", "#include <Python.h>"),
        ("marquardt/step/step.cpp", '#include "marquardt/step/absent.hpp"'),
        ("marquardt/marquardt.hpp", '#include "bind/module.hpp"'),
        ("bind/module.hpp", '#include "tests/truth.hpp"'),
        ("elsewhere/new.hpp", ""),
    ],
)
def test_a_planted_include_is_caught(tmp_path: Path, file: str, line: str) -> None:
    for header in ("marquardt/linalg/model", "marquardt/step/step", "bind/module", "tests/truth"):
        write(tmp_path / f"{header}.hpp", "#pragma once\n#include <Eigen/Core>\n")
    write(tmp_path / "marquardt/marquardt.hpp", '#include "marquardt/step/step.hpp"\n')
    write(tmp_path / "bind/module.cpp", '#include <Python.h>\n#include "marquardt/marquardt.hpp"\n')
    write(tmp_path / "tests/test_step.cpp", '#include "marquardt/step/step.hpp"\n')
    assert cpp_violations(tmp_path) == []
    write(tmp_path / file, f"{line}\n")
    (violation,) = cpp_violations(tmp_path)
    assert violation.startswith(file)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("_result.py", "from marquardt import lsqtr"),
        ("_result.py", "from marquardt.lm import lm_solve"),
        ("_result.py", "from .lm import lm_solve"),
        ("_result.py", "from . import lm"),
        ("_result.py", "def late():\n    import marquardt._minimise"),
        ("_result.py", "from marquardt._report import text"),
        ("_minimise.py", "import marquardt.lm as face"),
        ("_nonlinear.py", "from .lm import lm_solve"),
        ("_result.py", "from . import _nonlinear"),
        ("lsqtr.py", "from marquardt.lm import lm_solve"),
        ("lm.py", "from marquardt import lm_solve"),
        ("__init__.py", "from marquardt import nist"),
        ("lm.py", "from marquardt.nist.problems import load"),
        ("nist/problems.py", "from marquardt import nist"),
    ],
)
def test_a_planted_import_is_caught(tmp_path: Path, file: str, line: str) -> None:
    package = tmp_path / "marquardt"
    write(package / "_result.py", "import numpy as np\nfrom marquardt import _core\n")
    write(package / "_report.py", "from marquardt._result import Result\n")
    write(package / "_minimise.py", "from marquardt._core import minimise\nfrom marquardt import _report\n")
    write(package / "_nonlinear.py", "from ._minimise import minimise\n")
    write(package / "lm.py", "from marquardt._minimise import minimise\n")
    write(package / "lsqtr.py", "from ._minimise import minimise\n")
    write(package / "__init__.py", "from marquardt.lm import lm_solve\nfrom .lsqtr import lsqtr\n")
    write(package / "nist/__init__.py", "from marquardt.nist.problems import load\n")
    write(package / "nist/problems.py", "from .. import lm_solve\n")
    write(package / "__main__.py", "from marquardt import lm_solve, nist\n")
    assert python_violations(package) == []
    write(package / file, f"{(package / file).read_text()}{line}\n")
    assert len(python_violations(package)) == 1
