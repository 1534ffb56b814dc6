"""Loads the compiled core: of its variants the best that this processor and this system can run.

On x86-64 a wheel holds the core twice, made of the same sources: `_core` runs anywhere (the baseline), `_core_avx2`
needs AVX2 and FMA. `_cpu`, compiled for the oldest processor, says what may be used before either is loaded. Elsewhere,
and in a build without variants, there is `_core` alone. MARQUARDT_ISA in the environment forces one of them, by name.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from . import _core as core

__all__ = ["NEEDS", "build_info", "choose", "core"]

# Everything that a compiler may use when it is given the options of a variant (CMakeLists.txt), not only what they
# name: -mavx2 alone turns on all before it. tests/test_isa.py compares this with what the compiler says of itself.
_AVX2 = ("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "xsave", "avx", "avx2", "fma")
NEEDS = {
    "baseline": (),
    "avx2": _AVX2,
    "avx512": (*_AVX2, "avx512f", "avx512dq", "avx512bw", "avx512vl"),
}


def choose(asked: str, built: Sequence[str], features: Collection[str]) -> tuple[str, str]:
    """Name the variant to load and say why.

    Parameters
    ----------
    asked : str
        Value of MARQUARDT_ISA; empty to have the best that runs.
    built : sequence of str
        Variants of this build, best first.
    features : collection of str
        What the processor and the system support.

    Raises
    ------
    ImportError
        If the variant asked for is unknown, is not in this build, or would not run here.
    """
    if asked and asked not in NEEDS:
        raise ImportError(f"MARQUARDT_ISA is {asked!r}; this build of marquardt knows {_listed(built)}.")
    if asked and asked not in built:
        raise ImportError(f"MARQUARDT_ISA is {asked!r}, but this build of marquardt has only {_listed(built)}.")
    lacks = {variant: [need for need in NEEDS[variant] if need not in features] for variant in built}
    if asked:
        if lacks[asked]:
            raise ImportError(f"MARQUARDT_ISA is {asked!r}, but {_here_lacks(lacks[asked])}.")
        return asked, "MARQUARDT_ISA asks for it"
    best = next(variant for variant in built if not lacks[variant])
    if len(built) == 1:
        return best, "the only variant of this build"
    if best == built[0]:
        return best, "the best of this build, and this processor supports it"
    return best, f"{_here_lacks(lacks[built[0]])}, which {built[0]} needs"


def _here_lacks(features: Sequence[str]) -> str:
    return f"this processor or its system does not support {_listed(features)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _cpu() -> Any:
    """Import `_cpu`; None in a build without variants, which may come without it."""
    try:
        return importlib.import_module(f"{__package__}._cpu")
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}._cpu":
            raise
        return None


_processor = _cpu()
_built = [*(_processor.variants().split() if _processor else ()), "baseline"]
_features = _processor.features() if _processor else []
_variant, _why = choose(os.environ.get("MARQUARDT_ISA", ""), _built, _features)
if not TYPE_CHECKING:
    core = importlib.import_module(f"{__package__}._core" + ("" if _variant == "baseline" else f"_{_variant}"))


def build_info() -> dict[str, Any]:
    """Say which compiled variant of marquardt is at work, why, how it was compiled, and on what it runs.

    Returns
    -------
    dict
        - ``version``: the version of marquardt that was compiled ("" in a build by hand).
        - ``variant``, ``why``: the compiled variant in use and the reason; ``variants``: all of this build, best first.
          The environment variable ``MARQUARDT_ISA``, set to one of them before the import, forces it.
        - ``compiler``, ``flags``, ``compiled_for``: what compiled it, with which options ("" in a build by hand), and
          the instruction sets it was allowed to use beyond those of every processor.
        - ``eigen``: the version of Eigen in it.
        - ``processor``, ``features``: the processor's name and what of it the system lets programs use, as far as
          variants depend on it (both empty off x86-64).
        - ``threads``: processors that this process may use.

    Examples
    --------
    >>> import marquardt
    >>> marquardt.build_info()["variant"] in marquardt.build_info()["variants"]
    True
    """
    facts = core.build_facts()
    return {
        "version": facts["version"],
        "variant": _variant,
        "why": _why,
        "variants": list(_built),
        "compiler": facts["compiler"],
        "flags": facts["flags"],
        "compiled_for": facts["compiled_for"],
        "eigen": facts["eigen"],
        "processor": _processor.name().strip() if _processor else "",
        "features": list(_features),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    }
