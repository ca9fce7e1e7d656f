"""A version that is registered and served at once: all its rows are judged against its baseline."""

import time
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.settings import Settings, SketcherSettings
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.client import Monitor
from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.spec import MINUTE_MS, ModelSpec, Task
from driftsonde.standalone.cluster import Cluster
from stream_examples import numeric

SPEC = ModelSpec("fresh", Task.BINARY, window_ms=MINUTE_MS, lateness_ms=0, classes=("0", "1"))
VERSIONS = tuple("12345")
ROWS = 40
WAIT_S = 60


@pytest.mark.io
def test_no_row_is_counted_before_its_version_is_known(tmp_path: Path) -> None:
    start_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS - 60 * MINUTE_MS
    x = np.linspace(0, 1, 500)
    settings = Settings(sketcher=SketcherSettings(idle_timeout_s=3_600))
    with Cluster(tmp_path, ("sketcher", "judge", "archiver"), settings) as cluster:
        kafka = cluster.settings.kafka
        producer, codec = Producer(producer_config(kafka)), Codec((MODEL_RECORD,))
        reader = CompactedReader(kafka, MODELS)
        reader.refresh()
        register(producer, codec, reader.state, [spec_record(SPEC)])
        for minute, version in enumerate(VERSIONS):
            rows = ReferenceRows(np.arange(500), (numeric("x", x.tolist()),), None)
            baseline = build_baseline(SPEC, version, rows, "a test")
            register(producer, codec, reader.state, [version_record(SPEC.name, version, baseline)])
            times = np.full(ROWS, start_ms + minute * MINUTE_MS)
            with Monitor(
                kafka.bootstrap_servers, SPEC.name, version, task=Task.BINARY, strict=True
            ) as monitor:
                ids = [f"{version}-{row}" for row in range(ROWS)]
                monitor.log({"x": x[:ROWS]}, np.ones(ROWS, dtype=int), ids=ids, timestamps=times)
                monitor.heartbeat(start_ms + (minute + 1) * MINUTE_MS)
        reader.close()
        store = Store(cluster.settings.clickhouse)
        deadline_s = time.monotonic() + WAIT_S
        found: list[tuple[object, ...]] = []
        wanted = [(version, ROWS) for version in VERSIONS]
        while found != wanted:
            assert time.monotonic() < deadline_s, (found, cluster.log_of("judge").read_text()[-2000:])
            time.sleep(0.5)
            found = store.query_rows(
                "SELECT version, sum(arraySum(counts)) FROM windows FINAL "
                "WHERE column = 'x' AND segment = '' GROUP BY version ORDER BY version"
            )
        store.close()
