"""What the sketches of a partition should be, row by row: no index, no batches, no restarts."""

import math

import numpy as np

from driftsonde.core.baseline import NumericReference
from driftsonde.core.chunks import Kind, SketchKey, Source
from driftsonde.core.events import PredictionBatch
from driftsonde.core.join import Entries
from driftsonde.core.pairs import pairs_layout
from driftsonde.core.plan import Plan
from driftsonde.core.points import Points
from driftsonde.core.sketch import Sketch
from driftsonde.sketcher.folding import entries_of
from driftsonde.sketcher.labels import Found, Lookup
from partition_joining import join
from partition_rows import (
    Sum,
    accepted,
    add_sums,
    bump,
    event_times,
    known_plan,
    number_of,
    one_row,
    segments_of,
    stratum_of,
    text_of,
)
from stream_examples import Log

PREDICTIONS = Source("predictions", 0)
LABELS = Source("labels", 0)

Sketches = dict[tuple[Source, int, SketchKey], Sketch]


def expected_sketches(log: Log, prediction_chunk: int, label_chunk: int) -> Sketches:
    """The final sketch of every key of every chunk."""
    inputs = {
        (PREDICTIONS, chunk, key): _dense(
            plan_for_key(key).inputs.bins,
            plan_for_key(key).inputs.sums,
            len(plan_for_key(key).inputs.numeric),
            total,
        )
        for (chunk, key), total in _fold_inputs(log, prediction_chunk).items()
    }
    outcomes: dict[tuple[int, SketchKey], Sum] = {}
    join(log, len(log.labels), label_chunk, outcomes)
    return inputs | {
        (LABELS, chunk, key): _dense(*_outcome_sizes(key), 0, total)
        for (chunk, key), total in outcomes.items()
    }


def _outcome_sizes(key: SketchKey) -> tuple[int, int]:
    layout = plan_for_key(key).outcomes
    return (4, 0) if key.layout == pairs_layout(layout) else (layout.bins, layout.sums)


def plan_for_key(key: SketchKey) -> Plan:
    return known_plan(key.model, key.version)


def answer(log: Log, lookup: Lookup) -> Found:
    """What a store that has everything says to a lookup."""
    labels = [n for n, (offset, _) in enumerate(log.labels) if offset < lookup.labels_below]
    joining = join(log, len(labels), 1, None)
    joining.gate_ms = max(joining.gate_ms, lookup.gate_ms)
    joining.join_kept(0, -1, {})
    found: list[Entries] = []
    for (stream, prediction_id), prediction in joining.known.items():
        if (
            stream.model != lookup.model
            or prediction_id not in lookup.ids
            or prediction.offset >= lookup.predictions_below
        ):
            continue
        plan = known_plan(stream.model, stream.version)
        entries = entries_of(
            stream, plan, one_row(prediction.batch, prediction.row), prediction.arrived_ms // 1000 * 1000
        )
        entries.labels[0] = prediction.label
        entries.label_times_ms[0] = prediction.label_ms
        found.append(entries)
    return Found(tuple(found))


def _fold_inputs(log: Log, chunk_size: int) -> dict[tuple[int, SketchKey], Sum]:
    totals: dict[tuple[int, SketchKey], Sum] = {}
    for (offset, message), before_ms in zip(log.predictions, event_times(log), strict=True):
        if message is None or not accepted(message) or not isinstance(message.event, PredictionBatch):
            continue
        batch = message.event
        plan = known_plan(batch.model, batch.version)
        here: dict[tuple[tuple[int, ...], tuple[int, SketchKey]], dict[int, list[float]]] = {}
        for row, time_ms in enumerate(batch.timestamps_ms.tolist()):
            window = time_ms // plan.spec.window_ms * plan.spec.window_ms
            late = window + plan.spec.window_ms + plan.spec.lateness_ms <= before_ms
            segments = list(segments_of(plan, batch, row))
            stratum = stratum_of(plan, segments)
            for segment in segments:
                key = SketchKey(
                    batch.model,
                    batch.version,
                    batch.variant,
                    segment,
                    window,
                    Kind.INPUTS,
                    late,
                    plan.baseline_id,
                )
                place = (offset // chunk_size, key)
                terms = here.setdefault((stratum, place), {})
                _count_row(plan, batch, row, totals.setdefault(place, Sum()), terms)
        parts: dict[tuple[int, SketchKey], dict[int, list[float]]] = {}
        for (_, place), terms in sorted(here.items(), key=lambda item: item[0][0]):
            for number, values in terms.items():
                parts.setdefault(place, {}).setdefault(number, []).append(_run_sum(values))
        for place, sums in parts.items():
            add_sums(totals[place], {number: _run_sum(values) for number, values in sums.items()})
    return totals


def _run_sum(values: list[float]) -> float:
    """NumPy adds up a run of values in an order of its own, which depends on how many there are."""
    return float(np.add.reduceat(values, [0])[0])


def _count_row(
    plan: Plan, batch: PredictionBatch, row: int, total: Sum, terms: dict[int, list[float]]
) -> None:
    bump(total.counts, 0)
    start, number = 1, 0
    for reference in plan.baseline.columns if plan.baseline else ():
        size = len(reference.counts)
        if isinstance(reference, NumericReference):
            value = number_of(batch, reference.name, row)
            below = sum(edge <= value for edge in reference.edges.tolist())
            bump(total.counts, start + (size - 1 if math.isnan(value) else below))
            finite = value if math.isfinite(value) else 0.0
            terms.setdefault(2 * number, []).append(finite)
            terms.setdefault(2 * number + 1, []).append(finite * finite)
            if math.isfinite(value):
                total.low[number] = min(total.low.get(number, math.inf), value)
                total.high[number] = max(total.high.get(number, -math.inf), value)
            number += 1
        else:
            text = text_of(batch, reference.name, row)
            if text is None:
                bump(total.counts, start + size - 1)
            elif text in reference.categories:
                bump(total.counts, start + reference.categories.index(text))
            else:
                bump(total.counts, start + size - 2)
                pair = (reference.name, text)
                total.unseen[pair] = total.unseen.get(pair, 0) + 1
        start += size


def _dense(bins: int, sums: int, extremes: int, total: Sum) -> Sketch:
    return Sketch(
        np.array([total.counts.get(place, 0) for place in range(bins)], dtype=np.int64),
        np.array([total.sums.get(place, 0.0) for place in range(sums)]),
        np.array([total.low.get(place, math.inf) for place in range(extremes)]),
        np.array([total.high.get(place, -math.inf) for place in range(extremes)]),
        total.unseen,
        Points(
            np.array(sorted(total.points), dtype=np.float64),
            np.array([total.points[score][0] for score in sorted(total.points)], dtype=np.int64),
            np.array([total.points[score][1] for score in sorted(total.points)], dtype=np.int64),
            coarse=False,
        ),
    )
