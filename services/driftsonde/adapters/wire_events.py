"""The events of producers as Avro records: one `RecordType` for each schema of an event.

Packed columns are views into the message's bytes (read-only arrays), so that decoding costs nothing per row.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from driftsonde.adapters.avro import Record, RecordType
from driftsonde.adapters.avro_shapes import AlikeRecords, Bytes
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    FeatureBatch,
    Heartbeat,
    Ints,
    InvalidEvent,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
    validate,
    validate_shape,
    validate_values,
)
from driftsonde.core.rows import PredictionRow, RowShape, column_of, join_rows, validate_row

_FLOAT64 = np.dtype("<f8")
_INT64 = np.dtype("<i8")
_INT32 = np.dtype("<i4")

# Looked up for each column of each message: a tenth of the time of `Role(…)`.
_ROLES = {role.value: role for role in Role}
_VARIANTS = {variant.value: variant for variant in Variant}

# Names are unique in a batch, and an attribution is about a feature: this sets their columns apart.
ATTRIBUTION_PREFIX = "attribution."


def _pack(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> bytes:
    return np.asarray(values, dtype=dtype).tobytes()


def _unpack(field: str, packed: Bytes, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if len(packed) % dtype.itemsize:
        raise InvalidEvent(field, f"{len(packed)} bytes are no whole number of {dtype.itemsize}-byte values")
    return np.frombuffer(packed, dtype)


def _column_to_record(column: Column) -> tuple[str, Record]:
    """The pair by which fastavro names the branch of a union."""
    match column:
        case NumericColumn():
            return "driftsonde.NumericColumn", {
                "name": column.name,
                "role": column.role.value,
                "values": _pack(column.values, _FLOAT64),
            }
        case CategoricalColumn():
            return "driftsonde.CategoricalColumn", {
                "name": column.name,
                "role": column.role.value,
                "codes": _pack(column.codes, _INT32),
                "categories": column.categories,
            }


def _column_from_record(record: Record) -> Column:
    name = record["name"]
    role = _ROLES[record["role"]]
    if "values" in record:
        return NumericColumn(name, role, _unpack(f"columns[{name}]", record["values"], _FLOAT64))
    codes = _unpack(f"columns[{name}]", record["codes"], _INT32)
    return CategoricalColumn(name, role, codes, tuple(record["categories"]))


def _columns_from_record(record: Record) -> tuple[Column, ...]:
    columns = record["columns"]
    if isinstance(columns, AlikeRecords) and columns.shape.derived is not None:
        return tuple(map(_column_like, columns.shape.derived, columns.packed))
    return tuple(map(_column_from_record, columns))


def _column_like(first: Column, packed: Bytes) -> Column:
    """A column that differs from a valid one in its values."""
    if isinstance(first, NumericColumn):
        return NumericColumn(first.name, first.role, np.frombuffer(packed, _FLOAT64))
    return CategoricalColumn(first.name, first.role, np.frombuffer(packed, _INT32), first.categories)


def _validate_batch(batch: PredictionBatch | FeatureBatch, record: Record) -> None:
    """As `validate`; the names and categories of messages of one shape are checked once."""
    columns = record["columns"]
    if not isinstance(columns, AlikeRecords):
        validate(batch)
    elif columns.shape.derived is not None:
        validate_values(batch)
    else:
        validate(batch)
        columns.shape.derived = batch.columns


def _times_from_record(record: Record) -> Ints:
    return _unpack("timestamps_ms", record["timestamps_ms"], _INT64)


def _predictions_to_record(batch: PredictionBatch) -> Record:
    return {
        "model": batch.model,
        "version": batch.version,
        "variant": batch.variant.value,
        "ids": batch.ids,
        "timestamps_ms": _pack(batch.timestamps_ms, _INT64),
        "columns": [_column_to_record(column) for column in batch.columns],
    }


def _predictions_from_record(record: Record) -> PredictionBatch:
    batch = PredictionBatch(
        model=record["model"],
        version=record["version"],
        variant=_VARIANTS[record["variant"]],
        ids=tuple(record["ids"]),
        timestamps_ms=_times_from_record(record),
        columns=_columns_from_record(record),
    )
    _validate_batch(batch, record)
    return batch


def _labels_to_record(batch: LabelBatch) -> Record:
    return {
        "model": batch.model,
        "ids": batch.ids,
        "timestamps_ms": _pack(batch.timestamps_ms, _INT64),
        "labels": _column_to_record(batch.labels),
    }


def _labels_from_record(record: Record) -> LabelBatch:
    batch = LabelBatch(
        model=record["model"],
        ids=tuple(record["ids"]),
        timestamps_ms=_times_from_record(record),
        labels=_column_from_record(record["labels"]),
    )
    if batch.labels.name != "label" or batch.labels.role is not Role.PREDICTION:
        raise InvalidEvent("labels", "expected a column named label, of the role prediction")
    validate(batch)
    return batch


def _features_to_record(batch: FeatureBatch) -> Record:
    return {
        "view": batch.view,
        "version": batch.version,
        "online": batch.online,
        "entity_ids": batch.entity_ids,
        "timestamps_ms": _pack(batch.timestamps_ms, _INT64),
        "columns": [_column_to_record(column) for column in batch.columns],
    }


def _features_from_record(record: Record) -> FeatureBatch:
    batch = FeatureBatch(
        view=record["view"],
        version=record["version"],
        online=record["online"],
        entity_ids=tuple(record["entity_ids"]),
        timestamps_ms=_times_from_record(record),
        columns=_columns_from_record(record),
    )
    _validate_batch(batch, record)
    return batch


def _heartbeat_to_record(heartbeat: Heartbeat) -> Record:
    return {"timestamp_ms": heartbeat.timestamp_ms}


def _heartbeat_from_record(record: Record) -> Heartbeat:
    heartbeat = Heartbeat(record["timestamp_ms"])
    validate(heartbeat)
    return heartbeat


def _outcome(value: float | str | bool) -> float | str:
    """A prediction or label: booleans are the classes "1" and "0"; NaN is missing."""
    return str(int(value)) if isinstance(value, bool) else value


@lru_cache(maxsize=256)
def _row_shape(
    features: tuple[str, ...],
    score: bool,
    segments: tuple[str, ...],
    protected: tuple[str, ...],
    attributions: tuple[str, ...],
) -> RowShape:
    """The columns of an event whose maps have these keys: the same for events that are alike, and checked once."""
    cells = [
        *((name, Role.FEATURE) for name in features),
        ("prediction", Role.PREDICTION),
        *((("score", Role.SCORE),) if score else ()),
        *((name, Role.SEGMENT) for name in segments),
        *((name, Role.PROTECTED) for name in protected),
        *((f"{ATTRIBUTION_PREFIX}{name}", Role.ATTRIBUTION) for name in attributions),
    ]
    names = tuple(name for name, _ in cells)
    validate_shape(names)
    return RowShape(names, tuple(role for _, role in cells))


def _row_from_event(record: Record) -> PredictionRow:
    score, features, segments = record["score"], record["features"], record["segments"]
    protected, attributions = record["protected"], record["attributions"]
    row = PredictionRow(
        model=record["model"],
        version=record["version"],
        variant=_VARIANTS[record["variant"]],
        id=record["id"],
        timestamp_ms=record["timestamp_ms"],
        shape=_row_shape(
            tuple(features), score is not None, tuple(segments), tuple(protected), tuple(attributions)
        ),
        values=(
            *features.values(),
            _outcome(record["prediction"]),
            *(() if score is None else (score,)),
            *segments.values(),
            *protected.values(),
            *attributions.values(),
        ),
    )
    validate_row(row)
    return row


def _prediction_from_event(record: Record) -> PredictionBatch:
    (batch,) = join_rows([_row_from_event(record)])
    return batch


def _label_from_event(record: Record) -> LabelBatch:
    batch = LabelBatch(
        model=record["model"],
        ids=(record["id"],),
        timestamps_ms=np.array([record["timestamp_ms"]], dtype=np.int64),
        labels=column_of("label", Role.PREDICTION, [_outcome(record["label"])]),
    )
    validate(batch)
    return batch


EVENT_TYPES = (
    RecordType("PredictionBatch", PredictionBatch, _predictions_to_record, _predictions_from_record),
    RecordType("LabelBatch", LabelBatch, _labels_to_record, _labels_from_record),
    RecordType("FeatureBatch", FeatureBatch, _features_to_record, _features_from_record),
    RecordType("Heartbeat", Heartbeat, _heartbeat_to_record, _heartbeat_from_record),
    RecordType("PredictionEvent", PredictionBatch, None, _prediction_from_event),
    RecordType("LabelEvent", LabelBatch, None, _label_from_event),
)

# In place of the type of the same schema, for a reader that takes single predictions as they are.
PREDICTION_ROW = RecordType("PredictionEvent", PredictionRow, None, _row_from_event)
