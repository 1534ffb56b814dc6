"""Lays out runs over the NIST problems: a row each, and a summary line for each method. Plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .runs import Run


@dataclass(frozen=True)
class Summary:
    """What one method did over all its runs."""

    method: str
    runs: int
    solved: int
    false_successes: int
    unclaimed: int
    digits: float  # mean
    residuals: float  # mean
    jacobians: float  # mean
    seconds: float  # total

    @property
    def merit(self) -> tuple[float, ...]:
        """Larger is better: right answers first, then honesty, then digits, then few evaluations."""
        return (self.solved, -self.false_successes, self.digits, -self.residuals)


def summarise(runs: Sequence[Run]) -> Summary:
    """Return the totals and means of the runs of one method."""
    count = len(runs)
    return Summary(
        method=runs[0].method,
        runs=count,
        solved=sum(run.solved for run in runs),
        false_successes=sum(run.false_success for run in runs),
        unclaimed=sum(run.solved and not run.success for run in runs),
        digits=sum(run.digits for run in runs) / count,
        residuals=sum(run.residuals for run in runs) / count,
        jacobians=sum(run.jacobians for run in runs) / count,
        seconds=sum(run.seconds for run in runs),
    )


def rows(runs: Sequence[Run], width: int | None = None) -> list[str]:
    """Return the table of single runs; lines are cut at `width` characters if one is given."""
    head = ("level", "problem", "start", "method", "res", "jac", "time", "digits", "verdict", "status")
    body = [
        (
            run.level,
            run.problem,
            str(run.start),
            run.method,
            str(run.residuals),
            str(run.jacobians),
            _duration(run.seconds),
            f"{run.digits:.1f}",
            run.verdict,
            run.status,
        )
        for run in runs
    ]
    return [line[:width] for line in _table(head, body, left={0, 1, 3, 8, 9})]


def totals(summaries: Sequence[Summary], best: str) -> list[str]:
    """Return the summary table, one line per method, the best one starred."""
    head = ("", "method", "solved", "false", "unclaimed", "mean digits", "mean res", "mean jac", "total time")
    body = [
        (
            "*" if line.method == best else "",
            line.method,
            f"{line.solved}/{line.runs}",
            str(line.false_successes),
            str(line.unclaimed),
            f"{line.digits:.2f}",
            f"{line.residuals:.1f}",
            f"{line.jacobians:.1f}",
            _duration(line.seconds),
        )
        for line in summaries
    ]
    return _table(head, body, left={1})


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.2f} ms"


def _table(head: Sequence[str], body: Sequence[Sequence[str]], left: set[int]) -> list[str]:
    """Align columns; those whose index is in `left` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return [
        "  ".join(
            word.ljust(width) if index in left else word.rjust(width)
            for index, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, ["-" * width for width in widths], *body)
    ]
