"""The error of a regression without labels (direct loss estimation, DLE), and its gap against late labels.

A row whose prediction is in bin b is expected to be as wrong as the baseline's rows in b were. What it assumes, and
what the gap is for: see `estimated`.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_count_pair, as_counts
from driftsonde.core.statistics.estimated import Estimate, trusted_rows
from driftsonde.core.statistics.intervals import Interval, normal_quantile


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """What the baseline's labels say of each bin of the prediction: rows, and the sums of |e|, e^2 and e^4, float64[B],
    e = prediction - label in the label's unit. ValueError: unequal lengths, no rows, a sum that is none."""

    rows: FloatArray
    absolute: FloatArray
    squared: FloatArray
    fourth: FloatArray

    def __post_init__(self) -> None:
        for name in ("absolute", "squared", "fourth"):
            as_count_pair("rows", self.rows, name, getattr(self, name), allow_empty=True)
        as_counts("rows", self.rows)


def estimated_mae(table: ErrorTable, rows: npt.ArrayLike, confidence: float) -> Estimate:
    """The expected mean absolute error, in the label's unit, of rows by bin of the prediction, float64[B].

    value = sum_b w_b mean_b |e|; a bin without baseline rows counts as the mean of all. Interval: normal, cut at 0, with
    the variance of the errors to come and that of the baseline's means. Source: NannyML's DLE, its regressor being a
    mean per bin here.

    >>> table = ErrorTable(*(np.array(part) for part in ([10.0, 10], [10.0, 30], [20.0, 100], [90.0, 1500])))
    >>> estimated_mae(table, [10, 30], 0.95).value
    2.5
    """
    mean, variance = _bin_moments(table, table.absolute, table.squared)
    return _weighted(table, rows, mean, variance, confidence)


def estimated_rmse(table: ErrorTable, rows: npt.ArrayLike, confidence: float) -> Estimate:
    """The expected root mean squared error, in the label's unit; as `estimated_mae`, on e^2, and its root.

    >>> table = ErrorTable(*(np.array(part) for part in ([10.0, 10], [10.0, 30], [20.0, 100], [90.0, 1500])))
    >>> round(estimated_rmse(table, [10, 30], 0.95).value, 4)
    2.8284
    """
    mean, variance = _bin_moments(table, table.squared, table.fourth)
    squared = _weighted(table, rows, mean, variance, confidence)
    return Estimate(
        math.sqrt(squared.value) if squared.value == squared.value else math.nan,
        Interval(math.sqrt(squared.interval.lower), math.sqrt(squared.interval.upper)),
    )


def mae_gap(
    table: ErrorTable,
    rows: npt.ArrayLike,
    labelled: int,
    sum_absolute: float,
    sum_squared: float,
    confidence: float,
) -> Estimate:
    """Realised minus estimated mean absolute error, in the label's unit: above 0 the model is worse than its inputs explain.

    Realised from the labelled rows' sums of |e| and e^2. `rows`, interval and conditions: as `estimated.accuracy_gap`, with the
    sample variance of |e|; the whole line for fewer than 2 labels, with the value NaN without any.
    """
    if labelled < 0 or sum_absolute < 0 or sum_squared < 0:
        raise ValueError("labelled, sum_absolute and sum_squared must not be negative")
    estimate = estimated_mae(table, rows, confidence)
    unknown = Interval(-math.inf, math.inf)
    if labelled == 0 or math.isnan(estimate.value):
        return Estimate(math.nan, unknown)
    value = sum_absolute / labelled - estimate.value
    if labelled < 2:
        return Estimate(value, unknown)
    counts = as_counts("rows", rows)
    _, variance = _bin_moments(table, table.absolute, table.squared)
    own = max(0.0, sum_squared - sum_absolute**2 / labelled) / (labelled - 1) / labelled
    shares = counts / counts.sum()
    of_means = float(np.square(shares) @ (variance / trusted_rows(table.rows)))
    half = normal_quantile(confidence) * math.sqrt(own + of_means)
    return Estimate(value, Interval(value - half, value + half))


def _bin_moments(table: ErrorTable, sums: FloatArray, squares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of a quantity in each bin, float64[B]; in a bin with fewer than two rows the variance of all."""
    n = float(table.rows.sum())
    whole = float(sums.sum()) / n
    whole_variance = max(0.0, float(squares.sum()) / n - whole**2)
    mean = np.divide(sums, table.rows, out=np.full_like(sums, whole), where=table.rows > 0)
    square = np.divide(squares, table.rows, out=np.zeros_like(squares), where=table.rows > 0)
    return mean, np.where(table.rows > 1, np.maximum(square - np.square(mean), 0.0), whole_variance)


def _weighted(
    table: ErrorTable, rows: npt.ArrayLike, mean: FloatArray, variance: FloatArray, confidence: float
) -> Estimate:
    counts = as_counts("rows", rows, allow_empty=True)
    if counts.size != table.rows.size:
        raise ValueError(f"rows must have {table.rows.size} bins, got {counts.size}")
    z = normal_quantile(confidence)
    n = float(counts.sum())
    if n == 0:
        return Estimate(math.nan, Interval(0.0, math.inf))
    shares = counts / n
    value = float(shares @ mean)
    # Given the bins, only the spread inside them is left to chance.
    half = z * math.sqrt(
        float(shares @ variance) / n + float(np.square(shares) @ (variance / trusted_rows(table.rows)))
    )
    return Estimate(value, Interval(max(0.0, value - half), value + half))
