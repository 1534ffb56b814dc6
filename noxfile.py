"""Every check of the project. `nox` runs lint, types, cpp and tests; `nox --list` names them all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml("pyproject.toml")
CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"

# The interpreter that runs nox counts as found, also when its directory is not on PATH.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def found(version: str) -> bool:
    """Say whether this CPython is here and starts (a launcher of an absent version is no interpreter)."""
    python = shutil.which(f"python{version}")
    return python is not None and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


PYTHONS = [v for v in nox.project.python_versions(PYPROJECT) if v == CURRENT or found(v)]

nox.options.sessions = ["lint", "types", "cpp", f"tests-{CURRENT}"]
nox.options.reuse_venv = "yes"


def group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def prepare_build(session: nox.Session) -> str:
    """Install the build tools and the pinned Eigen; return the directory of Eigen's headers.

    Objects are shared through ccache. Eigen has one place for all sessions, as another path would be
    another header to ccache.
    """
    session.install("cmake", "ninja", *PYPROJECT["build-system"]["requires"])
    session.env["CMAKE_GENERATOR"] = "Ninja"
    if shutil.which("ccache"):
        session.env.update({"CMAKE_CXX_COMPILER_LAUNCHER": "ccache", "CCACHE_NOHASHDIR": "1"})
    (override,) = PYPROJECT["tool"]["scikit-build"]["overrides"]
    (eigen,) = override["build"]["requires"]
    prefix = ROOT / "build" / eigen.replace("==", "-")
    headers = prefix / "cmeel.prefix" / "include" / "eigen3"
    if not headers.is_dir():
        session.install("--no-deps", "--target", str(prefix), eigen)
    return str(headers)


def install_package(session: nox.Session) -> None:
    eigen = prepare_build(session)
    session.install(
        "--no-build-isolation",
        f"--config-settings=cmake.define.MARQUARDT_EIGEN_DIR={eigen}",
        "--config-settings=cmake.define.MARQUARDT_WERROR=ON",
        ".",
    )


@nox.session
def cpp(session: nox.Session) -> None:
    """C++ tests with assertions on; `nox -s cpp -- sanitize` runs them under ASan and UBSan."""
    eigen = prepare_build(session)
    preset = session.posargs[0] if session.posargs else "dev"
    session.run("cmake", "--preset", preset, f"-DMARQUARDT_EIGEN_DIR={eigen}")
    session.run("cmake", "--build", "--preset", preset)
    session.run("ctest", "--preset", preset)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Python tests on the installed package; `nox -s tests` runs every CPython that is found."""
    session.install(*group("test"))
    install_package(session)
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and traps; `nox -s lint -- --fix` repairs what can be repaired."""
    session.install(*group("lint"))
    fix = "--fix" in session.posargs
    sources = [
        str(path.relative_to(ROOT))
        for folder in ("cpp/marquardt", "cpp/bind", "cpp/tests", "bench/cpp")
        for path in sorted((ROOT / folder).rglob("*.[ch]pp"))
    ]
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))
    session.run("clang-format", *(["-i"] if fix else ["--dry-run", "--Werror"]), *sources)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict over the package."""
    session.install(*group("types"))
    session.run("mypy")


@nox.session
def sdist(session: nox.Session) -> None:
    """The source distribution is complete: a wheel is built from it alone, installed and imported."""
    session.install("build", *PYPROJECT["project"]["dependencies"])
    outdir = Path(session.create_tmp())
    for old in outdir.glob("marquardt-*"):
        old.unlink()
    session.run("python", "-m", "build", "--sdist", "--outdir", str(outdir))
    (archive,) = outdir.glob("marquardt-*.tar.gz")
    check_archive(session, archive)
    command = ["pip", "wheel", "--verbose", "--no-deps", "--wheel-dir", str(outdir), str(archive)]
    log = session.run(*command, silent=True)
    if not isinstance(log, str) or "cpp/extern/eigen" not in log or "cmeel" in log:
        session.error(f"the wheel was not built with the headers of the sdist:\n{log}")
    (wheel,) = outdir.glob("marquardt-*.whl")
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run("python", "-c", "import marquardt; print(marquardt.__file__)")


def check_archive(session: nox.Session, archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
        missing = {"cpp/extern/eigen/Eigen/Core", "LICENSE", "NOTICE", "PKG-INFO"} - names
        if missing:
            session.error(f"{archive.name} lacks {sorted(missing)}")
        for member in filter(tarfile.TarInfo.isfile, tar):
            stream = tar.extractfile(member)
            # NOTICE may name that licence to say that it is absent; a file under it names it in its own head.
            if stream and "cpp/extern/" in member.name and b"Lesser General" in stream.read():
                session.error(f"{member.name} is under the LGPL")
    session.log(f"{archive.name}: {len(names)} files, {archive.stat().st_size / 1e6:.2f} MB")


@nox.session(python=PYTHONS)
def wheels(session: nox.Session) -> None:
    """Build, install and import a wheel with every CPython that is found."""
    install_package(session)
    session.run("python", "-c", "import marquardt; print(marquardt.__file__)")
