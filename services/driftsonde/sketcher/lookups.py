"""Predictions that have left the hot index, from the store: with the labels they have had so far."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import read_archived
from driftsonde.core.chunks import NO_TIME_MS
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
)
from driftsonde.core.join import Entries, Stream
from driftsonde.core.plan import Plan, target_values
from driftsonde.core.spec import Task
from driftsonde.sketcher.folding import entries_of
from driftsonde.sketcher.labels import Found, Lookup
from driftsonde.sketcher.messages import Plans

_PREDICTIONS = """
SELECT prediction_id, source_partition, source_offset, version, variant, toUnixTimestamp64Milli(timestamp),
       numeric_names, numeric_values, categorical_names, categorical_values
FROM predictions
WHERE model = {model:String} AND prediction_id IN {ids:Array(String)}
      AND (source_partition != {partition:UInt32} OR source_offset < {below:UInt64})
ORDER BY source_partition, source_offset, source_row
"""

# The offset after the message with which event time reached each gate: exact unless a heartbeat did that, for the store
# does not have them. A timestamp beyond the event time that was reached is of a message rejected for its clock.
_GATES = """
SELECT gate_ms, min(source_offset) + 1
FROM predictions ARRAY JOIN {gates_ms:Array(Int64)} AS gate_ms
WHERE source_partition = {partition:UInt32} AND source_offset < {below:UInt64}
      AND timestamp BETWEEN fromUnixTimestamp64Milli(arrayMin({gates_ms:Array(Int64)}))
                        AND fromUnixTimestamp64Milli({reached_ms:Int64})
      AND timestamp >= fromUnixTimestamp64Milli(gate_ms)
GROUP BY gate_ms
"""

_LABELS = """
SELECT prediction_id, source_partition, source_offset, label_text, label_number,
       toUnixTimestamp64Milli(timestamp) AS time_ms
FROM labels
WHERE model = {model:String} AND prediction_id IN {ids:Array(String)}
      AND (source_partition != {partition:UInt32} OR source_offset < {below:UInt64})
ORDER BY time_ms, source_offset, source_row
"""


class NotArchivedYet(Exception):
    """The archiver has not stored what the lookup is about; ask again later."""


def look_up(store: Store, lookups: Sequence[Lookup], plans: Plans, topics: tuple[str, str]) -> list[Found]:
    """Answer lookups of one partition and one model, in their order, with a few queries for all of them.

    Raises `NotArchivedYet`, and what `Store` raises. `topics`: of predictions and of labels.
    """
    partition, model = lookups[0].partition, lookups[0].model
    predictions_below = max(lookup.predictions_below for lookup in lookups)
    labels_below = max(lookup.labels_below for lookup in lookups)
    archived = read_archived(store)
    for topic, below in zip(topics, (predictions_below, labels_below), strict=True):
        if archived.get((topic, partition), 0) < below:
            raise NotArchivedYet(f"{topic}/{partition} is archived below {below} only in part")
    ids = list(dict.fromkeys(prediction_id for lookup in lookups for prediction_id in lookup.ids))
    asked: dict[str, object] = {"model": model, "ids": ids, "partition": partition}
    predictions = _by_id(store.query_rows(_PREDICTIONS, asked | {"below": predictions_below}))
    if not predictions:
        return [Found() for _ in lookups]
    labels = _by_id(store.query_rows(_LABELS, asked | {"below": labels_below}))
    gates = _gates(store, lookups, predictions_below)
    return [_found(lookup, gates.get(lookup.gate_ms), predictions, labels, plans) for lookup in lookups]


def _by_id(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows by their first column, in their order."""
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for prediction_id, *rest in rows:
        grouped.setdefault(prediction_id, []).append(tuple(rest))
    return grouped


def _gates(store: Store, lookups: Sequence[Lookup], below: int) -> dict[int, int]:
    """By gate: the offset below which the partition's predictions were in the log when event time reached it. A gate
    that event time had not reached below `below` is left out."""
    reached_ms = max(lookup.reached_ms for lookup in lookups)
    wanted = sorted({lookup.gate_ms for lookup in lookups if lookup.gate_ms <= reached_ms})
    if not wanted:
        return {}
    params = {
        "partition": lookups[0].partition,
        "below": below,
        "gates_ms": wanted,
        "reached_ms": reached_ms,
    }
    return {gate_ms: int(offset) for gate_ms, offset in store.query_rows(_GATES, params)}


def _found(
    lookup: Lookup,
    gate: int | None,
    predictions: Mapping[str, Sequence[tuple[Any, ...]]],
    labels: Mapping[str, Sequence[tuple[Any, ...]]],
    plans: Plans,
) -> Found:
    below = lookup.predictions_below if gate is None else min(gate, lookup.predictions_below)
    entries: dict[tuple[Stream, str], Entries] = {}
    for prediction_id in lookup.ids:
        for source, offset, version, variant, time_ms, *columns in predictions.get(prediction_id, ()):
            stream = Stream(lookup.model, version, Variant(variant))
            plan = plans(lookup.model, version)
            in_time = source != lookup.partition or offset < below
            if plan is None or not in_time or (stream, prediction_id) in entries:
                continue
            batch = PredictionBatch(
                lookup.model,
                version,
                stream.variant,
                (prediction_id,),
                np.array([time_ms], dtype=np.int64),
                tuple(_columns(plan, *columns)),
            )
            entry = entries_of(stream, plan, batch, NO_TIME_MS)
            known = [
                row[2:]
                for row in labels.get(prediction_id, ())
                if row[0] != lookup.partition or row[1] < lookup.labels_below
            ]
            _replay_labels(entry, plan, known)
            entries[stream, prediction_id] = entry
    return Found(tuple(entries.values()))


def _columns(
    plan: Plan,
    numeric_names: Sequence[str],
    numeric_values: Sequence[float],
    categorical_names: Sequence[str],
    categorical_values: Sequence[str],
) -> Iterable[Column]:
    """The columns that an outcome needs: prediction, score and segments. The archive has no roles; names tell. A
    missing category is not in the row."""
    roles = {"prediction": Role.PREDICTION, "score": Role.SCORE} | dict.fromkeys(
        plan.spec.segments, Role.SEGMENT
    )
    for name, value in zip(numeric_names, numeric_values, strict=True):
        if name in roles:
            yield NumericColumn(name, roles[name], np.array([value]))
    for name, text in zip(categorical_names, categorical_values, strict=True):
        if name in roles:
            yield CategoricalColumn(name, roles[name], np.zeros(1, dtype=np.int32), (text,))


def _replay_labels(entries: Entries, plan: Plan, labels: Sequence[tuple[Any, ...]]) -> None:
    """Bring an entry to the newest label among `labels`, which are in the order of time."""
    for text, number, time_ms in labels:
        column: Column = (
            NumericColumn("label", Role.PREDICTION, np.array([number]))
            if plan.spec.task is Task.REGRESSION or text == ""
            else CategoricalColumn("label", Role.PREDICTION, np.array([0], dtype=np.int32), (text,))
        )
        value = float(target_values(plan.spec, column)[0])
        if not np.isnan(value):
            entries.labels[0] = value
            entries.label_times_ms[0] = time_ms
