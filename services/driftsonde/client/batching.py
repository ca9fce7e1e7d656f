"""Logged rows to messages: assemble columns, split by partition, split by size. Pure; the same entries in the same
order give the same messages.
"""

import math
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from itertools import groupby

import numpy as np

from driftsonde.client.columns import column_of_objects, encode_texts
from driftsonde.client.rows import Block, Layout, Row, select
from driftsonde.core.events import (
    MAX_CATEGORIES,
    MISSING_CODE,
    CategoricalColumn,
    Column,
    NumericColumn,
    Role,
)
from driftsonde.core.partitioning import partitions_of

TARGET_BYTES = 500_000
MAX_MESSAGE_ROWS = MAX_CATEGORIES  # so that no column of a message can have more categories than are allowed
MAX_REMEMBERED_KINDS = 20_000

# Whether a column was categorical when it last had a value: a column without one can't tell.
Kinds = MutableMapping[str, bool]


def assemble(entries: Iterable[Row | Block], kinds: Kinds) -> list[Block]:
    """As few blocks as the columns allow, in the order of the entries. Learns `kinds` and uses them."""
    settled = (_settle(block, kinds) for block in _blocks(entries))
    return [_concatenate(list(run)) for _, run in groupby(settled, key=_schema)]


def split(block: Block, partitions: int) -> Iterator[tuple[int, Block]]:
    """The block's messages with their partitions: rows keep their order within each partition."""
    chosen = partitions_of(block.ids, partitions)
    for partition in np.unique(chosen).tolist():
        part = _compact(select(block, np.flatnonzero(chosen == partition)))
        for message in _split_by_size(part):
            yield partition, message


def _blocks(entries: Iterable[Row | Block]) -> Iterator[Block]:
    for layout, run in groupby(entries, key=lambda entry: entry.layout if isinstance(entry, Row) else None):
        if layout is None:
            yield from (entry for entry in run if isinstance(entry, Block))
        else:
            yield _block_of_rows(layout, [entry for entry in run if isinstance(entry, Row)])


def _block_of_rows(layout: Layout, rows: Sequence[Row]) -> Block:
    values_by_column = zip(*(row.values for row in rows), strict=True)
    return Block(
        ids=tuple(row.id for row in rows),
        timestamps_ms=np.array([row.timestamp_ms for row in rows], dtype=np.int64),
        columns=tuple(
            _column_of_rows(name, role, values, layout.classification)
            for name, role, values in zip(layout.names, layout.roles, values_by_column, strict=True)
        ),
    )


def _column_of_rows(name: str, role: Role, values: Sequence[object], classification: bool) -> Column:
    if role is Role.PREDICTION and classification:
        return CategoricalColumn(name, role, *encode_texts(values, name))
    return column_of_objects(name, role, values, name)


def _settle(block: Block, kinds: Kinds) -> Block:
    return Block(
        block.ids, block.timestamps_ms, tuple(_settle_column(column, kinds) for column in block.columns)
    )


def _settle_column(column: Column, kinds: Kinds) -> Column:
    """A column that has no value gets the kind it had before."""
    if isinstance(column, NumericColumn) and np.isnan(column.values).all():
        if kinds.get(column.name):
            codes = np.full(len(column.values), MISSING_CODE, dtype=np.int32)
            return CategoricalColumn(column.name, column.role, codes, ())
        return column
    if len(kinds) >= MAX_REMEMBERED_KINDS:
        kinds.clear()
    kinds[column.name] = isinstance(column, CategoricalColumn)
    return column


def _schema(block: Block) -> tuple[tuple[str, Role, type], ...]:
    return tuple((column.name, column.role, type(column)) for column in block.columns)


def _concatenate(blocks: Sequence[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        ids=tuple(identifier for block in blocks for identifier in block.ids),
        timestamps_ms=np.concatenate([block.timestamps_ms for block in blocks]),
        columns=tuple(
            _concatenate_columns(columns)
            for columns in zip(*(block.columns for block in blocks), strict=True)
        ),
    )


def _concatenate_columns(columns: Sequence[Column]) -> Column:
    """Columns of one name, role and kind, one after the other."""
    first = columns[0]
    if isinstance(first, NumericColumn):
        values = [column.values for column in columns if isinstance(column, NumericColumn)]
        return NumericColumn(first.name, first.role, np.concatenate(values))
    positions: dict[str, int] = {}
    parts = []
    for column in columns:
        assert isinstance(column, CategoricalColumn)
        new_codes = [positions.setdefault(category, len(positions)) for category in column.categories]
        # The last entry is where the code of missing, -1, points to.
        parts.append(np.array([*new_codes, MISSING_CODE], dtype=np.int32)[column.codes])
    return CategoricalColumn(first.name, first.role, np.concatenate(parts), tuple(positions))


def _compact(block: Block) -> Block:
    """Only the categories that occur, in order of first appearance among the old ones."""
    return Block(block.ids, block.timestamps_ms, tuple(_compact_column(column) for column in block.columns))


def _compact_column(column: Column) -> Column:
    if isinstance(column, NumericColumn):
        return column
    occurs = np.zeros(len(column.categories) + 1, dtype=bool)
    occurs[column.codes] = True
    occurs[MISSING_CODE] = False
    if occurs[:-1].all():
        return column
    new_codes = np.cumsum(occurs, dtype=np.int32) - 1
    new_codes[MISSING_CODE] = MISSING_CODE
    kept = tuple(column.categories[code] for code in np.flatnonzero(occurs).tolist())
    return CategoricalColumn(column.name, column.role, new_codes[column.codes].astype(np.int32), kept)


def _split_by_size(block: Block) -> Iterator[Block]:
    """Halves until each is within the target; a single row stays whole."""
    if len(block) == 1 or (len(block) <= MAX_MESSAGE_ROWS and estimated_bytes(block) <= TARGET_BYTES):
        yield block
        return
    middle = math.ceil(len(block) / 2)
    yield from _split_by_size(_compact(select(block, slice(0, middle))))
    yield from _split_by_size(_compact(select(block, slice(middle, None))))


def estimated_bytes(block: Block) -> int:
    """At least the size of the message without its names of model and version: lengths count five bytes each."""
    ids = len("".join(block.ids).encode()) + 5 * len(block)
    return ids + 8 * len(block) + sum(_estimated_column_bytes(column) for column in block.columns) + 100


def _estimated_column_bytes(column: Column) -> int:
    name = len(column.name.encode()) + 20
    if isinstance(column, NumericColumn):
        return name + 8 * len(column.values)
    texts = len("".join(column.categories).encode()) + 5 * len(column.categories)
    return name + 4 * len(column.codes) + texts
