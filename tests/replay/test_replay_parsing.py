"""Texts of a log to values."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.replay.parsing import class_of, parse_numbers, parse_times_ms, times_of_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", 1767323045000),
        ("2026-01-02 03:04:05", 1767323045000),
        ("2026-01-02T03:04:05.678+00:00", 1767323045678),
        ("2026-01-02T05:04:05+02:00", 1767323045000),
        ("2026-01-02", 1767312000000),
        ("1767323045", 1767323045000),
        ("1767323045.25", 1767323045250),
        ("1767323045250", 1767323045250),
    ],
)
def test_a_time_is_read_alone_and_among_others(text: str, expected: int) -> None:
    for texts in ([text], [text, "soon"], ["1970-01-01T00:00:01Z", text]):
        times, bad = parse_times_ms(texts)
        at = texts.index(text)
        assert (int(times[at]), bool(bad[at])) == (expected, False)


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1e300", "2026-13-01", "\ud800"])
def test_what_is_no_time_is_told(text: str) -> None:
    assert parse_times_ms(["2026-01-02T03:04:05Z", text])[1].tolist() == [False, True]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1)))
def test_the_quick_way_and_the_slow_one_agree(time: datetime) -> None:
    text = time.replace(tzinfo=UTC).isoformat(timespec="milliseconds")
    quick = parse_times_ms([text.replace("+00:00", "Z")])[0]
    slow = parse_times_ms([text, "soon"])[0]
    assert quick[0] == slow[0]


def test_numbers_of_a_column_are_seconds_or_milliseconds() -> None:
    times, bad = times_of_numbers(np.array([1767323045.0, 1767323045000.0, np.nan, 1e18]))
    assert times.tolist()[:2] == [1767323045000, 1767323045000]
    assert bad.tolist() == [False, False, True, True]


@given(st.lists(st.floats(allow_nan=False)), st.sampled_from(["x", "1,5", "0x10", "--"]))
def test_a_bad_number_does_not_change_its_neighbours(values: list[float], bad_text: str) -> None:
    texts = [repr(value) for value in values]
    parsed, bad = parse_numbers([*texts, bad_text])
    assert parsed[:-1].tolist() == values
    assert bad.tolist() == [False] * len(values) + [True]


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "null", "None", "NaN", "<NA>"])
def test_what_stands_for_missing_is_missing_and_not_bad(text: str) -> None:
    values, bad = parse_numbers([text, "text"])
    assert math.isnan(values[0])
    assert bad.tolist() == [False, True]


@pytest.mark.parametrize("text", ["1", "1.0", " 1 ", "01", "1e0"])
def test_a_class_has_one_name_however_it_is_written(text: str) -> None:
    assert class_of(text) == "1"
