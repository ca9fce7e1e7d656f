"""Episodes and rules over sequences of windows, and a canary against the champion."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.episodes import Episode, Persistence, observe
from driftsonde.core.events import Variant
from driftsonde.core.judging import (
    EVIDENCE_KEPT,
    INPUT_RULES,
    OUTCOME_RULES,
    JudgedWindow,
    ModelState,
    apply_rules,
    compare_canary,
)
from driftsonde.core.plan import plan_for
from driftsonde.core.reigns import Arm
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import CanaryRule, DriftRule, ModelSpec, PerformanceRule, Policy, Task
from driftsonde.core.statistics.anytime import mean_difference_sequence
from driftsonde.core.verdict import Metric
from driftsonde.core.window import WindowKey

WINDOW_MS = 1_000
SPEC = ModelSpec(
    "m",
    Task.BINARY,
    window_ms=WINDOW_MS,
    classes=("no", "yes"),
    policy=Policy(
        drift=DriftRule(alert_after=2, retrain_after=3, resolve_after=2),
        performance=PerformanceRule(alert_after=1, retrain_after=2, resolve_after=1),
        canary=CanaryRule(margin=0.02, alpha=0.05, min_labels=50),
    ),
)
PLAN = plan_for(SPEC, None, "", "policy")


@given(
    st.lists(st.booleans(), max_size=40),
    st.integers(1, 3),
    st.integers(0, 4),
    st.integers(1, 3),
)
def test_an_episode_says_each_thing_once_and_in_order(
    breaches: list[bool], alert_after: int, retrain_after: int, resolve_after: int
) -> None:
    persistence = Persistence(alert_after, retrain_after, resolve_after)
    episode = Episode()
    said: list[tuple[int, SignalKind]] = []
    for window, breached in enumerate(breaches):
        episode, kinds = observe(episode, breached, window, persistence)
        said.extend((window, kind) for kind in kinds)
        assert episode.clean < resolve_after
        assert (episode.since_ms == -1) == (episode == Episode())
    assert said == said_by_the_text(breaches, persistence)


def said_by_the_text(breaches: Sequence[bool], persistence: Persistence) -> list[tuple[int, SignalKind]]:
    """The module's picture, read off the whole sequence: alert when enough windows in a row are breached, retrain
    likewise and once an episode, resolve when enough in a row are clean."""
    said: list[tuple[int, SignalKind]] = []
    opened = retrained = False
    for window, breached in enumerate(breaches):
        run = 0
        while run <= window and breaches[window - run] is breached:
            run += 1
        if breached and not opened and run >= persistence.alert_after:
            opened = True
            said.append((window, SignalKind.ALERT))
        if breached and not retrained and 0 < persistence.retrain_after <= run:
            retrained = True
            said.append((window, SignalKind.RETRAIN))
        if not breached and not opened:
            retrained = False
        if not breached and opened and run >= persistence.resolve_after:
            opened = retrained = False
            said.append((window, SignalKind.RESOLVE))
    return said


def window_of(
    number: int,
    breached: bool,
    segment: str = "",
    name: str = "psi",
    version: str = "1",
    variant: Variant = Variant.CHAMPION,
) -> JudgedWindow:
    key = WindowKey(number * WINDOW_MS, "m", version, variant, segment)
    return JudgedWindow(key, PLAN, (Metric("x", name, 100, 0.5, threshold=0.2, breached=breached),))


def run(rounds: Sequence[Sequence[JudgedWindow]]) -> list[Signal]:
    state = ModelState()
    signals: list[Signal] = []
    for windows in rounds:
        state, said = apply_rules(state, windows, (*INPUT_RULES, *OUTCOME_RULES))
        signals.extend(said)
    return signals


def told(signals: Sequence[Signal]) -> list[tuple[int, str, str, str]]:
    return [
        (signal.window_start_ms // WINDOW_MS, signal.kind.value, signal.rule.value, signal.segment)
        for signal in signals
    ]


def test_alert_retrain_and_resolve_of_the_whole_model() -> None:
    signals = run([[window_of(n, n in (1, 2, 3, 4, 6))] for n in range(10)])
    assert told(signals) == [
        (2, "alert", "drift", ""),
        (3, "retrain", "drift", ""),
        (8, "resolve", "drift", ""),
    ]
    assert {signal.since_ms for signal in signals} == {WINDOW_MS}
    assert len({signal.episode for signal in signals}) == 1
    assert len({signal.id for signal in signals}) == 3


def test_ids_are_those_of_the_episode_and_new_for_the_next_one() -> None:
    rounds = [[window_of(n, n in (0, 1, 5, 6))] for n in range(10)]
    first, again = run(rounds), run(rounds)
    assert [signal.id for signal in first] == [signal.id for signal in again]
    assert told(first) == [
        (1, "alert", "drift", ""),
        (3, "resolve", "drift", ""),
        (6, "alert", "drift", ""),
        (8, "resolve", "drift", ""),
    ]
    assert len({signal.id for signal in first}) == 4
    assert len({signal.episode for signal in first}) == 2
    other_version = run([[window_of(n, n in (0, 1), version="2")] for n in range(4)])
    assert not {s.id for s in other_version} & {s.id for s in first}


def test_a_segment_is_silent_while_the_whole_model_says_it() -> None:
    signals = run([[window_of(n, True), window_of(n, True, "c=a")] for n in range(6)])
    assert {signal.segment for signal in signals} == {""}


def test_a_segment_that_drifts_alone_alerts_and_never_asks_for_retraining() -> None:
    signals = run([[window_of(n, False), window_of(n, n < 6, "c=a")] for n in range(9)])
    assert told(signals) == [(1, "alert", "drift", "c=a"), (7, "resolve", "drift", "c=a")]


def test_a_segment_is_not_back_to_normal_because_the_whole_model_has_the_problem_too() -> None:
    signals = run([[window_of(n, 2 <= n < 6), window_of(n, n < 8, "c=a")] for n in range(11)])
    assert [entry for entry in told(signals) if entry[3]] == [
        (1, "alert", "drift", "c=a"),
        (9, "resolve", "drift", "c=a"),
    ]


def test_a_segment_is_not_silenced_by_another_rule_or_version() -> None:
    signals = run(
        [
            [
                window_of(n, True, name="accuracy"),
                window_of(n, True, version="2"),
                window_of(n, True, "c=a"),
            ]
            for n in range(2)
        ]
    )
    assert (1, "alert", "drift", "c=a") in told(signals)


def test_canaries_and_shadows_are_not_held_against_the_rules() -> None:
    rounds = [
        [window_of(n, True, variant=variant) for variant in (Variant.CANARY, Variant.SHADOW)]
        for n in range(6)
    ]
    assert run(rounds) == []


def test_quality_never_asks_for_retraining_and_performance_has_its_own_persistence() -> None:
    quality = run([[window_of(n, True, name="missing_rate")] for n in range(6)])
    assert told(quality) == [(1, "alert", "quality", "")]
    performance = run([[window_of(n, n < 3, name="rmse")] for n in range(6)])
    assert told(performance) == [
        (0, "alert", "performance", ""),
        (1, "retrain", "performance", ""),
        (3, "resolve", "performance", ""),
    ]


def test_the_rules_asked_for_are_the_rules_applied() -> None:
    state, signals = apply_rules(ModelState(), [window_of(0, True, name="accuracy")], INPUT_RULES)
    assert signals == []
    assert state == ModelState()


def test_evidence_is_the_strongest_and_bounded() -> None:
    metrics = tuple(
        Metric(f"x{n}", "psi", 100, float(n), threshold=0.2, breached=n > 0) for n in range(EVIDENCE_KEPT + 5)
    )
    windows = [JudgedWindow(replace_start(n), PLAN, metrics) for n in range(2)]
    (signal,) = run([[window] for window in windows])
    assert [evidence.value for evidence in signal.evidence] == [float(n) for n in range(14, 4, -1)]
    assert signal.summary.startswith("drift since 1970-01-01T00:00:00Z: psi of x14 14 (limit 0.2), ")
    assert signal.summary.endswith("and 7 more")


def replace_start(number: int) -> WindowKey:
    return WindowKey(number * WINDOW_MS, "m", "1", Variant.CHAMPION, "")


def compare(
    windows: Sequence[tuple[Arm, Arm]], state: ModelState | None = None
) -> tuple[ModelState, list[Signal]]:
    state = state or ModelState()
    signals: list[Signal] = []
    for number, (champion, canary) in enumerate(windows):
        key = WindowKey(number * WINDOW_MS, "m", "2", Variant.CANARY, "")
        state, said = compare_canary(state, key, PLAN, champion, canary)
        signals.extend(said)
    return state, signals


def test_a_worse_canary_is_rolled_back_once_when_the_interval_excludes_the_margin() -> None:
    windows = [(Arm(100, 90), Arm(25, 15))] * 20
    state, signals = compare(windows)
    (signal,) = signals
    assert (signal.kind, signal.rule, signal.version, signal.variant) == (
        SignalKind.ROLLBACK,
        Rule.CANARY,
        "2",
        Variant.CANARY,
    )
    assert signal.since_ms == 0
    assert state.comparisons["2"].rolled_back
    fired = signal.window_start_ms // WINDOW_MS + 1
    uppers = [
        mean_difference_sequence(100 * n, 90 * n, 25 * n, 15 * n, 0.05).upper
        for n in range(1, len(windows) + 1)
    ]
    assert fired == next(n for n, upper in enumerate(uppers, 1) if upper < -0.02) > 1
    (evidence,) = signal.evidence
    assert evidence.value == pytest.approx(-0.3)
    assert (evidence.threshold, evidence.n) == (-0.02, 25 * fired)
    assert evidence.upper == uppers[fired - 1]


@pytest.mark.parametrize(
    ("champion", "canary"),
    [
        (Arm(500, 450), Arm(100, 90)),  # as good
        (Arm(500, 450), Arm(100, 100)),  # better
        (Arm(500, 450), Arm(500, 445)),  # worse, within the margin
    ],
)
def test_a_canary_that_is_not_worse_stays(champion: Arm, canary: Arm) -> None:
    assert compare([(champion, canary)] * 50)[1] == []


def test_few_labels_decide_nothing() -> None:
    spec = replace(SPEC, policy=Policy(canary=CanaryRule(margin=-1.5, min_labels=50)))
    key = WindowKey(0, "m", "2", Variant.CANARY, "")
    plan = replace(PLAN, spec=spec)
    assert compare_canary(ModelState(), key, plan, Arm(500, 500), Arm(49, 0))[1] == []
    assert len(compare_canary(ModelState(), key, plan, Arm(500, 500), Arm(50, 0))[1]) == 1


def test_windows_that_only_one_side_served_count_for_nothing() -> None:
    state, signals = compare([(Arm(500, 450), Arm()), (Arm(), Arm(100, 10)), (Arm(10, 9), Arm(10, 9))])
    assert signals == []
    comparison = state.comparisons["2"]
    assert (comparison.since_ms, comparison.champion, comparison.canary) == (
        2 * WINDOW_MS,
        Arm(10, 9),
        Arm(10, 9),
    )


def test_a_fair_canary_is_rarely_rolled_back_however_often_one_looks() -> None:
    rng = np.random.default_rng(11)
    fired = 0
    for _ in range(60):
        windows = [
            (Arm(200, int(rng.binomial(200, 0.9))), Arm(40, int(rng.binomial(40, 0.9)))) for _ in range(40)
        ]
        fired += len(compare(windows)[1])
    assert fired <= 3  # at most 5 % of 60
