"""Reports as rows of the store: every number of every report, in its column, once."""

import numpy as np

from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.events import Role, Variant
from driftsonde.core.verdict import ColumnCounts, Metric
from driftsonde.core.window import WindowKey
from driftsonde.judge.reports import WindowReport
from driftsonde.judge.rows import METRICS_SCHEMA, WINDOWS_SCHEMA, metric_rows, window_rows

NUMBERS = NumericReference(
    "x", Role.FEATURE, np.array([0.0, 1, 2]), np.array([0, 3, 4, 0, 1]), 1.0, 2.0, 0.0, 2.0
)
COLOURS = CategoricalReference("c", Role.SEGMENT, ("red",), np.array([5, 1, 0]))


def report(segment: str, revision: int, *metrics: Metric) -> WindowReport:
    counts = np.arange(5) + revision
    columns = (ColumnCounts(NUMBERS, counts, 1.5, 2.5, -1.0, 3.0), ColumnCounts(COLOURS, counts[:3]))
    key = WindowKey(60_000, "m", "1", Variant.CANARY, segment)
    return WindowReport(key, 120_000, "b1", columns, metrics, revision)


def test_a_row_for_each_metric_of_each_report() -> None:
    reports = [
        report("", 0, Metric("x", "psi", 8, 0.5, threshold=0.2, breached=True), Metric("", "rows", 8, 8.0)),
        report("c=red", 3),
        report("c=red", 7, Metric("x", "missing_rate", 4, 0.25, 0.1, 0.6, 0.3)),
    ]
    rows = metric_rows(reports)
    assert rows.schema == METRICS_SCHEMA
    assert rows["segment"].to_pylist() == ["", "", "c=red"]
    assert rows["column"].to_pylist() == ["x", "", "x"]
    assert rows["metric"].to_pylist() == ["psi", "rows", "missing_rate"]
    assert rows["n"].to_pylist() == [8, 8, 4]
    assert rows["value"].to_pylist() == [0.5, 8.0, 0.25]
    assert np.isnan(rows["lower"].to_numpy()).tolist() == [True, True, False]
    assert rows["threshold"].to_pylist()[::2] == [0.2, 0.3]
    assert rows["breached"].to_pylist() == [True, False, False]
    assert rows["revision"].to_pylist() == [0, 0, 7]
    (first, *_) = rows.to_pylist()
    assert (first["model"], first["version"], first["variant"]) == ("m", "1", "canary")
    assert [first[name].timestamp() for name in ("window_start", "window_end")] == [60.0, 120.0]


def test_a_row_for_each_column_of_each_report() -> None:
    rows = window_rows([report("", 0), report("c=red", 2)])
    assert rows.schema == WINDOWS_SCHEMA
    assert rows["segment"].to_pylist() == ["", "", "c=red", "c=red"]
    assert rows["column"].to_pylist() == ["x", "c"] * 2
    assert rows["kind"].to_pylist() == ["numeric", "categorical"] * 2
    assert rows["role"].to_pylist() == ["feature", "segment"] * 2
    assert rows["edges"].to_pylist() == [[0.0, 1.0, 2.0], []] * 2
    assert rows["categories"].to_pylist() == [[], ["red"]] * 2
    assert rows["counts"].to_pylist() == [[0, 1, 2, 3, 4], [0, 1, 2], [2, 3, 4, 5, 6], [2, 3, 4]]
    assert rows["reference_counts"].to_pylist() == [[0, 3, 4, 0, 1], [5, 1, 0]] * 2
    assert rows["total_squares"].to_pylist()[::2] == [2.5, 2.5]
    assert np.isnan(rows["minimum"].to_numpy()).tolist() == [False, True, False, True]
    assert rows["revision"].to_pylist() == [0, 0, 2, 2]


def test_no_reports_no_rows() -> None:
    assert metric_rows([report("", 0)]).num_rows == 0
    assert metric_rows([]).schema == METRICS_SCHEMA
    assert window_rows([]).schema == WINDOWS_SCHEMA
