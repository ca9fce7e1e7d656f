"""One model's story out of the store: the same results that a report is made from, of a period that ends now."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.stored_control import decision_records, signal_records
from driftsonde.adapters.wire_control import signal_from_record
from driftsonde.console.fleet import PERFORMANCE
from driftsonde.core.baseline import Baseline, CategoricalReference, NumericReference, Reference
from driftsonde.core.events import Role
from driftsonde.core.signals import Signal
from driftsonde.core.verdict import ColumnCounts
from driftsonde.report.drift import detailed, rank_columns, wanted_windows
from driftsonde.report.formats import format_bin
from driftsonde.report.page import Page, build_page
from driftsonde.report.reading import decision_of, series_of
from driftsonde.report.results import BinCount, ColumnWindow, Results, main_variant_of

# A page shows this many windows where no period is asked for, and reads no more than this many.
USUAL_WINDOWS = 240
MOST_WINDOWS = 2_000

_NEWEST = """
SELECT toUnixTimestamp64Milli(max(window_end)) AS until_ms,
       toUnixTimestamp64Milli(argMax(window_end, window_start)) - toUnixTimestamp64Milli(max(window_start)) AS size_ms
FROM metrics
WHERE model = {model:String} AND segment = ''
HAVING count() > 0
"""

# Of the segments, the numbers of the target are enough; of the columns, the whole model.
_METRICS = """
SELECT toString(model) AS model, toString(version) AS version, toString(variant) AS variant,
       toString(segment) AS segment, toString(column) AS column, toString(metric) AS metric,
       window_start, window_end, toInt64(n) AS n, value, lower, upper, threshold, breached, toInt64(revision) AS revision
FROM metrics FINAL
WHERE model = {model:String} AND (segment = '' OR column = '')
      AND toUnixTimestamp64Milli(window_start) >= {from_ms:Int64}
      AND toUnixTimestamp64Milli(window_start) < {until_ms:Int64}
"""

# `wanted` has the key's columns as they are, so that only their granules are read.
_COUNTS = """
SELECT model, version, variant, column, toUnixTimestamp64Milli(window_start) AS start_ms,
       kind, edges, categories, counts, reference_counts, total, total_squares, minimum, maximum
FROM windows FINAL
WHERE segment = '' AND (model, version, variant, column) IN {columns:Array(Tuple(String, String, String, String))}
      AND (model, version, variant, column, start_ms) IN {wanted:Array(Tuple(String, String, String, String, Int64))}
"""

_RANKED = """
SELECT column, value, threshold, breached
FROM metrics FINAL
WHERE model = {model:String} AND version = {version:String} AND variant = {variant:String} AND segment = ''
      AND metric = 'psi' AND toUnixTimestamp64Milli(window_start) = {start_ms:Int64} AND isFinite(value)
ORDER BY breached DESC, if(threshold > 0, value / threshold, value) DESC, column
LIMIT {most:UInt32}
"""
RANKED_COLUMNS = 20

# How the version did before a moment, in the windows within its limit, and from it on; by its headline metric, weighted by
# labelled rows.
_EFFECT = """
SELECT metric, sumIf(n, healthy) AS n_before, sumIf(n * value, healthy) / n_before AS before,
       sumIf(n, later) AS n_after, sumIf(n * value, later) / n_after AS after,
       argMaxIf(threshold, window_start, later) AS limit, countIf(later AND breached) > 0 AS past_limit
FROM (
    SELECT metric, window_start, n, value, threshold, breached,
           toUnixTimestamp64Milli(window_start) >= {since_ms:Int64} AS later, NOT later AND NOT breached AS healthy
    FROM metrics FINAL
    WHERE model = {model:String} AND version = {version:String} AND variant = {variant:String} AND segment = ''
          AND column = '' AND has({performance:Array(String)}, metric) AND n > 0
          AND toUnixTimestamp64Milli(window_start) < {until_ms:Int64}
)
GROUP BY metric
ORDER BY indexOf({performance:Array(String)}, metric)
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A column's population stability index in one window, and its limit (NaN without one)."""

    column: str
    psi: float
    threshold: float
    breached: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """How a version did before something happened, in windows within its limit, and since, over so many labelled rows; NaN
    over none. `limit`: the newest since, NaN without one; `past_limit`: in a window since."""

    metric: str
    n_before: int
    before: float
    n_after: int
    after: float
    limit: float
    past_limit: bool


@dataclass(frozen=True, slots=True)
class Period:
    """The windows that start in [from_ms, until_ms)."""

    from_ms: int
    until_ms: int


def newest_period(store: Store, model: str, windows: int = USUAL_WINDOWS) -> Period | None:
    """The newest so many windows (at most `MOST_WINDOWS`); None where nothing has been judged."""
    rows = store.query_rows(_NEWEST, {"model": model})
    if not rows:
        return None
    ((until_ms, size_ms),) = rows
    return Period(until_ms - min(windows, MOST_WINDOWS) * max(1, size_ms), until_ms)


def read_story(store: Store, baseline: Baseline, period: Period) -> Results:
    """Everything of a model in a period, but the counts. Raises what `Store` raises."""
    model = baseline.model
    table = store.query_arrow(
        _METRICS, {"model": model, "from_ms": period.from_ms, "until_ms": period.until_ms}
    )
    series = series_of(table)
    signals = [signal_from_record(record) for record in signal_records(store, model)]
    shown = [signal for signal in signals if period.from_ms < signal.window_end_ms <= period.until_ms]
    led_to = {signal.id for signal in shown}
    decisions = (decision_of(record) for record in decision_records(store, model))
    return Results(
        model=model,
        versions=tuple(sorted({key.version for key in series})),
        main_variant=main_variant_of(series),
        series=series,
        baseline=baseline,
        signals=tuple(shown),
        decisions=tuple(
            d for d in decisions if d.signal in led_to or (not d.signal and d.timestamp_ms >= period.from_ms)
        ),
        files=(),
    )


def read_counts(
    store: Store, wanted: Iterable[tuple[str, ColumnWindow]]
) -> dict[tuple[str, ColumnWindow], ColumnCounts]:
    """The counts and sums of the wanted windows, each of the model beside it, with the counts of the baseline."""
    places = sorted({(model, w.version, w.variant, w.column, w.start_ms) for model, w in wanted})
    if not places:
        return {}
    rows = store.query_rows(_COUNTS, {"columns": [place[:4] for place in places], "wanted": places})
    return {
        (model, ColumnWindow(version, variant, column, start_ms)): _counts(column, *rest)
        for model, version, variant, column, start_ms, *rest in rows
    }


def read_counts_of(
    store: Store, model: str, wanted: Sequence[ColumnWindow]
) -> dict[ColumnWindow, ColumnCounts]:
    """The same of one model, in the order in which they are wanted."""
    found = read_counts(store, ((model, window) for window in wanted))
    return {window: found[model, window] for window in wanted if (model, window) in found}


def with_sums(column: ColumnCounts, references: Iterable[Reference]) -> ColumnCounts:
    """The window's counts beside the whole reference that they were held against, where it is (still) among these: a
    window has its counts only."""
    for known in references:
        if known.name == column.reference.name and np.array_equal(known.counts, column.reference.counts):
            return column._replace(reference=known)
    return column


def read_effect(store: Store, signal: Signal, since_ms: int, until_ms: int) -> Effect | None:
    """None where the version has no label yet, neither before nor in the period."""
    params = {
        "model": signal.model,
        "version": signal.version,
        "variant": signal.variant.value,
        "performance": list(PERFORMANCE),
        "since_ms": since_ms,
        "until_ms": until_ms,
    }
    rows = store.query_rows(_EFFECT, params)
    return Effect(*rows[0]) if rows else None


def read_ranking(store: Store, signal: Signal) -> tuple[Ranked, ...]:
    """The columns in the window that a signal is about, the furthest beyond its limit first; at most `RANKED_COLUMNS`."""
    params = {
        "model": signal.model,
        "version": signal.version,
        "variant": signal.variant.value,
        "start_ms": signal.window_start_ms,
        "most": RANKED_COLUMNS,
    }
    return tuple(Ranked(*row) for row in store.query_rows(_RANKED, params))


def bins_of(column: ColumnCounts) -> Iterator[BinCount]:
    """Counts with the names that people read."""
    reference = column.reference
    if isinstance(reference, NumericReference):
        edges = reference.edges.tolist()
        inner = [format_bin("", low, high, "") for low, high in pairwise(edges)]
        names = [
            format_bin("below", None, edges[0], ""),
            *inner,
            format_bin("above", edges[-1], None, ""),
            "missing",
        ]
    else:
        names = [*reference.categories, "never seen before", "missing"]
    for name, count, before in zip(names, column.counts.tolist(), reference.counts.tolist(), strict=True):
        yield BinCount(name, count, before)


def _counts(
    column: str,
    kind: str,
    edges: list[float],
    categories: list[str],
    counts: list[int],
    before: list[int],
    *sums: float,
) -> ColumnCounts:
    """A row of the table `windows`."""
    then, now = (np.array(cells, dtype=np.int64) for cells in (before, counts))
    if kind == "numeric":
        unknown = (math.nan,) * 4
        return ColumnCounts(
            NumericReference(column, Role.FEATURE, np.array(edges), then, *unknown), now, *sums
        )
    return ColumnCounts(CategoricalReference(column, Role.FEATURE, tuple(categories), then), now)


def read_page(store: Store, baseline: Baseline, period: Period) -> Page:
    """What the model's page shows."""
    results = read_story(store, baseline, period)
    wanted = wanted_windows(results, detailed(rank_columns(results)))
    counts = read_counts_of(store, baseline.model, wanted)
    return build_page(results, {window: tuple(bins_of(column)) for window, column in counts.items()})
