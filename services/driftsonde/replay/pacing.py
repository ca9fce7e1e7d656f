"""Holds a replay back to what the embedded broker can hold: it forgets the oldest messages beyond 5 MB a partition."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx
import numpy as np
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from driftsonde.adapters.topics import LABELS, PREDICTIONS, SKETCHES
from driftsonde.replay.rows import TIME
from driftsonde.replay.steps import Step, StepSize
from driftsonde.standalone.broker import PARTITIONS
from driftsonde.standalone.cluster import Cluster

# Bytes of raw messages of one partition that a step comes to, and messages of a topic that may be unread. A step has a
# message and a heartbeat for each partition, so a dozen steps: a third of what a partition holds even if all their rows
# were in the same one.
MESSAGE_BYTES = 40_000
UNREAD_MESSAGES = 96
MAX_STEP_ROWS = 4_096
MIN_STEP_ROWS = 64

# Bytes of sketches that a step may cause, and that may be caused within `_CAUSED_S`: until the sketcher has flushed,
# nobody can see them.
STEP_SKETCH_BYTES = 250_000
CAUSED_SKETCH_BYTES = 1_000_000
_CAUSED_S = 0.6
# Bytes of sketches that may be unread, by the estimate; once the broker has begun to forget, a third of what it holds.
UNREAD_SKETCH_BYTES = 1_500_000

# librdkafka writes to standard error that the broker has gone when the cluster stops; what fails is raised anyway.
QUIET = {"log_level": 0}

_POLL_S = 0.05
_STALL_S = 120.0


class Stalled(RuntimeError):
    """A service reads no further, or the broker has forgotten what was not read yet."""


@dataclass(frozen=True, slots=True)
class LogShape:
    """What decides how large messages and sketches are: an estimate of both."""

    window_ms: int
    columns: int
    row_bytes: int
    slices: int

    @property
    def sketch_bytes(self) -> int:
        return 600 + 60 * self.columns

    @property
    def unread_sketches(self) -> int:
        return UNREAD_SKETCH_BYTES // self.sketch_bytes

    @property
    def step_size(self) -> StepSize:
        rows = MESSAGE_BYTES * PARTITIONS // self.row_bytes
        windows = STEP_SKETCH_BYTES // (self.sketch_bytes * 2 * PARTITIONS * self.slices)
        return StepSize(max(MIN_STEP_ROWS, min(MAX_STEP_ROWS, rows)), max(1, windows), self.window_ms)

    def sketch_bytes_of(self, step: Step) -> int:
        """At most how much is sketched because of a step: predictions and labels of each window, slice and partition."""
        rows = sum(table.num_rows for table in step.labels)
        windows = rows
        if step.predictions is not None:
            rows = max(rows, step.predictions.num_rows)
            windows = len(np.unique(step.predictions[TIME].to_numpy() // self.window_ms))
        groups = min(rows, windows * PARTITIONS) * 2 * self.slices
        return groups * self.sketch_bytes


class _Reader(NamedTuple):
    service: str
    topic: str


_READERS = (
    *(
        _Reader(service, topic.name)
        for service in ("sketcher", "archiver")
        for topic in (PREDICTIONS, LABELS)
    ),
    _Reader("judge", SKETCHES.name),
)


@dataclass
class Pace:
    """`wait` after each step. It looks at what the services have read, by their metrics."""

    cluster: Cluster
    shape: LogShape
    _caused: deque[tuple[float, int]] = field(default_factory=deque)
    _read: dict[_Reader, int] = field(default_factory=dict)
    _admin: AdminClient = field(init=False)

    def __post_init__(self) -> None:
        self._admin = AdminClient(self.cluster.settings.kafka.librdkafka() | QUIET)

    def wait(self, step: Step) -> None:
        """Return when there is room for another step. Raises `Stalled`, `ChildFailed`."""
        self._caused.append((time.monotonic(), self.shape.sketch_bytes_of(step)))
        while sum(size for _, size in self._caused) > CAUSED_SKETCH_BYTES:
            self._forget_old()
            time.sleep(_POLL_S)
        self._forget_old()
        self._wait_for_readers()

    def wait_until_read(self) -> None:
        """Return when nothing is unread. Raises `Stalled`, `ChildFailed`."""
        self._wait_for_readers(raw=0, sketches=0)

    def _forget_old(self) -> None:
        while self._caused and self._caused[0][0] < time.monotonic() - _CAUSED_S:
            self._caused.popleft()

    def _wait_for_readers(self, raw: int = UNREAD_MESSAGES, sketches: int | None = None) -> None:
        changed_s, before = time.monotonic(), None
        while True:
            self.cluster.check()
            ends, held = self._ends()
            bound = sketches if sketches is not None else held // 3 or self.shape.unread_sketches
            bounds = {reader: bound if reader.topic == SKETCHES.name else raw for reader in _READERS}
            # A service is asked, which takes its time, only while what it had read before isn't enough.
            behind = [reader for reader in _READERS if self._unread(reader, ends) > bounds[reader]]
            for service in dict.fromkeys(reader.service for reader in behind):
                self._ask(service)
            unread = {reader: self._unread(reader, ends) for reader in behind}
            if all(unread[reader] <= bounds[reader] for reader in behind):
                return
            if unread != before:
                changed_s, before = time.monotonic(), unread
            elif time.monotonic() - changed_s > _STALL_S:
                left = ", ".join(f"{r.service} {count} of {r.topic}" for r, count in unread.items() if count)
                raise Stalled(
                    f"for {_STALL_S:g} s nothing more was read, and unread are: {left}; "
                    "the embedded broker may have forgotten some: use a real one"
                )
            time.sleep(_POLL_S)

    def _unread(self, reader: _Reader, ends: Mapping[str, int]) -> int:
        return ends[reader.topic] - self._read.get(reader, 0)

    def _ask(self, service: str) -> None:
        try:
            samples = self.cluster.read_metric(service, "driftsonde_events_consumed_total")
        except httpx.HTTPError:
            return  # too busy to answer: it is asked again
        self._read.update((_Reader(service, topic), int(count)) for (topic,), count in samples.items())

    def _ends(self) -> tuple[dict[str, int], int]:
        """How many messages each topic has ever had; and how many sketches the broker holds, once it has begun to forget
        (before that 0)."""
        names = sorted({reader.topic for reader in _READERS})
        ends = self._offsets(names, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        starts = self._offsets([SKETCHES.name], OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        totals = dict.fromkeys(names, 0)
        for (name, _), offset in ends.items():
            totals[name] += offset
        return totals, min((ends[place] - start for place, start in starts.items() if start > 0), default=0)

    def _offsets(self, topics: list[str], which: OffsetSpec) -> dict[tuple[str, int], int]:
        wanted = {TopicPartition(name, number): which for name in topics for number in range(PARTITIONS)}
        answers = self._admin.list_offsets(wanted, request_timeout=10.0)
        return {(place.topic, place.partition): future.result().offset for place, future in answers.items()}
