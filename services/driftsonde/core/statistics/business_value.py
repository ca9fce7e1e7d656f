"""What the outcomes of a model are worth: a configured value per outcome, summed over a confusion matrix."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_confusion
from driftsonde.core.statistics.intervals import Interval, normal_mean


@dataclass(frozen=True, slots=True)
class BusinessValue:
    """`total` over the rows and `per_row` (NaN without rows), in the unit of the values, e.g. EUR. `interval` is of
    `per_row`."""

    n: float
    total: float
    per_row: float
    interval: Interval


def business_value(confusion: npt.ArrayLike, values: npt.ArrayLike, confidence: float) -> BusinessValue:
    """sum_ij c_ij v_ij and its mean over the rows; rows of both matrices = label, columns = prediction, shape (K, K).

    `values`: what one row of each outcome is worth, e.g. [[0, -5], [-100, 20]] for a fraud model (a false alarm costs
    5, a missed fraud 100, a found one brings 20). Merges as the confusion matrix does. The interval is the normal one of a mean, its
    variance exact from the counts; where every row is worth the same it is a point.
    ValueError: values of another shape or not finite, a confusion matrix that is none, confidence outside (0, 1).
    Source: Elkan, The foundations of cost-sensitive learning, IJCAI 2001 (the cost matrix, with benefits).

    >>> value = business_value([[90, 5], [2, 3]], [[0, -5], [-100, 20]], 0.95)
    >>> value.total, value.per_row
    (-165.0, -1.65)
    """
    cells = as_confusion(confusion)
    worth = as_values(values, cells.shape[0])
    n, total = float(cells.sum()), float((cells * worth).sum())
    if n == 0:
        return BusinessValue(0.0, 0.0, float("nan"), Interval(float(worth.min()), float(worth.max())))
    if n < 2:
        return BusinessValue(n, total, total / n, Interval(float(worth.min()), float(worth.max())))
    mean = total / n
    deviations = float((cells * np.square(worth - mean)).sum())
    spread = normal_mean(int(n), 0.0, deviations, confidence)
    return BusinessValue(n, total, mean, Interval(mean + spread.lower, mean + spread.upper))


def as_values(values: npt.ArrayLike, classes: int) -> FloatArray:
    """The value matrix as float64[K, K]; ValueError for another shape or a value that is not finite."""
    worth = np.asarray(values, dtype=np.float64)
    if worth.shape != (classes, classes):
        raise ValueError(f"values must have the shape ({classes}, {classes}), got {worth.shape}")
    if not np.isfinite(worth).all():
        raise ValueError("values has an entry that is not finite")
    return worth
