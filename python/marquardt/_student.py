"""Student's t distribution, for intervals: distribution function and quantile.

With nu degrees of freedom and x = nu / (nu + t^2) the upper tail is half the regularised incomplete beta function

    P(T > t) = I_x(nu / 2, 1 / 2) / 2,    t >= 0,

which a continued fraction gives (DiDonato & Morris, Algorithm 708, 1992; evaluated by Lentz's method). The quantile is
its inverse by Newton's iteration on log P as a function of log t. That function is concave and falling, so from the
right of the root the iteration never passes it. With many degrees of freedom, where the fraction cancels, T becomes
normal by the expansions of Cornish and Fisher (Abramowitz & Stegun 26.7.5 and its inverse).
"""

from __future__ import annotations

import math

_EPS = 2.0**-52
_TINY = 1e-300  # what Lentz's method puts for a zero denominator
_LOG_LARGEST = 709.0  # logarithm of the largest number, rounded down
_MANY = 1e5  # degrees of freedom from which the expansions are as good as the fraction
_NEAR = 1e-3  # and t^2 / nu up to which: the first term left out is about its fourth power
_STIRLING_FROM = 40.0  # the first term left out of the series is 17 / (14336 a^7), below 1e-14 from here on


def cdf(t: float, dof: float) -> float:
    """P(T <= t) for T with `dof` degrees of freedom (positive; infinite: the normal distribution)."""
    if math.isnan(t) or math.isnan(dof) or dof <= 0:
        return math.nan
    tail = _tail(abs(t), dof)
    return tail if t < 0 else 1 - tail


def quantile(p: float, dof: float) -> float:
    """The t with P(T <= t) = p; NaN for p outside [0, 1] or `dof` that is not positive."""
    if math.isnan(dof) or dof <= 0 or not 0 <= p <= 1:
        return math.nan
    if p > 0.5:
        return -quantile(1 - p, dof)
    if p == 0:
        return -math.inf
    if p == 0.5:
        return 0.0
    from statistics import NormalDist  # half the time of importing this package, and only intervals need it

    normal = -NormalDist().inv_cdf(p)
    if dof >= _MANY and normal * normal < _NEAR * dof:
        return -_from_normal(normal, dof)
    # Both lie left of the root: the tail of T is heavier than the normal one, and its density falls from t = 0 on.
    t = max(normal, (0.5 - p) * math.sqrt(dof) * math.exp(_log_beta(dof / 2)))
    for _ in range(60):  # quadratic from the third or fourth on
        tail = _tail(t, dof)
        change = math.log(tail / p) * tail / _slope(t, dof)
        if math.log(t) + change > _LOG_LARGEST:
            return -math.inf
        t *= math.exp(change)
        if abs(change) <= 4 * _EPS:
            break
    return -t


def _tail(t: float, dof: float) -> float:
    """P(T > t) for t >= 0."""
    if math.isinf(t):
        return 0.0
    if dof >= _MANY and t * t < _NEAR * dof:
        return 0.5 * math.erfc(_to_normal(t, dof) / math.sqrt(2))
    u = t * t / dof if t < 1e150 else math.inf  # t^2 overflows
    if math.isinf(u):  # x^(nu/2) / (nu B(nu/2, 1/2)), the first term at x = 0
        return math.exp(dof * (0.5 * math.log(dof) - math.log(t)) - math.log(dof) - _log_beta(dof / 2))
    a, x, rest = dof / 2, 1 / (1 + u), u / (1 + u)
    log_front = -a * math.log1p(u) + 0.5 * math.log(rest) - _log_beta(a) if u > 0 else -math.inf
    if x < (a + 1) / (a + 2.5):  # where the fraction converges fast
        return 0.5 * math.exp(log_front) * _fraction(a, 0.5, x) / a
    return 0.5 - math.exp(log_front) * _fraction(0.5, a, rest)


def _from_normal(z: float, dof: float) -> float:
    """The t with the tail that z has in the normal distribution."""
    y, e = z * z, 1 / dof
    third = (((3 * y + 19) * y + 17) * y - 15) / 384
    return z * (1 + e * ((y + 1) / 4 + e * (((5 * y + 16) * y + 3) / 96 + e * third)))


def _to_normal(t: float, dof: float) -> float:
    """The z with the tail that t has."""
    y, e = t * t, 1 / dof
    third = (((35 * y + 19) * y + 1) * y - 15) / 384
    return t * (1 - e * ((y + 1) / 4 - e * (((13 * y + 8) * y + 3) / 96 - e * third)))


def _slope(t: float, dof: float) -> float:
    """Density at t > 0 times t: what the tail falls by, a unit of log t."""
    log_power = math.log1p(t * t / dof) if t < 1e150 else 2 * math.log(t / math.sqrt(dof))
    return math.exp(math.log(t / math.sqrt(dof)) - (dof + 1) / 2 * log_power - _log_beta(dof / 2))


def _log_beta(a: float) -> float:
    """Logarithm of B(a, 1/2): for large a by the series of Gamma(a + 1/2) / Gamma(a), as the logarithms cancel."""
    if a < _STIRLING_FROM:
        return math.lgamma(a) + math.lgamma(0.5) - math.lgamma(a + 0.5)
    q = 1 / (a * a)
    ratio = 0.5 * math.log(a) - (1 / 8 - q * (1 / 192 - q * (1 / 640 - q * 17 / 14336))) / a
    return math.lgamma(0.5) - ratio


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of a B(a, b) I_x(a, b) / (x^a (1 - x)^b)."""
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    h = d
    for k in range(1, 1000 + int(20 * math.sqrt(max(a, b)))):  # it takes about the root of the larger argument
        even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k))
        d, c = 1 / _off_zero(1 + even * d), _off_zero(1 + even / c)
        h *= d * c
        odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
        d, c = 1 / _off_zero(1 + odd * d), _off_zero(1 + odd / c)
        h *= d * c
        if abs(d * c - 1) <= 4 * _EPS:
            break
    return h


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
