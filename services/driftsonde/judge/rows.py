"""The judge's results as rows of the store's tables. Columnar throughout: one Arrow table per round and store table."""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from driftsonde.core.baseline import CategoricalReference, NumericReference, Reference
from driftsonde.core.events import Floats, Ints
from driftsonde.judge.reports import WindowReport

Array: TypeAlias = "pa.Array[Any]"

_TIME = pa.timestamp("ms", tz="UTC")
_NO_EDGES = np.empty(0)

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
    kept = [report for report in reports if report.metrics]
    if not kept:
        return METRICS_SCHEMA.empty_table()
    rows = [len(report.metrics) for report in kept]
    columns, *numbers = zip(*chain.from_iterable(report.metrics for report in kept), strict=True)
    content: dict[str, Any] = {
        **_repeated_keys(kept, rows),
        "column": columns,
        **dict(
            zip(("metric", "n", "value", "lower", "upper", "threshold", "breached"), numbers, strict=True)
        ),
        "revision": _repeated((report.revision for report in kept), rows),
    }
    return pa.table(content, METRICS_SCHEMA)


def window_rows(reports: Iterable[WindowReport]) -> pa.Table:
    """Rows of `windows`."""
    kept = [report for report in reports if report.columns]
    if not kept:
        return WINDOWS_SCHEMA.empty_table()
    rows = [len(report.columns) for report in kept]
    references, counts, *moments = zip(*chain.from_iterable(report.columns for report in kept), strict=True)
    numeric = [isinstance(reference, NumericReference) for reference in references]
    content: dict[str, Any] = {
        **_repeated_keys(kept, rows),
        "column": [reference.name for reference in references],
        "kind": ["numeric" if is_numeric else "categorical" for is_numeric in numeric],
        "role": [reference.role.value for reference in references],
        "edges": _lists([_edges(reference) for reference in references]),
        "categories": [_categories(reference) for reference in references],
        "counts": _lists(counts),
        "reference_counts": _lists([reference.counts for reference in references]),
        **dict(zip(("total", "total_squares", "minimum", "maximum"), moments, strict=True)),
        "baseline": _repeated((report.baseline for report in kept), rows),
        "revision": _repeated((report.revision for report in kept), rows),
    }
    return pa.table(content, WINDOWS_SCHEMA)


def outcome_rows(reports: Iterable[WindowReport]) -> pa.Table:
    """Rows of `outcomes`."""
    rows = []
    for report in reports:
        if report.outcomes is None:
            continue
        outcomes = report.outcomes
        rows.append(
            _keys(report)
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


def _keys(report: WindowReport) -> dict[str, Any]:
    key = report.key
    return {
        "model": key.model,
        "version": key.version,
        "variant": key.variant.value,
        "segment": key.segment,
        "window_start": key.window_start_ms,
        "window_end": report.window_end_ms,
    }


def _repeated_keys(reports: Sequence[WindowReport], rows: Sequence[int]) -> dict[str, list[Any]]:
    """The columns of `_keys`, `rows[i]` times those of report i."""
    keys = [_keys(report) for report in reports]
    return {name: _repeated((key[name] for key in keys), rows) for name in keys[0]}


def _repeated(values: Iterable[Any], rows: Iterable[int]) -> list[Any]:
    return [*chain.from_iterable(map(repeat, values, rows))]


def _edges(reference: Reference) -> Floats:
    return reference.edges if isinstance(reference, NumericReference) else _NO_EDGES


def _categories(reference: Reference) -> tuple[str, ...]:
    return reference.categories if isinstance(reference, CategoricalReference) else ()


def _lists(parts: Sequence[Floats | Ints]) -> Array:
    """A list a row."""
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int32)
    values: Any = pa.array(np.concatenate(parts))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
