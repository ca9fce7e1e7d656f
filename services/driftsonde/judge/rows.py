"""The judge's results as rows of the store's tables. Columnar throughout: one Arrow table per round and store table."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.verdict import ColumnCounts, Metric
from driftsonde.judge.reports import WindowReport

_TIME = pa.timestamp("ms", tz="UTC")

_KEYS: dict[str, pa.DataType] = {
    "model": pa.string(),
    "version": pa.string(),
    "variant": pa.string(),
    "segment": pa.string(),
    "column": pa.string(),
    "window_start": _TIME,
    "window_end": _TIME,
}

METRICS_SCHEMA = pa.schema(
    {
        **_KEYS,
        "metric": pa.string(),
        "n": pa.uint64(),
        "value": pa.float64(),
        "lower": pa.float64(),
        "upper": pa.float64(),
        "threshold": pa.float64(),
        "breached": pa.bool_(),
        "revision": pa.uint64(),
    }
)

WINDOWS_SCHEMA = pa.schema(
    {
        **_KEYS,
        "kind": pa.string(),
        "role": pa.string(),
        "edges": pa.list_(pa.float64()),
        "categories": pa.list_(pa.string()),
        "counts": pa.list_(pa.int64()),
        "reference_counts": pa.list_(pa.int64()),
        "total": pa.float64(),
        "total_squares": pa.float64(),
        "minimum": pa.float64(),
        "maximum": pa.float64(),
        "baseline": pa.string(),
        "revision": pa.uint64(),
    }
)

OUTCOMES_SCHEMA = pa.schema(
    {
        **{name: kind for name, kind in _KEYS.items() if name != "column"},
        "labelled": pa.uint64(),
        "delay_ms": pa.int64(),
        "classes": pa.list_(pa.string()),
        "confusion": pa.list_(pa.int64()),
        "scores": pa.list_(pa.float64()),
        "negatives": pa.list_(pa.int64()),
        "positives": pa.list_(pa.int64()),
        "sum_names": pa.list_(pa.string()),
        "sums": pa.list_(pa.float64()),
        "revision": pa.uint64(),
    }
)

_STATE_COLUMNS: dict[str, pa.DataType] = {
    "model": pa.string(),
    "version": pa.string(),
    "variant": pa.string(),
    "segment": pa.string(),
    "window_start": _TIME,
    "sequence": pa.uint64(),
    "state": pa.binary(),
}
STATES_SCHEMA = pa.schema(_STATE_COLUMNS)

MODEL_STATES_SCHEMA = pa.schema({name: _STATE_COLUMNS[name] for name in ("model", "sequence", "state")})


def metric_rows(reports: Iterable[WindowReport]) -> pa.Table:
    """Rows of `metrics` and `metrics_as_judged`."""
    rows = [
        _keys(report, metric.column) | _metric(metric) | {"revision": report.revision}
        for report in reports
        for metric in report.metrics
    ]
    return pa.Table.from_pylist(rows, schema=METRICS_SCHEMA)


def window_rows(reports: Iterable[WindowReport]) -> pa.Table:
    """Rows of `windows`."""
    rows = [
        _keys(report, column.reference.name)
        | _column(column)
        | {"baseline": report.baseline, "revision": report.revision}
        for report in reports
        for column in report.columns
    ]
    return pa.Table.from_pylist(rows, schema=WINDOWS_SCHEMA)


def outcome_rows(reports: Iterable[WindowReport]) -> pa.Table:
    """Rows of `outcomes`."""
    rows = []
    for report in reports:
        if report.outcomes is None:
            continue
        outcomes, keys = report.outcomes, _keys(report, "")
        del keys["column"]
        rows.append(
            keys
            | {
                "labelled": max(0, outcomes.labelled),
                "delay_ms": outcomes.delay_ms,
                "classes": list(outcomes.classes),
                "confusion": outcomes.confusion.tolist(),
                "scores": outcomes.points.values.tolist(),
                "negatives": outcomes.points.negatives.tolist(),
                "positives": outcomes.points.positives.tolist(),
                "sum_names": [name for name, _ in outcomes.sums],
                "sums": [value for _, value in outcomes.sums],
                "revision": report.revision,
            }
        )
    return pa.Table.from_pylist(rows, schema=OUTCOMES_SCHEMA)


def _keys(report: WindowReport, column: str) -> dict[str, Any]:
    key = report.key
    return {
        "model": key.model,
        "version": key.version,
        "variant": key.variant.value,
        "segment": key.segment,
        "column": column,
        "window_start": key.window_start_ms,
        "window_end": report.window_end_ms,
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "n": metric.n,
        "value": metric.value,
        "lower": metric.lower,
        "upper": metric.upper,
        "threshold": metric.threshold,
        "breached": metric.breached,
    }


def _column(column: ColumnCounts) -> dict[str, Any]:
    reference = column.reference
    return {
        "kind": "numeric" if isinstance(reference, NumericReference) else "categorical",
        "role": reference.role.value,
        "edges": reference.edges.tolist() if isinstance(reference, NumericReference) else [],
        "categories": list(reference.categories) if isinstance(reference, CategoricalReference) else [],
        "counts": column.counts.tolist(),
        "reference_counts": reference.counts.tolist(),
        "total": column.total,
        "total_squares": column.total_squares,
        "minimum": column.minimum,
        "maximum": column.maximum,
    }
