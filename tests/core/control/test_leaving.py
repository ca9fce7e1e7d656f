"""A version that serves no more: its incidents are over, and late evidence about it is only noted."""

from dataclasses import replace

import pytest

from control_examples import NOW_MS, after, canary_rollback, signal, with_canary
from driftsonde.core.control.decisions import CONTROLLER, Change, Decision, Kind, Step
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import Outcome, RolloutChange, RolloutStart, RolloutWish, Setting
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, SignalKind
from driftsonde.core.spec import ActionPolicy, Mode

ALONE = with_traffic(State(), Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0"))


def policy(retrain: Mode = Mode.RECOMMEND) -> Setting:
    actions = ActionPolicy(retrain=retrain, rollback=Mode.AUTO)
    return Setting(lambda _: Governance(actions, "p1"), (Route("oncall"),), retrain_configured=True)


def settled(state: State) -> tuple[State, list[Decision]]:
    """The state once everything that is pending is done."""
    return after(state, [Outcome(effect, "", 1) for effect in state.pending()], policy())


def test_a_rollback_that_is_done_resolves_its_incident_and_says_so() -> None:
    state, (decided,) = after(with_traffic(State(), with_canary()), [canary_rollback()], policy())
    assert state.model("fraud").incidents[decided.incident].status is Status.OPEN
    state, decisions = settled(state)
    (end,) = [it for it in decisions if it.kind is Kind.RESOLVE]
    assert (end.incident, end.actor, end.detail.change) == (decided.incident, CONTROLLER, Change.RESOLVED)
    assert end.detail.reason == f"version 2 does not serve any more, by rollback {decided.id}"
    assert (end.detail.recipients, end.detail.parent) == (("oncall",), decided.id)
    assert state.model("fraud").incidents[decided.incident].status is Status.RESOLVED


def test_a_failed_rollback_leaves_its_incident_open() -> None:
    state, (decided,) = after(with_traffic(State(), with_canary()), [canary_rollback()], policy())
    (action,) = (effect for effect in state.pending() if effect.action)
    state, decisions = after(state, [Outcome(action, "no broker", 1)], policy())
    assert [it.step for it in decisions] == [Step.FAILED]
    assert state.model("fraud").incidents[decided.incident].status is Status.OPEN


def test_the_champions_incident_is_over_with_its_replacement_and_so_is_what_was_proposed() -> None:
    state, (_, proposal) = after(ALONE, [signal(SignalKind.ALERT), signal(SignalKind.RETRAIN)], policy())
    assert proposal.step is Step.PROPOSED
    state, _ = after(state, [RolloutStart("fraud", "2", "ann")], policy())
    state, decisions = settled(state)
    assert not [it for it in decisions if it.kind is Kind.RESOLVE]  # a shadow takes nobody's place
    state, _ = after(state, [RolloutChange("fraud", RolloutWish.PROMOTE, "ann")], policy())
    state, decisions = settled(state)
    assert [(it.kind, it.step) for it in decisions if it.incident] == [
        (Kind.RESOLVE, Step.DECIDED),
        (Kind.RETRAIN, Step.EXPIRED),
    ]
    assert not state.model("fraud").proposals()


@pytest.mark.parametrize("kind", [SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.ROLLBACK])
def test_late_evidence_about_a_version_that_has_left_is_noted_and_opens_nothing(kind: SignalKind) -> None:
    start, promote = (
        RolloutStart("fraud", "2", "ann"),
        RolloutChange("fraud", RolloutWish.PROMOTE, "ann"),
    )
    state, _ = after(ALONE, [start, promote], policy())
    late = replace(signal(kind, "late", hour=1, rule=Rule.PERFORMANCE), version="1")
    after_late, (decision,) = after(state, [late], policy(), NOW_MS)
    assert (decision.step, decision.detail.reason) == (Step.SUPPRESSED, "version 1 does not serve any more")
    assert not after_late.model("fraud").incidents
    # Of a version that the split never had, somebody may not have told us.
    _, (stranger,) = after(state, [replace(late, version="7", kind=SignalKind.ALERT)], policy())
    assert (stranger.step, stranger.detail.change) == (Step.DECIDED, Change.OPENED)


def test_a_champion_that_does_worse_than_the_one_before_it_gives_its_place_back() -> None:
    start, promote = (
        RolloutStart("fraud", "2", "ann"),
        RolloutChange("fraud", RolloutWish.PROMOTE, "ann"),
    )
    state, _ = after(ALONE, [start, promote], policy())
    worse = signal(SignalKind.ROLLBACK, "reign", hour=1, version="2", rule=Rule.CANARY)
    # What a canary's labels say late is not about the champion.
    _, (suppressed,) = after(state, [replace(worse, variant=Variant.CANARY)], policy())
    assert suppressed.step is Step.SUPPRESSED
    state, (decided,) = after(state, [worse], policy())
    assert (decided.kind, decided.step) == (Kind.ROLLBACK, Step.DECIDED)
    traffic, rollout = state.model("fraud").traffic, state.model("fraud").rollout
    assert traffic is not None
    assert traffic.split == (Share("1", Variant.CHAMPION, 1.0),)
    assert rollout is not None
    assert rollout.at == "taken back"
    state, _ = settled(state)
    assert state.model("fraud").incidents[decided.incident].status is Status.RESOLVED


def test_a_champion_that_nobody_stood_before_has_nowhere_to_go() -> None:
    worse = signal(SignalKind.ROLLBACK, rule=Rule.CANARY)
    _, (decision,) = after(ALONE, [worse], policy())
    assert decision.step is Step.SUPPRESSED
    assert "there is no other version to go back to" in decision.detail.reason
