"""What a solve returns: one class for every face, readable as attributes or as a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from . import _core, _report

_TABLE = {number: (name, sentence, success) for number, name, sentence, success in _core.status_table()}

Status = IntEnum("Status", {name: number for number, (name, _, _) in _TABLE.items()})  # type: ignore[misc]
Status.__doc__ = "How a solve ended. Positive: a first-order point, success; negative: anything else."
Status.__module__ = "marquardt"


def sentence(status: int) -> str:
    """What a status means and, where it is not a success, what to do."""
    return _TABLE[int(status)][1]


def succeeded(status: int) -> bool:
    """Whether a status is a success: the first-order conditions hold."""
    return _TABLE[int(status)][2]


class Fields(dict[str, Any]):
    """A mapping whose items are attributes as well.

    Its names are taken from `keys`, because a result may iterate over something else, to be unpacked.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this result has no {name!r}; it has {', '.join(self.keys())}") from None

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"this result has no {name!r}; it has {', '.join(self.keys())}")
        del self[name]

    __setattr__ = dict.__setitem__

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.keys()]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self),))

    def __str__(self) -> str:
        return _report.table(self)


class Result(Fields):
    """The outcome of a solve. Fields are attributes and mapping items alike.

    Every face's result has at least these; a face may add its own.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The best point found.
    success : bool
        True only if the first-order conditions hold at `x`.
    status : Status
        How the solve ended.
    message : str
        The same as a sentence; where it is not a success, what to do.
    cost : float
        ``0.5 * sum(residuals**2)``.
    residuals : ndarray, shape (m,)
        Residuals at `x`.
    jacobian : ndarray, shape (m, n)
        Jacobian at `x`; NaN where it was never evaluated.
    grad : ndarray, shape (n,)
        ``jacobian.T @ residuals``.
    optimality : float
        What the method drives to zero: the largest component of the gradient, projected on the bounds.
    active_mask : ndarray of int, shape (n,)
        -1 at a lower bound, +1 at an upper bound, 0 free.
    nfev, njev, nit : int
        Residual evaluations (those of differences apart), Jacobians, accepted steps.
    nfev_differences : int
        Residual evaluations spent on finite differences.
    rank : int
        Numerical rank of the scaled Jacobian.
    history : ndarray
        One record per pass, a structured array: iteration, nfev, njev, cost, optimality, grad_norm, control
        (damping or trust radius), and of its trial step_norm, actual, predicted, ratio, accepted.
    notes : list of str
        Remarks, such as that x0 was moved into the bounds.
    """

    def __repr__(self) -> str:
        return _report.one_line(self)


_OF_THE_FACES = ("control", "iterates", "v")  # what the core reports for the faces to name
_STATUS = {int(status): status for status in Status}  # a lookup costs a tenth of the call Status(number)


def dress(report: dict[str, Any], notes: Sequence[str]) -> Result:
    """The core's plain report as a Result; the report stays as it is."""
    result = Result(report)
    for name in _OF_THE_FACES:
        del result[name]
    result["status"] = _STATUS[report["status"]]
    result["notes"] = list(notes)
    return result
