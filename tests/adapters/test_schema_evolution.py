"""Releases that meet on the wire: old producers with new services and the reverse, on the published examples."""

import io
import json
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import Schema as Text
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError

from driftsonde.adapters.avro import (
    AvroSchema,
    Codec,
    RegistryUnavailable,
    Undecodable,
    load_history,
    load_schema,
    parse_avro_schema,
)
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.topics import FEATURES
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD
from driftsonde.archiver.pipeline import archive
from driftsonde.core.events import FeatureBatch, Heartbeat, LabelBatch, PredictionBatch, Role, Variant
from registry_server import Registry, running_registry
from schema_rules import incompatible, unreadable
from wire_examples import describe

TYPES = (*EVENT_TYPES, *CONTROL_TYPES, MODEL_RECORD)
# What others write or read: these have published examples.
PUBLISHED = sorted(path.stem for path in (schemas_directory() / "examples").glob("*.json"))
ADDED = {
    "name": "added_later",
    "type": "string",
    "default": "none",
    "doc": "What a later release says besides.",
}

Schema = dict[str, Any]


def present(name: str) -> Schema:
    schema: Schema = json.loads(load_schema(name).text)
    return schema


def parsed(schema: Schema) -> AvroSchema:
    return parse_avro_schema(json.dumps(schema))


def example(name: str) -> bytes:
    return (schemas_directory() / "examples" / f"{name}.avro").read_bytes()


def record_of(name: str) -> dict[str, Any]:
    """The published example as the fields of its record."""
    body = io.BytesIO(example(name)[10:])
    record: Any = fastavro.schemaless_reader(body, load_schema(name).parsed, None, return_record_name=True)
    return record  # type: ignore[no-any-return]


def body_of(schema: AvroSchema, record: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema.parsed, record)
    return body.getvalue()


def single_object(schema: AvroSchema, record: dict[str, Any]) -> bytes:
    return b"\xc3\x01" + schema.fingerprint + body_of(schema, record)


def registered(registry: ConfluentRegistry, schema: AvroSchema, record: dict[str, Any]) -> bytes:
    schema_id = registry.register(schema.full_name, schema.text)
    return b"\x00" + schema_id.to_bytes(4, "big") + body_of(schema, record)


def told(value: object) -> object:
    """A value in a form that can be compared."""
    if isinstance(value, PredictionBatch | LabelBatch | FeatureBatch | Heartbeat):
        return describe(value)
    return value


def defaulted_fields() -> list[tuple[str, str]]:
    return [
        (name, field["name"]) for name in PUBLISHED for field in present(name)["fields"] if "default" in field
    ]


# --- The rules


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_present_form_of_a_published_schema_is_in_the_history(name: str) -> None:
    fingerprints = {schema.fingerprint for schema in load_history()}
    assert load_schema(name).fingerprint in fingerprints, (
        f"{name}.avsc has a form that is not in schemas/avro/history: copy it there as {name}-<next number>.avsc, and "
        "leave the earlier ones, with which messages were written"
    )


@pytest.mark.parametrize("path", sorted((schemas_directory() / "avro" / "history").glob("*.avsc")), ids=str)
def test_the_present_form_and_every_released_one_read_each_other(path: Any) -> None:
    released = parse_avro_schema(path.read_text(encoding="utf-8"))
    name = path.stem.rpartition("-")[0]
    assert released.full_name == load_schema(name).full_name
    assert incompatible(load_schema(name), released) == []


def retype(schema: Schema, place: str, to: Any) -> None:
    (field,) = (field for field in schema["fields"] if field["name"] == place)
    field["type"] = to


def test_an_incompatible_change_is_named_by_its_field() -> None:
    name = "PredictionBatch"
    without_default = {key: value for key, value in ADDED.items() if key != "default"}

    def changed(change: Any) -> list[str]:
        schema = present(name)
        change(schema)
        return incompatible(parsed(schema), load_schema(name))

    def columns(schema: Schema) -> Any:
        return schema["fields"][-1]["type"]["items"]

    assert changed(lambda it: it["fields"].append(ADDED)) == []
    assert changed(lambda it: it["fields"].append(without_default)) == [
        "driftsonde.PredictionBatch.added_later: not written, and no default"
    ]
    assert changed(lambda it: it["fields"].pop(3)) == [
        "driftsonde.PredictionBatch.ids: not written, and no default"
    ]
    assert changed(lambda it: retype(it, "model", "long")) == [
        "driftsonde.PredictionBatch.model: string can't be read as long",
        "driftsonde.PredictionBatch.model: long can't be read as string",
    ]
    assert changed(lambda it: retype(it, "timestamps_ms", {"type": "array", "items": "long"})) == [
        "driftsonde.PredictionBatch.timestamps_ms: bytes can't be read as array",
        "driftsonde.PredictionBatch.timestamps_ms: array can't be read as bytes",
    ]
    assert changed(lambda it: columns(it)[0]["fields"].append(without_default)) == [
        "driftsonde.PredictionBatch.columns[].added_later: not written, and no default"
    ]
    assert changed(lambda it: columns(it).pop(1)) == [
        "driftsonde.PredictionBatch.columns[]: no branch reads driftsonde.CategoricalColumn"
    ]
    assert changed(lambda it: it["fields"][2]["type"]["symbols"].append("blue")) == []
    assert changed(lambda it: it["fields"][2]["type"].pop("default")) == []
    assert (
        changed(
            lambda it: (
                it["fields"][2]["type"]["symbols"].pop(),
                it["fields"][2]["type"].update(default="canary"),
            )
        )
        == []
    )


def test_a_symbol_without_a_default_to_fall_back_to_is_named() -> None:
    closed = {"type": "enum", "name": "E", "symbols": ["a"]}
    open_ended = {"type": "enum", "name": "E", "symbols": ["a", "b"], "default": "a"}
    old, new = (
        parsed({"type": "record", "name": "R", "fields": [{"name": "e", "type": kind}]})
        for kind in (closed, open_ended)
    )
    assert unreadable(new, old) == []
    assert unreadable(old, new) == ["R.e: unknown symbols b, and no default"]


# --- Old producers, new services


@pytest.mark.parametrize("schema", load_history(), ids=lambda schema: schema.full_name)
def test_what_a_released_form_wrote_is_read(schema: AvroSchema) -> None:
    name = schema.full_name.rpartition(".")[2]
    payload = single_object(schema, record_of(name))
    known = {field["name"] for field in json.loads(schema.text)["fields"]}
    added = {
        field["name"]: field["default"] for field in present(name)["fields"] if field["name"] not in known
    }
    expected = single_object(load_schema(name), record_of(name) | added)
    assert told(Codec(TYPES).decode(payload)) == told(Codec(TYPES).decode(expected))


@pytest.mark.parametrize(("name", "field"), defaulted_fields())
def test_an_older_producer_that_does_not_know_a_field_is_read_with_its_default(name: str, field: str) -> None:
    older = present(name)
    (dropped,) = (entry for entry in older["fields"] if entry["name"] == field)
    older["fields"].remove(dropped)
    schema, record = parsed(older), record_of(name)
    payload = single_object(schema, record)
    with_default = single_object(load_schema(name), record | {field: dropped["default"]})
    assert told(Codec(TYPES, history=[schema]).decode(payload)) == told(Codec(TYPES).decode(with_default))


# --- New producers, old services


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_later_form_without_a_registry_is_refused_and_the_reason_says_what_to_do(name: str) -> None:
    later = present(name)
    later["fields"].append(ADDED)
    payload = single_object(parsed(later), record_of(name) | {"added_later": "x"})
    with pytest.raises(Undecodable, match="Upgrade the services before the producers") as refusal:
        Codec(TYPES).decode(payload)
    assert refusal.value.reason == "unknown-schema"


@pytest.mark.io
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_later_form_in_a_registry_is_read(name: str) -> None:
    later = present(name)
    later["fields"].insert(1, ADDED)
    with running_registry() as server:
        registry = ConfluentRegistry(server.url)
        registry.register(load_schema(name).full_name, load_schema(name).text)
        payload = registered(registry, parsed(later), record_of(name) | {"added_later": "x"})
        # Another process: nothing is cached.
        services = Codec(TYPES, ConfluentRegistry(server.url))
        assert told(services.decode(payload)) == told(Codec(TYPES).decode(example(name)))
        asked = len(server.requests)
        services.decode(payload)
        assert len(server.requests) == asked


@pytest.mark.io
def test_a_later_variant_and_a_later_role_fall_back() -> None:
    later = present("PredictionBatch")
    later["fields"][2]["type"]["symbols"].append("blue")
    numeric = later["fields"][-1]["type"]["items"][0]
    numeric["fields"][1]["type"]["symbols"].append("embedding")
    record = record_of("PredictionBatch") | {"variant": "blue"}
    kind, column = record["columns"][0]
    record["columns"] = [(kind, column | {"role": "embedding"})]
    with running_registry() as server:
        payload = registered(ConfluentRegistry(server.url), parsed(later), record)
        batch = Codec(TYPES, ConfluentRegistry(server.url)).decode(payload)
    assert isinstance(batch, PredictionBatch)
    assert (batch.variant, batch.columns[0].role) == (Variant.SHADOW, Role.FEATURE)


# --- Incompatible changes


def broken(name: str) -> AvroSchema:
    """A form in which a required field is another one."""
    schema = present(name)
    (field,) = (field for field in schema["fields"] if field["name"] == "timestamps_ms")
    field["name"] = "times"
    return parsed(schema)


@pytest.mark.io
def test_a_registry_refuses_an_incompatible_form_and_the_producer_is_told_the_field() -> None:
    name = "FeatureBatch"
    with running_registry() as server:
        registry = ConfluentRegistry(server.url)
        registry.register(load_schema(name).full_name, load_schema(name).text)
        with pytest.raises(RegistryUnavailable, match=r"FeatureBatch\.times: .*409"):
            registry.register(broken(name).full_name, broken(name).text)


@pytest.mark.io
def test_incompatible_and_unknown_forms_end_at_the_dead_letter_door_and_their_neighbours_do_not() -> None:
    name = "FeatureBatch"
    schema, record = broken(name), record_of(name)
    record["times"] = record["timestamps_ms"]
    later = present(name)
    later["fields"].append(ADDED)
    with running_registry() as server:
        server.compatibility = "NONE"
        payloads = [
            example(name),
            registered(ConfluentRegistry(server.url), schema, record),
            single_object(parsed(later), record | {"added_later": "x"}),
            b"\x00\x00\x00\x03\xe7" + body_of(load_schema(name), record),
            example(name),
        ]
        messages = [
            SourceMessage(FEATURES.name, 0, offset, None, payload) for offset, payload in enumerate(payloads)
        ]
        batch = archive(messages, Codec(EVENT_TYPES, ConfluentRegistry(server.url)))
    letters = {letter.message.offset: letter.failure for letter in batch.dead_letters}
    assert {offset: failure.reason for offset, failure in letters.items()} == {
        1: "incompatible-schema",
        2: "unknown-schema",
        3: "unknown-schema",
    }
    assert "timestamps_ms" in letters[1].message
    assert [insert.table for insert in batch.inserts] == ["features"]


# --- The registry that the tests ask


@pytest.mark.io
def test_the_registry_of_the_tests_answers_confluents_client() -> None:
    with running_registry() as server:
        client = SchemaRegistryClient({"url": server.url, "max.retries": 0})
        subject, text = "driftsonde.Heartbeat", Text(load_schema("Heartbeat").text, "AVRO")
        with pytest.raises(SchemaRegistryError) as unknown:
            client.get_latest_version(subject)
        assert unknown.value.error_code == 40401
        schema_id = client.register_schema(subject, text)
        latest = client.get_latest_version(subject)
        assert (latest.schema_id, latest.version) == (schema_id, 1)
        assert client.lookup_schema(subject, text).schema_id == schema_id
        assert client.get_subjects() == [subject]
        assert client.test_compatibility(subject, text)
        other = Text('{"type": "record", "name": "driftsonde.Heartbeat", "fields": []}', "AVRO")
        assert not client.test_compatibility(subject, other)
        client.set_compatibility(subject, "NONE")
        assert client.register_schema(subject, other) == schema_id + 1


def test_a_registry_that_has_no_such_route_says_so() -> None:
    assert Registry().ask("GET", "/mode", {})[0] == 404
