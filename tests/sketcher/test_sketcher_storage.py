"""What the sketcher stores for its next start, on the real engine."""

from dataclasses import replace

import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import Position, read_positions, write_positions
from driftsonde.adapters.settings import InvalidSetting, SketcherSettings
from driftsonde.core.chunks import NO_TIME_MS, EventTimeStep, Source
from driftsonde.core.unmatched import UnmatchedChange, UnmatchedLabel
from driftsonde.sketcher.chunk_state import FinishedChunk
from driftsonde.sketcher.labels import Kept, Waiting
from driftsonde.sketcher.settling import SERVICE
from driftsonde.sketcher.starting import start_partitions
from driftsonde.sketcher.storage import StepLog, read_event_time, read_unmatched, write_unmatched
from stream_examples import plans

pytestmark = pytest.mark.io

LABELS = Source("labels", 2)
SETTINGS = SketcherSettings(chunk_messages=10)


def kept(prediction_id: str, time_ms: int) -> UnmatchedLabel:
    return UnmatchedLabel("shop", prediction_id, 1.0, time_ms, time_ms + 100)


def chunk(number: int, *changes: UnmatchedLabel | str) -> FinishedChunk:
    """A chunk in which these labels were kept, and those of the named ids found their predictions."""
    unmatched = (
        UnmatchedChange("shop", change, None)
        if isinstance(change, str)
        else UnmatchedChange("shop", change.id, change)
        for change in changes
    )
    return FinishedChunk(LABELS, number, 10 * (number + 1), 50, 60, tuple(unmatched))


def test_labels_wait_as_they_did_at_a_position_whatever_was_stored_beyond_it(store: Store) -> None:
    write_unmatched(store, [chunk(0, kept("a", 1), kept("b", 2)), chunk(1, kept("b", 30))])
    write_unmatched(store, [chunk(1, kept("b", 30))])  # again, after a crash
    write_unmatched(store, [chunk(2, "a", kept("c", 3))])

    def waiting(position: int, gate_ms: int = 0) -> list[UnmatchedLabel]:
        found = read_unmatched(store, *(LABELS.topic, LABELS.partition), position, gate_ms)
        return sorted(found, key=lambda label: label.id)

    assert waiting(9) == []
    assert waiting(10) == [kept("a", 1), kept("b", 2)]
    assert waiting(20) == [kept("a", 1), kept("b", 30)]
    assert waiting(30) == [kept("b", 30), kept("c", 3)]
    assert waiting(20, gate_ms=102) == [kept("b", 30)]
    assert read_unmatched(store, LABELS.topic, 3, 30, 0) == []


def test_a_partition_goes_on_where_it_stopped(store: Store) -> None:
    write_unmatched(store, [chunk(0, kept("a", 1), kept("b", 2))])
    rows = [
        Position("predictions", 2, 40, 70, chunk_messages=10, recent_messages=(3, 2**64 - 1)),
        Position("labels", 2, 10, 50, 60, chunk_messages=10),
    ]
    write_positions(store, SERVICE, rows)
    (pipeline,) = start_partitions(store, [2], SETTINGS, plans)
    assert pipeline.next_offsets == (40, 10)
    assert (pipeline.predictions.event_time_ms, pipeline.labels.event_time_ms) == (70, 50)
    assert list(pipeline.waiting.messages) == [Waiting(9, 60, Kept("shop", ("a", "b")))]
    assert pipeline.waiting.unmatched.get("shop", "b") == kept("b", 2)
    assert pipeline.waiting.unmatched.take_changes() == ()
    assert pipeline.recent.digests == (3, 2**64 - 1)


def test_the_size_of_chunks_holds_from_the_first_start_on(store: Store) -> None:
    old = Position("predictions", 2, 40, 70)  # as it was stored before the size was
    write_positions(store, SERVICE, [old])
    start_partitions(store, [2, 3], SETTINGS, plans)
    pinned = read_positions(store, SERVICE)
    assert pinned["predictions", 2] == replace(old, chunk_messages=10)
    assert pinned["labels", 3] == Position("labels", 3, 0, NO_TIME_MS, chunk_messages=10)
    start_partitions(store, [2, 3], SETTINGS, plans)
    with pytest.raises(InvalidSetting, match=r"SKETCHER_CHUNK_MESSAGES is 20, .* in chunks of 10"):
        start_partitions(store, [3], replace(SETTINGS, chunk_messages=20), plans)
    assert read_positions(store, SERVICE) == pinned


def test_the_newest_event_time_is_that_of_all_partitions(store: Store) -> None:
    assert read_event_time(store, "predictions") == NO_TIME_MS
    steps = StepLog(store)
    steps.add([EventTimeStep(Source("predictions", 0), 5, 7_000)])
    steps.add([EventTimeStep(Source("predictions", 3), 2, 9_000)])
    steps.add([EventTimeStep(Source("other", 0), 5, 20_000)])
    steps.write()
    steps.write()
    assert read_event_time(store, "predictions") == 9_000
    assert store.query_rows("SELECT count() FROM event_times") == [(3,)]
