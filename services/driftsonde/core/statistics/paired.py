"""Confidence sequences for the difference of two models that answered the same rows, from what windows add up to.

As in `anytime`: with probability >= 1 - alpha every interval of the sequence, at every time, contains the target, the
running average of the rows' conditional mean differences, which may wander. The order of rows within a window need not be
known: all that must be predictable of a row is known before its window begins.
"""

import math

from scipy import optimize, special

from driftsonde.core.statistics.anytime import normal_mixture_radius, normal_mixture_rho
from driftsonde.core.statistics.counts import check_probability
from driftsonde.core.statistics.intervals import Interval

# A row's difference is -1, 0 or 1: the range of what is bounded.
_RANGE = 2.0
# Where the boundary is tightest: so much variance have 1,000 rows on 5 % of which the two differ.
_TIGHTEST_VARIANCE = 50.0


def window_variance(n: int, only_a: int, only_b: int, expected: float) -> float:
    """sum of (d - expected)^2 over a window's rows, d = 1 where only b was right, -1 where only a was, else 0.

    `expected`: the mean difference of the windows before, in [-1, 1]; any value known before the window is valid.
    ValueError: counts that are not of n rows, expected outside [-1, 1].

    >>> window_variance(100, 2, 3, 0.0)
    5.0
    """
    _check_counts(n, only_a, only_b)
    if not -1 <= expected <= 1:
        raise ValueError(f"expected must lie in [-1, 1], got {expected}")
    rest = n - only_a - only_b
    return only_b * (1 - expected) ** 2 + only_a * (1 + expected) ** 2 + rest * expected**2


def paired_accuracy_sequence(n: int, only_a: int, only_b: int, variance_sum: float, alpha: float) -> Interval:
    """The interval for accuracy of b minus accuracy of a: (only_b - only_a) / n +- u(V) / n, cut to [-1, 1].

    V: `variance_sum`, the sum of `window_variance` over the windows; u(V): the gamma-exponential mixture boundary at
    alpha / 2 for sums that are sub-exponential with scale 2, the range of a row's difference. Rows on which both are right,
    or both wrong, add next to nothing to V: two models that mostly agree are told apart from few rows. n = 0: [-1, 1].
    ValueError: counts that are not of n rows, negative V, alpha outside (0, 1).
    Source: Howard, Ramdas, McAuliffe & Sekhon, Ann. Stat. 49(2), 2021, Theorem 4 (empirical Bernstein) with Proposition 9.

    >>> interval = paired_accuracy_sequence(2000, 60, 160, 220.0, 0.05)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.023, 0.077)
    """
    check_probability("alpha", alpha)
    _check_counts(n, only_a, only_b)
    if not 0 <= variance_sum < math.inf:
        raise ValueError(f"variance_sum must be finite and not negative, got {variance_sum}")
    if n == 0:
        return Interval(-1.0, 1.0)
    half = gamma_exponential_radius(variance_sum, _TIGHTEST_VARIANCE, alpha / 2, _RANGE) / n
    difference = (only_b - only_a) / n
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


def gamma_exponential_radius(variance_sum: float, tightest_at: float, alpha: float, scale: float) -> float:
    """u(V), with P(there is t: S_t >= u(V_t)) <= alpha for sums that are sub-exponential with this scale.

    The s at which the mixture supermartingale over a truncated gamma law,
        ln m(s, V) = r ln r - ln G(r) - ln P(r, r) + ln G(v) + ln P(v, w) - v ln w + w - r,
        r = rho / c^2, v = (V + rho) / c^2, w = (c s + V + rho) / c^2, P the regularised lower incomplete gamma function,
    reaches 1 / alpha. rho is tuned, as for the normal mixture, to be near its best at V = `tightest_at`.
    ValueError: alpha outside (0, 1), negative V, tightest_at or scale not positive.
    Source: Howard et al. (2021), Proposition 9; the form of their package confseq.

    >>> radius = gamma_exponential_radius(220.0, 50.0, 0.025, 2.0)
    >>> 40 < radius < 70
    True
    """
    check_probability("alpha", alpha)
    if variance_sum < 0 or tightest_at <= 0 or scale <= 0:
        raise ValueError(f"V {variance_sum}, tightest_at {tightest_at} or scale {scale} is out of range")
    # The normal mixture's rule, for one side at alpha, that is two at twice as much.
    rho = normal_mixture_rho(tightest_at, min(2 * alpha, 0.99))
    square = scale * scale
    r, v = rho / square, (variance_sum + rho) / square
    constant = r * math.log(r) - special.gammaln(r) - math.log(special.gammainc(r, r)) - r

    def excess(s: float) -> float:
        w = s / scale + v
        log_mixture = special.gammaln(v) + math.log(special.gammainc(v, w)) - v * math.log(w) + w
        return float(constant + log_mixture + math.log(alpha))

    upper = scale
    while excess(upper) < 0:
        upper *= 2
    return float(optimize.brentq(excess, 0.0, upper))


def mean_loss_sequence(
    n: int, total: float, squares: float, alpha: float, tightest_at: int = 1000
) -> Interval:
    """The interval at n rows of an asymptotic confidence sequence for a mean of unbounded outcomes.

    total / n +- s u(n) / n with u the normal mixture's radius (`anytime`), s the standard deviation over the rows. What a
    sequence is for bounded outcomes at any n this is once n is large, as a normal interval is for a fixed n: ask for a least
    number of rows, some hundreds. Two rows at least: otherwise the whole line, as where the sums are not finite.
    ValueError: n < 0, alpha outside (0, 1), tightest_at < 1.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Ann. Stat. 52(6), 2024, Theorem 2.2.

    >>> interval = mean_loss_sequence(1000, 100.0, 1010.0, 0.05)
    >>> round(interval.lower, 2), round(interval.upper, 2)
    (0.0, 0.2)
    """
    check_probability("alpha", alpha)
    if n < 0 or tightest_at < 1:
        raise ValueError(f"n must not be negative and tightest_at at least 1, got {n} and {tightest_at}")
    if n < 2 or not math.isfinite(total + squares):
        return Interval(-math.inf, math.inf)
    mean = total / n
    deviation = math.sqrt(max(0.0, squares / n - mean * mean))
    half = deviation * normal_mixture_radius(n, normal_mixture_rho(tightest_at, alpha), alpha) / n
    return Interval(mean - half, mean + half)


def _check_counts(n: int, only_a: int, only_b: int) -> None:
    if min(n, only_a, only_b) < 0 or only_a + only_b > n:
        raise ValueError(f"only_a and only_b must be rows of the n = {n}, got {only_a}, {only_b}")
