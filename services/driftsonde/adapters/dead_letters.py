"""The dead letters: what a service can't use goes to a topic, its bytes unchanged, with the reason in its headers.

The headers are those of Kafka Connect's dead-letter queue, so tools made for that read ours.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftsonde.adapters import topics
from driftsonde.adapters.kafka import BrokerUnavailable

PREFIX = "__connect.errors."
TRUNCATED = "driftsonde.truncated-from-bytes"

_MAX_MESSAGE_CHARS = 1_024
_TRUNCATED_BYTES = 65_536
_FLUSH_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """A message as it was read, whichever client read it. `timestamp_ms` is the broker's or the producer's clock."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message could not be used: `reason` is a short word of a bounded vocabulary (a metric's label)."""

    stage: str
    reason: str
    message: str


def error_headers(source: SourceMessage, service: str, failure: Failure) -> list[tuple[str, bytes | None]]:
    """The message's own headers, then where it came from and why it is here."""
    added = {
        "topic": source.topic,
        "partition": str(source.partition),
        "offset": str(source.offset),
        "connector.name": service,
        "stage": failure.stage,
        "exception.class.name": failure.reason,
        "exception.message": failure.message[:_MAX_MESSAGE_CHARS],
    }
    return [*source.headers, *((PREFIX + name, text.encode()) for name, text in added.items())]


@dataclass(slots=True)
class DeadLetters:
    """Sends messages to the dead letters. A message may be acknowledged only after `flush` has returned."""

    producer: Producer
    service: str
    _failed: list[KafkaError] = field(default_factory=list)

    def send(self, source: SourceMessage, failure: Failure) -> None:
        """Queue one message. Blocks while the producer's queue is full. One too large for the topic is cut short."""
        headers = error_headers(source, self.service, failure)
        _log.warning(
            "dead letter",
            extra={"topic": source.topic, "partition": source.partition, "offset": source.offset}
            | {"reason": failure.reason, "problem": failure.message[:_MAX_MESSAGE_CHARS]},
        )
        try:
            self._produce(source, source.value, headers)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            self._produce_cut(source, headers)

    def flush(self, timeout_s: float = _FLUSH_S) -> None:
        """Return once everything sent is stored by the broker. Raises `BrokerUnavailable` if that takes longer: ask again;
        and `KafkaException` if something has been given up."""
        remaining = self.producer.flush(timeout_s)
        if self._failed:
            error = self._failed[0]
            self._failed.clear()
            raise KafkaException(error)
        if remaining:
            raise BrokerUnavailable(f"{remaining} dead letters not stored in {timeout_s:g} s")

    def _produce_cut(self, source: SourceMessage, headers: list[tuple[str, bytes | None]]) -> None:
        value = source.value or b""
        self._produce(source, value[:_TRUNCATED_BYTES], [*headers, (TRUNCATED, str(len(value)).encode())])

    def _produce(
        self, source: SourceMessage, value: bytes | None, headers: list[tuple[str, bytes | None]]
    ) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is None:
                return
            whole = value == source.value and len(value or b"") > _TRUNCATED_BYTES
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and whole:
                self._produce_cut(source, headers)
            else:
                self._failed.append(error)

        arguments: dict[str, Any] = {
            "key": source.key,
            "value": value,
            "headers": headers,
            "on_delivery": delivered,
        }
        while True:
            try:
                self.producer.produce(topics.DEAD_LETTERS.name, **arguments)
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(0.1)
