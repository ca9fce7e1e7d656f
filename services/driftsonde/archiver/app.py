"""The archiver's shell: reads the topics, has the batches written, acknowledges what is stored.

The loop never blocks for long: while the store is away it keeps polling (so that the group does not rebalance) with
its partitions paused once the buffer is full, and repeats the batch with growing waits.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.clickhouse import Backoff, Store, StoreRejected, StoreUnavailable
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.kafka import BrokerUnavailable, is_fatal
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import ArchiverSettings
from driftsonde.archiver.buffer import Buffer
from driftsonde.archiver.pipeline import ARCHIVED_TOPICS, archive
from driftsonde.archiver.writer import Writer, Writing

GROUP_ID = "driftsonde-archiver"

_POLL_S = 0.1
_POLL_MESSAGES = 200  # by so many messages the buffer's bound is passed at most
_CALL_TIMEOUT_S = 10.0
_SETTLE_S = 5.0  # how long a rebalance waits for the batch under way
_CHECK_INTERVAL_S = 2.0
_COMMIT_RETRY_S = 0.5
_UNKNOWN = -1

_log = logging.getLogger(__name__)

_Partition = tuple[str, int]


class Archiver:
    """`run` it until `stop` is set. The consumer is not yet subscribed, and closed at the end."""

    def __init__(
        self,
        consumer: Consumer,
        codec: Codec,
        store: Store,
        writer: Writer,
        metrics: Metrics,
        ready: Conditions,
        settings: ArchiverSettings,
    ) -> None:
        self._consumer = consumer
        self._codec = codec
        self._store = store
        self._writer = writer
        self._metrics = metrics
        self._ready = ready
        self._settings = settings
        self._buffer = Buffer(
            settings.batch_mb << 20, settings.batch_interval_ms / 1_000, settings.buffer_mb << 20
        )
        self._next: Writing | None = None  # built while the current one is written
        self._current: Writing | None = None
        self._future: Future[None] | None = None
        self._delays_s: Iterator[float] = iter(())
        self._retry_at_s = 0.0
        self._check_at_s = 0.0
        self._paused = False
        self._joined = False
        self._stored: dict[_Partition, int] = {}  # offsets to be committed
        self._acknowledged: dict[_Partition, int] = {}  # what is committed, of each partition that is ours
        self._commit_at_s = 0.0
        self._expected: dict[_Partition, int] = {}  # next offset of each partition that is ours
        ready.fail("broker", "no partitions assigned yet")
        ready.fail("store", "not asked yet")
        self._metrics.buffer_fill_ratio.labels(buffer="archiver").set(0)

    def acknowledged(self) -> dict[tuple[str, int], int]:
        """The offset below which each partition is stored and acknowledged. May be called from any thread."""
        return dict(self._acknowledged)

    def run(self, stop: threading.Event) -> None:
        """Raises `KafkaException` when the client can't go on; whoever started the process restarts it."""
        self._consumer.subscribe(
            list(ARCHIVED_TOPICS), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        try:
            while not stop.is_set():
                self._read()
                self._advance(time.monotonic())
            self._finish(time.monotonic() + self._settings.stop_timeout_s)
        finally:
            self._close()

    # --- Reading

    def _read(self) -> None:
        self._set_paused(self._buffer.full)
        now_s = time.monotonic()
        for message in self._consumer.consume(_POLL_MESSAGES, timeout=_POLL_S):
            error = message.error()
            if error is None:
                self._take(_source(message), now_s)
            elif is_fatal(error):
                raise KafkaException(error)
            else:
                _log.warning("reading failed", extra={"problem": error.str()})
                self._ready.fail("broker", error.str())
        self._metrics.buffer_fill_ratio.labels(buffer="archiver").set(self._buffer.fill_ratio)

    def _take(self, message: SourceMessage, now_s: float) -> None:
        partition = (message.topic, message.partition)
        expected = self._expected.get(partition, _UNKNOWN)
        if _UNKNOWN < expected < message.offset:
            self._count_lost(partition, expected, message.offset)
        self._expected[partition] = message.offset + 1
        self._metrics.events_consumed.labels(topic=message.topic).inc()
        self._buffer.add(message, now_s)

    def _count_lost(self, partition: _Partition, expected: int, offset: int) -> None:
        """A gap is a loss only where the log now begins behind it; a transaction's markers leave gaps, too."""
        topic, number = partition
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_CALL_TIMEOUT_S)
        lost = min(low, offset) - expected
        if lost > 0:
            self._metrics.records_lost.labels(topic=topic).inc(lost)
            _log.error("the broker dropped messages unread", extra={"partition": partition, "messages": lost})

    def _set_paused(self, paused: bool) -> None:
        if paused:
            self._consumer.pause(self._consumer.assignment())  # each time: a rebalance may have added some
        elif self._paused:
            self._consumer.resume(self._consumer.assignment())
        self._paused = paused

    # --- Writing

    def _advance(self, now_s: float, hurry: bool = False) -> None:
        """Do whatever can be done now without waiting."""
        self._check(now_s)
        if self._future is not None and self._future.done():
            self._conclude(self._future, now_s)
        self._acknowledge(now_s)
        if now_s < self._retry_at_s:
            return
        if self._next is None and (self._buffer.due(now_s) or (hurry and not self._buffer.empty)):
            self._build(now_s)
        if self._future is None:
            if self._current is None:
                self._current, self._next = self._next, None
            if self._current is not None:
                self._future = self._writer.start(self._current)

    def _build(self, now_s: float) -> None:
        messages = self._buffer.batch()
        try:
            batch = archive(messages, self._codec)
        except RegistryUnavailable as error:
            self._postpone("registry", error, now_s)
            return
        self._ready.clear("registry")
        self._buffer.remove(len(messages))
        self._next = Writing(batch)
        for refused in batch.skipped:
            topic, reason = refused.message.topic, refused.failure.reason
            self._metrics.events_skipped.labels(topic=topic, reason=reason).inc()

    def _conclude(self, future: "Future[None]", now_s: float) -> None:
        self._future = None
        try:
            future.result()
        except (StoreUnavailable, StoreRejected, BrokerUnavailable, KafkaException) as error:
            # Refused or away: the rows are sound, so the store is what has to change.
            self._metrics.sink_retries.labels(table="any").inc()
            self._postpone("store", error, now_s)
            return
        assert self._current is not None
        self._ready.clear("store")
        self._delays_s = iter(())
        self._note_stored(self._current)
        self._current = None

    def _postpone(self, condition: str, error: Exception, now_s: float) -> None:
        delay_s = next(self._delays_s, None)
        if delay_s is None:
            self._delays_s = Backoff(cap_s=self._settings.retry_max_s).delays_s()
            delay_s = next(self._delays_s)
        self._retry_at_s = now_s + delay_s
        self._ready.fail(condition, str(error))
        _log.warning(
            "will try again", extra={"condition": condition, "problem": str(error), "wait_s": delay_s}
        )

    def _acknowledge(self, now_s: float) -> None:
        """Commit what is stored, of the partitions that are still ours.

        During a rebalance the broker refuses; then what is left is committed a little later.
        """
        if not self._stored or now_s < self._commit_at_s:
            return
        offsets = [
            TopicPartition(topic, partition, offset) for (topic, partition), offset in self._stored.items()
        ]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._commit_at_s = now_s + _COMMIT_RETRY_S
            _log.warning("offsets not committed yet", extra={"problem": str(error)})
            return
        self._acknowledged.update(self._stored)
        self._stored.clear()

    def _note_stored(self, written: Writing) -> None:
        self._stored.update(
            (partition, offset)
            for partition, offset in written.batch.next_offsets.items()
            if partition in self._expected
        )

    def _check(self, now_s: float) -> None:
        """Look whether what was away is back, where nothing else would tell."""
        problems = self._ready.problems()
        if not problems or now_s < self._check_at_s:
            return
        self._check_at_s = now_s + _CHECK_INTERVAL_S
        if "store" in problems and self._current is None:
            try:
                self._store.query_rows("SELECT 1 FROM positions LIMIT 1")
                self._ready.clear("store")
            except (StoreUnavailable, StoreRejected) as error:
                self._ready.fail("store", str(error))
        if "broker" in problems and self._joined:
            try:
                self._consumer.list_topics(ARCHIVED_TOPICS[0], timeout=_POLL_S)
                self._ready.clear("broker")
            except KafkaException as error:
                self._ready.fail("broker", str(error))

    # --- Rebalances and the end

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for entry in consumer.committed(partitions, timeout=_CALL_TIMEOUT_S):
            # Nothing committed yet: begin where the log begins, whatever it once held.
            self._expected[entry.topic, entry.partition] = max(entry.offset, _UNKNOWN)
            self._acknowledged[entry.topic, entry.partition] = max(entry.offset, 0)
        self._joined = True
        self._ready.clear("broker")
        _log.info("partitions assigned", extra={"partitions": _names(partitions)})

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._settle()
        self._acknowledge(time.monotonic())
        self._forget(partitions)
        _log.info("partitions revoked", extra={"partitions": _names(partitions)})

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)
        _log.warning("partitions lost", extra={"partitions": _names(partitions)})

    def _settle(self) -> None:
        """Wait a little for the batch under way: what is stored and acknowledged is not read again by the next."""
        if self._future is None or self._current is None:
            return
        try:
            self._future.result(timeout=_SETTLE_S)
        except Exception as error:
            _log.info("batch not settled before the rebalance", extra={"problem": repr(error)})
            return
        self._future = None
        self._note_stored(self._current)
        self._current = None

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        gone = {(entry.topic, entry.partition) for entry in partitions}
        self._buffer.drop(gone)
        for partition in gone:
            self._expected.pop(partition, None)
            self._stored.pop(partition, None)
            self._acknowledged.pop(partition, None)
            self._metrics.consumer_lag.labels(topic=partition[0], partition=partition[1]).set(0)

    def _finish(self, deadline_s: float) -> None:
        """Store what was read, as far as the deadline allows; what is not stored is read again after the restart."""
        self._consumer.pause(self._consumer.assignment())
        while self._stored or self._current or self._next or not self._buffer.empty:
            now_s = time.monotonic()
            if now_s > deadline_s:
                _log.warning("stopped with batches not acknowledged; they will be read again")
                return
            self._advance(now_s, hurry=True)
            self._consumer.poll(0)
            time.sleep(0.01)

    def _close(self) -> None:
        # Closing can hang where the broker went away at the wrong moment.
        closing = threading.Thread(target=self._consumer.close, name="close", daemon=True)
        closing.start()
        closing.join(_CALL_TIMEOUT_S)


def _source(message: Message) -> SourceMessage:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    key, value = message.key(), message.value()
    _, timestamp_ms = message.timestamp()
    return SourceMessage(
        topic=topic,
        partition=partition,
        offset=offset,
        key=key.encode() if isinstance(key, str) else key,
        value=value.encode() if isinstance(value, str) else value,
        headers=tuple(_headers(message)),
        timestamp_ms=timestamp_ms,
    )


def _headers(message: Message) -> Iterator[tuple[str, bytes | None]]:
    headers = message.headers() or []
    for name, value in headers.items() if isinstance(headers, dict) else headers:
        yield name, value.encode() if isinstance(value, str) else value


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{entry.topic}-{entry.partition}" for entry in partitions]
