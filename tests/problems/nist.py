"""NIST's 27 certified regression problems from both starts, as cases."""

from __future__ import annotations

from marquardt import nist

from .case import Case, make_case


def _cases() -> list[Case]:
    cases = []
    for name in nist.names():
        problem = nist.load(name)
        for number, start in enumerate(problem.starts, start=1):
            cases.append(
                make_case(
                    f"nist-{name}-{number}",
                    problem.residual,
                    problem.jacobian,
                    start,
                    0.5 * problem.rss,
                    [problem.certified],
                    digits=nist.CERTIFIED_DIGITS,
                    tags=["nist", problem.level, f"start{number}"],
                )
            )
    return cases


CASES = tuple(_cases())
