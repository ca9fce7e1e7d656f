import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.dead_letters import PREFIX, Failure, SourceMessage, error_headers
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, spec_record
from driftsonde.archiver.pipeline import Batch, archive, split_by_months
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import (
    CategoricalColumn,
    FeatureBatch,
    Heartbeat,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
)
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import Mode, ModelSpec, Task

CODEC = Codec((*EVENT_TYPES, *CONTROL_TYPES, MODEL_RECORD))


def message(topic: topics.Topic, content: object, offset: int = 0, partition: int = 0) -> SourceMessage:
    value = content if isinstance(content, bytes) else CODEC.encode(content)
    return SourceMessage(topic.name, partition, offset, b"k", value)


def predictions(rows: int, numeric: int, model: str = "m") -> PredictionBatch:
    columns = [
        NumericColumn(f"f{j}", Role.FEATURE, np.arange(rows, dtype=np.float64) + 10 * j)
        for j in range(numeric)
    ]
    return PredictionBatch(
        model=model,
        version="1",
        variant=Variant.CANARY,
        ids=tuple(f"{model}-{row}" for row in range(rows)),
        timestamps_ms=np.arange(rows, dtype=np.int64) + 1_700_000_000_000,
        columns=tuple(columns),
    )


def with_categories(batch: PredictionBatch, codes: list[int], categories: tuple[str, ...]) -> PredictionBatch:
    column = CategoricalColumn("c", Role.FEATURE, np.array(codes, dtype=np.int32), categories)
    return replace(batch, columns=(*batch.columns, column))


def table(batch: Batch, name: str) -> pa.Table:
    (rows,) = (insert.rows for insert in batch.inserts if insert.table == name)
    return rows


def test_predictions_of_messages_of_different_shapes() -> None:
    first = with_categories(predictions(3, 2), [1, -1, 0], ("x", "y"))
    second = with_categories(predictions(1, 0, "other"), [0], ("y",))
    third = predictions(2, 1)
    batch = archive(
        [
            message(topics.PREDICTIONS, first, offset=7, partition=2),
            message(topics.PREDICTIONS, second, offset=1),
            message(topics.PREDICTIONS, third, offset=8, partition=2),
        ],
        CODEC,
    )
    rows = table(batch, "predictions").to_pylist()
    assert [row["model"] for row in rows] == ["m", "m", "m", "other", "m", "m"]
    assert [row["prediction_id"] for row in rows] == ["m-0", "m-1", "m-2", "other-0", "m-0", "m-1"]
    assert {(row["version"], row["variant"]) for row in rows} == {("1", "canary")}
    assert [row["numeric_names"] for row in rows] == [["f0", "f1"]] * 3 + [[]] + [["f0"]] * 2
    assert [row["numeric_values"] for row in rows] == [[0, 10], [1, 11], [2, 12], [], [0], [1]]
    # A missing category is left out: any text could be a category.
    assert [row["categorical_names"] for row in rows] == [["c"], [], ["c"], ["c"], [], []]
    assert [row["categorical_values"] for row in rows] == [["y"], [], ["x"], ["y"], [], []]
    assert [row["source_partition"] for row in rows] == [2, 2, 2, 0, 2, 2]
    assert [row["source_offset"] for row in rows] == [7, 7, 7, 1, 8, 8]
    assert [row["source_row"] for row in rows] == [0, 1, 2, 0, 0, 1]
    assert [row["timestamp"].timestamp() for row in rows[:2]] == [1_700_000_000, 1_700_000_000.001]
    assert batch.next_offsets == {("predictions", 2): 9, ("predictions", 0): 2}


def test_missing_numbers_stay_nan() -> None:
    batch = replace(
        predictions(2, 0), columns=(NumericColumn("f", Role.FEATURE, np.array([math.nan, math.inf])),)
    )
    first, second = table(archive([message(topics.PREDICTIONS, batch)], CODEC), "predictions").to_pylist()
    assert math.isnan(first["numeric_values"][0])
    assert second["numeric_values"] == [math.inf]


def test_labels_of_both_kinds() -> None:
    times = np.array([5, 6], dtype=np.int64)
    texts = CategoricalColumn("label", Role.PREDICTION, np.array([1, -1], dtype=np.int32), ("no", "yes"))
    numbers = NumericColumn("label", Role.PREDICTION, np.array([2.5, math.nan]))
    batch = archive(
        [
            message(topics.LABELS, LabelBatch("m", ("a", "b"), times, texts), 0),
            message(topics.LABELS, LabelBatch("m", ("c", "d"), times, numbers), 1),
        ],
        CODEC,
    )
    rows = table(batch, "labels").to_pylist()
    assert [row["prediction_id"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["label_text"] for row in rows] == ["yes", "", "", ""]
    assert [str(row["label_number"]) for row in rows] == ["nan", "nan", "2.5", "nan"]


def test_features() -> None:
    batch = FeatureBatch("view", "3", False, ("e",), np.array([5], dtype=np.int64), predictions(1, 1).columns)
    (row,) = table(archive([message(topics.FEATURES, batch)], CODEC), "features").to_pylist()
    assert (row["view"], row["version"], row["online"], row["entity_id"]) == ("view", "3", False, "e")
    assert (row["numeric_names"], row["numeric_values"]) == (["f0"], [0.0])


def test_signals_and_decisions() -> None:
    evidence = Evidence(0, 10, "f0", "psi", 0.5, 0.2, math.nan, math.nan, 100)
    signal = Signal(
        id="s1",
        kind=SignalKind.ALERT,
        rule=Rule.DRIFT,
        model="m",
        version="1",
        variant=Variant.CHAMPION,
        segment="",
        window_start_ms=0,
        window_end_ms=10,
        since_ms=0,
        episode="e",
        summary="f0 drifts",
        evidence=(evidence,),
        baseline="b",
        policy="p",
    )
    decision = Decision("d1", Step.DECIDED, Kind.ALERT, "m", "1", "i", "s1", Mode.AUTO, "controller", "p", 17)
    batch = archive([message(topics.SIGNALS, signal), message(topics.DECISIONS, decision)], CODEC)
    (row,) = table(batch, "signals").to_pylist()
    assert (row["id"], row["kind"], row["rule"], row["summary"]) == ("s1", "alert", "drift", "f0 drifts")
    assert '"statistic": "psi"' in row["evidence"]
    assert "NaN" not in row["evidence"]
    (row,) = table(batch, "decisions").to_pylist()
    assert (row["id"], row["step"], row["mode"], row["signal"]) == ("d1", "decided", "auto", "s1")


def test_a_dead_letter_is_named_by_where_its_message_was() -> None:
    source = SourceMessage("labels", 3, 17, b"k", b"\xffbad")
    headers = tuple(error_headers(source, "sketcher", Failure("decode", "truncated", "ends early")))
    letter = SourceMessage("dead-letters", 1, 5, b"k", b"\xffbad", headers, 1_234)
    foreign = SourceMessage("dead-letters", 1, 6, None, None)
    batch = archive([letter, foreign], CODEC)
    first, second = table(batch, "dead_letters").to_pylist()
    assert (first["source_topic"], first["source_partition"], first["source_offset"]) == ("labels", 3, 17)
    assert (first["service"], first["reason"], first["message"]) == ("sketcher", "truncated", "ends early")
    assert first["payload"] == b"\xffbad"
    assert first["timestamp"].timestamp() == 1.234
    assert (second["source_topic"], second["source_partition"], second["source_offset"]) == (
        "dead-letters",
        1,
        6,
    )


@pytest.mark.parametrize(("partition", "offset"), [(b"4294967296", b"1"), (b"1", b"9" * 30), (b"-1", b"1")])
def test_headers_that_no_column_can_hold_are_not_believed(partition: bytes, offset: bytes) -> None:
    headers = ((PREFIX + "partition", partition), (PREFIX + "offset", offset), (PREFIX + "topic", b"labels"))
    batch = archive([SourceMessage("dead-letters", 1, 6, None, b"x", headers)], CODEC)
    (row,) = table(batch, "dead_letters").to_pylist()
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == ("dead-letters", 1, 6)


@pytest.mark.parametrize(
    ("topic", "value", "reason", "is_ours"),
    [
        (topics.PREDICTIONS, b"\x07", "unknown-framing", False),
        (topics.LABELS, b"\xc3\x01", "truncated", False),
        (topics.FEATURES, b"\x07", "unknown-framing", True),
        (topics.DECISIONS, b"\x07", "unknown-framing", True),
        (topics.SIGNALS, b"\x07", "unknown-framing", False),
        (topics.FEATURES, CODEC.encode(predictions(1, 1)), "wrong-topic", True),
    ],
)
def test_only_one_service_tells_the_dead_letters(
    topic: topics.Topic, value: bytes, reason: str, is_ours: bool
) -> None:
    batch = archive([message(topic, value, offset=4)], CODEC)
    (refused,) = batch.dead_letters if is_ours else batch.skipped
    assert refused.failure.reason == reason
    assert not (batch.skipped if is_ours else batch.dead_letters)
    assert batch.inserts == ()
    assert batch.next_offsets == {(topic.name, 0): 5}


def test_what_nobody_can_use_in_models_and_traffic_is_told_once() -> None:
    """Other services keep the last value that they could use, and read these topics again and again."""
    spec = spec_record(ModelSpec("m", Task.BINARY))
    split = Traffic("m", (Share("1", Variant.CHAMPION, 1.0),), 1, "d")
    good: list[tuple[topics.Topic, bytes | None]] = [
        (topics.MODELS, CODEC.encode(spec)),
        (topics.TRAFFIC, CODEC.encode(split)),
        (topics.MODELS, None),  # deletions
        (topics.TRAFFIC, None),
    ]
    bad = [
        (topics.MODELS, b"junk", "unknown-framing"),
        (topics.MODELS, CODEC.encode(replace(spec, key="other")), "invalid"),
        (topics.MODELS, CODEC.encode(replace(spec, document="{}")), "invalid"),
        (topics.MODELS, CODEC.encode(split), "wrong-topic"),
        (topics.TRAFFIC, CODEC.encode(spec), "wrong-topic"),
    ]
    contents = [*good, *((topic, value) for topic, value, _ in bad)]
    messages = [
        SourceMessage(topic.name, 0, offset, b"m", value) for offset, (topic, value) in enumerate(contents)
    ]
    batch = archive(messages, CODEC)
    assert [entry.message.offset for entry in batch.dead_letters] == [4, 5, 6, 7, 8]
    assert [entry.failure.reason for entry in batch.dead_letters] == [reason for *_, reason in bad]
    assert (batch.inserts, batch.skipped) == ((), ())
    assert batch.next_offsets == {("models", 0): 8, ("traffic", 0): 9}


def test_progress_covers_what_leaves_no_rows() -> None:
    batch = archive(
        [
            message(topics.PREDICTIONS, predictions(1, 1), 0),
            message(topics.PREDICTIONS, Heartbeat(5), 1),
            message(topics.PREDICTIONS, b"junk", 2),
            SourceMessage("predictions", 0, 3, None, None),
        ],
        CODEC,
    )
    assert batch.progress.table == "positions"
    place = {"service": "archiver", "topic": "predictions", "partition": 0}
    assert batch.progress.rows.to_pylist() == [
        place
        | {"position": 4, "event_time_ms": -1, "gate_ms": -1, "chunk_messages": 0, "recent_messages": []}
    ]
    assert [entry.failure.reason for entry in batch.skipped] == ["unknown-framing", "empty"]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=8), st.integers(0, 8))
def test_the_same_messages_give_the_same_rows_however_they_are_batched(
    shapes: list[tuple[int, int]], cut: int
) -> None:
    messages = [
        message(topics.PREDICTIONS, predictions(rows, width), offset)
        for offset, (rows, width) in enumerate(shapes)
    ]
    whole = table(archive(messages, CODEC), "predictions").to_pylist()
    assert whole == table(archive(messages, CODEC), "predictions").to_pylist()
    parts = [archive(part, CODEC) for part in (messages[:cut], messages[cut:]) if part]
    assert whole == [row for part in parts for row in table(part, "predictions").to_pylist()]


def test_rows_of_many_months_come_in_parts() -> None:
    months = np.arange("2000-01", "2015-01", dtype="datetime64[M]").astype("datetime64[ms]").astype(np.int64)
    rows = len(months)
    batch = replace(predictions(rows, 1), timestamps_ms=months[::-1].copy())
    result = archive([message(topics.PREDICTIONS, batch)], CODEC)
    assert len(result.inserts) == 4
    seen: list[int] = []
    for insert in result.inserts:
        part = insert.rows.to_pylist()
        assert len({(row["timestamp"].year, row["timestamp"].month) for row in part}) <= 50
        seen.extend(row["source_row"] for row in part)
    assert sorted(seen) == list(range(rows))


def test_a_table_without_a_timestamp_is_not_split() -> None:
    rows = pa.table({"id": [1, 2]})
    assert list(split_by_months(rows)) == [rows]
