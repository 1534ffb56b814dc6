"""Residuals and Jacobians of the Moré-Garbow-Hillstrom test functions, in the order of the paper.

J. J. Moré, B. S. Garbow, K. E. Hillstrom: Testing Unconstrained Optimization Software, ACM Transactions on
Mathematical Software 7 (1981) 17-41. Letters as in the paper: m residuals, n variables, i and j count from 1.
Each `name(x)` is the residual, `name_jacobian(x)` its matrix of derivatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .case import Array


def _count(last: int, first: int = 1) -> Array:
    return np.arange(first, last + 1, dtype=float)


def _columns(*columns: Array) -> Array:
    return np.stack(np.broadcast_arrays(*columns), axis=1)


# 1
def rosenbrock(x: Array) -> Array:
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_jacobian(x: Array) -> Array:
    return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])


# 2
def freudenstein_roth(x: Array) -> Array:
    a, b = x
    return np.array([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def freudenstein_roth_jacobian(x: Array) -> Array:
    b = x[1]
    return np.array([[1.0, (10 - 3 * b) * b - 2], [1.0, (3 * b + 2) * b - 14]])


# 3
def powell_badly_scaled(x: Array) -> Array:
    return np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def powell_badly_scaled_jacobian(x: Array) -> Array:
    return np.array([[1e4 * x[1], 1e4 * x[0]], [-np.exp(-x[0]), -np.exp(-x[1])]])


# 4
def brown_badly_scaled(x: Array) -> Array:
    return np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def brown_badly_scaled_jacobian(x: Array) -> Array:
    return np.array([[1.0, 0.0], [0.0, 1.0], [x[1], x[0]]])


# 5
def beale(x: Array) -> Array:
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** _count(3))


def beale_jacobian(x: Array) -> Array:
    i = _count(3)
    return _columns(x[1] ** i - 1, x[0] * i * x[1] ** (i - 1))


# 6 (m = 10)
def jennrich_sampson(x: Array) -> Array:
    i = _count(10)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def jennrich_sampson_jacobian(x: Array) -> Array:
    i = _count(10)
    return _columns(-i * np.exp(i * x[0]), -i * np.exp(i * x[1]))


# 7 (the angle in turns, from -1/4 to 3/4: the cut lies on the negative x2 axis)
def helical_valley(x: Array) -> Array:
    angle = np.arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if x[0].real < 0 else 0.0)
    return np.array([10 * (x[2] - 10 * angle), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]])


def helical_valley_jacobian(x: Array) -> Array:
    square = x[0] ** 2 + x[1] ** 2
    turn = 100 / (2 * np.pi * square)
    radius = np.sqrt(square)
    return np.array(
        [
            [turn * x[1], -turn * x[0], 10.0],
            [10 * x[0] / radius, 10 * x[1] / radius, 0.0],
            [0.0, 0.0, 1.0],
        ]
    )


# 8
_BARD_Y = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
_BARD_U = _count(15)
_BARD_V = 16 - _BARD_U
_BARD_W = np.minimum(_BARD_U, _BARD_V)


def bard(x: Array) -> Array:
    return _BARD_Y - (x[0] + _BARD_U / (_BARD_V * x[1] + _BARD_W * x[2]))


def bard_jacobian(x: Array) -> Array:
    s = _BARD_U / (_BARD_V * x[1] + _BARD_W * x[2]) ** 2
    return _columns(-np.ones(15), _BARD_V * s, _BARD_W * s)


# 9
_GAUSSIAN_HALF = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
_GAUSSIAN_Y = np.array([*_GAUSSIAN_HALF, 0.3989, *_GAUSSIAN_HALF[::-1]])
_GAUSSIAN_T = (8 - _count(15)) / 2


def gaussian(x: Array) -> Array:
    return x[0] * np.exp(-x[1] * (_GAUSSIAN_T - x[2]) ** 2 / 2) - _GAUSSIAN_Y


def gaussian_jacobian(x: Array) -> Array:
    d = _GAUSSIAN_T - x[2]
    e = np.exp(-x[1] * d**2 / 2)
    return _columns(e, -x[0] * d**2 / 2 * e, x[0] * x[1] * d * e)


# 10
_MEYER_Y = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
)
_MEYER_T = 45 + 5 * _count(16)


def meyer(x: Array) -> Array:
    return x[0] * np.exp(x[1] / (_MEYER_T + x[2])) - _MEYER_Y


def meyer_jacobian(x: Array) -> Array:
    w = 1 / (_MEYER_T + x[2])
    e = np.exp(x[1] * w)
    return _columns(e, x[0] * e * w, -x[0] * x[1] * e * w**2)


# 11 (m = 99; the paper misprints y_i - x2 as y_i m i x2)
_GULF_T = _count(99) / 100
_GULF_Y = 25 + (-50 * np.log(_GULF_T)) ** (2 / 3)


def gulf(x: Array) -> Array:
    distance = np.sqrt((_GULF_Y - x[1]) ** 2)  # |y - x2|, written so that it can be continued to complex x
    return np.exp(-(distance ** x[2]) / x[0]) - _GULF_T


def gulf_jacobian(x: Array) -> Array:
    difference = _GULF_Y - x[1]
    distance = np.abs(difference)
    power = distance ** x[2] / x[0]
    e = np.exp(-power)
    return _columns(e * power / x[0], e * power * x[2] / difference, -e * power * np.log(distance))


# 12 (m = 10)
def box_3d(x: Array) -> Array:
    t = 0.1 * _count(10)
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def box_3d_jacobian(x: Array) -> Array:
    t = 0.1 * _count(10)
    return _columns(-t * np.exp(-t * x[0]), t * np.exp(-t * x[1]), np.exp(-10 * t) - np.exp(-t))


# 14
def wood(x: Array) -> Array:
    a, b, c, d = x
    root = np.sqrt(10.0)
    return np.array([10 * (b - a**2), 1 - a, 3 * root * (d - c**2), 1 - c, root * (b + d - 2), (b - d) / root])


def wood_jacobian(x: Array) -> Array:
    root = np.sqrt(10.0)
    return np.array(
        [
            [-20 * x[0], 10, 0, 0],
            [-1, 0, 0, 0],
            [0, 0, -6 * root * x[2], 3 * root],
            [0, 0, -1, 0],
            [0, root, 0, root],
            [0, 1 / root, 0, -1 / root],
        ]
    )


# 15
_KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
_KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


def kowalik_osborne(x: Array) -> Array:
    u = _KOWALIK_U
    return _KOWALIK_Y - x[0] * u * (u + x[1]) / (u * (u + x[2]) + x[3])


def kowalik_osborne_jacobian(x: Array) -> Array:
    u = _KOWALIK_U
    denominator = u * (u + x[2]) + x[3]
    q = u * (u + x[1]) / denominator
    return _columns(-q, -x[0] * u / denominator, x[0] * u * q / denominator, x[0] * q / denominator)


# 16 (m = 20)
_BROWN_T = _count(20) / 5


def brown_dennis(x: Array) -> Array:
    t = _BROWN_T
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def brown_dennis_jacobian(x: Array) -> Array:
    t = _BROWN_T
    a = 2 * (x[0] + t * x[1] - np.exp(t))
    b = 2 * (x[2] + x[3] * np.sin(t) - np.cos(t))
    return _columns(a, a * t, b, b * np.sin(t))


# 17
_OSBORNE_1_Y = np.array(
    [
        *(0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751),
        *(0.718, 0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490),
        *(0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406),
    ]
)
_OSBORNE_1_T = 10 * _count(32, first=0)


def osborne_1(x: Array) -> Array:
    t = _OSBORNE_1_T
    return _OSBORNE_1_Y - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def osborne_1_jacobian(x: Array) -> Array:
    t = _OSBORNE_1_T
    e, f = np.exp(-t * x[3]), np.exp(-t * x[4])
    return _columns(-np.ones(33), -e, -f, x[1] * t * e, x[2] * t * f)


# 18 (m = 13)
_BIGGS_T = 0.1 * _count(13)
_BIGGS_Y = np.exp(-_BIGGS_T) - 5 * np.exp(-10 * _BIGGS_T) + 3 * np.exp(-4 * _BIGGS_T)


def biggs_exp6(x: Array) -> Array:
    t = _BIGGS_T
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - _BIGGS_Y


def biggs_exp6_jacobian(x: Array) -> Array:
    t = _BIGGS_T
    a, b, c = np.exp(-t * x[0]), np.exp(-t * x[1]), np.exp(-t * x[4])
    return _columns(-x[2] * t * a, x[3] * t * b, a, -b, -x[5] * t * c, c)


# 19
_OSBORNE_2_Y = np.array(
    [
        *(1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608),
        *(0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661),
        *(0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428),
        *(0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559),
        *(0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054),
    ]
)
_OSBORNE_2_T = _count(64, first=0) / 10


def osborne_2(x: Array) -> Array:
    t = _OSBORNE_2_T
    r = _OSBORNE_2_Y - x[0] * np.exp(-t * x[4])
    for k in (1, 2, 3):
        r = r - x[k] * np.exp(-((t - x[k + 7]) ** 2) * x[k + 4])
    return r


def osborne_2_jacobian(x: Array) -> Array:
    t = _OSBORNE_2_T
    J = np.empty((65, 11))
    J[:, 0] = -np.exp(-t * x[4])
    J[:, 4] = -x[0] * t * J[:, 0]
    for k in (1, 2, 3):
        d = t - x[k + 7]
        J[:, k] = -np.exp(-(d**2) * x[k + 4])
        J[:, k + 4] = -x[k] * d**2 * J[:, k]
        J[:, k + 7] = 2 * x[k] * x[k + 4] * d * J[:, k]
    return J


# 20
def _watson_powers(n: int) -> tuple[Array, Array]:
    """Return t^(j-1) and its derivative (j-1) t^(j-2) for the 29 values of t."""
    t = _count(29)[:, None] / 29
    j = _count(n)
    return t ** (j - 1), (j - 1) * t ** np.maximum(j - 2, 0)


def watson(x: Array) -> Array:
    powers, slopes = _watson_powers(x.size)
    return np.concatenate([slopes @ x - (powers @ x) ** 2 - 1, [x[0], x[1] - x[0] ** 2 - 1]])


def watson_jacobian(x: Array) -> Array:
    powers, slopes = _watson_powers(x.size)
    J = np.zeros((31, x.size))
    J[:29] = slopes - 2 * (powers @ x)[:, None] * powers
    J[29, 0] = 1
    J[30, :2] = -2 * x[0], 1
    return J


# 21
def extended_rosenbrock(x: Array) -> Array:
    odd, even = x[0::2], x[1::2]
    return np.stack([10 * (even - odd**2), 1 - odd], axis=1).ravel()


def extended_rosenbrock_jacobian(x: Array) -> Array:
    J = np.zeros((x.size, x.size))
    for k in range(0, x.size, 2):
        J[k : k + 2, k : k + 2] = rosenbrock_jacobian(x[k : k + 2])
    return J


# 22, and 13 with n = 4
def extended_powell(x: Array) -> Array:
    a, b, c, d = x.reshape(-1, 4).T
    blocks = [a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2]
    return np.stack(blocks, axis=1).ravel()


def extended_powell_jacobian(x: Array) -> Array:
    J = np.zeros((x.size, x.size))
    for k in range(0, x.size, 4):
        a, b, c, d = x[k : k + 4]
        p, q = 2 * (b - 2 * c), 2 * np.sqrt(10) * (a - d)
        J[k : k + 4, k : k + 4] = [
            [1, 10, 0, 0],
            [0, 0, np.sqrt(5), -np.sqrt(5)],
            [0, p, -2 * p, 0],
            [q, 0, 0, -q],
        ]
    return J


_PENALTY = np.sqrt(1e-5)


# 23
def penalty_1(x: Array) -> Array:
    return np.append(_PENALTY * (x - 1), x @ x - 0.25)


def penalty_1_jacobian(x: Array) -> Array:
    return np.vstack([_PENALTY * np.eye(x.size), 2 * x])


# 24
def penalty_2(x: Array) -> Array:
    n = x.size
    i = _count(n, first=2)
    e = np.exp(x / 10)
    y = np.exp(i / 10) + np.exp((i - 1) / 10)
    return np.concatenate(
        [
            [x[0] - 0.2],
            _PENALTY * (e[1:] + e[:-1] - y),
            _PENALTY * (e[1:] - np.exp(-0.1)),
            [_count(n)[::-1] @ x**2 - 1],
        ]
    )


def penalty_2_jacobian(x: Array) -> Array:
    n = x.size
    slope = np.diag(_PENALTY * np.exp(x / 10) / 10)
    first = np.eye(1, n)
    return np.vstack([first, slope[1:] + slope[:-1], slope[1:], 2 * _count(n)[::-1] * x])


# 25
def variably_dimensioned(x: Array) -> Array:
    s = _count(x.size) @ (x - 1)
    return np.append(x - 1, [s, s**2])


def variably_dimensioned_jacobian(x: Array) -> Array:
    j = _count(x.size)
    return np.vstack([np.eye(x.size), j, 2 * (j @ (x - 1)) * j])


# 26
def trigonometric(x: Array) -> Array:
    c = np.cos(x)
    return x.size - np.sum(c) + _count(x.size) * (1 - c) - np.sin(x)


def trigonometric_jacobian(x: Array) -> Array:
    s = np.sin(x)
    return np.diag(_count(x.size) * s - np.cos(x)) + s


# 27
def brown_almost_linear(x: Array) -> Array:
    r = x + np.sum(x) - (x.size + 1)
    r[-1] = np.prod(x) - 1
    return r


def brown_almost_linear_jacobian(x: Array) -> Array:
    J = np.eye(x.size) + 1
    J[-1] = [np.prod(np.delete(x, j)) for j in range(x.size)]
    return J


# 28
def discrete_boundary(x: Array) -> Array:
    h = 1 / (x.size + 1)
    wide = np.concatenate([[0], x, [0]])
    return 2 * x - wide[:-2] - wide[2:] + h**2 * (x + h * _count(x.size) + 1) ** 3 / 2


def discrete_boundary_jacobian(x: Array) -> Array:
    n = x.size
    h = 1 / (n + 1)
    diagonal = 2 + 1.5 * h**2 * (x + h * _count(n) + 1) ** 2
    return np.diag(diagonal) - np.eye(n, k=1) - np.eye(n, k=-1)


# 29
def _green(n: int) -> tuple[Array, Array]:
    """Return the grid t and the kernel h/2 * (t_j (1 - t_i) for j <= i, t_i (1 - t_j) for j > i)."""
    h = 1 / (n + 1)
    t = h * _count(n)
    return t, h / 2 * np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t))


def discrete_integral(x: Array) -> Array:
    t, kernel = _green(x.size)
    return x + kernel @ (x + t + 1) ** 3


def discrete_integral_jacobian(x: Array) -> Array:
    t, kernel = _green(x.size)
    return np.eye(x.size) + kernel * (3 * (x + t + 1) ** 2)


# 30
def broyden_tridiagonal(x: Array) -> Array:
    wide = np.concatenate([[0], x, [0]])
    return (3 - 2 * x) * x - wide[:-2] - 2 * wide[2:] + 1


def broyden_tridiagonal_jacobian(x: Array) -> Array:
    return np.diag(3 - 4 * x) - np.eye(x.size, k=-1) - 2 * np.eye(x.size, k=1)


# 31
def _band(n: int) -> Array:
    """Return the 0/1 matrix of neighbours: up to five on the left, one on the right, not itself."""
    offset = np.arange(n)[None, :] - np.arange(n)[:, None]
    return ((offset >= -5) & (offset <= 1) & (offset != 0)).astype(float)


def broyden_banded(x: Array) -> Array:
    return x * (2 + 5 * x**2) + 1 - _band(x.size) @ (x * (1 + x))


def broyden_banded_jacobian(x: Array) -> Array:
    return np.diag(2 + 15 * x**2) - _band(x.size) * (1 + 2 * x)


# 32 (m = 10)
LINEAR_M = 10


def linear_full_rank_jacobian(x: Array) -> Array:
    return np.eye(LINEAR_M, x.size) - 2 / LINEAR_M


def linear_full_rank(x: Array) -> Array:
    return linear_full_rank_jacobian(x) @ x - 1


# 33 (m = 10)
def linear_rank_1_jacobian(x: Array) -> Array:
    return np.outer(_count(LINEAR_M), _count(x.size))


def linear_rank_1(x: Array) -> Array:
    return linear_rank_1_jacobian(x) @ x - 1


# 34 (m = 10)
def linear_rank_1_zeros_jacobian(x: Array) -> Array:
    i, j = _count(LINEAR_M) - 1, _count(x.size)
    i[-1] = j[0] = j[-1] = 0
    return np.outer(i, j)


def linear_rank_1_zeros(x: Array) -> Array:
    return linear_rank_1_zeros_jacobian(x) @ x - 1


# 35 (Chebyshev polynomials on [0, 1], T_i and their derivatives by the three-term recurrence)
def chebyquad(x: Array) -> Array:
    z = 2 * x - 1
    before, now = np.ones_like(z), z
    r = []
    for i in range(1, x.size + 1):
        r.append(np.mean(now) + (1 / (i * i - 1) if i % 2 == 0 else 0.0))
        before, now = now, 2 * z * now - before
    return np.array(r)


def chebyquad_jacobian(x: Array) -> Array:
    z = 2 * x - 1
    before, now = np.ones_like(z), z
    slope_before, slope = np.zeros_like(z), 2 * np.ones_like(z)
    J = np.empty((x.size, x.size))
    for i in range(x.size):
        J[i] = slope / x.size
        slope_before, slope = slope, 4 * now + 2 * z * slope - slope_before
        before, now = now, 2 * z * now - before
    return J
