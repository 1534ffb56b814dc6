"""The models of the 27 NIST StRD nonlinear regression problems, with their derivatives.

Each model is a pair of functions of the parameters b and the predictors x:

    value(b, x)       m predictions
    derivative(b, x)  the m x n matrix of d value_i / d b_j

Derivatives are filled parameter by parameter and handed out as the transpose, so that every column is
contiguous. Nothing here guards against overflow: far from a solution a model may be infinite, and it is the
solver's task to step back. Formulas: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Model(NamedTuple):
    """A regression function and its derivative by the parameters."""

    value: Callable[[Array, Array], Array]
    derivative: Callable[[Array, Array], Array]


def _columns(*columns: Array) -> Array:
    return np.array(columns).T


# --- sums of exponentials -----------------------------------------------------------------------------------


def _saturation(b: Array, x: Array) -> Array:
    """b1 (1 - exp(-b2 x))."""
    return -b[0] * np.expm1(-b[1] * x)


def _saturation_derivative(b: Array, x: Array) -> Array:
    risen = -np.expm1(-b[1] * x)
    return _columns(risen, b[0] * x * (1 - risen))


def _three_decays(b: Array, x: Array) -> Array:
    """b1 exp(-b2 x) + b3 exp(-b4 x) + b5 exp(-b6 x)."""
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def _three_decays_derivative(b: Array, x: Array) -> Array:
    e1, e2, e3 = np.exp(-b[1] * x), np.exp(-b[3] * x), np.exp(-b[5] * x)
    return _columns(e1, -b[0] * x * e1, e2, -b[2] * x * e2, e3, -b[4] * x * e3)


def _two_decays(b: Array, x: Array) -> Array:
    """b1 + b2 exp(-b4 x) + b3 exp(-b5 x)."""
    return b[0] + b[1] * np.exp(-b[3] * x) + b[2] * np.exp(-b[4] * x)


def _two_decays_derivative(b: Array, x: Array) -> Array:
    e1, e2 = np.exp(-b[3] * x), np.exp(-b[4] * x)
    return _columns(np.ones_like(e1), e1, e2, -b[1] * x * e1, -b[2] * x * e2)


def _two_peaks(b: Array, x: Array) -> Array:
    """b1 exp(-b2 x) + b3 exp(-((x - b4) / b5)^2) + b6 exp(-((x - b7) / b8)^2)."""
    z1, z2 = (x - b[3]) / b[4], (x - b[6]) / b[7]
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-z1 * z1) + b[5] * np.exp(-z2 * z2)


def _two_peaks_derivative(b: Array, x: Array) -> Array:
    base = np.exp(-b[1] * x)
    z1, z2 = (x - b[3]) / b[4], (x - b[6]) / b[7]
    p1, p2 = np.exp(-z1 * z1), np.exp(-z2 * z2)
    s1, s2 = (2 * b[2] / b[4]) * z1 * p1, (2 * b[5] / b[7]) * z2 * p2
    return _columns(base, -b[0] * x * base, p1, s1, s1 * z1, p2, s2, s2 * z2)


def _one_peak(b: Array, x: Array) -> Array:
    """b1 / b2 exp(-((x - b3) / b2)^2 / 2)."""
    z = (x - b[2]) / b[1]
    return (b[0] / b[1]) * np.exp(-0.5 * z * z)


def _one_peak_derivative(b: Array, x: Array) -> Array:
    z = (x - b[2]) / b[1]
    p = np.exp(-0.5 * z * z) / b[1]
    s = (b[0] / b[1]) * p
    return _columns(p, s * (z * z - 1), s * z)


# --- other exponentials -------------------------------------------------------------------------------------


def _damped_hyperbola(b: Array, x: Array) -> Array:
    """exp(-b1 x) / (b2 + b3 x)."""
    return np.exp(-b[0] * x) / (b[1] + b[2] * x)


def _damped_hyperbola_derivative(b: Array, x: Array) -> Array:
    line = b[1] + b[2] * x
    v = np.exp(-b[0] * x) / line
    slope = -v / line
    return _columns(-x * v, slope, x * slope)


def _hyperbolic_exponent(b: Array, x: Array) -> Array:
    """b1 exp(b2 / (x + b3))."""
    return b[0] * np.exp(b[1] / (x + b[2]))


def _hyperbolic_exponent_derivative(b: Array, x: Array) -> Array:
    w = 1 / (x + b[2])
    e = np.exp(b[1] * w)
    s = b[0] * e * w
    return _columns(e, s, -b[1] * s * w)


def _degradation(b: Array, x: Array) -> Array:
    """b1 - b2 x1 exp(-b3 x2)."""
    return b[0] - b[1] * x[0] * np.exp(-b[2] * x[1])


def _degradation_derivative(b: Array, x: Array) -> Array:
    e = x[0] * np.exp(-b[2] * x[1])
    return _columns(np.ones_like(e), -e, b[1] * x[1] * e)


def _logistic(b: Array, x: Array) -> Array:
    """b1 / (1 + exp(b2 - b3 x))."""
    return b[0] / (1 + np.exp(b[1] - b[2] * x))


def _logistic_derivative(b: Array, x: Array) -> Array:
    q = 1 / (1 + np.exp(b[1] - b[2] * x))
    s = b[0] * q * (1 - q)
    return _columns(q, -s, x * s)


def _richards(b: Array, x: Array) -> Array:
    """b1 / (1 + exp(b2 - b3 x))^(1 / b4)."""
    return b[0] * (1 + np.exp(b[1] - b[2] * x)) ** (-1 / b[3])


def _richards_derivative(b: Array, x: Array) -> Array:
    u = 1 + np.exp(b[1] - b[2] * x)
    p = u ** (-1 / b[3])
    v = b[0] * p / b[3]
    s = v * (1 - 1 / u)
    return _columns(p, -s, x * s, v * np.log(u) / b[3])


# --- rational functions -------------------------------------------------------------------------------------


def _cubic_ratio(b: Array, x: Array) -> Array:
    """(b1 + b2 x + b3 x^2 + b4 x^3) / (1 + b5 x + b6 x^2 + b7 x^3)."""
    return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1 + x * (b[4] + x * (b[5] + x * b[6])))


def _cubic_ratio_derivative(b: Array, x: Array) -> Array:
    w = 1 / (1 + x * (b[4] + x * (b[5] + x * b[6])))
    v = (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) * w
    w1 = x * w
    w2 = x * w1
    w3 = x * w2
    return _columns(w, w1, w2, w3, -v * w1, -v * w2, -v * w3)


def _quadratic_ratio(b: Array, x: Array) -> Array:
    """(b1 + b2 x + b3 x^2) / (1 + b4 x + b5 x^2)."""
    return (b[0] + x * (b[1] + x * b[2])) / (1 + x * (b[3] + x * b[4]))


def _quadratic_ratio_derivative(b: Array, x: Array) -> Array:
    w = 1 / (1 + x * (b[3] + x * b[4]))
    v = (b[0] + x * (b[1] + x * b[2])) * w
    w1 = x * w
    w2 = x * w1
    return _columns(w, w1, w2, -v * w1, -v * w2)


def _kowalik_osborne(b: Array, x: Array) -> Array:
    """b1 (x^2 + x b2) / (x^2 + x b3 + b4)."""
    return b[0] * x * (x + b[1]) / (x * (x + b[2]) + b[3])


def _kowalik_osborne_derivative(b: Array, x: Array) -> Array:
    w = 1 / (x * (x + b[2]) + b[3])
    q = x * (x + b[1]) * w
    s = -b[0] * q * w
    return _columns(q, b[0] * x * w, x * s, s)


# --- powers, waves and the rest -----------------------------------------------------------------------------


def _inverse_square(b: Array, x: Array) -> Array:
    """b1 (1 - (1 + b2 x / 2)^-2)."""
    w = 1 / (1 + 0.5 * b[1] * x)
    return b[0] * (1 - w * w)


def _inverse_square_derivative(b: Array, x: Array) -> Array:
    w = 1 / (1 + 0.5 * b[1] * x)
    w2 = w * w
    return _columns(1 - w2, b[0] * x * w * w2)


def _inverse_root(b: Array, x: Array) -> Array:
    """b1 (1 - (1 + 2 b2 x)^(-1/2))."""
    return b[0] * (1 - 1 / np.sqrt(1 + 2 * b[1] * x))


def _inverse_root_derivative(b: Array, x: Array) -> Array:
    w = 1 / np.sqrt(1 + 2 * b[1] * x)
    return _columns(1 - w, b[0] * x * w * w * w)


def _langmuir(b: Array, x: Array) -> Array:
    """b1 b2 x / (1 + b2 x)."""
    t = b[1] * x
    return b[0] * t / (1 + t)


def _langmuir_derivative(b: Array, x: Array) -> Array:
    w = 1 / (1 + b[1] * x)
    return _columns(b[1] * x * w, b[0] * x * w * w)


def _power(b: Array, x: Array) -> Array:
    """b1 x^b2."""
    return b[0] * x ** b[1]


def _power_derivative(b: Array, x: Array) -> Array:
    p = x ** b[1]
    return _columns(p, b[0] * p * np.log(x))


def _shifted_power(b: Array, x: Array) -> Array:
    """b1 (b2 + x)^(-1 / b3)."""
    return b[0] * (b[1] + x) ** (-1 / b[2])


def _shifted_power_derivative(b: Array, x: Array) -> Array:
    u = b[1] + x
    p = u ** (-1 / b[2])
    s = b[0] * p / b[2]
    return _columns(p, -s / u, s * np.log(u) / b[2])


def _arctan_line(b: Array, x: Array) -> Array:
    """b1 - b2 x - arctan(b3 / (x - b4)) / pi."""
    return b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi


def _arctan_line_derivative(b: Array, x: Array) -> Array:
    t = x - b[3]
    w = -1 / (np.pi * (t * t + b[2] * b[2]))
    return _columns(np.ones_like(t), -x, t * w, b[2] * w)


def _three_cycles(b: Array, x: Array) -> Array:
    """b1 plus waves (cosine, sine) of period 12: (b2, b3), period b4: (b5, b6), period b7: (b8, b9)."""
    turn = 2 * np.pi * x
    year, slow, fast = turn / 12, turn / b[3], turn / b[6]
    waves = b[1] * np.cos(year) + b[2] * np.sin(year)
    waves += b[4] * np.cos(slow) + b[5] * np.sin(slow)
    waves += b[7] * np.cos(fast) + b[8] * np.sin(fast)
    return b[0] + waves


def _three_cycles_derivative(b: Array, x: Array) -> Array:
    turn = 2 * np.pi * x
    year, slow, fast = turn / 12, turn / b[3], turn / b[6]
    c2, s2 = np.cos(slow), np.sin(slow)
    c3, s3 = np.cos(fast), np.sin(fast)
    period2 = (b[4] * s2 - b[5] * c2) * slow / b[3]
    period3 = (b[7] * s3 - b[8] * c3) * fast / b[6]
    return _columns(np.ones_like(c2), np.cos(year), np.sin(year), period2, c2, s2, period3, c3, s3)


_SATURATION = Model(_saturation, _saturation_derivative)
_THREE_DECAYS = Model(_three_decays, _three_decays_derivative)
_TWO_PEAKS = Model(_two_peaks, _two_peaks_derivative)
_DAMPED_HYPERBOLA = Model(_damped_hyperbola, _damped_hyperbola_derivative)
_CUBIC_RATIO = Model(_cubic_ratio, _cubic_ratio_derivative)

# In NIST's own order: lower, average, higher level of difficulty.
MODELS: dict[str, Model] = {
    "Misra1a": _SATURATION,
    "Chwirut2": _DAMPED_HYPERBOLA,
    "Chwirut1": _DAMPED_HYPERBOLA,
    "Lanczos3": _THREE_DECAYS,
    "Gauss1": _TWO_PEAKS,
    "Gauss2": _TWO_PEAKS,
    "DanWood": Model(_power, _power_derivative),
    "Misra1b": Model(_inverse_square, _inverse_square_derivative),
    "Kirby2": Model(_quadratic_ratio, _quadratic_ratio_derivative),
    "Hahn1": _CUBIC_RATIO,
    "Nelson": Model(_degradation, _degradation_derivative),
    "MGH17": Model(_two_decays, _two_decays_derivative),
    "Lanczos1": _THREE_DECAYS,
    "Lanczos2": _THREE_DECAYS,
    "Gauss3": _TWO_PEAKS,
    "Misra1c": Model(_inverse_root, _inverse_root_derivative),
    "Misra1d": Model(_langmuir, _langmuir_derivative),
    "Roszman1": Model(_arctan_line, _arctan_line_derivative),
    "ENSO": Model(_three_cycles, _three_cycles_derivative),
    "MGH09": Model(_kowalik_osborne, _kowalik_osborne_derivative),
    "Thurber": _CUBIC_RATIO,
    "BoxBOD": _SATURATION,
    "Rat42": Model(_logistic, _logistic_derivative),
    "MGH10": Model(_hyperbolic_exponent, _hyperbolic_exponent_derivative),
    "Eckerle4": Model(_one_peak, _one_peak_derivative),
    "Rat43": Model(_richards, _richards_derivative),
    "Bennett5": Model(_shifted_power, _shifted_power_derivative),
}
