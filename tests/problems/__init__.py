"""One registry of problems for all tests: `ALL`, `by_tag("mgh")`, `by_name("mgh-rosenbrock-x1")`.

Tags: the family (nist, mgh, bounded, degenerate) and properties.

- NIST: lower, average, higher; start1, start2.
- MGH, that is Moré, Garbow and Hillstrom: x1, x10, x100 (multiple of the standard start).
- Any: zero-residual (the minimum is 0), rank-deficient (J loses rank at a solution), singular-local (J loses
  rank at another minimum), underdetermined (fewer residuals than parameters), fixed (some lower == upper),
  outside (the start violates a bound), linear, hard (see hard.py).
"""

from __future__ import annotations

from . import bounded, degenerate, mgh, nist
from .case import Case

__all__ = ["ALL", "Case", "by_name", "by_tag"]

ALL: tuple[Case, ...] = nist.CASES + mgh.CASES + bounded.CASES + degenerate.CASES

_BY_NAME = {case.name: case for case in ALL}


def by_tag(*tags: str) -> tuple[Case, ...]:
    """Return the cases that carry all the tags; a tag that no case carries is an error."""
    known = frozenset().union(*(case.tags for case in ALL))
    if unknown := set(tags) - known:
        raise ValueError(f"no case is tagged {', '.join(sorted(unknown))}; tags: {', '.join(sorted(known))}")
    return tuple(case for case in ALL if case.tags.issuperset(tags))


def by_name(name: str) -> Case:
    """Return the case of that name."""
    return _BY_NAME[name]
