"""Values to Avro messages and back, in either of two framings.

* Single-object encoding (Avro specification, "Single-object encoding"): C3 01, the CRC-64-AVRO fingerprint of the
  writer's schema (8 bytes, little-endian), the body. Written where no registry is configured.
* The Confluent wire format: 00, the schema's id in the registry (4 bytes, big-endian), the body. Written where one is.

A codec reads both. Each schema is a file of `schemas/avro`; what an earlier release wrote is read through its schema
in `schemas/avro/history`, which has every released form of what others read or write (<name>-<number>.avsc).
"""

import functools
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import (
    SchemaParseException,
    UnknownType,
    fingerprint,
    parse_schema,
    to_parsing_canonical_form,
)

from driftsonde.adapters.avro_ids import IdsReader, ids_reader
from driftsonde.adapters.resources import schemas_directory
from driftsonde.core.events import InvalidEvent

MAX_MESSAGE_BYTES = 10_000_000
MAX_CACHED_WRITERS = 1_000

_SINGLE_OBJECT = b"\xc3\x01"
_CONFLUENT = b"\x00"
_FINGERPRINT_BYTES = 8

Record = Mapping[str, Any]


class Undecodable(Exception):
    """Bytes that are not a message of ours. `reason` is a slug for metrics and dead letters, one of `REASONS`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


REASONS = (
    "empty",  # no value, or one without a byte
    "incompatible-schema",  # the writer's schema can't be resolved to ours
    "malformed",
    "no-registry",  # Confluent framing, and no registry is configured
    "too-large",
    "trailing-bytes",
    "truncated",
    "unknown-framing",
    "unknown-schema",
)


class UnknownSchema(LookupError):
    """The registry answered, and has no schema of that id."""


class RegistryUnavailable(Exception):
    """The registry didn't answer, or refused; what was asked may succeed later."""


class SchemaRegistry(Protocol):
    """Where schemas have ids. Both calls may block; both raise `RegistryUnavailable` where there is no answer."""

    def register(self, subject: str, schema: str) -> int:
        """Return the id of this schema, registering it where it is new. Raises where the registry refuses it."""

    def schema(self, schema_id: int) -> str:
        """Return the text of a schema. Raises `UnknownSchema`."""


@dataclass(frozen=True, slots=True)
class RecordType:
    """How one schema and one Python type translate into each other.

    name: of the schema, and of its file (`schemas/avro/<name>.avsc`).
    python_type: the type whose values are encoded with this schema.
    to_record: value -> the fields of the record; None for a schema that is only read (another one writes that type).
    from_record: fields -> value. Raises `InvalidEvent` for nonsense; any other ValueError is made one.
    """

    name: str
    python_type: type
    to_record: Callable[[Any], Record] | None
    from_record: Callable[[Record], object]


@dataclass(frozen=True, slots=True)
class AvroSchema:
    """A schema as text, as fastavro wants it, and by name and fingerprint (the 8 bytes as framed)."""

    text: str
    parsed: Any
    full_name: str
    fingerprint: bytes


def parse_avro_schema(text: str) -> AvroSchema:
    """Raise ValueError for a text that isn't the schema of a named type."""
    try:
        parsed: Any = parse_schema(json.loads(text))
        crc = fingerprint(to_parsing_canonical_form(parsed), "CRC-64-AVRO")
        full_name = parsed["name"]
    except (SchemaParseException, UnknownType, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an Avro schema of a named type: {error}") from error
    # fastavro prints the 64-bit number's bytes in their order on the wire, the least first.
    return AvroSchema(text, parsed, full_name, bytes.fromhex(crc))


@functools.cache
def load_schema(name: str) -> AvroSchema:
    """The present schema of that name."""
    return _load(schemas_directory() / "avro" / f"{name}.avsc")


@functools.cache
def load_history() -> tuple[AvroSchema, ...]:
    """Every schema that an earlier release wrote with."""
    return tuple(_load(path) for path in sorted((schemas_directory() / "avro" / "history").glob("*.avsc")))


def _load(path: Path) -> AvroSchema:
    return parse_avro_schema(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class _Reading:
    """How to read what one writer wrote: `reader` is None where the writer's schema is the present one. `ids` is how
    to read it by halves, where that is possible."""

    type: RecordType
    writer: Any
    reader: Any
    ids: IdsReader | None


class Codec:
    """Encodes and decodes the values of some record types. Safe to share between threads."""

    def __init__(
        self,
        types: Iterable[RecordType],
        registry: SchemaRegistry | None = None,
        history: Iterable[AvroSchema] | None = None,
    ) -> None:
        """`history`: the schemas of earlier releases that are read besides; by default those that ship."""
        self._registry = registry
        self._types = {load_schema(record_type.name).full_name: record_type for record_type in types}
        self._writers = {
            record_type.python_type: record_type
            for record_type in self._types.values()
            if record_type.to_record is not None
        }
        present = [load_schema(record_type.name) for record_type in self._types.values()]
        earlier = load_history() if history is None else history
        known = [schema for schema in earlier if schema.full_name in self._types]
        self._by_fingerprint = {schema.fingerprint: self._reading(schema) for schema in [*known, *present]}
        # Until November 2026 the fingerprint's bytes were written in the other order; such messages may still be in topics.
        self._by_fingerprint |= {framed[::-1]: reading for framed, reading in self._by_fingerprint.items()}
        self._by_id: dict[int, _Reading] = {}
        self._frames: dict[str, bytes] = {}

    def encode(self, value: object) -> bytes:
        """Raise TypeError for a type that isn't among the codec's, `RegistryUnavailable` where the registry is asked
        for an id (once a type) and doesn't answer."""
        record_type = self._writers.get(type(value))
        if record_type is None or record_type.to_record is None:
            raise TypeError(f"no record type for {type(value).__name__}")
        body = BytesIO()
        body.write(self._frame(record_type.name))
        fastavro.schemaless_writer(body, load_schema(record_type.name).parsed, record_type.to_record(value))
        return body.getvalue()

    def decode(self, payload: bytes) -> object:
        """Raise `Undecodable` for what isn't ours, `InvalidEvent` for nonsense inside a schema of ours, and
        `RegistryUnavailable` where the writer's schema can't be looked up now: try that one again later."""
        if len(payload) > MAX_MESSAGE_BYTES:
            raise Undecodable("too-large", f"{len(payload)} bytes; at most {MAX_MESSAGE_BYTES} are allowed")
        reading, body_starts = self._resolve(payload)
        record = _read_body(payload, body_starts, reading)
        try:
            return reading.type.from_record(record)
        except InvalidEvent:
            raise
        except (ValueError, OverflowError) as error:
            raise InvalidEvent(reading.type.name, str(error)) from error

    def _frame(self, name: str) -> bytes:
        if name not in self._frames:
            schema = load_schema(name)
            if self._registry is None:
                self._frames[name] = _SINGLE_OBJECT + schema.fingerprint
            else:
                # Several types share a topic, so the subject is the record's name (Confluent's RecordNameStrategy).
                schema_id = self._registry.register(schema.full_name, schema.text)
                self._frames[name] = _CONFLUENT + struct.pack(">I", schema_id)
        return self._frames[name]

    def _resolve(self, payload: bytes) -> tuple[_Reading, int]:
        if not payload:
            raise Undecodable("empty", "the message has no value")
        if payload.startswith(_SINGLE_OBJECT):
            body_starts = len(_SINGLE_OBJECT) + _FINGERPRINT_BYTES
            return self._by_known_fingerprint(payload[len(_SINGLE_OBJECT) : body_starts]), body_starts
        if payload.startswith(_CONFLUENT):
            if len(payload) < 5:
                raise Undecodable("truncated", "the message ends inside its schema id")
            (schema_id,) = struct.unpack_from(">I", payload, 1)
            return self._by_registry_id(schema_id), 5
        raise Undecodable(
            "unknown-framing", f"expected C3 01 or 00, the message starts {payload[:2].hex(' ')!r}"
        )

    def _by_known_fingerprint(self, framed: bytes) -> _Reading:
        if len(framed) < _FINGERPRINT_BYTES:
            raise Undecodable("truncated", "the message ends inside its schema fingerprint")
        reading = self._by_fingerprint.get(framed)
        if reading is None:
            raise Undecodable(
                "unknown-schema",
                f"no schema has the fingerprint {framed[::-1].hex()}: a newer release or another system wrote this. "
                "Upgrade the services before the producers, or give both a schema registry",
            )
        return reading

    def _by_registry_id(self, schema_id: int) -> _Reading:
        if self._registry is None:
            raise Undecodable("no-registry", f"schema id {schema_id}, but no schema registry is configured")
        if schema_id not in self._by_id:
            if len(self._by_id) >= MAX_CACHED_WRITERS:
                self._by_id.clear()
            self._by_id[schema_id] = self._look_up(self._registry, schema_id)
        return self._by_id[schema_id]

    def _look_up(self, registry: SchemaRegistry, schema_id: int) -> _Reading:
        try:
            writer = parse_avro_schema(registry.schema(schema_id))
        except (UnknownSchema, ValueError) as error:
            raise Undecodable("unknown-schema", f"schema id {schema_id}: {error}") from error
        if writer.full_name not in self._types:
            raise Undecodable(
                "unknown-schema", f"schema id {schema_id} is {writer.full_name}, which isn't read here"
            )
        return self._reading(writer)

    def _reading(self, writer: AvroSchema) -> _Reading:
        record_type = self._types[writer.full_name]
        present = load_schema(record_type.name)
        # Resolution is slower, and needless where the schemas differ in documentation and defaults alone.
        reader = None if writer.fingerprint == present.fingerprint else present.parsed
        return _Reading(
            record_type, writer.parsed, reader, ids_reader(writer.text) if reader is None else None
        )


def _read_body(payload: bytes, body_starts: int, reading: _Reading) -> Record:
    stream = BytesIO(payload)
    stream.seek(body_starts)
    try:
        record: Any = reading.ids.read(payload, stream) if reading.ids else None
        if record is None:
            stream.seek(body_starts)
            record = fastavro.schemaless_reader(stream, reading.writer, reading.reader)
    except (EOFError, IndexError) as error:
        # A number cut short is an IndexError at the end of the bytes; so is an enum's symbol, but anywhere.
        reason = "truncated" if stream.tell() == len(payload) else "malformed"
        raise Undecodable(reason, f"{reading.type.name}: {error or 'the message ends too early'}") from error
    except SchemaResolutionError as error:
        raise Undecodable("incompatible-schema", f"{reading.type.name}: {error}") from error
    except Exception as error:
        # fastavro lets through whatever its parser trips over: UnicodeDecodeError, OverflowError, MemoryError, ...
        raise Undecodable("malformed", f"{reading.type.name}: {type(error).__name__}: {error}") from error
    if stream.tell() != len(payload):
        raise Undecodable(
            "trailing-bytes", f"{reading.type.name}: {len(payload) - stream.tell()} bytes after the end"
        )
    return record  # type: ignore[no-any-return]  # fastavro types every datum alike
