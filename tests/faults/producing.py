"""What the producers' fault tests share: steady callers, and what arrived, by partition and in order."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Message

from brokers import Broker
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.client import Monitor, Stats
from driftsonde.core.events import PredictionBatch
from driftsonde.core.partitioning import partition_of

PARTITIONS = 12

_LEADERS_S = 20.0
_CODEC = Codec(EVENT_TYPES)


def arrived(bootstrap_servers: str, model: str) -> list[list[str]]:
    """The ids of a model's predictions, for each partition in the order of the log."""
    broker = Broker(KafkaSettings(bootstrap_servers=bootstrap_servers), PARTITIONS)
    found: list[list[str]] = [[] for _ in range(PARTITIONS)]
    for message in sorted(_read_all(broker), key=lambda it: it.offset() or 0):
        value, partition = message.value(), message.partition()
        assert isinstance(value, bytes) and partition is not None
        event = _CODEC.decode(value)
        if isinstance(event, PredictionBatch) and event.model == model:
            found[partition].extend(event.ids)
    return found


def _read_all(broker: Broker) -> list[Message]:
    """A node that has just started serves a moment before it leads its partitions."""
    deadline_s = time.monotonic() + _LEADERS_S
    while True:
        try:
            return broker.read_all(PREDICTIONS.name)
        except KafkaException:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)


def by_partition(ids: Iterable[str]) -> list[list[str]]:
    """Where and in which order these ids should arrive."""
    wanted: list[list[str]] = [[] for _ in range(PARTITIONS)]
    for identifier in ids:
        wanted[partition_of(identifier.encode(), PARTITIONS)].append(identifier)
    return wanted


def add_up(stats: Stats, buffer_rows: int) -> None:
    """Every row has one account, and the buffer its bound."""
    assert stats.accepted == stats.delivered + stats.failed + stats.evicted + stats.buffered, stats
    assert 0 <= stats.buffered <= buffer_rows, stats


def log_rows(monitor: Monitor, names: Iterator[str], rows: int, buffer_rows: int) -> list[str]:
    """One call a row; the accounts are looked at after each."""
    logged = []
    for _ in range(rows):
        identifier = next(names)
        assert monitor.log({"x": 1.0}, 1, ids=identifier) == (identifier,)
        logged.append(identifier)
        add_up(monitor.stats, buffer_rows)
    return logged


@dataclass
class Caller:
    """Logs a row every `interval_s` in a thread of its own, as long as the `with` block lasts."""

    monitor: Monitor
    names: Iterator[str]
    buffer_rows: int
    interval_s: float = 0.001
    logged: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    _ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Caller":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ending.wait(self.interval_s):
                self.logged += log_rows(self.monitor, self.names, 1, self.buffer_rows)
        except BaseException as failure:
            self.failure = failure


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Return once it is true. Raises AssertionError if that takes too long."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)
