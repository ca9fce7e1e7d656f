"""What waits to be sent: single rows as they came, blocks of many rows, and marks between them. Pure values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from driftsonde.core.events import CategoricalColumn, Column, Ints, NumericColumn, Role


class Stream(StrEnum):
    """Which topic rows are for. Order is kept within each."""

    PREDICTIONS = "predictions"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a row, in order. `classification`: the column of the role prediction holds classes."""

    names: tuple[str, ...]
    roles: tuple[Role, ...]
    classification: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was logged: scalars, one for each column of the layout."""

    id: str
    timestamp_ms: int
    layout: Layout
    values: tuple[Any, ...]

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of the same columns. `timestamps_ms` is int64[rows]."""

    ids: tuple[str, ...]
    timestamps_ms: Ints
    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything before it is sent before anything after it. With a time, a heartbeat is sent at that place."""

    heartbeat_ms: int | None

    def __len__(self) -> int:
        return 0


Entry = Row | Block | Mark


def select(block: Block, rows: npt.NDArray[np.intp] | slice) -> Block:
    """Some rows of a block, by positions or as a slice; categories stay as they are."""
    ids = block.ids[rows] if isinstance(rows, slice) else tuple(block.ids[row] for row in rows.tolist())
    return Block(ids, block.timestamps_ms[rows], tuple(_select(column, rows) for column in block.columns))


def _select(column: Column, rows: npt.NDArray[np.intp] | slice) -> Column:
    match column:
        case NumericColumn():
            return NumericColumn(column.name, column.role, column.values[rows])
        case CategoricalColumn():
            return CategoricalColumn(column.name, column.role, column.codes[rows], column.categories)
