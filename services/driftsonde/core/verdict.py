"""The numbers of one closed window, each with its interval and the bar it is held against. No rule, no action."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from driftsonde.core.baseline import CategoricalReference, NumericReference, Reference
from driftsonde.core.chunks import WHOLE
from driftsonde.core.events import Ints
from driftsonde.core.input_numbers import Numbers, input_numbers
from driftsonde.core.outcomes import (
    CHANGES,
    DELAY_MS,
    LABELLED,
    SUM_NAMES,
    confusion_of,
    correct_rows,
)
from driftsonde.core.plan import Plan
from driftsonde.core.points import Points
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task
from driftsonde.core.statistics import intervals, performance, score_losses
from driftsonde.core.statistics.class_intervals import average_intervals
from driftsonde.core.statistics.intervals import Interval
from driftsonde.core.statistics.score_losses import MeanLoss

NAN = math.nan


class Metric(NamedTuple):  # a tuple, since they are made by the ten thousand: that is three times as quick
    """One number. `column` is "" for the target's metrics; lower, upper, threshold are NaN where there is none.
    `breached`: the value passed its bar, in practice and in evidence."""

    column: str
    name: str
    n: int
    value: float
    lower: float = NAN
    upper: float = NAN
    threshold: float = NAN
    breached: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """What every performance number of a window is computed from, as `outcomes` lays it out: the confusion matrix
    row by row over `classes` and other values, the scores by label, and the sums by name."""

    labelled: int
    delay_ms: int
    classes: tuple[str, ...]
    confusion: Ints
    points: Points
    sums: tuple[tuple[str, float], ...]


def outcome_counts_of(plan: Plan, sketch: Sketch) -> OutcomeCounts:
    """Take a sketch of outcomes apart."""
    layout = plan.outcomes
    return OutcomeCounts(
        int(sketch.counts[LABELLED]),
        int(sketch.counts[DELAY_MS]),
        layout.classes,
        confusion_of(layout, sketch).ravel() if layout.classes else np.zeros(0, dtype=np.int64),
        sketch.points,
        tuple(zip(SUM_NAMES[layout.task], sketch.sums.tolist(), strict=True)),
    )


class ColumnCounts(NamedTuple):
    """The counts of one column of one window, beside its reference: int64 of the same length. The moments of a
    categorical column are NaN."""

    reference: Reference
    counts: Ints
    total: float = NAN
    total_squares: float = NAN
    minimum: float = NAN
    maximum: float = NAN


def columns_of(plan: Plan, sketch: Sketch) -> list[ColumnCounts]:
    """Take a sketch of inputs apart by column."""
    layout = plan.inputs
    parts = [sketch.counts[start:end] for start, end in pairwise((*layout.offsets, layout.bins))]
    sums = sketch.sums.reshape(-1, 2).T.tolist()
    moments = zip(*sums, sketch.lows.tolist(), sketch.highs.tolist(), strict=True)
    return [
        ColumnCounts(reference, part, *(next(moments) if isinstance(reference, NumericReference) else ()))
        for reference, part in zip(layout.references, parts, strict=True)
    ]


def judge_inputs(plan: Plan, sketch: Sketch, window_start_ms: int, segment: str = WHOLE) -> list[Metric]:
    """Drift and quality of every column. A window that `inputs_count` rules out is never breached."""
    judged = inputs_count(plan, sketch, window_start_ms, segment)
    metrics: list[Metric] = []
    columns: list[Ints] = []
    for numbers in input_numbers(plan.inputs, sketch.counts, plan.spec.policy):
        metrics += _metrics_of(plan, numbers, judged)
        columns.append(np.repeat(numbers.columns, numbers.present.sum(axis=1)))
    if len(columns) > 1:
        order = np.argsort(np.concatenate(columns), kind="stable")
        metrics = [*map(metrics.__getitem__, order.tolist())]
    return metrics


def _metrics_of(plan: Plan, numbers: Numbers, judged: bool) -> list[Metric]:
    """The defined numbers, column after column."""
    present = numbers.present
    names = [plan.inputs.references[column].name for column in numbers.columns.tolist()]
    rows, kinds = (indices.tolist() for indices in np.nonzero(present))
    return [
        *map(
            Metric._make,
            zip(
                map(names.__getitem__, rows),
                map(numbers.names.__getitem__, kinds),
                numbers.n[present].tolist(),
                numbers.value[present].tolist(),
                numbers.lower[present].tolist(),
                numbers.upper[present].tolist(),
                numbers.threshold[present].tolist(),
                (numbers.passed[present] & judged).tolist(),
                strict=True,
            ),
        )
    ]


def inputs_count(plan: Plan, sketch: Sketch, window_start_ms: int, segment: str = WHOLE) -> bool:
    """Whether a window's inputs say anything, for or against: it has enough rows, and the baseline is not taken
    from it. A segment's inputs never do: the baseline's counts are of the whole model, and a segment differs from it
    by nature, not by drift."""
    enough = int(sketch.counts[0]) >= plan.spec.policy.drift.min_rows
    return (
        segment == WHOLE
        and enough
        and plan.baseline is not None
        and window_start_ms >= plan.baseline.lineage.end_ms
    )


def outcomes_count(plan: Plan, sketch: Sketch, window_start_ms: int) -> bool:
    """Whether a window's outcomes say anything: it has enough labels, and the baseline is not taken from it."""
    enough = int(sketch.counts[LABELLED]) >= plan.spec.policy.performance.min_labels
    return enough and plan.baseline is not None and window_start_ms >= plan.baseline.lineage.end_ms


def distance_bins(reference: Reference, counts: Ints) -> Ints:
    """Counts in the bins that distances compare: a numeric column's rows below and above its range join the outer
    bins; missing (and unseen) are bins of their own."""
    if isinstance(reference, CategoricalReference):
        return counts
    inner = counts[1:-2].copy()
    inner[0] += counts[0]
    inner[-1] += counts[-2]
    return np.append(inner, counts[-1])


def judge_outcomes(plan: Plan, sketch: Sketch, window_start_ms: int, rows: int) -> list[Metric]:
    """Performance of a window; `rows` are its predictions, of which the labelled share is the coverage."""
    labelled = int(sketch.counts[LABELLED])
    if labelled <= 0:
        return []
    judged = outcomes_count(plan, sketch, window_start_ms)
    metrics = [*_performance(plan, sketch, labelled, judged)]
    delay_s = int(sketch.counts[DELAY_MS]) / labelled / 1000
    coverage = labelled / rows if rows else NAN
    return [
        *metrics,
        Metric("", "label_coverage", rows, coverage),
        Metric("", "label_delay_s", labelled, delay_s),
    ]


def late_changes(sketch: Sketch | None) -> int:
    """How many outcomes the late labels put in or took out: the revision of a window's performance."""
    return int(sketch.counts[CHANGES]) if sketch else 0


def _performance(plan: Plan, sketch: Sketch, labelled: int, judged: bool) -> Iterator[Metric]:
    match plan.spec.task:
        case Task.REGRESSION:
            yield from _regression(plan, sketch, labelled, judged)
        case Task.MULTICLASS if plan.outcomes.classes:
            yield from _multiclass(plan, sketch, labelled, judged)
        case Task.BINARY:
            yield from _binary(plan, sketch, labelled, judged)


def _accuracy(plan: Plan, n: int, correct: int, interval: Interval, judged: bool) -> Metric:
    reference = plan.baseline.performance if plan.baseline else None
    if reference is None or reference.metric != "accuracy":
        return Metric("", "accuracy", n, correct / n, interval.lower, interval.upper)
    bar = reference.value - plan.spec.policy.performance.drop
    breached = judged and interval.upper < bar
    return Metric("", "accuracy", n, correct / n, interval.lower, interval.upper, bar, breached)


def _binary(plan: Plan, sketch: Sketch, labelled: int, judged: bool) -> Iterator[Metric]:
    confidence = plan.spec.policy.performance.confidence
    confusion = confusion_of(plan.outcomes, sketch)
    # A value outside the two classes is never right; as a label or a prediction it is no positive.
    tp, fn = int(confusion[1, 1]), int(confusion[1].sum() - confusion[1, 1])
    fp = int(confusion[:, 1].sum() - tp)
    correct = correct_rows(plan.outcomes, sketch)
    interval = intervals.wilson(correct, labelled, confidence)
    yield _accuracy(plan, labelled, correct, interval, judged)
    outcomes = performance.BinaryOutcomes(tp=tp, fp=fp, tn=labelled - tp - fp - fn, fn=fn)
    for name, value, bounds in (
        ("precision", outcomes.precision, intervals.precision_interval(outcomes, confidence)),
        ("recall", outcomes.recall, intervals.recall_interval(outcomes, confidence)),
        ("f1", outcomes.f1, intervals.f1_interval(outcomes, confidence)),
    ):
        yield Metric("", name, labelled, value, bounds.lower, bounds.upper)
    yield from _scores(sketch, confidence)


def _scores(sketch: Sketch, confidence: float) -> Iterator[Metric]:
    negatives, positives = sketch.points.negatives, sketch.points.positives
    squared, log_loss, changes = (float(value) for value in sketch.sums)
    if not changes:
        return
    # Once there was a score, all three are told, NaN where undefined: a correction may have taken the value away that
    # is in the store.
    n_negative, n_positive = int(negatives.sum()), int(positives.sum())
    n = n_negative + n_positive
    auc = performance.roc_auc(negatives, positives) if n else NAN
    bounds = intervals.hanley_mcneil(auc, n_negative, n_positive, confidence)
    yield Metric("", "roc_auc", n, auc, bounds.lower, bounds.upper)
    # Rounding, after what was put in was taken out again, can leave a sum of nothing a little below 0.
    points = (sketch.points.values, negatives, positives)
    yield _mean_loss("log_loss", log_loss, score_losses.log_loss(*points, confidence))
    yield _mean_loss("brier", squared, score_losses.brier_score(*points, confidence))


def _mean_loss(name: str, total: float, of_points: MeanLoss) -> Metric:
    """The mean is from the exact sum, how far its interval reaches from the scores, which may be rounded."""
    n = of_points.n
    if n < 2:
        return Metric("", name, n, max(0.0, total) / n if n else NAN)
    value = max(0.0, total) / n
    down, up = of_points.value - of_points.interval.lower, of_points.interval.upper - of_points.value
    return Metric("", name, n, value, max(0.0, value - down), value + up)


def _multiclass(plan: Plan, sketch: Sketch, labelled: int, judged: bool) -> Iterator[Metric]:
    confusion = confusion_of(plan.outcomes, sketch)
    correct = correct_rows(plan.outcomes, sketch)
    interval = intervals.wilson(correct, labelled, plan.spec.policy.performance.confidence)
    yield _accuracy(plan, labelled, correct, interval, judged)
    scores = performance.class_scores(confusion)
    # Macro averages over the classes; other values count against them, but are no class to be found.
    classes = len(plan.outcomes.classes)
    bounds = average_intervals(confusion, "macro", plan.spec.policy.performance.confidence, classes)
    for name, values, interval in (
        ("precision", scores.precision, bounds.precision),
        ("recall", scores.recall, bounds.recall),
        ("f1", scores.f1, bounds.f1),
    ):
        defined = values[:-1][~np.isnan(values[:-1])]
        mean = float(defined.mean()) if defined.size else NAN
        yield Metric("", name, labelled, mean, interval.lower, interval.upper)


def _regression(plan: Plan, sketch: Sketch, labelled: int, judged: bool) -> Iterator[Metric]:
    confidence = plan.spec.policy.performance.confidence
    error, absolute, squared = _error_sums(sketch, labelled)
    if not math.isfinite(error + absolute + squared):  # absurd numbers: no interval, no verdict
        yield Metric("", "mae", labelled, absolute / labelled)
        yield Metric("", "rmse", labelled, math.sqrt(squared / labelled))
        yield Metric("", "bias", labelled, error / labelled)
        return
    outcomes = performance.RegressionOutcomes(labelled, error, absolute, squared)
    mae, bias = intervals.mae_interval(outcomes, confidence), intervals.bias_interval(outcomes, confidence)
    yield Metric("", "mae", labelled, outcomes.mae, mae.lower, mae.upper)
    yield _rmse(plan, outcomes.rmse, labelled, judged)
    yield Metric("", "bias", labelled, outcomes.bias, bias.lower, bias.upper)


def _error_sums(sketch: Sketch, labelled: int) -> tuple[float, float, float]:
    """The sums of the error, of its size and of its square, as of one sample: rounding, after what was put in was
    taken out again, can leave sums that no sample has."""
    error, absolute, squared = (float(value) for value in sketch.sums[:3])
    absolute = max(absolute, abs(error))
    return error, absolute, max(squared, absolute * absolute / labelled)


def _rmse(plan: Plan, rmse: float, labelled: int, judged: bool) -> Metric:
    """Held against the baseline's RMSE times 1 + drop. The interval is the normal one of a standard deviation,
    rmse (1 +- z / sqrt(2 n)): exact for normal errors, too short for heavy tails."""
    rule = plan.spec.policy.performance
    spread = intervals.normal_quantile(rule.confidence) / math.sqrt(2 * labelled)
    lower, upper = rmse * max(0.0, 1 - spread), rmse * (1 + spread)
    reference = plan.baseline.performance if plan.baseline else None
    if reference is None or reference.metric != "rmse":
        return Metric("", "rmse", labelled, rmse, lower, upper)
    bar = reference.value * (1 + rule.drop)
    return Metric("", "rmse", labelled, rmse, lower, upper, bar, judged and lower > bar)


def outcome_totals(plan: Plan, sketch: Sketch | None) -> tuple[int, int]:
    """(labelled rows, correct ones) of a classification, for comparing versions."""
    if sketch is None or plan.spec.task is Task.REGRESSION:
        return 0, 0
    return int(sketch.counts[LABELLED]), correct_rows(plan.outcomes, sketch)


def error_totals(sketch: Sketch | None) -> tuple[int, float, float]:
    """(labelled rows, sum of absolute errors, sum of their squares) of a regression; nothing where numbers are absurd."""
    labelled = int(sketch.counts[LABELLED]) if sketch else 0
    if sketch is None or labelled <= 0:
        return 0, 0.0, 0.0
    _, absolute, squares = _error_sums(sketch, labelled)
    return (labelled, absolute, squares) if math.isfinite(absolute + squares) else (0, 0.0, 0.0)
