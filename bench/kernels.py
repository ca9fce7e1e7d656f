"""The inner loops, in this process: decode, fold, merge, and each statistic."""

from dataclasses import replace
from itertools import count, cycle

import numpy as np

from bench.figures import Recorder, Scale
from bench.folding import fold, messages_of, plan_of, sketches_of
from bench.machine import own_peak_mb
from bench.timing import best_seconds
from bench.workload import Workload, random_ids
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.baseline import NumericReference
from driftsonde.core.binning import bin_values
from driftsonde.core.join import PredictionIndex, Stream
from driftsonde.core.outcomes import Outcomes, layout_for, sketch_outcomes
from driftsonde.core.sketch import add
from driftsonde.core.strata import Strata
from driftsonde.sketcher.folding import entries_of

_FOLDED_MESSAGES = 16
_BINNED_COLUMNS = 4


def measure(scale: Scale, recorder: Recorder) -> None:
    rounds = scale.pick(3, 9)
    _decode(rounds, recorder)
    _fold(rounds, recorder)
    _bin(rounds, recorder)
    _hold(rounds, recorder)
    _join_outcomes(rounds, recorder)


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


def _bin(rounds: int, recorder: Recorder) -> None:
    workload = Workload(messages=_FOLDED_MESSAGES)
    numeric = [r for r in plan_of(workload).inputs.references if isinstance(r, NumericReference)]
    references = numeric[:_BINNED_COLUMNS]
    values = workload.values(np.random.default_rng(0), workload.total_rows)[:_BINNED_COLUMNS]
    calls = {
        "bin, a value": lambda: bin_values(references, values),
        "bin by binary search, a value": lambda: [
            np.searchsorted(reference.edges, column, side="right")
            for reference, column in zip(references, values, strict=True)
        ],
    }
    for name, seconds in best_seconds(calls, rounds).items():
        recorder.add(
            name, seconds / values.size * 1e9, "ns", rows=workload.total_rows, columns=len(references)
        )


def _hold(rounds: int, recorder: Recorder) -> None:
    """The hot index when it is full: for each prediction that comes one leaves."""
    workload = Workload(messages=_FOLDED_MESSAGES, numeric=0)
    plan, (_, batch) = plan_of(workload), next(workload.batches())
    index = PredictionIndex(_FOLDED_MESSAGES * workload.rows)
    stream = Stream(batch.model, batch.version, batch.variant)
    empty = entries_of(stream, plan, batch, 0)
    # Each comes again when it has long left.
    arriving = cycle([replace(empty, ids=random_ids(workload.rows)) for _ in range(4 * _FOLDED_MESSAGES)])
    offsets = count()

    def hold() -> None:
        for _ in range(_FOLDED_MESSAGES):
            index.add(next(offsets), next(arriving))
        index.take_evicted()

    nanoseconds = best_seconds({"hold": hold}, rounds)["hold"] / workload.total_rows * 1e9
    recorder.add("hold for labels, a prediction", nanoseconds, "ns", rows=index.bound)


def _join_outcomes(rounds: int, recorder: Recorder) -> None:
    rows = 1_000
    rng = np.random.default_rng(0)
    scores = rng.random(rows)
    joined = Outcomes(
        predictions=(scores > 0.5).astype(np.float64),
        labels=(rng.random(rows) < scores).astype(np.float64),
        scores=scores,
        delays_ms=rng.integers(0, 60_000, rows),
        signs=np.ones(rows, dtype=np.int64),
    )
    segments = rng.integers(0, 3, rows)
    strata = Strata(segments, np.array([[0, 0, 0], [1, 2, 3]]), 4)
    layout = layout_for(Workload(messages=1).spec())
    best = best_seconds({"outcomes": lambda: sketch_outcomes(layout, joined, strata)}, rounds)
    recorder.add(
        "sketch outcomes", rows / best["outcomes"], "rows/s", rows=rows, note=f"{strata.groups} groups"
    )
