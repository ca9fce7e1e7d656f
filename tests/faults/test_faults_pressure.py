"""A store that takes a tenth of what comes in: memory stays flat, the lag grows and is to be seen, and all is caught up
with once the store is quick again."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from driftsonde.adapters.settings import ArchiverSettings, SketcherSettings
from faults.door import fault_door
from faults.load import Load
from faults.world import WORKERS, World, world
from kafka.jars import missing
from kafka.launcher import kafka_cluster
from required import need

pytestmark = [pytest.mark.io]

LAG = "driftsonde_consumer_lag_records"
GROWTH_MB = 64  # beside the buffers, which are full: what the allocator and the client's own queues take

Record = Callable[[str, object], None]


@pytest.mark.parametrize(
    ("windows", "pause_s"),
    [
        pytest.param(16, 1.0, id="short", marks=pytest.mark.timeout(400)),
        pytest.param(240, 2.0, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(3_000)]),
    ],
)
def test_a_store_at_a_tenth_of_the_load(
    tmp_path: Path, record_property: Record, windows: int, pause_s: float
) -> None:
    need(missing())
    load = Load(windows=windows, rows=8_000)
    load.expected(), load.rows_sent()  # takes its time now, and not while the services catch up
    slow_from, slow_until = windows // 4, windows * 3 // 4
    with ExitStack() as stack:
        kafka = stack.enter_context(kafka_cluster())
        it = stack.enter_context(world(kafka, tmp_path))
        reached = it.settings.clickhouse
        door = stack.enter_context(fault_door(reached.host, reached.port))
        it.settings = replace(
            it.settings,
            clickhouse=replace(reached, port=door.port),
            archiver=ArchiverSettings(batch_mb=1, buffer_mb=2),
            # Full before the store is slow, in the long form: what grows then is not what is bounded by settings.
            sketcher=SketcherSettings(join_index_rows=100_000),
        )
        it.register(load)
        it.start(*WORKERS)
        it.wait_ready(*WORKERS)
        before_mb: dict[str, float] = {}
        most_mb: dict[str, float] = {}
        lags: list[float] = []
        began_s = time.monotonic()

        def press(window: int) -> None:
            time.sleep(pause_s)
            if window == slow_from:
                before_mb.update(memory_mb(it))
                door.bytes_per_s = door.passed_bytes / (time.monotonic() - began_s) / 10
            elif slow_from < window < slow_until:
                now_mb = memory_mb(it)
                most_mb.update({name: max(mb, most_mb.get(name, 0.0)) for name, mb in now_mb.items()})
                lags.append(it.metric("archiver", LAG))
            elif window == slow_until:
                door.behave()

        it.send(load, between=press)
        growth_mb = {name: round(most_mb[name] - before_mb[name], 1) for name in WORKERS}
        record_property("growth_mb", growth_mb)
        record_property("lags", lags)
        record_property("recovered_s", it.wait_until_caught_up(load, timeout_s=120 + 2 * windows))
        assert it.found(load) == load.expected()
        assert it.ended() == []
        assert max(growth_mb.values()) < GROWTH_MB
        assert lags[-1] > lags[0]
        assert lags[-1] > load.rows / 40
        wait_until_zero(lambda: it.metric("archiver", LAG))


def memory_mb(it: World) -> dict[str, float]:
    """Resident memory of each worker."""
    pids = {name: child.process.pid for name, child in it.workers.items()}
    statuses = {name: Path(f"/proc/{pid}/status").read_text(encoding="utf-8") for name, pid in pids.items()}
    return {name: int(text.partition("VmRSS:")[2].split()[0]) / 1_024 for name, text in statuses.items()}


def wait_until_zero(value: Callable[[], float], timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while (now := value()) != 0:
        assert time.monotonic() < deadline_s, f"still {now} after {timeout_s} s"
        time.sleep(0.5)
