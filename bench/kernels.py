"""The inner loops, in this process: decode, fold, merge, and each statistic."""

from bench.figures import Recorder, Scale
from bench.folding import fold, messages_of, plan_of, sketches_of
from bench.machine import own_peak_mb
from bench.timing import best_seconds
from bench.workload import Workload
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.sketch import add

_FOLDED_MESSAGES = 16


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
    plan = plan_of(workload)
    messages = messages_of([batch for _, batch in workload.batches()])
    first, second, *_ = (each.sketch for each in sketches_of(plan, messages))
    calls = {
        "fold": lambda: fold(plan, messages),
        "merge two sketches": lambda: add(first, second),
    }
    best = best_seconds(calls, rounds)
    rows = workload.total_rows
    common = {"columns": workload.columns, "peak_mb": own_peak_mb()}
    note = "group by window and segment, bin, count, moments, hold for labels"
    recorder.add("fold", rows / best["fold"], "rows/s", rows=rows, note=note, **common)
    nanoseconds = best["fold"] / rows / len(plan.inputs.references) * 1e9
    recorder.add("fold, a value", nanoseconds, "ns", rows=rows, **common)
    recorder.add("merge two sketches", best["merge two sketches"] * 1e6, "µs", **common)
