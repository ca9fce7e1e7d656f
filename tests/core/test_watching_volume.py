"""A model's rows as evidence: nothing is called of a healthy season, fewer and more rows are, and it is over when they are back."""

from dataclasses import replace

import numpy as np
import pytest

from driftsonde.core.events import Floats, Ints
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.spec import HOUR_MS, Budget, ModelSpec, Policy, QualityRule, Task
from driftsonde.core.verdict import Metric
from driftsonde.core.volume import VolumeHistory, observe_volume
from driftsonde.core.watching_volume import VolumeWatch, cleared_volume, volume_level, watch_volume

DAYS = 30


def plan(volume: float) -> Plan:
    policy = Policy(quality=QualityRule(volume=volume), budget=Budget())
    return plan_for(ModelSpec("m", Task.BINARY, policy=policy), None, "", "policy")


def daily(hours: int) -> Floats:
    return 1_000 * (1 + 0.8 * np.sin(np.arange(hours) * 2 * np.pi / 24))


def watched(rows: Ints, volume: float = 0.5) -> tuple[VolumeWatch | None, list[Metric | None]]:
    """What comes of hourly windows of so many rows: the watch, and each window's `volume_ratio`."""
    history, watch, ratios = VolumeHistory(), None, list[Metric | None]()
    for hour, count in enumerate(rows.tolist()):
        history, numbers = observe_volume(history, hour * HOUR_MS, HOUR_MS, count)
        watch, numbers = watch_volume(watch, plan(volume), hour * HOUR_MS, numbers)
        ratios.append(next((number for number in numbers if number.name == "volume_ratio"), None))
    return watch, ratios


def called(ratios: list[Metric | None]) -> list[int]:
    return [hour for hour, ratio in enumerate(ratios) if ratio and ratio.breached]


@pytest.mark.parametrize("burst", [0.0, 0.3])
def test_a_season_and_bursts_that_were_learned_are_no_alarm(burst: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(3):
        rate = daily(24 * DAYS) * np.exp(rng.normal(0, burst, 24 * DAYS))
        assert called(watched(rng.poisson(rate))[1]) == []


@pytest.mark.parametrize(("factor", "bar"), [(0.3, 0.5), (3.0, 2.0), (0.02, 0.5), (50.0, 2.0)])
def test_fewer_and_more_rows_are_called_within_hours_and_it_is_over_when_they_are_back(
    factor: float, bar: float
) -> None:
    rng = np.random.default_rng(4)
    rate, start, end = daily(24 * DAYS), 24 * 20, 24 * 21
    rate[start:end] *= factor
    _, ratios = watched(rng.poisson(rate))
    hours = called(ratios)
    assert start <= hours[0] < start + 6
    assert max(hours) < end + 24
    assert {ratio.threshold for hour in hours[:3] if (ratio := ratios[hour])} == {bar}


def test_a_loss_below_the_practical_bar_is_not_called() -> None:
    rng = np.random.default_rng(5)
    rate = daily(24 * DAYS)
    rate[24 * 20 :] *= 0.8
    assert called(watched(rng.poisson(rate))[1]) == []


def test_of_a_model_with_few_rows_nothing_is_called() -> None:
    rows = np.random.default_rng(6).poisson(10, 24 * DAYS) + 1
    watch, ratios = watched(rows)
    assert watch is None or watch.learned < 48
    assert called(ratios) == []


def test_without_the_setting_and_while_it_learns_no_number_has_a_bar() -> None:
    rows = np.full(60, 100, dtype=np.int64)
    watch, ratios = watched(rows, volume=0.0)
    assert watch is None
    assert all(np.isnan(ratio.threshold) and not ratio.breached for ratio in ratios if ratio)
    watch, ratios = watched(rows)
    assert watch is not None
    assert watch.learned == 48
    held = [hour for hour, ratio in enumerate(ratios) if ratio and not np.isnan(ratio.threshold)]
    assert held == [*range(5 + 48, 60)]


def test_evidence_that_is_cleared_is_gone_and_what_was_learned_stays() -> None:
    rows = np.full(80, 100, dtype=np.int64)
    rows[70:] = 5
    watch, ratios = watched(rows)
    assert watch is not None
    assert called(ratios)[0] >= 70
    assert watch.alarmed == (False, True)
    after = cleared_volume(watch)
    assert (after.alarmed, after.learned) == ((False, False), 48)
    assert replace(watch, detector=after.detector, alarmed=after.alarmed) == after


def test_more_and_fewer_mirror_each_other() -> None:
    level = volume_level(50, 0.5, 0.5)
    more, fewer = level.added / np.array([[100.0], [0.01]])
    assert more.tolist() == pytest.approx(fewer.tolist())
    assert level.value.tolist() == pytest.approx([np.log(50) / 2, -np.log(50) / 2])
    assert level.expected[0] == -level.expected[1]
