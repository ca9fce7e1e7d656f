"""The live stream: requests on a schedule, answered by the versions that the split names; labels come later or never.

Event time is the wall clock: row after row every `ROW_MS`, stamped with the moment at which it was due.
"""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from driftsonde.client import Monitor
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Floats, Ints, Variant
from driftsonde.standalone.demo.classifier import Classifier, decide, names_of
from driftsonde.standalone.demo.data import FEATURES, Rows
from driftsonde.standalone.demo.traffic import share_for

ROW_MS = 2
_TICK_S = 0.05
_MOST_AT_ONCE = 500
# Of the labels, this share never comes, this share comes long after the rest.
NEVER = 0.03
VERY_LATE = 0.02
_DELAY_MS = (200, 1_500)
_VERY_LATE_MS = (5_000, 7_000)
_FLUSH_S = 20.0

Monitors = Callable[[str, Variant], Monitor]


@dataclass(slots=True)
class Fault:
    """A sensor of which another unit is sent: (x - 32) / 1.8 in place of x, while it lasts (wall clock, milliseconds)."""

    feature: str
    from_ms: int
    until_ms: int | None = None

    def apply(self, features: Floats, timestamps_ms: Ints) -> Floats:
        """The features as they arrive."""
        until_ms = np.inf if self.until_ms is None else self.until_ms
        hit = (timestamps_ms >= self.from_ms) & (timestamps_ms < until_ms)
        column = FEATURES.index(self.feature)
        sent = features.copy()
        sent[hit, column] = (features[hit, column] - 32) / 1.8
        return sent


@dataclass(slots=True)
class Serving:
    """Serves from `start` to `stop`, in a thread of its own; starts again where it stopped, from the first row after
    the last. `versions` may get another version at any time.

    split: what the traffic is to be split by now. served: rows by (version, variant).
    """

    rows: Rows
    versions: dict[str, Classifier]
    split: Callable[[], tuple[Share, ...]]
    monitors: Monitors
    seed: int = 0
    fault: Fault | None = None
    served: Counter[tuple[str, Variant]] = field(default_factory=Counter)
    labels_sent: int = 0
    labels_never: int = 0
    seconds: float = 0.0
    failure: Exception | None = None
    _open: dict[tuple[str, Variant], Monitor] = field(default_factory=dict)
    _next_row: int = 0
    _due_labels: list[tuple[int, str, str]] = field(default_factory=list)
    _randomness: np.random.Generator = field(init=False)
    _halt: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._randomness = np.random.default_rng(self.seed)

    def start(self, from_ms: int) -> None:
        """Serve from this moment on; it may lie a little ahead."""
        self._halt.clear()
        self._thread = threading.Thread(target=self._run, args=(from_ms,), name="serving", daemon=True)
        self._thread.start()

    def stop(self, lateness_ms: int) -> bool:
        """Stop serving; labels that are still to come never do. Whether all that was logged has been delivered.

        lateness_ms: how long after the last event the clients say that event time has passed, so that nothing waits
        for more.
        """
        self._halt_thread()
        self.labels_never += len(self._due_labels)
        self._due_labels.clear()
        last_ms = _now_ms()
        delivered = self._flush()
        while _now_ms() < last_ms + lateness_ms:
            time.sleep(_TICK_S)
        for monitor in self._open.values():
            monitor.heartbeat(_now_ms())
        return self._flush() and delivered

    def close(self) -> None:
        self._halt_thread()
        for monitor in self._open.values():
            monitor.close()

    def _flush(self) -> bool:
        delivered = [monitor.flush(_FLUSH_S) for monitor in self._open.values()]
        return all(delivered)

    def _halt_thread(self) -> None:
        self._halt.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def stats(self) -> Mapping[str, int]:
        """What the clients say: rows (predictions and labels) accepted, delivered, dropped, failed."""
        stats = [monitor.stats for monitor in self._open.values()]
        return {
            name: sum(getattr(one, name) for one in stats)
            for name in ("accepted", "delivered", "dropped", "failed", "invalid_calls")
        }

    def _run(self, from_ms: int) -> None:
        started_s = time.monotonic()
        next_ms = from_ms
        try:
            while not self._halt.wait(_TICK_S):
                now_ms = _now_ms()
                while next_ms <= now_ms and not self._halt.is_set():
                    count = min(_MOST_AT_ONCE, (now_ms - next_ms) // ROW_MS + 1)
                    self._serve(next_ms + ROW_MS * np.arange(count, dtype=np.int64))
                    next_ms += count * ROW_MS
                self._send_labels(now_ms)
        except Exception as error:
            self.failure = error
        self.seconds += time.monotonic() - started_s

    def _serve(self, timestamps_ms: Ints) -> None:
        numbers = self._next_row + np.arange(len(timestamps_ms))
        self._next_row += len(timestamps_ms)
        places = numbers % len(self.rows)
        features, labels = self.rows.features[places], self.rows.labels[places]
        if self.fault is not None:
            features = self.fault.apply(features, timestamps_ms)
        ids = [f"request-{number}" for number in numbers.tolist()]
        split = self.split()
        chosen = [(share_for(split, request_id), row) for row, request_id in enumerate(ids)]
        chosen.sort(key=lambda pair: (pair[0].version, pair[1]))
        for share, pairs in groupby(chosen, key=lambda pair: pair[0]):
            members = np.array([row for _, row in pairs])
            self._answer(share, [ids[row] for row in members], features[members], timestamps_ms[members])
        self._schedule_labels(ids, names_of(labels), timestamps_ms)

    def _answer(self, share: Share, ids: list[str], features: Floats, timestamps_ms: Ints) -> None:
        """Predict, and log what was predicted."""
        scores = self.versions[share.version].scores(features)
        key = (share.version, share.variant)
        self._monitor(key).log(
            features,
            names_of(decide(scores)),
            score=scores,
            ids=ids,
            timestamps=timestamps_ms,
            feature_names=FEATURES,
        )
        self.served[key] += len(ids)

    def _schedule_labels(self, ids: list[str], labels: list[str], timestamps_ms: Ints) -> None:
        fate = self._randomness.random(len(ids))
        soon = self._randomness.integers(*_DELAY_MS, len(ids))
        late = self._randomness.integers(*_VERY_LATE_MS, len(ids))
        due = timestamps_ms + np.where(fate < NEVER + VERY_LATE, late, soon)
        self.labels_never += int((fate < NEVER).sum())
        for row in np.flatnonzero(fate >= NEVER).tolist():
            heapq.heappush(self._due_labels, (int(due[row]), ids[row], labels[row]))

    def _send_labels(self, now_ms: int) -> None:
        """Send the labels that have become known. Any monitor of the model does."""
        known: list[tuple[int, str, str]] = []
        while self._due_labels and self._due_labels[0][0] <= now_ms:
            known.append(heapq.heappop(self._due_labels))
        if known:
            times, ids, labels = zip(*known, strict=True)
            monitor = next(iter(self._open.values()))
            monitor.label(list(ids), list(labels), timestamps=np.array(times, dtype=np.int64))
            self.labels_sent += len(known)

    def _monitor(self, key: tuple[str, Variant]) -> Monitor:
        if key not in self._open:
            self._open[key] = self.monitors(*key)
        return self._open[key]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
