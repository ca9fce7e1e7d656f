"""Single predictions are the rows of batches, however many are joined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.events import (
    CategoricalColumn,
    InvalidEvent,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
    validate,
)
from driftsonde.core.grouping import Slicing
from driftsonde.core.inputs import check_columns, check_row, layout_of
from driftsonde.core.rows import PredictionRow, RowShape, Value, join_rows, validate_row
from driftsonde.core.spec import ModelSpec, Task
from stream_examples import categorical, numeric, plan_of

SHAPES = (
    RowShape(("x", "c"), (Role.FEATURE, Role.FEATURE)),
    RowShape(("c", "x"), (Role.SEGMENT, Role.FEATURE)),
    RowShape((), ()),
)
LAYOUT = layout_of(
    plan_of(
        ModelSpec("m", Task.REGRESSION), "1", numeric("x", [0.0, 1.0]), categorical("c", ["a", "b"])
    ).baseline
)
SLICING = Slicing(("c",), (("a",),))

VALUES = st.one_of(
    st.sampled_from(["a", "b", None, True, math.nan]), st.floats(width=64), st.text(max_size=3)
)


@st.composite
def rows(draw: st.DrawFn) -> PredictionRow:
    shape = draw(st.sampled_from(SHAPES))
    values = tuple(draw(VALUES) for _ in shape.names)
    return PredictionRow("m", "1", Variant.CHAMPION, draw(st.text(max_size=3)), 5, shape, values)


def cell(batch: PredictionBatch, name: str, row: int) -> Value:
    """The value as a batch has it: numbers are floats, and NaN is none."""
    for column in batch.columns:
        if column.name == name and isinstance(column, CategoricalColumn):
            return None if column.codes[row] < 0 else column.categories[column.codes[row]]
        if column.name == name and isinstance(column, NumericColumn):
            return None if np.isnan(column.values[row]) else float(column.values[row])
    raise LookupError(name)


def plain(value: Value) -> Value:
    if isinstance(value, str) or value is None:
        return value
    return None if math.isnan(value) else float(value)


@given(st.lists(st.one_of(rows(), rows().map(lambda row: join_rows([row])[0])), max_size=12))
def test_joined_rows_are_the_rows_in_their_order(events: list[PredictionBatch | PredictionRow]) -> None:
    joined = [(batch, row) for batch in join_rows(events) for row in range(len(batch.ids))]
    assert len(joined) == len(events)
    for event, (batch, number) in zip(events, joined, strict=True):
        validate(batch)
        if isinstance(event, PredictionBatch):
            assert batch is event
            continue
        assert (batch.ids[number], batch.timestamps_ms[number]) == (event.id, event.timestamp_ms)
        assert [(c.name, c.role) for c in batch.columns] == list(
            zip(event.shape.names, event.shape.roles, strict=True)
        )
        for name, value in zip(event.shape.names, event.values, strict=True):
            assert cell(batch, name, number) == plain(value)


def test_rows_of_one_shape_become_one_batch_unless_a_column_mixes_texts_and_numbers() -> None:
    def row(x: Value, c: Value) -> PredictionRow:
        return PredictionRow("m", "1", Variant.CHAMPION, "i", 5, SHAPES[0], (x, c))

    alike = [row(1.0, "a"), row(None, None), row(math.nan, "b"), row(True, "a")]
    assert len(join_rows(alike)) == 1
    assert [len(batch.ids) for batch in join_rows([*alike, row(2.0, 2.0)])] == [1] * 5
    assert len(join_rows([row(None, None), row(None, 1.0)])) == 1


@given(rows())
def test_a_row_is_refused_where_its_batch_is(row: PredictionRow) -> None:
    (batch,) = join_rows([row])

    def problem(check: object, *given: object) -> str | None:
        assert callable(check)
        try:
            check(*given)
        except InvalidEvent as error:
            return str(error)
        return None

    assert problem(check_row, LAYOUT, row) == problem(check_columns, LAYOUT, batch)
    assert problem(SLICING.check_row, row) == problem(SLICING.check, batch)


def test_a_text_that_is_too_long_is_refused() -> None:
    shape = RowShape(("c",), (Role.FEATURE,))
    with pytest.raises(InvalidEvent, match=r"columns\[c\]: a category is longer"):
        validate_row(PredictionRow("m", "1", Variant.CHAMPION, "i", 5, shape, ("x" * 1_025,)))
