import json
import logging
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.kafka import CompactedReader, ensure_topics, producer_config
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.specs import fingerprint
from driftsonde.adapters.wire_models import (
    MODEL_RECORD,
    AlreadyRegistered,
    ModelRecord,
    RecordKind,
    problem_of,
    read_catalogue,
    register,
    spec_record,
    version_record,
)
from driftsonde.archiver.pipeline import archive
from driftsonde.core.baseline import Baseline, Lineage
from driftsonde.core.control.registered import Registration
from driftsonde.core.spec import ActionPolicy, DriftRule, Mode, ModelSpec, Policy, Task

CODEC = Codec([MODEL_RECORD])
WEEK_MS = 7 * 86_400_000
SPEC = ModelSpec("fraud", Task.BINARY)
BASELINE = Baseline("fraud", "1", 10, (), (), None, Lineage("file", "f", 0, 1))


def state(*records: ModelRecord) -> dict[bytes, bytes]:
    return {record.key.encode(): CODEC.encode(record) for record in records}


def test_the_catalogue_holds_what_is_registered() -> None:
    catalogue = read_catalogue(
        state(spec_record(SPEC), version_record("fraud", "1", BASELINE), version_record("fraud", "2", None)),
        CODEC,
    )
    assert catalogue.models() == ("fraud",)
    assert catalogue.spec("fraud") == SPEC
    assert catalogue.spec("other") is None
    assert catalogue.versions_of("fraud") == ("1", "2")
    baseline = catalogue.baseline("fraud", "1")
    assert baseline is not None
    assert fingerprint(baseline) == fingerprint(BASELINE)
    assert catalogue.baseline("fraud", "2") is None
    assert catalogue.errors == {}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ModelRecord("m", RecordKind.SPEC, '{"name":"m","task":"x"}'), "task"),
        (ModelRecord("m", RecordKind.SPEC, '{"name":"other","task":"binary"}'), "name: 'other'"),
        (ModelRecord("m/1", RecordKind.VERSION, "[]"), "not the JSON of a version"),
        (ModelRecord("m/1", RecordKind.VERSION, '{"baseline":7}'), "expected an object or null"),
        (version_record("m", "1", BASELINE), "is of 'fraud' '1', under 'm' '1'"),
    ],
)
def test_a_faulty_record_is_named_and_holds_up_nothing(record: ModelRecord, expected: str) -> None:
    catalogue = read_catalogue(state(spec_record(SPEC), record), CODEC)
    assert catalogue.models() == ("fraud",)
    assert expected in catalogue.errors[record.key]


def test_bytes_that_are_not_ours_are_named() -> None:
    catalogue = read_catalogue({b"x": b"\x07", b"y": CODEC.encode(spec_record(SPEC))}, CODEC)
    assert catalogue.models() == ()
    assert "unknown-framing" in catalogue.errors["x"]
    assert "the message's key is 'y'" in catalogue.errors["y"]


def published() -> tuple[ModelRecord, bytes]:
    """What the first release registered, as JSON and as the message; nothing writes these files anew."""
    directory = schemas_directory() / "examples"
    record = json.loads((directory / "ModelRecord.json").read_text(encoding="utf-8"))["record"]
    written = ModelRecord(record["key"], RecordKind(record["kind"]), record["document"])
    return written, (directory / "ModelRecord.avro").read_bytes()


def test_a_spec_of_the_first_release_is_the_same_spec_for_every_release() -> None:
    """A key added since must have its default here, and be in `adapters.specs._ADDED`."""
    record, message = published()
    catalogue = read_catalogue({b"fraud": message}, CODEC)
    spec, told = catalogue.spec("fraud"), catalogue.registration("fraud", "", 7)
    assert spec is not None
    assert spec == replace(
        ModelSpec("fraud", Task.BINARY, 900_000, classes=("no", "yes"), segments=("country",)),
        owner="payments",
        policy=Policy(DriftRule(psi=0.3), actions=ActionPolicy(Mode.RECOMMEND, retrain_cooldown_ms=WEEK_MS)),
    )
    assert (spec.policy.quality.volume, spec.policy.actions.learning_ms) == (0.0, WEEK_MS)  # added; for ever
    assert told == Registration(7, spec=record.document)  # or the log would get a decision at each upgrade
    assert CODEC.encode(spec_record(spec)) == message
    assert (fingerprint(spec), fingerprint(spec.policy)) == ("6d780bb00cf0de1a", "1e097d5e6cbcd973")


def test_a_later_key_that_is_used_makes_another_spec() -> None:
    record, _ = published()
    quality = '"quality":{"missing_rate":0.1,"out_of_range_rate":0.1,"unseen_rate":0.1'
    assert quality in record.document
    later = replace(record, document=record.document.replace(quality, quality + ',"volume":0.5'))
    spec = read_catalogue(state(later), CODEC).spec("fraud")
    assert spec is not None
    assert spec.policy.quality.volume == 0.5
    assert spec_record(spec) == later
    assert fingerprint(spec.policy) != "1e097d5e6cbcd973"


def test_a_key_of_a_later_release_is_refused_by_its_name_and_the_spec_before_it_stays() -> None:
    """Half of what a team asks for is not what it asks for."""
    record, message = published()
    later = record.document.replace('"psi":0.3', '"psi":0.3,"hysteresis":{"up":2}')
    payload = CODEC.encode(replace(record, document=later))
    assert problem_of(CODEC, b"fraud", payload).startswith(
        "policy.drift.hysteresis: unknown; expected one of"
    )
    (refused,) = archive([SourceMessage("models", 0, 1, b"fraud", payload)], CODEC).dead_letters
    assert refused.failure.reason == "invalid"
    assert "policy.drift.hysteresis: unknown" in refused.failure.message
    assert problem_of(CODEC, b"fraud", message) == ""


@pytest.mark.io
def test_registering_twice_needs_to_be_meant() -> None:
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    settings = KafkaSettings(bootstrap_servers=address)
    ensure_topics(settings, [topics.MODELS])
    producer = Producer(producer_config(settings))
    reader = CompactedReader(settings, topics.MODELS)
    reader.refresh()
    records = [spec_record(SPEC), version_record("fraud", "1", BASELINE)]
    assert register(producer, CODEC, reader.state, records) == ("fraud", "fraud/1")
    reader.refresh()
    assert register(producer, CODEC, reader.state, records) == ()
    other = spec_record(replace(SPEC, owner="me"))
    with pytest.raises(AlreadyRegistered, match="'fraud'"):
        register(producer, CODEC, reader.state, [version_record("fraud", "2", None), other])
    assert reader.refresh() == {}
    assert register(producer, CODEC, reader.state, [other], replace=True) == ("fraud",)
    reader.refresh()
    spec = read_catalogue(reader.state, CODEC).spec("fraud")
    assert spec is not None
    assert spec.owner == "me"
    for record in records:  # the same, as another release might write it
        same = replace(record, document=json.dumps(json.loads(record.document), indent=1))
        assert register(producer, CODEC, state(same), [record]) == ()
    reader.close()
