"""How good probabilities are, from rows per score and label: Brier score, log loss, calibration, each with an interval.

`scores`: the predicted probabilities of the positive class, float64[m] in [0, 1]; `negatives`, `positives`: rows of each
score by label, shape (m,). Scores on a coarse grid move the numbers by no more than the grid's step times the loss's slope.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_count_pair, check_probability
from driftsonde.core.statistics.intervals import Interval, clopper_pearson_each, normal_mean, wilson

# As scikit-learn's log_loss: a certain and wrong score costs a finite amount.
SCORE_MARGIN = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class MeanLoss:
    """The mean over `n` rows (NaN without rows) and its normal interval, cut at 0; from [0, inf) for n < 2."""

    n: int
    value: float
    interval: Interval


def brier_score(
    scores: npt.ArrayLike, negatives: npt.ArrayLike, positives: npt.ArrayLike, confidence: float
) -> MeanLoss:
    """The mean of (score - label)^2, in [0, 1]. Source: Brier, Mon. Weather Rev. 78(1), 1950.

    >>> brier_score([0.25, 0.75], [5, 0], [0, 5], 0.95).value
    0.0625
    """
    values, neg, pos = _as_scored(scores, negatives, positives)
    return _mean_loss(np.square(values), np.square(1 - values), neg, pos, confidence)


def log_loss(
    scores: npt.ArrayLike, negatives: npt.ArrayLike, positives: npt.ArrayLike, confidence: float
) -> MeanLoss:
    """The mean of -ln(score of the label), in nats; scores are kept `SCORE_MARGIN` away from 0 and 1.

    Source: Good, J. R. Stat. Soc. B 14(1), 1952; the margin is scikit-learn's.

    >>> round(log_loss([0.5], [3], [3], 0.95).value, 4)
    0.6931
    """
    values, neg, pos = _as_scored(scores, negatives, positives)
    inside = np.clip(values, SCORE_MARGIN, 1 - SCORE_MARGIN)
    return _mean_loss(-np.log1p(-inside), -np.log(inside), neg, pos, confidence)


def calibration_bins(
    scores: npt.ArrayLike, negatives: npt.ArrayLike, positives: npt.ArrayLike, bins: int = 10
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(rows, sum of scores, positives) in bins of equal width over [0, 1], each float64[bins]; the last one is closed.

    What `performance.expected_calibration_error` and `calibration_error_interval` take. ValueError: bins < 1.

    >>> [part.tolist() for part in calibration_bins([0.1, 0.9], [1, 0], [1, 2], bins=2)]
    [[2.0, 2.0], [0.2, 1.8], [1.0, 2.0]]
    """
    values, neg, pos = _as_scored(scores, negatives, positives)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    place = np.minimum((values * bins).astype(np.int64), bins - 1)
    parts = (neg + pos, values * (neg + pos), pos)
    rows, score_sum, hits = (np.bincount(place, part, minlength=bins).astype(np.float64) for part in parts)
    return rows, score_sum, hits


def calibration_error_interval(
    rows: npt.ArrayLike, sum_scores: npt.ArrayLike, positives: npt.ArrayLike, confidence: float
) -> Interval:
    """The interval of the expected calibration error over these bins, in [0, 1]; arguments shape (B,).

    The plug-in ECE is biased upwards: a calibrated model on few rows has one above 0. So each bin's rate gets its
    exact interval at 1 - (1 - confidence) / B' (B' bins in use, Bonferroni), and the ends are the smallest and the largest
    sum_b (n_b / N) |rate_b - mean score_b| that rates in those intervals have. The lower end is 0 where calibration is
    not refuted. Conservative. Without rows: [0, 1].
    Source: Clopper & Pearson (1934) per bin; on the bias, Bröcker, Clim. Dyn. 39, 2012.

    >>> calibration_error_interval([100], [50], [48], 0.95).lower
    0.0
    """
    check_probability("confidence", confidence)
    n, score = as_count_pair("rows", rows, "sum_scores", sum_scores, allow_empty=True)
    _, hits = as_count_pair("rows", rows, "positives", positives, allow_empty=True)
    used = n > 0
    if not used.any():
        return Interval(0.0, 1.0)
    n, mean = n[used], score[used] / n[used]
    least, most = clopper_pearson_each(hits[used], n, 1 - (1 - confidence) / n.size)
    lower = float(n @ np.maximum(0.0, np.maximum(least - mean, mean - most)))
    upper = float(n @ np.maximum(np.abs(least - mean), np.abs(most - mean)))
    whole = float(n.sum())
    return Interval(lower / whole, min(1.0, upper / whole))


def average_precision_interval(value: float, positives: int, confidence: float) -> Interval:
    """Wilson's interval of the average precision as if it were a proportion of the positives; [0, 1] without them.

    The binomial interval of Boyd et al., with Wilson's score form, so that it stays in [0, 1] and is no point at 1. It
    ignores that the precisions at different thresholds depend on each other: an approximation, to be read as such.
    ValueError: value outside [0, 1], positives < 0. Source: Boyd, Eng & Page, ECML PKDD 2013.

    >>> interval = average_precision_interval(0.9, 50, 0.95)
    >>> round(interval.lower, 3), round(interval.upper, 3)
    (0.786, 0.957)
    """
    if positives < 0:
        raise ValueError(f"positives must be a number of rows, got {positives}")
    if positives == 0:
        return wilson(0, 0, confidence)
    if not 0 <= value <= 1:
        raise ValueError(f"value must lie in [0, 1], got {value}")
    return wilson(value * positives, positives, confidence)


def _mean_loss(
    of_negatives: FloatArray, of_positives: FloatArray, neg: FloatArray, pos: FloatArray, confidence: float
) -> MeanLoss:
    n = int(neg.sum() + pos.sum())
    total = float(neg @ of_negatives + pos @ of_positives)
    if n < 2:
        check_probability("confidence", confidence)
        return MeanLoss(n, total / n if n else math.nan, Interval(0.0, math.inf))
    mean = total / n
    deviations = float(neg @ np.square(of_negatives - mean) + pos @ np.square(of_positives - mean))
    spread = normal_mean(n, 0.0, deviations, confidence)
    return MeanLoss(n, mean, Interval(max(0.0, mean + spread.lower), mean + spread.upper))


def _as_scored(
    scores: npt.ArrayLike, negatives: npt.ArrayLike, positives: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores must be a vector of probabilities")
    if values.size == 0:
        return values, np.zeros(0), np.zeros(0)
    neg, pos = as_count_pair("negatives", negatives, "positives", positives, allow_empty=True)
    if neg.size != values.size:
        raise ValueError(f"negatives must have as many entries as scores: {neg.size} != {values.size}")
    return values, neg, pos
