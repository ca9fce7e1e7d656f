"""The numbers of a judged window, held against another policy's bars: what the same numbers would have meant.

A number does not depend on the policy but for the interval of a performance number, which follows from its rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from driftsonde.core.baseline import NumericReference, Reference
from driftsonde.core.chunks import WHOLE, Kind
from driftsonde.core.column_health import CONSTANT, CONSTANT_BAR
from driftsonde.core.contest import DISAGREEMENT, PAIRED_SIZES, WINDOW_DIFFERENCE
from driftsonde.core.judging import JudgedWindow
from driftsonde.core.plan import Plan
from driftsonde.core.spec import Policy
from driftsonde.core.statistics import intervals, many
from driftsonde.core.verdict import Metric, distance_bins
from driftsonde.core.volume import RATIO as VOLUME
from driftsonde.core.window import WindowKey

ROWS = "rows"
_RATES = ("missing_rate", "unseen_rate", "out_of_range_rate")
_PERFORMANCE = ("accuracy", "rmse")
# What the rules look at, of outcomes and of inputs, and how many rows there were.
OUTCOMES_KEPT = (*_PERFORMANCE, "mae", WINDOW_DIFFERENCE, DISAGREEMENT, *PAIRED_SIZES)
KEPT = (ROWS, VOLUME, "psi", *_RATES, CONSTANT, *OUTCOMES_KEPT)


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """The numbers of one window as they were judged, of its inputs or of its outcomes. used: for each column, how many of
    the bins that distances compare have a row in the window or in the baseline."""

    key: WindowKey
    kind: Kind
    metrics: tuple[Metric, ...]
    used: Mapping[str, int]


def used_bins(reference: Reference, counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    """How many bins of a comparison have a row on either side."""
    both = distance_bins(reference, counts) + distance_bins(reference, reference.counts)
    return int(np.count_nonzero(both))


def under_policy(plan: Plan, policy: Policy, policy_id: str) -> Plan:
    """The plan, had it had another policy."""
    return replace(plan, spec=replace(plan.spec, policy=policy), policy_id=policy_id)


@dataclass(frozen=True, slots=True)
class _Column:
    """A baseline's rows in compared bins, and its shares by the name of the rate."""

    rows: float
    shares: Mapping[str, float]


def rebarring(plan: Plan) -> Callable[[StoredWindow], JudgedWindow | None]:
    """What holds windows of a version against its plan's bars; None of a window that says nothing for or against, as in
    `verdict.inputs_count` and `verdict.outcomes_count`."""
    columns = {reference.name: _column(reference) for reference in plan.inputs.references}

    def hold(window: StoredWindow) -> JudgedWindow | None:
        if plan.baseline is None or window.key.window_start_ms < plan.baseline.lineage.end_ms:
            return None
        if window.kind is Kind.OUTCOMES:
            metrics = [*_performance(plan, window.metrics)]
        elif window.key.segment == WHOLE and _rows(window.metrics) >= plan.spec.policy.drift.min_rows:
            metrics = [*_distances(plan, columns, window), *_shares(plan, columns, window.metrics)]
        else:
            metrics = []
        return JudgedWindow(window.key, plan, tuple(metrics)) if metrics else None

    return hold


def _rows(metrics: Iterable[Metric]) -> int:
    return next((metric.n for metric in metrics if metric.name == ROWS), 0)


def _column(reference: Reference) -> _Column:
    counts = reference.counts.astype(np.float64)
    rows = max(1.0, float(counts.sum()))
    shares = {"missing_rate": float(counts[-1]) / rows}
    if isinstance(reference, NumericReference):
        shares["out_of_range_rate"] = float(counts[0] + counts[-2]) / rows
    else:
        shares["unseen_rate"] = float(counts[-2]) / rows
    return _Column(float(distance_bins(reference, reference.counts).sum()), shares)


def _distances(plan: Plan, columns: Mapping[str, _Column], window: StoredWindow) -> list[Metric]:
    found = [metric for metric in window.metrics if metric.name == "psi" and metric.column in columns]
    if not found:
        return []
    rule = plan.spec.policy.drift
    n = np.array([metric.n for metric in found], dtype=np.float64)
    before = np.array([columns[metric.column].rows for metric in found])
    used = np.array([window.used.get(metric.column, 1) for metric in found], dtype=np.float64)
    alpha = rule.alpha / max(1, len(plan.inputs.references))
    critical = many.population_stability_index_criticals(np.maximum(1.0, used), before, n, alpha)
    bars = np.maximum(rule.psi, critical).tolist()
    return [
        metric._replace(threshold=bar, breached=metric.value > bar)
        for metric, bar in zip(found, bars, strict=True)
    ]


def _shares(plan: Plan, columns: Mapping[str, _Column], metrics: Iterable[Metric]) -> Iterator[Metric]:
    rule = plan.spec.policy.quality
    allowed = dict(zip(_RATES, (rule.missing_rate, rule.unseen_rate, rule.out_of_range_rate), strict=True))
    for metric in metrics:
        if metric.name in allowed and metric.column in columns:
            bar = min(1.0, columns[metric.column].shares.get(metric.name, 0.0) + allowed[metric.name])
            breached = metric.value > bar and metric.lower > bar
            yield metric._replace(threshold=bar, breached=breached)
        elif metric.name == CONSTANT:
            yield metric._replace(threshold=CONSTANT_BAR, breached=False)


def _performance(plan: Plan, metrics: Iterable[Metric]) -> Iterator[Metric]:
    rule = plan.spec.policy.performance
    reference = plan.baseline.performance if plan.baseline else None
    for metric in metrics:
        if metric.name not in _PERFORMANCE or metric.n < max(1, rule.min_labels):
            continue
        held = reference.value if reference and reference.metric == metric.name else math.nan
        yield _accuracy(plan, metric, held) if metric.name == "accuracy" else _rmse(plan, metric, held)


def _accuracy(plan: Plan, metric: Metric, reference: float) -> Metric:
    rule = plan.spec.policy.performance
    interval = intervals.wilson(round(metric.value * metric.n), metric.n, rule.confidence)
    bar = reference - rule.drop
    return metric._replace(
        lower=interval.lower, upper=interval.upper, threshold=bar, breached=interval.upper < bar
    )


def _rmse(plan: Plan, metric: Metric, reference: float) -> Metric:
    rule = plan.spec.policy.performance
    if math.isnan(metric.lower):  # absurd numbers: no interval, no verdict
        return metric
    spread = intervals.normal_quantile(rule.confidence) / math.sqrt(2 * metric.n)
    lower, upper = metric.value * max(0.0, 1 - spread), metric.value * (1 + spread)
    bar = reference * (1 + rule.drop)
    return metric._replace(lower=lower, upper=upper, threshold=bar, breached=lower > bar)
