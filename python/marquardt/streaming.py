"""`RowAccumulator`: least squares over any number of rows, in the memory of a triangle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arguments, _linear
from ._isa import core as _core


class RowAccumulator:
    """Rows of a linear least-squares problem, reduced as they come to an n x n triangle by orthogonal factors.

    What is kept says all about ``min ||A @ x - b||`` that the rows said, to rounding, whatever their number: rows can
    come from a loop over files, or each worker of a cluster reduces its own, sends its accumulator (it can be pickled)
    and one merges them.

    Parameters
    ----------
    n : int
        Number of variables.
    k : int, optional
        Number of right-hand sides; None, the default, for one that is given as a vector.

    Attributes
    ----------
    n, k : int
        As given; k is None for a vector.
    rows : int
        Rows seen.

    Examples
    --------
    >>> from marquardt import RowAccumulator
    >>> rows = RowAccumulator(2)
    >>> for t in range(100):
    ...     _ = rows.add([[1.0, t]], [3.0 + 2.0 * t])
    >>> fit = rows.solve()
    >>> rows.rows, [round(v, 12) for v in fit.x.tolist()]
    (100, [3.0, 2.0])
    """

    def __init__(self, n: int, k: int | None = None) -> None:
        self.n = _arguments.count("n", n, 1)
        self.k = None if k is None else _arguments.count("k", k, 1)
        self._core = _core.RowAccumulator(self.n, self.k or 1)

    @property
    def rows(self) -> int:
        """Rows seen."""
        return self._core.rows

    def add(self, A: Any, b: Any, weights: Any = None, threads: int = 1) -> RowAccumulator:
        """Add rows.

        Parameters
        ----------
        A : array_like, shape (m, n) or (n,)
            Rows, or a single one; finite, m may be 0.
        b : array_like, shape (m,) or (m, k); a number or shape (k,) for a single row
            Their right-hand sides.
        weights : array_like, shape (m,), optional
            How much each squared residual counts.
        threads : int, optional
            How many threads share the rows, where there are so many that it takes over about 3 ms. Each count of
            threads rounds in its own way, the same one each time.

        Returns
        -------
        RowAccumulator
            This one.
        """
        threads = _arguments.count("threads", threads, 1)
        matrix, right = _arguments.finite("A", A), _arguments.finite("b", b)
        if matrix.ndim == 1:
            matrix, right = matrix[None, :], right[None]
        if matrix.ndim != 2 or matrix.shape[1] != self.n:
            raise ValueError(f"A must have shape (m, {self.n}), got shape {matrix.shape}")
        m = matrix.shape[0]
        expected = (m,) if self.k is None else (m, self.k)
        if right.shape != expected:
            raise ValueError(f"b must have shape {expected} to go with A, got shape {right.shape}")
        right = right.reshape(m, -1 if self.k is None and m else (self.k or 1))
        if weights is not None:
            w = _arguments.finite("weights", weights)
            if w.shape not in ((), (m,)) or (w.size and np.min(w) < 0):
                raise ValueError(f"weights must have shape ({m},) and not be negative, got {_arguments.brief(weights)}")
            root = np.sqrt(np.broadcast_to(w, (m,)))[:, None]
            matrix, right = root * matrix, root * right
        self._core.add(matrix, right, threads)
        return self

    def merge(self, other: RowAccumulator) -> RowAccumulator:
        """Add all rows that another accumulator has seen; it stays as it is."""
        if not isinstance(other, RowAccumulator):
            raise TypeError(f"other must be a RowAccumulator, got {_arguments.brief(other)}")
        if (other.n, other.k) != (self.n, self.k):
            raise ValueError(f"other must have n={self.n} and k={self.k} as well, got n={other.n} and k={other.k}")
        self._core.merge(other._core)
        return self

    def solve(self, **settings: Any) -> _linear.LinearResult:
        """Solve for all rows so far; more may follow.

        Parameters
        ----------
        **settings
            `rcond`, `ridge` (but not 'gcv'), `x_prior`, `constraints`, `method` and `names`, as in `lstsq`.

        Returns
        -------
        LinearResult
            Its `residuals` are None, since the rows are gone; `cost` and `dof` are those of all rows.
        """
        allowed = ("rcond", "ridge", "x_prior", "constraints", "method", "names")
        for name in settings:
            _arguments.choice("the name of a setting", name, allowed)
        if isinstance(settings.get("ridge"), str):
            raise ValueError("ridge must be numbers here, got a string: cross-validation needs the rows")
        n, triangle = self.n, self.triangle
        R, z = np.ascontiguousarray(triangle[:n, :n]), np.ascontiguousarray(triangle[:n, n:])
        fit = _linear.lstsq(R, z[:, 0] if self.k is None else z, **settings)
        rest = 0.5 * np.linalg.norm(triangle[n:, n:], axis=0) ** 2
        fit["cost"] = fit["cost"] + (float(rest[0]) if self.k is None else rest)
        fit["dof"] = fit["dof"] + (self.rows - n)
        fit["residuals"] = None
        return fit

    @property
    def triangle(self) -> NDArray[np.float64]:
        """The upper triangle [R z; 0 rest]: ``triangle.T @ triangle`` is that of the rows [A b]."""
        return self._core.triangle()

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        k = "" if self.k is None else f", k={self.k}"
        return f"RowAccumulator(n={self.n}{k}, rows={self.rows})"

    def __getstate__(self) -> dict[str, Any]:
        return {"n": self.n, "k": self.k, "rows": self.rows, "triangle": self.triangle}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["n"], state["k"])  # type: ignore[misc]
        self._core.restore(state["triangle"], state["rows"])
