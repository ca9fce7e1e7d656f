"""The topic `models`: what is registered, as messages, as a catalogue, and how it gets there."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from pydantic import TypeAdapter, ValidationError

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RecordType, Undecodable
from driftsonde.adapters.specs import (
    InvalidSpec,
    baseline_document,
    fingerprint,
    parse_baseline,
    spec_from_json,
    spec_to_json,
)
from driftsonde.core.baseline import Baseline
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.registered import Registration
from driftsonde.core.events import InvalidEvent
from driftsonde.core.origin import Origin
from driftsonde.core.spec import ModelSpec

_FLUSH_S = 30.0


class RecordKind(StrEnum):
    SPEC = "spec"
    VERSION = "version"
    ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """`key` is "model" for a spec, "model/version" for a version, "model/version/origin" for where it comes from;
    `document` is JSON."""

    key: str
    kind: RecordKind
    document: str


def _to_record(value: ModelRecord) -> dict[str, Any]:
    return {"key": value.key, "kind": value.kind.value, "document": value.document}


def _from_record(record: Mapping[str, Any]) -> ModelRecord:
    return ModelRecord(record["key"], RecordKind(record["kind"]), record["document"])


MODEL_RECORD = RecordType("ModelRecord", ModelRecord, _to_record, _from_record)


class AlreadyRegistered(ValueError):
    """The key is taken, by another content."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is registered with another content; say so if it is to be replaced")
        self.key = key


def version_key(model: str, version: str) -> str:
    return f"{model}/{version}"


def spec_record(spec: ModelSpec) -> ModelRecord:
    return ModelRecord(spec.name, RecordKind.SPEC, spec_to_json(spec))


def version_record(model: str, version: str, baseline: Baseline | None) -> ModelRecord:
    """A version and its baseline; without one, the first rows served become a provisional baseline."""
    document = {"version": version, "baseline": None if baseline is None else baseline_document(baseline)}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return ModelRecord(version_key(model, version), RecordKind.VERSION, text)


def origin_record(model: str, version: str, origin: Origin) -> ModelRecord:
    """Beside the version's own record, which is written again when it gets a baseline."""
    text = json.dumps(to_object(origin), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return ModelRecord(f"{version_key(model, version)}/{RecordKind.ORIGIN}", RecordKind.ORIGIN, text)


def version_of(key: str) -> tuple[str, str]:
    """Model and version that a record is about; version "" for a model's spec.

    >>> version_of("fraud/3/origin"), version_of("fraud")
    (('fraud', '3'), ('fraud', ''))
    """
    model, _, version = key.partition("/")
    return model, version.removesuffix(f"/{RecordKind.ORIGIN}")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is registered. `errors` names each record that can't be used and why; the others are not held up by it."""

    specs: Mapping[str, ModelSpec]
    versions: Mapping[tuple[str, str], Baseline | None]
    errors: Mapping[str, str]
    origins: Mapping[tuple[str, str], Origin] = field(default_factory=dict)

    def models(self) -> tuple[str, ...]:
        return tuple(sorted(self.specs))

    def spec(self, model: str) -> ModelSpec | None:
        return self.specs.get(model)

    def baseline(self, model: str, version: str) -> Baseline | None:
        return self.versions.get((model, version))

    def registration(self, model: str, version: str, at_ms: int) -> Registration | None:
        """What is registered, at that time, of a version, or of the model itself (""); None where nothing is."""
        if not version:
            spec = self.specs.get(model)
            return None if spec is None else Registration(at_ms, spec=spec_to_json(spec))
        if (model, version) not in self.versions:
            return None
        baseline, origin = self.versions[model, version], self.origins.get((model, version))
        if baseline is None:
            return Registration(at_ms, origin=origin)
        scored = baseline.performance
        return Registration(
            at_ms,
            baseline=fingerprint(baseline),
            rows=baseline.rows,
            lineage=baseline.lineage,
            performance=scored if scored is not None and math.isfinite(scored.value) else None,
            origin=origin,
        )

    def versions_of(self, model: str) -> tuple[str, ...]:
        return tuple(sorted(version for name, version in self.versions if name == model))


def problem_of(codec: Codec, raw_key: bytes, payload: bytes) -> str:
    """Why a record can't be used, or ""."""
    try:
        _add(_decode(codec, raw_key.decode(errors="replace"), payload), {}, {}, {})
    except (Undecodable, InvalidEvent, InvalidSpec) as error:
        return str(error)
    return ""


def read_catalogue(
    state: Mapping[bytes, bytes], codec: Codec, problems: Mapping[bytes, str] = MappingProxyType({})
) -> Catalogue:
    """The catalogue that the newest value of each key gives, and beside its own errors those of values left out of it."""
    specs: dict[str, ModelSpec] = {}
    versions: dict[tuple[str, str], Baseline | None] = {}
    errors = {key.decode(errors="replace"): problem for key, problem in problems.items()}
    origins: dict[tuple[str, str], Origin] = {}
    for raw_key, payload in sorted(state.items()):
        key = raw_key.decode(errors="replace")
        try:
            _add(_decode(codec, key, payload), specs, versions, origins)
        except (Undecodable, InvalidEvent, InvalidSpec) as error:
            errors[key] = str(error)
    return Catalogue(
        MappingProxyType(specs),
        MappingProxyType(versions),
        MappingProxyType(errors),
        MappingProxyType(origins),
    )


def register(
    producer: Producer,
    codec: Codec,
    registered: Mapping[bytes, bytes],
    records: Iterable[ModelRecord],
    *,
    replace: bool = False,
) -> tuple[str, ...]:
    """Publish the records that are new against `registered` (the state of a reader that is up to date).

    Returns the keys written. Raises `AlreadyRegistered` before anything is written if a key is taken by another content
    and `replace` is false; raises `KafkaException` if the broker doesn't store them.
    """
    changed = [record for record in records if not _same(registered.get(record.key.encode()), record, codec)]
    if not replace:
        for record in changed:
            if record.key.encode() in registered:
                raise AlreadyRegistered(record.key)
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for record in changed:
        producer.produce(
            topics.MODELS.name, key=record.key.encode(), value=codec.encode(record), on_delivery=delivered
        )
    remaining = producer.flush(_FLUSH_S)
    if failed:
        raise KafkaException(failed[0])
    if remaining:
        raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{remaining} model records not stored"))
    return tuple(record.key for record in changed)


def _same(payload: bytes | None, record: ModelRecord, codec: Codec) -> bool:
    if payload is None:
        return False
    try:
        return _rewritten(_decode(codec, record.key, payload)) == record
    except (Undecodable, InvalidEvent, InvalidSpec):
        return False


def _rewritten(record: ModelRecord) -> ModelRecord:
    """As this release writes what it says: an earlier one may have said the same in other words."""
    model, version = version_of(record.key)
    match record.kind:
        case RecordKind.SPEC:
            return spec_record(spec_from_json(record.document))
        case RecordKind.VERSION:
            return version_record(model, version, _version_baseline(record.document, model, version))
        case RecordKind.ORIGIN:
            return origin_record(model, version, _origin(record.document))


def _decode(codec: Codec, key: str, payload: bytes) -> ModelRecord:
    record = codec.decode(payload)
    if not isinstance(record, ModelRecord):
        raise InvalidEvent("models", f"expected a ModelRecord, not {type(record).__name__}")
    if record.key != key:
        raise InvalidEvent("key", f"the message's key is {key!r}, the record's {record.key!r}")
    return record


def _add(
    record: ModelRecord,
    specs: dict[str, ModelSpec],
    versions: dict[tuple[str, str], Baseline | None],
    origins: dict[tuple[str, str], Origin],
) -> None:
    if record.kind is RecordKind.SPEC:
        spec = spec_from_json(record.document)
        if spec.name != record.key:
            raise InvalidSpec((f"name: {spec.name!r} under the key {record.key!r}",))
        specs[spec.name] = spec
        return
    if record.kind is RecordKind.ORIGIN:
        model, _, version = record.key.removesuffix(f"/{RecordKind.ORIGIN}").partition("/")
        origins[model, version] = _origin(record.document)
        return
    model, _, version = record.key.partition("/")
    versions[model, version] = _version_baseline(record.document, model, version)


def _origin(text: str) -> Origin:
    try:
        return TypeAdapter(Origin).validate_json(text)
    except ValidationError as error:
        raise InvalidSpec((f"document: not an origin: {error.errors()[0]['msg']}",)) from None


def _version_baseline(text: str, model: str, version: str) -> Baseline | None:
    try:
        content = json.loads(text)["baseline"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidSpec((f"document: not the JSON of a version: {error!r}",)) from None
    if content is None:
        return None
    if not isinstance(content, dict):
        raise InvalidSpec(("baseline: expected an object or null",))
    baseline = parse_baseline(content)
    if (baseline.model, baseline.version) != (model, version):
        problem = f"baseline: is of {baseline.model!r} {baseline.version!r}, under {model!r} {version!r}"
        raise InvalidSpec((problem,))
    return baseline
