"""The background thread: takes rows from the outbox, makes messages of them, and gives them to the delivery."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.client.batching import Kinds, assemble, split
from driftsonde.client.complaints import Complaints
from driftsonde.client.delivery import Delivery, Outgoing, Settle
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

_RETRY_S = 0.5
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Source:
    """Whose predictions these are."""

    model: str
    version: str
    variant: Variant


class Sender:
    """One thread and its delivery. `start` before `stop`; both once."""

    def __init__(
        self,
        source: Source,
        outbox: Outbox,
        codec: Codec,
        producer_config: dict[str, Any],
        batch_rows: int,
        most_rows: int,
        complaints: Complaints,
    ) -> None:
        self._source = source
        self._outbox = outbox
        self._codec = codec
        self._config = producer_config
        self._batch_rows = batch_rows
        self._most_rows = most_rows
        self._complaints = complaints
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
        delivery = Delivery(self._config, self._stopping, self._complaints)
        while not self._stopping.is_set():
            try:
                self._turn(delivery)
            except Exception as error:
                # The thread must live: what fails here is what nobody foresaw, and the next turn may do.
                self._complaints.warning(f"sending ({type(error).__name__})", error)
                self._stopping.wait(_RETRY_S)

    def _turn(self, delivery: Delivery) -> None:
        """Send what is due; where nothing is, wait for reports or rows."""
        waiting = [stream for stream in Stream if self._outbox.waits(stream)]
        # Asked where there is something to send: a producer of predictions alone needs no topic of labels.
        take_rows = {stream: self._take_rows(delivery.partition_count(TOPICS[stream])) for stream in waiting}
        sent = [self._send_due(delivery, stream, rows) for stream, rows in take_rows.items() if rows]
        delivery.poll(0)
        if any(sent):
            return
        if len(delivery):
            # Its reports are waited for; otherwise the thread sleeps until it is needed.
            delivery.poll(_POLL_S)
        elif not all(take_rows.values()):
            self._stopping.wait(_RETRY_S)
        else:
            self._outbox.wait(take_rows)

    def _take_rows(self, partitions: int) -> int:
        """Rows of one batch before it is split by partition, so that a message has about `batch_rows`."""
        return min(self._batch_rows * partitions, self._most_rows)

    def _send_due(self, delivery: Delivery, stream: Stream, take_rows: int) -> bool:
        partitions = delivery.partition_count(TOPICS[stream])
        taken = self._outbox.take(stream, take_rows)
        rows = [entry for entry in taken if not isinstance(entry, Mark)]
        for block in self._assembled(stream, rows):
            for partition, part in self._parts(block, partitions):
                self._send_part(delivery, stream, partition, part)
        if taken and isinstance(taken[-1], Mark):
            self._send_mark(delivery, stream, partitions, taken[-1])
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

    def _parts(self, block: Block, partitions: int) -> list[tuple[int, Block]]:
        try:
            return list(split(block, partitions))
        except UnicodeEncodeError as error:
            self._complaints.warning("ids", error)
            self._outbox.settle(failed=len(block))
            return []

    def _send_part(self, delivery: Delivery, stream: Stream, partition: int, block: Block) -> None:
        try:
            event = self._event(stream, block)
            validate(event)
            payload = self._encode(delivery, event)
        except Exception as error:
            self._complaints.warning(f"a message to {TOPICS[stream]} ({type(error).__name__})", error)
            self._outbox.settle(failed=len(block))
            return
        key = block.ids[0].encode() if len(block) == 1 else None
        settle = partial(self._settle_rows, len(block))
        delivery.send(Outgoing(TOPICS[stream], partition, payload, key, settle))

    def _event(self, stream: Stream, block: Block) -> RawEvent:
        if stream is Stream.LABELS:
            return LabelBatch(self._source.model, block.ids, block.timestamps_ms, block.columns[0])
        source = self._source
        return PredictionBatch(
            source.model, source.version, source.variant, block.ids, block.timestamps_ms, block.columns
        )

    def _encode(self, delivery: Delivery, event: RawEvent) -> bytes:
        """Waits while the schema registry is away: the rows of the message, and those behind it, stay in the buffer."""
        while True:
            try:
                return self._codec.encode(event)
            except RegistryUnavailable as error:
                self._complaints.warning("schema registry", error)
                delivery.poll(0)
                if self._stopping.wait(_RETRY_S):
                    raise

    def _send_mark(self, delivery: Delivery, stream: Stream, partitions: int, mark: Mark) -> None:
        """The mark is settled when the last of its heartbeats is."""
        if mark.heartbeat_ms is None:
            self._outbox.settle_mark()
            return
        payload = self._encode(delivery, Heartbeat(mark.heartbeat_ms))
        settle = self._last_of(partitions)
        for partition in range(partitions):
            delivery.send(Outgoing(TOPICS[stream], partition, payload, None, settle))

    def _last_of(self, heartbeats: int) -> Settle:
        left = list(range(heartbeats))

        def settle(failed: bool) -> None:
            left.pop()
            if not left:
                self._outbox.settle_mark()

        return settle

    def _settle_rows(self, rows: int, failed: bool) -> None:
        if failed:
            self._outbox.settle(failed=rows)
        else:
            self._outbox.settle(delivered=rows)
