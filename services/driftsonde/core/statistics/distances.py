"""Distances between two binned distributions, from their counts alone.

Every function takes two count vectors of shape (B,), the reference first, B >= 1, integers or floats (rows or
weights). Missing and unseen values are bins of their own, put there by the caller. All raise ValueError naming
the argument for an empty side, a negative or non-finite count, or unequal lengths (`counts.as_count_pair`).
A column with one bin is at distance 0; identical inputs are at distance exactly 0.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy
from scipy import special

from driftsonde.core.statistics.counts import FloatArray, as_count_pair, check_probability

Smoothing = Literal["jeffreys", "evidently"]

_DEVIATION_FLOOR = 0.001


@dataclass(frozen=True, slots=True)
class HomogeneityTest:
    """A two-sample test on counts; `p_value` is asymptotic (chi-square with `degrees_of_freedom`)."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


def population_stability_index(
    reference: npt.ArrayLike, current: npt.ArrayLike, smoothing: Smoothing = "jeffreys"
) -> float:
    """PSI = sum_b (q_b - p_b) ln(q_b / p_b), in nats, >= 0, finite: the smoothing keeps every bin above 0.

    "jeffreys": p_b = (n_b + 1/2) / (N + B/2), the posterior mean under the Jeffreys prior. It expects row counts.
    "evidently": p_b = n_b / N with zeros replaced by 1e-4 (or by a millionth of the smallest positive share where
    that share is <= 1e-4) and not renormalised, to reproduce Evidently's `get_binned_data`.
    Per feature this is the characteristic stability index, on the score the population stability index.
    Source: Lewis, An Introduction to Credit Scoring (1994); Yurdakul (2018), thesis, Western Michigan University.

    >>> round(population_stability_index([50, 50], [80, 20]), 4)
    0.4063
    >>> round(population_stability_index([50, 50], [100, 0], smoothing="evidently"), 4)
    4.6043
    """
    before, after = as_count_pair("reference", reference, "current", current)
    p, q = _smoothed(before, smoothing), _smoothed(after, smoothing)
    return float(np.sum((q - p) * (np.log(q) - np.log(p))))


def population_stability_index_critical(
    bins: int, n_reference: float, n_current: float, alpha: float
) -> float:
    """The PSI exceeded with probability alpha without drift: chi2_{B-1, 1-alpha} (1/N + 1/M).

    Asymptotic in the rows per bin, both samples independent and i.i.d.; compare with `>`. One bin: 0.
    ValueError: bins < 1, a sample size <= 0, alpha outside (0, 1).
    Source: Yurdakul & Naranjo, Statistical properties of the population stability index, J. Risk Model
    Validation 14(4), 2020.

    >>> round(population_stability_index_critical(10, 1000, 1000, 0.05), 4)
    0.0338
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    check_probability("alpha", alpha)
    scale = _inverse_size("n_reference", n_reference) + _inverse_size("n_current", n_current)
    return _chi_square_quantile(1 - alpha, bins - 1) * scale


def kullback_leibler(p: npt.ArrayLike, q: npt.ArrayLike, base: float = math.e) -> float:
    """KL(p || q) = sum_b p_b log(p_b / q_b) in [0, inf]; inf where q misses a bin that p has. Default nats.

    ValueError also for base <= 1. Source: Kullback & Leibler, Ann. Math. Stat. 22(1), 1951.

    >>> kullback_leibler([1, 1], [1, 3], base=2)
    0.2075187496394219
    >>> kullback_leibler([1, 1], [1, 0])
    inf
    """
    left, right = _shares(p, q)
    return max(0.0, float(special.rel_entr(left, right).sum())) / _log_base(base)


def jensen_shannon_divergence(p: npt.ArrayLike, q: npt.ArrayLike, base: float = 2) -> float:
    """D = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2, in [0, log_base 2]; symmetric.

    Base 2 is the form of TensorFlow Data Validation and Vertex (maximum 1); in nats (base e) the maximum is ln 2.
    ValueError also for base <= 1. Source: Lin, IEEE Trans. Inf. Theory 37(1), 1991.

    >>> jensen_shannon_divergence([1, 0], [0, 1])
    1.0
    """
    left, right = _shares(p, q)
    # p ln(p / m) = (2p) ln(2p / (p + q)) / 2, without halving a sum that may already be the smallest float.
    both = left + right
    nats = float((special.rel_entr(2 * left, both) + special.rel_entr(2 * right, both)).sum()) / 4
    return min(max(nats, 0.0), math.log(2)) / _log_base(base)


def jensen_shannon_distance(p: npt.ArrayLike, q: npt.ArrayLike, base: float = 2) -> float:
    """sqrt(`jensen_shannon_divergence`), a metric in [0, sqrt(log_base 2)].

    Base 2 is the form of NannyML (maximum 1), base e the form of Evidently and scipy (maximum 0.8326).
    Source: Endres & Schindelin, IEEE Trans. Inf. Theory 49(7), 2003.

    >>> round(jensen_shannon_distance([1, 0], [0, 1], base=math.e), 4)
    0.8326
    """
    return math.sqrt(jensen_shannon_divergence(p, q, base))


def hellinger_distance(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """H = sqrt(1 - sum_b sqrt(p_b q_b)), a metric in [0, 1].

    Computed as sqrt(sum_b (sqrt p_b - sqrt q_b)^2 / 2), equal and without cancellation near 0.
    Source: Hellinger, J. reine angew. Math. 136, 1909.

    >>> hellinger_distance([1, 0], [0, 1])
    1.0
    """
    left, right = _shares(p, q)
    return min(1.0, math.sqrt(float(np.square(np.sqrt(left) - np.sqrt(right)).sum()) / 2))


def total_variation(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """TV = sum_b |p_b - q_b| / 2, a metric in [0, 1]: the share of rows that would have to change bin.

    Source: Levin & Peres, Markov Chains and Mixing Times, 2nd ed. (2017), proposition 4.2.

    >>> total_variation([50, 50], [75, 25])
    0.25
    """
    left, right = _shares(p, q)
    return min(1.0, float(np.abs(left - right).sum()) / 2)


def l_infinity(p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """max_b |p_b - q_b|, a metric in [0, 1]: the largest change of one bin's share.

    Source: TensorFlow Data Validation's skew comparator, Vertex AI and SageMaker use it for categories.

    >>> l_infinity([50, 50, 0], [25, 50, 25])
    0.25
    """
    left, right = _shares(p, q)
    return float(np.abs(left - right).max())


def kolmogorov_smirnov(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """D = max_b |F_b - G_b| over ordered bins, in [0, 1]; F, G the cumulative shares at the bins' right edges.

    Equal to the two-sample statistic of the rows rounded to their bins, so never above that of the rows.
    Source: Smirnov, Ann. Math. Stat. 19(2), 1948.

    >>> kolmogorov_smirnov([10, 10, 0], [0, 10, 10])
    0.5
    """
    return float(
        np.abs(_cumulative_difference(*as_count_pair("reference", reference, "current", current))).max()
    )


def kolmogorov_smirnov_critical(n: float, m: float, alpha: float) -> float:
    """The bar c(alpha) sqrt((n + m) / (n m)) with c = sqrt(-ln(alpha / 2) / 2), for sample sizes n and m.

    Asymptotic, two-sided; conservative for binned rows. It can exceed 1: then no D is significant.
    ValueError: n or m <= 0, alpha outside (0, 1). Source: Smirnov (1948), first term of the limit law.

    >>> round(kolmogorov_smirnov_critical(1000, 1000, 0.05), 4)
    0.0607
    """
    check_probability("alpha", alpha)
    scale = _inverse_size("n", n) + _inverse_size("m", m)
    return math.sqrt(-math.log(alpha / 2) / 2 * scale)


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnovTest:
    """`statistic`: D of the bins, `statistic_upper`: the most that D of the rows can be. Both p-values are of the
    rows' test: it lies between `p_value_lower` and `p_value`, so a rejection by `p_value` holds for the rows too."""

    statistic: float
    statistic_upper: float
    p_value: float
    p_value_lower: float


def kolmogorov_smirnov_test(
    reference: npt.ArrayLike, current: npt.ArrayLike, sketch_error: float = 0.0
) -> KolmogorovSmirnovTest:
    """The two-sample test on binned rows, with what the sketch does not know widened into the p-value.

    Inside bin b the rows' F - G lies between F_{b-1} - G_b and F_b - G_{b-1}, so D_bins <= D_rows <= D_upper =
    max_b max(F_b - G_{b-1}, G_b - F_{b-1}). `sketch_error`: eps_F + eps_G, the most that the cumulative shares
    themselves are wrong, summed over both sides (0 for exact counts per bin, the rank errors of a quantile sketch);
    it is taken from D and added to D_upper. p-values: the exact one-sample law at round(n m / (n + m)) rows, as
    scipy's `ks_2samp(method="asymp")`; conservative for tied rows.
    ValueError also for a negative sketch_error. Source: Smirnov, Ann. Math. Stat. 19(2), 1948; Simard & L'Ecuyer,
    J. Stat. Softw. 39(11), 2011 (the law).

    >>> test = kolmogorov_smirnov_test([10, 10, 0], [0, 10, 10])
    >>> test.statistic, round(test.p_value, 4)
    (0.5, 0.0078)
    """
    if not 0 <= sketch_error < math.inf:
        raise ValueError(f"sketch_error must be finite and not negative, got {sketch_error}")
    left, right = as_count_pair("reference", reference, "current", current)
    n, m = float(left.sum()), float(right.sum())
    statistic = float(np.abs(_cumulative_difference(left, right)).max())
    below_left, below_right = np.cumsum(left), np.cumsum(right)
    highest = (below_left / n - (below_right - right) / m).max()
    lowest = (below_right / m - (below_left - left) / n).max()
    upper = min(1.0, max(float(highest), float(lowest), statistic) + sketch_error)
    size = max(1, round(n * m / (n + m)))
    return KolmogorovSmirnovTest(
        statistic,
        upper,
        # scipy loads `stats` at its first use: half a second that a service need not wait for when it starts.
        p_value=float(scipy.stats.kstwo.sf(max(0.0, statistic - sketch_error), size)),
        p_value_lower=float(scipy.stats.kstwo.sf(upper, size)),
    )


def wasserstein_distance(edges: npt.ArrayLike, p: npt.ArrayLike, q: npt.ArrayLike) -> float:
    """W1 = sum_b |F_b - G_b| dx_b in the column's unit, >= 0; dx_b between the middles of bins b and b + 1.

    This is W1 of the distributions with each bin's mass at its middle, so it is within the widest bin of the rows'
    own W1. `edges`: B + 1 finite, strictly increasing; the open outer bins are left out by the caller.
    ValueError also for other edges. Source: Vallender, Theory Probab. Appl. 18(4), 1974.

    >>> wasserstein_distance([0, 1, 2, 3], [1, 0, 0], [0, 0, 1])
    2.0
    """
    left, right = as_count_pair("p", p, "q", q)
    bounds = np.asarray(edges, dtype=np.float64)
    if bounds.shape != (left.size + 1,):
        raise ValueError(
            f"edges must have {left.size + 1} entries for {left.size} bins, got shape {bounds.shape}"
        )
    if not np.isfinite(bounds).all() or not (bounds[1:] > bounds[:-1]).all():
        raise ValueError("edges must be finite and strictly increasing")
    middles = bounds[:-1] / 2 + bounds[1:] / 2
    return float(np.abs(_cumulative_difference(left, right))[:-1] @ np.diff(middles))


def normed_wasserstein_distance(
    edges: npt.ArrayLike, reference: npt.ArrayLike, current: npt.ArrayLike, reference_deviation: float
) -> float:
    """W1 / max(s, 0.001), without a unit, >= 0: W1 in standard deviations s of the reference rows.

    `reference_deviation`: s in the column's unit, from the reference's moments, not from its bins. The floor, in the
    same unit, is Evidently's: it keeps a constant column finite, and makes the number depend on the unit only there.
    ValueError also for a negative or non-finite deviation. Other arguments and the error: as `wasserstein_distance`.
    Source: Evidently's "Wasserstein distance (normed)".

    >>> normed_wasserstein_distance([0, 1, 2, 3], [1, 0, 0], [0, 0, 1], reference_deviation=4.0)
    0.5
    """
    if not 0 <= reference_deviation < math.inf:
        raise ValueError(f"reference_deviation must be finite and not negative, got {reference_deviation}")
    return wasserstein_distance(edges, reference, current) / max(reference_deviation, _DEVIATION_FLOOR)


def chi_square(reference: npt.ArrayLike, current: npt.ArrayLike) -> HomogeneityTest:
    """Pearson's two-sample test: X2 = sum (observed - expected)^2 / expected over the 2 x B table of row counts.

    Bins that are empty on both sides carry nothing and cost no degree of freedom. Baseline uncertainty is part of
    the null hypothesis: both rows are samples. One bin: statistic 0, p-value 1. Asymptotic: rare bins want merging.
    Source: Pearson, Phil. Mag. 50, 1900.

    >>> chi_square([50, 50], [60, 40]).statistic
    2.0202020202020203
    """
    table, expected = _contingency(reference, current)
    return _homogeneity(float((np.square(table - expected) / expected).sum()), table)


def g_test(reference: npt.ArrayLike, current: npt.ArrayLike) -> HomogeneityTest:
    """The likelihood-ratio test on the same table: G = 2 sum observed ln(observed / expected).

    Conventions as `chi_square`. Source: Wilks, Ann. Math. Stat. 9(1), 1938.

    >>> round(g_test([50, 50], [60, 40]).statistic, 4)
    2.0238
    """
    table, expected = _contingency(reference, current)
    return _homogeneity(max(0.0, 2 * float(special.rel_entr(table, expected).sum())), table)


def cramers_v(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """Bias-corrected Cramer's V of side against bin, in [0, 1]: an effect size that does not grow with the rows.

    V = sqrt(phi2 / min(k - 1, r - 1)) with phi2 = max(0, X2/n - (B-1)/(n-1)), k = B - (B-1)^2/(n-1) and
    r = 2 - 1/(n-1), for B bins in use and n rows on both sides together. One bin, or too few rows for the
    correction to leave anything (n <= 2 or n <= B): 0.
    Source: Bergsma, J. Korean Stat. Soc. 42(3), 2013.

    >>> round(cramers_v([50, 50], [80, 20]), 4)
    0.3072
    >>> cramers_v([50, 50], [50, 50])
    0.0
    """
    table, expected = _contingency(reference, current)
    spare, n = table.shape[1] - 1, float(table.sum())
    if spare == 0 or n <= 2 or n - 1 <= spare:
        return 0.0
    phi2 = float((np.square(table - expected) / expected).sum()) / n
    corrected = max(0.0, phi2 - spare / (n - 1))
    limit = min(spare - spare**2 / (n - 1), 1 - 1 / (n - 1))
    return min(1.0, math.sqrt(corrected / limit))


def _shares(p: npt.ArrayLike, q: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    left, right = as_count_pair("p", p, "q", q)
    return left / left.sum(), right / right.sum()


def _smoothed(counts: FloatArray, smoothing: Smoothing) -> FloatArray:
    match smoothing:
        case "jeffreys":
            return np.asarray((counts + 0.5) / (counts.sum() + counts.size / 2))
        case "evidently":
            shares = counts / counts.sum()
            smallest = float(shares[shares > 0].min())
            return np.where(shares > 0, shares, smallest / 1e6 if smallest <= 1e-4 else 1e-4)
        case _:
            raise ValueError(f"smoothing must be 'jeffreys' or 'evidently', got {smoothing!r}")


def _cumulative_difference(left: FloatArray, right: FloatArray) -> FloatArray:
    # Summing counts first and dividing once is exact for integers, so proportional sides give exactly 0.
    below_left, below_right = np.cumsum(left), np.cumsum(right)
    return np.asarray(below_left / below_left[-1] - below_right / below_right[-1])


def _contingency(reference: npt.ArrayLike, current: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The 2 x B table of observed counts over the bins in use, and what independence expects there."""
    table = np.vstack(as_count_pair("reference", reference, "current", current))
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1) / table.sum(), table.sum(axis=0))
    return table, expected


def _homogeneity(statistic: float, table: FloatArray) -> HomogeneityTest:
    spare = table.shape[1] - 1
    if spare == 0:
        return HomogeneityTest(0.0, 0, 1.0)
    return HomogeneityTest(statistic, spare, float(special.chdtrc(spare, statistic)))


def _chi_square_quantile(probability: float, degrees_of_freedom: int) -> float:
    return (
        float(2.0 * special.gammaincinv(degrees_of_freedom / 2.0, probability)) if degrees_of_freedom else 0.0
    )


def _inverse_size(name: str, size: float) -> float:
    if not 0 < size < math.inf:
        raise ValueError(f"{name} must be a positive number of rows, got {size}")
    return 1 / size


def _log_base(base: float) -> float:
    if not 1 < base < math.inf:
        raise ValueError(f"base must be finite and above 1, got {base}")
    return math.log(base)
