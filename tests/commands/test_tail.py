"""`driftsonde tail` on the embedded broker."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from control_examples import signal
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import ensure_topics, producer_config
from driftsonde.adapters.settings import KafkaSettings, Settings, environment
from driftsonde.adapters.topics import SIGNALS
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.cli import main
from driftsonde.commands import errors
from driftsonde.core.signals import SignalKind

pytestmark = pytest.mark.io

SENT = [
    signal(SignalKind.ALERT, model="fraud"),
    signal(SignalKind.RESOLVE, model="fraud", hour=3),
    signal(SignalKind.ALERT, model="demand", hour=1),
    signal(SignalKind.ALERT, model="sales", hour=2),
]


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    cluster = Producer({"test.mock.num.brokers": 1})  # lives as long as this client
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    settings = KafkaSettings(f"{broker.host}:{broker.port}")
    ensure_topics(settings, [SIGNALS])
    producer = Producer(producer_config(settings))
    codec = Codec(CONTROL_TYPES)
    for event in SENT:
        producer.produce(SIGNALS.name, key=event.model.encode(), value=codec.encode(event))
    producer.produce(SIGNALS.name, key=b"fraud", value=b"not ours")
    assert producer.flush(10) == 0
    yield settings


@pytest.fixture
def tail(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    for name, value in environment(Settings(kafka=kafka)).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> list[str]:
        with pytest.raises(SystemExit) as stopped:
            main(["tail", "--once", *arguments])
        assert stopped.value.code == 0
        return capsys.readouterr().out.splitlines()

    return run


def test_signals_of_the_last_hours(tail: Callable[..., list[str]]) -> None:
    lines = tail("--since", "1h")
    assert len(lines) == 4
    assert lines == sorted(lines), "in the order of the windows"
    assert (
        "1970-01-01 01:00:00Z  incident   fraud version 1 (champion): amount changed. "
        "Distance from its baseline (PSI): 0.70, the limit is 0.20." in lines
    )
    assert "1970-01-01 04:00:00Z  over       fraud version 1 (champion): resolve of fraud" in lines
    assert tail() == []


def test_one_model_for_a_program(tail: Callable[..., list[str]]) -> None:
    told = [json.loads(line) for line in tail("fraud", "--since", "1h", "--json")]
    assert [(entry["kind"], entry["window_end_ms"]) for entry in told] == [
        ("alert", 3_600_000),
        ("resolve", 14_400_000),
    ]


def test_a_broker_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr(errors, "_PATIENCE_S", 1.5)  # by then the client has failed more than once
    with pytest.raises(SystemExit) as stopped:
        main(["tail"])
    assert stopped.value.code == 1
    said = capfd.readouterr().err
    assert said.startswith("driftsonde: Kafka: 127.0.0.1:1: ")
    assert said.count("\n") == 1


def test_a_store_that_does_not_answer_is_one_line() -> None:
    """In a process of its own: pytest takes what is logged."""
    ran = subprocess.run(
        [sys.executable, "-c", "from driftsonde.cli import main; main(['status'])"],
        env={**os.environ, "DRIFTSONDE_CLICKHOUSE_HOST": "127.0.0.1", "DRIFTSONDE_CLICKHOUSE_PORT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("driftsonde: ClickHouse: [Errno ")
    assert ran.stderr.count("\n") == 1


def test_a_wrong_duration_is_named(kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["tail", "--since", "yesterday"])
    assert stopped.value.code == 2
    assert "--since" in capsys.readouterr().err
