"""Types of the compiled core. Private: the public names are those of the package."""

from collections.abc import Callable
from typing import Any

from numpy import float64
from numpy.typing import NDArray

class Record:
    """One pass of the loop: where it started, and its trial."""

    @property
    def iteration(self) -> int: ...
    @property
    def nfev(self) -> int: ...
    @property
    def njev(self) -> int: ...
    @property
    def cost(self) -> float: ...
    @property
    def optimality(self) -> float: ...
    @property
    def grad_norm(self) -> float: ...
    @property
    def control(self) -> float: ...
    @property
    def step_norm(self) -> float: ...
    @property
    def actual(self) -> float: ...
    @property
    def predicted(self) -> float: ...
    @property
    def ratio(self) -> float: ...
    @property
    def accepted(self) -> bool: ...

def status_table() -> list[tuple[int, str, str, bool]]: ...
def option_fields() -> list[tuple[str, Any, str]]: ...
def difference_jacobian(
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    x: NDArray[float64],
    lower: NDArray[float64],
    upper: NDArray[float64],
    scheme: str,
    vectorized: bool,
) -> tuple[NDArray[float64], NDArray[float64], NDArray[float64]]: ...
def minimise(
    fun: Callable[..., Any],
    jac: Any,
    x0: NDArray[float64],
    lower: NDArray[float64],
    upper: NDArray[float64],
    method: str,
    subproblem: str,
    options: dict[str, Any],
    args: tuple[Any, ...],
    scale: NDArray[float64],
    vectorized: bool,
    ravel: bool,
    observe: Callable[[NDArray[float64], Record, Record | None], object] | None,
    /,
) -> tuple[dict[str, Any], BaseException | None]: ...
def solve_linear(A: NDArray[float64], b: NDArray[float64], rcond: float, method: str) -> dict[str, Any]: ...
def box_qp(
    H: object, g: object, lower: object, upper: object, x0: object, check_convex: bool, fit: dict[str, Any]
) -> int | str: ...
