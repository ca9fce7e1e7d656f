"""The journal on the embedded broker, and without any."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from control_examples import after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import MissingTopic, ensure_topics
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.controller.journal import (
    BROKER,
    Journal,
    Stopping,
    journal_config,
    patiently,
    read_whole,
    rebuild,
)
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.signals import SignalKind

pytestmark = pytest.mark.io

CODEC = Codec(CONTROL_TYPES)


@pytest.fixture
def settings() -> Iterator[KafkaSettings]:
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    settings = KafkaSettings(bootstrap_servers=address)
    ensure_topics(settings)
    yield settings
    host.flush(1)


def test_what_is_recorded_is_rebuilt(settings: KafkaSettings) -> None:
    start = with_traffic(State(), with_canary())
    events = [signal(SignalKind.ALERT), canary_rollback(), signal(SignalKind.RETRAIN, model="credit")]
    state, decisions = after(start, [*events], setting())
    assert rebuild(settings, CODEC) == State()
    journal = Journal(settings, CODEC, threading.Event(), Conditions())
    journal.record([with_canary(), *decisions])
    journal.record(decisions)  # as a repetition after an unclear outcome would be
    rebuilt = rebuild(settings, CODEC)
    assert repr(rebuilt) == repr(fold(State(), decisions))
    assert repr(rebuilt.models.keys()) == repr(state.models.keys())
    journal.close()


def test_a_split_alone_is_known_too_and_junk_is_left_out(settings: KafkaSettings) -> None:
    journal = Journal(settings, CODEC, threading.Event(), Conditions())
    journal.record([with_canary("credit")])
    junk = Producer(settings.librdkafka())
    for topic in (topics.DECISIONS, topics.TRAFFIC):
        junk.produce(topic.name, key=b"x", value=b"junk")
    junk.flush(10)
    assert rebuild(settings, CODEC) == with_traffic(State(), with_canary("credit"))
    journal.close()


def test_nothing_is_stored_without_what_comes_before_it(settings: KafkaSettings) -> None:
    config = journal_config(settings)
    # Neither time nor an error of one message lets those after it through.
    assert (config["message.timeout.ms"], config["enable.gapless.guarantee"]) == (0, True)
    _, decisions = after(State(), [signal(SignalKind.ALERT, f"e{number}") for number in range(3)], setting())
    huge = replace(decisions[1], detail=replace(decisions[1].detail, reason="x" * 3_000_000))
    stop = threading.Event()
    journal = Journal(settings, CODEC, stop, Conditions())
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopping):
        journal.record([decisions[0], huge, decisions[2]])
    stored = list(read_whole(settings, topics.DECISIONS))
    assert {CODEC.decode(payload) for payload in stored} == {decisions[0]}
    journal.record(decisions)  # the producer works as before
    assert repr(rebuild(settings, CODEC)) == repr(fold(State(), decisions))
    journal.close()


def test_without_a_broker_it_waits_says_so_and_stops_when_told(free_address: str) -> None:
    ready, stop = Conditions(), threading.Event()
    journal = Journal(KafkaSettings(bootstrap_servers=free_address), CODEC, stop, ready, patience_s=0.2)
    threading.Timer(0.8, stop.set).start()
    with pytest.raises(Stopping):
        journal.record([with_canary()])
    assert BROKER in ready.problems()
    journal.close()


def test_reading_goes_on_until_it_succeeds_or_stops() -> None:
    stop, tries = threading.Event(), list[int]()

    def read() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise MissingTopic("decisions")
        return "read"

    assert patiently(read, stop) == "read"
    stop.set()
    with pytest.raises(Stopping):
        patiently(read, stop)


def test_a_missing_topic_is_named(settings: KafkaSettings) -> None:
    with pytest.raises(MissingTopic, match="nowhere"):
        list(read_whole(settings, topics.Topic("nowhere", "", "")))


@pytest.fixture
def free_address() -> str:
    return "127.0.0.1:1"  # nobody listens below port 1024 here
