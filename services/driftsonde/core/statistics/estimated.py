"""Performance without labels, and how far labels that come later say otherwise.

Classification (confidence-based performance estimation, CBPE): a row whose calibrated probability is p is a positive p
times; summing that gives the confusion matrix that is to be expected. Regression: see `estimated_errors`. Both answer to a
change of the inputs, and assume that P(label | score) is the baseline's. Where that fails (concept drift) the labels
disagree with the estimate: that gap is a series of its own, and its interval says whether it is more than chance.

Mergeable forms: rows and sums per bin. `confusion` matrices have rows = label, columns = prediction, here of expected
(fractional) rows; the functions of `performance` take them. ValueError naming the argument: a negative or
non-finite count, other shapes, an empty baseline.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_count_pair, as_counts, check_cells
from driftsonde.core.statistics.intervals import Interval, normal_quantile


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value`, NaN without rows, and the interval in which the labels' own number will lie, if nothing but chance and the
    baseline's size speaks against it."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class LabelTable:
    """What the baseline's labels say of each score bin: `counts`, float64[B, K, K], rows by bin, label and prediction.
    ValueError: another shape, no rows at all, a count that is none."""

    counts: FloatArray

    def __post_init__(self) -> None:
        shape = self.counts.shape
        if self.counts.ndim != 3 or shape[1] != shape[2] or self.counts.size == 0:
            raise ValueError(f"counts must have the shape (bins, classes, classes), got {shape}")
        check_cells("counts", self.counts)
        if not self.counts.any():
            raise ValueError("counts is empty: a baseline without labels estimates nothing")

    @property
    def rows(self) -> FloatArray:
        """Labelled rows of each bin, float64[B]."""
        return np.asarray(self.counts.sum(axis=(1, 2)))

    def rates(self) -> FloatArray:
        """The share of each (label, prediction) in each bin, float64[B, K, K]; in a bin without rows that of all."""
        whole = self.counts.sum(axis=0) / self.counts.sum()
        rows = self.rows[:, None, None]
        borrowed = np.broadcast_to(whole, self.counts.shape).copy()
        return np.asarray(np.divide(self.counts, rows, out=borrowed, where=rows > 0))


def expected_confusion_of_scores(rows: npt.ArrayLike, positives: npt.ArrayLike) -> FloatArray:
    """The expected confusion matrix of a binary task, float64[2, 2] = [[tn, fp], [fn, tp]].

    rows, positives: shape (2, B), rows and their expected positives (`calibration.calibrated`: the sum of calibrated
    probabilities) by predicted class and score bin. tp = the positives of what is called positive, fp the rest of it, and so on.
    Source: NannyML; Kivimäki, Białek, Kuberski & Nurminen, arXiv 2505.05295.

    >>> expected_confusion_of_scores([[10, 0], [0, 10]], [[1, 0], [0, 8]]).tolist()
    [[9.0, 2.0], [1.0, 8.0]]
    """
    n, hits = _as_called("rows", rows), _as_called("positives", positives)
    if n.shape != hits.shape:
        raise ValueError(f"positives must have the shape of rows: {hits.shape} != {n.shape}")
    if (hits > n * (1 + 1e-9)).any():
        raise ValueError("positives exceed the rows of a bin")
    called, of_called = n.sum(axis=1), hits.sum(axis=1)
    return np.array([called - of_called, of_called])


def expected_cells(rows: npt.ArrayLike, positives: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """(negatives, positives) to be expected in each score bin, float64[B] each, for `performance.roc_auc` and
    `average_precision`: the rows of one bin are ties. Arguments float64[B], ascending in the raw score.

    >>> [part.tolist() for part in expected_cells([10, 10], [1, 8])]
    [[9.0, 2.0], [1.0, 8.0]]
    """
    n, hits = as_count_pair("rows", rows, "positives", positives, allow_empty=True)
    if (hits > n * (1 + 1e-9)).any():
        raise ValueError("positives exceed the rows of a bin")
    return np.maximum(n - hits, 0.0), hits


def expected_confusion_of_probabilities(sums: npt.ArrayLike) -> FloatArray:
    """The expected confusion matrix of K classes, float64[K, K]. `sums`, shape (K, K): entry (j, k) is the sum of the
    (calibrated, normalised) probability of class k over the rows that are predicted j; it merges by adding.

    >>> expected_confusion_of_probabilities([[8.0, 2.0], [1.0, 9.0]]).tolist()
    [[8.0, 1.0], [2.0, 9.0]]
    """
    cells = np.asarray(sums, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[0] != cells.shape[1] or cells.size == 0:
        raise ValueError(f"sums must be a square matrix, got shape {cells.shape}")
    check_cells("sums", cells)
    return cells.T.copy()


def expected_confusion(table: LabelTable, rows: npt.ArrayLike) -> FloatArray:
    """The expected confusion matrix, float64[K, K], from nothing but the rows of each score bin, float64[B]:

    sum_b rows_b counts_b / N_b. The calibration is the baseline's share of labels and predictions in the bin, so it
    serves any number of classes and any way from score to prediction, and needs the score's histogram only.

    >>> table = LabelTable(np.array([[[8.0, 0.0], [2.0, 0.0]], [[0.0, 1.0], [0.0, 4.0]]]))
    >>> expected_confusion(table, [20, 10]).tolist()
    [[16.0, 2.0], [4.0, 8.0]]
    """
    counts = as_counts("rows", rows, allow_empty=True)
    if counts.size != len(table.counts):
        raise ValueError(f"rows must have {len(table.counts)} bins, got {counts.size}")
    return np.asarray(np.tensordot(counts, table.rates(), axes=1))


def estimated_accuracy(table: LabelTable, rows: npt.ArrayLike, confidence: float) -> Estimate:
    """The expected share of right predictions, of the rows by score bin, float64[B].

    value = sum_b w_b q_b, w_b the share of rows in bin b, q_b the baseline's accuracy in it. Interval: normal, cut to
    [0, 1], with the variance of the labels to come, sum_b w_b q_b (1 - q_b) / n, plus that of the baseline's rates,
    sum_b w_b^2 q_b (1 - q_b) / N_b, each q_b as (right + 1/2) / (N_b + 1) there, so that a bin that was always right is
    not taken as certain.

    >>> table = LabelTable(np.array([[[80.0, 0.0], [20.0, 0.0]], [[0.0, 10.0], [0.0, 90.0]]]))
    >>> round(estimated_accuracy(table, [100, 300], 0.95).value, 4)
    0.875
    """
    counts = as_counts("rows", rows, allow_empty=True)
    confusion = expected_confusion(table, counts)
    n = float(counts.sum())
    z = normal_quantile(confidence)
    if n == 0:
        return Estimate(math.nan, Interval(0.0, 1.0))
    value = float(np.trace(confusion)) / n
    shares = counts / n
    spread = _rate_variance(table)
    half = z * math.sqrt(float(shares @ spread) / n + _table_variance(table, shares))
    return Estimate(value, Interval(max(0.0, value - half), min(1.0, value + half)))


def accuracy_gap(
    table: LabelTable, rows: npt.ArrayLike, labelled: int, correct: int, confidence: float
) -> Estimate:
    """Realised minus estimated accuracy: below 0 the model is worse than its scores say. The concept-drift signal.

    `rows`: by score bin, float64[B], of the labelled rows where they are known, of all rows otherwise (then the labels are
    taken to be of a fair sample). The interval adds the variances of `correct` of `labelled`, a (1 - a) / n with
    a = (correct + 1/2) / (labelled + 1), and of the baseline's rates; normal, cut to [-1, 1]. NaN and [-1, 1] without rows or labels.
    ValueError: correct outside [0, labelled].

    >>> table = LabelTable(np.array([[[80.0, 0.0], [20.0, 0.0]], [[0.0, 10.0], [0.0, 90.0]]]))
    >>> gap = accuracy_gap(table, [100, 300], labelled=400, correct=280, confidence=0.95)
    >>> round(gap.value, 3), gap.interval.upper < 0
    (-0.175, True)
    """
    if not 0 <= correct <= labelled:
        raise ValueError(f"correct must lie between 0 and labelled = {labelled}, got {correct}")
    estimate = estimated_accuracy(table, rows, confidence)
    if labelled == 0 or math.isnan(estimate.value):
        return Estimate(math.nan, Interval(-1.0, 1.0))
    counts = as_counts("rows", rows)
    rate = (correct + 0.5) / (labelled + 1)
    variance = rate * (1 - rate) / labelled + _table_variance(table, counts / counts.sum())
    value = correct / labelled - estimate.value
    half = normal_quantile(confidence) * math.sqrt(variance)
    return Estimate(value, Interval(max(-1.0, value - half), min(1.0, value + half)))


def _rate_variance(table: LabelTable) -> FloatArray:
    """q (1 - q) of the accuracy in each bin, float64[B], q a little away from 0 and 1."""
    right = np.trace(table.counts, axis1=1, axis2=2)
    whole = float(right.sum() / table.rows.sum())
    rates = np.where(table.rows > 0, (right + 0.5) / (table.rows + 1), whole)
    return np.asarray(rates * (1 - rates))


def _table_variance(table: LabelTable, shares: FloatArray) -> float:
    return float(np.square(shares) @ (_rate_variance(table) / trusted_rows(table.rows)))


def trusted_rows(rows: FloatArray) -> FloatArray:
    """By how many baseline rows a bin's mean is known; a bin that has none borrows from all, as from one row."""
    return np.maximum(rows, 1.0)


def _as_called(name: str, values: npt.ArrayLike) -> FloatArray:
    cells = np.asarray(values, dtype=np.float64)
    if cells.ndim != 2 or cells.shape[0] != 2 or cells.shape[1] == 0:
        raise ValueError(f"{name} must have the shape (2, bins), got {cells.shape}")
    check_cells(name, cells)
    return cells
