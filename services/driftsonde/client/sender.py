"""The background thread: takes rows from the outbox, makes messages of them, and hands them to librdkafka."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.client.batching import Kinds, assemble, split
from driftsonde.client.outbox import Outbox
from driftsonde.client.rows import Block, Mark, Row, Stream
from driftsonde.core.events import (
    Heartbeat,
    LabelBatch,
    PredictionBatch,
    RawEvent,
    Variant,
    validate,
)

log = logging.getLogger(__name__)

TOPICS = {Stream.PREDICTIONS: PREDICTIONS.name, Stream.LABELS: LABELS.name}

_METADATA_TIMEOUT_S = 2.0
_RETRY_S = 0.5
_POLL_S = 0.02
# Kafka's own default of how long a client believes what it knows of a topic.
_PARTITIONS_VALID_S = 300.0
_STALE_PARTITIONS = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Whose predictions these are."""

    model: str
    version: str
    variant: Variant


class LoggedOnce:
    """Says a problem the first time it is met; the counters say how often."""

    def __init__(self, most: int = 100) -> None:
        self._said: set[str] = set()
        self._most = most

    def warning(self, what: str, problem: object) -> None:
        if what not in self._said and len(self._said) < self._most:
            self._said.add(what)
            log.warning("%s: %s (said once; see the monitor's stats)", what, problem)


class Sender:
    """One thread and one producer. `start` before `stop`; both once."""

    def __init__(
        self,
        source: Source,
        outbox: Outbox,
        codec: Codec,
        producer_config: dict[str, Any],
        batch_rows: int,
        most_rows: int,
        complaints: LoggedOnce,
    ) -> None:
        self._source = source
        self._outbox = outbox
        self._codec = codec
        self._config = producer_config
        self._batch_rows = batch_rows
        self._most_rows = most_rows
        self._complaints = complaints
        self._partitions: dict[Stream, int] = {}
        self._partitions_known_s = 0.0
        self._partitions_stale = True
        self._kinds: dict[Stream, Kinds] = {stream: {} for stream in Stream}
        self._stopping = threading.Event()
        # Made and thrown away, so that a wrong option is found here; the real one is made by the thread, after any fork.
        Producer(producer_config, logger=log)
        self._thread = threading.Thread(target=self._run, name="driftsonde-client", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End the thread after what it is doing; what still waits is lost. It may outlive the timeout, as a daemon."""
        self._stopping.set()
        self._outbox.close()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        producer = Producer(self._config, logger=log)
        while not self._stopping.is_set():
            try:
                self._turn(producer)
            except Exception as error:
                # The thread must live: what fails here is what nobody foresaw, and the next turn may do.
                self._complaints.warning(f"sending ({type(error).__name__})", error)
                self._stopping.wait(_RETRY_S)

    def _turn(self, producer: Producer) -> None:
        """Wait for something that is due, and send it."""
        if self._outbox.nothing_waits:
            self._poll_or_wait(producer)
            return
        if not self._know_partitions(producer):
            producer.poll(0)
            self._stopping.wait(_RETRY_S)
            return
        sent = [self._send_due(producer, stream) for stream in Stream]
        producer.poll(0)
        if not any(sent):
            self._poll_or_wait(producer)

    def _poll_or_wait(self, producer: Producer) -> None:
        # While librdkafka has messages, its reports are waited for; otherwise the thread sleeps until it is needed.
        if len(producer):
            producer.poll(_POLL_S)
        else:
            self._outbox.wait(self._take_rows())

    def _know_partitions(self, producer: Producer) -> bool:
        now = time.monotonic()
        if not self._partitions_stale and now - self._partitions_known_s < _PARTITIONS_VALID_S:
            return True
        found: dict[Stream, int] = {}
        for stream, topic in TOPICS.items():
            try:
                metadata = producer.list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic]
            except KafkaException as error:
                self._complaints.warning("no answer of the brokers", error)
                return bool(self._partitions)
            if metadata.error is not None or not metadata.partitions:
                self._complaints.warning(f"topic {topic}", metadata.error)
                return False
            found[stream] = len(metadata.partitions)
        self._partitions = found
        self._partitions_known_s = now
        self._partitions_stale = False
        return True

    def _take_rows(self) -> int:
        """Rows of one batch before it is split by partition, so that a message has about `batch_rows`."""
        return min(self._batch_rows * max(self._partitions.values(), default=1), self._most_rows)

    def _send_due(self, producer: Producer, stream: Stream) -> bool:
        taken = self._outbox.take(stream, self._take_rows())
        rows = [entry for entry in taken if not isinstance(entry, Mark)]
        for block in self._assembled(stream, rows):
            for partition, part in self._parts(stream, block):
                self._send_part(producer, stream, partition, part)
        if taken and isinstance(taken[-1], Mark):
            self._send_mark(producer, stream, taken[-1])
        return bool(taken)

    def _assembled(self, stream: Stream, rows: Sequence[Row | Block]) -> list[Block]:
        kinds = self._kinds[stream]
        try:
            return assemble(rows, kinds)
        except Exception:
            # A value that only its conversion finds at fault must not take its neighbours along.
            return [block for row in rows for block in self._assembled_alone(row, kinds)]

    def _assembled_alone(self, row: Row | Block, kinds: Kinds) -> list[Block]:
        try:
            return assemble([row], kinds)
        except Exception as error:
            self._complaints.warning("a row that can't be converted", error)
            self._outbox.settle(failed=len(row))
            return []

    def _parts(self, stream: Stream, block: Block) -> list[tuple[int, Block]]:
        try:
            return list(split(block, self._partitions[stream]))
        except UnicodeEncodeError as error:
            self._complaints.warning("ids", error)
            self._outbox.settle(failed=len(block))
            return []

    def _send_part(self, producer: Producer, stream: Stream, partition: int, block: Block) -> None:
        key = block.ids[0].encode() if len(block) == 1 else None
        settle = partial(self._settle_rows, len(block))
        try:
            event = self._event(stream, block)
            validate(event)
            payload = self._encode(event)
            self._produce(producer, TOPICS[stream], partition, payload, key, settle)
        except Exception as error:
            self._complaints.warning(f"a message to {TOPICS[stream]} ({type(error).__name__})", error)
            settle(failed=True)

    def _event(self, stream: Stream, block: Block) -> RawEvent:
        if stream is Stream.LABELS:
            return LabelBatch(self._source.model, block.ids, block.timestamps_ms, block.columns[0])
        source = self._source
        return PredictionBatch(
            source.model, source.version, source.variant, block.ids, block.timestamps_ms, block.columns
        )

    def _encode(self, event: RawEvent) -> bytes:
        while True:
            try:
                return self._codec.encode(event)
            except RegistryUnavailable as error:
                self._complaints.warning("schema registry", error)
                if self._stopping.wait(_RETRY_S):
                    raise

    def _send_mark(self, producer: Producer, stream: Stream, mark: Mark) -> None:
        """The mark is settled when the last of its heartbeats is."""
        if mark.heartbeat_ms is None:
            self._outbox.settle_mark()
            return
        payload = self._encode(Heartbeat(mark.heartbeat_ms))
        left = list(range(self._partitions[stream]))

        def settle(failed: bool) -> None:
            left.pop()
            if not left:
                self._outbox.settle_mark()

        for partition in range(self._partitions[stream]):
            try:
                self._produce(producer, TOPICS[stream], partition, payload, None, settle)
            except Exception as error:
                self._complaints.warning(f"a heartbeat to {TOPICS[stream]}", error)
                settle(failed=True)

    def _produce(
        self,
        producer: Producer,
        topic: str,
        partition: int,
        payload: bytes,
        key: bytes | None,
        settle: Callable[[bool], None],
    ) -> None:
        while True:
            try:
                producer.produce(
                    topic, payload, key=key, partition=partition, on_delivery=partial(self._report, settle)
                )
            except BufferError:
                # librdkafka's queue is full: rows wait in the outbox meanwhile, whose bound is what counts.
                if self._stopping.is_set():
                    raise
                producer.poll(_POLL_S)
            else:
                return

    def _report(self, settle: Callable[[bool], None], error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._complaints.warning(f"delivery ({error.name()})", error)
            if error.code() in _STALE_PARTITIONS:
                self._partitions_stale = True
        settle(error is not None)

    def _settle_rows(self, rows: int, failed: bool) -> None:
        if failed:
            self._outbox.settle(failed=rows)
        else:
            self._outbox.settle(delivered=rows)
