"""Where the controller reads: the topic `signals`, in its consumer group."""

import logging
import threading

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RegistryUnavailable, Undecodable
from driftsonde.adapters.dead_letters import DeadLetters, Failure, SourceMessage
from driftsonde.adapters.kafka import consumer_config, producer_config
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.controller.journal import Stopping
from driftsonde.core.events import InvalidEvent
from driftsonde.core.signals import Signal

SERVICE = "controller"
GROUP = "driftsonde-controller"
BATCH = 100
POLL_S = 0.05

_log = logging.getLogger(__name__)


class SignalSource:
    """The topic `signals`, as the consumer group of the controller."""

    def __init__(
        self, settings: KafkaSettings, codec: Codec, metrics: Metrics, stop: threading.Event
    ) -> None:
        self._codec = codec
        self._stop = stop
        self._metrics = metrics
        self._consumer = Consumer(consumer_config(settings, GROUP))
        self._assigned = False
        self._consumer.subscribe([topics.SIGNALS.name], on_assign=self._on_assign)
        self._dead_letters = DeadLetters(Producer(producer_config(settings)), SERVICE)

    def poll(self) -> tuple[list[Signal], list[TopicPartition]]:
        """Signals that came, and the offsets to commit once they are dealt with."""
        signals: list[Signal] = []
        offsets: dict[int, int] = {}
        for message in self._consumer.consume(BATCH, timeout=POLL_S):
            error = message.error()
            if error is not None:
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

    def take_assigned(self) -> bool:
        """Whether partitions were assigned since this was last asked."""
        assigned, self._assigned = self._assigned, False
        return assigned

    def commit(self, offsets: list[TopicPartition]) -> None:
        if not offsets:
            return
        self._dead_letters.flush()
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Another instance may have the partition now; it reads the signals again, which changes nothing.
            _log.warning("offsets not committed", extra={"problem": str(error)})

    def close(self) -> None:
        self._consumer.close()

    def _show_lag(self, offsets: dict[int, int]) -> None:
        for partition, next_offset in offsets.items():
            where = TopicPartition(topics.SIGNALS.name, partition)
            _, end = self._consumer.get_watermark_offsets(where, cached=True)
            lag = self._metrics.consumer_lag.labels(topic=topics.SIGNALS.name, partition=partition)
            lag.set(max(0, end - next_offset))

    def _on_assign(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._assigned = True

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
