"""Messages that are repeated, out of order, late by days, of skewed clocks, or poison; and a partition without any.

One set of workers for all tests: each has a model and a stretch of event time of its own, later than the one before.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from driftsonde.adapters.settings import SketcherSettings
from faults.load import COUNTRIES, START_MS, WINDOW_MS, Ints, Load
from faults.raw import RawLog, ids_at, labels, predictions
from faults.trials import ALONE
from faults.world import PARTITIONS, World, world
from kafka.jars import missing
from kafka.launcher import kafka_cluster
from oracle import Cells, cells_of
from required import need

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

DAY_MS = 86_400_000
CAUGHT_UP_S = 90.0

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need(missing())
    with kafka_cluster() as kafka, world(kafka, tmp_path_factory.mktemp("messages")) as made:
        made.settings = replace(
            made.settings, sketcher=SketcherSettings(chunk_messages=16, idle_timeout_s=1.0)
        )
        made.start(*ALONE)
        made.wait_ready(*ALONE)
        yield made
        assert made.ended() == []


@dataclass(frozen=True, slots=True)
class Stretch:
    """A model's log, and the event time at which it begins."""

    world: World
    load: Load
    log: RawLog
    start_ms: int

    def random_predictions(self, rng: np.random.Generator, ids: tuple[str, ...], times_ms: Ints) -> None:
        rows = len(ids)
        countries, predicted = rng.integers(0, len(COUNTRIES), rows), rng.integers(0, 2, rows)
        self.log.send(
            predictions(self.load.model, ids, times_ms, rng.normal(size=rows), countries, predicted)
        )

    def expected(self) -> Cells:
        return cells_of(self.log.events, self.load.baseline_edges())

    def wait(self, expected: Cells | None = None, timeout_s: float = CAUGHT_UP_S) -> float:
        """Until what is stored is what pandas computes; returns the seconds. Fails with the difference."""
        began_s = time.monotonic()
        expected = self.expected() if expected is None else expected
        while (found := self.world.found(self.load)) != expected:
            if time.monotonic() - began_s > timeout_s:
                assert self.world.ended() == []
                assert found == expected
            time.sleep(0.25)
        return time.monotonic() - began_s


def stretch(world: World, model: str, day: int) -> Stretch:
    load = Load(model=model)
    world.register(load)
    return Stretch(world, load, RawLog(world.settings.kafka, model), START_MS + day * DAY_MS)


def test_repeated_shuffled_late_and_of_skewed_clocks(it: World, record_property: Record) -> None:
    at = stretch(it, "unruly", day=10)
    rng = np.random.default_rng(3)
    skews_ms = (-90_000, 0, 40_000)  # one of three producers each
    for partition in range(PARTITIONS):
        ids = ids_at(partition, 17 * 10, "u")
        messages = [
            (ids[10 * n : 10 * n + 10], at.start_ms + n // 2 * WINDOW_MS + skews_ms[n % 3]) for n in range(16)
        ]
        messages.append((ids[160:], at.start_ms - 3 * DAY_MS))
        for start in range(0, 17, 4):
            block = messages[start : start + 4]
            for number in rng.permutation(len(block)).tolist():
                names, from_ms = block[number]
                at.random_predictions(rng, names, from_ms + rng.integers(0, WINDOW_MS, len(names)))
    sent = list(at.log.events)
    for event in rng.choice(len(sent), 30, replace=False).tolist():
        at.log.send(sent[event])
    known_ms = at.start_ms + 12 * WINDOW_MS
    for event in sent:
        values = rng.integers(0, 2, len(event.ids))
        at.log.send(labels(at.load.model, event.ids, np.full(len(event.ids), known_ms), values))
    for label in rng.choice(len(sent), 30, replace=False).tolist():
        at.log.send(at.log.events[len(sent) + 30 + label])
    at.log.heartbeat(at.start_ms + 30 * WINDOW_MS)
    record_property("recovered_s", at.wait())


def test_an_idle_partition_holds_nothing_up(it: World, record_property: Record) -> None:
    """Nor does a topic of labels in which nothing comes at all. Nobody but the sketcher sends heartbeats."""
    at = stretch(it, "quiet", day=20)
    rng = np.random.default_rng(4)
    for window in range(4):
        for partition in set(range(PARTITIONS)) - {5}:
            ids = ids_at(partition, 10 * (window + 1), "q")[10 * window :]
            times_ms = at.start_ms + window * WINDOW_MS + rng.integers(0, WINDOW_MS, 10)
            at.random_predictions(rng, ids, times_ms)
    expected = at.expected()
    # One row in one partition is what tells that time goes on.
    at.random_predictions(rng, ids_at(0, 41, "q")[40:], np.array([at.start_ms + 7 * WINDOW_MS]))
    record_property("recovered_s", at.wait(expected=expected))
