"""Predictions that have left the hot index, from the store: with the labels they have had so far."""

from collections.abc import Iterable, Sequence
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
from driftsonde.sketcher.pipeline import Found, Lookup, Plans, entries_of

_PREDICTIONS = """
SELECT version, variant, prediction_id, toUnixTimestamp64Milli(timestamp),
       numeric_names, numeric_values, categorical_names, categorical_values
FROM predictions
WHERE model = {model:String} AND prediction_id IN {ids:Array(String)}
      AND (source_partition != {partition:UInt32} OR source_offset < {below:UInt64})
ORDER BY source_partition, source_offset, source_row
"""

# The offset after the message with which event time reached the gate: exact unless a heartbeat did that, for the store
# does not have them. A timestamp beyond the event time that was reached is of a message rejected for its clock.
_GATE = """
SELECT minOrNull(source_offset) + 1
FROM predictions
WHERE source_partition = {partition:UInt32} AND source_offset < {below:UInt64}
      AND timestamp BETWEEN fromUnixTimestamp64Milli({gate_ms:Int64})
                        AND fromUnixTimestamp64Milli({reached_ms:Int64})
"""

_LABELS = """
SELECT prediction_id, label_text, label_number, toUnixTimestamp64Milli(timestamp) AS time_ms
FROM labels
WHERE model = {model:String} AND prediction_id IN {ids:Array(String)}
      AND (source_partition != {partition:UInt32} OR source_offset < {below:UInt64})
ORDER BY time_ms, source_offset, source_row
"""


class NotArchivedYet(Exception):
    """The archiver has not stored what the lookup is about; ask again later."""


def look_up(store: Store, lookup: Lookup, plans: Plans, topics: tuple[str, str]) -> Found:
    """Ask the store. Raises `NotArchivedYet`, `StoreUnavailable`. `topics`: of predictions and of labels."""
    archived = read_archived(store)
    wanted = zip(topics, (lookup.predictions_below, lookup.labels_below), strict=True)
    for topic, below in wanted:
        if archived.get((topic, lookup.partition), 0) < below:
            raise NotArchivedYet(f"{topic}/{lookup.partition} is archived below {below} only in part")
    asked: dict[str, object] = {
        "model": lookup.model,
        "ids": list(lookup.ids),
        "partition": lookup.partition,
    }
    predictions = store.query_rows(_PREDICTIONS, asked | {"below": _predictions_below(store, lookup)})
    if not predictions:
        return Found()
    labels = store.query_rows(_LABELS, asked | {"below": lookup.labels_below})
    return Found(tuple(_entries(lookup.model, predictions, labels, plans)))


def _predictions_below(store: Store, lookup: Lookup) -> int:
    """The offset below which the partition's predictions were in the log when event time reached the gate."""
    below = lookup.predictions_below
    if lookup.gate_ms > lookup.reached_ms:
        return below
    params = {
        "partition": lookup.partition,
        "below": below,
        "gate_ms": lookup.gate_ms,
        "reached_ms": lookup.reached_ms,
    }
    ((gate,),) = store.query_rows(_GATE, params)
    return below if gate is None else int(gate)


def _entries(
    model: str, predictions: Sequence[tuple[Any, ...]], labels: Sequence[tuple[Any, ...]], plans: Plans
) -> Iterable[Entries]:
    seen: set[tuple[Stream, str]] = set()
    for version, variant, prediction_id, time_ms, *columns in predictions:
        stream = Stream(model, version, Variant(variant))
        plan = plans(model, version)
        if plan is None or (stream, prediction_id) in seen:
            continue
        seen.add((stream, prediction_id))
        batch = PredictionBatch(
            model,
            version,
            stream.variant,
            (prediction_id,),
            np.array([time_ms], dtype=np.int64),
            tuple(_columns(plan, *columns)),
        )
        entries = entries_of(stream, plan, batch, NO_TIME_MS)
        _replay_labels(entries, plan, [row for row in labels if row[0] == prediction_id])
        yield entries


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
    for _, text, number, time_ms in labels:
        column: Column = (
            NumericColumn("label", Role.PREDICTION, np.array([number]))
            if plan.spec.task is Task.REGRESSION or text == ""
            else CategoricalColumn("label", Role.PREDICTION, np.array([0], dtype=np.int32), (text,))
        )
        value = float(target_values(plan.spec, column)[0])
        if not np.isnan(value):
            entries.labels[0] = value
            entries.label_times_ms[0] = time_ms
