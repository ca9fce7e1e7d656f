"""A model, and the stretch of event time in which a test sends its events: several tests can share the workers."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from driftsonde.adapters.settings import SketcherSettings
from driftsonde.core.events import LabelBatch, PredictionBatch
from faults.load import COUNTRIES, START_MS, Ints, Load
from faults.raw import RawLog, predictions
from faults.world import World
from oracle import Cells, cells_of

DAY_MS = 86_400_000
CAUGHT_UP_S = 180.0
SKETCHERS = ("sketcher-1", "sketcher-2")

Record = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A model's log, and the event time at which it begins."""

    world: World
    load: Load
    log: RawLog
    start_ms: int

    def random_predictions(self, rng: np.random.Generator, ids: tuple[str, ...], times_ms: Ints) -> None:
        """One message."""
        rows = len(ids)
        countries, predicted = rng.integers(0, len(COUNTRIES), rows), rng.integers(0, 2, rows)
        x = rng.normal(size=rows)
        self.log.send(predictions(self.load.model, ids, times_ms, x, countries, predicted))

    def expected(self) -> Cells:
        """Predictions that were sent again count once; of labels the last counts, sent again or not."""
        once: dict[int, PredictionBatch | LabelBatch] = {}
        for number, event in enumerate(self.log.events):
            once.setdefault(id(event) if isinstance(event, PredictionBatch) else number, event)
        return cells_of(list(once.values()), self.load.baseline_edges())

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


@contextmanager
def sketchers(world: World, settings: SketcherSettings) -> Iterator[None]:
    """Two sketchers with these settings, stopped at the end; the group knows them by their names, so whoever starts
    them again after a kill doesn't wait for the old ones."""
    before = world.settings
    world.settings = replace(before, sketcher=settings)
    world.start(*SKETCHERS, named=True)
    world.wait_ready(*SKETCHERS)
    try:
        yield
        for name in SKETCHERS:
            world.stop(name)
    finally:
        for name in world.workers.keys() & set(SKETCHERS):
            world.kill(name)
        world.settings = before


def restart_sketchers(world: World) -> None:
    """kill -9 of both; they begin again."""
    for name in SKETCHERS:
        world.kill(name)
    world.start(*SKETCHERS, named=True)
    world.wait_ready(*SKETCHERS)


def steps_of_start(world: World, name: str, since: datetime) -> dict[str, float]:
    """Seconds of what a worker's log says of its first start since then: until it asked its group for partitions, until it
    had them, until it had found their positions and was ready."""
    steps = {
        "joining the group": "process_s",
        "partitions of the group": "group_s",
        "partitions assigned": "read_s",
    }
    seconds: dict[str, float] = {}
    before = since
    for line in world.workers[name].log.read_text(encoding="utf-8").splitlines():
        if not line.startswith("{"):
            continue
        entry = json.loads(line)
        at, step = datetime.fromisoformat(entry["time"]), steps.get(entry["message"])
        if at >= since and step and step not in seconds:
            seconds[step] = round((at - before).total_seconds(), 1)
            before = at
    return seconds


def stretch(world: World, model: str, day: int) -> Stretch:
    """Register a model whose events begin `day` days after those of the others."""
    load = Load(model=model)
    world.register(load)
    return Stretch(world, load, RawLog(world.settings.kafka, model), START_MS + day * DAY_MS)
