"""What judge and controller say, as anybody can read it: the topics of signals, decisions and dead letters."""

import threading
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import DECISION_TYPE, SIGNAL_TYPE
from driftsonde.core.control.decisions import Decision
from driftsonde.core.signals import Signal

_METADATA_S = 10.0
_POLL_S = 0.1

T = TypeVar("T", Signal, Decision)


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """An event, and when it was published (wall clock, milliseconds)."""

    at_ms: int
    event: T


@dataclass(slots=True)
class ControlLog:
    """Reads from the beginning, from entering the block to leaving it; its content may be read from any thread."""

    settings: KafkaSettings
    signals: tuple[Seen[Signal], ...] = ()
    decisions: tuple[Seen[Decision], ...] = ()
    dead_letters: int = 0
    failure: Exception | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> "ControlLog":
        self._thread = threading.Thread(target=self._follow, name="control-log", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        codec = Codec((SIGNAL_TYPE, DECISION_TYPE))
        consumer = Consumer(
            self.settings.librdkafka()
            | {"group.id": "demo", "enable.auto.commit": False}  # the group is never joined
        )
        try:
            consumer.assign(_partitions(consumer))
            while not self._stop.is_set():
                for message in consumer.consume(100, timeout=_POLL_S):
                    self._take(codec, message)
        except Exception as error:
            self.failure = error
        finally:
            consumer.close()

    def _take(self, codec: Codec, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(error)
        if message.topic() == topics.DEAD_LETTERS.name:
            self.dead_letters += 1
            return
        value = message.value()
        event = codec.decode(value if isinstance(value, bytes) else b"")
        at_ms = message.timestamp()[1]
        match event:
            case Signal():
                self.signals = (*self.signals, Seen(at_ms, event))
            case Decision():
                self.decisions = (*self.decisions, Seen(at_ms, event))


def _partitions(consumer: Consumer) -> list[TopicPartition]:
    known = consumer.list_topics(timeout=_METADATA_S).topics
    return [
        TopicPartition(topic.name, partition, OFFSET_BEGINNING)
        for topic in (topics.SIGNALS, topics.DECISIONS, topics.DEAD_LETTERS)
        for partition in known[topic.name].partitions
    ]
