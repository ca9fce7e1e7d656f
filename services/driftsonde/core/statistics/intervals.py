"""Confidence intervals of the performance metrics, from the same mergeable forms.

They are valid for one look at a number of rows fixed beforehand; for repeated looks use `anytime`. `confidence` is
the coverage aimed at, in (0, 1), two-sided. Rows are taken as independent. Where nothing is known (no rows) the
interval is the metric's whole range. ValueError naming the argument for values out of range.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from driftsonde.core.statistics.counts import FloatArray, check_probability
from driftsonde.core.statistics.performance import BinaryOutcomes, RegressionOutcomes


@dataclass(frozen=True, slots=True)
class Interval:
    """The closed interval [lower, upper].

    >>> Interval(0.1, 0.3).contains(0.2)
    True
    """

    lower: float
    upper: float

    def contains(self, value: float) -> bool:
        """True where lower <= value <= upper."""
        return self.lower <= value <= self.upper


def wilson(successes: float, n: float, confidence: float) -> Interval:
    """A proportion's score interval: the p with |s/n - p| <= z sqrt(p (1 - p) / n); in [0, 1], never degenerate.

    ValueError: n < 0 or not finite, successes outside [0, n]. Source: Wilson, JASA 22(158), 1927.

    >>> interval = wilson(0, 10, 0.95)
    >>> interval.lower, round(interval.upper, 4)
    (0.0, 0.2775)
    """
    z = normal_quantile(confidence)
    if not 0 <= n < math.inf:
        raise ValueError(f"n must be a number of rows, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n = {n}, got {successes}")
    if n == 0:
        return Interval(0.0, 1.0)
    centre = (successes + z**2 / 2) / (n + z**2)
    half = z * math.sqrt(successes * (1 - successes / n) + z**2 / 4) / (n + z**2)
    lower = max(0.0, centre - half) if successes > 0 else 0.0
    upper = min(1.0, centre + half) if successes < n else 1.0
    return Interval(lower, upper)


def clopper_pearson(successes: float, n: float, confidence: float) -> Interval:
    """A proportion's exact interval: the p that neither tail test at (1 - confidence) / 2 rejects; in [0, 1].

    It covers at least as often as it says at every n and p, so it is what simultaneous statements want, where
    Wilson's is short near 0 and 1. Errors as `wilson`. Source: Clopper & Pearson, Biometrika 26(4), 1934.

    >>> interval = clopper_pearson(0, 10, 0.95)
    >>> interval.lower, round(interval.upper, 4)
    (0.0, 0.3085)
    """
    lower, upper = clopper_pearson_each(np.array([successes]), np.array([n]), confidence)
    return Interval(float(lower[0]), float(upper[0]))


def clopper_pearson_each(
    successes: npt.ArrayLike, n: npt.ArrayLike, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """(lower, upper) of `clopper_pearson` for many proportions at once, float64 of the shape of the arguments, each by itself.

    >>> [ends.round(4).tolist() for ends in clopper_pearson_each([0, 10], [10, 10], 0.95)]
    [[0.0, 0.6915], [0.3085, 1.0]]
    """
    check_probability("confidence", confidence)
    hits, rows = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if not ((rows >= 0) & (rows < math.inf)).all():
        raise ValueError(f"n must be numbers of rows, got {rows}")
    if not ((hits >= 0) & (hits <= rows)).all():
        raise ValueError(f"successes must lie between 0 and n = {rows}, got {hits}")
    tail, misses = (1 - confidence) / 2, rows - hits
    # The beta law's parameters must be positive; where they are not, the end is the range's own.
    lower = np.where(hits > 0, special.betaincinv(np.maximum(hits, 1e-300), misses + 1, tail), 0.0)
    upper = np.where(misses > 0, special.betaincinv(hits + 1, np.maximum(misses, 1e-300), 1 - tail), 1.0)
    return lower, upper


def normal_mean(n: int, total: float, sum_squares: float, confidence: float) -> Interval:
    """A mean's interval x +- z s / sqrt(n), s the sample deviation; the whole line for n < 2. Unit: that of x.

    From n values' sum and sum of squares, so digits are lost where |mean| is many deviations. Asymptotic in n
    (central limit theorem). ValueError: n < 0, a non-finite sum, sum_squares below total^2 / n.
    Source: van der Vaart, Asymptotic Statistics (1998), section 2.1.

    >>> interval = normal_mean(100, 200.0, 499.0, 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (1.804, 2.196)
    """
    z = normal_quantile(confidence)
    if n < 0:
        raise ValueError(f"n must be a number of rows, got {n}")
    if not (math.isfinite(total) and math.isfinite(sum_squares)):
        raise ValueError("total and sum_squares must be finite")
    if n < 2:
        return Interval(-math.inf, math.inf)
    mean = total / n
    squared_deviations = sum_squares - total * mean
    # Rounding alone explains this much, relative or, for squares near the smallest floats, absolute.
    if squared_deviations < -1e-9 * sum_squares - 1e-300:
        raise ValueError("sum_squares is below total^2 / n: not the sums of one sample")
    half = z * math.sqrt(max(0.0, squared_deviations) / (n - 1) / n)
    return Interval(mean - half, mean + half)


def hanley_mcneil(auc: float, negatives: int, positives: int, confidence: float) -> Interval:
    """The ROC AUC's interval: the A with |auc - A| <= z se(A), with Hanley and McNeil's

    se(A)^2 = (A (1-A) + (positives - 1) (A/(2-A) - A^2) + (negatives - 1) (2 A^2/(1+A) - A^2)) / (negatives positives).
    se is taken at the A in question, as Wilson does for a proportion, not at the estimate: so the interval stays in
    [0, 1] and does not shrink to a point at an AUC of 1. Assumes scores as from exponential distributions. Without
    negatives or without positives (`auc` may then be NaN): [0, 1]. ValueError: auc outside [0, 1], counts < 0.
    Source: Hanley & McNeil, Radiology 143(1), 1982; Newcombe, Stat. Med. 25(4), 2006.

    >>> interval = hanley_mcneil(0.9, 50, 50, 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.816, 0.946)
    """
    z = normal_quantile(confidence)
    if negatives < 0 or positives < 0:
        raise ValueError(f"negatives and positives must be numbers of rows, got {negatives}, {positives}")
    if negatives == 0 or positives == 0:
        return Interval(0.0, 1.0)
    if not 0 <= auc <= 1:
        raise ValueError(f"auc must lie in [0, 1], got {auc}")

    def beyond(candidate: float) -> float:
        return (auc - candidate) ** 2 - z**2 * _auc_variance(candidate, negatives, positives)

    # The variance vanishes at 0 and 1, where the equation has a root of its own: stay just inside.
    inside = min(max(auc, 1e-12), 1 - 1e-12)
    lower = float(optimize.brentq(beyond, 0.0, inside)) if auc > 0 else 0.0
    upper = float(optimize.brentq(beyond, inside, 1.0)) if auc < 1 else 1.0
    return Interval(lower, upper)


def accuracy_interval(outcomes: BinaryOutcomes, confidence: float) -> Interval:
    """Wilson's interval of (tp + tn) / n.

    >>> accuracy_interval(BinaryOutcomes(tp=40, fp=5, tn=50, fn=5), 0.95).lower > 0.8
    True
    """
    return wilson(outcomes.tp + outcomes.tn, outcomes.n, confidence)


def precision_interval(outcomes: BinaryOutcomes, confidence: float) -> Interval:
    """Wilson's interval of tp / (tp + fp), given the number predicted positive.

    >>> precision_interval(BinaryOutcomes(tp=0, fp=0, tn=9, fn=1), 0.95)
    Interval(lower=0.0, upper=1.0)
    """
    return wilson(outcomes.tp, outcomes.tp + outcomes.fp, confidence)


def recall_interval(outcomes: BinaryOutcomes, confidence: float) -> Interval:
    """Wilson's interval of tp / (tp + fn), given the number labelled positive.

    >>> recall_interval(BinaryOutcomes(tp=5, fp=0, tn=9, fn=0), 0.95).upper
    1.0
    """
    return wilson(outcomes.tp, outcomes.tp + outcomes.fn, confidence)


def f1_interval(outcomes: BinaryOutcomes, confidence: float) -> Interval:
    """Wilson's interval of J = tp / (tp + fp + fn), mapped by F1 = 2 J / (1 + J), which is increasing.

    Given tp + fp + fn, the number of true positives is binomial, so no delta method is needed.
    Source: Lam, Gopal & Qian, arXiv 2309.14621 (the indirect Wilson method).

    >>> interval = f1_interval(BinaryOutcomes(tp=40, fp=5, tn=50, fn=5), 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.802, 0.94)
    """
    overlap = wilson(outcomes.tp, outcomes.tp + outcomes.fp + outcomes.fn, confidence)
    return Interval(2 * overlap.lower / (1 + overlap.lower), 2 * overlap.upper / (1 + overlap.upper))


def bias_interval(outcomes: RegressionOutcomes, confidence: float) -> Interval:
    """The normal interval of the mean error, in the label's unit.

    >>> interval = bias_interval(RegressionOutcomes(100, 0.0, 80.0, 99.0), 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (-0.196, 0.196)
    """
    return normal_mean(outcomes.n, outcomes.sum_error, outcomes.sum_squared_error, confidence)


def mae_interval(outcomes: RegressionOutcomes, confidence: float) -> Interval:
    """The normal interval of the mean absolute error, in the label's unit, cut at 0 (|e|^2 = e^2).

    >>> interval = mae_interval(RegressionOutcomes(100, 0.0, 80.0, 99.0), 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.683, 0.917)
    """
    interval = normal_mean(outcomes.n, outcomes.sum_abs_error, outcomes.sum_squared_error, confidence)
    return Interval(max(0.0, interval.lower), interval.upper)


def rmse_interval(outcomes: RegressionOutcomes, confidence: float) -> Interval:
    """rmse (1 +- z / sqrt(2 n)), cut at 0, in the label's unit: the normal interval of a standard deviation.

    Right for normal errors, too short for heavy tails (there are no fourth powers in the sketch). [0, inf) for n < 2.
    Source: van der Vaart, Asymptotic Statistics (1998), example 3.2 (the delta method on the variance).

    >>> interval = rmse_interval(RegressionOutcomes(200, 0.0, 160.0, 200.0), 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.902, 1.098)
    """
    z = normal_quantile(confidence)
    if outcomes.n < 2:
        return Interval(0.0, math.inf)
    spread = z / math.sqrt(2 * outcomes.n)
    return Interval(outcomes.rmse * max(0.0, 1 - spread), outcomes.rmse * (1 + spread))


def _auc_variance(auc: float, negatives: int, positives: int) -> float:
    against_positives = (positives - 1) * (auc / (2 - auc) - auc**2)
    against_negatives = (negatives - 1) * (2 * auc**2 / (1 + auc) - auc**2)
    return (auc * (1 - auc) + against_positives + against_negatives) / (negatives * positives)


def normal_quantile(confidence: float) -> float:
    """The z with P(|Z| <= z) = confidence for a standard normal Z; ValueError: confidence outside (0, 1).

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    check_probability("confidence", confidence)
    return float(special.ndtri((1 + confidence) / 2))
