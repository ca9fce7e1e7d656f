"""How long it takes to stop while everything that a worker needs is away, and to start with a long history."""

import time
from datetime import UTC, datetime

import numpy as np
import pytest

from bench.machine import cpu_seconds
from driftsonde.adapters.service import STOP_WITHIN_S
from driftsonde.adapters.settings import SketcherSettings
from faults.load import WINDOW_MS
from faults.raw import ids_at, labels
from faults.stretch import SKETCHERS, Record, restart_sketchers, sketchers, steps_of_start, stretch
from faults.trials import Trials
from faults.world import CONTROLLERS, PARTITIONS, SERVICES, WORKERS, World

pytestmark = [pytest.mark.io, pytest.mark.timeout(600)]

# For the process and what it reads, alone on a machine; an instance that is known by its name doesn't wait for its group.
SERVING_S = 10.0
BUSY = 6.0
CPU_S = 5.0  # of one worker: what it computes, however busy the machine is


@pytest.mark.slow
def test_a_worker_that_is_stopped_in_an_outage_ends_in_time(at: Trials, record_property: Record) -> None:
    """The store takes connections and never answers, the broker is gone; what is not stored is read again after it."""
    with at.workers("stopped_in_outage", names=(*WORKERS, *CONTROLLERS)) as door:
        it = at.world
        it.wait_ready(*WORKERS, *CONTROLLERS)
        seconds: dict[str, float] = {}

        def disturb(window: int) -> None:
            time.sleep(0.2)
            if window != 12:
                return
            door.fault = "silence"
            time.sleep(1.0)
            it.kafka.kill(1)
            time.sleep(3.0)
            names = [f"{service}-1" for service in (*SERVICES, "controller")]
            began_s = time.monotonic()
            for name in names:
                it.workers[name].terminate()
            for name in names:
                it.stop(name)
                seconds[name] = round(time.monotonic() - began_s, 1)
            it.kafka.start(1)
            it.kafka.wait_until_up()
            door.behave()
            it.start(*names)

        at.send(disturb)
        record_property("stopped_in_s", seconds)
        assert max(seconds.values()) < STOP_WITHIN_S + 15.0  # a busy machine
        record_property("recovered_s", at.check())


@pytest.mark.parametrize(
    "windows", [pytest.param(60, id="short"), pytest.param(2_000, id="long", marks=pytest.mark.slow)]
)
def test_a_worker_is_serving_soon_whatever_the_history(
    it: World, record_property: Record, windows: int
) -> None:
    """All labels wait for their predictions or are joined late, every chunk is closed; both sketchers are killed."""
    at = stretch(it, f"historic-{windows}", day=100 + windows // 100)
    rng = np.random.default_rng(9)
    with sketchers(it, SketcherSettings(chunk_messages=16, idle_timeout_s=3_600.0)):
        for partition in range(PARTITIONS):
            ids = ids_at(partition, 10 * windows, "h")
            for window in range(windows):
                names = ids[10 * window : 10 * window + 10]
                from_ms = at.start_ms + window * WINDOW_MS
                at.random_predictions(rng, names, from_ms + rng.integers(0, WINDOW_MS, 10))
                known_ms = np.full(10, from_ms + 2 * WINDOW_MS)
                at.log.send(labels(at.load.model, names, known_ms, rng.integers(0, 2, 10)))
        at.log.heartbeat(at.start_ms + (windows + 10) * WINDOW_MS)
        at.wait()
        began = datetime.now(UTC)
        restart_sketchers(it)
        serving_s = (datetime.now(UTC) - began).total_seconds()
        cpu_s = {name: round(cpu_seconds([it.workers[name].process.pid]), 1) for name in SKETCHERS}
        steps = {name: steps_of_start(it, name, began) for name in SKETCHERS}
        record_property("serving_again_s", serving_s)
        record_property("steps", steps)
        record_property("cpu_s", cpu_s)
        assert max(cpu_s.values()) < CPU_S
        assert serving_s - max(step["group_s"] for step in steps.values()) < BUSY * SERVING_S
        (name,) = ids_at(0, 10 * windows + 1, "h")[-1:]
        at.random_predictions(rng, (name,), np.array([at.start_ms + (windows + 11) * WINDOW_MS]))
        at.log.heartbeat(at.start_ms + (windows + 20) * WINDOW_MS)
        record_property("result_after_s", at.wait())
