"""Confidence intervals of the multiclass scores, per class and averaged, from the confusion matrix alone.

Conventions of `intervals`: valid for one look, rows independent, ValueError for values out of range. Where a score is
undefined its interval is [0, 1].
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftsonde.core.statistics.counts import FloatArray, as_confusion, check_probability
from driftsonde.core.statistics.intervals import Interval, wilson
from driftsonde.core.statistics.performance import Average


@dataclass(frozen=True, slots=True)
class ClassIntervals:
    """One interval per class of each score, in the order of the matrix."""

    precision: tuple[Interval, ...]
    recall: tuple[Interval, ...]
    f1: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class AverageIntervals:
    """The intervals of one average of each score."""

    precision: Interval
    recall: Interval
    f1: Interval


def class_intervals(confusion: npt.ArrayLike, confidence: float) -> ClassIntervals:
    """Wilson's interval of each class's precision and recall, the indirect Wilson interval of its F1.

    Each holds by itself at `confidence`, not all at once. Rows = label, columns = prediction.
    Source: Wilson, JASA 22(158), 1927; Lam, Gopal & Qian, arXiv 2309.14621 (F1 by J = tp / (tp + fp + fn)).

    >>> intervals = class_intervals([[30, 10], [0, 40]], 0.95)
    >>> round(intervals.recall[0].lower, 3), round(intervals.recall[0].upper, 3)
    (0.598, 0.858)
    """
    check_probability("confidence", confidence)
    cells = as_confusion(confusion)
    hits, labelled, predicted = np.diagonal(cells), cells.sum(axis=1), cells.sum(axis=0)
    return ClassIntervals(
        precision=_wilsons(hits, predicted, confidence),
        recall=_wilsons(hits, labelled, confidence),
        f1=tuple(_f1(overlap) for overlap in _wilsons(hits, labelled + predicted - hits, confidence)),
    )


def average_intervals(
    confusion: npt.ArrayLike, average: Average, confidence: float, classes: int | None = None
) -> AverageIntervals:
    """The intervals of `performance.average_scores`, around its estimates.

    "micro": Wilson's interval of the accuracy. "macro" and "weighted": per class the distance from the estimate to the ends of
    its own interval, combined. Recalls are independent given the labels, precisions given the predictions, so their
    distances add in squares (the method of variance estimates recovery); the classes' F1 share their errors, so
    their distances add up as they are, which is valid for any dependence and too long by up to sqrt(K). Classes
    without the score are left out, and the weights (the labelled shares) are taken as given. `classes`: only the first so
    many are averaged; the others, e.g. values of no known class, only count against them ("macro" and "weighted").
    ValueError: another average. Source: Zou & Donner, Stat. Med. 27(10), 2008.

    >>> macro = average_intervals([[30, 10], [0, 40]], "macro", 0.95)
    >>> macro.recall.lower < 0.875 < macro.recall.upper
    True
    """
    cells = as_confusion(confusion)
    kept = slice(classes)
    if average == "micro":
        right = wilson(float(np.trace(cells)), float(cells.sum()), confidence)
        return AverageIntervals(right, right, right)
    if average not in ("macro", "weighted"):
        raise ValueError(f"average must be 'macro', 'micro' or 'weighted', got {average!r}")
    hits, labelled, predicted = np.diagonal(cells), cells.sum(axis=1), cells.sum(axis=0)
    each = class_intervals(cells, confidence)
    weights = labelled if average == "weighted" else np.ones_like(labelled)
    return AverageIntervals(
        precision=_combined(
            hits[kept], predicted[kept], each.precision[kept], weights[kept], independent=True
        ),
        recall=_combined(hits[kept], labelled[kept], each.recall[kept], weights[kept], independent=True),
        f1=_combined(
            2 * hits[kept], (labelled + predicted)[kept], each.f1[kept], weights[kept], independent=False
        ),
    )


def _combined(
    hits: FloatArray,
    among: FloatArray,
    each: tuple[Interval, ...],
    weights: FloatArray,
    *,
    independent: bool,
) -> Interval:
    used = among > 0
    if not used.any():
        return Interval(0.0, 1.0)
    weights = weights[used] if weights[used].any() else np.ones(int(used.sum()))
    shares = weights / weights.sum()
    estimates = hits[used] / among[used]
    kept = [interval for interval, defined in zip(each, used.tolist(), strict=True) if defined]
    below = shares * (estimates - np.array([interval.lower for interval in kept]))
    above = shares * (np.array([interval.upper for interval in kept]) - estimates)
    mean = float(shares @ estimates)
    # Rounding may put an end on the wrong side of the estimate by a digit.
    down, up = (
        (math.sqrt(float(side @ side)) if independent else float(np.maximum(side, 0.0).sum()))
        for side in (below, above)
    )
    return Interval(max(0.0, mean - down), min(1.0, mean + up))


def _wilsons(hits: FloatArray, among: FloatArray, confidence: float) -> tuple[Interval, ...]:
    return tuple(
        wilson(hit, total, confidence) for hit, total in zip(hits.tolist(), among.tolist(), strict=True)
    )


def _f1(overlap: Interval) -> Interval:
    return Interval(2 * overlap.lower / (1 + overlap.lower), 2 * overlap.upper / (1 + overlap.upper))
