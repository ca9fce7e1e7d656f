"""`driftsonde explain` without a controller: from the topics of the embedded broker, and with no store to ask."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from control_examples import after, setting, signal
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import ensure_topics, producer_config
from driftsonde.adapters.settings import ClickHouseSettings, KafkaSettings, Settings, environment
from driftsonde.adapters.topics import DECISIONS, MODELS
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.cli import main
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.state import State
from driftsonde.core.signals import SignalKind

pytestmark = pytest.mark.io

_, LOGGED = after(
    State(), [signal(SignalKind.ALERT), signal(SignalKind.ALERT, "e2", model="demand")], setting()
)


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    cluster = Producer({"test.mock.num.brokers": 1})  # lives as long as this client
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    settings = KafkaSettings(f"{broker.host}:{broker.port}")
    ensure_topics(settings, [DECISIONS, MODELS])
    producer = Producer(producer_config(settings))
    codec = Codec(CONTROL_TYPES)
    for decision in LOGGED:
        producer.produce(DECISIONS.name, key=decision.model.encode(), value=codec.encode(decision))
    assert producer.flush(10) == 0
    yield settings


def explained(
    kafka: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> str:
    monkeypatch.delenv("CONTROLLER_URL", raising=False)
    for name, value in environment(
        Settings(kafka=kafka, clickhouse=ClickHouseSettings("127.0.0.1", 1))
    ).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main(["explain", *arguments])
    out, err = capsys.readouterr()
    return out + err


def test_the_newest_incident_and_each_decision(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alert: Decision = LOGGED[0]
    text = explained(kafka, monkeypatch, capsys)
    assert text.splitlines()[0].endswith(": amount changed (open)")
    assert explained(kafka, monkeypatch, capsys, "demand").startswith("demand: amount changed (open)\nsince ")
    assert explained(kafka, monkeypatch, capsys, alert.id).startswith("alert of fraud, version 1: decided")
    assert "no incident 'nobody'" in explained(kafka, monkeypatch, capsys, "nobody")
