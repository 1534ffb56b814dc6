"""The models of the 27 NIST StRD nonlinear regression problems, with their derivatives.

Each model is a pair of functions of the predictor x (two rows of predictors for Nelson) and the parameters:

    value(x, b1, b2, ...)       m predictions
    derivative(x, b1, b2, ...)  the m x n matrix of d value_i / d b_j

Derivatives are filled parameter by parameter and handed out as the transpose, so that every column is
contiguous. Nothing here guards against overflow: far from a solution a model may be infinite, and it is the
solver's task to step back. Formulas: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[np.float64]


class Model(NamedTuple):
    """A regression function and its derivative by the parameters."""

    value: Callable[..., Array]
    derivative: Callable[..., Array]


def _columns(*columns: Array) -> Array:
    derivative: Array = np.array(columns).T
    return derivative


# --- sums of exponentials -----------------------------------------------------------------------------------


def _saturation(x: Array, b1: float, b2: float) -> Array:
    """b1 (1 - exp(-b2 x))."""
    return -b1 * np.expm1(-b2 * x)


def _saturation_derivative(x: Array, b1: float, b2: float) -> Array:
    risen = -np.expm1(-b2 * x)
    return _columns(risen, b1 * x * (1 - risen))


def _three_decays(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float) -> Array:
    """b1 exp(-b2 x) + b3 exp(-b4 x) + b5 exp(-b6 x)."""
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x)


def _three_decays_derivative(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float) -> Array:
    e1, e2, e3 = np.exp(-b2 * x), np.exp(-b4 * x), np.exp(-b6 * x)
    return _columns(e1, -b1 * x * e1, e2, -b3 * x * e2, e3, -b5 * x * e3)


def _two_decays(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    """b1 + b2 exp(-b4 x) + b3 exp(-b5 x)."""
    return b1 + b2 * np.exp(-b4 * x) + b3 * np.exp(-b5 * x)


def _two_decays_derivative(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    e1, e2 = np.exp(-b4 * x), np.exp(-b5 * x)
    return _columns(np.ones_like(e1), e1, e2, -b2 * x * e1, -b3 * x * e2)


def _two_peaks(
    x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float, b7: float, b8: float
) -> Array:
    """b1 exp(-b2 x) + b3 exp(-((x - b4) / b5)^2) + b6 exp(-((x - b7) / b8)^2)."""
    z1, z2 = (x - b4) / b5, (x - b7) / b8
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-z1 * z1) + b6 * np.exp(-z2 * z2)


def _two_peaks_derivative(
    x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float, b7: float, b8: float
) -> Array:
    base = np.exp(-b2 * x)
    z1, z2 = (x - b4) / b5, (x - b7) / b8
    p1, p2 = np.exp(-z1 * z1), np.exp(-z2 * z2)
    s1, s2 = (2 * b3 / b5) * z1 * p1, (2 * b6 / b8) * z2 * p2
    return _columns(base, -b1 * x * base, p1, s1, s1 * z1, p2, s2, s2 * z2)


def _one_peak(x: Array, b1: float, b2: float, b3: float) -> Array:
    """b1 / b2 exp(-((x - b3) / b2)^2 / 2)."""
    z = (x - b3) / b2
    return (b1 / b2) * np.exp(-0.5 * z * z)


def _one_peak_derivative(x: Array, b1: float, b2: float, b3: float) -> Array:
    z = (x - b3) / b2
    p = np.exp(-0.5 * z * z) / b2
    s = (b1 / b2) * p
    return _columns(p, s * (z * z - 1), s * z)


# --- other exponentials -------------------------------------------------------------------------------------


def _damped_hyperbola(x: Array, b1: float, b2: float, b3: float) -> Array:
    """exp(-b1 x) / (b2 + b3 x)."""
    return np.exp(-b1 * x) / (b2 + b3 * x)


def _damped_hyperbola_derivative(x: Array, b1: float, b2: float, b3: float) -> Array:
    line = b2 + b3 * x
    v = np.exp(-b1 * x) / line
    slope = -v / line
    return _columns(-x * v, slope, x * slope)


def _hyperbolic_exponent(x: Array, b1: float, b2: float, b3: float) -> Array:
    """b1 exp(b2 / (x + b3))."""
    return b1 * np.exp(b2 / (x + b3))


def _hyperbolic_exponent_derivative(x: Array, b1: float, b2: float, b3: float) -> Array:
    w = 1 / (x + b3)
    e = np.exp(b2 * w)
    s = b1 * e * w
    return _columns(e, s, -b2 * s * w)


def _degradation(x: Array, b1: float, b2: float, b3: float) -> Array:
    """b1 - b2 x1 exp(-b3 x2), for the logarithm of the response."""
    time: Array = x[0]
    temperature: Array = x[1]
    return b1 - b2 * time * np.exp(-b3 * temperature)


def _degradation_derivative(x: Array, b1: float, b2: float, b3: float) -> Array:
    time: Array = x[0]
    temperature: Array = x[1]
    e = time * np.exp(-b3 * temperature)
    return _columns(np.ones_like(e), -e, b2 * temperature * e)


def _logistic(x: Array, b1: float, b2: float, b3: float) -> Array:
    """b1 / (1 + exp(b2 - b3 x))."""
    return b1 / (1 + np.exp(b2 - b3 * x))


def _logistic_derivative(x: Array, b1: float, b2: float, b3: float) -> Array:
    q = 1 / (1 + np.exp(b2 - b3 * x))
    s = b1 * q * (1 - q)
    return _columns(q, -s, x * s)


def _richards(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    """b1 / (1 + exp(b2 - b3 x))^(1 / b4)."""
    return b1 * (1 + np.exp(b2 - b3 * x)) ** (-1 / b4)


def _richards_derivative(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    u = 1 + np.exp(b2 - b3 * x)
    p = u ** (-1 / b4)
    v = b1 * p / b4
    s = v * (1 - 1 / u)
    return _columns(p, -s, x * s, v * np.log(u) / b4)


# --- rational functions -------------------------------------------------------------------------------------


def _cubic_ratio(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float, b7: float) -> Array:
    """(b1 + b2 x + b3 x^2 + b4 x^3) / (1 + b5 x + b6 x^2 + b7 x^3)."""
    return (b1 + x * (b2 + x * (b3 + x * b4))) / (1 + x * (b5 + x * (b6 + x * b7)))


def _cubic_ratio_derivative(
    x: Array, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float, b7: float
) -> Array:
    w = 1 / (1 + x * (b5 + x * (b6 + x * b7)))
    v = (b1 + x * (b2 + x * (b3 + x * b4))) * w
    w1 = x * w
    w2 = x * w1
    w3 = x * w2
    return _columns(w, w1, w2, w3, -v * w1, -v * w2, -v * w3)


def _quadratic_ratio(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    """(b1 + b2 x + b3 x^2) / (1 + b4 x + b5 x^2)."""
    return (b1 + x * (b2 + x * b3)) / (1 + x * (b4 + x * b5))


def _quadratic_ratio_derivative(x: Array, b1: float, b2: float, b3: float, b4: float, b5: float) -> Array:
    w = 1 / (1 + x * (b4 + x * b5))
    v = (b1 + x * (b2 + x * b3)) * w
    w1 = x * w
    w2 = x * w1
    return _columns(w, w1, w2, -v * w1, -v * w2)


def _kowalik_osborne(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    """b1 (x^2 + x b2) / (x^2 + x b3 + b4)."""
    return b1 * x * (x + b2) / (x * (x + b3) + b4)


def _kowalik_osborne_derivative(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    w = 1 / (x * (x + b3) + b4)
    q = x * (x + b2) * w
    s = -b1 * q * w
    return _columns(q, b1 * x * w, x * s, s)


# --- powers, waves and the rest -----------------------------------------------------------------------------


def _inverse_square(x: Array, b1: float, b2: float) -> Array:
    """b1 (1 - (1 + b2 x / 2)^-2)."""
    w = 1 / (1 + 0.5 * b2 * x)
    return b1 * (1 - w * w)


def _inverse_square_derivative(x: Array, b1: float, b2: float) -> Array:
    w = 1 / (1 + 0.5 * b2 * x)
    w2 = w * w
    return _columns(1 - w2, b1 * x * w * w2)


def _inverse_root(x: Array, b1: float, b2: float) -> Array:
    """b1 (1 - (1 + 2 b2 x)^(-1/2))."""
    return b1 * (1 - 1 / np.sqrt(1 + 2 * b2 * x))


def _inverse_root_derivative(x: Array, b1: float, b2: float) -> Array:
    w = 1 / np.sqrt(1 + 2 * b2 * x)
    return _columns(1 - w, b1 * x * w * w * w)


def _langmuir(x: Array, b1: float, b2: float) -> Array:
    """b1 b2 x / (1 + b2 x)."""
    t = b2 * x
    return b1 * t / (1 + t)


def _langmuir_derivative(x: Array, b1: float, b2: float) -> Array:
    w = 1 / (1 + b2 * x)
    return _columns(b2 * x * w, b1 * x * w * w)


def _power(x: Array, b1: float, b2: float) -> Array:
    """b1 x^b2."""
    return b1 * x**b2


def _power_derivative(x: Array, b1: float, b2: float) -> Array:
    p = x**b2
    return _columns(p, b1 * p * np.log(x))


def _shifted_power(x: Array, b1: float, b2: float, b3: float) -> Array:
    """b1 (b2 + x)^(-1 / b3)."""
    return b1 * (b2 + x) ** (-1 / b3)


def _shifted_power_derivative(x: Array, b1: float, b2: float, b3: float) -> Array:
    u = b2 + x
    p = u ** (-1 / b3)
    s = b1 * p / b3
    return _columns(p, -s / u, s * np.log(u) / b3)


def _arctan_line(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    """b1 - b2 x - arctan(b3 / (x - b4)) / pi."""
    return b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi


def _arctan_line_derivative(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    t = x - b4
    w = -1 / (np.pi * (t * t + b3 * b3))
    return _columns(np.ones_like(t), -x, t * w, b3 * w)


def _three_cycles(
    x: Array,
    b1: float,
    b2: float,
    b3: float,
    b4: float,
    b5: float,
    b6: float,
    b7: float,
    b8: float,
    b9: float,
) -> Array:
    """b1 plus waves (cosine, sine) of period 12: (b2, b3), period b4: (b5, b6), period b7: (b8, b9)."""
    turn = 2 * np.pi * x
    year, slow, fast = turn / 12, turn / b4, turn / b7
    waves = b2 * np.cos(year) + b3 * np.sin(year)
    waves += b5 * np.cos(slow) + b6 * np.sin(slow)
    waves += b8 * np.cos(fast) + b9 * np.sin(fast)
    return b1 + waves


def _three_cycles_derivative(
    x: Array,
    b1: float,
    b2: float,
    b3: float,
    b4: float,
    b5: float,
    b6: float,
    b7: float,
    b8: float,
    b9: float,
) -> Array:
    turn = 2 * np.pi * x
    year, slow, fast = turn / 12, turn / b4, turn / b7
    c2, s2 = np.cos(slow), np.sin(slow)
    c3, s3 = np.cos(fast), np.sin(fast)
    period2 = (b5 * s2 - b6 * c2) * slow / b4
    period3 = (b8 * s3 - b9 * c3) * fast / b7
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
