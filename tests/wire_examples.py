"""The published examples of `schemas/examples`: what they say in JSON, and the message each of them is.

An example is `<name>.json` (a person's view: schema, description, record, and for one-row forms what it reads as) and
`<name>.avro` (the exact message, in single-object encoding). To write the messages anew after a change of a schema
that is meant, run this file; the test compares, and never writes.
"""

import io
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from driftsonde.adapters.avro import Codec, load_schema
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    FeatureBatch,
    Heartbeat,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    RawEvent,
    Role,
    Variant,
)

Description = dict[str, Any]

NAMES = tuple(record_type.name for record_type in EVENT_TYPES)


@dataclass(frozen=True, slots=True)
class Example:
    """One published example. `reads_as` describes the event that the message decodes into."""

    name: str
    record: Description
    reads_as: Description
    message: Path


def load_example(name: str) -> Example:
    directory = schemas_directory() / "examples"
    described = json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))
    assert described["schema"] == name
    record = described["record"]
    return Example(name, record, described.get("reads_as", record), directory / f"{name}.avro")


def message_of(example: Example) -> bytes:
    """The message, from what the JSON says: the one-row forms by fastavro alone, as any producer would write them."""
    if example.name in ("PredictionEvent", "LabelEvent"):
        schema = load_schema(example.name)
        body = io.BytesIO(b"\xc3\x01" + schema.fingerprint)
        body.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(body, schema.parsed, example.record)
        return body.getvalue()
    return Codec(EVENT_TYPES).encode(_event(example.name, example.record))


def describe(event: RawEvent) -> Description:
    """An event as JSON can say it: null is missing, infinities are texts, categories stand in full."""
    match event:
        case PredictionBatch():
            return {
                "model": event.model,
                "version": event.version,
                "variant": event.variant.value,
                "ids": list(event.ids),
                "timestamps_ms": event.timestamps_ms.tolist(),
                "columns": [_describe_column(column) for column in event.columns],
            }
        case LabelBatch():
            return {
                "model": event.model,
                "ids": list(event.ids),
                "timestamps_ms": event.timestamps_ms.tolist(),
                "labels": _describe_column(event.labels),
            }
        case FeatureBatch():
            return {
                "view": event.view,
                "version": event.version,
                "online": event.online,
                "entity_ids": list(event.entity_ids),
                "timestamps_ms": event.timestamps_ms.tolist(),
                "columns": [_describe_column(column) for column in event.columns],
            }
        case Heartbeat():
            return {"timestamp_ms": event.timestamp_ms}


def _describe_column(column: Column) -> Description:
    if isinstance(column, NumericColumn):
        values = [_describe_number(value) for value in column.values.tolist()]
        return {"name": column.name, "role": column.role.value, "values": values}
    return {
        "name": column.name,
        "role": column.role.value,
        "codes": column.codes.tolist(),
        "categories": list(column.categories),
    }


def _describe_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _event(name: str, record: Description) -> RawEvent:
    if name == "Heartbeat":
        return Heartbeat(record["timestamp_ms"])
    times = np.array(record["timestamps_ms"], dtype=np.int64)
    if name == "LabelBatch":
        return LabelBatch(record["model"], tuple(record["ids"]), times, _column(record["labels"]))
    columns = tuple(_column(column) for column in record["columns"])
    if name == "FeatureBatch":
        entities = tuple(record["entity_ids"])
        return FeatureBatch(record["view"], record["version"], record["online"], entities, times, columns)
    variant = Variant(record["variant"])
    return PredictionBatch(record["model"], record["version"], variant, tuple(record["ids"]), times, columns)


def _column(record: Description) -> Column:
    if "values" in record:
        values = [math.nan if value is None else float(value) for value in record["values"]]
        return NumericColumn(record["name"], Role(record["role"]), np.array(values, dtype=np.float64))
    codes = np.array(record["codes"], dtype=np.int32)
    return CategoricalColumn(record["name"], Role(record["role"]), codes, tuple(record["categories"]))


def main() -> None:
    for name in NAMES:
        example = load_example(name)
        example.message.write_bytes(message_of(example))
        sys.stdout.write(f"{example.message.name}\n")


if __name__ == "__main__":
    main()
