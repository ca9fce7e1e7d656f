"""Groups of rows: every row once in the whole model, and once in its slice of each segment column."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.chunks import Kind, window_start_of
from driftsonde.core.events import InvalidEvent, PredictionBatch, Variant
from driftsonde.core.grouping import Slicing, group_rows, key_template, slicing_of
from driftsonde.core.spec import ModelSpec, Task
from stream_examples import categorical, numeric, plan_of

SPEC = ModelSpec("m", Task.BINARY, segments=("country", "device"))
SLICING = Slicing(("country", "device"), (("DE", "FR"), ()))


def batch_of(countries: list[str | None], devices: list[str | None] | None = None) -> PredictionBatch:
    columns = (categorical("country", countries), categorical("device", devices or ["tv"] * len(countries)))
    rows = len(countries)
    return PredictionBatch("m", "1", Variant.CHAMPION, ("i",) * rows, np.zeros(rows, dtype=np.int64), columns)


def test_slices_are_named_and_bounded() -> None:
    assert SLICING.labels == ("", "country=DE", "country=FR", "country=(other)", "device=(other)")
    country, device = SLICING.codes([batch_of(["FR", "IT", None]), batch_of(["DE"])])
    assert country.tolist() == [2, 3, -1, 1]
    assert device.tolist() == [4, 4, 4, 4]
    absent = SLICING.codes([replace(batch_of(["FR", "DE"]), columns=())])
    assert [codes.tolist() for codes in absent] == [[-1, -1], [-1, -1]]


def test_a_numeric_segment_column_is_refused() -> None:
    batch = replace(batch_of(["DE"]), columns=(numeric("country", [1.0]),))
    with pytest.raises(InvalidEvent, match=r"columns\[country\]: is numeric"):
        SLICING.check(batch)


def test_a_segment_of_nulls_alone_is_missing_whatever_its_kind() -> None:
    nulls = replace(batch_of(["DE"]), columns=(numeric("country", [np.nan]), categorical("device", ["tv"])))
    SLICING.check(nulls)
    country, _ = SLICING.codes([nulls, batch_of(["FR"])])
    assert country.tolist() == [-1, 2]


def test_a_value_that_is_called_other_joins_the_others() -> None:
    plan = plan_of(SPEC, "1", categorical("country", ["DE", "(other)", "FR"]))
    assert slicing_of(SPEC, plan.baseline).values == (("DE", "FR"), ())
    assert slicing_of(SPEC, plan.baseline).codes([batch_of(["(other)", "IT"])])[0].tolist() == [3, 3]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["DE", "FR", "IT", None]),
            st.sampled_from(["tv", None]),
            st.integers(0, 2),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_each_row_is_in_the_groups_that_its_values_name(
    rows: list[tuple[str | None, str | None, int, bool]],
) -> None:
    batch = batch_of([row[0] for row in rows], [row[1] for row in rows])
    windows = np.array([row[2] * 1_000 for row in rows], dtype=np.int64)
    late = np.array([row[3] for row in rows], dtype=np.int64)
    template = key_template("m", "1", Variant.CHAMPION, Kind.INPUTS, "b")
    groups = group_rows(template, SLICING.labels, SLICING.codes([batch]), windows, late)
    assert len(set(groups.keys)) == len(groups.keys)
    assert groups.strata.groups == len(groups.keys)
    whole, country, device = groups.strata.members[:, groups.strata.of_row]
    for row, (value, device_value, window, is_late) in enumerate(rows):
        expected = replace(template, window_start_ms=window * 1_000, late=is_late)
        assert groups.keys[whole[row]] == expected
        if value is None:
            assert country[row] == -1
        else:
            named = value if value != "IT" else "(other)"
            assert groups.keys[country[row]] == replace(expected, segment=f"country={named}")
        assert bool(device[row] == -1) is (device_value is None)


@given(st.integers(0, 10**13), st.integers(1, 10**9))
def test_a_window_holds_its_timestamp(timestamp_ms: int, window_ms: int) -> None:
    start = window_start_of(timestamp_ms, window_ms)
    assert start <= timestamp_ms < start + window_ms
    assert start % window_ms == 0
