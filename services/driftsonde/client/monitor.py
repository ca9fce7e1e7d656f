"""What a serving process imports: log predictions and labels without waiting for anything."""

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.client.batching import assemble
from driftsonde.client.calls import CallReader, PredictionCall
from driftsonde.client.complaints import Complaints
from driftsonde.client.outbox import Outbox, Stats, WhenFull
from driftsonde.client.rows import Block, Row, Stream
from driftsonde.client.sender import Sender, Source
from driftsonde.client.times import to_times_ms
from driftsonde.core.events import InvalidEvent, Variant
from driftsonde.core.spec import Task

log = logging.getLogger(__name__)

EXIT_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 1.0
# The two highest bits of the 17th digit are 1 and 0 (RFC 9562).
_VARIANTS = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}
_WHY_DROPPED = "the buffer is full, or the monitor closed"

_monitors: "weakref.WeakSet[Monitor]" = weakref.WeakSet()


def random_ids(count: int) -> Sequence[str]:
    """Random UUIDs (version 4) as 32 hexadecimal digits each.

    >>> import uuid
    >>> made = [uuid.UUID(identifier) for count in (1, 2) for identifier in random_ids(count)]
    >>> [(identifier.version, identifier.variant == uuid.RFC_4122) for identifier in made]
    [(4, True), (4, True), (4, True)]
    """
    if count == 1:
        # As below, for one: `uuid.uuid4` takes three times as long, and a single row has microseconds.
        digits = os.urandom(16).hex()
        return (f"{digits[:12]}4{digits[13:16]}{_VARIANTS[digits[16]]}{digits[17:]}",)
    octets = np.frombuffer(os.urandom(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    digits = octets.tobytes().hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Monitor:
    """Sends the predictions and labels of one version of one model. Safe between threads.

    Nothing here blocks or raises into the serving path: rows wait in a buffer of at most `buffer_rows` until they are
    delivered, a background thread sends them, and what goes wrong is counted in `stats` and logged, each kind at most
    every ten minutes. With `strict=True` a call that makes no sense raises `InvalidEvent` instead, naming the field.

    What becomes of a row:
    * While brokers, a topic or the schema registry are away it waits, for as long as that lasts, at the start of the
      process too; then it is sent, once and in order (an idempotent producer, acknowledged by all in-sync replicas).
    * Beyond `buffer_rows`, `when_full` decides: "drop_newest", "drop_oldest" (of those not yet with librdkafka, which has
      at most about half), or "block" the caller for at most `block_ms`, then drop. Dropped rows are counted.
    * A row that the brokers refuse (too large, no permission) has failed, and is counted. So has one that was under way
      when librdkafka gave its producer up, which a new one then replaces: it may be stored or not.
    * At the end of the process, and in `close`, what waits is sent for a bounded time; what is left is lost, and its
      number is logged and stays in `stats.buffered`. A signal without a handler ends a process at once.

    task: "binary", "multiclass" or "regression": whether predictions and labels are classes or numbers.
    batch_rows: about the most rows of a message (each is kept below 1 MB besides). linger_ms: the longest a row waits
    for others; with infinity only full batches, heartbeats and `flush` send, so that equal calls give equal messages.
    buffer_rows: to hold an outage of s seconds at r rows/s, at least s * r.
    kafka_options: librdkafka's, as they are; they go before ours. One that it refuses raises here. Ours are idempotence,
    lz4, and `message.timeout.ms` of 0, for ever: one that is finite makes rows fail when they have waited that long.
    `topic.metadata.refresh.interval.ms` is how soon new partitions of a topic are used.
    A process that forks after the first call needs a monitor of its own in each child, where this one drops what it is
    given, and says so; before the first call, one may be shared.
    new_ids(n), now_ms(): where ids and times come from if the caller gives none.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        model: str,
        version: str,
        variant: Variant | str = Variant.CHAMPION,
        *,
        task: Task | str,
        batch_rows: int = 1_000,
        linger_ms: float = 200.0,
        buffer_rows: int = 100_000,
        when_full: WhenFull | str = WhenFull.DROP_NEWEST,
        block_ms: float = 1_000.0,
        schema_registry_url: str | None = None,
        kafka_options: Mapping[str, Any] | None = None,
        strict: bool = False,
        new_ids: Callable[[int], Sequence[str]] = random_ids,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        if batch_rows < 1 or buffer_rows < 1:
            raise ValueError("batch_rows and buffer_rows are at least 1")
        self._strict = strict
        self._complaints = Complaints()
        self._calls = CallReader(Task(task) is not Task.REGRESSION, new_ids, now_ms)
        self._outbox = Outbox(
            buffer_rows, WhenFull(when_full), block_ms / 1_000, linger_ms / 1_000, time.monotonic
        )
        registry = None if schema_registry_url is None else ConfluentRegistry(schema_registry_url)
        self._sender = Sender(
            source=Source(model, version, Variant(variant)),
            outbox=self._outbox,
            codec=Codec(EVENT_TYPES, registry),
            producer_config={
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "compression.type": "lz4",
                # For ever: what waits for a broker is bounded by the buffer, not by time.
                "message.timeout.ms": 0,
                **(kafka_options or {}),
            },
            batch_rows=batch_rows,
            # Both streams may wait for a full batch at once, and neither may wait for ever.
            most_rows=max(1, buffer_rows // 4),
            complaints=self._complaints,
        )
        self._starting = threading.Lock()
        self._running = False
        self._closed = False
        self._why_dropped = _WHY_DROPPED
        _monitors.add(self)

    def log(
        self,
        features: Any,
        prediction: Any,
        score: Any = None,
        ids: Any = None,
        timestamps: Any = None,
        segments: Any = None,
        protected: Any = None,
        attributions: Any = None,
        *,
        feature_names: Sequence[str] | None = None,
    ) -> tuple[str, ...]:
        """Log one row or many; return the ids of the rows, for the labels to come (none if the call made no sense).

        features: a dict of scalars (one row) or of columns; a 1-D or 2-D NumPy array with `feature_names`; a
        structured array; a data frame. prediction, score: a scalar or a column. segments, protected: like features,
        as dicts or data frames. attributions: like features, and about them. timestamps: aware datetimes, datetime64
        or milliseconds, one for all or one a row. None, NaN and pandas' NA are missing.
        """
        call = PredictionCall(
            features, prediction, score, ids, timestamps, segments, protected, attributions, feature_names
        )
        try:
            rows = self._calls.predictions(call)
            self._check(rows)
        except Exception as error:
            self._refuse("log", error)
            return ()
        self._offer(Stream.PREDICTIONS, rows)
        return (rows.id,) if isinstance(rows, Row) else rows.ids

    def label(self, ids: Any, labels: Any, timestamps: Any = None) -> None:
        """Tell the truth about predictions: an id and a label, or as many of both. `timestamps`: when it was known."""
        try:
            rows = self._calls.labels(ids, labels, timestamps)
            self._check(rows)
        except Exception as error:
            self._refuse("label", error)
            return
        self._offer(Stream.LABELS, rows)

    def heartbeat(self, timestamp: Any) -> None:
        """Promise, in every partition of predictions and labels, that event time has reached this.

        It comes after all that was logged before it, which is sent without lingering.
        """
        try:
            timestamp_ms = int(to_times_ms(timestamp, 1)[0])
        except Exception as error:
            self._refuse("heartbeat", error)
            return
        self._start()
        self._outbox.mark(timestamp_ms)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Send what waits; return whether all of it was delivered, or has failed, within that time."""
        self._start()
        self._outbox.mark(None)
        return self._outbox.wait_until_empty(timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush for at most that time, and accept nothing more. What could not be delivered by then is lost."""
        atexit.unregister(self.close)
        with self._starting:
            was_running, self._running = self._running, False
            self._closed = True
        if was_running:
            self._outbox.mark(None)
        self._outbox.close()
        if not was_running:
            return
        self._outbox.wait_until_empty(timeout_s)
        self._sender.stop(_STOP_TIMEOUT_S)
        lost = self._outbox.stats.buffered
        if lost:
            log.warning("closed with %d rows undelivered", lost)

    @property
    def stats(self) -> Stats:
        """The accounts of every row, now."""
        return self._outbox.stats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        """Start the thread at the first use, not when the monitor is made: a server may fork in between."""
        if self._running:
            return
        with self._starting:
            if not self._running and not self._closed:
                self._sender.start()
                self._running = True
                atexit.register(self.close, EXIT_TIMEOUT_S)

    def _offer(self, stream: Stream, rows: Row | Block) -> None:
        if not len(rows):
            return
        self._start()
        if self._outbox.offer(stream, rows):
            self._complaints.warning("rows were dropped", self._why_dropped)

    def _after_fork(self) -> None:
        """In a child: the thread is the parent's, and so is what waits. Locks may be held by threads that are not here."""
        if self._running:
            atexit.unregister(self.close)
            self._outbox = Outbox(1, WhenFull.DROP_NEWEST, 0.0, 0.0, time.monotonic)
            self._outbox.close()
            self._starting = threading.Lock()
            self._running, self._closed = False, True
            self._complaints = Complaints()
            self._why_dropped = (
                "this process was forked after the monitor's first call: it needs one of its own"
            )

    def _check(self, rows: Row | Block) -> None:
        if self._strict:
            assemble([rows], {})

    def _refuse(self, method: str, error: Exception) -> None:
        if self._strict:
            raise error
        self._outbox.count_invalid_call()
        field = error.field if isinstance(error, InvalidEvent) else type(error).__name__
        self._complaints.warning(f"{method}, {field}", error)


def _after_fork_in_child() -> None:
    for monitor in list(_monitors):
        monitor._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
