"""Partitions as the store says they stand."""

from collections.abc import Iterable
from dataclasses import replace

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import Position, read_positions, write_positions
from driftsonde.adapters.settings import PREFIX, InvalidSetting, SketcherSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.core.chunks import NO_TIME_MS, Source
from driftsonde.core.join import PredictionIndex
from driftsonde.core.resends import RecentMessages
from driftsonde.sketcher.chunk_state import ChunkState
from driftsonde.sketcher.messages import Plans
from driftsonde.sketcher.pipeline import PartitionPipeline
from driftsonde.sketcher.settling import SERVICE
from driftsonde.sketcher.storage import read_unmatched


def start_partitions(
    store: Store, partitions: Iterable[int], settings: SketcherSettings, plans: Plans
) -> list[PartitionPipeline]:
    """Pipelines of these partitions that go on where the last ones have stopped. Raises what `Store` raises, and
    `InvalidSetting` where the partitions were folded in chunks of another size: chunks are known by their number."""
    wanted = list(partitions)
    known = read_positions(store, SERVICE)
    starts: dict[tuple[str, int], Position] = {}
    for topic in (PREDICTIONS.name, LABELS.name):
        for partition in wanted:
            place = (topic, partition)
            starts[place] = _checked(
                known.get(place, Position(topic, partition, 0, NO_TIME_MS)), settings.chunk_messages
            )
    # The size holds from before the first chunk is finished: open chunks have numbers too.
    write_positions(store, SERVICE, (start for place, start in starts.items() if start != known.get(place)))
    return [
        _start(store, starts[PREDICTIONS.name, partition], starts[LABELS.name, partition], settings, plans)
        for partition in wanted
    ]


def _checked(start: Position, chunk_messages: int) -> Position:
    if start.chunk_messages not in (0, chunk_messages):
        raise InvalidSetting(
            f"{PREFIX}SKETCHER_CHUNK_MESSAGES is {chunk_messages}, but {start.topic}/{start.partition} has been folded in "
            f"chunks of {start.chunk_messages}: set it back, or begin with a fresh database and topic of sketches"
        )
    return replace(start, chunk_messages=chunk_messages)


def _start(
    store: Store, predictions: Position, labels: Position, settings: SketcherSettings, plans: Plans
) -> PartitionPipeline:
    kept = read_unmatched(store, labels.topic, labels.partition, labels.position, labels.gate_ms)
    recent = RecentMessages()
    recent.restore(predictions.recent_messages)
    return PartitionPipeline(
        predictions=_chunk_state(predictions, settings.chunk_messages),
        labels=_chunk_state(labels, settings.chunk_messages),
        index=PredictionIndex(settings.join_index_rows),
        plans=plans,
        future_tolerance_ms=settings.future_tolerance_ms,
        archived_from=predictions.position,
        unmatched_bound=settings.unmatched_labels,
        joined_gate_ms=labels.gate_ms,
        kept=kept,
        recent=recent,
    )


def _chunk_state(start: Position, size: int) -> ChunkState:
    return ChunkState(Source(start.topic, start.partition), size, start.position, start.event_time_ms)
