"""One model's story out of the store: the same results that a report is made from, of a period that ends now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.stored_control import decision_records, signal_records
from driftsonde.adapters.wire_control import signal_from_record
from driftsonde.core.baseline import Baseline
from driftsonde.core.signals import Signal
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
       kind, edges, categories, counts, reference_counts
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


@dataclass(frozen=True, slots=True)
class Ranked:
    """A column's population stability index in one window, and its bar (NaN without one)."""

    column: str
    psi: float
    threshold: float
    breached: bool


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
) -> dict[tuple[str, ColumnWindow], tuple[BinCount, ...]]:
    """The bins of the wanted windows, each of the model beside it, with those of the baseline."""
    places = sorted({(model, w.version, w.variant, w.column, w.start_ms) for model, w in wanted})
    if not places:
        return {}
    rows = store.query_rows(_COUNTS, {"columns": [place[:4] for place in places], "wanted": places})
    return {
        (model, ColumnWindow(version, variant, column, start_ms)): tuple(bins_of(*rest))
        for model, version, variant, column, start_ms, *rest in rows
    }


def read_counts_of(
    store: Store, model: str, wanted: Sequence[ColumnWindow]
) -> dict[ColumnWindow, tuple[BinCount, ...]]:
    """The same of one model, in the order in which they are wanted."""
    found = read_counts(store, ((model, window) for window in wanted))
    return {window: found[model, window] for window in wanted if (model, window) in found}


def read_ranking(store: Store, signal: Signal) -> tuple[Ranked, ...]:
    """The columns in the window that a signal is about, the furthest beyond its bar first; at most `RANKED_COLUMNS`."""
    params = {
        "model": signal.model,
        "version": signal.version,
        "variant": signal.variant.value,
        "start_ms": signal.window_start_ms,
        "most": RANKED_COLUMNS,
    }
    return tuple(Ranked(*row) for row in store.query_rows(_RANKED, params))


def bins_of(
    kind: str, edges: list[float], categories: list[str], counts: list[int], reference: list[int]
) -> Iterable[BinCount]:
    """Counts as the table `windows` has them, with the names that people read.

    >>> [entry.label for entry in bins_of("numeric", [0.0, 1.5], [], [0, 3, 1, 0], [0, 9, 0, 0])]
    ['below 0', '0 – 1.5', '1.5 and above', 'missing']
    """
    if kind == "numeric":
        inner = [format_bin("", low, high, "") for low, high in pairwise(edges)]
        names = [
            format_bin("below", None, edges[0], ""),
            *inner,
            format_bin("above", edges[-1], None, ""),
            "missing",
        ]
    else:
        names = [*categories, "unseen", "missing"]
    for name, count, before in zip(names, counts, reference, strict=True):
        yield BinCount(name, count, before)


def read_page(store: Store, baseline: Baseline, period: Period) -> Page:
    """What the model's page shows."""
    results = read_story(store, baseline, period)
    wanted = wanted_windows(results, detailed(rank_columns(results)))
    return build_page(results, read_counts_of(store, baseline.model, wanted))
