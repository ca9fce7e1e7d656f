"""Columns and times as callers have them."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.client.columns import column_of_objects, is_column_like, text_of, to_column, to_outcome
from driftsonde.client.times import to_times_ms
from driftsonde.core.events import CategoricalColumn, Column, InvalidEvent, NumericColumn, Role

NAN = math.nan


def column(values: Any) -> Column:
    return to_column("x", Role.FEATURE, values, "x")


def texts(of: Column) -> list[str | None]:
    assert isinstance(of, CategoricalColumn)
    return [None if code == -1 else of.categories[code] for code in of.codes.tolist()]


def numbers(of: Column) -> list[float | None]:
    assert isinstance(of, NumericColumn)
    assert of.values.dtype == np.float64
    return [None if math.isnan(value) else value for value in of.values.tolist()]


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 3],
        [1.0, NAN, 3.0],
        (True, None, 3),
        [np.float32(1), NAN, np.int8(3)],
        [Decimal(1), None, Decimal(3)],
        np.array([1, NAN, 3]),
        np.array([1, None, 3], dtype=object),
        pd.Series([1, None, 3]),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1, pd.NA, 3], dtype="Float32"),
        pd.Series([1, pd.NA, 3], dtype=object),
        pd.Series([True, None, 3], dtype=object),
    ],
)
def test_numbers_of_any_kind(values: Any) -> None:
    assert numbers(column(values)) == [1.0, None, 3.0]


@pytest.mark.parametrize(
    "values",
    [
        ["b", None, "a", "b"],
        ["b", NAN, "a", "b"],
        np.array(["b", None, "a", "b"], dtype=object),
        pd.Series(["b", None, "a", "b"]),
        pd.Series(["b", None, "a", "b"], dtype="string"),
        pd.Series(["b", None, "a", "b"], dtype="category"),
        pd.Series(["b", NAN, "a", "b"], dtype=object),
    ],
)
def test_texts_of_any_kind(values: Any) -> None:
    assert texts(column(values)) == ["b", None, "a", "b"]


def test_arrays_of_texts() -> None:
    assert texts(column(np.array(["b", "a"]))) == ["b", "a"]


def test_a_mixture_is_categorical() -> None:
    assert texts(column([1, "a", None, 2.5])) == ["1", "a", None, "2.5"]


def test_booleans_are_numbers() -> None:
    assert numbers(column(np.array([True, False]))) == [1.0, 0.0]


def test_infinities_stay() -> None:
    assert numbers(column([np.inf, -np.inf])) == [np.inf, -np.inf]


def test_a_column_without_a_value_is_numeric() -> None:
    assert numbers(column([None, None])) == [None, None]
    assert numbers(column([pd.NA, pd.NaT])) == [None, None]


def test_the_columns_values_are_a_copy() -> None:
    values = np.array([1.0])
    copied = column(values)
    values[0] = 2.0
    assert numbers(copied) == [1.0]


def test_codes_of_pandas_categories_are_a_copy_and_unused_categories_are_kept() -> None:
    copied = column(pd.Series(pd.Categorical(["a"], categories=["z", "a"])))
    assert isinstance(copied, CategoricalColumn)
    assert copied.categories == ("z", "a")
    assert copied.codes.dtype == np.int32


@pytest.mark.parametrize(
    "values",
    [
        [[1], [2]],
        [{"a": 1}],
        np.zeros((2, 2)),
        ["x" * 1025],
        ["\ud800"],
        [10**400],
        np.array(["2020-01-01"], dtype="datetime64[ns]"),
        pd.Series(pd.to_datetime(["2020-01-01"], utc=True)),
        pd.Series(pd.Categorical(["1", 1], categories=["1", 1])),
    ],
)
def test_what_is_no_column_is_refused_by_its_name(values: Any) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        column(values)
    assert refusal.value.field == "x"


@given(st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=3), st.booleans(), st.integers())))
def test_every_row_keeps_its_place(values: list[Any]) -> None:
    try:
        made = column_of_objects("x", Role.FEATURE, values, "x")
    except InvalidEvent:
        return
    for value, got in zip(
        values, numbers(made) if isinstance(made, NumericColumn) else texts(made), strict=True
    ):
        if value is None or value != value:
            assert got is None
        elif isinstance(got, str):
            assert got == text_of(value)
        else:
            assert got == float(value)


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, None],
        [1.0, 0.0, NAN],
        [True, False, None],
        ["1", "0", None],
        pd.Series([1, 0, None], dtype="Int8"),
    ],
)
def test_classes_are_the_same_texts_whatever_their_type(values: Any) -> None:
    assert texts(to_outcome("label", values, True, "labels")) == ["1", "0", None]


def test_classes_of_any_numbers() -> None:
    assert [text_of(value) for value in (12, -3.0, 0.5, np.int64(7), np.True_)] == [
        "12",
        "-3",
        "0.5",
        "7",
        "1",
    ]


def test_a_regressions_outcomes_are_numbers() -> None:
    assert numbers(to_outcome("label", [1, True, 2.5], False, "labels")) == [1.0, 1.0, 2.5]
    with pytest.raises(InvalidEvent, match="labels"):
        to_outcome("label", ["a"], False, "labels")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("text", False),
        (b"bytes", False),
        (1.0, False),
        (None, False),
        (np.float64(1), False),
        (np.array(1.0), False),
        ([1], True),
        ((), True),
        (np.zeros(1), True),
        (pd.Series([1]), True),
    ],
)
def test_scalars_and_columns_are_told_apart(values: Any, expected: bool) -> None:
    assert is_column_like(values) is expected


MOMENT_MS = 1_700_000_000_123


@pytest.mark.parametrize(
    "moment",
    [
        MOMENT_MS,
        np.int64(MOMENT_MS),
        np.datetime64(MOMENT_MS, "ms"),
        datetime.fromtimestamp(MOMENT_MS // 1000, UTC) + timedelta(milliseconds=123),
        datetime.fromtimestamp(MOMENT_MS // 1000, timezone(timedelta(hours=5))) + timedelta(milliseconds=123),
        pd.Timestamp(MOMENT_MS, unit="ms", tz="UTC"),
    ],
)
def test_times_of_any_kind(moment: Any) -> None:
    assert to_times_ms(moment, 1).tolist() == [MOMENT_MS]
    assert to_times_ms(moment, 3).tolist() == [MOMENT_MS] * 3
    assert to_times_ms([moment, moment], 2).tolist() == [MOMENT_MS] * 2


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_times_of_pandas(zone: str | None) -> None:
    series = pd.Series(pd.to_datetime([MOMENT_MS], unit="ms", utc=True))
    localised = series.dt.tz_localize(None) if zone is None else series.dt.tz_convert(zone)
    assert to_times_ms(localised, 1).tolist() == [MOMENT_MS]


@pytest.mark.parametrize(
    "times",
    [
        1.7e9,
        "2020-01-01",
        datetime(2020, 1, 1),
        [datetime(2020, 1, 1)],
        [MOMENT_MS],
        np.datetime64("NaT"),
        -1,
        10**18,
        [None, None],
        True,
    ],
)
def test_times_that_are_guesses_are_refused(times: Any) -> None:
    with pytest.raises(InvalidEvent, match="timestamps"):
        to_times_ms(times, 2)
