"""Every check of the project. `nox` runs lint, types, cpp and tests; `nox --list` names them all."""

from __future__ import annotations

import os
import platform
import shutil
import signal
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
    """C++ tests with assertions on; `nox -s cpp -- sanitize`, `-- avx2` or `-- clang` builds them another way."""
    eigen = prepare_build(session)
    preset = session.posargs[0] if session.posargs else "dev"
    session.run("cmake", "--preset", preset, f"-DMARQUARDT_EIGEN_DIR={eigen}")
    session.run("cmake", "--build", "--preset", preset)
    session.run("ctest", "--preset", preset)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Python tests on the installed package, then on its baseline; with every CPython that is found."""
    session.install(*group("test"))
    install_package(session)
    session.run("pytest", *session.posargs)
    session.run("pytest", *session.posargs, env={"MARQUARDT_ISA": "baseline"})


# The last generation without AVX, and the first with AVX2 and FMA.
EMULATED = {"Nehalem": "baseline", "Haswell-noTSX": "avx2"}
SOLVE = """
import marquardt, numpy as np
t = np.linspace(0, 4, 50)
fit = marquardt.lm_solve(lambda x: x[0] * np.exp(-x[1] * t) - 2.5 * np.exp(-1.3 * t), [1.0, 1.0])
linear = marquardt.lstsq(np.vander(t, 5), np.vander(t, 5) @ np.arange(5.0))
assert np.allclose(fit.x, [2.5, 1.3], rtol=1e-6) and np.allclose(linear.x, np.arange(5), atol=1e-9)
print(marquardt.build_info()["variant"])
"""


# The same with a processor that lies about itself.
LYING = """
import sys, types
cpu = types.ModuleType("marquardt._cpu")
cpu.variants = lambda: "avx2"
cpu.name = lambda: ""
cpu.features = lambda: ["sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "xsave", "avx", "avx2", "fma"]
sys.modules["marquardt._cpu"] = cpu
"""


@nox.session(venv_backend="none")
def isa(session: nox.Session) -> None:
    """Which variant an old and a new x86-64 processor get, emulated; on what `nox -s tests` has installed."""
    qemu = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if qemu is None:
        session.error("qemu-x86_64 was not found: apt install qemu-user")
    if platform.machine() != "x86_64":
        session.error("the package installed here is for another processor than x86-64")
    python = ROOT / ".nox" / f"tests-{CURRENT.replace('.', '-')}" / "bin" / "python"
    if not python.exists():
        session.error(f"{python} was not found: run nox -s tests-{CURRENT} first")

    def emulate(processor: str, code: str, asked: str = "", **how: list[int]) -> str:
        command = [qemu, "-cpu", processor, str(python), "-c", code]
        return str(session.run(*command, external=True, silent=True, env={"MARQUARDT_ISA": asked}, **how)).strip()

    for processor, expected in EMULATED.items():
        found = emulate(processor, SOLVE).splitlines()[-1]  # after what the emulator may have to say
        session.log(f"{processor}: {found}")
        if found != expected:
            session.error(f"{processor} should have had {expected}")
    said = emulate("Nehalem", SOLVE, asked="avx2", success_codes=[1])
    if "ImportError: MARQUARDT_ISA is 'avx2', but this processor or its system does not support" not in said:
        session.error(f"avx2, asked for on Nehalem, was not refused:\n{said}")
    # The control: without the choice the wide variant is killed there, so the emulator does refuse what is lacking.
    emulate("Nehalem", LYING + SOLVE, success_codes=[-signal.SIGILL, 128 + signal.SIGILL])
    check_exports(session, python)


def check_exports(session: nox.Session, python: Path) -> None:
    """No module shows a symbol but its PyInit_: two variants cannot take each other's functions."""
    code = "import marquardt, pathlib; print(*pathlib.Path(marquardt.__file__).parent.glob('_c*.so'), sep='\\n')"
    modules = str(session.run(str(python), "-c", code, external=True, silent=True)).split()
    if len(modules) != len(EMULATED) + 1:  # and _cpu
        session.error(f"these compiled modules were found: {modules}")
    for module in modules:
        listed = str(session.run("nm", "--dynamic", "--defined-only", module, external=True, silent=True)).splitlines()
        names = [line.split()[-1] for line in listed]
        session.log(f"{Path(module).name} exports {names}, {Path(module).stat().st_size / 1e6:.2f} MB")
        if names != [f"PyInit_{Path(module).name.partition('.')[0]}"]:
            session.error("it should export its PyInit_ function alone")


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
    # What is shown is that nothing is missing: one variant, not optimised, is built sooner.
    quick = ["--config-settings=cmake.define.MARQUARDT_MULTI_ISA=OFF", "--config-settings=cmake.build-type=Debug"]
    command = ["pip", "wheel", "--verbose", "--no-deps", *quick, "--wheel-dir", str(outdir), str(archive)]
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
