"""`python -m marquardt`: solves NIST's 27 certified problems from both starts and says how right it was."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import TYPE_CHECKING

from marquardt.nist import CERTIFIED_DIGITS, load, names
from marquardt.nist.report import rows, summarise, totals
from marquardt.nist.runs import DIGITS_WANTED, METHODS, Run, solve

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen methods, print the tables, and return 1 if any success was claimed falsely."""
    arguments = _parser().parse_args(argv)
    methods = list(dict.fromkeys(arguments.method or METHODS))
    problems = list(dict.fromkeys(arguments.problem or names()))
    runs = {method: _run(method, problems) for method in methods}
    summaries = [summarise(runs[method]) for method in methods]
    best = max(summaries, key=lambda summary: summary.merit).method
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    shown = methods if arguments.all else [best]
    for method in shown:
        print(*rows(runs[method], width), sep="\n", end="\n\n")
    print(*totals(summaries, best), sep="\n", end="\n\n")
    print(_legend(full=shown == methods))
    wrong = [run for method in methods for run in runs[method] if run.false_success]
    for run in wrong:
        print(f"FALSE SUCCESS: {run.method} on {run.problem}, start {run.start}: {run.digits:.1f} digits")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marquardt",
        description="Solve the 27 NIST StRD nonlinear regression problems from both starts and compare the "
        "answers with the certified ones. The exit status is 1 if a success was claimed for a wrong answer.",
    )
    parser.add_argument("--method", action="append", choices=list(METHODS), help="run this method only (repeatable)")
    parser.add_argument(
        "--problem",
        action="append",
        choices=names(),
        metavar="NAME",
        help="run this problem only (repeatable): " + ", ".join(names()),
    )
    parser.add_argument("--all", action="store_true", help="print the runs of every method, not of the best")
    return parser


def _run(method: str, problems: Sequence[str]) -> list[Run]:
    """Run one method on all the problems, with a counter on the error stream if somebody watches it."""
    watched = sys.stderr.isatty()
    runs: list[Run] = []
    for name in problems:
        if watched:
            print(f"\r\033[K{method}: {name}", end="", file=sys.stderr, flush=True)
        runs += [solve(load(name), start, method) for start in (1, 2)]
    if watched:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return runs


def _legend(full: bool) -> str:
    lines = [
        f"digits: correct digits of the worst parameter, {CERTIFIED_DIGITS} at most; solved: "
        f"{DIGITS_WANTED:g} or more, whatever the solver claims.",
        "false: success claimed with fewer. res, jac: evaluations of the residual and of its Jacobian.",
        "plain: least_squares(residual, start), J by differences, whose evaluations are not in res; exact: with J. lm: "
        "lm_solve; tr: lsqtr.",
    ]
    if not full:
        lines.append("The rows are those of the best method (*); --all prints every method's.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
