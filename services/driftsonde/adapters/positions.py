"""Where each service starts again, partition by partition: the table `positions`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from driftsonde.adapters.clickhouse import Store
from driftsonde.core.chunks import NO_TIME_MS

TABLE = "positions"

# The archiver's positions tell the sketcher what it can look up in the store.
ARCHIVER = "archiver"

_COLUMNS: dict[str, pa.DataType] = {
    "service": pa.string(),
    "topic": pa.string(),
    "partition": pa.uint32(),
    "position": pa.uint64(),
    "event_time_ms": pa.int64(),
    "gate_ms": pa.int64(),
    "chunk_messages": pa.uint32(),
    "recent_messages": pa.list_(pa.uint64()),
}
_SCHEMA = pa.schema(_COLUMNS)


@dataclass(frozen=True, slots=True)
class Position:
    """All messages below `position` are in stored results. `event_time_ms`: the event time there, -1 for none.

    Of the sketcher alone: `gate_ms` is the event time of predictions that labels were joined at, `chunk_messages` the
    size of the chunks that were folded, 0 where that is not known, `recent_messages` the digests of the newest messages.
    """

    topic: str
    partition: int
    position: int
    event_time_ms: int
    gate_ms: int = NO_TIME_MS
    chunk_messages: int = 0
    recent_messages: Sequence[int] = ()


def read_positions(store: Store, service: str) -> dict[tuple[str, int], Position]:
    """The newest position of every partition the service has ever stored one for."""
    rows = store.query_rows(
        "SELECT topic, partition, position, event_time_ms, gate_ms, chunk_messages, "
        "recent_messages FROM positions FINAL "
        "WHERE service = {service:String}",
        {"service": service},
    )
    positions = (replace(Position(*row), recent_messages=tuple(row[-1])) for row in rows)
    return {(position.topic, position.partition): position for position in positions}


def position_rows(service: str, positions: Iterable[Position]) -> pa.Table:
    """Rows of the table."""
    rows = [
        {
            "service": service,
            "topic": position.topic,
            "partition": position.partition,
            "position": position.position,
            "event_time_ms": position.event_time_ms,
            "gate_ms": position.gate_ms,
            "chunk_messages": position.chunk_messages,
            "recent_messages": list(position.recent_messages),
        }
        for position in positions
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def write_positions(store: Store, service: str, positions: Iterable[Position]) -> None:
    """Store positions; call it after the results below them are stored."""
    store.insert_arrow(TABLE, position_rows(service, positions))


def read_archived(store: Store) -> dict[tuple[str, int], int]:
    """How far the archiver has stored each partition: the offset below which everything is in the tables."""
    return {place: entry.position for place, entry in read_positions(store, ARCHIVER).items()}
