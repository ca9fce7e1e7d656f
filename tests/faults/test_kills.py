"""kill -9 of any worker at any moment, and workers that come and go: the results are those of an undisturbed run."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.load import Load
from faults.on_call import on_call
from faults.trials import Trials, trials
from faults.world import CONTROLLERS, SERVICES, WORKERS
from kafka.jars import missing
from required import need

pytestmark = [pytest.mark.io, pytest.mark.timeout(900)]

Record = Callable[[str, object], None]

PACE_S = 0.3  # a window of events in so many seconds


def kill_workers(at: Trials, kills: int, directory: Path, record_property: Record) -> None:
    """Of the four services in turn, one of its two workers, at a random moment in a random window."""
    moments = random.Random(11)
    victims = set(moments.sample(range(at.load.windows), kills))
    killed: list[str] = []
    with (
        on_call(directory) as told,
        at.workers("killed", names=(*WORKERS, *CONTROLLERS), configured=told.told_by),
    ):
        it = at.world
        it.wait_ready(*WORKERS, *CONTROLLERS)

        def disturb(window: int) -> None:
            if window in victims:
                services = (*SERVICES, "controller")
                name = f"{services[len(killed) % len(services)]}-{moments.choice((1, 2))}"
                time.sleep(moments.random())
                it.kill(name)
                it.start(name)
                killed.append(name)
            time.sleep(PACE_S)

        told.receiver.answer = lambda _: (500 if moments.random() < 0.3 else 200, {})
        at.send(disturb)
        assert len(killed) == kills
        record_property("recovered_s", at.check())
        record_property("repeated_notices", told.check(it.settings.kafka, at.load.model))
        record_property("notices", len({message.id for message in told.receiver.received}))
        sent = it.signal_ids()
        record_property("signals", len(set(sent)))
        record_property("signals_sent_twice", len(sent) - len(set(sent)))


def test_killed_workers_lose_and_repeat_nothing(at: Trials, tmp_path: Path, record_property: Record) -> None:
    kill_workers(at, 6, tmp_path, record_property)


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_two_hundred_kills(tmp_path: Path, record_property: Record) -> None:
    need(missing())
    with trials(Load(windows=400, rows=500), tmp_path) as at:
        kill_workers(at, 200, tmp_path, record_property)


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_workers_come_and_go(at: Trials, record_property: Record, times: int) -> None:
    thirds = [f"{service}-3" for service in SERVICES]
    every = at.load.windows // times
    with at.workers(f"come_and_go_{times}"):
        at.world.wait_ready(*WORKERS)

        def disturb(window: int) -> None:
            time.sleep(PACE_S)
            if window % every == every // 4:
                at.world.start(*thirds)
                at.world.wait_ready(*thirds)
            elif window % every == every * 3 // 4:
                for name in thirds:
                    at.world.workers[name].terminate()
                for name in thirds:
                    at.world.stop(name)

        at.send(disturb)
        record_property("recovered_s", at.check())


@pytest.mark.parametrize("how", [pytest.param("stop", marks=pytest.mark.slow), "kill"])
def test_a_broker_that_restarts(at: Trials, record_property: Record, how: str) -> None:
    with at.workers(f"broker_{how}"):
        at.world.wait_ready(*WORKERS)

        def disturb(window: int) -> None:
            time.sleep(PACE_S / 2)
            if window == at.load.windows // 2:
                getattr(at.world.kafka, how)(1)
                time.sleep(1.5)
                at.world.kafka.start(1)

        at.send(disturb)
        record_property("recovered_s", at.check())


@pytest.mark.slow
def test_one_of_three_brokers_is_lost(tmp_path: Path, record_property: Record) -> None:
    """Each in turn, and with it the coordinators of the groups."""
    need(missing())
    with trials(Load(windows=40, rows=1_500), tmp_path, nodes=3) as at, at.workers("one_lost"):
        at.world.wait_ready(*WORKERS)

        def disturb(window: int) -> None:
            time.sleep(0.4)
            if window in (6, 18, 30):
                at.world.kafka.kill(1 + window // 12)
            elif window in (14, 26, 38):
                at.world.kafka.start(1 + (window - 8) // 12)
                at.world.kafka.wait_until_up()

        at.send(disturb)
        record_property("recovered_s", at.check())
