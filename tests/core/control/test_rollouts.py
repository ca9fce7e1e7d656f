"""A new version's way to champion and back: signals, people and time move it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_examples import NOW_MS, after, canary_rollback, signal
from driftsonde.core.control.decisions import Action, Decision, Kind, Step
from driftsonde.core.control.inputs import (
    Approval,
    AutomationChange,
    Input,
    Refused,
    RolloutChange,
    RolloutStart,
    RolloutWish,
    Setting,
    SplitChange,
    Tick,
    Unknown,
)
from driftsonde.core.control.machine import step
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.rollout import Rollout, RolloutStatus
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.control.traffic import Share, Traffic, validate_split
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Late, Mode, RolloutRule

ALONE = with_traffic(State(), Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0"))
START = RolloutStart("fraud", "2", "ann", "candidate of the retraining")
WAY = RolloutRule(stages=(0.05, 0.25), min_labels=100, min_stage_ms=HOUR_MS, max_stage_ms=10 * HOUR_MS)
WEEK_MS = 7 * 24 * HOUR_MS


def policy(promote: Mode = Mode.AUTO, rollback: Mode = Mode.AUTO, way: RolloutRule = WAY) -> Setting:
    governance = Governance(ActionPolicy(promote=promote, rollback=rollback), "p1", rollout=way)
    return Setting(lambda _: governance, (Route("oncall"),))


def support(labels: int, hour: int = 0, version: str = "2") -> Signal:
    base = signal(SignalKind.PROMOTE, "s", hour, version=version, variant=Variant.CANARY, rule=Rule.CANARY)
    evidence = Evidence(0, HOUR_MS, "", "accuracy_difference", 0.0, -0.02, -0.01, 0.01, labels)
    return replace(base, evidence=(evidence,))


def wish(name: RolloutWish) -> RolloutChange:
    return RolloutChange("fraud", name, "ann")


def rollout(state: State) -> Rollout:
    found = state.model("fraud").rollout
    assert found is not None
    return found


def split(state: State) -> dict[str, tuple[str, float]]:
    traffic = state.model("fraud").traffic
    assert traffic is not None
    validate_split(traffic.split)
    return {share.version: (share.variant.value, share.weight) for share in traffic.split}


STARTED, (FIRST,) = after(ALONE, [START], policy())


def test_stage_by_stage_to_champion() -> None:
    state, way = STARTED, [split(STARTED)]
    for stage in (1, 2, 3):
        event = support(100 * stage, hour=stage)
        state, (decision,) = after(state, [event], policy(), NOW_MS + stage * HOUR_MS)
        assert (decision.kind, decision.step, decision.detail.action) == (
            Kind.PROMOTE,
            Step.DECIDED,
            Action.TRAFFIC,
        )
        assert (decision.detail.signal, decision.incident) == (event, "")
        way.append(split(state))
    assert way == [
        {"1": ("champion", 1.0), "2": ("shadow", 0.0)},
        {"1": ("champion", 0.95), "2": ("canary", 0.05)},
        {"1": ("champion", 0.75), "2": ("canary", 0.25)},
        {"2": ("champion", 1.0)},
    ]
    assert (rollout(state).status, rollout(state).at) == (RolloutStatus.PROMOTED, "champion")
    # What the judge says afterwards changes nothing any more.
    _, (late,) = after(state, [support(900, hour=4)], policy(), NOW_MS + 9 * HOUR_MS)
    assert (late.step, late.detail.reason) == (Step.SUPPRESSED, "no rollout of version 2 is under way")


@pytest.mark.parametrize(
    ("event", "after_ms", "reason"),
    [
        (support(100), HOUR_MS - 1, "lasts at least 60 min"),
        (support(99), HOUR_MS, "asks for 100 labelled rows"),
        (support(100, version="3"), HOUR_MS, "no rollout of version 3"),
    ],
)
def test_a_stage_lasts_until_it_has_its_time_and_its_labels(
    event: Signal, after_ms: int, reason: str
) -> None:
    state, (decision,) = after(STARTED, [event], policy(), NOW_MS + after_ms)
    assert decision.step is Step.SUPPRESSED
    assert reason in decision.detail.reason
    assert split(state) == split(STARTED)


def test_a_stage_has_to_show_labels_of_its_own() -> None:
    state, _ = after(STARTED, [support(500)], policy(), NOW_MS + HOUR_MS)
    _, (decision,) = after(state, [support(599, hour=1)], policy(), NOW_MS + 2 * HOUR_MS)
    assert decision.step is Step.SUPPRESSED


def test_an_answer_that_only_repeats_itself_is_no_decision() -> None:
    state, decisions = after(STARTED, [support(10 * hour, hour) for hour in range(9)], policy())
    assert len(decisions) == 1
    _, decisions = after(state, [support(200, 20)], policy(), NOW_MS + HOUR_MS)
    assert [decision.step for decision in decisions] == [Step.DECIDED]


def test_an_open_incident_of_the_version_holds_it_back() -> None:
    alert = signal(SignalKind.ALERT, version="2", variant=Variant.CANARY)
    state, _ = after(STARTED, [alert], policy())
    state, (held,) = after(state, [support(100)], policy(), NOW_MS + HOUR_MS)
    assert (held.step, held.detail.reason) == (
        Step.SUPPRESSED,
        f"incident {alert_id(state)}: alert of fraud",
    )
    over = signal(SignalKind.RESOLVE, hour=1, version="2", variant=Variant.CANARY)
    _, (_, going) = after(state, [over, support(100, 1)], policy(), NOW_MS + HOUR_MS)
    assert going.step is Step.DECIDED


def alert_id(state: State) -> str:
    return next(iter(state.model("fraud").incidents))


def test_a_rollback_signal_takes_the_version_back_at_every_stage() -> None:
    state = STARTED
    for stage in (1, 2, 3):
        event = canary_rollback() if stage > 1 else replace(canary_rollback(), variant=Variant.SHADOW)
        back, (decision,) = after(state, [event, event], policy(), NOW_MS)
        assert (decision.kind, decision.step) == (Kind.ROLLBACK, Step.DECIDED)
        assert split(back) == {"1": ("champion", 1.0)}
        assert rollout(back).status is RolloutStatus.ROLLED_BACK
        if stage < 3:
            state, _ = after(state, [wish(RolloutWish.ADVANCE)], policy())


def test_a_shadow_without_a_rollout_is_nobodys_incident() -> None:
    shadow = Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0), Share("2", Variant.SHADOW, 0.0)), 2, "d1")
    event = replace(canary_rollback(), variant=Variant.SHADOW)
    state, (decision,) = after(with_traffic(ALONE, shadow), [event], policy())
    assert (decision.step, decision.detail.recipients) == (Step.SUPPRESSED, ())
    assert not state.model("fraud").incidents


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(Mode.OBSERVE, Step.OBSERVED), (Mode.RECOMMEND, Step.PROPOSED), (Mode.AUTO, Step.DECIDED)],
)
def test_the_mode_decides_who_goes_on(mode: Mode, expected: Step) -> None:
    state, (decision,) = after(STARTED, [support(100)], policy(mode), NOW_MS + HOUR_MS)
    assert (decision.step, decision.detail.recipients) == (expected, ("oncall",))
    assert (split(state) != split(STARTED)) == (mode is Mode.AUTO)


def test_a_proposed_stage_is_approved_if_it_still_may_be() -> None:
    recommend = policy(Mode.RECOMMEND)
    now_ms = NOW_MS + HOUR_MS
    state, (proposal,) = after(STARTED, [support(100)], recommend, now_ms)
    _, (again,) = after(state, [support(200, 1)], recommend, now_ms)
    assert (again.step, again.detail.reason) == (
        Step.SUPPRESSED,
        f"the next stage is proposed already, decision {proposal.id}",
    )
    taken, (approved,) = after(state, [Approval(proposal.id, "bob")], recommend, now_ms)
    assert (approved.step, split(taken)["2"]) == (Step.APPROVED, ("canary", 0.05))
    back, _ = after(state, [wish(RolloutWish.ROLLBACK)], recommend, now_ms)
    _, (late,) = after(back, [Approval(proposal.id, "bob")], recommend, now_ms)
    assert (late.step, late.detail.reason) == (Step.SUPPRESSED, "no rollout of version 2 is under way")


def test_stopped_automation_proposes_the_next_stage() -> None:
    state, _ = after(STARTED, [AutomationChange("*", True, "ann")], policy())
    _, (decision,) = after(state, [support(100)], policy(), NOW_MS + HOUR_MS)
    assert (decision.step, decision.mode) == (Step.PROPOSED, Mode.AUTO)


def test_people_pause_resume_advance_promote_and_roll_back() -> None:
    paused, (decision,) = after(STARTED, [wish(RolloutWish.PAUSE), wish(RolloutWish.PAUSE)], policy())
    assert (decision.actor, decision.detail.action) == ("ann", Action.NONE)
    _, (held,) = after(paused, [support(100)], policy(), NOW_MS + HOUR_MS)
    assert held.detail.reason == "the rollout is paused, shadow"
    assert after(paused, [Tick()], policy(), NOW_MS + WEEK_MS)[1] == []
    resumed, _ = after(paused, [wish(RolloutWish.RESUME)], policy(), NOW_MS + HOUR_MS)
    assert rollout(resumed).since_ms == NOW_MS + HOUR_MS
    state, _ = after(resumed, [wish(RolloutWish.ADVANCE)], policy())
    assert split(state)["2"] == ("canary", 0.05)
    state, _ = after(state, [wish(RolloutWish.PROMOTE), wish(RolloutWish.PROMOTE)], policy())
    assert split(state) == {"2": ("champion", 1.0)}
    with pytest.raises(Refused, match="is over: champion"):
        step(state, wish(RolloutWish.PAUSE), NOW_MS, policy())
    state, back = after(state, [wish(RolloutWish.ROLLBACK), wish(RolloutWish.ROLLBACK)], policy())
    assert (len(back), split(state)) == (1, {"1": ("champion", 1.0)})
    with pytest.raises(Refused, match="is over: taken back"):
        step(state, wish(RolloutWish.PROMOTE), NOW_MS, policy())
    assert rollout(after(state, [START], policy())[0]).active


def test_a_promoted_version_is_taken_back_only_while_it_is_champion() -> None:
    state, _ = after(STARTED, [wish(RolloutWish.PROMOTE)], policy())
    canary = (
        Share("2", Variant.CHAMPION, 0.9),
        Share("5", Variant.CANARY, 0.1),
        Share("6", Variant.SHADOW, 0.0),
    )
    beside, _ = after(state, [SplitChange("fraud", canary, "bob")], policy())
    back, _ = after(beside, [wish(RolloutWish.ROLLBACK)], policy())
    assert split(back) == {"1": ("champion", 1.0), "6": ("shadow", 0.0)}
    other, _ = after(state, [SplitChange("fraud", (Share("5", Variant.CHAMPION, 1.0),), "bob")], policy())
    with pytest.raises(Refused, match="version 2 is not the champion any more"):
        step(other, wish(RolloutWish.ROLLBACK), NOW_MS, policy())


def test_what_stands_in_the_way_of_a_start() -> None:
    canary = Traffic("fraud", (Share("1", Variant.CHAMPION, 0.9), Share("3", Variant.CANARY, 0.1)), 2, "d1")
    for state, start, reason in (
        (STARTED, RolloutStart("fraud", "3", "bob"), "version 2 is being rolled out already, shadow"),
        (State(), START, "no traffic split is known"),
        (with_traffic(ALONE, canary), START, "version 3 is a canary"),
        (ALONE, RolloutStart("fraud", "1", "bob"), "is the champion already"),
    ):
        with pytest.raises(Refused, match=reason):
            step(state, start, NOW_MS, policy())
    with pytest.raises(Unknown):
        step(ALONE, wish(RolloutWish.PAUSE), NOW_MS, policy())
    by_hand = SplitChange("fraud", (Share("1", Variant.CHAMPION, 1.0),), "bob")
    with pytest.raises(Refused, match="version 2 is being rolled out, shadow"):
        step(STARTED, by_hand, NOW_MS, policy())


@pytest.mark.parametrize(
    ("late", "setting_", "status", "stage"),
    [
        (Late.PAUSE, {}, RolloutStatus.PAUSED, 0),
        (Late.ADVANCE, {}, RolloutStatus.RUNNING, 1),
        (Late.ADVANCE, {"promote": Mode.RECOMMEND}, RolloutStatus.PAUSED, 0),
        (Late.ROLLBACK, {}, RolloutStatus.ROLLED_BACK, 0),
        (Late.ROLLBACK, {"rollback": Mode.OBSERVE}, RolloutStatus.PAUSED, 0),
    ],
)
def test_a_stage_without_evidence_ends_as_the_policy_says(
    late: Late, setting_: dict[str, Mode], status: RolloutStatus, stage: int
) -> None:
    rules = policy(way=replace(WAY, when_late=late), **setting_)
    assert after(STARTED, [Tick()], rules, NOW_MS + WAY.max_stage_ms - 1)[1] == []
    state, (decision,) = after(STARTED, [Tick(), Tick()], rules, NOW_MS + WAY.max_stage_ms)
    assert (rollout(state).status, rollout(state).stage) == (status, stage)
    assert (decision.kind, decision.actor, decision.detail.recipients) == (
        Kind.ROLLOUT,
        "controller",
        ("oncall",),
    )


def test_time_alone_does_not_lead_past_an_open_incident() -> None:
    rules = policy(way=replace(WAY, when_late=Late.ADVANCE))
    alert = signal(SignalKind.ALERT, version="2", variant=Variant.CANARY)
    state, _ = after(STARTED, [alert], rules)
    state, (decision,) = after(state, [Tick()], rules, NOW_MS + WAY.max_stage_ms)
    assert rollout(state).status is RolloutStatus.PAUSED
    assert "incident" in decision.detail.reason


@st.composite
def _lives(draw: st.DrawFn) -> tuple[State, list[Decision]]:
    rules = policy(draw(st.sampled_from(Mode)), draw(st.sampled_from(Mode)))
    state, decisions, now_ms = ALONE, list[Decision](), NOW_MS
    for number in range(draw(st.integers(0, 15))):
        now_ms += draw(st.sampled_from([1, HOUR_MS, 10 * HOUR_MS]))
        events: list[Input] = [START, Tick(), support(draw(st.integers(0, 999)), number)]
        events += [canary_rollback(hour=number), signal(SignalKind.ALERT, hour=number, version="2")]
        events += [wish(name) for name in RolloutWish]
        events += [Approval(key, "bob") for key in state.model("fraud").records]
        try:
            state, taken = step(state, draw(st.sampled_from(events)), now_ms, rules)
        except (Refused, Unknown):
            continue
        decisions += taken
    return state, decisions


@given(_lives())
def test_whatever_happens_the_split_can_be_served_and_is_what_the_rollout_says(
    life: tuple[State, list[Decision]],
) -> None:
    state, decisions = life
    assert fold(ALONE, decisions) == state
    served = split(state)
    found = state.model("fraud").rollout
    if found is None or found.status is RolloutStatus.ROLLED_BACK:
        assert served == {"1": ("champion", 1.0)}
    elif found.status is RolloutStatus.PROMOTED:
        assert served == {"2": ("champion", 1.0)}
    else:
        assert served["2"][1] == found.weights[found.stage]
    revisions = [it.detail.traffic.revision for it in decisions if it.detail.traffic is not None]
    assert revisions == list(range(2, 2 + len(revisions)))
