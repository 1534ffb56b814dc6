"""`check_jacobian`: compare a Jacobian with finite differences and name the worst entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _arguments
from ._arguments import Vector
from ._isa import core as _core


@dataclass(frozen=True)
class JacobianCheck:
    """The outcome of :func:`check_jacobian`. True if every entry agrees.

    Attributes
    ----------
    ok : bool
        Every entry agrees with the differences within `tolerance`.
    error : float
        The largest error: of an entry, beyond the rounding of the differences, relative to the root mean square of
        its column.
    worst : (int, int)
        Row (residual) and column (parameter) of that entry.
    given, expected : float
        Its value as given, and by differences.
    tolerance : float
        Largest error that counts as agreement.
    errors : ndarray, shape (m, n)
        The errors of all entries.
    """

    ok: bool
    error: float
    worst: tuple[int, int]
    given: float
    expected: float
    tolerance: float
    errors: Vector

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        i, j = self.worst
        verdict = "agrees with" if self.ok else "DIFFERS from"
        return (
            f"The Jacobian {verdict} finite differences; worst entry: residual {i}, parameter {j}, "
            f"given {self.given:.8g}, by differences {self.expected:.8g} (error {self.error:.1e} of the column)."
        )


def check_jacobian(
    fun: Callable[..., Any],
    jac: Any,
    x: Any,
    args: tuple[Any, ...] = (),
    *,
    bounds: Any = None,
    tolerance: float = 1e-6,
    method: str = "3-point",
) -> JacobianCheck:
    """Compare a Jacobian with finite differences at `x` and name the worst entry.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> residuals``, shape (m,); with ``jac=True`` ``(residuals, Jacobian)``.
    jac : callable or True
        ``jac(x, *args) -> array of shape (m, n)``.
    x : array_like, shape (n,)
        Where to compare. Choose a generic point: at a minimum or at zero, wrong entries may look right.
    args : tuple
        Extra arguments of both.
    bounds : (lower, upper), optional
        `fun` is evaluated within them only.
    tolerance : float, default 1e-6
        Largest difference of an entry, relative to the root mean square of its column, that counts as agreement.
    method : {'3-point', '2-point', 'cs'}
        The differences; 'cs' (complex step) is exact to rounding where `fun` accepts complex numbers.

    Returns
    -------
    JacobianCheck
        True or false in an ``if`` or an ``assert``; ``str()`` says which entry is worst.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, or for what `fun` or `jac` return.

    References
    ----------
    P. E. Gill, W. Murray and M. H. Wright, Practical Optimization, 1981, section 8.6, for the difference steps.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import check_jacobian
    >>> def fun(x):
    ...     return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    >>> def wrong(x):
    ...     return np.array([[-20 * x[0], 10.0], [1.0, 0.0]])
    >>> check = check_jacobian(fun, wrong, [-1.2, 1.0])
    >>> bool(check), check.worst
    (False, (1, 0))
    """
    point = _arguments.start(x, name="x")
    lower, upper = _arguments.box(bounds, point.size)
    point, _ = _arguments.into_box(point, lower, upper, "raise", name="x")
    extra = _arguments.extra(args)
    _arguments.function("fun", fun)
    together = jac is True
    if not together:
        _arguments.function("jac", jac)
    allowed = _arguments.tolerance("tolerance", tolerance)
    _arguments.choice("method", method, _arguments.SCHEMES)
    alone = (lambda z, *a: fun(z, *a)[0]) if together else fun
    r, expected, steps = _core.difference_jacobian(alone, extra, point, lower, upper, method, False)
    given = np.asarray(fun(point.copy(), *extra)[1] if together else jac(point.copy(), *extra), dtype=np.float64)
    if given.ndim < 2 and given.size == expected.size and 1 in expected.shape:  # a single row or column may be flat
        given = given.reshape(expected.shape)
    if given.shape != expected.shape:
        raise ValueError(f"jac must return an array of shape {expected.shape}, got shape {given.shape}")
    fixed = lower == upper  # no differences there
    given, expected = np.where(fixed, 0, given), np.where(fixed, 0, expected)
    return _compare(given, expected, _rounding(r, expected, point, steps), allowed)


def _rounding(r: Vector, J: Vector, x: Vector, steps: Vector) -> Vector:
    """What the rounding of r does to each entry of J: a few units in the terms of r, over the step."""
    terms = np.abs(r) + np.abs(J) @ np.abs(x)
    noise = 8 * np.finfo(np.float64).eps * terms[:, np.newaxis]
    rounding: Vector = noise / np.where(steps > 0, steps, np.inf)
    return rounding


def _compare(given: Vector, expected: Vector, rounding: Vector, allowed: float) -> JacobianCheck:
    size = np.linalg.norm(expected, axis=0) / np.sqrt(len(expected))
    size[size == 0] = np.linalg.norm(given[:, size == 0], axis=0) / np.sqrt(len(given))
    difference = np.abs(given - expected)
    beyond = np.maximum(difference - rounding, 0)
    errors = np.divide(beyond, size, out=np.zeros_like(beyond), where=size > 0)
    errors = np.where(np.isfinite(difference), errors, np.inf)
    i, j = divmod(int(np.argmax(errors)), errors.shape[1])
    worst = float(errors[i, j])
    return JacobianCheck(worst <= allowed, worst, (i, j), float(given[i, j]), float(expected[i, j]), allowed, errors)
