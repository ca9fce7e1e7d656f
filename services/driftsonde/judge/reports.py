"""The report of one window: all its numbers, put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from driftsonde.core.chunks import WHOLE
from driftsonde.core.column_health import judge_columns
from driftsonde.core.contest import window_numbers
from driftsonde.core.estimating import estimate_performance, performance_gap
from driftsonde.core.group_fairness import judge_fairness
from driftsonde.core.joint_numbers import judge_joint
from driftsonde.core.outcome_numbers import outcome_numbers
from driftsonde.core.pairs import pairs_of
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import Task
from driftsonde.core.verdict import (
    ColumnCounts,
    Metric,
    OutcomeCounts,
    columns_of,
    inputs_count,
    judge_inputs,
    judge_outcomes,
    outcome_counts_of,
    outcomes_count,
)
from driftsonde.core.window import Window, WindowKey


@dataclass(frozen=True, slots=True)
class WindowReport:
    """The rows of one window for the store: its counts and metrics, as known now or as judged. A report is either of
    the inputs (`columns`) or of the outcomes."""

    key: WindowKey
    window_end_ms: int
    baseline: str
    columns: tuple[ColumnCounts, ...]
    metrics: tuple[Metric, ...]
    revision: int
    outcomes: OutcomeCounts | None = None


def report_inputs(
    window: Window, plan: Plan, sketch: Sketch, joint: Sketch | None, revision: int
) -> WindowReport:
    rows, columns = int(sketch.counts[0]), tuple(columns_of(plan, sketch))
    metrics = [
        Metric("", "rows", rows, float(rows)),
        *judge_inputs(plan, sketch, window.key.window_start_ms, window.key.segment),
    ]
    if window.key.segment == WHOLE:  # the baseline these are held against is of the whole model
        metrics.extend((*judge_columns(columns, rows), *estimate_performance(plan, sketch)))
        if plan.joint is not None and joint is not None:
            rule, alpha = plan.spec.policy.multivariate, plan.spec.policy.drift.alpha
            judged = inputs_count(plan, sketch, window.key.window_start_ms)
            metrics.extend(judge_joint(plan.joint, joint, rule, alpha, judged))
    end_ms = window.key.window_start_ms + plan.spec.window_ms
    return WindowReport(window.key, end_ms, plan.baseline_id, columns, tuple(metrics), revision)


def report_outcomes(
    window: Window,
    plan: Plan,
    sketch: Sketch,
    inputs: Sketch | None,
    groups: Mapping[str, Sketch],
    paired: Sketch | None,
    revision: int,
) -> WindowReport:
    rows = int(inputs.counts[0]) if inputs else 0
    metrics = [
        *judge_outcomes(plan, sketch, window.key.window_start_ms, rows),
        *outcome_numbers(plan, sketch),
    ]
    if paired is not None:
        regression, confidence = plan.spec.task is Task.REGRESSION, plan.spec.policy.performance.confidence
        metrics.extend(window_numbers(pairs_of(paired), regression, confidence))
    if window.key.segment == WHOLE:
        judged = outcomes_count(plan, sketch, window.key.window_start_ms)
        metrics.extend((*performance_gap(plan, sketch, inputs), *judge_fairness(plan, groups, judged)))
    return WindowReport(
        window.key,
        window.key.window_start_ms + plan.spec.window_ms,
        plan.baseline_id,
        (),
        tuple(metrics),
        revision,
        outcome_counts_of(plan, sketch),
    )


def group_segments(plan: Plan) -> tuple[str, ...]:
    """The segments that fairness is between."""
    return tuple(segment for column in plan.protected for _, segment in column.groups)


def by_group(
    plan: Plan, key: WindowKey, outcomes: Callable[[WindowKey], Sketch | None]
) -> Mapping[str, Sketch]:
    """The outcomes of each protected group beside a window of the whole model, by segment."""
    if key.segment != WHOLE:
        return {}
    found = ((segment, outcomes(replace(key, segment=segment))) for segment in group_segments(plan))
    return {segment: sketch for segment, sketch in found if sketch is not None}
