"""Events on the wire: the published examples, compatibility across releases, and nonsense inside our schemas."""

import io
import json
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given

from driftsonde.adapters.avro import Codec, load_schema, parse_avro_schema
from driftsonde.adapters.wire_events import EVENT_TYPES, PREDICTION_ROW
from driftsonde.core.events import (
    CategoricalColumn,
    Heartbeat,
    InvalidEvent,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    RawEvent,
    Role,
    Variant,
)
from driftsonde.core.rows import PredictionRow, join_rows
from strategies import events
from wire_examples import NAMES, describe, load_example, message_of

CODEC = Codec(EVENT_TYPES)


def decoded(payload: bytes) -> RawEvent:
    event = CODEC.decode(payload)
    assert isinstance(event, RawEvent)
    return event


def message(name: str, record: dict[str, Any]) -> bytes:
    schema = load_schema(name)
    return b"\xc3\x01" + schema.fingerprint + body(schema.parsed, record)


def body(schema: Any, record: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, record)
    return stream.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_example_reads_as_its_description(name: str) -> None:
    example = load_example(name)
    assert describe(decoded(example.message.read_bytes())) == example.reads_as


@pytest.mark.parametrize("name", NAMES)
def test_example_is_written_as_published(name: str) -> None:
    example = load_example(name)
    assert message_of(example) == example.message.read_bytes()


@given(events())
def test_what_is_written_is_read(event: RawEvent) -> None:
    payload = CODEC.encode(event)
    again = decoded(payload)
    assert describe(again) == describe(event)
    assert CODEC.encode(again) == payload


def test_columns_are_views_of_the_message() -> None:
    batch = prediction_batch(NumericColumn("x", Role.FEATURE, np.array([1.0])))
    event = decoded(CODEC.encode(batch))
    assert isinstance(event, PredictionBatch)
    (column,) = event.columns
    assert isinstance(column, NumericColumn)
    assert not column.values.flags.owndata


def prediction_batch(*columns: NumericColumn | CategoricalColumn) -> PredictionBatch:
    return PredictionBatch("m", "1", Variant.CHAMPION, ("a",), np.array([1]), columns)


# Compatibility: the schema that a later release would have, with one field more (it has a default, as the rule is).


def later(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(load_schema(name).text)
    schema["fields"].append({"name": "added_later", "type": ["null", "string"], "default": None})
    return schema


def example_body(name: str) -> bytes:
    return load_example(name).message.read_bytes()[10:]


@pytest.mark.parametrize("name", NAMES)
def test_a_later_reader_reads_what_is_written_now(name: str) -> None:
    present = load_schema(name).parsed
    plain: Any = fastavro.schemaless_reader(io.BytesIO(example_body(name)), present, None)
    record: Any = fastavro.schemaless_reader(
        io.BytesIO(example_body(name)), present, fastavro.parse_schema(later(name))
    )
    assert record == {**plain, "added_later": None}


@pytest.mark.parametrize("name", NAMES)
def test_the_present_reader_reads_what_a_later_writer_writes(name: str) -> None:
    writer = parse_avro_schema(json.dumps(later(name)))
    registry = OneSchema(writer.text)
    # The field added is the last: its null branch is one byte more.
    payload = b"\x00\x00\x00\x00\x00" + example_body(name) + b"\x00"
    event = Codec(EVENT_TYPES, registry).decode(payload)
    assert isinstance(event, RawEvent)
    assert describe(event) == load_example(name).reads_as


class OneSchema:
    """A registry that has one schema, whatever the id."""

    def __init__(self, text: str) -> None:
        self.text = text

    def register(self, subject: str, schema: str) -> int:
        raise NotImplementedError

    def schema(self, schema_id: int) -> str:
        return self.text


def test_a_symbol_of_a_later_release_is_read_as_the_default() -> None:
    writer = json.loads(load_schema("PredictionBatch").text)
    for _, node in named_parts(writer):
        if "symbols" in node:
            node["symbols"].append("mirror")
    columns = [("driftsonde.NumericColumn", {"name": "x", "role": "mirror", "values": bytes(8)})]
    record = {**PREDICTIONS, "variant": "mirror", "columns": columns}
    payload = b"\x00\x00\x00\x00\x00" + body(fastavro.parse_schema(writer), record)
    event = Codec(EVENT_TYPES, OneSchema(json.dumps(writer))).decode(payload)
    assert isinstance(event, PredictionBatch)
    assert event.variant is Variant.SHADOW
    assert event.columns[0].role is Role.FEATURE


@pytest.mark.parametrize("name", NAMES)
def test_every_type_and_field_is_documented(name: str) -> None:
    undocumented = [
        path for path, node in named_parts(json.loads(load_schema(name).text)) if not node.get("doc")
    ]
    assert not undocumented


def named_parts(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        return [part for item in node for part in named_parts(item, path)]
    if not isinstance(node, dict):
        return []
    here = f"{path}.{node['name']}" if "name" in node else path
    below = [
        part for key in ("fields", "type", "items", "values") for part in named_parts(node.get(key), here)
    ]
    return [(here, node), *below] if "name" in node else below


def test_the_types_that_schemas_share_are_the_same_in_each() -> None:
    seen: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        for path, node in named_parts(json.loads(load_schema(name).text)):
            if "type" in node and node["type"] in ("record", "enum"):
                assert seen.setdefault(node["name"], node) == node, path


# Nonsense inside our schemas.

PREDICTIONS = {
    "model": "m",
    "version": "1",
    "variant": "champion",
    "ids": ["a"],
    "timestamps_ms": (5).to_bytes(8, "little"),
    "columns": [],
}


def numeric(values: bytes) -> tuple[str, dict[str, Any]]:
    return "driftsonde.NumericColumn", {"name": "x", "role": "feature", "values": values}


def categorical(codes: bytes, categories: list[str]) -> tuple[str, dict[str, Any]]:
    return "driftsonde.CategoricalColumn", {
        "name": "x",
        "role": "feature",
        "codes": codes,
        "categories": categories,
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": ""}, "model"),
        ({"ids": []}, "ids"),
        ({"ids": ["a", "b"]}, "timestamps_ms"),
        ({"ids": ["x" * 1025]}, "ids"),
        ({"timestamps_ms": bytes(9)}, "timestamps_ms"),
        ({"timestamps_ms": (2**63 - 1).to_bytes(8, "little")}, "timestamps_ms"),
        ({"columns": [numeric(bytes(7))]}, "columns[x]"),
        ({"columns": [numeric(bytes(16))]}, "columns[x]"),
        ({"columns": [numeric(bytes(8)), numeric(bytes(8))]}, "columns"),
        ({"columns": [categorical(bytes(3), ["a"])]}, "columns[x]"),
        ({"columns": [categorical(bytes(4), [])]}, "columns[x]"),
        ({"columns": [categorical(bytes(4), ["a", "a"])]}, "columns[x]"),
        ({"columns": [categorical(bytes(4), [str(number) for number in range(10_001)])]}, "columns[x]"),
        ({"columns": [categorical(bytes(4), ["x" * 1025])]}, "columns[x]"),
    ],
)
def test_nonsense_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        CODEC.decode(message("PredictionBatch", {**PREDICTIONS, **change}))
    assert refusal.value.field == field


def test_labels_are_a_column_named_label() -> None:
    record = {"model": "m", "ids": ["a"], "timestamps_ms": bytes(8), "labels": numeric(bytes(8))}
    with pytest.raises(InvalidEvent, match="labels"):
        CODEC.decode(message("LabelBatch", record))


def test_infinities_are_values() -> None:
    batch = prediction_batch(NumericColumn("x", Role.FEATURE, np.array([np.inf])))
    assert describe(decoded(CODEC.encode(batch)))["columns"][0]["values"] == ["inf"]


def test_the_defaults_of_a_one_row_prediction() -> None:
    record = {"model": "m", "version": "1", "id": "a", "timestamp_ms": 7, "prediction": "yes"}
    event = decoded(message("PredictionEvent", record))
    assert isinstance(event, PredictionBatch)
    assert event.variant is Variant.CHAMPION
    assert [column.name for column in event.columns] == ["prediction"]


@pytest.mark.parametrize(
    ("label", "column"),
    [
        (True, {"codes": [0], "categories": ["1"]}),
        (False, {"codes": [0], "categories": ["0"]}),
        ("cat", {"codes": [0], "categories": ["cat"]}),
        (2.5, {"values": [2.5]}),
    ],
)
def test_a_one_row_label_of_each_type(label: object, column: dict[str, Any]) -> None:
    event = decoded(message("LabelEvent", {"model": "m", "id": "a", "timestamp_ms": 7, "label": label}))
    assert isinstance(event, LabelBatch)
    assert describe(event)["labels"] == {"name": "label", "role": "prediction", **column}


def test_a_one_row_event_whose_parts_share_a_name_is_refused() -> None:
    record = {
        "model": "m",
        "version": "1",
        "id": "a",
        "timestamp_ms": 7,
        "prediction": 1.0,
        "features": {"score": 1.0},
    }
    with pytest.raises(InvalidEvent, match="same name"):
        CODEC.decode(message("PredictionEvent", {**record, "score": 0.5}))


def test_a_one_row_event_is_read_as_a_row_where_that_is_asked_for() -> None:
    record = {
        "model": "m",
        "version": "1",
        "variant": "shadow",
        "id": "a",
        "timestamp_ms": 7,
        "prediction": False,
        "score": 0.25,
        "features": {"x": None, "c": "red", "b": True},
        "segments": {"country": "DE"},
        "protected": {"sex": "f"},
        "attributions": {"x": 0.5},
    }
    row = Codec((*EVENT_TYPES, PREDICTION_ROW)).decode(message("PredictionEvent", record))
    assert isinstance(row, PredictionRow)
    assert row.values == (None, "red", True, "0", 0.25, "DE", "f", 0.5)
    (batch,) = join_rows([row])
    assert describe(batch) == describe(decoded(message("PredictionEvent", record)))


def test_a_heartbeat_keeps_within_the_calendar() -> None:
    with pytest.raises(InvalidEvent, match="timestamp_ms"):
        CODEC.decode(CODEC.encode(Heartbeat(-1)))
