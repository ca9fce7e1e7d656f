"""Events to Arrow columns, many messages at a time: flat buffers and offsets, no Python per row."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.core.events import MISSING_CODE, CategoricalColumn, Column, Ints, NumericColumn

Array: TypeAlias = "pa.Array[Any]"

_TIME = pa.timestamp("ms", tz="UTC")
_Indices = npt.NDArray[np.int32]


def times(timestamps_ms: Iterable[int] | Ints) -> Array:
    """Milliseconds since the epoch as timestamps in UTC."""
    return pa.array(np.asarray(timestamps_ms, dtype="datetime64[ms]"), _TIME)


def texts(values: Sequence[str]) -> Array:
    """Few different texts, as a dictionary."""
    vocabulary = Vocabulary()
    return vocabulary.column(vocabulary.codes(values))


def repeated_texts(values: Sequence[str], rows: Ints) -> Array:
    """`values[i]` in `rows[i]` rows, as a dictionary."""
    vocabulary = Vocabulary()
    return vocabulary.column(np.repeat(vocabulary.codes(values), rows))


def source_columns(messages: Sequence[SourceMessage], rows: Ints) -> dict[str, Array]:
    """Where each row comes from: its identity."""
    starts = np.cumsum(rows) - rows
    return {
        "source_topic": repeated_texts([message.topic for message in messages], rows),
        "source_partition": _repeated([message.partition for message in messages], rows, np.uint32),
        "source_offset": _repeated([message.offset for message in messages], rows, np.uint64),
        "source_row": pa.array((np.arange(rows.sum()) - np.repeat(starts, rows)).astype(np.uint32)),
    }


def _repeated(values: Sequence[int], rows: Ints, kind: type[np.unsignedinteger[Any]]) -> Array:
    column: Array = pa.array(np.repeat(np.array(values, dtype=kind), rows))
    return column


def value_columns(batches: Sequence[tuple[Column, ...]], rows: Ints) -> dict[str, Array]:
    """The columns of each batch as two maps a row, names beside values; `rows[i]` rows in batch i.

    A missing number is NaN; a missing category is left out of its row, since any text could be a category.
    """
    numeric = [[column for column in columns if isinstance(column, NumericColumn)] for columns in batches]
    categorical = [
        [column for column in columns if isinstance(column, CategoricalColumn)] for columns in batches
    ]
    return _numeric(numeric, rows) | _categorical(categorical, rows)


def _list_array(lengths: Ints, values: Any) -> Array:
    """Row i holds the next `lengths[i]` values."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


class Vocabulary:
    """Texts of many messages under one numbering: the dictionary of an Arrow column."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def codes(self, values: Iterable[str]) -> _Indices:
        known = self._codes
        return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int32)

    def column(self, indices: _Indices) -> Array:
        return pa.DictionaryArray.from_arrays(indices, pa.array(list(self._codes), pa.string()))


def _numeric(batches: Sequence[Sequence[NumericColumn]], rows: Ints) -> dict[str, Array]:
    widths = np.array([len(columns) for columns in batches], dtype=np.int64)
    ends = np.cumsum(widths * rows)
    names = Vocabulary()
    indices = np.empty(ends[-1], dtype=np.int32)
    values = np.empty(ends[-1], dtype=np.float64)
    for columns, count, end in zip(batches, rows, ends, strict=True):
        here = slice(end - len(columns) * count, end)
        shape = (count, len(columns))
        indices[here].reshape(shape)[:] = names.codes(column.name for column in columns)
        table = values[here].reshape(shape)
        for position, column in enumerate(columns):
            table[:, position] = column.values
    lengths = np.repeat(widths, rows)
    return {
        "numeric_names": _list_array(lengths, names.column(indices)),
        "numeric_values": _list_array(lengths, pa.array(values)),
    }


def _categorical(batches: Sequence[Sequence[CategoricalColumn]], rows: Ints) -> dict[str, Array]:
    names, categories = Vocabulary(), Vocabulary()
    name_parts, value_parts, widths = [], [], []
    for columns, count in zip(batches, rows, strict=True):
        codes = np.empty((count, len(columns)), dtype=np.int32)
        for position, column in enumerate(columns):
            # A last entry for the missing code, which is -1.
            shared = np.append(categories.codes(column.categories), np.int32(MISSING_CODE))
            codes[:, position] = shared[column.codes]
        present = codes != MISSING_CODE
        widths.append(present.sum(axis=1))
        value_parts.append(codes[present])
        name_parts.append(
            np.broadcast_to(names.codes(column.name for column in columns), codes.shape)[present]
        )
    lengths = np.concatenate(widths)
    return {
        "categorical_names": _list_array(lengths, names.column(np.concatenate(name_parts))),
        "categorical_values": _list_array(lengths, categories.column(np.concatenate(value_parts))),
    }
