"""One column of the rows of several messages."""

from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.columns import concatenate
from driftsonde.core.events import CategoricalColumn, NumericColumn
from stream_examples import categorical, numeric

TEXTS = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=4)


@given(st.lists(st.one_of(TEXTS, st.integers(0, 3)), min_size=1, max_size=5))
def test_the_texts_are_those_of_the_messages(messages: list[list[str | None] | int]) -> None:
    """A number stands for a message of so many rows without the column."""
    columns = [None if isinstance(rows, int) else categorical("c", rows) for rows in messages]
    lengths = [rows if isinstance(rows, int) else len(rows) for rows in messages]
    joined = concatenate(columns, lengths)
    expected = [text for rows in messages for text in ([None] * rows if isinstance(rows, int) else rows)]
    if joined is None:
        assert set(columns) == {None}
    else:
        assert isinstance(joined, CategoricalColumn)
        assert [None if code < 0 else joined.categories[code] for code in joined.codes.tolist()] == expected


def test_a_missing_number_is_not_a_number() -> None:
    joined = concatenate([None, numeric("x", [1.0, 2.0])], [1, 2])
    assert isinstance(joined, NumericColumn)
    assert [str(value) for value in joined.values.tolist()] == ["nan", "1.0", "2.0"]
