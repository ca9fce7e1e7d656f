"""Data quality from counts: shares and their intervals, constants, freshness and volumes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftsonde.core.statistics.intervals import wilson
from driftsonde.core.statistics.quality import (
    duplicate_rate,
    freshness_s,
    is_constant,
    is_constant_category,
    share_of_rows,
    share_rise,
    type_change_rate,
    volume,
)


def test_shares_are_of_the_rows() -> None:
    share = share_of_rows(3, 12, 0.95)
    assert (share.value, share.interval) == (0.25, wilson(3, 12, 0.95))
    assert type_change_rate(3, 9, 0.95) == share
    assert duplicate_rate(12, 9, 0.95) == share
    assert math.isnan(share_of_rows(0, 0, 0.95).value)
    with pytest.raises(ValueError, match="distinct"):
        duplicate_rate(5, 6, 0.95)
    with pytest.raises(ValueError, match="successes"):
        share_of_rows(5, 4, 0.95)


def test_rise_of_published_example() -> None:
    # Newcombe (1998), table II, example (a): 56/70 against 48/80, method 10.
    rise = share_rise(48, 80, 56, 70, 0.95)
    assert rise.value == pytest.approx(0.2)
    assert (round(rise.interval.lower, 4), round(rise.interval.upper, 4)) == (0.0524, 0.3339)


@settings(max_examples=60, deadline=None)
@given(a=st.integers(0, 50), more_a=st.integers(1, 50), b=st.integers(0, 50), more_b=st.integers(1, 50))
def test_rise_contains_its_value_and_mirrors(a: int, more_a: int, b: int, more_b: int) -> None:
    there, back = share_rise(a, a + more_a, b, b + more_b, 0.9), share_rise(b, b + more_b, a, a + more_a, 0.9)
    assert there.interval.contains(there.value)
    assert there.interval.lower < there.interval.upper
    assert back.value == pytest.approx(-there.value)
    assert back.interval.lower == pytest.approx(-there.interval.upper)


def test_rise_without_rows_is_unknown() -> None:
    for rise in (share_rise(0, 0, 3, 9, 0.9), share_rise(3, 9, 0, 0, 0.9)):
        assert math.isnan(rise.value)
        assert (rise.interval.lower, rise.interval.upper) == (-1, 1)


def test_constants_need_two_rows_and_one_value() -> None:
    assert is_constant(2, 0.1, 0.1)
    assert not is_constant(0, math.inf, -math.inf)
    assert not is_constant_category([1, 0])
    assert not is_constant_category([0])
    with pytest.raises(ValueError, match="present"):
        is_constant(-1, 0.0, 0.0)


def test_freshness_is_never_negative() -> None:
    assert freshness_s(5_000, 4_000) == 0


def test_volume_is_robust_to_one_outage_and_sees_the_next() -> None:
    history = [1000, 1040, 980, 0, 1010, 990, 1030]
    usual, outage = volume(1005, history), volume(3, history)
    assert usual is not None
    assert outage is not None
    assert abs(usual.score) < 1
    assert outage.score < -20
    assert outage.ratio == pytest.approx(3 / usual.expected)


def test_volume_compares_with_the_same_time_of_the_period() -> None:
    day = [10, 10, 500, 10]
    night = volume(12, day * 6, period=4)  # after 24 windows the next is a night
    noon = volume(12, [*day * 6, 10, 10], period=4)
    assert night is not None
    assert noon is not None
    assert (night.expected, noon.expected) == (10, 500)
    assert abs(night.score) < 1
    assert noon.score < -10
    whole = volume(12, day * 2, period=4)  # two days are no history: all windows are compared
    assert whole is not None
    assert whole.expected == 10


def test_volume_keeps_its_level_on_independent_arrivals() -> None:
    rng = np.random.default_rng(3)
    scores = []
    for _ in range(500):
        counts = rng.poisson(200, 31)
        judged = volume(int(counts[-1]), counts[:-1])
        assert judged is not None
        scores.append(judged.score)
    assert np.mean(np.abs(scores) > 3) < 0.02


def test_volume_of_a_silent_history_and_refusals() -> None:
    silent = volume(4, [0] * 9)
    assert silent is not None
    assert math.isnan(silent.ratio)
    assert silent.score == 4
    assert volume(4, []) is None
    for arguments in (
        (-1, [1.0] * 9, 1, 5),
        (1, [1.0] * 9, 0, 5),
        (1, [1.0] * 9, 1, 0),
        (1, [-1.0] * 9, 1, 5),
    ):
        with pytest.raises(ValueError, match=r"rows|period|history"):
            volume(*arguments)
