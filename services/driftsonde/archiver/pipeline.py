"""Messages in, rows out: what the archiver does, without doing it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.dead_letters import Failure, SourceMessage
from driftsonde.adapters.positions import ARCHIVER, TABLE, Position, position_rows
from driftsonde.adapters.wire_models import ModelRecord, problem_of
from driftsonde.archiver.rows import (
    dead_letter_rows,
    decision_rows,
    feature_rows,
    label_rows,
    prediction_rows,
    signal_rows,
)
from driftsonde.core.chunks import NO_TIME_MS
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.events import FeatureBatch, Heartbeat, InvalidEvent, LabelBatch, PredictionBatch
from driftsonde.core.signals import Signal

# ClickHouse refuses an insert into more than 100 partitions of a table; ours are months.
_MONTHS_PER_INSERT = 50

# Of a raw message only one service tells the dead letters: of predictions and labels the sketcher, of signals the
# controller, of these the archiver.
_OWN_DEAD_LETTERS = frozenset(
    {topics.FEATURES.name, topics.DECISIONS.name, topics.MODELS.name, topics.TRAFFIC.name}
)


@dataclass(frozen=True, slots=True)
class _Archive:
    """Where the messages of a topic go: what they hold, and the table that gets it."""

    table: str
    holds: type
    rows: Callable[[Sequence[Any]], pa.Table]


_ARCHIVES: Mapping[str, _Archive] = MappingProxyType(
    {
        topics.PREDICTIONS.name: _Archive("predictions", PredictionBatch, prediction_rows),
        topics.LABELS.name: _Archive("labels", LabelBatch, label_rows),
        topics.FEATURES.name: _Archive("features", FeatureBatch, feature_rows),
        topics.SIGNALS.name: _Archive("signals", Signal, signal_rows),
        topics.DECISIONS.name: _Archive("decisions", Decision, decision_rows),
    }
)

# Whoever reads these keeps the last value that it can use; here, once, the others are told. No table gets them.
_WATCHED: Mapping[str, type] = MappingProxyType(
    {topics.MODELS.name: ModelRecord, topics.TRAFFIC.name: Traffic}
)

ARCHIVED_TOPICS = (*_ARCHIVES, *_WATCHED, topics.DEAD_LETTERS.name)


_HOLDS: Mapping[str, Any] = MappingProxyType(
    {**{topic: kind.holds | Heartbeat for topic, kind in _ARCHIVES.items()}, **_WATCHED}
)


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows of one table, to be written in one go."""

    table: str
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not archived, and why."""

    message: SourceMessage
    failure: Failure


@dataclass(frozen=True, slots=True)
class Batch:
    """What some messages come to.

    Perform it in this order: `dead_letters` to their topic, `inserts`, `progress`; then the offsets up to
    `next_offsets` may be acknowledged. Every step may be repeated. `skipped` are left to another service.
    """

    inserts: tuple[Insert, ...]
    dead_letters: tuple[Refused, ...]
    skipped: tuple[Refused, ...]
    next_offsets: Mapping[tuple[str, int], int]

    @property
    def progress(self) -> Insert:
        positions = (
            Position(topic, partition, offset, NO_TIME_MS)
            for (topic, partition), offset in self.next_offsets.items()
        )
        return Insert(TABLE, position_rows(ARCHIVER, positions))


def archive(messages: Sequence[SourceMessage], codec: Codec) -> Batch:
    """The batch of `messages`. Raises `RegistryUnavailable` where a schema can't be looked up now."""
    read: dict[str, list[tuple[SourceMessage, object]]] = {topic: [] for topic in _ARCHIVES}
    letters: list[SourceMessage] = []
    refused: list[Refused] = []
    next_offsets: dict[tuple[str, int], int] = {}
    for message in messages:
        source = (message.topic, message.partition)
        next_offsets[source] = max(next_offsets.get(source, 0), message.offset + 1)
        if message.topic == topics.DEAD_LETTERS.name:
            letters.append(message)
            continue
        if message.topic in _WATCHED and message.value is None:
            continue  # a deletion
        content = _read(message, codec)
        if isinstance(content, Failure):
            refused.append(Refused(message, content))
        elif message.topic in read and not isinstance(content, Heartbeat):
            read[message.topic].append((message, content))
    return Batch(
        inserts=tuple(_inserts(read, letters)),
        dead_letters=tuple(entry for entry in refused if entry.message.topic in _OWN_DEAD_LETTERS),
        skipped=tuple(entry for entry in refused if entry.message.topic not in _OWN_DEAD_LETTERS),
        next_offsets=MappingProxyType(next_offsets),
    )


def _read(message: SourceMessage, codec: Codec) -> object:
    """What the message holds, or the `Failure` to read it."""
    if message.value is None:
        return Failure("decode", "empty", "the message has no value")
    try:
        content = codec.decode(message.value)
    except Undecodable as error:
        return Failure("decode", error.reason, error.message)
    except InvalidEvent as error:
        return Failure("validate", "invalid", str(error))
    if isinstance(content, ModelRecord) and (problem := problem_of(codec, message.key or b"", message.value)):
        return Failure("validate", "invalid", problem)
    if not isinstance(content, _HOLDS[message.topic]):
        return Failure(
            "validate", "wrong-topic", f"{type(content).__name__} does not belong on {message.topic}"
        )
    return content


def _inserts(
    read: Mapping[str, Sequence[tuple[SourceMessage, object]]], letters: Sequence[SourceMessage]
) -> Iterator[Insert]:
    for topic, entries in read.items():
        if entries:
            kind = _ARCHIVES[topic]
            for rows in split_by_months(kind.rows(entries)):
                yield Insert(kind.table, rows)
    if letters:
        yield Insert("dead_letters", dead_letter_rows(letters))


def split_by_months(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows in as many parts as ClickHouse's bound on partitions asks for: nearly always one."""
    if "timestamp" not in rows.column_names:
        yield rows
        return
    months = rows["timestamp"].to_numpy().astype("datetime64[M]")
    distinct = np.unique(months)
    if len(distinct) <= _MONTHS_PER_INSERT:
        yield rows
        return
    part = np.searchsorted(distinct, months) // _MONTHS_PER_INSERT
    for number in range(part.max() + 1):
        yield rows.filter(pa.array(part == number))
