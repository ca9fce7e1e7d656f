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


def judge_columns(columns: Sequence[ColumnCounts], rows: int, revised: bool) -> list[Metric]:
    """`constant`, 1, of each column that has one value in the whole window and had more in the baseline; where the window is
    `revised`, 0 of the others, for what was told before may hold no longer. `constant_columns`: how many are constant. One window
    says little (`watching_quality` looks at how often it happens), so none is breached. With logged
    attributions also `attribution_ndcg` beside the bar that SageMaker Clarify has for it, `attribution_shift`, the share of all
    importance that has gone from some features to others (0 to 1), and for each of their columns `importance_ratio`: no rule
    looks at these; their distributions drift as others."""
    if not columns or not rows:
        return []
    told = [
        Metric(column.reference.name, CONSTANT, rows, float(constant), threshold=CONSTANT_BAR)
        for column in columns
        if ((constant := _is_constant(column)) or revised) and not was_constant(column.reference)
    ]
    frozen = math.fsum(metric.value for metric in told)
    return [*told, Metric("", "constant_columns", len(columns), frozen), *_attributions(columns, rows)]


def was_constant(reference: Reference) -> bool:
    """Whether a column has one value in the baseline."""
    if isinstance(reference, NumericReference):
        return reference.minimum == reference.maximum
    return is_constant_category(reference.counts[:-1])


def _is_constant(column: ColumnCounts) -> bool:
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
