"""Where the controller reads: the topic `signals`, in its consumer group, of which one member leads."""

import logging
import threading
from enum import Enum, auto

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RegistryUnavailable, Undecodable
from driftsonde.adapters.dead_letters import DeadLetters, Failure, SourceMessage
from driftsonde.adapters.kafka import BrokerUnavailable, consumer_config, is_fatal, producer_config
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.controller.journal import Stopping, patiently
from driftsonde.core.events import InvalidEvent
from driftsonde.core.signals import Signal

SERVICE = "controller"
GROUP = "driftsonde-controller"
BATCH = 100
POLL_S = 0.05

_LEADERS_PARTITION = 0
_TIMEOUT_S = 10.0
_LETTERS_S = 1.0

_log = logging.getLogger(__name__)


class Part(Enum):
    """What this instance is to the group."""

    LEADS = auto()
    STANDS_BY = auto()
    UNKNOWN = auto()


class SignalSource:
    """The topic `signals`, as the consumer group of the controller.

    There is one writer of decisions: the member whom the group gives partition 0 leads and reads all partitions; the
    others read nothing until it is gone.
    """

    def __init__(
        self, settings: KafkaSettings, codec: Codec, metrics: Metrics, stop: threading.Event
    ) -> None:
        self._codec = codec
        self._stop = stop
        self._metrics = metrics
        # Eager: with a cooperative assignment the client refuses other partitions than the group's.
        config = consumer_config(settings, GROUP) | {"partition.assignment.strategy": "range"}
        self._consumer = Consumer(config)
        self._part = Part.UNKNOWN
        self._changed = False
        self._consumer.subscribe(
            [topics.SIGNALS.name],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )
        self._dead_letters = DeadLetters(Producer(producer_config(settings)), SERVICE)

    def poll(self) -> tuple[list[Signal], list[TopicPartition]]:
        """Signals that came, and the offsets to commit once they are dealt with. Raises `KafkaException` where the
        client can't go on: most likely another process has the same group instance id."""
        signals: list[Signal] = []
        offsets: dict[int, int] = {}
        for message in self._consumer.consume(BATCH, timeout=POLL_S):
            error = message.error()
            if error is not None:
                if is_fatal(error):
                    raise KafkaException(error)
                _log.warning("consumer", extra={"problem": error.str()})
                continue
            signal = self._decode(message)
            if signal is not None:
                signals.append(signal)
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None
            offsets[partition] = offset + 1
            self._metrics.events_consumed.labels(topic=topics.SIGNALS.name).inc()
        self._show_lag(offsets)
        return signals, [TopicPartition(topics.SIGNALS.name, key, offset) for key, offset in offsets.items()]

    def take_change(self) -> Part | None:
        """What this instance is now, if the group has said so since this was last asked. What was polled with it is of
        the time before, and comes again."""
        changed, self._changed = self._changed, False
        return self._part if changed else None

    def read(self) -> None:
        """Read all partitions from where the group has got to: for whoever leads. Raises `Stopping`."""
        partitions = patiently(self._partitions, self._stop)
        self._consumer.assign([TopicPartition(topics.SIGNALS.name, number) for number in partitions])

    def commit(self, offsets: list[TopicPartition]) -> None:
        """Raises `Stopping`, and `KafkaException` where the client can't go on."""
        if not offsets:
            return
        self._flush_letters()
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if is_fatal(error.args[0]):
                raise
            # Another instance may lead now; it reads the signals again, which changes nothing.
            _log.warning("offsets not committed", extra={"problem": str(error)})

    def _flush_letters(self) -> None:
        while True:
            try:
                self._dead_letters.flush(_LETTERS_S)
                return
            except BrokerUnavailable as error:
                _log.warning("waiting for the broker", extra={"problem": str(error)})
                if self._stop.is_set():
                    raise Stopping from error

    def close(self) -> None:
        # Closing can hang where the broker went away at the wrong moment.
        closing = threading.Thread(target=self._consumer.close, name="close", daemon=True)
        closing.start()
        closing.join(_TIMEOUT_S)

    def _partitions(self) -> list[int]:
        metadata = self._consumer.list_topics(topics.SIGNALS.name, timeout=_TIMEOUT_S)
        return sorted(metadata.topics[topics.SIGNALS.name].partitions)

    def _show_lag(self, offsets: dict[int, int]) -> None:
        for partition, next_offset in offsets.items():
            where = TopicPartition(topics.SIGNALS.name, partition)
            _, end = self._consumer.get_watermark_offsets(where, cached=True)
            lag = self._metrics.consumer_lag.labels(topic=topics.SIGNALS.name, partition=partition)
            lag.set(max(0, end - next_offset))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        leads = any(entry.partition == _LEADERS_PARTITION for entry in partitions)
        self._part, self._changed = (Part.LEADS if leads else Part.STANDS_BY), True
        consumer.assign([])  # who leads reads once it knows what was decided

    def _on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._part, self._changed = Part.UNKNOWN, True

    def _decode(self, message: Message) -> Signal | None:
        source = SourceMessage(
            topic=topics.SIGNALS.name,
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            key=_bytes(message.key()),
            value=_bytes(message.value()),
        )
        try:
            signal = self._decode_patiently(source.value or b"")
        except Undecodable as error:
            self._dead_letter(source, error.reason, error.message)
            return None
        except InvalidEvent as error:
            self._dead_letter(source, "invalid", str(error))
            return None
        if not isinstance(signal, Signal):
            self._dead_letter(source, "wrong-topic", f"{type(signal).__name__} is not a signal")
            return None
        return signal

    def _decode_patiently(self, payload: bytes) -> object:
        while True:
            try:
                return self._codec.decode(payload)
            except RegistryUnavailable as error:
                _log.warning("waiting for the schema registry", extra={"problem": str(error)})
                if self._stop.wait(1.0):
                    raise Stopping from error

    def _dead_letter(self, source: SourceMessage, reason: str, message: str) -> None:
        self._metrics.dead_letters.labels(reason=reason).inc()
        self._dead_letters.send(source, Failure("decode", reason, message))


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
