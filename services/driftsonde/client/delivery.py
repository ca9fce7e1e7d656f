"""Messages into librdkafka, and its reports: one idempotent producer, and another one when it has failed for good."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftsonde.client.complaints import Complaints
from driftsonde.client.partitions import Partitions, refresh_interval_s

log = logging.getLogger(__name__)

_POLL_S = 0.02
_RETRY_S = 0.5
_LAST_REPORTS_S = 10.0
_NO_SUCH_PARTITION = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)

Settle = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for one partition. `settle` is called once, by the thread that polls, with whether it failed."""

    topic: str
    partition: int
    payload: bytes
    key: bytes | None
    settle: Settle


class Delivery:
    """For one thread. Every message that `send` takes is settled, unless the process ends before.

    librdkafka gives an idempotent producer up ("fatal error") where it can no longer promise order without duplicates.
    Then this makes a new one. What the old one had not sent goes out again, in order; what was under way and came back
    without a success has failed: nobody knows whether it was stored, and sent again it could be counted twice.
    """

    def __init__(self, config: Mapping[str, Any], stopping: threading.Event, complaints: Complaints) -> None:
        """`config` is librdkafka's."""
        self._config = dict(config)
        self._stopping = stopping
        self._complaints = complaints
        self._queue: deque[Outgoing] = deque()
        self._returned: list[Outgoing] = []
        self._is_broken = False
        self._is_giving_up = False
        self._producer = Producer(self._config, logger=log)
        valid_s = refresh_interval_s(config)
        self._partitions = Partitions(self._ask_partitions, valid_s, time.monotonic, complaints)

    def __len__(self) -> int:
        """Messages that are not settled."""
        return len(self._producer) + len(self._queue) + len(self._returned)

    def partition_count(self, topic: str) -> int:
        """As last known; 0 while that is unknown. May block for seconds while the brokers are away."""
        return self._partitions.count(topic)

    def poll(self, timeout_s: float) -> None:
        """Settle what there are reports of; wait for one at most that long."""
        self._poll(timeout_s)
        self._drain()

    def send(self, message: Outgoing) -> None:
        """Take a message; wait while librdkafka's queue is full. What librdkafka refuses is settled as failed."""
        self._queue.append(message)
        self._drain()

    def _drain(self) -> None:
        while (self._queue or self._is_broken) and not self._stopping.is_set():
            if self._is_broken:
                self._replace()
            elif self._is_taken(self._queue[0]):
                self._queue.popleft()

    def _is_taken(self, message: Outgoing) -> bool:
        """Whether librdkafka has the message now, or has refused it."""
        try:
            self._producer.produce(
                message.topic,
                message.payload,
                key=message.key,
                partition=message.partition,
                on_delivery=partial(self._report, message.settle),
            )
        except BufferError:
            # Its queue is full: rows wait in the outbox meanwhile, whose bound is what counts.
            self._poll(_POLL_S)
            return False
        except KafkaException as error:
            if _is_fatal(error):
                self._is_broken = True
                return False
            self._note(message.topic, error.args[0])
            message.settle(True)
        return True

    def _report(self, settle: Settle, error: KafkaError | None, message: Message) -> None:
        if error is not None and error.code() == KafkaError._PURGE_QUEUE and not self._is_giving_up:
            # A fatal error purges, and only what was not under way.
            self._is_broken = True
            self._returned.append(_outgoing(message, settle))
            return
        if error is not None:
            self._note(message.topic() or "", error)
        settle(error is not None)

    def _note(self, topic: str, error: KafkaError) -> None:
        self._complaints.warning(f"a message to {topic} ({error.name()})", error)
        if error.code() in _NO_SUCH_PARTITION:
            self._partitions.doubt(topic)

    def _ask_partitions(self, topic: str, timeout_s: float) -> int:
        metadata = self._producer.list_topics(topic, timeout=timeout_s).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return len(metadata.partitions)

    def _replace(self) -> None:
        """The old producer's reports come first, so that nothing of it is still under way."""
        self._complaints.warning("the producer failed for good", "going on with a new one")
        if not self._all_reported():
            self._is_giving_up = True
            self._producer.purge()
            self._all_reported()
            self._is_giving_up = False
        self._queue.extendleft(reversed(self._returned))
        self._returned.clear()
        # Whatever broke it may do so again at once.
        self._stopping.wait(_RETRY_S)
        self._producer = Producer(self._config, logger=log)
        self._is_broken = False

    def _poll(self, timeout_s: float) -> None:
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:
            # Whatever reports first tells of a fatal error.
            if not _is_fatal(error):
                raise
            self._is_broken = True

    def _all_reported(self) -> bool:
        deadline_s = time.monotonic() + _LAST_REPORTS_S
        while len(self._producer) and time.monotonic() < deadline_s:
            self._poll(_POLL_S)
        return not len(self._producer)


def _is_fatal(error: KafkaException) -> bool:
    reason: KafkaError = error.args[0]
    return reason.fatal() or reason.code() == KafkaError._FATAL


def _outgoing(message: Message, settle: Settle) -> Outgoing:
    topic, partition, payload, key = message.topic(), message.partition(), message.value(), message.key()
    assert topic is not None and partition is not None
    assert isinstance(payload, bytes) and not isinstance(key, str)
    return Outgoing(topic, partition, payload, key, settle)
