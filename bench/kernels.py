"""The inner loops, in this process: decode, fold, merge, and each statistic."""

import numpy as np

from bench.figures import Recorder, Scale
from bench.machine import own_peak_mb
from bench.timing import best_seconds
from bench.workload import Workload
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import NumericColumn, PredictionBatch
from driftsonde.core.grid import cells_of
from driftsonde.core.inputs import layout_of, sketch_rows
from driftsonde.core.sketch import add

_FOLDED_MESSAGES = 16
_GROUPS = 8


def measure(scale: Scale, recorder: Recorder) -> None:
    rounds = scale.pick(3, 9)
    _decode(rounds, recorder)
    _fold(rounds, recorder)


def _decode(rounds: int, recorder: Recorder) -> None:
    workload = Workload(messages=1)
    codec = Codec(EVENT_TYPES)
    ((_, batch),) = workload.batches()
    payload = codec.encode(batch)
    best = best_seconds(
        {"decode": lambda: codec.decode(payload), "encode": lambda: codec.encode(batch)}, rounds
    )
    for name, seconds in best.items():
        recorder.add(
            name,
            workload.rows / seconds,
            "rows/s",
            rows=workload.rows,
            columns=workload.columns,
            message_bytes=len(payload),
            peak_mb=own_peak_mb(),
        )


def _fold(rounds: int, recorder: Recorder) -> None:
    workload = Workload(messages=_FOLDED_MESSAGES)
    batches = [batch for _, batch in workload.batches()]
    layout = layout_of(workload.baseline("1"))
    rows = sum(len(batch.ids) for batch in batches)
    rng = np.random.default_rng(0)
    whole = np.zeros(rows, dtype=np.int32)
    segment = rng.integers(1, _GROUPS, rows, dtype=np.int32)
    sums = np.zeros((_GROUPS, layout.sums))
    sketches = sketch_rows(layout, batches, [whole, segment], sums)
    values = _values(batches[0])
    calls = {
        "fold, a row in two groups": lambda: sketch_rows(layout, batches, [whole, segment], sums),
        "merge two sketches": lambda: add(sketches[0], sketches[1]),
        "grid cells": lambda: cells_of(values),
    }
    best = best_seconds(calls, rounds)
    common = {"columns": workload.columns, "peak_mb": own_peak_mb()}
    fold_s = best["fold, a row in two groups"]
    recorder.add("fold, a row in two groups", rows / fold_s, "rows/s", rows=rows, **common)
    recorder.add("fold, a value", fold_s / rows / len(layout.references) * 1e9, "ns", rows=rows, **common)
    recorder.add("merge two sketches", best["merge two sketches"] * 1e6, "µs", **common)
    recorder.add("grid cells, a value", best["grid cells"] / values.size * 1e9, "ns", **common)


def _values(batch: PredictionBatch) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.stack([column.values for column in batch.columns if isinstance(column, NumericColumn)])
