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

def build_facts() -> dict[str, Any]: ...
def status_table() -> list[tuple[int, str, str, bool]]: ...
def option_fields() -> list[tuple[str, Any, str]]: ...
def finite_vector(x: Any, /) -> NDArray[float64] | None: ...
def is_finite(x: Any, /) -> bool: ...
def difference_jacobian(
    fun: Callable[..., Any],
    args: tuple[Any, ...],
    x: NDArray[float64],
    lower: NDArray[float64],
    upper: NDArray[float64],
    scheme: str,
    vectorized: bool,
) -> tuple[NDArray[float64], NDArray[float64], NDArray[float64]]: ...

class Compiled:
    """Residuals and a Jacobian by their addresses."""

    def __init__(
        self, fun: int, jac: int, both: bool, m: int, user: int, user_of_jacobian: int, row_major: bool
    ) -> None: ...
    @property
    def m(self) -> int: ...
    @property
    def has_jacobian(self) -> bool: ...
    def __call__(self, x: Any, /) -> NDArray[float64]: ...
    def jacobian(self, x: Any, /) -> NDArray[float64]: ...

def low_level(capsule: tuple[Any, ...], /) -> tuple[int, int, str]: ...
def minimise(
    result: dict[str, Any],
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
    loss: str | Callable[[NDArray[float64]], Any],
    f_scale: NDArray[float64],
    diff_step: NDArray[float64],
    observe: Callable[[NDArray[float64], Record, Record | None], object] | None,
    /,
) -> tuple[dict[str, Any], BaseException | None]: ...
def curve_residuals(
    f: Callable[..., Any],
    xdata: Any,
    ydata: NDArray[float64],
    whitening: NDArray[float64] | None,
    together: bool,
    /,
) -> Callable[[NDArray[Any]], Any]: ...
def curve_jacobian(
    jac: Callable[..., Any], xdata: Any, ydata: NDArray[float64], whitening: NDArray[float64] | None, /
) -> Callable[[NDArray[Any]], Any]: ...
def curve_covariance(
    J: NDArray[float64], lower: NDArray[float64], upper: NDArray[float64], noise: float, cost: float, known: bool, /
) -> tuple[NDArray[float64], bool]: ...

class RowAccumulator:
    """The triangle of the rows seen so far."""

    def __init__(self, n: int, k: int) -> None: ...
    def add(self, A: NDArray[float64], b: NDArray[float64], threads: int) -> None: ...
    def merge(self, other: RowAccumulator) -> None: ...
    def triangle(self) -> NDArray[float64]: ...
    def restore(self, triangle: NDArray[float64], rows: int) -> None: ...
    @property
    def rows(self) -> int: ...

def reduce_rows(
    J: NDArray[float64], r: NDArray[float64], gram: bool, threads: int
) -> tuple[NDArray[float64], NDArray[float64]]: ...
def lstsq_plain(A: Any, b: Any, result: type, message: str, /) -> Any: ...
def solve_linear(
    A: NDArray[float64],
    b: NDArray[float64],
    rcond: float,
    method: str,
    weights: NDArray[float64] | None,
    covariance: NDArray[float64] | None,
    ridge: NDArray[float64] | None,
    prior: NDArray[float64] | None,
    constraints: NDArray[float64] | None,
    targets: NDArray[float64] | None,
    choose_ridge: bool,
) -> dict[str, Any]: ...
def box_qp(
    H: object, g: object, lower: object, upper: object, x0: object, check_convex: bool, fit: dict[str, Any]
) -> int | str: ...
def bounded_plain(
    A: Any,
    b: Any,
    lower: NDArray[float64] | None,
    upper: NDArray[float64] | None,
    max_exchanges: int,
    result: type,
    ends: dict[int, Any],
) -> Any: ...
def solve_bounded(
    A: NDArray[float64],
    B: NDArray[float64],
    lower: NDArray[float64],
    upper: NDArray[float64],
    start: NDArray[float64] | None,
    max_exchanges: int,
) -> dict[str, Any]: ...
def fold_rows(
    J: NDArray[float64], B: NDArray[float64], R: NDArray[float64], Z: NDArray[float64]
) -> tuple[NDArray[float64], NDArray[float64]]: ...
def least_absolute(A: NDArray[float64], b: NDArray[float64], max_exchanges: int) -> dict[str, Any]: ...
def robust_linear(
    A: NDArray[float64], b: NDArray[float64], loss: str, c: float, start: NDArray[float64], max_iterations: int
) -> dict[str, Any]: ...
