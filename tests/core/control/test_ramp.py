"""A bandit's ramp: more for a canary that does better, within what a rollout promises without it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_examples import NOW_MS, after, canary_rollback, signal
from driftsonde.core.control.decisions import Action, Kind, Step
from driftsonde.core.control.inputs import AutomationChange, RolloutStart, Setting
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.ramp import probability_better, thompson_weight
from driftsonde.core.control.rollout import RolloutStatus
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.control.traffic import Share, Traffic, validate_split
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, CanaryRule, Mode, Ramp, RolloutRule

ALONE = with_traffic(State(), Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0"))
STAGES = (0.05, 0.5)
MINUTE_MS = 60_000


def policy(ramp: Ramp = Ramp.THOMPSON, mode: Mode = Mode.AUTO) -> Setting:
    way = RolloutRule(
        shadow=False,
        stages=STAGES,
        min_labels=100,
        min_stage_ms=HOUR_MS,
        max_stage_ms=99 * HOUR_MS,
        ramp=ramp,
    )
    governance = Governance(ActionPolicy(promote=mode, rollback=Mode.AUTO), "p1", rollout=way)
    return Setting(lambda _: governance)


def support(difference: float, labels: int = 50, hour: int = 0, width: float = 0.02) -> Signal:
    base = signal(SignalKind.PROMOTE, "s", hour, version="2", variant=Variant.CANARY, rule=Rule.CANARY)
    interval = difference - width, difference + width
    return replace(
        base,
        evidence=(Evidence(0, HOUR_MS, "", "accuracy_difference", difference, -0.02, *interval, labels),),
    )


def part(state: State) -> float:
    traffic, rollout = state.model("fraud").traffic, state.model("fraud").rollout
    assert traffic is not None
    assert rollout is not None
    validate_split(traffic.split)
    given_it = next((share.weight for share in traffic.split if share.version == "2"), 0.0)
    assert not rollout.active or given_it == rollout.weights[rollout.stage]
    return given_it


STARTED, _ = after(ALONE, [RolloutStart("fraud", "2", "ann")], policy())
SECOND, _ = after(STARTED, [support(0.05, 100)], policy(), NOW_MS + HOUR_MS)


def test_a_canary_gets_the_probability_that_it_is_the_better_one() -> None:
    assert part(SECOND) == 0.5  # surely better: all that the stage allows
    state, (decision,) = after(SECOND, [support(-0.006, hour=2)], policy(), NOW_MS + HOUR_MS + MINUTE_MS)
    chance = probability_better(support(-0.006), CanaryRule())
    assert chance == pytest.approx(0.5 * math.erfc(0.006 / (0.02 / 1.959964) / math.sqrt(2)), rel=1e-5)
    assert part(state) == round(chance, 3)
    assert (decision.kind, decision.step, decision.detail.action) == (
        Kind.PROMOTE,
        Step.DECIDED,
        Action.TRAFFIC,
    )
    assert (
        decision.detail.reason == "Thompson sampling: the better one with probability 0.278; canary at 27.8 %"
    )
    # It is the log that says so: folded again, in another process, the split is the same.
    assert fold(SECOND, [decision]).model("fraud").traffic == state.model("fraud").traffic
    state, _ = after(state, [support(0.02, hour=3)], policy(), NOW_MS + HOUR_MS + MINUTE_MS)
    assert part(state) == 0.5


def test_a_little_more_or_less_is_not_worth_a_split() -> None:
    state, _ = after(SECOND, [support(-0.006, hour=2)], policy(), NOW_MS + HOUR_MS + MINUTE_MS)
    state, decisions = after(state, [support(-0.0062, hour=3)], policy(), NOW_MS + HOUR_MS + MINUTE_MS)
    assert [it.step for it in decisions] == [Step.SUPPRESSED]


@given(
    st.lists(
        st.tuples(
            st.floats(-1, 1), st.integers(0, 400), st.floats(0.0, 1.0), st.integers(0, 90), st.booleans()
        ),
        max_size=12,
    )
)
def test_whatever_comes_a_stage_is_never_exceeded_nor_left_before_its_time(
    events: list[tuple[float, int, float, int, bool]],
) -> None:
    """The same signals with and without a bandit: the same stages at the same times, and never more for the canary."""
    with_it, without, now_ms = STARTED, STARTED, NOW_MS
    for number, (difference, labels, width, minutes, worse) in enumerate(events):
        now_ms += minutes * MINUTE_MS
        event = canary_rollback(f"c{number}") if worse else support(difference, labels, number, width)
        with_it, _ = after(with_it, [event], policy(), now_ms)
        without, _ = after(without, [event], policy(Ramp.STAGES), now_ms)
        one, other = with_it.model("fraud").rollout, without.model("fraud").rollout
        assert one is not None
        assert other is not None
        assert (one.stage, one.status, one.since_ms) == (other.stage, other.status, other.since_ms)
        assert part(with_it) <= part(without)
        if one.active:
            assert part(with_it) >= STAGES[0]


def test_nothing_moves_while_a_person_has_the_say() -> None:
    event, now_ms = support(-0.006, hour=2), NOW_MS + HOUR_MS + MINUTE_MS
    _, decisions = after(SECOND, [event], policy(mode=Mode.RECOMMEND), now_ms)
    assert [it.detail.action for it in decisions] == [Action.NONE]
    stopped, _ = after(SECOND, [AutomationChange("fraud", True, "ann")], policy())
    state, _ = after(stopped, [event], policy(), now_ms)
    assert part(state) == 0.5
    open_incident, _ = after(SECOND, [signal(SignalKind.ALERT, version="2")], policy())
    state, _ = after(open_incident, [event], policy(), now_ms)
    assert part(state) == 0.5


def test_evidence_without_an_interval_gives_the_least() -> None:
    nothing = replace(support(0.1), evidence=())
    assert math.isnan(probability_better(nothing, CanaryRule()))
    assert thompson_weight(math.nan, 0.05, 0.5) == 0.05
    assert probability_better(support(0.1, width=0.0), CanaryRule()) == 1.0


def test_a_rollout_at_its_end_is_no_canary_to_be_weighed() -> None:
    state, _ = after(SECOND, [support(0.05, 300, hour=4)], policy(), NOW_MS + 3 * HOUR_MS)
    rollout = state.model("fraud").rollout
    assert rollout is not None
    assert rollout.status is RolloutStatus.PROMOTED
    _, (late,) = after(state, [support(-0.006, hour=5)], policy(), NOW_MS + 3 * HOUR_MS)
    assert late.step is Step.SUPPRESSED
