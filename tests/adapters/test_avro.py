"""The codec by itself, with a small record type of its own: framings, schema resolution, and what it refuses."""

import contextlib
import io
import json
import struct
from dataclasses import dataclass
from typing import Any

import fastavro
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from driftsonde.adapters.avro import (
    MAX_MESSAGE_BYTES,
    REASONS,
    Codec,
    RegistryUnavailable,
    Undecodable,
    UnknownSchema,
    load_schema,
    parse_avro_schema,
)
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import Heartbeat, InvalidEvent, RawEvent
from strategies import events

HEARTBEAT = Heartbeat(1_700_000_000_000)
SINGLE_OBJECT_HEADER_BYTES = 10


@dataclass
class InMemoryRegistry:
    """A registry whose ids count up; `down` makes every call fail."""

    texts: list[str]
    down: bool = False

    def register(self, subject: str, schema: str) -> int:
        if schema not in self.texts:
            self.texts.append(schema)
        return self.texts.index(schema)

    def schema(self, schema_id: int) -> str:
        if self.down:
            raise RegistryUnavailable("down")
        if schema_id >= len(self.texts):
            raise UnknownSchema("unknown id")
        return self.texts[schema_id]


def refused(payload: bytes, codec: Codec | None = None) -> str:
    with pytest.raises(Undecodable) as refusal:
        (codec or Codec(EVENT_TYPES)).decode(payload)
    assert refusal.value.reason in REASONS
    return refusal.value.reason


def test_single_object_header_is_the_specifications() -> None:
    payload = Codec(EVENT_TYPES).encode(HEARTBEAT)
    assert payload[:2] == b"\xc3\x01"
    assert payload[2:SINGLE_OBJECT_HEADER_BYTES] == load_schema("Heartbeat").fingerprint


def test_fingerprint_is_the_specifications() -> None:
    # As Java's SchemaNormalization.parsingFingerprint64 has it for the schema of PredictionEvent; the frame of
    # Java's BinaryMessageEncoder, and of Go's, begins with its bytes, the least first.
    schema = '{"type":"record","name":"B","namespace":"a","fields":[{"name":"x","type":"int"}]}'
    crc = rabin('{"name":"a.B","type":"record","fields":[{"name":"x","type":"int"}]}')
    assert parse_avro_schema(schema).fingerprint == struct.pack("<Q", crc)
    assert struct.unpack("<Q", load_schema("PredictionEvent").fingerprint) == (0x0C6A345987E55EF0,)


def rabin(canonical: str) -> int:
    """CRC-64-AVRO as the specification has it: over the parsing canonical form."""
    empty = 0xC15D213AA4D7A795
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
        table.append(value)
    crc = empty
    for byte in canonical.encode():
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def test_rabin_gives_avros_own_vector() -> None:
    # share/test/data/schema-tests.txt: the schema "null".
    assert rabin('"null"') == 7195948357588979594


def test_messages_with_the_fingerprint_turned_around_are_still_read() -> None:
    payload = Codec(EVENT_TYPES).encode(HEARTBEAT)
    turned = (
        payload[:2] + payload[SINGLE_OBJECT_HEADER_BYTES - 1 : 1 : -1] + payload[SINGLE_OBJECT_HEADER_BYTES:]
    )
    assert turned != payload
    assert Codec(EVENT_TYPES).decode(turned) == HEARTBEAT


def test_fingerprint_ignores_documentation_and_defaults() -> None:
    bare = parse_avro_schema('{"type":"record","name":"a.B","fields":[{"name":"x","type":"int"}]}')
    documented = parse_avro_schema(
        '{"type":"record","name":"B","namespace":"a","doc":"d","fields":[{"name":"x","type":"int","default":1}]}'
    )
    assert bare.fingerprint == documented.fingerprint
    assert bare.full_name == documented.full_name == "a.B"


def test_confluent_header_has_the_registered_id_and_either_codec_with_that_registry_reads_it() -> None:
    registry = ConfluentRegistry("mock://confluent_header")
    payload = Codec(EVENT_TYPES, registry).encode(HEARTBEAT)
    assert payload[0] == 0
    (schema_id,) = struct.unpack(">I", payload[1:5])
    assert json.loads(registry.schema(schema_id)) == json.loads(load_schema("Heartbeat").text)
    assert Codec(EVENT_TYPES, registry).decode(payload) == HEARTBEAT


def test_a_codec_with_a_registry_reads_single_objects_too() -> None:
    payload = Codec(EVENT_TYPES).encode(HEARTBEAT)
    assert Codec(EVENT_TYPES, ConfluentRegistry("mock://both")).decode(payload) == HEARTBEAT


def test_confluents_registry_tells_unknown_ids() -> None:
    with pytest.raises(UnknownSchema):
        ConfluentRegistry("mock://unknown").schema(12_345)


@pytest.mark.io
def test_a_registry_that_does_not_answer_is_unavailable() -> None:
    registry = ConfluentRegistry("http://127.0.0.1:9", {"max.retries": 0, "timeout": 1})
    with pytest.raises(RegistryUnavailable):
        Codec(EVENT_TYPES, registry).encode(HEARTBEAT)
    with pytest.raises(RegistryUnavailable):
        Codec(EVENT_TYPES, registry).decode(b"\x00\x00\x00\x00\x01\x00")


def test_an_outage_of_the_registry_is_not_the_messages_fault() -> None:
    with pytest.raises(RegistryUnavailable):
        Codec(EVENT_TYPES, InMemoryRegistry([], down=True)).decode(b"\x00\x00\x00\x00\x01\x00")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"{}", "unknown-framing"),
        (b"\xc3", "unknown-framing"),
        (b"\xc3\x01", "truncated"),
        (b"\xc3\x01\x00\x00", "truncated"),
        (b"\xc3\x01" + bytes(8), "unknown-schema"),
        (b"\x00", "truncated"),
        (b"\x00\x00\x00\x00", "truncated"),
        (b"\x00\x00\x00\x00\x01\x00", "no-registry"),
        (bytes(MAX_MESSAGE_BYTES + 1), "too-large"),
    ],
)
def test_foreign_bytes_are_refused_with_a_reason(payload: bytes, reason: str) -> None:
    assert refused(payload) == reason


def test_truncated_and_trailing_bytes_are_refused() -> None:
    payload = Codec(EVENT_TYPES).encode(HEARTBEAT)
    assert refused(payload[:-1]) == "truncated"
    assert refused(payload + b"\x00") == "trailing-bytes"


def test_ids_the_registry_does_not_know_are_refused() -> None:
    assert refused(b"\x00\x00\x00\x00\x07\x00", Codec(EVENT_TYPES, InMemoryRegistry([]))) == "unknown-schema"


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        '"string"',
        '{"type":"record","name":"driftsonde.Heartbeat","fields":[{"name":"x","type":"someone.Elses"}]}',
        '{"type":"record","name":"someone.Else","fields":[]}',
    ],
)
def test_schemas_of_others_in_the_registry_are_refused(text: str) -> None:
    assert (
        refused(b"\x00\x00\x00\x00\x00\x00", Codec(EVENT_TYPES, InMemoryRegistry([text]))) == "unknown-schema"
    )


def test_a_writers_schema_that_does_not_resolve_is_refused() -> None:
    text = '{"type":"record","name":"driftsonde.Heartbeat","fields":[{"name":"other","type":"string"}]}'
    assert (
        refused(b"\x00\x00\x00\x00\x00\x00", Codec(EVENT_TYPES, InMemoryRegistry([text])))
        == "incompatible-schema"
    )


def test_the_reader_resolves_the_registered_schema_of_another_release() -> None:
    writer: dict[str, Any] = json.loads(load_schema("Heartbeat").text)
    writer["fields"].append({"name": "added_later", "type": "string", "default": ""})
    registry = InMemoryRegistry([json.dumps(writer)])
    body = b"\x00\x00\x00\x00\x00" + schemaless(writer, {"timestamp_ms": 5, "added_later": "x"})
    assert Codec(EVENT_TYPES, registry).decode(body) == Heartbeat(5)


def schemaless(schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), record)
    return body.getvalue()


def test_what_an_earlier_release_wrote_is_read_by_its_fingerprint() -> None:
    earlier: dict[str, Any] = json.loads(load_schema("Heartbeat").text)
    earlier["fields"].append({"name": "dropped_since", "type": "string", "default": ""})
    schema = parse_avro_schema(json.dumps(earlier))
    payload = (
        b"\xc3\x01" + schema.fingerprint + schemaless(earlier, {"timestamp_ms": 5, "dropped_since": "x"})
    )
    assert Codec(EVENT_TYPES, history=[schema]).decode(payload) == Heartbeat(5)
    assert refused(payload, Codec(EVENT_TYPES, history=[])) == "unknown-schema"


def test_types_that_are_not_the_codecs_cannot_be_encoded() -> None:
    with pytest.raises(TypeError, match="int"):
        Codec(EVENT_TYPES).encode(1)


def test_nonsense_inside_a_schema_is_an_invalid_event() -> None:
    body = schemaless(load_schema("Heartbeat").parsed, {"timestamp_ms": -1})
    payload = b"\xc3\x01" + load_schema("Heartbeat").fingerprint + body
    with pytest.raises(InvalidEvent, match="timestamp_ms"):
        Codec(EVENT_TYPES).decode(payload)


def decodes_or_refuses(payload: bytes) -> None:
    for codec in (
        Codec(EVENT_TYPES),
        Codec(EVENT_TYPES, InMemoryRegistry([load_schema("PredictionBatch").text])),
    ):
        with contextlib.suppress(Undecodable, InvalidEvent):
            codec.decode(payload)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x00", b"\x00\x00\x00\x00\x00", b"\xc3\x01"]))
@example(b"", b"\xc3\x01")
def test_no_bytes_make_it_fail_otherwise(noise: bytes, framing: bytes) -> None:
    decodes_or_refuses(framing + noise)
    for record_type in EVENT_TYPES:
        decodes_or_refuses(b"\xc3\x01" + load_schema(record_type.name).fingerprint + noise)


@given(events(), st.data())
def test_no_change_to_a_message_makes_it_fail_otherwise(event: RawEvent, data: st.DataObject) -> None:
    payload = bytearray(Codec(EVENT_TYPES).encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    decodes_or_refuses(bytes(payload))
    decodes_or_refuses(bytes(payload[: data.draw(st.integers(0, len(payload)))]))
