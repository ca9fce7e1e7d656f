"""Single predictions, as producers without the client send them, and batches of them.

Columns are made for many rows at once: the columns of one row cost as much as those of a thousand.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from driftsonde.core.events import (
    MAX_TEXT_CHARS,
    MISSING_CODE,
    CategoricalColumn,
    Column,
    InvalidEvent,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
    validate_rows,
)

# Null is of either kind: it is missing in both. Booleans are the numbers 0 and 1.
Value = float | str | bool | None


@dataclass(frozen=True, slots=True)
class RowShape:
    """The columns of a row, by name and role."""

    names: tuple[str, ...]
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One prediction of one version of a model: `values` are those of the columns of `shape`."""

    model: str
    version: str
    variant: Variant
    id: str
    timestamp_ms: int
    shape: RowShape
    values: tuple[Value, ...]


def is_text(value: Value) -> bool | None:
    """Whether a value is a text, or a number; None if it is missing."""
    if isinstance(value, str):
        return True
    return None if value is None or value != value else False


def validate_row(row: PredictionRow) -> None:
    """Raise `InvalidEvent` naming the field at fault, unless the row, of a valid shape, keeps its contract."""
    validate_rows(row.model, row.version, (row.id,), np.array([row.timestamp_ms], dtype=np.int64))
    for name, value in zip(row.shape.names, row.values, strict=True):
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
            raise InvalidEvent(f"columns[{name}]", f"a category is longer than {MAX_TEXT_CHARS} characters")


def join_rows(events: Sequence[PredictionBatch | PredictionRow]) -> list[PredictionBatch]:
    """The events of one stream, in order, as few batches: rows of one shape that follow each other are in one."""
    batches: list[PredictionBatch] = []
    for shape, run in groupby(events, key=_shape_of):
        if shape is None:
            batches.extend(event for event in run if isinstance(event, PredictionBatch))
        else:
            batches.extend(_batches_of([event for event in run if isinstance(event, PredictionRow)]))
    return batches


def _shape_of(event: PredictionBatch | PredictionRow) -> RowShape | None:
    return event.shape if isinstance(event, PredictionRow) else None


def _batches_of(rows: Sequence[PredictionRow]) -> Iterator[PredictionBatch]:
    """Batches of rows of one shape: one if every column has texts or numbers alone, else one for each row."""
    first, shape = rows[0], rows[0].shape
    columns: list[Column] = []
    for name, role, values in zip(
        shape.names, shape.roles, zip(*(row.values for row in rows), strict=True), strict=True
    ):
        if _is_mixed(values):
            for row in rows:
                yield from _batches_of([row])
            return
        columns.append(column_of(name, role, values))
    yield PredictionBatch(
        model=first.model,
        version=first.version,
        variant=first.variant,
        ids=tuple(row.id for row in rows),
        timestamps_ms=np.array([row.timestamp_ms for row in rows], dtype=np.int64),
        columns=tuple(columns),
    )


def _is_mixed(values: Sequence[Value]) -> bool:
    return str in set(map(type, values)) and False in set(map(is_text, values))


def column_of(name: str, role: Role, values: Sequence[Value]) -> Column:
    """A column of texts, or of numbers, that are not mixed; numeric where all are missing."""
    if str not in set(map(type, values)):
        return NumericColumn(name, role, np.array(values, dtype=np.float64))  # None becomes NaN
    categories = tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
    codes: dict[Value, int] = {category: code for code, category in enumerate(categories)}
    coded = np.array([codes.get(value, MISSING_CODE) for value in values], dtype=np.int32)
    return CategoricalColumn(name, role, coded, categories)
