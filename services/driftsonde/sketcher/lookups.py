"""Predictions that have left the hot index, from the store: with the labels they have had so far."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.positions import read_archived
from driftsonde.adapters.stored_events import IN_LABELS_OF_IDS, IN_PREDICTIONS_OF_IDS
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

_PREDICTIONS = f"""
SELECT prediction_id, source_partition, source_offset, version, variant, toUnixTimestamp64Milli(timestamp),
       numeric_names, numeric_values, categorical_names, categorical_values
FROM predictions PREWHERE prediction_id IN {{ids:Array(String)}}
WHERE model = {{model:String}} AND {IN_PREDICTIONS_OF_IDS}
      AND (source_partition != {{partition:UInt32}} OR source_offset < {{below:UInt64}})
ORDER BY source_partition != {{partition:UInt32}}, source_partition, source_offset, source_row
"""

# The event time of the partition before each of these offsets; there is none before the first step. Read is only what
# lies between the offsets and the last step before them.
_ARRIVALS = """
SELECT wanted.offset, time_ms
FROM (SELECT arrayJoin({offsets:Array(UInt64)}) AS offset, {partition:UInt32} AS partition) AS wanted
ASOF JOIN (
    SELECT partition, position, time_ms FROM event_times
    WHERE topic = {topic:String} AND partition = {partition:UInt32} AND position <= {last:UInt64}
          AND position >= coalesce((
              SELECT position FROM event_times
              WHERE topic = {topic:String} AND partition = {partition:UInt32} AND position <= {first:UInt64}
              ORDER BY topic DESC, partition DESC, position DESC LIMIT 1
          ), 0)
) AS steps
ON wanted.partition = steps.partition AND wanted.offset >= steps.position
"""

_LABELS = f"""
SELECT prediction_id, source_partition, source_offset, label_text, label_number,
       toUnixTimestamp64Milli(timestamp) AS time_ms
FROM labels PREWHERE prediction_id IN {{ids:Array(String)}}
WHERE model = {{model:String}} AND {IN_LABELS_OF_IDS}
      AND (source_partition != {{partition:UInt32}} OR source_offset < {{below:UInt64}})
ORDER BY time_ms, source_offset, source_row
"""


# Ids go in the address of a query, which must not get too long.
_IDS_PER_QUERY = 2_000


T = TypeVar("T")


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
    """A stored row."""

    partition: int
    offset: int
    text: str
    number: float
    time_ms: int


def look_up(store: Store, lookups: Sequence[Lookup], plans: Plans, topics: tuple[str, str]) -> list[Found]:
    """Answer lookups of one partition and one model, in their order, with a few queries for all of them.

    Raises `NotArchivedYet`, and what `Store` raises. `topics`: of predictions and of labels. The steps of the
    partition's event time have to be stored as far as the lookups reach.
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
    for portion in _batched(ids, _IDS_PER_QUERY):
        asked: dict[str, object] = {"model": model, "ids": portion, "partition": partition}
        for prediction_id, *row in store.query_rows(_PREDICTIONS, asked | {"below": predictions_below}):
            predictions.setdefault(prediction_id, []).append(_Prediction(*row))
    for portion in _batched(list(predictions), _IDS_PER_QUERY):
        asked = {"model": model, "ids": portion, "partition": partition, "below": labels_below}
        for prediction_id, *row in store.query_rows(_LABELS, asked):
            labels.setdefault(prediction_id, []).append(_Label(*row))
    offsets = {p.offset for rows in predictions.values() for p in rows if p.partition == partition}
    arrivals = _arrivals(store, topics[0], partition, sorted(offsets))
    return [_found(lookup, predictions, labels, arrivals, plans) for lookup in lookups]


def _batched(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _arrivals(store: Store, topic: str, partition: int, offsets: Sequence[int]) -> dict[int, int]:
    """By offset, of rising ones: the second that event time had come to before it."""
    arrivals: dict[int, int] = {}
    for portion in _batched(offsets, _IDS_PER_QUERY):
        bounds: dict[str, object] = {"first": portion[0], "last": portion[-1]}
        params = bounds | {"topic": topic, "partition": partition, "offsets": portion}
        arrivals.update((int(at), int(time_ms)) for at, time_ms in store.query_rows(_ARRIVALS, params))
    return arrivals


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
            is_own = row.partition == lookup.partition
            below = not is_own or row.offset < lookup.predictions_below
            if plan is None or not below or (stream, prediction_id) in seen:
                continue
            seen.add((stream, prediction_id))
            arrived_ms = arrivals.get(row.offset, NO_TIME_MS) if is_own else NO_TIME_MS
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
    """Bring a row to the newest of the labels that it has been joined with, which are in the order of time."""
    for label in labels:
        is_known = label.partition != lookup.partition or label.offset < lookup.labels_below
        if not is_known or not in_time(entries, label.time_ms + wait_ms(plan.spec)):
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
