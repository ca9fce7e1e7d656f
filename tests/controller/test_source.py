"""Reading signals in a consumer group, on the embedded broker."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import CollectorRegistry

from control_examples import NOW_MS, after, setting, signal
from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import consumer_config, ensure_topics, producer_config
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.outbound import Sender
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.controller.app import Controller, Turn, run
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.delivery import Deliveries
from driftsonde.controller.journal import Journal, read_whole, rebuild
from driftsonde.controller.source import GROUP, SignalSource
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.state import State
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.signals import SignalKind

pytestmark = pytest.mark.io

CODEC = Codec(CONTROL_TYPES)
QUIET = setting(routes=(), retrain_configured=False)


@pytest.fixture
def settings() -> Iterator[KafkaSettings]:
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    settings = KafkaSettings(bootstrap_servers=address)
    ensure_topics(settings)
    yield settings
    host.flush(1)


def controller(
    record: Callable[[Sequence[Decision | Traffic]], None], registry: CollectorRegistry
) -> Controller:
    metrics = create_metrics(registry, "controller", "0")
    deliveries = Deliveries(lambda: Sender(frozenset()), (), (), lambda: 0.5, metrics)
    return Controller(
        QUIET, ControllerConfig(), record, deliveries, metrics, lambda: NOW_MS, 60.0, lambda *_: None
    )


def test_what_another_instance_decided_is_known_before_the_first_signal(settings: KafkaSettings) -> None:
    """In a rolling update this process has read the topics while the old one was still deciding."""
    stop, registry = threading.Event(), CollectorRegistry()
    journal = Journal(settings, CODEC, stop, Conditions())
    decided: list[Decision | Traffic] = []

    def record(values: Sequence[Decision | Traffic]) -> None:
        decided.extend(values)
        if values:
            stop.set()

    stale = controller(record, registry)
    assert stale.state == rebuild(settings, CODEC) == State()
    _, (by_another,) = after(State(), [signal(SignalKind.RETRAIN)], QUIET)
    journal.record([by_another])
    producer = Producer(producer_config(settings))
    for event in (signal(SignalKind.RETRAIN), signal(SignalKind.ALERT, hour=1)):
        producer.produce(topics.SIGNALS.name, key=b"fraud", value=CODEC.encode(event))
    producer.produce(topics.SIGNALS.name, key=b"fraud", value=b"junk")
    producer.flush(10)

    stale.deliveries.start(stale.outcome)
    source = SignalSource(settings, CODEC, stale.metrics, stop)
    too_long = threading.Timer(20, stop.set)
    too_long.start()
    run(stale, source, Turn(lambda: rebuild(settings, CODEC), Conditions(), lambda: None), stop)
    too_long.cancel()
    source.close()
    stale.deliveries.stop()
    journal.close()

    kinds = [entry.kind for entry in decided if isinstance(entry, Decision)]
    assert kinds == ["alert"]
    (incident,) = stale.state.model("fraud").incidents.values()
    assert incident.signals == 2
    assert len(list(read_whole(settings, topics.DEAD_LETTERS))) == 1
    assert registry.get_sample_value("driftsonde_events_consumed_total", {"topic": "signals"}) == 3
    assert registry.get_sample_value("driftsonde_dead_letters_total", {"reason": "unknown-framing"}) == 1
    committed = next(entry.offset for entry in _committed(settings) if entry.offset > 0)
    assert committed == 3


def _committed(settings: KafkaSettings) -> list[TopicPartition]:
    consumer = Consumer(consumer_config(settings, GROUP))
    partitions = [TopicPartition(topics.SIGNALS.name, partition) for partition in range(4)]
    found = consumer.committed(partitions, timeout=10)
    consumer.close()
    return found
