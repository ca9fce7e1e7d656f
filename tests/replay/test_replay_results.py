"""Numbers and bins as the result files have them."""

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.replay.results import bin_rows, format_float, format_time


@given(st.floats())
def test_a_number_reads_back_to_the_same(value: float) -> None:
    text = format_float(value)
    assert text == "" if math.isnan(value) else float(text) == value


@given(st.integers(0, 4_102_444_800_000))
def test_times_are_utc_to_the_millisecond(time_ms: int) -> None:
    text = format_time(time_ms)
    assert text.endswith("Z")
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == time_ms


def test_a_categorical_column_has_a_row_for_each_category_and_two_more() -> None:
    rows = list(bin_rows("categorical", [], ["FR", "missing"], [1, 2, 3, 4], [5, 6, 7, 8]))
    assert rows == [
        ("1", "FR", "", "", 1, 5),
        ("2", "missing", "", "", 2, 6),
        ("unseen", "", "", "", 3, 7),
        ("missing", "", "", "", 4, 8),
    ]


def test_counts_that_do_not_fit_the_bins_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        list(bin_rows("numeric", [0.0, 1.0], [], [1, 2, 3], [1, 2, 3]))
