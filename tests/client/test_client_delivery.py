"""The delivery over a small producer that fails when told to: every message is settled once, in order."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from driftsonde.client import delivery
from driftsonde.client.complaints import Complaints
from driftsonde.client.delivery import Delivery, Outgoing

FATAL = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "a test", fatal=True)

Report = Callable[[KafkaError | None, Message], None]


@dataclass
class Broken:
    """A producer whose messages are reported when told to; `fatal` is raised by whatever is called next."""

    pending: list[tuple[Message, Report]] = field(default_factory=list)
    fatal: KafkaException | None = None
    refusal: KafkaError | None = None
    room: int = 1_000
    asked: int = 0

    def __len__(self) -> int:
        return len(self.pending)

    def produce(
        self, topic: str, value: bytes, key: bytes | None, partition: int, on_delivery: Report
    ) -> None:
        if self.fatal is not None:
            raise self.fatal
        if self.refusal is not None:
            raise KafkaException(self.refusal)
        if len(self.pending) >= self.room:
            raise BufferError
        self.pending.append((Message(topic=topic, partition=partition, key=key, value=value), on_delivery))

    def poll(self, timeout_s: float) -> None:
        if not self.room:
            self.room = 1_000
        if self.fatal is not None:
            raise self.fatal

    def purge(self) -> None:
        self.report(KafkaError(KafkaError._PURGE_QUEUE))

    def report(self, error: KafkaError | None, count: int | None = None) -> None:
        reported, self.pending = self.pending[:count], [] if count is None else self.pending[count:]
        for message, on_delivery in reported:
            on_delivery(error, message)

    def list_topics(self, topic: str, timeout: float) -> Any:
        self.asked += 1
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    @property
    def values(self) -> list[object]:
        return [message.value() for message, _ in self.pending]


@dataclass
class Stage:
    """The producers in the order in which they were made, and what was settled: its name, and whether it failed."""

    made: list[Broken] = field(default_factory=list)
    settled: list[tuple[str, bool]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def make(self, *_: object, **__: object) -> Broken:
        self.made.append(Broken())
        return self.made[-1]

    def message(self, name: str) -> Outgoing:
        return Outgoing(
            "predictions", 3, name.encode(), b"k", lambda failed: self.settled.append((name, failed))
        )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(delivery, "Producer", made.make)
    monkeypatch.setattr(delivery, "_LAST_REPORTS_S", 0.01)
    monkeypatch.setattr(delivery, "_RETRY_S", 0.0)
    return made


def started(stage: Stage, *names: str) -> Delivery:
    it = Delivery({}, stage.stopping, Complaints())
    for name in names:
        it.send(stage.message(name))
    return it


def test_what_was_not_sent_goes_to_the_next_producer_before_anything_newer(stage: Stage) -> None:
    it = started(stage, "a", "b", "c")
    first = stage.made[0]
    first.report(None, 1)
    first.report(KafkaError(KafkaError._PURGE_QUEUE))
    it.send(stage.message("d"))
    assert stage.settled == [("a", False)]
    assert stage.made[1].values == [b"b", b"c", b"d"]
    stage.made[1].report(None)
    assert stage.settled == [("a", False), ("b", False), ("c", False), ("d", False)]
    assert len(it) == 0


@pytest.mark.parametrize("raised", [FATAL, KafkaError(KafkaError._FATAL)])
def test_a_fatal_error_is_met_by_polling_or_by_producing(stage: Stage, raised: KafkaError) -> None:
    it = started(stage)
    stage.made[0].fatal = KafkaException(raised)
    it.poll(0)
    assert len(stage.made) == 2
    stage.made[1].fatal = KafkaException(raised)
    it.send(stage.message("a"))
    assert len(stage.made) == 3
    assert stage.made[2].values == [b"a"]


def test_what_may_have_been_stored_fails_and_is_not_sent_again(stage: Stage) -> None:
    it = started(stage, "under way")
    stage.made[0].fatal = KafkaException(FATAL)
    it.poll(0)
    assert stage.settled == [("under way", True)]
    assert stage.made[1].values == []


def test_a_full_queue_is_waited_for(stage: Stage) -> None:
    it = started(stage)
    stage.made[0].room = 0
    it.send(stage.message("a"))
    assert stage.made[0].values == [b"a"]


def test_what_is_refused_fails_and_an_unknown_partition_is_asked_about(stage: Stage) -> None:
    it = started(stage)
    assert it.partition_count("predictions") == 0
    assert it.partition_count("predictions") == 0
    assert stage.made[0].asked == 1
    stage.made[0].refusal = KafkaError(KafkaError._UNKNOWN_PARTITION)
    it.send(stage.message("a"))
    assert stage.settled == [("a", True)]
    it.partition_count("predictions")
    assert stage.made[0].asked == 2


def test_after_the_stop_nothing_is_taken_or_settled(stage: Stage) -> None:
    it = started(stage)
    stage.stopping.set()
    it.send(stage.message("a"))
    assert (stage.settled, stage.made[0].values, len(it)) == ([], [], 1)
