"""The judge: one window start of a wide model, in this process: the numbers, the rows for the store, the insert."""

import time
from collections.abc import Callable
from functools import partial

from bench.figures import Recorder, Scale, Target
from bench.folding import messages_of, plan_of, sketches_of
from bench.machine import own_peak_mb
from bench.names import JUDGE_CLOSE
from bench.stage import stage
from bench.timing import best_seconds
from bench.workload import START_MS, WINDOW_MS, Workload
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.tuning import collect_seldom
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.core.chunks import WHOLE, ChunkSketch, Kind, Progress, SketchKey, Source, segment_label
from driftsonde.core.events import Variant
from driftsonde.core.judging import ModelState
from driftsonde.core.plan import Plan
from driftsonde.core.sketch import Sketch
from driftsonde.judge.pipeline import JudgePipeline, Settlement
from driftsonde.judge.rows import metric_rows, window_rows
from driftsonde.judge.storage import JudgeStorage

SOURCE = Source("predictions", 0)
SEGMENTS = (WHOLE, segment_label("country", "CH"), segment_label("country", "DE"))
_COLUMNS = 2_000
_ROWS = 1_000


def measure(scale: Scale, recorder: Recorder) -> None:
    workload = Workload(messages=1, rows=_ROWS, numeric=_COLUMNS, partitions=1, windows=1)
    plan = plan_of(workload)
    sketch = sketch_of(workload, plan)
    rounds = scale.pick(3, 9)
    collect_seldom()  # as the service does
    best_s = min(settle_once(plan, sketch)[1] for _ in range(rounds))
    settlement, _ = settle_once(plan, sketch)
    common = {
        "rows": _ROWS * len(SEGMENTS),
        "columns": _COLUMNS,
        "peak_mb": own_peak_mb(),
        "note": f"one window start, {len(SEGMENTS)} segments",
    }
    recorder.add(
        JUDGE_CLOSE,
        best_s * 1_000,
        "ms",
        target=Target(50.0, at_least=False),
        **common,
    )
    rows_s = best_seconds({"rows": partial(_rows, settlement)}, rounds)["rows"]
    recorder.add("rows for the store", rows_s * 1_000, "ms", **common)
    with stage(1) as here:
        storage = JudgeStorage(here.store, Codec(SKETCH_TYPES))
        write = partial(storage.write_reports, settlement.reports, settlement.as_judged)
        write_s = min(_seconds(write) for _ in range(rounds))
    recorder.add("rows for the store, and stored", write_s * 1_000, "ms", **common)


def sketch_of(workload: Workload, plan: Plan) -> Sketch:
    """The sketch of one message, all segments together."""
    sketches = sketches_of(plan, messages_of([batch for _, batch in workload.batches()]))
    return next(each.sketch for each in sketches if each.key.segment == WHOLE)


def settle_once(plan: Plan, sketch: Sketch) -> tuple[Settlement[int], float]:
    """A pipeline that has one chunk's sketches of one window start and learns that it is over; processor seconds of the
    round."""
    pipeline = new_pipeline(plan)
    for receipt, segment in enumerate(SEGMENTS):
        pipeline.take(chunk_sketch(plan, sketch, segment, START_MS, 0), receipt)
    pipeline.observe(Progress(SOURCE, 64, 1, START_MS + 10 * WINDOW_MS))
    began_s = time.process_time()
    settlement = pipeline.settle()
    return settlement, time.process_time() - began_s


def new_pipeline(plan: Plan, windows_kept: int = 10_000) -> JudgePipeline[int]:
    sources = {Kind.INPUTS: frozenset({SOURCE}), Kind.OUTCOMES: frozenset[Source]()}
    pipeline: JudgePipeline[int] = JudgePipeline(lambda model, version: plan, sources, windows_kept)
    pipeline.load_model(plan.spec.name, ModelState(), [])
    return pipeline


def chunk_sketch(plan: Plan, sketch: Sketch, segment: str, window_ms: int, chunk: int) -> ChunkSketch:
    key = SketchKey(
        plan.spec.name, "1", Variant.CHAMPION, segment, window_ms, Kind.INPUTS, False, plan.baseline_id
    )
    return ChunkSketch(SOURCE, chunk, 64 * (chunk + 1), key, sketch)


def _rows(settlement: Settlement[int]) -> None:
    window_rows(settlement.reports)
    metric_rows(settlement.reports)
    metric_rows(settlement.as_judged)


def _seconds(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s
