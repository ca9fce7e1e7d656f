"""What an event must keep to, and which field is named where it does not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from driftsonde.core.events import (
    LATEST_MS,
    MAX_CATEGORIES,
    MAX_COLUMNS,
    MAX_ROWS,
    MAX_TEXT_CHARS,
    CategoricalColumn,
    FeatureBatch,
    Heartbeat,
    InvalidEvent,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    RawEvent,
    Role,
    Variant,
    validate,
)
from strategies import events
from stream_examples import categorical, numeric

X = numeric("x", [1.0, float("nan")])
C = categorical("c", ["a", None])
TIMES = np.array([0, LATEST_MS])
BATCH = PredictionBatch("m", "1", Variant.CHAMPION, ("i", "j"), TIMES, (X, C))
LABELS = LabelBatch("m", ("i", "j"), TIMES, categorical("label", ["a", "b"]))
FEATURES = FeatureBatch("view", "1", True, ("i", "j"), TIMES, (X,))
LONG = "x" * (MAX_TEXT_CHARS + 1)
MANY = tuple(str(n) for n in range(MAX_CATEGORIES + 1))


@given(events())
def test_an_event_of_the_strategies_keeps_its_contract(event: RawEvent) -> None:
    validate(event)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (replace(BATCH, model=""), "model"),
        (replace(BATCH, version=LONG), "version"),
        (replace(BATCH, ids=(), timestamps_ms=TIMES[:0], columns=()), "ids"),
        (replace(BATCH, ids=("i",) * (MAX_ROWS + 1)), "ids"),
        (replace(BATCH, ids=("i", LONG)), "ids"),
        (replace(BATCH, timestamps_ms=TIMES[:1]), "timestamps_ms"),
        (replace(BATCH, timestamps_ms=TIMES - 1), "timestamps_ms"),
        (replace(BATCH, timestamps_ms=TIMES + 1), "timestamps_ms"),
        (replace(BATCH, columns=(X, numeric("x", [1.0, 2.0]))), "columns"),
        (replace(BATCH, columns=tuple(numeric(str(n), []) for n in range(MAX_COLUMNS + 1))), "columns"),
        (replace(BATCH, columns=(numeric("", [1.0, 2.0]),)), "columns.name"),
        (replace(BATCH, columns=(numeric("x", [1.0]),)), "columns[x]"),
        (replace(BATCH, columns=(categorical("c", ["a"]),)), "columns[c]"),
        (replace(BATCH, columns=(replace(C, categories=MANY),)), "columns[c]"),
        (replace(BATCH, columns=(replace(C, categories=("a", LONG)),)), "columns[c]"),
        (replace(BATCH, columns=(replace(C, categories=("a", "a")),)), "columns[c]"),
        (replace(BATCH, columns=(replace(C, codes=np.array([0, 1], dtype=np.int32)),)), "columns[c]"),
        (replace(BATCH, columns=(replace(C, codes=np.array([0, -2], dtype=np.int32)),)), "columns[c]"),
        (replace(LABELS, model=""), "model"),
        (replace(LABELS, timestamps_ms=TIMES[:1]), "timestamps_ms"),
        (replace(LABELS, labels=categorical("label", ["a"])), "columns[label]"),
        (replace(FEATURES, view=""), "view"),
        (replace(FEATURES, version=""), "version"),
        (replace(FEATURES, entity_ids=("i",)), "timestamps_ms"),
        (replace(FEATURES, columns=(numeric("x", [1.0]),)), "columns[x]"),
        (Heartbeat(-1), "timestamp_ms"),
        (Heartbeat(LATEST_MS + 1), "timestamp_ms"),
    ],
)
def test_the_field_at_fault_is_named(event: RawEvent, field: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        validate(event)
    assert caught.value.field == field
    assert str(caught.value) == f"{field}: {caught.value.problem}"


def test_all_missing_and_no_columns_are_fine() -> None:
    validate(replace(BATCH, columns=()))
    nothing = CategoricalColumn("c", Role.FEATURE, np.array([-1, -1], dtype=np.int32), ())
    validate(replace(BATCH, columns=(nothing, NumericColumn("x", Role.FEATURE, np.full(2, np.nan)))))
