"""A version registered without a baseline gets one from its first rows, and drift is found against it."""

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.settings import Settings, SketcherSettings
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import MODEL_RECORD, read_catalogue, register, spec_record
from driftsonde.client import Monitor
from driftsonde.core.baseline import NumericReference
from driftsonde.core.spec import MINUTE_MS, ModelSpec, Task
from driftsonde.standalone.cluster import Cluster

SPEC = ModelSpec(
    "young", Task.BINARY, window_ms=MINUTE_MS, lateness_ms=0, classes=("0", "1"), baseline_rows=1_000
)
WAIT_S = 60


@pytest.mark.io
def test_a_version_without_a_baseline_gets_one_from_its_first_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    start_ms = (time.time_ns() // 1_000_000 // MINUTE_MS - 60) * MINUTE_MS
    codec = Codec((MODEL_RECORD,))
    with Cluster(
        tmp_path, ("sketcher", "judge", "archiver"), Settings(sketcher=SketcherSettings(idle_timeout_s=1))
    ) as cluster:
        kafka = cluster.settings.kafka
        reader = CompactedReader(kafka, MODELS)
        reader.refresh()
        register(Producer(producer_config(kafka)), codec, reader.state, [spec_record(SPEC)])
        store = Store(cluster.settings.clickhouse)
        with Monitor(kafka.bootstrap_servers, "young", "1", task=Task.BINARY, strict=True) as monitor:
            first = send(monitor, rng, start_ms, windows=3, mean=0.0)
            monitor.heartbeat(start_ms + 3 * MINUTE_MS)
            deadline = time.monotonic() + WAIT_S
            while (baseline := read_catalogue(reader.state, codec).baseline("young", "1")) is None:
                assert time.monotonic() < deadline, cluster.log_of("judge").read_text()[-2000:]
                time.sleep(0.5)
                reader.refresh()
            # The sketcher looks for new registrations every two seconds.
            time.sleep(5)
            send(monitor, rng, start_ms + 10 * MINUTE_MS, windows=1, mean=0.0)
            send(monitor, rng, start_ms + 11 * MINUTE_MS, windows=1, mean=3.0)
            monitor.heartbeat(start_ms + 12 * MINUTE_MS)
        psi: list[tuple[float, bool]] = []
        while len(psi) < 2:
            assert time.monotonic() < deadline + WAIT_S, cluster.log_of("judge").read_text()[-2000:]
            time.sleep(0.5)
            psi = [
                (value, breached)
                for value, breached in store.query_rows(
                    "SELECT value, breached FROM metrics FINAL WHERE column = 'x' AND metric = 'psi' "
                    "ORDER BY window_start"
                )
            ]
        reader.close()
    assert baseline.lineage.provisional
    assert baseline.rows == SPEC.baseline_rows
    (x,) = (column for column in baseline.columns if column.name == "x")
    assert isinstance(x, NumericReference)
    assert x.total == pytest.approx(first[: SPEC.baseline_rows].sum())
    assert psi[0][0] < 0.1
    assert psi[1][0] > 1
    assert [breached for _, breached in psi] == [False, True]


def send(
    monitor: Monitor, rng: np.random.Generator, start_ms: int, windows: int, mean: float
) -> npt.NDArray[np.float64]:
    """500 rows a window, in the order of time; returns their values of x."""
    rows = 500 * windows
    times_ms = start_ms + np.arange(rows) * (MINUTE_MS // 500)
    x = rng.normal(mean, 1.0, rows)
    monitor.log(
        {"x": x}, (x > 0).astype(int), ids=[f"{start_ms}-{row}" for row in range(rows)], timestamps=times_ms
    )
    return x
