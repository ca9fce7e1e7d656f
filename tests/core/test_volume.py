"""Rows of windows against those before: seasons where they are known, gaps, and a bounded history."""

import numpy as np
import pytest

from driftsonde.core.spec import HOUR_MS
from driftsonde.core.verdict import Metric
from driftsonde.core.volume import WINDOWS_KEPT, VolumeHistory, observe_volume

WEEK = 168


def after(rows: list[int], window_ms: int = HOUR_MS) -> VolumeHistory:
    history = VolumeHistory()
    for place, count in enumerate(rows):
        history, _ = observe_volume(history, place * window_ms, window_ms, count)
    return history


def number(metrics: list[Metric], name: str) -> float:
    (found,) = (metric.value for metric in metrics if metric.name == name)
    return found


def test_it_takes_five_windows_and_says_so_once_they_are_there() -> None:
    history = after([100] * 4)
    history, few = observe_volume(history, 4 * HOUR_MS, HOUR_MS, 100)
    assert [metric.name for metric in few] == ["freshness_s"]
    _, numbers = observe_volume(history, 5 * HOUR_MS, HOUR_MS, 20)
    assert (number(numbers, "volume_ratio"), number(numbers, "volume_score")) == (0.2, -8.0)
    assert {metric.n for metric in numbers} == {20}


def test_a_quiet_night_is_no_anomaly_once_five_weeks_are_known() -> None:
    week = [10 if hour % 24 < 6 or hour >= 120 else 1_000 for hour in range(WEEK)]
    history = after(week * 5)
    _, night = observe_volume(history, 5 * WEEK * HOUR_MS, HOUR_MS, 10)
    assert (number(night, "volume_ratio"), number(night, "volume_score")) == (1.0, 0.0)
    noon = after(week * 5 + week[:12])
    _, silent = observe_volume(noon, (5 * WEEK + 12) * HOUR_MS, HOUR_MS, 10)
    assert number(silent, "volume_score") < -20


def test_windows_without_rows_are_zeros_and_age() -> None:
    history = after([100] * 10)
    history, numbers = observe_volume(history, 13 * HOUR_MS, HOUR_MS, 100)
    assert history.rows[-5:] == (100, 0, 0, 0, 100)
    assert number(numbers, "freshness_s") == 3 * 3600
    _, numbers = observe_volume(history, 14 * HOUR_MS, HOUR_MS, 100)
    assert number(numbers, "freshness_s") == 0


@pytest.mark.parametrize("start_ms", [10 * HOUR_MS + 1, 9 * HOUR_MS])
def test_windows_that_do_not_follow_begin_anew(start_ms: int) -> None:
    history, numbers = observe_volume(after([100] * 10), start_ms, HOUR_MS, 7)
    assert (history, numbers) == (VolumeHistory(start_ms, (7,)), [])


def test_the_history_is_bounded() -> None:
    rng = np.random.default_rng(1)
    history = after(rng.poisson(50, WINDOWS_KEPT + 50).tolist())
    assert len(history.rows) == WINDOWS_KEPT
    history, _ = observe_volume(history, 10**9 * HOUR_MS, HOUR_MS, 3)
    assert (len(history.rows), history.rows[-1], sum(history.rows)) == (WINDOWS_KEPT, 3, 3)
