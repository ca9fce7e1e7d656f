"""A store that refuses, is slow, breaks connections after it has written, has gone, or has a full disk: every service
waits it out, nothing is lost or counted twice, and the results are those of an undisturbed run."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from driftsonde.standalone.store_process import running_store
from faults.producing import wait_for
from faults.small_disk import no_small_disk, store_on_small_disk
from faults.trials import Trials
from faults.world import WORKERS
from required import need

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

PACE_S = 0.3  # a window of events in so many seconds

Record = Callable[[str, object], None]


def test_every_fault_in_turn(at: Trials, record_property: Record) -> None:
    # From this window on: the fault, and how many answers it strikes one of. Some windows lie within the outage.
    turns = {1: ("drop", 2), 5: ("refuse", 2), 9: ("cut", 2), 13: ("silence", 4), 16: ("away", 1)}
    with at.workers("in_turn") as door:
        at.world.wait_ready(*WORKERS)
        struck: dict[str, int] = {}

        def disturb(window: int) -> None:
            if window in turns:
                door.fault, door.every = turns[window]
            before = door.struck
            time.sleep(3.0 if door.fault == "away" else PACE_S if window < 20 else 0.0)
            if window + 1 in turns and door.fault != "none":
                wait_for(lambda: struck.get(door.fault, 0) + door.struck > before)
            struck[door.fault] = struck.get(door.fault, 0) + door.struck - before
            if window == 19:
                door.behave()

        at.send(disturb)
        record_property("recovered_s", at.check())
        record_property("struck", struck)
        assert all(struck[fault] > 0 for fault, _ in turns.values()), struck


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "every"), [("drop", 1), ("drop", 3), ("refuse", 1), ("cut", 2), ("silence", 3)]
)
def test_a_fault_again_and_again(at: Trials, record_property: Record, fault: str, every: int) -> None:
    """In every other window, from the start of the workers on."""
    with at.workers(f"{fault}_{every}") as door:

        def disturb(window: int) -> None:
            if window % 2 == 0:
                door.fault, door.every = fault, every
            time.sleep(3 * PACE_S)
            door.behave()

        at.send(disturb)
        record_property("recovered_s", at.check())
        record_property("struck", door.struck)
        assert door.struck > 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_gone_for_minutes(at: Trials, record_property: Record) -> None:
    with at.workers("gone") as door:
        at.world.wait_ready(*WORKERS)

        def disturb(window: int) -> None:
            if window == 3:
                door.fault = "away"
            time.sleep(15.0 if door.fault == "away" else PACE_S)
            if window == 15:
                door.behave()

        at.send(disturb)
        record_property("recovered_s", at.check())


@pytest.mark.slow
def test_the_store_itself_is_killed(at: Trials, tmp_path: Path, record_property: Record) -> None:
    """kill -9 of the process while it writes, twice; what it had acknowledged is there when it is back."""
    with ExitStack() as stack:
        process = stack.enter_context(running_store(tmp_path / "store"))
        reached = replace(at.world.settings.clickhouse, host=process.host, port=process.port)
        with at.workers("killed_store", reached):
            at.world.wait_ready(*WORKERS)

            def disturb(window: int) -> None:
                nonlocal process
                time.sleep(PACE_S)
                if window in (6, 14):
                    process.process.kill()
                    process.process.wait()
                    time.sleep(5)
                    process = stack.enter_context(running_store(tmp_path / "store", port=process.port))

            at.send(disturb)
            record_property("recovered_s", at.check())


@pytest.mark.slow
def test_a_full_disk(at: Trials, tmp_path: Path, record_property: Record) -> None:
    need(no_small_disk())
    with store_on_small_disk(tmp_path / "disk", size_mb=64) as small:
        reached = replace(at.world.settings.clickhouse, host=small.host, port=small.port)
        with at.workers("full_disk", reached):
            at.world.wait_ready(*WORKERS)

            def disturb(window: int) -> None:
                time.sleep(PACE_S)
                if 6 <= window < 16:
                    small.fill()  # again: a merge may have made room
                    at.world.store.query_rows("SELECT count() FROM positions")  # it can be read all the time
                elif window == 16:
                    small.empty()

            at.send(disturb)
            record_property("recovered_s", at.check())


@pytest.mark.slow
def test_sigterm_in_the_middle_of_a_flush(at: Trials, record_property: Record) -> None:
    """The store takes half a second to answer, so that each worker has an answer to wait for when it is stopped."""
    with at.workers("sigterm") as door:
        at.world.wait_ready(*WORKERS)
        door.delay_s = 0.5
        stopped: list[str] = []

        def disturb(window: int) -> None:
            time.sleep(PACE_S)
            if 4 <= window < 16 and window % 2 == 0:
                name = WORKERS[window // 2 % len(WORKERS)]
                at.world.stop(name)
                at.world.start(name)
                stopped.append(name)
            elif window == 16:
                door.behave()

        at.send(disturb)
        record_property("recovered_s", at.check())
        assert sorted(stopped) == sorted(WORKERS)
