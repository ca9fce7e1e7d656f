"""Everything at once on Apache Kafka, on all cores: how many rows a second come through, labels included."""

import os
from dataclasses import replace

import numpy as np

from bench.figures import Recorder, Scale
from bench.latency import measure_latency
from bench.machine import peak_mb
from bench.sketcher import CHUNK_MESSAGES
from bench.stage import Meter, Stage, stage
from bench.workload import Workload
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import CategoricalColumn, LabelBatch, PredictionBatch, Role

SERVICES = ("sketcher", "judge", "archiver", "controller")
_LABELLED = 10  # one row in so many has a label
_TIMEOUT_S = 180.0


def measure(scale: Scale, recorder: Recorder) -> None:
    unit = CHUNK_MESSAGES * Workload(messages=0).partitions
    workload = Workload(messages=scale.pick(1, 4) * unit)
    rate = _measure_rate(workload, recorder)
    measure_latency(rate / 2, scale.pick(10, 90), recorder)


def _measure_rate(workload: Workload, recorder: Recorder) -> float:
    """Rows a second, from the first message sent to the last window judged and the last row archived."""
    predictions, labels = _messages(workload)
    with stage(workload.partitions, share_cores=True) as here:
        here.register(workload)
        children = [here.start(service) for service in SERVICES]
        meter = Meter(tuple(child.process.pid for child in children))
        here.preload(predictions)
        here.preload(labels, LABELS.name)
        here.close_windows(workload.end_ms, (PREDICTIONS.name, LABELS.name))
        here.wait_until(lambda: _is_done(here, workload), "the last window", _TIMEOUT_S)
        read = meter.read()
        servers_mb = peak_mb([here.store_process.process.pid])
    rows = workload.total_rows
    recorder.add(
        "all services, sustained",
        rows / read.elapsed_s,
        "rows/s",
        rows=rows,
        columns=workload.columns,
        message_bytes=sum(len(payload) for _, payload in predictions) // len(predictions),
        cores=len(os.sched_getaffinity(0)),
        cpu_s=read.cpu_s,
        peak_mb=read.peak_mb,
        note=f"producer, broker and engine ({servers_mb:.0f} MB) on the same cores; one row in {_LABELLED} labelled; "
        f"{read.describe(rows)}",
    )
    return rows / read.elapsed_s


def _messages(workload: Workload) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
    """The predictions' messages and, on the same partitions, those of their labels."""
    codec = Codec(EVENT_TYPES)
    predictions: list[tuple[int, bytes]] = []
    labels: list[tuple[int, bytes]] = []
    for partition, batch in workload.batches():
        predictions.append((partition, codec.encode(batch)))
        labels.append((partition, codec.encode(_labels_of(batch))))
    return predictions, labels


def _labels_of(batch: PredictionBatch) -> LabelBatch:
    """Every tenth row of the batch was predicted right."""
    rows = slice(None, None, _LABELLED)
    (predicted,) = (c for c in batch.columns if c.role is Role.PREDICTION)
    assert isinstance(predicted, CategoricalColumn)
    column = replace(predicted, name="label", codes=np.ascontiguousarray(predicted.codes[rows]))
    return LabelBatch(batch.model, batch.ids[rows], batch.timestamps_ms[rows], column)


def _is_done(here: Stage, workload: Workload) -> bool:
    judged = here.store.query_rows(
        "SELECT uniq(window_start) FROM metrics_as_judged WHERE metric = 'accuracy' AND segment = ''"
    )[0][0]
    archived = here.positions("archiver") >= workload.messages
    return archived and int(judged) >= workload.windows
