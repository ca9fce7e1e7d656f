"""A store that refuses, is slow, breaks connections after it has written, has gone, or has a full disk: every service
waits it out, nothing is lost or counted twice, and the results are those of an undisturbed run."""

import time
from collections.abc import Callable, Iterator

import pytest

from faults.load import Load
from faults.trials import Trials, trials
from faults.world import WORKERS
from kafka.jars import missing
from required import need

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

LOAD = Load(windows=24, rows=1_500)

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    need(missing())
    with trials(LOAD, tmp_path_factory.mktemp("store-faults")) as made:
        yield made


def test_every_fault_in_turn(at: Trials, record_property: Record) -> None:
    # From this window on: the fault, and how many answers it strikes one of. Some windows lie within the outage.
    turns = {2: ("drop", 2), 6: ("refuse", 2), 10: ("cut", 2), 14: ("silence", 4), 16: ("away", 1)}
    with at.workers("in_turn") as door:
        at.world.wait_ready(*WORKERS)
        struck: dict[str, int] = {}

        def disturb(window: int) -> None:
            if window in turns:
                door.fault, door.every = turns[window]
            before = door.struck
            time.sleep(4.0 if door.fault == "away" else 0.5)
            struck[door.fault] = struck.get(door.fault, 0) + door.struck - before
            if window == 21:
                door.behave()

        at.send(disturb)
        record_property("recovered_s", at.check())
        record_property("struck", struck)
        assert all(struck[fault] > 0 for fault, _ in turns.values()), struck
