"""Evidence over windows: nothing is called while it learns, then a lasting change is, and a healthy stream is not."""

from dataclasses import replace

import numpy as np
import pytest

from driftsonde.core.baseline import Baseline, Lineage, NumericReference, Performance
from driftsonde.core.events import Ints, Role, Variant
from driftsonde.core.judging import INPUT_RULES, OUTCOME_RULES, JudgedWindow, ModelState, apply_rules
from driftsonde.core.plan import plan_for
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, Budget, DriftRule, ModelSpec, PerformanceRule, Period, Policy, Task
from driftsonde.core.statistics.distances import population_stability_index
from driftsonde.core.verdict import Metric, distance_bins
from driftsonde.core.window import WindowKey
from driftsonde.judge.storage import decode_state, encode_state

COLUMNS = tuple(f"x{number}" for number in range(6))
LEARNING = 30
ROWS = 400
COUNTS = np.array([0, *([500] * 10), 0, 0])


def reference(name: str) -> NumericReference:
    return NumericReference(name, Role.FEATURE, np.arange(11.0), COUNTS, 0.0, 0.0, 0.0, 10.0)


SPEC = ModelSpec(
    "m",
    Task.BINARY,
    window_ms=HOUR_MS,
    classes=("no", "yes"),
    policy=Policy(
        drift=DriftRule(retrain_after=3, resolve_after=2),
        performance=PerformanceRule(drop=0.05, resolve_after=2),
        budget=Budget(false_pages=1, per=Period.QUARTER, learning_windows=LEARNING),
    ),
)
BASELINE = Baseline(
    "m",
    "1",
    5_000,
    tuple(reference(name) for name in COLUMNS),
    (),
    Performance("accuracy", 0.9, 5_000),
    Lineage("test", "", -HOUR_MS, 0),
)
PLAN = plan_for(SPEC, BASELINE, "baseline", "policy")


def inputs(hour: int, counts: Ints) -> JudgedWindow:
    """A window of columns with these counts (columns x bins)."""
    metrics = []
    for name, row in zip(COLUMNS, counts, strict=True):
        before = distance_bins(reference(name), COUNTS)
        psi = population_stability_index(before, distance_bins(reference(name), np.array([0, *row, 0, 0])))
        metrics.append(Metric(name, "psi", int(row.sum()), psi, threshold=0.2, breached=psi > 0.2))
    return JudgedWindow(key(hour), PLAN, tuple(metrics))


def outcomes(hour: int, wrong: int, labelled: int = ROWS) -> JudgedWindow:
    accuracy = 1 - wrong / labelled
    breached = accuracy + 2.6 * np.sqrt(0.09 / labelled) < 0.85
    return JudgedWindow(
        key(hour),
        PLAN,
        (Metric("", "accuracy", labelled, accuracy, threshold=0.85, breached=bool(breached)),),
    )


def key(hour: int) -> WindowKey:
    return WindowKey(hour * HOUR_MS, "m", "1", Variant.CHAMPION, "")


def judge(state: ModelState, windows: list[JudgedWindow]) -> tuple[ModelState, list[Signal]]:
    """As the judge does, and through its store between any two windows."""
    signals: list[Signal] = []
    for window in windows:
        rules = INPUT_RULES if window.metrics[0].name == "psi" else OUTCOME_RULES
        state, said = apply_rules(decode_state(encode_state(state)), [window], rules)
        signals.extend(said)
    return state, signals


def drawn(randomness: np.random.Generator, shift: float) -> Ints:
    shares = np.full((len(COLUMNS), 10), 0.1)
    shares[2] *= np.linspace(1 - shift, 1 + shift, 10)
    return randomness.multinomial(ROWS, shares)


def test_a_drift_is_called_in_its_column_and_resolved() -> None:
    randomness = np.random.default_rng(1)
    state, said = judge(ModelState(), [inputs(hour, drawn(randomness, 0.0)) for hour in range(60)])
    assert said == []
    state, said = judge(state, [inputs(hour, drawn(randomness, 0.85)) for hour in range(60, 70)])
    assert [signal.kind for signal in said] == [SignalKind.ALERT, SignalKind.RETRAIN]
    assert {evidence.column for evidence in said[0].evidence} == {"x2"}
    assert said[0].window_start_ms <= 63 * HOUR_MS
    _, said = judge(state, [inputs(hour, drawn(randomness, 0.0)) for hour in range(70, 76)])
    assert [signal.kind for signal in said] == [SignalKind.RESOLVE]


def test_one_window_beyond_its_bar_is_no_drift_where_that_is_usual() -> None:
    """Every fourth window of the history is far away: PSI 0.3, but for the learning of it a drift."""
    randomness = np.random.default_rng(2)
    shifts = [0.6 if hour % 4 == 0 else 0.0 for hour in range(120)]
    state, _ = judge(ModelState(), [inputs(h, drawn(randomness, shift)) for h, shift in enumerate(shifts)])
    assert state.watch.drift["1"].learned == LEARNING
    assert state.watch.drift["1"].alarmed == frozenset()


@pytest.mark.parametrize(("labelled", "hours"), [(400, 6), (40, 60)])
def test_a_loss_is_called_however_small_the_windows_are(labelled: int, hours: int) -> None:
    randomness = np.random.default_rng(3)
    healthy = [outcomes(h, int(randomness.binomial(labelled, 0.1)), labelled) for h in range(80)]
    state, said = judge(ModelState(), healthy)
    assert said == []
    worse = [outcomes(h, int(randomness.binomial(labelled, 0.2)), labelled) for h in range(80, 80 + hours)]
    state, said = judge(state, worse)
    assert [signal.kind for signal in said][:1] == [SignalKind.ALERT]
    assert said[0].rule is Rule.PERFORMANCE
    better = [outcomes(h, int(randomness.binomial(labelled, 0.1)), labelled) for h in range(200, 230)]
    _, said = judge(state, better)
    assert [signal.kind for signal in said] == [SignalKind.RESOLVE]


def test_while_it_learns_each_window_stands_for_itself_and_a_bad_one_is_not_learned() -> None:
    state, said = judge(ModelState(), [outcomes(hour, 40) for hour in range(5)])
    assert said == []
    state, said = judge(state, [outcomes(5, 200)])
    assert [signal.kind for signal in said] == [SignalKind.ALERT]
    assert float(state.watch.performance[("1", "")].windows) == 5


def test_a_segment_that_was_always_a_little_worse_is_not_in_alarm() -> None:
    randomness = np.random.default_rng(4)
    windows = [outcomes(hour, int(randomness.binomial(ROWS, 0.13))) for hour in range(150)]
    state, said = judge(
        ModelState(), [replace(one, key=replace(one.key, segment="country=nl")) for one in windows]
    )
    assert said == []
    rates = state.watch.performance[("1", "country=nl")]
    assert float(rates.hits[0] / rates.rows[0]) == pytest.approx(0.13, abs=0.005)


def test_a_version_that_serves_no_longer_is_forgotten() -> None:
    state, _ = judge(ModelState(), [outcomes(hour, 40) for hour in range(3)])
    window = outcomes(3, 40)
    other = replace(window, key=replace(window.key, version="2"))
    state, _ = judge(state, [other])
    assert list(state.watch.performance) == [("2", "")]


def test_the_budget_is_in_words_of_a_team() -> None:
    assert Budget(per=Period.QUARTER).windows(HOUR_MS) == 91 * 24
    assert Budget(per=Period.DAY).windows(2_000) == 43_200
