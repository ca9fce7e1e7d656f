"""kill -9 of any worker at any moment, and workers that come and go: the results are those of an undisturbed run."""

import random
import time

import pytest

from faults.load import Load
from faults.world import SERVICES, WORKERS, World, undisturbed_digests

pytestmark = pytest.mark.io

# Far more than it takes: a machine that is busy with other things is not a failure.
CATCH_UP_S = 300.0


def check(world: World, load: Load) -> None:
    """Caught up, what is stored is what NumPy computes, and an undisturbed run over the same log stores the same."""
    world.wait_until_caught_up(load, timeout_s=CATCH_UP_S)
    assert world.found(load) == load.expected()
    ids = world.signal_ids()
    assert world.count("SELECT count() FROM signals FINAL") == len(set(ids)) > 0
    disturbed = world.digests()
    world.stop_all()
    assert undisturbed_digests(world, load) == disturbed


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("windows", "kills"),
    [
        pytest.param(40, 6, id="short"),
        pytest.param(400, 100, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(3_000)]),
    ],
)
def test_killed_workers_lose_and_repeat_nothing(one_node: World, windows: int, kills: int) -> None:
    load = Load(windows=windows, rows=2_000)
    moments = random.Random(11)
    victims = dict.fromkeys(sorted(moments.sample(range(windows), min(kills, windows))))
    one_node.register(load)
    one_node.start(*WORKERS)
    one_node.wait_ready(*WORKERS)

    def disturb(window: int) -> None:
        if window in victims:
            name = f"{SERVICES[len(killed) % len(SERVICES)]}-{moments.choice((1, 2))}"
            time.sleep(moments.random())
            one_node.kill(name)
            one_node.start(name)
            killed.append(name)
        time.sleep(0.4)

    killed: list[str] = []
    one_node.send(load, between=disturb)
    assert len(killed) == kills
    check(one_node, load)


@pytest.mark.timeout(900)
def test_workers_come_and_go(one_node: World) -> None:
    load = Load(windows=40, rows=2_000)
    one_node.register(load)
    one_node.start(*WORKERS)
    one_node.wait_ready(*WORKERS)
    thirds = [f"{service}-3" for service in SERVICES]

    def disturb(window: int) -> None:
        time.sleep(0.4)
        if window in (8, 24):
            one_node.start(*thirds)
            one_node.wait_ready(*thirds)
        elif window in (16, 32):
            for name in thirds:
                one_node.stop(name)

    one_node.send(load, between=disturb)
    check(one_node, load)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_broker_that_restarts(one_node: World, how: str) -> None:
    load = Load(windows=40, rows=2_000)
    one_node.register(load)
    one_node.start(*WORKERS)
    one_node.wait_ready(*WORKERS)

    def disturb(window: int) -> None:
        time.sleep(0.2)
        if window == 15:
            getattr(one_node.kafka, how)(1)
            time.sleep(3)
            one_node.kafka.start(1)

    one_node.send(load, between=disturb)
    assert one_node.ended() == []
    check(one_node, load)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_of_three_brokers_is_lost(three_nodes: World) -> None:
    load = Load(windows=40, rows=2_000)
    three_nodes.register(load)
    three_nodes.start(*WORKERS)
    three_nodes.wait_ready(*WORKERS)

    def disturb(window: int) -> None:
        time.sleep(0.2)
        if window == 10:
            three_nodes.kafka.kill(2)
        elif window == 30:
            three_nodes.kafka.start(2)

    three_nodes.send(load, between=disturb)
    assert three_nodes.ended() == []
    check(three_nodes, load)
