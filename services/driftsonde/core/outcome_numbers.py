"""Numbers of a window's outcomes beyond the headline ones of `verdict`: scores, weighted averages, worth. No rule reads them."""

import math
from collections.abc import Iterator

import numpy as np

from driftsonde.core.outcomes import LABELLED, SUM_NAMES, confusion_of
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task
from driftsonde.core.statistics.business_value import business_value
from driftsonde.core.statistics.class_intervals import average_intervals, class_intervals
from driftsonde.core.statistics.performance import (
    average_precision,
    average_scores,
    class_scores,
    expected_calibration_error,
    r_squared,
)
from driftsonde.core.statistics.score_losses import (
    average_precision_interval,
    calibration_bins,
    calibration_error_interval,
)
from driftsonde.core.verdict import Metric

_SCORES = ("precision", "recall", "f1")
# A line a class and score and window: beyond, the averages have to do.
CLASSES_TOLD = 20


def outcome_numbers(plan: Plan, outcomes: Sketch) -> list[Metric]:
    """binary: `average_precision` and `calibration_error` (ECE in ten bins of equal width) of the scored rows; multiclass:
    `weighted_precision`, `weighted_recall`, `weighted_f1`, the classes weighted by their labelled rows, and of each of the
    first `CLASSES_TOLD` classes (its name in the place of the column's) `class_precision`, `class_recall`, `class_f1`, n being
    the rows that the score is about; regression: `r_squared`, without an interval. For a
    classification whose spec says what outcomes are worth also `value_per_row`. None without labels.
    """
    if int(outcomes.counts[LABELLED]) <= 0:
        return []
    match plan.spec.task:
        case Task.BINARY:
            numbers = [*_scores(plan, outcomes), *_worth(plan, outcomes)]
        case Task.MULTICLASS:
            numbers = [*_weighted(plan, outcomes), *_worth(plan, outcomes)]
        case Task.REGRESSION:
            numbers = [*_explained(outcomes)]
    return numbers


def _scores(plan: Plan, outcomes: Sketch) -> Iterator[Metric]:
    points, confidence = outcomes.points, plan.spec.policy.performance.confidence
    if not len(points.values):
        return
    # Once there was a score both are told, NaN where undefined: a correction may have taken away what is in the store.
    positives = int(points.positives.sum())
    n = positives + int(points.negatives.sum())
    value = average_precision(points.negatives, points.positives)
    bounds = average_precision_interval(value, positives, confidence)
    yield Metric("", "average_precision", n, value, bounds.lower, bounds.upper)
    bins = calibration_bins(points.values, points.negatives, points.positives)
    error, bounds = expected_calibration_error(*bins), calibration_error_interval(*bins, confidence)
    yield Metric("", "calibration_error", n, error, bounds.lower, bounds.upper)


def _weighted(plan: Plan, outcomes: Sketch) -> Iterator[Metric]:
    if not plan.outcomes.classes:
        return
    confusion = confusion_of(plan.outcomes, outcomes)
    confidence, n = plan.spec.policy.performance.confidence, int(confusion.sum())
    bounds, scores = (
        average_intervals(confusion, "weighted", confidence),
        average_scores(confusion, "weighted"),
    )
    for name in _SCORES:
        interval = getattr(bounds, name)
        yield Metric("", f"weighted_{name}", n, getattr(scores, name), interval.lower, interval.upper)
    each, intervals = class_scores(confusion), class_intervals(confusion, confidence)
    among = dict(
        zip(
            _SCORES,
            (confusion.sum(axis=0), confusion.sum(axis=1), confusion.sum(axis=0) + confusion.sum(axis=1)),
            strict=True,
        )
    )
    for place, label in enumerate(plan.outcomes.classes[:CLASSES_TOLD]):
        for name in _SCORES:
            interval, value = getattr(intervals, name)[place], float(getattr(each, name)[place])
            yield Metric(
                label, f"class_{name}", int(among[name][place]), value, interval.lower, interval.upper
            )


def _worth(plan: Plan, outcomes: Sketch) -> Iterator[Metric]:
    """Of the rows whose label and prediction are classes: what other values are worth is not said."""
    values = np.asarray(plan.spec.outcome_values, dtype=np.float64)
    if not values.size:
        return
    confusion = confusion_of(plan.outcomes, outcomes)[:-1, :-1]
    worth = business_value(confusion, values, plan.spec.policy.performance.confidence)
    yield Metric("", "value_per_row", int(worth.n), worth.per_row, worth.interval.lower, worth.interval.upper)


def _explained(outcomes: Sketch) -> Iterator[Metric]:
    sums = dict(zip(SUM_NAMES[Task.REGRESSION], outcomes.sums.tolist(), strict=True))
    n = int(outcomes.counts[LABELLED])
    squared_label, squared_error = max(0.0, sums["squared_label"]), max(0.0, sums["squared_error"])
    finite = math.isfinite(sums["label"] + squared_label + squared_error)
    value = r_squared(n, sums["label"], squared_label, squared_error) if finite else math.nan
    yield Metric("", "r_squared", n, value)
