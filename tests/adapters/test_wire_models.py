import logging
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import CompactedReader, ensure_topics, producer_config
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.specs import fingerprint
from driftsonde.adapters.wire_models import (
    MODEL_RECORD,
    AlreadyRegistered,
    ModelRecord,
    RecordKind,
    read_catalogue,
    register,
    spec_record,
    version_record,
)
from driftsonde.core.baseline import Baseline, Lineage
from driftsonde.core.spec import ModelSpec, Task

CODEC = Codec([MODEL_RECORD])
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
    reader.close()
