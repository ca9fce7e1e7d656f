"""Predictions that have left the hot index, from the store: with the labels they have had so far."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import read_archived
from driftsonde.adapters.stored_events import (
    IDS,
    IN_LABELS_OF_IDS,
    IN_PREDICTIONS_OF_IDS,
    id_portions,
)
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
from driftsonde.sketcher.labels import Found, Lookup, in_time, wait_ms
from driftsonde.sketcher.messages import Plans
from driftsonde.sketcher.step_times import first_above, times_at

_PREDICTIONS = f"""
SELECT prediction_id, source_partition, source_offset, version, variant, toUnixTimestamp64Milli(timestamp),
       numeric_names, numeric_values, categorical_names, categorical_values
FROM predictions PREWHERE prediction_id IN {IDS}
WHERE model = {{model:String}} AND {IN_PREDICTIONS_OF_IDS}
      AND (source_partition != {{partition:UInt32}} OR source_offset < {{below:UInt64}})
ORDER BY source_partition != {{partition:UInt32}}, source_partition, source_offset, source_row
"""

_LABELS = f"""
SELECT prediction_id, source_partition, source_offset, label_text, label_number,
       toUnixTimestamp64Milli(timestamp) AS time_ms
FROM labels PREWHERE prediction_id IN {IDS}
WHERE model = {{model:String}} AND {IN_LABELS_OF_IDS}
      AND (source_partition != {{partition:UInt32}} OR source_offset < {{below:UInt64}})
ORDER BY time_ms, source_offset, source_row
"""

# Later than any event.
_NEVER_MS = 2**63 - 1


class NotArchivedYet(Exception):
    """The archiver has not stored what the lookup is about; ask again later."""


class _Prediction(NamedTuple):
    """A stored row."""

    partition: int
    offset: int
    version: str
    variant: str
    time_ms: int
    numeric_names: Sequence[str]
    numeric_values: Sequence[float]
    categorical_names: Sequence[str]
    categorical_values: Sequence[str]


class _Label(NamedTuple):
    """A stored row. The copies of its prediction that came when event time was below `gate_ms` were joined with it."""

    partition: int
    offset: int
    text: str
    number: float
    time_ms: int
    gate_ms: int = _NEVER_MS


def look_up(store: Store, lookups: Sequence[Lookup], plans: Plans, topics: tuple[str, str]) -> list[Found]:
    """Answer lookups of one partition and one model, in their order, with a few queries for all of them.

    Raises `NotArchivedYet`, and what `Store` raises. `topics`: of predictions and of labels. The steps of the
    partition's event time, and of its labels' gates, have to be stored as far as the lookups reach.
    """
    partition, model = lookups[0].partition, lookups[0].model
    predictions_below = max(lookup.predictions_below for lookup in lookups)
    labels_below = max(lookup.labels_below for lookup in lookups)
    archived = read_archived(store)
    for topic, below in zip(topics, (predictions_below, labels_below), strict=True):
        if archived.get((topic, partition), 0) < below:
            raise NotArchivedYet(f"{topic}/{partition} is archived below {below} only in part")
    ids = list(dict.fromkeys(prediction_id for lookup in lookups for prediction_id in lookup.ids))
    predictions: dict[str, list[_Prediction]] = {}
    labels: dict[str, list[_Label]] = {}
    where = {"model": model, "partition": partition}
    for portion in id_portions(ids):
        for prediction_id, *row in store.query_rows(
            _PREDICTIONS, portion | where | {"below": predictions_below}
        ):
            predictions.setdefault(prediction_id, []).append(_Prediction(*row))
    for portion in id_portions(predictions):
        for prediction_id, *row in store.query_rows(_LABELS, portion | where | {"below": labels_below}):
            labels.setdefault(prediction_id, []).append(_Label(*row))
    offsets = {p.offset for rows in predictions.values() for p in rows if p.partition == partition}
    arrivals = times_at(store, topics[0], partition, sorted(offsets))
    joined = _joined_labels(store, predictions, labels, arrivals, (topics[1], partition, labels_below))
    return [_found(lookup, predictions, joined, arrivals, plans) for lookup in lookups]


def _joined_labels(
    store: Store,
    predictions: Mapping[str, Sequence[_Prediction]],
    labels: Mapping[str, Sequence[_Label]],
    arrivals: Mapping[int, int],
    at: tuple[str, int, int],
) -> Mapping[str, Sequence[_Label]]:
    """The labels, those of ids whose copies did not come together with when they were joined: a copy that came after that
    has had none of them. `at`: the topic of labels, the partition, and the offset that the lookups reach to."""
    topic, partition, below = at
    first_ms: dict[str, int] = {}
    for prediction_id, rows in predictions.items():
        times = {_arrived_ms(row, partition, arrivals) for row in rows}
        if len(times) > 1 and prediction_id in labels:
            first_ms[prediction_id] = min(times)
    offsets = sorted({label.offset for i in first_ms for label in labels[i] if label.partition == partition})
    if not offsets:
        return labels
    gates = times_at(store, topic, partition, offsets)
    # A label that came before all copies waited until the first of them was seen.
    seen = first_above(store, topic, partition, sorted(set(first_ms.values())), (offsets[0], below))
    return {**labels} | {
        prediction_id: [
            label._replace(gate_ms=max(gates.get(label.offset, _NEVER_MS), seen.get(arrived_ms, _NEVER_MS)))
            if label.partition == partition
            else label
            for label in labels[prediction_id]
        ]
        for prediction_id, arrived_ms in first_ms.items()
    }


def _arrived_ms(row: _Prediction, partition: int, arrivals: Mapping[int, int]) -> int:
    """Event time when the prediction came; what is in another partition has always been there."""
    return arrivals.get(row.offset, NO_TIME_MS) if row.partition == partition else NO_TIME_MS


def _found(
    lookup: Lookup,
    predictions: Mapping[str, Sequence[_Prediction]],
    labels: Mapping[str, Sequence[_Label]],
    arrivals: Mapping[int, int],
    plans: Plans,
) -> Found:
    """Rows that have all but their values in common become entries together: an object for each would weigh more than
    what it holds."""
    alike: dict[_Alike, dict[str, _Prediction]] = {}
    seen: set[tuple[Stream, str]] = set()
    streams: dict[tuple[str, str], tuple[Stream, Plan | None]] = {}
    for prediction_id in lookup.ids:
        for row in predictions.get(prediction_id, ()):
            role = row.version, row.variant
            if role not in streams:
                stream = Stream(lookup.model, row.version, Variant(row.variant))
                streams[role] = stream, plans(lookup.model, row.version)
            stream, plan = streams[role]
            below = row.partition != lookup.partition or row.offset < lookup.predictions_below
            if plan is None or not below or (stream, prediction_id) in seen:
                continue
            seen.add((stream, prediction_id))
            arrived_ms = _arrived_ms(row, lookup.partition, arrivals)
            key = _Alike(stream, arrived_ms, tuple(row.numeric_names), tuple(row.categorical_names))
            alike.setdefault(key, {})[prediction_id] = row
    found: list[Entries] = []
    for key, rows in alike.items():
        plan = streams[key.stream.version, key.stream.variant.value][1]
        assert plan is not None
        entries = entries_of(key.stream, plan, _batch(key, rows, plan), key.arrived_ms)
        if key.arrived_ms < lookup.gate_ms:
            for place, prediction_id in enumerate(rows):
                if prediction_id in labels:
                    _replay_labels(entries, place, plan, lookup, labels[prediction_id])
        found.append(entries)
    return Found(tuple(found))


class _Alike(NamedTuple):
    """What rows that become entries together have in common."""

    stream: Stream
    arrived_ms: int
    numeric_names: tuple[str, ...]
    categorical_names: tuple[str, ...]


def _batch(alike: _Alike, rows: Mapping[str, _Prediction], plan: Plan) -> PredictionBatch:
    return PredictionBatch(
        alike.stream.model,
        alike.stream.version,
        alike.stream.variant,
        tuple(rows),
        np.array([row.time_ms for row in rows.values()], dtype=np.int64),
        tuple(_columns(plan, alike, list(rows.values()))),
    )


def _columns(plan: Plan, alike: _Alike, rows: Sequence[_Prediction]) -> Iterable[Column]:
    """The columns that an outcome needs: prediction, score and what is sliced by. The archive has no roles; names tell. A
    missing category is not in the row."""
    roles = {"prediction": Role.PREDICTION, "score": Role.SCORE} | dict.fromkeys(
        plan.slicing.columns, Role.SEGMENT
    )
    for at, name in enumerate(alike.numeric_names):
        if name in roles:
            yield NumericColumn(name, roles[name], np.array([row.numeric_values[at] for row in rows]))
    for at, name in enumerate(alike.categorical_names):
        if name in roles:
            codes: dict[str, int] = {}
            places = [codes.setdefault(row.categorical_values[at], len(codes)) for row in rows]
            yield CategoricalColumn(name, roles[name], np.array(places, dtype=np.int32), tuple(codes))


def _replay_labels(entries: Entries, row: int, plan: Plan, lookup: Lookup, labels: Sequence[_Label]) -> None:
    """Bring a row to the newest of the labels that it has been joined with, which are in the order of time. A prediction
    that is missing is joined with none."""
    if np.isnan(entries.predictions[row]):
        return
    for label in labels:
        is_known = label.partition != lookup.partition or label.offset < lookup.labels_below
        is_joined = is_known and entries.arrived_ms < label.gate_ms
        if not is_joined or not in_time(entries, label.time_ms + wait_ms(plan.spec)):
            continue
        column: Column = (
            NumericColumn("label", Role.PREDICTION, np.array([label.number]))
            if plan.spec.task is Task.REGRESSION or label.text == ""
            else CategoricalColumn("label", Role.PREDICTION, np.array([0], dtype=np.int32), (label.text,))
        )
        value = float(target_values(plan.spec, column)[0])
        if not np.isnan(value):
            entries.labels[row] = value
            entries.label_times_ms[row] = label.time_ms
