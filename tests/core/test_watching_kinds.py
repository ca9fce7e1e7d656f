"""Evidence over windows for quality rates and a regression's error: called within the budget, and no more often."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from driftsonde.core.baseline import Baseline, Lineage, NumericReference, Performance
from driftsonde.core.column_health import CONSTANT, CONSTANT_BAR
from driftsonde.core.events import Role, Variant
from driftsonde.core.judging import INPUT_RULES, OUTCOME_RULES, JudgedWindow, ModelState, apply_rules
from driftsonde.core.plan import plan_for
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, Budget, ModelSpec, Policy, Task
from driftsonde.core.verdict import Metric
from driftsonde.core.window import WindowKey
from driftsonde.judge.storage import decode_state, encode_state

LEARNING, ROWS = 30, 300
COLUMNS = tuple(f"x{number}" for number in range(8))
COUNTS = np.array([0, *([490] * 10), 0, 100])
REFERENCES = tuple(
    NumericReference(name, Role.FEATURE, np.arange(11.0), COUNTS, 0.0, 0.0, 0.0, 10.0) for name in COLUMNS
)
POLICY = Policy(budget=Budget(learning_windows=LEARNING))
SPEC = ModelSpec("m", Task.REGRESSION, window_ms=HOUR_MS, policy=POLICY)
BASELINE = Baseline(
    "m",
    "1",
    5_000,
    REFERENCES,
    (),
    Performance("rmse", 2.0, 5_000),
    Lineage("test", "", -HOUR_MS, 0),
)
PLAN = plan_for(SPEC, BASELINE, "baseline", "policy")


def window(hour: int, metrics: Sequence[Metric], segment: str = "") -> JudgedWindow:
    key = WindowKey(hour * HOUR_MS, "m", "1", Variant.CHAMPION, segment)
    return JudgedWindow(key, PLAN, tuple(metrics))


def judge(
    state: ModelState, windows: Sequence[JudgedWindow], rules: Sequence[Rule]
) -> tuple[ModelState, list[Signal]]:
    """As the judge does: the state goes through the store at the end."""
    signals: list[Signal] = []
    for one in windows:
        state, said = apply_rules(state, [one], rules)
        signals.extend(said)
    return decode_state(encode_state(state)), signals


def rates(randomness: np.random.Generator, hour: int, ill: float = 0.02) -> JudgedWindow:
    """Missing rates of 0.02, the first column's `ill`."""
    shares = np.full(len(COLUMNS), 0.02)
    shares[0] = ill
    found = randomness.binomial(ROWS, shares) / ROWS
    numbers = [
        Metric(name, "missing_rate", ROWS, float(value), float(value) - 0.03, 1.0, 0.12, bool(value > 0.15))
        for name, value in zip(COLUMNS, found, strict=True)
    ]
    return window(
        hour, [*numbers, *(Metric(name, "out_of_range_rate", ROWS, 0.0, 0.0, 0.01, 0.1) for name in COLUMNS)]
    )


def with_constant(one: JudgedWindow, *columns: str) -> JudgedWindow:
    told = [
        Metric(column, CONSTANT, ROWS, float(column in columns), threshold=CONSTANT_BAR) for column in COLUMNS
    ]
    return replace(one, metrics=(*one.metrics, *told))


def test_a_column_that_becomes_constant_is_called_after_a_few_windows_and_over_when_it_varies() -> None:
    randomness = np.random.default_rng(3)
    state, said = judge(
        ModelState(), [with_constant(rates(randomness, hour)) for hour in range(60)], INPUT_RULES
    )
    assert not said
    ill = [with_constant(rates(randomness, hour), "x3") for hour in range(60, 72)]
    state, (alert,) = judge(state, ill, INPUT_RULES)
    assert (alert.rule, alert.kind) == (Rule.QUALITY, SignalKind.ALERT)
    assert [(one.column, one.statistic, one.value) for one in alert.evidence] == [("x3", CONSTANT, 1.0)]
    assert 1 < alert.window_start_ms // HOUR_MS - 60 <= 4  # one window is no evidence
    _, (over,) = judge(
        state, [with_constant(rates(randomness, hour)) for hour in range(72, 160)], INPUT_RULES
    )
    assert over.kind is SignalKind.RESOLVE


@pytest.mark.parametrize("hours", [range(8), (2,)])
def test_what_is_constant_every_night_is_no_news(hours: Sequence[int]) -> None:
    randomness = np.random.default_rng(4)
    windows = [rates(randomness, hour) for hour in range(20 * 24)]
    nightly = [
        with_constant(one, *(("x1", "x2") if hour % 24 in hours else ())) for hour, one in enumerate(windows)
    ]
    assert judge(ModelState(), nightly, INPUT_RULES)[1] == []


def error(randomness: np.random.Generator, hour: int, scale: float = 2.0, segment: str = "") -> JudgedWindow:
    """The RMSE of so many normal errors."""
    rmse = scale * float(np.sqrt(randomness.chisquare(ROWS) / ROWS))
    lower = rmse * (1 - 2.58 / np.sqrt(2 * ROWS))
    return window(hour, [Metric("", "rmse", ROWS, rmse, lower, 2 * rmse, 2.1, bool(lower > 2.1))], segment)


def test_a_missing_rate_that_rises_is_called_and_resolved_and_healthy_ones_never_are() -> None:
    randomness = np.random.default_rng(1)
    state, said = judge(ModelState(), [rates(randomness, hour) for hour in range(150)], INPUT_RULES)
    assert said == []
    assert state.watch.quality["1"].learned == LEARNING
    # 14 % does not pass a window's own interval; in a few windows together it is beyond doubt.
    state, said = judge(state, [rates(randomness, hour, 0.14) for hour in range(150, 154)], INPUT_RULES)
    assert [(signal.kind, signal.rule) for signal in said] == [(SignalKind.ALERT, Rule.QUALITY)]
    assert [(one.column, one.statistic) for one in said[0].evidence] == [("x0", "missing_rate")]
    state, said = judge(state, [rates(randomness, hour) for hour in range(154, 162)], INPUT_RULES)
    assert [signal.kind for signal in said] == [SignalKind.RESOLVE]
    assert state.watch.quality["1"].alarmed == frozenset()


def test_a_missing_rate_that_was_always_beyond_its_bar_is_held_against_it_while_nothing_is_learned() -> None:
    randomness = np.random.default_rng(2)
    state, said = judge(ModelState(), [rates(randomness, hour, 0.3) for hour in range(5)], INPUT_RULES)
    assert [signal.kind for signal in said] == [SignalKind.ALERT]
    assert "1" not in state.watch.quality or state.watch.quality["1"].learned == 0


def test_an_error_that_rises_is_called_within_windows_whose_own_interval_says_nothing() -> None:
    randomness = np.random.default_rng(3)
    state, said = judge(ModelState(), [error(randomness, hour) for hour in range(200)], OUTCOME_RULES)
    assert said == []
    worse = [error(randomness, hour, 2.0 * 1.12) for hour in range(200, 230)]
    assert not any(one.metrics[0].breached for one in worse[:3])
    state, said = judge(state, worse, OUTCOME_RULES)
    assert said[0].kind is SignalKind.ALERT
    assert said[0].window_start_ms <= 208 * HOUR_MS
    _, said = judge(state, [error(randomness, hour) for hour in range(230, 250)], OUTCOME_RULES)
    assert [signal.kind for signal in said] == [SignalKind.RESOLVE]


def test_errors_of_a_heavy_tail_are_no_alarm_once_they_are_learned() -> None:
    """Of Student's t with five degrees of freedom squares vary twice as much as a normal interval says."""
    randomness = np.random.default_rng(4)
    for _ in range(5):
        tails = randomness.standard_t(5, (130, ROWS)) * 2.0 * np.sqrt(3 / 5)
        windows = []
        for hour, errors in enumerate(tails):
            rmse = float(np.sqrt(np.mean(errors**2)))
            lower = rmse * (1 - 2.58 / np.sqrt(2 * ROWS))
            number = Metric("", "rmse", ROWS, rmse, lower, 2 * rmse, 2.1, bool(lower > 2.1))
            windows.append(window(hour, [number]))
        _, said = judge(ModelState(), windows, OUTCOME_RULES)
        late = [one for one in said if one.kind is SignalKind.ALERT and one.window_start_ms > 50 * HOUR_MS]
        assert late == []


def test_a_segment_whose_error_was_always_a_little_larger_is_not_in_alarm() -> None:
    randomness = np.random.default_rng(5)
    windows = [error(randomness, hour, 2.08, "country=nl") for hour in range(150)]
    state, said = judge(ModelState(), windows, OUTCOME_RULES)
    assert said == []
    assert state.watch.errors[("1", "country=nl")].learned == LEARNING


def test_numbers_that_are_absurd_say_nothing() -> None:
    absurd = window(0, [Metric("", "rmse", ROWS, float("inf"))])
    state, said = judge(ModelState(), [absurd], OUTCOME_RULES)
    assert said == []
    assert state.watch.errors == {}


def test_a_version_that_serves_no_longer_is_forgotten() -> None:
    randomness = np.random.default_rng(6)
    state, _ = judge(ModelState(), [rates(randomness, hour) for hour in range(3)], INPUT_RULES)
    other = rates(randomness, 3)
    state, _ = judge(state, [replace(other, key=replace(other.key, version="2"))], INPUT_RULES)
    assert list(state.watch.quality) == ["2"]


@pytest.mark.parametrize("drop", [0.05, 0.2])
def test_a_rise_far_below_the_effect_is_no_alarm_however_long_it_lasts(drop: float) -> None:
    spec = replace(SPEC, policy=replace(POLICY, performance=replace(POLICY.performance, drop=drop)))
    randomness = np.random.default_rng(7)
    plan = plan_for(spec, BASELINE, "baseline", "policy")
    windows = [error(randomness, hour, 2.0 * (1 + (drop / 5 if hour >= 60 else 0))) for hour in range(160)]
    _, said = judge(ModelState(), [replace(one, plan=plan) for one in windows], OUTCOME_RULES)
    assert said == []
