"""Compiled functions: from what numba, SciPy and ctypes make of them to an address and a signature that fits."""

from __future__ import annotations

import ctypes
import os
import re
from typing import Any

import numpy as np

from . import _arguments
from ._isa import core as _core

# Kinds of parameters: d a pointer to doubles, i an integer of the size of ptrdiff_t, v any pointer.
_KINDS = {False: "didiv", True: "dididv"}
_C_SIGNATURES = {
    False: "int (const double *, ptrdiff_t, double *, ptrdiff_t, void *)",
    True: "int (const double *, ptrdiff_t, double *, ptrdiff_t, double *, void *)",
}
_INTEGERS = ["ptrdiff_t", "intptr_t", "ssize_t", "Py_ssize_t", "npy_intp", "int64_t", "long long"]
if ctypes.sizeof(ctypes.c_long) == ctypes.sizeof(ctypes.c_ssize_t):
    _INTEGERS.append("long")
_FUNCTION_POINTER: Any = ctypes.CFUNCTYPE(None).__mro__[1]  # what every function pointer of ctypes derives from


def get_include() -> str:
    """The folder with the C header ``marquardt/callback.h``, which has the signatures of compiled functions."""
    return os.path.join(os.path.dirname(__file__), "include")


class CompiledResidual(_core.Compiled):
    """Residuals, with or without a Jacobian, that are compiled functions: a solve then runs without Python.

    It goes where the other functions of the package take `fun`: `least_squares`, `lm_solve` and `lsqtr`. The Jacobian
    is its own where the caller leaves the choice (``jac="auto"`` or None) or says ``jac=True``; differences, asked for
    by name, are taken of the compiled function. The interpreter's lock is released for the whole solve, so that solves
    in several threads run side by side, unless the loss or the Jacobian is a Python function.

    Parameters
    ----------
    fun : compiled function
        A numba ``cfunc``, a ctypes function pointer, a scipy.LowLevelCallable, an address, or a pair of addresses
        (function, user data), of::

            int residual(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, void* user);

        It fills all of r and returns 0; a positive number if there are no residuals at this x, which counts as values
        that are not finite; or a negative one to end the solve, which raises a RuntimeError. What it does not fill is
        NaN. Signatures are checked where they are known: not those of addresses.
    m : int
        The number of residuals.
    jac : compiled function, optional
        ``int jacobian(const double* x, ptrdiff_t n, double* J, ptrdiff_t m, void* user)``, likewise.
    user_data : int, ctypes object or ndarray, optional
        What `user` points at: an address, a pointer, or something that lies in memory, which is kept alive. By default
        what a scipy.LowLevelCallable or a pair brings along, else null.
    both : bool, default False
        `fun` has the Jacobian as well, and fills it where J is not null::

            int both(const double* x, ptrdiff_t n, double* r, ptrdiff_t m, double* J, void* user);
    order : {'C', 'F'}
        How J is to be filled: row by row, or column by column, which saves a transposition.

    Attributes
    ----------
    m : int
        The number of residuals.
    has_jacobian : bool
        Whether there is a compiled Jacobian.

    Raises
    ------
    TypeError, ValueError
        For what is no compiled function, for other signatures and for null addresses.

    Notes
    -----
    ``fun(x)`` and ``fun.jacobian(x)`` call the functions from Python. A wrong number m or a wrong address cannot be
    found out: they crash the process. Python functions behind a ctypes pointer work, but take the lock in each call; if
    one raises, ctypes prints the exception and the solve sees values that are not finite.

    The C signatures are in ``marquardt/callback.h``, see `get_include`.

    Examples
    --------
    >>> import ctypes
    >>> from marquardt import CompiledResidual, least_squares
    >>> double_p = ctypes.POINTER(ctypes.c_double)
    >>> size = ctypes.c_ssize_t
    >>> @ctypes.CFUNCTYPE(ctypes.c_int, double_p, size, double_p, size, ctypes.c_void_p)
    ... def rosenbrock(x, n, r, m, user):
    ...     r[0] = 10 * (x[1] - x[0] ** 2)
    ...     r[1] = 1 - x[0]
    ...     return 0
    >>> result = least_squares(CompiledResidual(rosenbrock, m=2), [-1.2, 1])
    >>> result.success, result.x.round(6).tolist()
    (True, [1.0, 1.0])
    """

    def __init__(
        self, fun: Any, m: int, jac: Any = None, user_data: Any = None, both: bool = False, *, order: str = "C"
    ) -> None:
        if both and jac is not None:
            raise ValueError("with both=True fun has the Jacobian, and jac must be None")
        residual, user = _read("fun", fun, bool(both))
        jacobian, user_of_jacobian = (0, None) if jac is None else _read("jac", jac, False)
        common = 0 if user_data is None else _data(user_data)
        for name, own in (("fun", user), ("jac", user_of_jacobian)):
            if user_data is not None and own:
                raise ValueError(f"user_data was given, but {name} brings its own along")
        super().__init__(
            residual,
            jacobian,
            bool(both),
            _arguments.count("m", m, 1),
            user or common,
            user_of_jacobian or common,
            _arguments.choice("order", order, ("C", "F")) == "C",
        )
        self._alive = (fun, jac, user_data)  # the code and data behind the addresses

    def __repr__(self) -> str:
        return f"CompiledResidual(m={self.m}, has_jacobian={self.has_jacobian})"


def derivative(fun: Any, jac: Any, asked: bool) -> Any:
    """The Jacobian to solve with: that of a compiled `fun` unless another was `asked` for; else `jac`, as it is."""
    if not isinstance(fun, CompiledResidual):
        return jac
    if jac is True or not asked:
        if fun.has_jacobian:
            return fun.jacobian
        if jac is True:
            raise ValueError("jac=True needs a Jacobian, and this CompiledResidual has none")
    if isinstance(jac, str) and jac == "cs":
        raise ValueError("jac='cs' needs a function of complex numbers, and a compiled fun is one of real numbers")
    return jac


# ------------------------------------------------------------------------------------------- reading functions


def _read(name: str, function: Any, both: bool) -> tuple[int, int | None]:
    """Address of a function, and of the user's data that it brings along."""
    if isinstance(function, tuple):
        if type(function) is not tuple and hasattr(function, "signature"):  # scipy.LowLevelCallable
            address, user, signature = _core.low_level(function)
            _check_text(name, signature, both)
            return address, user or None
        if len(function) != 2:
            raise TypeError(f"{name} must be a pair (address, address of the user's data), got {len(function)} entries")
        return _address(name, function[0]), _address(f"the user's data of {name}", function[1], null=True) or None
    pointer = getattr(function, "ctypes", function)  # numba's cfunc has one
    if isinstance(pointer, _FUNCTION_POINTER):
        _check_types(name, pointer, both)
        return _address(name, ctypes.cast(pointer, ctypes.c_void_p).value or 0), None
    if isinstance(function, (int, np.integer)) and not isinstance(function, bool):
        return _address(name, function), None
    raise TypeError(
        f"{name} must be compiled: a numba cfunc, a ctypes function pointer, a scipy.LowLevelCallable, an address or a "
        f"pair (address, address of the user's data); got {_arguments.brief(function)}"
    )


def _address(name: str, value: Any, null: bool = False) -> int:
    if isinstance(value, ctypes.c_void_p):
        value = value.value or 0
    address = _arguments.count(f"the address of {name}", value, 0)
    if address == 0 and not null:
        raise ValueError(f"the address of {name} is null")
    if address >= 1 << 8 * ctypes.sizeof(ctypes.c_void_p):
        raise ValueError(f"the address of {name} is too large: {address:#x}")
    return address


def _check_text(name: str, signature: str, both: bool) -> None:
    """Refuse a C signature with other types; names of integers of the same size are as good as each other."""
    short = re.sub(r"\bconst\b", "", signature)
    short = re.sub(rf"\b({'|'.join(_INTEGERS)})\b", "ptrdiff_t", short)
    wanted = _C_SIGNATURES[both].replace("const ", "")
    if re.sub(r"\s+", "", short) != re.sub(r"\s+", "", wanted):
        raise ValueError(f"{name} must have the signature {_C_SIGNATURES[both]!r}, got {signature!r}")


def _check_types(name: str, pointer: Any, both: bool) -> None:
    """Refuse a ctypes function with other types; `argtypes` that were never set say nothing."""
    wanted = f"{name} must have the signature {_C_SIGNATURES[both]!r}"
    if pointer.restype is not ctypes.c_int:
        raise ValueError(f"{wanted}, but it returns {getattr(pointer.restype, '__name__', None)}")
    types = pointer.argtypes
    if types is None:
        return
    kinds = _KINDS[both]
    if len(types) != len(kinds):
        raise ValueError(f"{wanted}, but it has {len(types)} parameters")
    for k, (kind, given) in enumerate(zip(kinds, types, strict=True)):
        if not _fits(kind, given):
            raise ValueError(f"{wanted}, but its parameter {k} is {getattr(given, '__name__', given)}")


def _fits(kind: str, given: Any) -> bool:
    if kind == "i":
        signed = issubclass(given, ctypes._SimpleCData) and given._type_ in "lqi"
        return signed and ctypes.sizeof(given) == ctypes.sizeof(ctypes.c_ssize_t)
    if hasattr(given, "_dtype_"):  # numpy.ctypeslib.ndpointer
        return kind == "v" or given._dtype_ in (None, np.dtype(np.float64))
    if issubclass(given, ctypes._Pointer):
        return kind == "v" or given._type_ is ctypes.c_double
    return issubclass(given, ctypes.c_void_p)


def _data(value: Any) -> int:
    """The address of the user's data."""
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("user_data must be contiguous, as it is given as an address")
        return int(value.ctypes.data)
    if isinstance(value, (ctypes._Pointer, ctypes.c_char_p)):
        return ctypes.cast(value, ctypes.c_void_p).value or 0
    if isinstance(value, (ctypes.Structure, ctypes.Union, ctypes.Array, ctypes._SimpleCData)) and not isinstance(
        value, ctypes.c_void_p
    ):
        return ctypes.addressof(value)
    if isinstance(value, (int, np.integer, ctypes.c_void_p)) and not isinstance(value, bool):
        return _address("user_data", value, null=True)
    raise TypeError(f"user_data must be an address, a ctypes object or an array, got {_arguments.brief(value)}")
