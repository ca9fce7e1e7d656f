"""Maintenance and the switch for all automation."""

import pytest

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.core.control.decisions import ALL_MODELS, Action, Decision, Kind, Step
from driftsonde.core.control.inputs import (
    Approval,
    AutomationChange,
    Input,
    Maintenance,
    MaintenanceEnd,
    Refusal,
    Refused,
    Tick,
    Unknown,
)
from driftsonde.core.control.machine import step
from driftsonde.core.control.state import MAX_DECISIONS, State, with_traffic
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, Mode

ALERT, RETRAIN, RESOLVE = SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.RESOLVE
CANARY = with_traffic(State(), with_canary())
WORK = Maintenance("fraud", NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS, "ann", "new features")
DURING_MS, AFTER_MS = NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS


def told(decisions: list[Decision]) -> list[Kind]:
    return [decision.kind for decision in decisions if decision.detail.recipients]


@pytest.mark.parametrize("model", [ALL_MODELS, "fraud"])
def test_stopped_automation_proposes_what_it_would_do(model: str) -> None:
    state, _ = after(CANARY, [AutomationChange(model, True, "ann", "odd numbers")], setting())
    state, proposals = after(state, [signal(RETRAIN), canary_rollback()], setting())
    for proposal in proposals:
        assert (proposal.step, proposal.mode, proposal.detail.action) == (
            Step.PROPOSED,
            Mode.AUTO,
            Action.NONE,
        )
        assert "stopped by ann: odd numbers" in proposal.detail.reason
    assert state.model("fraud").traffic == with_canary()
    # A person may, and another model is not concerned by one model's switch.
    state, (approved,) = after(state, [Approval(proposals[1].id, "bob")], setting())
    assert approved.detail.action is Action.TRAFFIC
    _, (other,) = after(state, [signal(RETRAIN, model="credit")], setting())
    assert other.step is (Step.PROPOSED if model == ALL_MODELS else Step.DECIDED)


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_stopped_automation_changes_nothing_for_the_other_modes(mode: Mode) -> None:
    policy = setting(retrain=mode)
    stopped, _ = after(CANARY, [AutomationChange(ALL_MODELS, True, "ann")], policy)
    (expected,), (found,) = (after(it, [signal(RETRAIN)], policy)[1] for it in (CANARY, stopped))
    assert (found.step, found.detail.reason) == (expected.step, expected.detail.reason)


def test_automation_starts_again() -> None:
    off, on = AutomationChange(ALL_MODELS, True, "ann"), AutomationChange(ALL_MODELS, False, "bob")
    state, decisions = after(CANARY, [off, off, on, on, off, on], setting())
    assert [decision.actor for decision in decisions] == ["ann", "bob", "ann", "bob"]
    assert len({decision.id for decision in decisions}) == 4
    assert after(state, [canary_rollback()], setting())[1][0].step is Step.DECIDED


def test_the_switch_holds_however_much_happens_afterwards() -> None:
    state, _ = after(State(), [AutomationChange(ALL_MODELS, True, "ann")], setting())
    refusals: list[Input] = [Refusal(ALL_MODELS, "bob", "PUT", "no") for _ in range(MAX_DECISIONS + 5)]
    state, decisions = after(state, refusals, setting())
    assert (len(decisions), told(decisions)) == (MAX_DECISIONS + 5, [])
    assert state.stopped("fraud") == "ann"


def test_during_maintenance_alerts_are_kept_but_not_sent_and_nothing_is_done() -> None:
    state, announced = after(CANARY, [WORK], setting())
    assert told(announced) == [Kind.MAINTENANCE]
    events = [signal(ALERT), signal(RETRAIN, hour=1), canary_rollback(hour=2), signal(RESOLVE, hour=3)]
    _, loud = after(state, [*events], setting(), DURING_MS - 1)
    assert told(loud) == [Kind.ALERT, Kind.RETRAIN, Kind.ROLLBACK, Kind.RESOLVE]
    state, silent = after(state, [*events], setting(), DURING_MS)
    assert told(silent) == []
    assert [decision.step for decision in silent] == [
        Step.DECIDED,
        Step.SUPPRESSED,
        Step.SUPPRESSED,
        Step.DECIDED,
    ]
    assert silent[0].detail.quiet.startswith("the maintenance by ann until 2026-")
    assert state.model("fraud").traffic == with_canary()
    state, (over,) = after(state, [Tick()], setting(), AFTER_MS)
    assert (over.step, told([over])) == (Step.EXPIRED, [Kind.MAINTENANCE])
    assert over.detail.reason.startswith("the maintenance is over; 1 incidents are open; rollback of fraud")
    assert after(state, [Tick()], setting(), AFTER_MS)[1] == []


def test_the_end_of_what_was_told_before_the_maintenance_is_told() -> None:
    state, _ = after(State(), [signal(ALERT), WORK], setting())
    _, decisions = after(state, [signal(RESOLVE, hour=1)], setting(), DURING_MS)
    assert told(decisions) == [Kind.RESOLVE]


def test_maintenance_is_ended_by_hand_once() -> None:
    state, (announced,) = after(CANARY, [WORK, WORK], setting())
    state, _ = after(state, [MaintenanceEnd(announced.id, "bob")], setting())
    assert after(state, [canary_rollback()], setting(), DURING_MS)[1][0].step is Step.DECIDED
    with pytest.raises(Refused, match="over"):
        step(state, MaintenanceEnd(announced.id, "bob"), NOW_MS, setting())
    with pytest.raises(Unknown):
        step(state, MaintenanceEnd("none", "bob"), NOW_MS, setting())
    with pytest.raises(Refused, match="before it begins"):
        step(state, Maintenance("fraud", 0, NOW_MS, "ann"), NOW_MS, setting())
