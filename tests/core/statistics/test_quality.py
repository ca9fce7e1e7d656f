"""Data quality from counts: constants, freshness and volumes."""

import math

import numpy as np
import pytest

from driftsonde.core.statistics.quality import (
    freshness_s,
    is_constant,
    is_constant_category,
    volume,
)


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
