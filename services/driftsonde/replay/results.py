"""The results of one model from the store to files. The same results give the same bytes.

windows.csv has one row for each bin of each column of each window. `bin` is "below", "1", "2", …, "above", "missing" for a
numeric column, with `lower` (included) and `upper` (excluded) edges; "1", "2", …, "unseen", "missing" for a categorical
one, with its `category`. The outcomes of a window have the column "": kind "confusion", `bin` the label and `category`
the prediction; kind "scores", `bin` "negative" or "positive" and `lower` the score (exact up to 2,048 distinct ones, then
rounded); kind "sums", `bin` the name of the sum and `lower` its value. Kind "sums" of a numeric column: of its values. What has
no reference has a `reference_count` of 0.
"""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.specs import baseline_document
from driftsonde.adapters.stored_control import decision_records, signal_records
from driftsonde.core.baseline import Baseline
from driftsonde.core.chunks import OTHER

METRICS = "metrics.csv"
WINDOWS = "windows.csv"
BASELINE = "baseline.json"
SIGNALS = "signals.jsonl"
DECISIONS = "decisions.jsonl"

_KEY = ("model", "version", "variant", "segment", "column")
METRIC_COLUMNS = (
    *_KEY,
    *(
        "metric",
        "window_start",
        "window_end",
        "n",
        "value",
        "lower",
        "upper",
        "threshold",
        "breached",
        "revision",
    ),
)
WINDOW_COLUMNS = (
    *_KEY,
    *("window_start", "window_end", "kind", "bin", "category", "lower", "upper", "count", "reference_count"),
    "revision",
)

_MONTHS = "SELECT DISTINCT toYYYYMM(window_start) AS month FROM {table} WHERE model = {{model:String}} ORDER BY month"
_METRICS = """
SELECT model, version, variant, segment, column, metric,
       toUnixTimestamp64Milli(window_start), toUnixTimestamp64Milli(window_end),
       n, value, lower, upper, threshold, breached, revision
FROM metrics FINAL
WHERE model = {model:String} AND toYYYYMM(window_start) = {month:UInt32}
ORDER BY window_start, version, variant, segment, column, metric
"""
_WINDOWS = """
SELECT model, version, variant, segment, column,
       toUnixTimestamp64Milli(window_start), toUnixTimestamp64Milli(window_end),
       kind, edges, categories, counts, reference_counts, revision,
       total, total_squares, minimum, maximum
FROM windows FINAL
WHERE model = {model:String} AND toYYYYMM(window_start) = {month:UInt32}
ORDER BY window_start, version, variant, segment, column
"""
_OUTCOMES = """
SELECT model, version, variant, segment, '',
       toUnixTimestamp64Milli(window_start), toUnixTimestamp64Milli(window_end),
       classes, confusion, scores, negatives, positives, sum_names, sums, labelled, revision
FROM outcomes FINAL
WHERE model = {model:String} AND toYYYYMM(window_start) = {month:UInt32}
ORDER BY window_start, version, variant, segment
"""
_MOMENTS = ("total", "total_squares", "minimum", "maximum")


def write_results(store: Store, baseline: Baseline, directory: Path) -> dict[str, int]:
    """Write the files; returns how many windows, metrics, signals and decisions there are. Raises what `Store` raises
    and OSError."""
    model = baseline.model
    document = json.dumps(
        baseline_document(baseline), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False
    )
    (directory / BASELINE).write_text(document + "\n", encoding="utf-8")
    return {
        "windows": _write_windows(store, model, directory / WINDOWS),
        "metrics": _write_csv(directory / METRICS, METRIC_COLUMNS, _metric_rows(store, model)),
        "signals": _write_lines(directory / SIGNALS, signal_records(store, model)),
        "decisions": _write_lines(directory / DECISIONS, decision_records(store, model)),
    }


def format_time(time_ms: int) -> str:
    """
    >>> format_time(0), format_time(1_500)
    ('1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500Z')
    """
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    precision = "milliseconds" if time_ms % 1000 else "seconds"
    return time.isoformat(timespec=precision).replace("+00:00", "Z")


def format_float(value: float) -> str:
    """The shortest text that reads back to the same number; nothing for NaN.

    >>> format_float(0.1), format_float(2.0), format_float(math.nan), format_float(-math.inf)
    ('0.1', '2.0', '', '-inf')
    """
    return "" if math.isnan(value) else repr(float(value))


def bin_rows(
    kind: str,
    edges: Sequence[float],
    categories: Sequence[str],
    counts: Sequence[int],
    reference: Sequence[int],
) -> Iterator[tuple[str, str, str, str, int, int]]:
    """(bin, category, lower, upper, count, reference count) of each bin of a column.

    >>> [row[:4] for row in bin_rows("numeric", [0.0, 1.5], [], [0, 3, 1, 0], [0, 9, 0, 0])]
    [('below', '', '', '0.0'), ('1', '', '0.0', '1.5'), ('above', '', '1.5', ''), ('missing', '', '', '')]
    """
    if kind == "numeric":
        texts = [format_float(edge) for edge in edges]
        inner = [(str(n), "", *pair) for n, pair in enumerate(pairwise(texts), start=1)]
        names = [("below", "", "", texts[0]), *inner, ("above", "", texts[-1], ""), ("missing", "", "", "")]
    else:
        named = [(str(n), category, "", "") for n, category in enumerate(categories, start=1)]
        names = [*named, ("unseen", "", "", ""), ("missing", "", "", "")]
    for name, count, before in zip(names, counts, reference, strict=True):
        yield (*name, count, before)


def _metric_rows(store: Store, model: str) -> Iterator[Sequence[object]]:
    for month in _months(store, "metrics", model):
        for *key, start_ms, end_ms, n, value, lower, upper, threshold, breached, revision in store.query_rows(
            _METRICS, {"model": model, "month": month}
        ):
            numbers = (format_float(number) for number in (value, lower, upper, threshold))
            flag = "true" if breached else "false"
            yield (*key, format_time(start_ms), format_time(end_ms), n, *numbers, flag, revision)


def outcome_rows(
    classes: Sequence[str],
    confusion: Sequence[int],
    scores: Sequence[float],
    negatives: Sequence[int],
    positives: Sequence[int],
    names: Sequence[str],
    sums: Sequence[float],
    labelled: int,
) -> Iterator[tuple[str, str, str, str, str, int]]:
    """(kind, bin, category, lower, upper, count) of each part of a window's outcomes.

    >>> list(outcome_rows(["a"], [3, 1, 0, 0], [0.5], [0], [4], ["log_loss"], [0.25], 4))[1::2]
    [('confusion', 'a', '(other)', '', '', 1), ('confusion', '(other)', '(other)', '', '', 0), ('sums', 'log_loss', '', '0.25', '', 4)]
    """
    sides = [*classes, OTHER] if classes else []
    for place, count in enumerate(confusion):
        yield ("confusion", sides[place // len(sides)], sides[place % len(sides)], "", "", count)
    for score, negative, positive in zip(scores, negatives, positives, strict=True):
        for label, count in (("negative", negative), ("positive", positive)):
            if count:
                yield ("scores", label, "", format_float(score), "", count)
    for name, value in zip(names, sums, strict=True):
        yield ("sums", name, "", format_float(value), "", labelled)


def _write_windows(store: Store, model: str, path: Path) -> int:
    """Returns the number of windows, not of rows."""
    windows: set[tuple[object, ...]] = set()

    def rows() -> Iterator[Sequence[object]]:
        for month in _months(store, "windows", model):
            params = {"model": model, "month": month}
            for row in store.query_rows(_WINDOWS, params):
                windows.add((*row[:4], row[5]))
                yield from _column_rows(row)
            for row in store.query_rows(_OUTCOMES, params):
                for outcome in outcome_rows(*row[7:-1]):
                    yield (*_place(row[:7]), *outcome, 0, row[-1])

    _write_csv(path, WINDOW_COLUMNS, rows())
    return len(windows)


def _place(key: Sequence[Any]) -> tuple[object, ...]:
    """Model, version, variant, segment and column, then the window's start and end as text."""
    return (*key[:5], format_time(key[5]), format_time(key[6]))


def _column_rows(row: Sequence[Any]) -> Iterator[Sequence[object]]:
    kind, edges, categories, counts, reference, revision, *moments = row[7:]
    place = _place(row[:7])
    for entry in bin_rows(kind, edges, categories, counts, reference):
        yield (*place, kind, *entry, revision)
    if kind == "numeric":
        known = sum(counts[:-1])
        for name, value in zip(_MOMENTS, moments, strict=True):
            yield (*place, "sums", name, "", format_float(value), "", known, 0, revision)


def _months(store: Store, table: str, model: str) -> list[int]:
    return [month for (month,) in store.query_rows(_MONTHS.format(table=table), {"model": model})]


def _write_csv(path: Path, header: Sequence[str], rows: Iterator[Sequence[object]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _write_lines(path: Path, objects: Iterator[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for entry in objects:
            file.write(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n")
            count += 1
    return count
