"""Rows to messages: nothing lost, nothing reordered, each row in its partition, each message small."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.client.batching import (
    MAX_MESSAGE_ROWS,
    TARGET_BYTES,
    Kinds,
    assemble,
    estimated_bytes,
    split,
)
from driftsonde.client.rows import Block, Layout, Row
from driftsonde.core.events import (
    CategoricalColumn,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
    validate,
)
from driftsonde.core.partitioning import partition_of
from strategies import columns, identifiers

LAYOUT = Layout(("x", "prediction"), (Role.FEATURE, Role.PREDICTION), classification=True)


def row(identifier: str, x: object, prediction: object = "a") -> Row:
    return Row(identifier, 7, LAYOUT, (x, prediction))


def rows_of(block: Block) -> list[tuple[Any, ...]]:
    """Each row with its values by name, whatever the columns are."""
    values = []
    for column in block.columns:
        if isinstance(column, NumericColumn):
            values.append([None if math.isnan(value) else value for value in column.values.tolist()])
        else:
            values.append([None if code == -1 else column.categories[code] for code in column.codes.tolist()])
    return list(zip(block.ids, block.timestamps_ms.tolist(), *values, strict=True))


def event_of(block: Block) -> PredictionBatch:
    return PredictionBatch("m", "1", Variant.CHAMPION, block.ids, block.timestamps_ms, block.columns)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    ids = draw(st.lists(identifiers(), min_size=1, max_size=6))
    times = draw(st.lists(st.integers(0, 10), min_size=len(ids), max_size=len(ids)))
    named = [draw(columns(len(ids), name, Role.FEATURE)) for name in ("a", "b")]
    return Block(tuple(ids), np.array(times, dtype=np.int64), tuple(named))


def test_single_rows_become_columns() -> None:
    (block,) = assemble([row("1", 1.5, 1), row("2", None, 0), row("3", 2, True)], {})
    assert rows_of(block) == [("1", 7, 1.5, "1"), ("2", 7, None, "0"), ("3", 7, 2.0, "1")]


def test_a_column_that_changes_between_numbers_and_texts_is_categorical() -> None:
    (block,) = assemble([row("1", 1.5), row("2", "b")], {})
    assert [values[2] for values in rows_of(block)] == ["1.5", "b"]


def test_a_column_without_a_value_keeps_the_kind_it_had() -> None:
    kinds: Kinds = {}
    assert isinstance(assemble([row("1", None)], kinds)[0].columns[0], NumericColumn)
    assemble([row("1", "text")], kinds)
    assert isinstance(assemble([row("1", None)], kinds)[0].columns[0], CategoricalColumn)
    assemble([row("1", 1.0)], kinds)
    assert isinstance(assemble([row("1", None)], kinds)[0].columns[0], NumericColumn)


def test_rows_and_blocks_of_the_same_columns_are_one_block() -> None:
    (block,) = assemble([row("1", 1.0, "a")], {})
    (joined,) = assemble([block, row("2", 2.0, "b"), block, row("3", None, "a")], {})
    assert rows_of(joined) == [
        ("1", 7, 1.0, "a"),
        ("2", 7, 2.0, "b"),
        ("1", 7, 1.0, "a"),
        ("3", 7, None, "a"),
    ]


def test_other_columns_make_another_block_in_order() -> None:
    other = Layout(("y", "prediction"), (Role.FEATURE, Role.PREDICTION), classification=True)
    made = assemble([row("1", 1.0), Row("2", 7, other, (2.0, "a")), row("3", 3.0)], {})
    assert [block.ids for block in made] == [("1",), ("2",), ("3",)]


@given(st.lists(blocks(), min_size=1, max_size=5))
def test_assembling_keeps_every_row_in_order(given_blocks: list[Block]) -> None:
    # No remembered kinds: a column without a value has the kind that it has.
    expected = [values for block in given_blocks for values in rows_of(block)]
    assert [values for block in assemble(given_blocks, {}) for values in rows_of(block)] == expected


@given(blocks(), st.integers(1, 6))
def test_splitting_puts_every_row_in_its_partition_in_order(block: Block, partitions: int) -> None:
    expected = defaultdict(list)
    for values in rows_of(block):
        expected[partition_of(values[0].encode(), partitions)].append(values)
    found = defaultdict(list)
    for partition, message in split(block, partitions):
        validate(event_of(message))
        found[partition].extend(rows_of(message))
    assert found == expected


@given(blocks(), st.integers(1, 6))
def test_messages_carry_only_the_categories_they_use(block: Block, partitions: int) -> None:
    for _, message in split(block, partitions):
        for column in message.columns:
            if isinstance(column, CategoricalColumn):
                assert set(column.codes.tolist()) - {-1} == set(range(len(column.categories)))


@given(blocks())
def test_the_estimate_is_at_least_the_size(block: Block) -> None:
    assert len(Codec(EVENT_TYPES).encode(event_of(block))) <= estimated_bytes(block)


@pytest.mark.parametrize("wide", [True, False])
def test_messages_stay_below_the_target(wide: bool) -> None:
    rows, width = (1_000, 400) if wide else (20_000, 2)
    text = "ü" * (10 if wide else 60)
    generator = np.random.default_rng(1)
    block = Block(
        ids=tuple(f"{number:036d}" for number in range(rows)),
        timestamps_ms=np.arange(rows),
        columns=(
            *(NumericColumn(f"x{number}", Role.FEATURE, generator.random(rows)) for number in range(width)),
            CategoricalColumn(
                "c", Role.FEATURE, np.arange(rows, dtype=np.int32), tuple(f"{text}{n}" for n in range(rows))
            ),
        ),
    )
    codec = Codec(EVENT_TYPES)
    messages = [message for _, message in split(block, 2)]
    sizes = [len(codec.encode(event_of(message))) for message in messages]
    assert max(sizes) <= TARGET_BYTES
    assert max(map(len, messages)) <= MAX_MESSAGE_ROWS
    # Halving leaves no crumbs: the smallest is no less than about a quarter of the target.
    assert min(sizes) > TARGET_BYTES / 5
    assert sum(map(len, messages)) == rows


def test_a_row_beyond_the_target_stays_whole() -> None:
    huge = tuple(
        CategoricalColumn(f"c{n}", Role.FEATURE, np.zeros(1, np.int32), ("x" * 1000,)) for n in range(600)
    )
    ((_, message),) = split(Block(("a",), np.array([1]), huge), 1)
    assert len(message) == 1


def test_more_rows_than_categories_are_allowed_are_split() -> None:
    rows = MAX_MESSAGE_ROWS + 1
    categories = tuple(str(number) for number in range(rows))
    column = CategoricalColumn("c", Role.FEATURE, np.arange(rows, dtype=np.int32), categories)
    for _, message in split(Block(categories, np.arange(rows), (column,)), 1):
        validate(event_of(message))
