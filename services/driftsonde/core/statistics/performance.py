"""Performance of a model from mergeable outcome forms: counts and sums that add up over rows, chunks and windows.

A metric is NaN exactly where it is undefined (no row that it is about), as scikit-learn with `zero_division=nan`.
ValueError naming the argument: a negative or non-finite count, or a wrong shape.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_confusion, as_count_pair

Average = Literal["macro", "micro", "weighted"]


@dataclass(frozen=True, slots=True)
class BinaryOutcomes:
    """Rows by prediction and label: true and false positives, true and false negatives. `+` merges.

    >>> outcomes = BinaryOutcomes(tp=6, fp=2, tn=10, fn=2) + BinaryOutcomes(tp=0, fp=0, tn=0, fn=2)
    >>> outcomes.precision, outcomes.recall, outcomes.f1
    (0.75, 0.6, 0.6666666666666666)
    >>> BinaryOutcomes(tp=0, fp=0, tn=3, fn=1).precision
    nan
    """

    tp: int
    fp: int
    tn: int
    fn: int

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "tn", "fn"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is a negative count: {getattr(self, name)}")

    def __add__(self, other: "BinaryOutcomes") -> "BinaryOutcomes":
        return BinaryOutcomes(self.tp + other.tp, self.fp + other.fp, self.tn + other.tn, self.fn + other.fn)

    @property
    def n(self) -> int:
        """The number of rows with both prediction and label."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def accuracy(self) -> float:
        """(tp + tn) / n; NaN without rows."""
        return _ratio(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float:
        """tp / (tp + fp); NaN where nothing was predicted positive."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """tp / (tp + fn); NaN where nothing is labelled positive."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn); NaN where nothing is predicted or labelled positive."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores per class, each of shape (K,), with NaN where undefined; `support` is the labelled rows."""

    support: FloatArray
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray


@dataclass(frozen=True, slots=True)
class AverageScores:
    """One average over the classes of each score."""

    precision: float
    recall: float
    f1: float


def multiclass_accuracy(confusion: npt.ArrayLike) -> float:
    """trace / total of a K x K confusion matrix (rows = label, columns = prediction); NaN without rows.

    >>> multiclass_accuracy([[3, 1], [0, 4]])
    0.875
    """
    cells = as_confusion(confusion)
    return _ratio(float(np.trace(cells)), float(cells.sum()))


def class_scores(confusion: npt.ArrayLike) -> ClassScores:
    """Precision, recall and F1 of each class against the rest; rows = label, columns = prediction.

    F1 = 2 tp / (labelled + predicted), so it is 0, not NaN, for a class that is only labelled or only predicted.

    >>> class_scores([[3, 1], [0, 4]]).precision
    array([1. , 0.8])
    """
    cells = as_confusion(confusion)
    hits, labelled, predicted = np.diagonal(cells), cells.sum(axis=1), cells.sum(axis=0)
    return ClassScores(
        support=labelled,
        precision=_ratios(hits, predicted),
        recall=_ratios(hits, labelled),
        f1=_ratios(2 * hits, labelled + predicted),
    )


def average_scores(confusion: npt.ArrayLike, average: Average) -> AverageScores:
    """Precision, recall and F1 averaged over the K classes of the matrix (rows = label, columns = prediction).

    "macro": the plain mean over the classes for which the score is defined. "weighted": the same, weighted by the
    labelled rows (unweighted where none of those classes is labelled). "micro": from the counts of all classes
    together, so all three are the accuracy. ValueError: another average.
    Source: Sokolova & Lapalme, Inf. Process. Manage. 45(4), 2009; NaN handling as scikit-learn.

    >>> average_scores([[3, 1], [0, 4]], "macro").precision
    0.9
    """
    if average == "micro":
        accuracy = multiclass_accuracy(confusion)
        return AverageScores(accuracy, accuracy, accuracy)
    if average not in ("macro", "weighted"):
        raise ValueError(f"average must be 'macro', 'micro' or 'weighted', got {average!r}")
    scores = class_scores(confusion)
    weights = scores.support if average == "weighted" else np.ones_like(scores.support)
    return AverageScores(
        precision=_mean_of_defined(scores.precision, weights),
        recall=_mean_of_defined(scores.recall, weights),
        f1=_mean_of_defined(scores.f1, weights),
    )


def roc_auc(negatives: npt.ArrayLike, positives: npt.ArrayLike) -> float:
    """P(score of a positive > score of a negative) + P(equal) / 2, in [0, 1]; NaN without one of the two.

    `negatives`, `positives`: rows per score cell by label, shape (B,), cells in ascending order of score; rows of
    one cell are tied. Coarser cells than the scores themselves move the value by at most
    sum_b neg_b pos_b / (2 neg pos). Source: Hanley & McNeil, Radiology 143(1), 1982.

    >>> roc_auc([2, 1, 0], [0, 1, 2])
    0.9444444444444444
    """
    neg, pos = as_count_pair("negatives", negatives, "positives", positives, allow_empty=True)
    below_or_half_tied = np.cumsum(neg) - neg / 2
    return _ratio(float(pos @ below_or_half_tied), float(neg.sum()) * float(pos.sum()))


def average_precision(negatives: npt.ArrayLike, positives: npt.ArrayLike) -> float:
    """sum_b (R_b - R_{b+1}) P_b over the cells as thresholds, in [0, 1]; NaN without positives.

    Arguments as `roc_auc`. P_b, R_b: precision and recall when cell b and all above are called positive; no
    interpolation. Source: Zhu, Recall, precision and average precision, Waterloo working paper 2004-09; the form
    of scikit-learn, which warns and answers 0 without positives.

    >>> round(average_precision([2, 1, 0], [0, 1, 2]), 4)
    0.9167
    """
    neg, pos = as_count_pair("negatives", negatives, "positives", positives, allow_empty=True)
    hits, called = np.cumsum(pos[::-1]), np.cumsum((neg + pos)[::-1])
    used = called > 0
    return _ratio(float(pos[::-1][used] @ (hits[used] / called[used])), float(hits[-1]))


def expected_calibration_error(
    rows: npt.ArrayLike, sum_scores: npt.ArrayLike, positives: npt.ArrayLike
) -> float:
    """ECE = sum_b (n_b / N) |positives_b / n_b - sum_scores_b / n_b|, in [0, 1]; NaN without rows.

    Per score bin, shape (B,): rows with a label, the sum of their predicted probabilities, the positive labels.
    ValueError also where a bin has more positives, or a larger sum of scores, than rows.
    Source: Naeini, Cooper & Hauskrecht, AAAI 2015.

    >>> round(expected_calibration_error([10, 10], [1, 8], [2, 8]), 4)
    0.05
    """
    n, score = as_count_pair("rows", rows, "sum_scores", sum_scores, allow_empty=True)
    _, hits = as_count_pair("rows", rows, "positives", positives, allow_empty=True)
    # A float sum of n scores of 1 may round above n.
    if (score > n * (1 + 1e-9)).any():
        raise ValueError("sum_scores exceeds the rows of a bin: scores must be probabilities")
    if (hits > n).any():
        raise ValueError("positives exceed the rows of a bin")
    return _ratio(float(np.abs(hits - score).sum()), float(n.sum()))


def r_squared(n: int, sum_label: float, sum_squared_label: float, sum_squared_error: float) -> float:
    """R2 = 1 - sum e^2 / sum (y - mean y)^2, at most 1; NaN for n < 2 or where the labels do not vary.

    From sums over rows of the label y, y^2 and e^2; digits are lost where |mean y| is many deviations.
    ValueError: n < 0, a negative sum of squares. Source: scikit-learn's `r2_score`.

    >>> r_squared(4, 10.0, 30.0, 1.0)
    0.8
    """
    if n < 0 or sum_squared_label < 0 or sum_squared_error < 0:
        raise ValueError("n and the sums of squares must not be negative")
    if n < 2:
        return math.nan
    spread = sum_squared_label - sum_label * (sum_label / n)
    # Below this the spread is rounding: the labels are constant as far as the sums can say.
    if spread <= 1e-12 * sum_squared_label:
        return math.nan
    return 1 - sum_squared_error / spread


@dataclass(frozen=True, slots=True)
class RegressionOutcomes:
    """Sums over rows of the error e = prediction - label, of |e| and of e^2, in the label's unit. `+` merges.

    >>> outcomes = RegressionOutcomes(n=2, sum_error=1.0, sum_abs_error=3.0, sum_squared_error=5.0)
    >>> outcomes.bias, outcomes.mae, round(outcomes.rmse, 4)
    (0.5, 1.5, 1.5811)
    """

    n: int
    sum_error: float
    sum_abs_error: float
    sum_squared_error: float

    def __post_init__(self) -> None:
        for name in ("n", "sum_abs_error", "sum_squared_error"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative: {getattr(self, name)}")
        for name in ("sum_error", "sum_abs_error", "sum_squared_error"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is not finite: {getattr(self, name)}")

    def __add__(self, other: "RegressionOutcomes") -> "RegressionOutcomes":
        return RegressionOutcomes(
            self.n + other.n,
            self.sum_error + other.sum_error,
            self.sum_abs_error + other.sum_abs_error,
            self.sum_squared_error + other.sum_squared_error,
        )

    @property
    def bias(self) -> float:
        """The mean of prediction - label: above 0 the model predicts too much; NaN without rows."""
        return _ratio(self.sum_error, self.n)

    @property
    def mae(self) -> float:
        """The mean absolute error; NaN without rows."""
        return _ratio(self.sum_abs_error, self.n)

    @property
    def rmse(self) -> float:
        """The root of the mean squared error; NaN without rows."""
        return math.sqrt(_ratio(self.sum_squared_error, self.n))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _ratios(numerators: FloatArray, denominators: FloatArray) -> FloatArray:
    undefined = np.full_like(denominators, math.nan)
    return np.divide(numerators, denominators, out=undefined, where=denominators > 0)


def _mean_of_defined(scores: FloatArray, weights: FloatArray) -> float:
    defined = ~np.isnan(scores)
    kept, weights = scores[defined], weights[defined]
    if not weights.any():
        weights = np.ones_like(kept)
    return _ratio(float(kept @ weights), float(weights.sum()))
