"""What a row costs as models, partitions, workers and history grow; what an open window and a model take in memory."""

import gc
import os
import signal
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.figures import Recorder, Scale, Target
from bench.folding import messages_of, plan_of, sketches_of
from bench.judge import SEGMENTS, SOURCE, chunk_sketch, new_pipeline, sketch_of
from bench.machine import own_peak_mb
from bench.sketcher import CHUNK_MESSAGES, fold_all, measured
from bench.stage import Meter, stage
from bench.workload import START_MS, VERSIONS, WINDOW_MS, Workload, payloads
from driftsonde.core.chunks import Progress
from driftsonde.core.judging import ModelState
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch
from driftsonde.core.window import Window, WindowKey

_PARTITIONS = 12
_KEPT_WINDOWS = 10_000  # what the judge keeps in memory unless told otherwise
_TIMED_WINDOWS = 30
_MEASURED_WINDOWS = 200
_FOLDED_S = 150.0

# Windows of a minute.
_HISTORIES = (("1 hour", 60), ("1 day", 1_440), ("7 days", 10_080), ("30 days", 43_200))


def measure(scale: Scale, recorder: Recorder) -> None:
    _history(recorder)
    _memory(recorder)
    chunks = scale.pick(1, 3)
    base = Workload(messages=chunks * CHUNK_MESSAGES * _PARTITIONS, partitions=_PARTITIONS, rows=500)
    _sketcher(recorder, base, "models", "partitions")
    for models in (10, 100):
        _sketcher(recorder, replace(base, models=models), "models")
    for partitions in (1, 4):
        _sketcher(recorder, replace(base, partitions=partitions), "partitions")
    for workers in (1, 2):
        _workers(recorder, base, workers)


def _sketcher(recorder: Recorder, workload: Workload, *curves: str) -> None:
    """A whole run of one worker, a point of each of the curves. The cost is of its processor, which is what has to stay flat."""
    with stage(workload.partitions) as here:
        message_bytes = here.preload_workload(workload)
        read = fold_all(here, workload.messages, workers=1)
    rows = workload.total_rows
    for curve in curves:
        at = {"models": workload.models, "partitions": workload.partitions}[curve]
        recorder.add(
            f"sketcher: a row, {at} {curve}",
            read.cpu_s / rows * 1e6,
            "µs",
            rows=rows,
            columns=workload.columns,
            message_bytes=message_bytes,
            cpu_s=read.cpu_s,
            peak_mb=read.peak_mb,
            note=f"{rows / read.elapsed_s:,.0f} rows/s; {workload.partitions} partitions, {workload.models} models",
            curve=curve,
            at=at,
        )


def _workers(recorder: Recorder, workload: Workload, workers: int) -> None:
    """Broker and store are on the same cores, so on two of them two workers have less than two. The first would be done before
    the second has started: they are held until all is there."""
    messages = list(payloads(workload))
    with stage(workload.partitions, share_cores=True) as here:
        here.register(workload)
        pids = [here.start("sketcher").process.pid for _ in range(workers)]
        with _held(pids):
            count, total_bytes = here.preload(messages)
            meter = Meter(tuple(pids))
        here.wait_until(lambda: here.positions("sketcher") >= count, "the sketcher's positions", _FOLDED_S)
        read = meter.read()
    rows = workload.total_rows
    recorder.add(
        f"sketcher: {workers} worker{'s' if workers > 1 else ''}",
        rows / read.elapsed_s,
        "rows/s",
        rows=rows,
        columns=workload.columns,
        message_bytes=total_bytes // count,
        cores=len(os.sched_getaffinity(0)),
        **measured(read, rows),
        curve="workers",
        at=workers,
    )


@contextmanager
def _held(pids: Iterable[int]) -> Iterator[None]:
    """Processes stand still; much shorter than a broker takes to miss them."""
    kept = list(pids)
    for pid in kept:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in kept:
            os.kill(pid, signal.SIGCONT)


def _history(recorder: Recorder) -> None:
    """A window more, with so many behind it that have been judged."""
    workload = Workload(messages=1, partitions=1, windows=1)
    plan = plan_of(workload)
    sketch = sketch_of(workload, plan)
    for name, windows in _HISTORIES:
        recorder.add(
            f"judge: a window of {len(SEGMENTS)} segments, after {name}",
            _settle_after(plan, sketch, windows) * 1_000,
            "ms",
            columns=workload.columns,
            peak_mb=own_peak_mb(),
            note="numbers, rules, reports; without the store",
            curve="windows of history",
            at=windows,
        )


def _settle_after(plan: Plan, sketch: Sketch, windows: int) -> float:
    """Processor seconds of a window, the mean of some, in a pipeline that knows as many earlier ones as its bound allows."""
    pipeline = new_pipeline(plan, _KEPT_WINDOWS)
    until_ms = START_MS + windows * WINDOW_MS
    known = [
        Window(WindowKey(START_MS + number * WINDOW_MS, plan.spec.name, "1", VERSIONS[0][1], segment))
        for number in range(max(0, windows - _KEPT_WINDOWS), windows)
        for segment in SEGMENTS
    ]
    pipeline.load_model(plan.spec.name, ModelState(until_ms, until_ms), known)
    taken_s = 0.0
    for number in range(_TIMED_WINDOWS):
        start_ms = until_ms + number * WINDOW_MS
        for segment in SEGMENTS:
            pipeline.take(chunk_sketch(plan, sketch, segment, start_ms, number), number)
        pipeline.observe(Progress(SOURCE, 64 * (number + 1), number + 1, start_ms + 2 * WINDOW_MS))
        began_s = time.process_time()
        pipeline.settle()
        if number:  # the first has to forget what is beyond the bound
            taken_s += time.process_time() - began_s
    return taken_s / (_TIMED_WINDOWS - 1)


def _memory(recorder: Recorder) -> None:
    """As Python's allocator counts it: of the judge for an open window, of the sketcher for an open chunk."""
    workload = Workload(messages=CHUNK_MESSAGES - 1, rows=100, partitions=1, windows=1)
    plan = plan_of(workload)
    sketch = sketch_of(replace(workload, messages=1), plan)
    pipeline = new_pipeline(plan)

    def open_windows() -> object:
        for number in range(_MEASURED_WINDOWS):
            for segment in SEGMENTS:
                fresh = replace(
                    sketch,
                    counts=sketch.counts.copy(),
                    sums=sketch.sums.copy(),
                    lows=sketch.lows.copy(),
                    highs=sketch.highs.copy(),
                )
                pipeline.take(chunk_sketch(plan, fresh, segment, START_MS + number * WINDOW_MS, 0), number)
        return pipeline

    count = _MEASURED_WINDOWS * len(SEGMENTS)
    recorder.add(
        "judge: an open window of one segment",
        _bytes_of(open_windows) / count,
        "bytes",
        columns=workload.columns,
        target=Target(20_000, at_least=False),
        note="bounded by DRIFTSONDE_JUDGE_WINDOWS_IN_MEMORY, once it is judged",
    )
    messages = messages_of([batch for _, batch in workload.batches()])
    found = len(sketches_of(plan, messages))
    recorder.add(
        "sketcher: an open chunk, a window and segment",
        _bytes_of(lambda: sketches_of(plan, messages)) / found,
        "bytes",
        columns=workload.columns,
        note="until the chunk ends",
    )
    recorder.add(
        "a model's version: spec, baseline, plan",
        _bytes_of(lambda: plan_of(replace(workload, seed=1))),
        "bytes",
        columns=workload.columns,
    )


def _bytes_of(make: Callable[[], object]) -> float:
    """What is still there of what the call allocated, while its result lives."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = make()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        del kept
        return float(size)
    finally:
        tracemalloc.stop()
