"""What the sketcher keeps in the store for its next start, beside its positions."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from driftsonde.adapters.clickhouse import Store
from driftsonde.core.chunks import NO_TIME_MS, EventTimeStep
from driftsonde.core.unmatched import UnmatchedLabel
from driftsonde.sketcher.chunk_state import FinishedChunk

_AT: dict[str, pa.DataType] = {"topic": pa.string(), "partition": pa.uint32(), "position": pa.uint64()}
_STEP: dict[str, pa.DataType] = _AT | {"time_ms": pa.int64()}
_UNMATCHED: dict[str, pa.DataType] = _AT | {
    "model": pa.string(),
    "prediction_id": pa.string(),
    "waiting": pa.bool_(),
    "label": pa.float64(),
    "time_ms": pa.int64(),
    "expires_ms": pa.int64(),
}


@dataclass(slots=True)
class StepLog:
    """Steps of event time on their way to the store. `write` may be called from any thread."""

    store: Store
    _steps: list[EventTimeStep] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, steps: Iterable[EventTimeStep]) -> None:
        self._steps.extend(steps)

    def write(self) -> None:
        """Return once every step that was added before is stored."""
        with self._lock:
            steps = self._steps[:]
            rows = [
                {
                    "topic": step.source.topic,
                    "partition": step.source.partition,
                    "position": step.position,
                    "time_ms": step.time_ms,
                }
                for step in steps
            ]
            self.store.insert_arrow("event_times", pa.Table.from_pylist(rows, schema=pa.schema(_STEP)))
            del self._steps[: len(steps)]


def read_event_time(store: Store, topic: str) -> int:
    """The newest event time, to the second, that any partition of the topic has come to."""
    ((newest_ms, count),) = store.query_rows(
        "SELECT max(time_ms), count() FROM event_times WHERE topic = {topic:String}", {"topic": topic}
    )
    return int(newest_ms) if count else NO_TIME_MS


def write_unmatched(store: Store, finished: Iterable[FinishedChunk]) -> None:
    """Store what became of the labels that were kept in these chunks; call it before their positions are stored."""
    rows = [
        {
            "topic": chunk.source.topic,
            "partition": chunk.source.partition,
            "position": chunk.end,
            "model": change.model,
            "prediction_id": change.id,
            "waiting": change.label is not None,
            "label": change.label.label if change.label else 0.0,
            "time_ms": change.label.time_ms if change.label else NO_TIME_MS,
            "expires_ms": change.label.expires_ms if change.label else NO_TIME_MS,
        }
        for chunk in finished
        for change in chunk.unmatched
    ]
    store.insert_arrow("unmatched_labels", pa.Table.from_pylist(rows, schema=pa.schema(_UNMATCHED)))


def read_unmatched(
    store: Store, topic: str, partition: int, position: int, gate_ms: int
) -> list[UnmatchedLabel]:
    """The labels that waited for a prediction when the messages below `position` were joined, up to that gate."""
    rows = store.query_rows(
        """
        SELECT model, prediction_id, argMax(label, position), argMax(time_ms, position),
               argMax(expires_ms, position) AS expires
        FROM unmatched_labels
        WHERE topic = {topic:String} AND partition = {partition:UInt32} AND position <= {below:UInt64}
        GROUP BY model, prediction_id
        HAVING argMax(waiting, position) AND expires >= {gate_ms:Int64}
        ORDER BY model, prediction_id
        """,
        {"topic": topic, "partition": partition, "below": position, "gate_ms": gate_ms},
    )
    return [UnmatchedLabel(*row) for row in rows]
