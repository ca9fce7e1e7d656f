"""Numbers about all columns of a window: which have become constant, and how the importance of features moves."""

import math
from collections.abc import Sequence

import numpy as np

from driftsonde.core.baseline import NumericReference, Reference
from driftsonde.core.events import Role
from driftsonde.core.statistics.attribution import importance_shift, ranking_ndcg, root_mean_square
from driftsonde.core.statistics.quality import is_constant, is_constant_category
from driftsonde.core.verdict import ColumnCounts, Metric

NDCG_BAR = 0.9
CONSTANT = "constant"
CONSTANT_BAR = 0.5  # between 0 and 1


def judge_columns(columns: Sequence[ColumnCounts], rows: int) -> list[Metric]:
    """`constant` of each column that had more than one value in the baseline: 1 where it has one in the whole window, else 0;
    `constant_columns`: how many these are. One window says little (`watching_quality` looks at how often it happens), so none is
    breached. With logged attributions also `attribution_ndcg` beside the bar that SageMaker Clarify has for it, `attribution_shift`,
    the share of all importance that has gone from some features to others (0 to 1), and for each of their columns
    `importance_ratio`: no rule looks at these; their distributions drift as others."""
    if not columns or not rows:
        return []
    # A 0 is told too: it takes the place of a 1 that was told of fewer rows of the window.
    told = [
        Metric(
            column.reference.name, CONSTANT, rows, float(_has_become_constant(column)), threshold=CONSTANT_BAR
        )
        for column in columns
        if not _was_constant(column.reference)
    ]
    frozen = sum(metric.value for metric in told)
    return [*told, Metric("", "constant_columns", len(columns), frozen), *_attributions(columns, rows)]


def _was_constant(reference: Reference) -> bool:
    if isinstance(reference, NumericReference):
        return reference.minimum == reference.maximum
    return is_constant_category(reference.counts[:-1])


def _has_become_constant(column: ColumnCounts) -> bool:
    """The first test of each kind is the quick one that almost every column fails."""
    if isinstance(column.reference, NumericReference):
        if column.minimum != column.maximum:
            return False
        return is_constant(int(column.counts[:-1].sum()), column.minimum, column.maximum)
    return np.count_nonzero(column.counts[:-1]) == 1 and is_constant_category(column.counts[:-1])


def _attributions(columns: Sequence[ColumnCounts], rows: int) -> list[Metric]:
    """The importance of a feature is the root mean square of its attributions: exact from the sums that every sketch has."""
    metrics: list[Metric] = []
    before: list[float] = []
    after: list[float] = []
    for column in columns:
        reference = column.reference
        if not isinstance(reference, NumericReference) or reference.role is not Role.ATTRIBUTION:
            continue
        was = root_mean_square(reference.total_squares, int(reference.counts[:-1].sum()))
        known = int(column.counts[:-1].sum())
        now = root_mean_square(column.total_squares, known)
        if not math.isfinite(was) or not math.isfinite(now):
            continue
        before.append(was)
        after.append(now)
        metrics.append(Metric(reference.name, "importance_ratio", known, now / was if was else math.nan))
    if any(before) and any(after):
        metrics.append(Metric("", "attribution_ndcg", rows, ranking_ndcg(before, after), threshold=NDCG_BAR))
        moved = importance_shift(before, after).share_moved
        metrics.append(Metric("", "attribution_shift", rows, moved))
    return metrics
