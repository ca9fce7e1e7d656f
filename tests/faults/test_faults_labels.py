"""Labels before their prediction, twice, corrected, of no prediction, after the sketcher was killed, and of predictions
that have left its memory: the outcomes are those that pandas computes from all that was sent."""

import numpy as np
import pytest

from driftsonde.adapters.settings import SketcherSettings
from faults.load import WINDOW_MS
from faults.producing import wait_for
from faults.raw import ids_at, labels
from faults.stretch import Record, Stretch, restart_sketchers, sketchers, stretch
from faults.world import PARTITIONS, World

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

WINDOWS = 6
ROWS = 12  # of each window in each partition
CHUNK_MESSAGES = 16
HOUR_MS = 3_600_000

Predicted = dict[tuple[int, int], tuple[str, ...]]


def settings(join_index_rows: int) -> SketcherSettings:
    return SketcherSettings(
        chunk_messages=CHUNK_MESSAGES, join_index_rows=join_index_rows, idle_timeout_s=3_600.0
    )


def names(window: int, partition: int) -> tuple[str, ...]:
    return ids_at(partition, ROWS * (window + 1), "l")[ROWS * window :]


def predict(at: Stretch, rng: np.random.Generator, window: int) -> None:
    for partition in range(PARTITIONS):
        times_ms = at.start_ms + window * WINDOW_MS + np.sort(rng.integers(0, WINDOW_MS, ROWS))
        at.random_predictions(rng, names(window, partition), times_ms)


def label(at: Stretch, rng: np.random.Generator, window: int, rows: slice, delay_ms: int = 20_000) -> None:
    """Random labels of these rows of each partition, known `delay_ms` after the window's end."""
    for partition in range(PARTITIONS):
        ids = names(window, partition)[rows]
        known_ms = np.full(len(ids), at.start_ms + (window + 1) * WINDOW_MS + delay_ms)
        at.log.send(labels(at.load.model, ids, known_ms, rng.integers(0, 2, len(ids))))


def test_early_repeated_corrected_and_unknown(it: World, record_property: Record) -> None:
    at = stretch(it, "outspoken", day=1)
    rng = np.random.default_rng(1)
    with sketchers(it, settings(1_000_000)):
        for window in range(WINDOWS):
            label(at, rng, window, slice(0, 3))  # before their predictions
            predict(at, rng, window)
            label(at, rng, window, slice(2, 8))
            before = len(at.log.events)
            label(at, rng, window, slice(4, 6))
            for event in at.log.events[before:]:
                at.log.send(event)  # twice
            label(at, rng, window, slice(5, 7), delay_ms=40_000)  # corrected by a newer one
            label(at, rng, window, slice(6, 8), delay_ms=1_000)  # an older one changes nothing
            label(at, rng, window, slice(7, 9))  # as new as the one before: the later in the log counts
            unknown = tuple(f"nobody-{window}-{n}" for n in range(5))
            known_ms = np.full(5, at.start_ms + window * WINDOW_MS)
            at.log.send(labels(at.load.model, unknown, known_ms, np.zeros(5, dtype=np.int64)))
        at.log.heartbeat(at.start_ms + 20 * WINDOW_MS)
        record_property("recovered_s", at.wait())
        unmatched = "driftsonde_labels_unmatched_total"
        wait_for(lambda: it.metric("sketcher", unmatched) == 5 * WINDOWS)


@pytest.mark.parametrize(
    ("day", "index_rows"),
    [pytest.param(2, 1_000_000, marks=pytest.mark.slow), (3, 2 * PARTITIONS * ROWS)],
)
def test_after_the_sketchers_were_killed(
    it: World, record_property: Record, day: int, index_rows: int
) -> None:
    """What they had in memory is joined through the store; with the smaller index, so is what has left it."""
    at = stretch(it, f"forgetful-{day}", day=day)
    rng = np.random.default_rng(day)
    with sketchers(it, settings(index_rows)):
        for window in range(WINDOWS):
            predict(at, rng, window)
        label(at, rng, 0, slice(0, ROWS))
        for _ in range(
            CHUNK_MESSAGES
        ):  # no prediction is in an open chunk, which is read again after a restart
            at.log.heartbeat(at.start_ms + 20 * WINDOW_MS)
        at.wait()
        for window in range(WINDOWS):
            label(at, rng, window, slice(window, ROWS), delay_ms=30_000)
        restart_sketchers(it)
        record_property("recovered_s", at.wait())
        restart_sketchers(it)
        for window in range(WINDOWS):  # corrected hours later: the windows are restated
            label(at, rng, window, slice(0, ROWS - window), delay_ms=HOUR_MS)
        at.log.heartbeat(at.start_ms + 3 * HOUR_MS)
        at.wait()
        matched = 'driftsonde_labels_matched_total{source="store"}'
        wait_for(lambda: it.metric("sketcher", matched) > 0)
