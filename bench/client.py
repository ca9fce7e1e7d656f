"""The client: what `Monitor.log` costs the serving thread, with Apache Kafka there and the background thread at work."""

import time
from collections.abc import Callable

import numpy as np

from bench.figures import Recorder, Scale, Target
from bench.machine import own_peak_mb
from bench.stage import stage
from bench.workload import COUNTRIES, Workload
from driftsonde.client import Monitor

_BUFFER_ROWS = 2_000_000
_FLUSH_S = 60.0
_PERCENTILES = (50, 99)


def measure(scale: Scale, recorder: Recorder) -> None:
    workload = Workload(messages=0)
    with stage(workload.partitions) as here:
        here.register(workload)
        for name, rows, calls, bound_us in (
            ("log of a batch, a row", workload.rows, scale.pick(200, 1_000), 1.0),
            ("log of a single row", 1, scale.pick(20_000, 100_000), 10.0),
        ):
            monitor = Monitor(
                here.settings.kafka.bootstrap_servers,
                workload.model(0),
                "1",
                task="binary",
                buffer_rows=_BUFFER_ROWS,
            )
            with monitor:
                log = _batch(monitor, workload) if rows > 1 else _row(monitor, workload)
                taken_us = _time_calls(log, calls) / rows
                monitor.flush(_FLUSH_S)
                stats = monitor.stats
            middle, slowest = np.percentile(taken_us, _PERCENTILES)
            recorder.add(
                name,
                float(taken_us.mean()),
                "µs",
                rows=calls * rows,
                columns=workload.columns,
                peak_mb=own_peak_mb(),
                target=Target(bound_us, at_least=False),
                note=f"mean; median {middle:.3g}, p99 {slowest:.3g}; {stats.dropped} dropped",
            )


def _time_calls(log: Callable[[], object], calls: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Microseconds of each call, back to back."""
    for _ in range(max(10, calls // 100)):
        log()
    marks_ns = np.empty(calls + 1, dtype=np.int64)
    marks_ns[0] = time.perf_counter_ns()
    for call in range(1, calls + 1):
        log()
        marks_ns[call] = time.perf_counter_ns()
    return np.diff(marks_ns) / 1_000


def _batch(monitor: Monitor, workload: Workload) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    features = {f"n{i}": column for i, column in enumerate(workload.values(rng, workload.rows))}
    scores = rng.random(workload.rows)
    predicted = (scores > 0.5).astype(np.int64)
    segments = {"country": np.array(COUNTRIES)[rng.integers(0, len(COUNTRIES), workload.rows)]}
    return lambda: monitor.log(features, predicted, score=scores, segments=segments)


def _row(monitor: Monitor, workload: Workload) -> Callable[[], object]:
    row = {f"n{i}": i + 0.25 for i in range(workload.numeric)}
    segments = {"country": COUNTRIES[0]}
    return lambda: monitor.log(row, 1, score=0.75, segments=segments)
