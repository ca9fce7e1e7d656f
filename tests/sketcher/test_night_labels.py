"""Labels that come when all predictions have stopped are joined: the idle partition is told how far they wait for it."""

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
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record
from driftsonde.client import Monitor
from driftsonde.core.spec import MINUTE_MS, ModelSpec, Task
from driftsonde.standalone.cluster import Cluster

SPEC = ModelSpec("night", Task.BINARY, window_ms=MINUTE_MS, lateness_ms=MINUTE_MS, classes=("0", "1"))
ROWS = 400
WAIT_S = 60


@pytest.mark.io
def test_labels_do_not_wait_for_the_next_prediction(tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    ids = [str(row) for row in range(ROWS)]
    settings = Settings(sketcher=SketcherSettings(idle_timeout_s=1))
    with Cluster(tmp_path, ("sketcher", "judge", "archiver"), settings) as cluster:
        kafka = cluster.settings.kafka
        reader = CompactedReader(kafka, MODELS)
        reader.refresh()
        register(Producer(producer_config(kafka)), Codec((MODEL_RECORD,)), reader.state, [spec_record(SPEC)])
        reader.close()
        store = Store(cluster.settings.clickhouse)
        predicted_ms = np.full(ROWS, now_ms - 60 * MINUTE_MS)
        with Monitor(kafka.bootstrap_servers, "night", "1", task=Task.BINARY, strict=True) as monitor:
            monitor.log({"x": np.zeros(ROWS)}, np.ones(ROWS, dtype=int), ids=ids, timestamps=predicted_ms)
            monitor.label(ids, np.ones(ROWS, dtype=int), timestamps=np.full(ROWS, now_ms))
        deadline = time.monotonic() + WAIT_S
        labelled = 0
        while labelled < ROWS:
            assert time.monotonic() < deadline, (labelled, cluster.log_of("sketcher").read_text()[-2000:])
            time.sleep(0.5)
            labelled = sum(n for (n,) in store.query_rows("SELECT labelled FROM outcomes FINAL"))
    assert labelled == ROWS
