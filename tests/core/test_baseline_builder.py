"""Baselines: what is counted where, and laws over any rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.adapters.specs import baseline_from_json, baseline_to_json
from driftsonde.core.baseline import Baseline, CategoricalReference, NumericReference
from driftsonde.core.baseline_builder import MAX_SLICES, MAX_VOCABULARY, ReferenceRows, build_baseline
from driftsonde.core.events import CategoricalColumn, Column, InvalidEvent, NumericColumn, Role
from driftsonde.core.spec import ModelSpec, Task
from strategies import columns

SPEC = ModelSpec("shop", Task.BINARY, classes=("no", "yes"))


def numeric(*values: float, name: str = "x", role: Role = Role.FEATURE) -> NumericColumn:
    return NumericColumn(name, role, np.array(values, dtype=np.float64))


def categorical(*values: str | None, name: str = "c", role: Role = Role.FEATURE) -> CategoricalColumn:
    names = list(dict.fromkeys(value for value in values if value is not None))
    codes = [-1 if value is None else names.index(value) for value in values]
    return CategoricalColumn(name, role, np.array(codes, dtype=np.int32), tuple(names))


def build(*parts: Column, labels: Column | None = None, spec: ModelSpec = SPEC) -> Baseline:
    first = parts[0]
    rows = len(first.values if isinstance(first, NumericColumn) else first.codes)
    times = np.arange(rows, dtype=np.int64) * 1000 + 5000
    return build_baseline(spec, "7", ReferenceRows(times, tuple(parts), labels), "a test")


def test_numeric_bins_have_about_equal_counts_and_special_bins_are_empty() -> None:
    (column,) = build(numeric(*range(1, 1001))).columns
    assert isinstance(column, NumericReference)
    assert column.counts[1:-2].tolist() == [100] * 10
    assert (column.counts[0], column.counts[-2], column.counts[-1]) == (0, 0, 0)
    assert (column.total, column.minimum, column.maximum) == (500_500.0, 1.0, 1000.0)


def test_missing_and_infinite_values_have_bins_of_their_own() -> None:
    (column,) = build(numeric(-np.inf, 1.0, 2.0, np.inf, np.nan)).columns
    assert isinstance(column, NumericReference)
    assert (column.counts[0], column.counts[-2], column.counts[-1]) == (1, 1, 1)
    assert (column.total, column.total_squares) == (3.0, 5.0)


@pytest.mark.parametrize("values", [(np.nan, np.nan), (np.inf, np.nan)])
def test_a_column_without_a_finite_value_gets_one_empty_bin(values: tuple[float, ...]) -> None:
    (column,) = build(numeric(*values)).columns
    assert isinstance(column, NumericReference)
    assert len(column.edges) == 2
    assert column.counts[1] == 0
    assert column.counts.sum() == 2


def test_a_constant_column_gets_one_bin_around_its_value() -> None:
    (column,) = build(numeric(7.5, 7.5, 7.5)).columns
    assert isinstance(column, NumericReference)
    assert column.counts.tolist() == [0, 3, 0, 0]
    assert column.edges[0] <= 7.5 < column.edges[1]


def test_a_vocabulary_is_bounded_and_keeps_the_most_frequent_by_count_then_name() -> None:
    names = [f"v{number:03d}" for number in range(MAX_VOCABULARY + 5)]
    (column,) = build(categorical(*names, "v204", "v204", None)).columns
    assert isinstance(column, CategoricalReference)
    assert column.categories == (*names[: MAX_VOCABULARY - 1], "v204")
    assert (column.counts[-2], column.counts[-1]) == (5, 1)


def test_segments_are_the_values_of_their_columns() -> None:
    spec = ModelSpec("shop", Task.BINARY, segments=("country", "absent"))
    country = categorical(*(f"c{n:02d}" for n in range(MAX_SLICES + 1)), name="country", role=Role.SEGMENT)
    baseline = build(country, spec=spec)
    assert baseline.segments == (("country", country.categories[:MAX_SLICES]), ("absent", ()))


def test_a_numeric_segment_column_is_refused_by_name() -> None:
    spec = ModelSpec("shop", Task.BINARY, segments=("country",))
    with pytest.raises(InvalidEvent, match=r"columns\[country\]: is numeric"):
        build(numeric(1.0, name="country"), spec=spec)


def test_accuracy_is_over_the_labelled_rows() -> None:
    predicted = categorical("yes", "no", "yes", None, name="prediction", role=Role.PREDICTION)
    labels = categorical("yes", "yes", None, "no", name="label", role=Role.PREDICTION)
    performance = build(predicted, labels=labels).performance
    assert performance is not None
    assert (performance.metric, performance.value, performance.n) == ("accuracy", 0.5, 2)


def test_a_regression_is_measured_by_rmse() -> None:
    spec = ModelSpec("price", Task.REGRESSION)
    predicted = numeric(1.0, 2.0, np.nan, name="prediction", role=Role.PREDICTION)
    labels = numeric(4.0, 6.0, 1.0, name="label", role=Role.PREDICTION)
    performance = build(predicted, labels=labels, spec=spec).performance
    assert performance is not None
    assert (performance.metric, performance.value, performance.n) == ("rmse", 12.5**0.5, 2)


def test_lineage_covers_the_rows() -> None:
    lineage = build(numeric(1.0, 2.0, 3.0)).lineage
    assert (lineage.source, lineage.start_ms, lineage.end_ms) == ("a test", 5000, 7001)
    assert len(lineage.fingerprint) == 64


def test_the_fingerprint_is_of_the_values_not_of_their_codes() -> None:
    names = ("unused", "b", "a")
    recoded = CategoricalColumn("c", Role.FEATURE, np.array([2, 1, -1], dtype=np.int32), names)
    prints = [
        build(column).lineage.fingerprint
        for column in (categorical("a", "b", None), recoded, categorical("a", "b", "a"))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_no_rows_make_no_baseline() -> None:
    with pytest.raises(ValueError, match="at least one"):
        build(numeric())


@given(st.data(), st.integers(1, 30))
def test_every_row_is_counted_once_and_every_finite_value_is_in_range(data: st.DataObject, rows: int) -> None:
    column = data.draw(columns(rows, "x", Role.FEATURE))
    (reference,) = build(column).columns
    assert reference.counts.sum() == rows
    if isinstance(column, NumericColumn):
        below, above, missing = (reference.counts[place] for place in (0, -2, -1))
        assert below == np.sum(np.isneginf(column.values))
        assert above == np.sum(np.isposinf(column.values))
        assert missing == np.sum(np.isnan(column.values))
    else:
        assert reference.counts[-2] == 0
        assert reference.counts[-1] == np.sum(column.codes == -1)


@given(st.data(), st.integers(1, 30))
def test_the_order_of_rows_changes_the_fingerprint_at_most(data: st.DataObject, rows: int) -> None:
    column = data.draw(columns(rows, "x", Role.FEATURE))
    order = np.array(data.draw(st.permutations(range(rows))))
    if isinstance(column, NumericColumn):
        other: Column = NumericColumn(column.name, column.role, column.values[order])
    else:
        other = CategoricalColumn(column.name, column.role, column.codes[order], column.categories)
    (one,), (two,) = build(column).columns, build(other).columns
    assert one.counts.tolist() == two.counts.tolist()
    if isinstance(one, NumericReference) and isinstance(two, NumericReference):
        assert one.edges.tolist() == two.edges.tolist()


@given(st.data(), st.integers(1, 10))
def test_a_baseline_survives_being_written(data: st.DataObject, rows: int) -> None:
    baseline = build(data.draw(columns(rows, "x", Role.FEATURE)))
    assert baseline_to_json(baseline_from_json(baseline_to_json(baseline))) == baseline_to_json(baseline)
