"""The controller's memory: the topics `decisions` and `traffic`, written so that nothing is done before it is recorded."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RegistryUnavailable, Undecodable
from driftsonde.adapters.kafka import CompactedReader, MissingTopic, is_fatal, producer_config
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import Topic
from driftsonde.adapters.wire_models import ModelRecord
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.events import InvalidEvent

BROKER = "broker"
READ_TIMEOUT_S = 30.0
PATIENCE_S = 5.0
_RETRY_S = 1.0
_CONSUME_S = 0.1

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Stopping(Exception):
    """The process was told to stop while it waited for a server."""


def patiently(read: Callable[[], _T], stop: threading.Event) -> _T:
    """What `read` gives, as soon as the broker lets it. Raises `Stopping`."""
    while not stop.is_set():
        try:
            return read()
        except (KafkaException, MissingTopic, TimeoutError, RegistryUnavailable) as error:
            _log.warning("can't read yet; trying again", extra={"problem": str(error)})
            stop.wait(_RETRY_S)
    raise Stopping


def rebuild(settings: KafkaSettings, codec: Codec) -> State:
    """The state that the topics give. Raises `KafkaException`, `MissingTopic`, `TimeoutError`, `RegistryUnavailable`."""
    state = State()
    for payload in read_whole(settings, topics.DECISIONS):
        decision = _decode(codec, payload, topics.DECISIONS)
        if isinstance(decision, Decision):
            state = fold(state, (decision,))
    reader = CompactedReader(settings, topics.TRAFFIC, partial(_traffic_problem, codec))
    try:
        reader.refresh(READ_TIMEOUT_S)
    finally:
        reader.close()
    for payload in reader.state.values():
        traffic = _decode(codec, payload, topics.TRAFFIC)
        if isinstance(traffic, Traffic):
            state = with_traffic(state, traffic)
    return state


def _traffic_problem(codec: Codec, _key: bytes, payload: bytes) -> str:
    return "" if isinstance(_decode(codec, payload, topics.TRAFFIC), Traffic) else "not a split"


def _decode(codec: Codec, payload: bytes, topic: Topic) -> object:
    try:
        return codec.decode(payload)
    except (Undecodable, InvalidEvent) as error:
        # Only the controller writes here: a later release, or somebody who shouldn't. The rest is as good as before.
        _log.error("left out of the rebuilt state", extra={"topic": topic.name, "problem": str(error)})
        return None


def read_whole(settings: KafkaSettings, topic: Topic, timeout_s: float = READ_TIMEOUT_S) -> Iterator[bytes]:
    """Every message of a topic up to its present end; in order within a partition."""
    consumer = Consumer(
        settings.librdkafka()
        | {
            "group.id": f"driftsonde-reader-{topic.name}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        metadata = consumer.list_topics(topic.name, timeout=timeout_s).topics[topic.name]
        if metadata.error is not None:
            if metadata.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise MissingTopic(topic.name)
            raise KafkaException(metadata.error)
        unfinished = set(metadata.partitions)
        consumer.assign([TopicPartition(topic.name, partition, OFFSET_BEGINNING) for partition in unfinished])
        last_s = time.monotonic()
        while unfinished:
            messages = consumer.consume(1_000, timeout=_CONSUME_S)
            if messages:
                last_s = time.monotonic()
            elif time.monotonic() - last_s > timeout_s:
                raise TimeoutError(f"topic {topic.name!r}: nothing came for {timeout_s:g} s")
            for message in messages:
                error = message.error()
                if error is None:
                    value = message.value()
                    if isinstance(value, bytes):
                        yield value
                elif error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def journal_config(settings: KafkaSettings) -> dict[str, Any]:
    """A producer that never stores a message without those before it, even if the process dies in between: the links of a
    chain. Messages wait for ever instead of one of them giving up, and an error that would leave a gap ends the producer."""
    return producer_config(settings) | {"message.timeout.ms": 0, "enable.gapless.guarantee": True}


@dataclass(slots=True)
class Journal:
    """Records decisions and splits. Not for use from two threads at once."""

    settings: KafkaSettings
    codec: Codec
    stop: threading.Event
    ready: Conditions
    patience_s: float = PATIENCE_S
    _producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        self._producer = Producer(journal_config(self.settings))

    def record(self, values: Sequence[Decision | Traffic | ModelRecord]) -> None:
        """Return once the broker has stored them all. While it doesn't, try again: a repetition does no harm.

        Raises `Stopping` if the process is told to stop meanwhile.
        """
        if not values:
            return
        while True:
            problem = self._try(values)
            if not problem:
                self.ready.clear(BROKER)
                return
            self.ready.fail(BROKER, problem)
            _log.error("not stored; trying again", extra={"problem": problem})
            if self.stop.wait(_RETRY_S):
                raise Stopping

    def close(self) -> None:
        self._producer.purge()

    def _try(self, values: Sequence[Decision | Traffic | ModelRecord]) -> str:
        """The problem, or "". No message is on its way any more when it returns, so none can arrive out of turn."""
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            for value in values:
                topic, key = _place_of(value)
                payload = self.codec.encode(value)
                self._producer.produce(topic.name, key=key.encode(), value=payload, on_delivery=delivered)
        except (KafkaException, BufferError, RegistryUnavailable) as error:
            self._flush()
            if isinstance(error, KafkaException):
                self._replace_ended(error.args[0])
            return str(error)
        self._flush()
        self._replace_ended(*errors)
        return errors[0].str() if errors else ""

    def _replace_ended(self, *errors: KafkaError) -> None:
        """A fatal error ends an idempotent producer for good."""
        if any(is_fatal(error) for error in errors):
            self._producer.purge()
            self._producer = Producer(journal_config(self.settings))

    def _flush(self) -> None:
        """Wait until the broker has answered for every message, or the producer has given it up."""
        started_s = time.monotonic()
        while self._producer.flush(_CONSUME_S):
            if time.monotonic() - started_s < self.patience_s:
                continue
            self.ready.fail(BROKER, f"no answer for {self.patience_s:g} s")
            if self.stop.is_set():
                raise Stopping


def _place_of(value: Decision | Traffic | ModelRecord) -> tuple[Topic, str]:
    """Topic and key of a message."""
    match value:
        case ModelRecord(key=key):
            return topics.MODELS, key
        case Traffic(model=model):
            return topics.TRAFFIC, model
        case Decision(model=model):
            return topics.DECISIONS, model
