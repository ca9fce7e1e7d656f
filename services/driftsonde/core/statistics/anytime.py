"""Confidence sequences: intervals that hold at all sample sizes at once, so one may look after every row and stop.

The guarantee of each sequence here: with probability >= 1 - alpha, *every* interval of the sequence, at every
number of rows n >= 1 and thus at any data-dependent time, contains the target. It is not asymptotic. It needs

* outcomes in [0, 1] (a 0/1 loss, or a bounded loss scaled by its bounds);
* an order of rows that does not depend on their outcomes. Labels that arrive sooner when they are positive break it:
  look at windows at label maturity.

Targets by `bound`: "sub_gaussian": the running average of the rows' conditional means given the past, which may
wander (seasons, drift, dependence). "beta_binomial": one conditional mean common to all rows; the interval adapts to
the variance p (1 - p), so it is far shorter for rates near 0 or 1, but it promises nothing about a wandering mean.
"""

import math
from typing import Literal

from scipy import optimize, special

from driftsonde.core.statistics.counts import check_probability
from driftsonde.core.statistics.intervals import Interval

Bound = Literal["sub_gaussian", "beta_binomial"]

# Hoeffding's lemma: an outcome in [0, 1] is sub-Gaussian with variance (1/2)^2 around its conditional mean.
_VARIANCE_OF_UNIT_RANGE = 0.25


def normal_mixture_radius(variance_sum: float, rho: float, alpha: float) -> float:
    """u(V) = sqrt((V + rho) ln((V + rho) / (rho alpha^2))): P(there is t: |S_t| >= u(V_t)) <= alpha.

    S_t: a sum of deviations from the conditional means, each sub-Gaussian with a variance known before it is seen;
    V_t: the sum of those variances. rho > 0, in V's unit, is fixed before the data (see `normal_mixture_rho`).
    ValueError: variance_sum < 0, rho <= 0, alpha outside (0, 1).
    Source: Howard, Ramdas, McAuliffe & Sekhon, Ann. Stat. 49(2), 2021, the two-sided normal mixture.

    >>> round(normal_mixture_radius(250.0, 25.0, 0.05), 3)
    48.032
    """
    check_probability("alpha", alpha)
    if not 0 <= variance_sum < math.inf:
        raise ValueError(f"variance_sum must be finite and not negative, got {variance_sum}")
    if not 0 < rho < math.inf:
        raise ValueError(f"rho must be finite and positive, got {rho}")
    return math.sqrt((variance_sum + rho) * (math.log1p(variance_sum / rho) - 2 * math.log(alpha)))


def normal_mixture_rho(variance_sum: float, alpha: float) -> float:
    """The rho for which `normal_mixture_radius` is smallest at this V: V / (-W_{-1}(-alpha^2 / e) - 1).

    ValueError: variance_sum <= 0, alpha outside (0, 1). Source: Howard et al. (2021), on tuning boundaries.

    >>> round(normal_mixture_rho(250.0, 0.05), 2)
    30.44
    """
    check_probability("alpha", alpha)
    if not 0 < variance_sum < math.inf:
        raise ValueError(f"variance_sum must be finite and positive, got {variance_sum}")
    branch = float(special.lambertw(-(alpha**2) / math.e, k=-1).real)
    return variance_sum / (-branch - 1)


def mean_sequence(
    n: int, total: float, alpha: float, bound: Bound = "sub_gaussian", tightest_at: int = 1000
) -> Interval:
    """The interval at n rows of a confidence sequence for a mean of outcomes in [0, 1], from their `total`.

    "sub_gaussian": total/n +- u(n/4)/n with u the normal mixture's radius, rho tuned to be shortest at
    `tightest_at` rows. "beta_binomial": the p whose likelihood is above alpha times that of the Jeffreys mixture,
    {p: B(s + 1/2, n - s + 1/2) / B(1/2, 1/2) < p^s (1 - p)^(n - s) / alpha}; the ratio is a supermartingale for
    outcomes in [0, 1] too, as its factors are convex in the outcome. `bound`, `tightest_at` and alpha are fixed
    before the data. n = 0: [0, 1]. The guarantee and what each bound is about: the module's docstring.
    ValueError: n < 0, total outside [0, n], tightest_at < 1, alpha outside (0, 1), another bound.
    Source: Howard et al. (2021); Robbins, Ann. Math. Stat. 41(5), 1970 (the method of mixtures).

    >>> mean_sequence(1000, 50, 0.05, "beta_binomial").upper < mean_sequence(1000, 50, 0.05).upper
    True
    """
    check_probability("alpha", alpha)
    if not 0 <= n < math.inf:
        raise ValueError(f"n must be a number of rows, got {n}")
    if not 0 <= total <= n:
        raise ValueError(f"total must lie between 0 and n = {n}: outcomes are in [0, 1], got {total}")
    if tightest_at < 1:
        raise ValueError(f"tightest_at must be at least 1 row, got {tightest_at}")
    if bound not in ("sub_gaussian", "beta_binomial"):
        raise ValueError(f"bound must be 'sub_gaussian' or 'beta_binomial', got {bound!r}")
    if n == 0:
        return Interval(0.0, 1.0)
    if bound == "beta_binomial":
        lower = _beta_binomial_lower(total, n - total, alpha)
        return Interval(lower, 1 - _beta_binomial_lower(n - total, total, alpha))
    rho = normal_mixture_rho(tightest_at * _VARIANCE_OF_UNIT_RANGE, alpha)
    half = normal_mixture_radius(n * _VARIANCE_OF_UNIT_RANGE, rho, alpha) / n
    return Interval(max(0.0, total / n - half), min(1.0, total / n + half))


def mean_difference_sequence(
    n_a: int,
    successes_a: float,
    n_b: int,
    successes_b: float,
    alpha: float,
    bound: Bound = "sub_gaussian",
    tightest_at: int = 1000,
) -> Interval:
    """The interval of a confidence sequence for mean_b - mean_a of two arms with outcomes in [0, 1].

    `successes` are the sums of outcomes. Each arm has its own `mean_sequence` at alpha / 2, and the interval is
    [lower_b - upper_a, upper_b - lower_a]: by the union bound, with probability >= 1 - alpha it contains the
    difference for all n_a and n_b at once. So the arms may grow at any pace, be looked at at any time, and depend on
    each other. Within an arm the module's conditions hold; which means are compared depends on `bound`: the
    averages over the rows seen by each arm ("sub_gaussian"), or one constant mean each ("beta_binomial").
    Without rows in one arm nothing is known of it. Errors and parameters: as `mean_sequence`.
    Source: Howard et al. (2021) for each arm.

    >>> interval = mean_difference_sequence(2000, 200, 2000, 400, alpha=0.05)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.026, 0.174)
    """
    check_probability("alpha", alpha)
    a = mean_sequence(n_a, successes_a, alpha / 2, bound, tightest_at)
    b = mean_sequence(n_b, successes_b, alpha / 2, bound, tightest_at)
    return Interval(b.lower - a.upper, b.upper - a.lower)


def paired_difference_sequence(
    n: int, only_a: int, only_b: int, alpha: float, bound: Bound = "sub_gaussian", tightest_at: int = 1000
) -> Interval:
    """The interval of a confidence sequence for mean_b - mean_a where both arms answer the same n rows, right or wrong.

    only_a, only_b: rows on which only that arm was right. A row that both get right, or both wrong, says that they do not
    differ there, so two models that mostly agree are told apart from far fewer rows than by `mean_difference_sequence`.
    "sub_gaussian": `mean_sequence` of (d + 1) / 2, d in {-1, 0, 1} the row's difference, mapped back: for the running
    average of the conditional means, which may wander. "beta_binomial", for one law common to all rows: the d for which
    max over (a, b) with b - a = d of a^only_a b^only_b (1 - a - b)^rest is above alpha times the Dirichlet(1/2, 1/2, 1/2)
    mixture of that likelihood. The mixture over the likelihood of the true (a, b) is a martingale, and the maximum is not
    below that likelihood, so Ville's inequality gives 1 - alpha for all n at once. n = 0: [-1, 1].
    ValueError: negative counts, only_a + only_b > n, and as `mean_sequence`.
    Source: Robbins (1970); Wasserman, Ramdas & Balakrishnan, PNAS 117(29), 2020 (the maximum over a composite null).

    >>> paired = paired_difference_sequence(2000, 60, 160, 0.05, "beta_binomial")
    >>> round(paired.lower, 3), round(paired.upper, 3)
    (0.017, 0.085)
    """
    check_probability("alpha", alpha)
    if min(n, only_a, only_b) < 0 or only_a + only_b > n:
        raise ValueError(f"only_a and only_b must be rows of the n = {n}, got {only_a}, {only_b}")
    if bound == "beta_binomial":
        upper = -_paired_lower(n, only_b, only_a, alpha)
        return Interval(_paired_lower(n, only_a, only_b, alpha), upper)
    half = mean_sequence(n, (n + only_b - only_a) / 2, alpha, bound, tightest_at)
    return Interval(2 * half.lower - 1, 2 * half.upper - 1)


def _paired_lower(n: int, only_a: int, only_b: int, alpha: float) -> float:
    """The smallest difference in the set; the profile of the likelihood rises to its maximum at the mean."""
    if n == 0:
        return -1.0
    rest = n - only_a - only_b
    parts = (only_a + 0.5, only_b + 0.5, rest + 0.5)
    log_mixture = sum(special.gammaln(part) for part in parts) - special.gammaln(n + 1.5)
    floor = float(log_mixture - 3 * special.gammaln(0.5) + special.gammaln(1.5)) + math.log(alpha)

    def excess(difference: float) -> float:
        return floor - _paired_profile(only_a, only_b, rest, difference)

    lowest = -1.0 + 1e-12
    if excess(lowest) <= 0:
        return -1.0
    return float(optimize.brentq(excess, lowest, (only_b - only_a) / n))


def _paired_profile(only_a: int, only_b: int, rest: int, difference: float) -> float:
    """max over a of ln a^only_a (a + difference)^only_b (1 - 2 a - difference)^rest; concave in a, so its derivative is
    followed to 0 by bisection between the ends of what a can be."""
    low, high = max(0.0, -difference), (1 - difference) / 2

    def slope(a: float) -> float:
        return only_a / a + only_b / (a + difference) - 2 * rest / (1 - 2 * a - difference)

    for _ in range(60):
        middle = (low + high) / 2
        inside = middle > 0 and middle + difference > 0 and 1 - 2 * middle - difference > 0
        if not inside:
            break
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    a = (low + high) / 2
    return float(
        special.xlogy(only_a, max(a, 0.0))
        + special.xlogy(only_b, max(a + difference, 0.0))
        + special.xlogy(rest, max(1 - 2 * a - difference, 0.0))
    )


def _beta_binomial_lower(hits: float, misses: float, alpha: float) -> float:
    """The smallest p in the beta-binomial set; the log ratio falls from infinity at 0 to below 0 at the mean."""
    if hits == 0:
        return 0.0
    log_mixture = float(special.betaln(hits + 0.5, misses + 0.5) - special.betaln(0.5, 0.5))

    def excess(p: float) -> float:
        log_likelihood = hits * math.log(p) + float(special.xlog1py(misses, -p))
        return log_mixture - log_likelihood + math.log(alpha)

    smallest = 1e-300
    if excess(smallest) <= 0:
        return 0.0
    # A mean that rounds to 1 is impossible under p = 1 itself if there was any miss, so stay just below.
    mean = min(hits / (hits + misses), math.nextafter(1.0, 0.0))
    return float(optimize.brentq(excess, smallest, mean))
