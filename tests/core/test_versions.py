"""Canaries that go, and champions against those before them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from driftsonde.core.events import Variant
from driftsonde.core.judging import OUTCOME_RULES, JudgedWindow, ModelState, apply_rules
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.reigns import RECENT_WINDOWS, Arm, Reign, Succession
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import Budget, CanaryRule, ModelSpec, PerformanceRule, Policy, Task
from driftsonde.core.verdict import Metric
from driftsonde.core.versions import compare_versions
from driftsonde.core.window import WindowKey

WINDOW_MS = 1_000
SPEC = ModelSpec(
    "m",
    Task.BINARY,
    window_ms=WINDOW_MS,
    policy=Policy(
        performance=PerformanceRule(drop=0.05, retrain_after=2, resolve_after=3),
        canary=CanaryRule(margin=0.02, min_labels=50),
        budget=Budget(learning_windows=10),
    ),
)
PLAN = plan_for(SPEC, None, "", "policy")
PLANS = dict.fromkeys(("1", "2", "3"), PLAN)
GOOD, BAD = Arm(1_000, 900), Arm(1_000, 600)


def run(
    windows: Sequence[dict[str, Arm]], state: ModelState | None = None, start: int = 0, plan: Plan = PLAN
) -> tuple[ModelState, list[Signal]]:
    """Champions by version; a canary's version is written "canary 2"."""
    state, signals = state or ModelState(), list[Signal]()
    for number, arms in enumerate(windows, start):
        keyed = {
            WindowKey(
                number * WINDOW_MS,
                "m",
                name.split()[-1],
                Variant.CANARY if " " in name else Variant.CHAMPION,
                "",
            ): arm
            for name, arm in arms.items()
        }
        state, said = compare_versions(state, keyed, dict.fromkeys(PLANS, plan))
        signals.extend(said)
    return state, signals


def told(signals: Sequence[Signal]) -> list[tuple[str, str, int]]:
    return [(s.kind.value, s.version, s.window_start_ms // WINDOW_MS) for s in signals]


def test_a_worse_successor_is_to_be_taken_back_and_that_is_over_once_it_has_gone() -> None:
    state, signals = run([{"1": GOOD}] * 5 + [{"1": GOOD, "2": BAD}, {"2": BAD}])
    assert told(signals) == [("rollback", "2", 5)]
    (signal,) = signals
    assert (signal.rule, signal.variant, signal.since_ms) == (Rule.CANARY, Variant.CHAMPION, 5 * WINDOW_MS)
    (evidence,) = signal.evidence
    assert evidence.threshold == -0.05
    assert evidence.value == pytest.approx(-0.3)
    assert evidence.upper < -0.05
    state, signals = run([{"1": GOOD}, {"1": GOOD}], state, start=7)
    assert told(signals) == [("resolve", "2", 7)]
    assert signals[0].episode == signal.episode
    assert state.succession.is_stable("1")


@pytest.mark.parametrize("arm", [GOOD, Arm(1_000, 950), Arm(1_000, 870)])
def test_a_successor_that_is_not_worse_by_more_than_a_loss_becomes_stable(arm: Arm) -> None:
    state, signals = run([{"1": GOOD}] * 5 + [{"2": arm}] * 10)
    assert signals == []
    assert state.succession.is_stable("2")
    assert not state.succession.is_stable("1")


def test_a_trial_ends_and_with_it_what_was_said() -> None:
    state, signals = run([{"1": GOOD}] * 5 + [{"2": BAD}] * 12)
    assert told(signals) == [("rollback", "2", 5), ("resolve", "2", 14)]
    assert state.succession.is_stable("2")


def test_few_labels_are_no_trial() -> None:
    assert run([{"1": GOOD}] * 5 + [{"2": Arm(49, 0)}])[1] == []
    assert len(run([{"1": GOOD}] * 5 + [{"2": Arm(50, 0)}])[1]) == 1


def test_a_predecessor_that_leaves_step_by_step_is_no_change_but_one_that_comes_back_is() -> None:
    both = {"1": Arm(10, 9), "2": Arm(10, 9)}
    state, _ = run([{"1": Arm(10, 9)}, both, both])
    champion, predecessor = state.succession.champion, state.succession.predecessor
    assert champion is not None
    assert predecessor is not None
    assert (champion.version, champion.since_ms, champion.windows) == ("2", WINDOW_MS, 2)
    assert (predecessor.version, predecessor.windows) == ("1", 3)
    state, _ = run([{"1": Arm(10, 9)}], state, start=3)
    back = state.succession.champion
    assert back is not None
    assert (back.version, back.since_ms, back.windows) == ("1", 3 * WINDOW_MS, 1)


def test_only_the_last_windows_of_a_reign_are_compared_with() -> None:
    reign = Reign("1", 0)
    for number in range(RECENT_WINDOWS + 7):
        reign = reign.plus(Arm(1, number % 2))
    assert (reign.windows, len(reign.recent), reign.lately.labelled) == (55, 48, 48)
    assert reign.total == Arm(55, 27)


def test_a_canary_that_was_rolled_back_and_left_is_compared_anew() -> None:
    worse = {"1": GOOD, "canary 2": BAD}
    state, signals = run([worse] * 3 + [{"1": GOOD}] * 2)
    assert told(signals) == [("rollback", "2", 0)]
    assert state.comparisons["2"].absent == 2
    _, again = run([worse], state, start=5)
    assert again == []  # it has not been away for long enough
    state, over = run([{"1": GOOD}] * 2, state, start=5)
    assert told(over) == [("resolve", "2", 5)]
    assert over[0].episode == signals[0].episode
    assert state.comparisons == {}
    _, again = run([worse], state, start=7)
    assert told(again) == [("rollback", "2", 7)]
    assert again[0].episode != signals[0].episode


def test_rows_as_shadow_and_as_canary_in_one_window_meet_the_champion_once() -> None:
    def key(version: str, variant: Variant) -> WindowKey:
        return WindowKey(0, "m", version, variant, "")

    arms = {
        key("1", Variant.CHAMPION): Arm(100, 90),
        key("2", Variant.SHADOW): Arm(30, 20),
        key("2", Variant.CANARY): Arm(10, 9),
    }
    state, _ = compare_versions(ModelState(), arms, PLANS)
    known = state.comparisons["2"]
    assert (known.champion, known.canary) == (Arm(100, 90), Arm(40, 29))


def test_a_canary_that_left_quietly_is_forgotten_later_and_without_a_word() -> None:
    state, signals = run([{"1": GOOD, "canary 2": Arm(60, 54)}] + [{"1": GOOD}] * 9)
    assert (signals, state.comparisons["2"].absent) == ([], 9)
    state, signals = run([{}, {"1": GOOD}], state, start=10)
    assert (signals, state.comparisons) == ([], {})


def losing(number: int, version: str) -> JudgedWindow:
    metric = Metric("", "accuracy", 1_000, 0.7, 0.68, 0.72, 0.85, breached=True)
    return JudgedWindow(WindowKey(number * WINDOW_MS, "m", version, Variant.CHAMPION, ""), PLAN, (metric,))


def test_a_loss_asks_for_retraining_only_of_a_stable_version() -> None:
    stable = Succession(Reign("2", 0, stable=True), Reign("1", 0))
    kinds = []
    for succession in (Succession(), stable, Succession(replace(Reign("2", 0)), Reign("1", 0))):
        state = ModelState(succession=succession)
        said: list[Signal] = []
        for number in range(3):
            state, signals = apply_rules(state, [losing(number, "2")], OUTCOME_RULES)
            said.extend(signals)
        kinds.append([signal.kind for signal in said])
    asked = [SignalKind.ALERT, SignalKind.RETRAIN]
    assert kinds == [asked, asked, [SignalKind.ALERT]]


def test_episodes_of_a_version_without_windows_are_over_once_others_had_enough() -> None:
    state, alerts = apply_rules(ModelState(), [losing(0, "1")], OUTCOME_RULES)
    assert [signal.kind for signal in alerts] == [SignalKind.ALERT]
    said: list[list[tuple[str, str, int]]] = []
    for number in range(1, 5):
        fine = replace(losing(number, "2"), metrics=())
        state, signals = apply_rules(state, [fine], OUTCOME_RULES)
        said.append(told(signals))
    assert said == [[], [], [("resolve", "1", 3)], []]
    assert state.episodes == {}
    state, _ = apply_rules(ModelState(), [losing(0, "1")], OUTCOME_RULES)
    state, _ = apply_rules(state, [replace(losing(1, "2"), metrics=())], OUTCOME_RULES)
    state, signals = apply_rules(state, [losing(2, "1")], OUTCOME_RULES)  # it has come again
    assert [episode.absent for episode in state.episodes.values()] == [0]
    assert [signal.kind for signal in signals] == [SignalKind.RETRAIN]
    state, signals = apply_rules(state, [], OUTCOME_RULES)
    assert [episode.absent for episode in state.episodes.values()] == [0]


REGRESSION = replace(PLAN, spec=replace(SPEC, task=Task.REGRESSION))


def errors(scale: float, rows: int = 400) -> Arm:
    """Exponential errors of this mean: E|e| = scale, E e^2 = 2 scale^2."""
    return Arm(rows, 0, rows * scale, rows * 2 * scale * scale)


def test_a_regression_that_does_worse_than_the_one_before_it_is_to_be_taken_back() -> None:
    state, signals = run([{"1": errors(1.0)}] * 20 + [{"2": errors(1.6)}] * 9, plan=REGRESSION)
    assert [(s.kind.value, s.version) for s in signals] == [("rollback", "2")]
    (evidence,) = signals[0].evidence
    assert evidence.statistic == "error_difference"
    assert evidence.value == pytest.approx(-0.6)
    assert evidence.threshold == pytest.approx(-0.05)
    assert evidence.upper < evidence.threshold
    assert state.succession.champion is not None
    assert state.succession.champion.taken_back


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.03])
def test_a_regression_that_is_about_as_good_stays(scale: float) -> None:
    state, signals = run([{"1": errors(1.0)}] * 20 + [{"2": errors(scale)}] * 9, plan=REGRESSION)
    assert signals == []
    assert state.succession.is_stable("2") == (scale == 0.8)


def test_a_regressions_canary_is_told_from_the_champion_without_pairs() -> None:
    both = [{"1": errors(1.0), "canary 2": errors(1.5, 100)}] * 12
    signals = run(both, plan=REGRESSION)[1]
    assert [(s.kind.value, s.version) for s in signals] == [("rollback", "2")]
    good = [{"1": errors(1.0), "canary 2": errors(0.7, 100)}] * 12
    assert {s.kind.value for s in run(good, plan=REGRESSION)[1]} == {"promote"}


def test_a_few_errors_decide_nothing() -> None:
    few = [{"1": errors(1.0), "canary 2": errors(50.0, 60)}] * 3
    assert run(few, plan=REGRESSION)[1] == []
