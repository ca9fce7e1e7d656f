"""A window's performance without labels, and the gap once there are some: its numbers, no rule.

From the counts of one column that every sketch of inputs has: the score's histogram, for a regression that of the prediction.
What moves inside a bin is not seen, and no interval tells of it: with ten quantile bins the estimate lags behind a strong
shift of the scores (measured: 0.827 for an accuracy of 0.866 where uniform scores became Beta(6, 1)).
"""

import numpy as np

from driftsonde.core.baseline import ErrorSums, LabelCounts, NumericReference
from driftsonde.core.baseline_calibration import distance_bin_of
from driftsonde.core.events import Floats
from driftsonde.core.outcomes import LABELLED, SUM_NAMES, correct_rows
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task
from driftsonde.core.statistics.estimated import (
    Estimate,
    LabelTable,
    accuracy_gap,
    estimated_accuracy,
    expected_confusion,
)
from driftsonde.core.statistics.estimated_errors import ErrorTable, estimated_mae, estimated_rmse, mae_gap
from driftsonde.core.statistics.performance import class_scores
from driftsonde.core.verdict import Metric, distance_bins


def estimate_performance(plan: Plan, inputs: Sketch) -> list[Metric]:
    """`estimated_accuracy` (and `estimated_f1` of a binary task), or `estimated_mae` and `estimated_rmse`; of the whole model.
    None where the baseline has no calibration or the window no rows."""
    rows, n = _rows_by_bin(plan, inputs), int(inputs.counts[0])
    calibration = plan.baseline.calibration if plan.baseline else None
    if rows is None or not rows.any():
        return []
    confidence = plan.spec.policy.performance.confidence
    match calibration:
        case LabelCounts():
            table = _label_table(calibration)
            metrics = [_metric("estimated_accuracy", n, estimated_accuracy(table, rows, confidence))]
            if plan.spec.task is Task.BINARY and calibration.counts.shape[1] == 2:
                f1 = float(class_scores(expected_confusion(table, rows)).f1[1])
                metrics.append(Metric("", "estimated_f1", n, f1))
            return metrics
        case ErrorSums():
            errors = _error_table(calibration)
            return [
                _metric("estimated_mae", n, estimated_mae(errors, rows, confidence)),
                _metric("estimated_rmse", n, estimated_rmse(errors, rows, confidence)),
            ]
    return []


def performance_gap(plan: Plan, outcomes: Sketch, inputs: Sketch | None) -> list[Metric]:
    """`accuracy_gap` or `mae_gap`: what the labels say minus what the inputs let expect, with its interval.

    The labelled rows' own scores are used where they are known (binary tasks, scores in [0, 1]), so labels of a selection of
    rows do not look like drift of the concept; otherwise the labels are taken to be of a fair sample of the window's rows.
    """
    labelled = int(outcomes.counts[LABELLED])
    calibration = plan.baseline.calibration if plan.baseline else None
    rows = _labelled_rows_by_bin(plan, outcomes)
    if rows is None and inputs is not None:
        rows = _rows_by_bin(plan, inputs)
    if rows is None or not rows.any() or labelled <= 0:
        return []
    confidence = plan.spec.policy.performance.confidence
    match calibration:
        case LabelCounts():
            correct = min(max(0, correct_rows(plan.outcomes, outcomes)), labelled)
            gap = accuracy_gap(_label_table(calibration), rows, labelled, correct, confidence)
            return [_metric("accuracy_gap", labelled, gap)]
        case ErrorSums():
            sums = dict(zip(SUM_NAMES[Task.REGRESSION], outcomes.sums.tolist(), strict=True))
            absolute, squared = max(0.0, sums["absolute_error"]), max(0.0, sums["squared_error"])
            if not np.isfinite(absolute + squared):
                return []
            gap = mae_gap(_error_table(calibration), rows, labelled, absolute, squared, confidence)
            return [_metric("mae_gap", labelled, gap)]
    return []


def _metric(name: str, n: int, estimate: Estimate) -> Metric:
    return Metric("", name, n, estimate.value, estimate.interval.lower, estimate.interval.upper)


def _label_table(calibration: LabelCounts) -> LabelTable:
    return LabelTable(calibration.counts.astype(np.float64))


def _error_table(calibration: ErrorSums) -> ErrorTable:
    return ErrorTable(
        calibration.rows.astype(np.float64), calibration.absolute, calibration.squared, calibration.fourth
    )


def _rows_by_bin(plan: Plan, inputs: Sketch) -> Floats | None:
    """The window's rows by bin of the calibrated column; None without a calibration that fits the plan."""
    calibration = plan.baseline.calibration if plan.baseline else None
    if calibration is None:
        return None
    for reference, offset in zip(plan.inputs.references, plan.inputs.offsets, strict=True):
        if reference.name == calibration.column and isinstance(reference, NumericReference):
            counts = inputs.counts[offset : offset + len(reference.counts)]
            return distance_bins(reference, counts).astype(np.float64)
    return None


def _labelled_rows_by_bin(plan: Plan, outcomes: Sketch) -> Floats | None:
    """The labelled rows by bin of their score; None where not every one of them has a score that is known."""
    calibration = plan.baseline.calibration if plan.baseline else None
    points = outcomes.points
    weights = points.negatives + points.positives
    if not isinstance(calibration, LabelCounts) or int(weights.sum()) != int(outcomes.counts[LABELLED]):
        return None
    for reference in plan.inputs.references:
        if reference.name == calibration.column and isinstance(reference, NumericReference):
            if reference.minimum < 0 or reference.maximum > 1 or (weights < 0).any():
                return None  # points hold scores cut to [0, 1]
            place = distance_bin_of(reference, points.values)
            return np.bincount(place, weights, minlength=len(calibration.counts)).astype(np.float64)
    return None
