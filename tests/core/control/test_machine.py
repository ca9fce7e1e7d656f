"""What the controller decides: incidents, policy modes, approvals, cool-down, rollbacks, splits."""

import pytest

from control_examples import CANARY_SPLIT, NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.core.control.decisions import Action, Change, Kind, Step
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    Outcome,
    Refused,
    Rejection,
    Setting,
    SplitChange,
    Tick,
    Unknown,
)
from driftsonde.core.control.machine import FORGOTTEN, NOTHING_TO_RESOLVE, step
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import MAX_DECISIONS, MAX_INCIDENTS, State, with_traffic
from driftsonde.core.control.traffic import InvalidSplit, Share
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Mode

ALERT, RETRAIN, RESOLVE = SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.RESOLVE
DAY_MS = 24 * HOUR_MS
RECOMMEND = setting(retrain=Mode.RECOMMEND, rollback=Mode.RECOMMEND)
EMPTY = State()
CANARY = with_traffic(EMPTY, with_canary())


def test_signals_of_an_episode_are_one_incident() -> None:
    events = [signal(ALERT), signal(ALERT, hour=1), signal(ALERT, "e2"), signal(RESOLVE, hour=2)]
    state, decisions = after(EMPTY, [*events], setting())
    changes = [decision.detail.change for decision in decisions]
    assert changes == [Change.OPENED, Change.UPDATED, Change.OPENED, Change.RESOLVED]
    first, second = state.model("fraud").incidents.values()
    assert (first.status, first.signals, first.resolved_ms) == (Status.RESOLVED, 3, NOW_MS)
    assert (second.status, second.signals) == (Status.OPEN, 1)


def test_a_new_signal_opens_a_resolved_incident_again() -> None:
    state, decisions = after(
        EMPTY, [signal(ALERT), signal(RESOLVE, hour=1), signal(ALERT, hour=2)], setting()
    )
    assert decisions[-1].detail.change is Change.OPENED
    (incident,) = state.model("fraud").incidents.values()
    assert (incident.status, incident.signals) == (Status.OPEN, 3)


def test_the_same_signal_again_changes_nothing() -> None:
    once, _ = after(CANARY, [signal(RETRAIN), canary_rollback()], setting())
    again, decisions = after(once, [signal(RETRAIN), canary_rollback()] * 5, setting(), NOW_MS + DAY_MS)
    assert decisions == []
    assert again == once


def test_a_resolve_without_an_incident_is_recorded_and_told_to_nobody() -> None:
    _, (decision,) = after(EMPTY, [signal(RESOLVE)], setting())
    assert (decision.step, decision.detail.reason) == (Step.SUPPRESSED, NOTHING_TO_RESOLVE)
    assert decision.detail.recipients == ()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(Mode.OBSERVE, Step.OBSERVED), (Mode.RECOMMEND, Step.PROPOSED), (Mode.AUTO, Step.DECIDED)],
)
def test_the_mode_decides_what_becomes_of_an_action(mode: Mode, expected: Step) -> None:
    for event, kind in ((signal(RETRAIN), Kind.RETRAIN), (canary_rollback(), Kind.ROLLBACK)):
        state, (decision,) = after(CANARY, [event], setting(retrain=mode, rollback=mode))
        assert (decision.kind, decision.step, decision.mode) == (kind, expected, mode)
        assert decision.detail.recipients == ("oncall",)
        assert bool(decision.detail.action) == (mode is Mode.AUTO)
        assert state.model("fraud").traffic == (
            decision.detail.traffic if kind is Kind.ROLLBACK and mode is Mode.AUTO else with_canary()
        )


def test_a_decision_names_its_evidence_and_policy() -> None:
    event = signal(RETRAIN)
    _, (decision,) = after(EMPTY, [event], setting())
    assert decision.detail.signal == event
    assert (decision.signal, decision.policy, decision.version) == (event.id, "p1", "1")


def test_a_rollback_gives_everything_to_the_champion() -> None:
    state, (decision,) = after(CANARY, [canary_rollback()], setting())
    traffic = state.model("fraud").traffic
    assert traffic is not None
    assert traffic.split == (Share("1", Variant.CHAMPION, 1.0),)
    assert (traffic.revision, traffic.decision) == (4, decision.id)
    assert decision.detail.action is Action.TRAFFIC


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        (EMPTY, canary_rollback(), "no traffic split is known"),
        (after(CANARY, [canary_rollback("c0")], setting())[0], canary_rollback(), "does not serve any more"),
        (CANARY, signal(SignalKind.ROLLBACK), "is the champion"),
    ],
)
def test_a_rollback_that_cannot_be_is_suppressed_with_the_reason(
    state: State, event: object, reason: str
) -> None:
    assert isinstance(event, type(signal(ALERT)))
    for policy in (setting(), RECOMMEND):
        after_it, (decision,) = after(state, [event], policy)
        assert decision.step is Step.SUPPRESSED
        assert reason in decision.detail.reason
        assert after_it.model("fraud").traffic == state.model("fraud").traffic


def test_retraining_without_a_webhook_is_suppressed() -> None:
    _, (decision,) = after(EMPTY, [signal(RETRAIN)], setting(retrain_configured=False))
    assert (decision.step, decision.detail.reason) == (Step.SUPPRESSED, "nobody who retrains is configured")


def test_cool_down_counts_event_time() -> None:
    events = [signal(RETRAIN, f"e{hour}", hour) for hour in (0, 23, 24)]
    _, decisions = after(EMPTY, [*events], setting())
    assert [decision.step for decision in decisions] == [Step.DECIDED, Step.SUPPRESSED, Step.DECIDED]
    assert "cool-down" in decisions[1].detail.reason


def test_cool_down_is_per_model() -> None:
    _, decisions = after(EMPTY, [signal(RETRAIN), signal(RETRAIN, model="credit")], setting())
    assert [decision.step for decision in decisions] == [Step.DECIDED, Step.DECIDED]


def test_a_retraining_that_could_not_be_set_going_starts_no_cool_down() -> None:
    state, (first,) = after(EMPTY, [signal(RETRAIN)], setting())
    action = next(effect for effect in state.pending() if effect.action)
    _, decisions = after(state, [Outcome(action, "status 500", 10), signal(RETRAIN, "e2", 1)], setting())
    assert [(decision.id == first.id, decision.step) for decision in decisions] == [
        (True, Step.FAILED),
        (False, Step.DECIDED),
    ]


def test_a_second_retraining_waits_for_the_answer_to_the_first() -> None:
    _, (first, second) = after(EMPTY, [signal(RETRAIN), signal(RETRAIN, "e2", 48)], RECOMMEND)
    assert second.step is Step.SUPPRESSED
    assert first.id in second.detail.reason


def test_an_approved_retraining_is_performed() -> None:
    state, (proposal,) = after(EMPTY, [signal(RETRAIN)], RECOMMEND)
    state, (approved,) = after(state, [Approval(proposal.id, "ann", "go")], RECOMMEND)
    assert (approved.id, approved.step, approved.actor) == (proposal.id, Step.APPROVED, "ann")
    (action,) = [effect for effect in state.pending() if effect.action]
    state, (performed,) = after(state, [Outcome(action, "", 1)], RECOMMEND)
    assert performed.step is Step.PERFORMED
    assert not any(effect.action for effect in state.pending())
    record = state.record(proposal.id)
    assert record is not None
    assert [taken.step for taken in record.steps] == [Step.PROPOSED, Step.APPROVED, Step.PERFORMED]


def test_an_approved_rollback_starts_from_the_split_of_that_moment() -> None:
    state, (proposal,) = after(CANARY, [canary_rollback()], RECOMMEND)
    wider = (Share("1", Variant.CHAMPION, 0.5), Share("2", Variant.CANARY, 0.5))
    state, _ = after(state, [SplitChange("fraud", wider, "bob")], RECOMMEND)
    _, (approved,) = after(state, [Approval(proposal.id, "ann")], RECOMMEND)
    assert approved.detail.traffic is not None
    assert approved.detail.traffic.revision == 5
    assert approved.detail.traffic.split == (Share("1", Variant.CHAMPION, 1.0),)


def test_a_stale_approval_is_suppressed() -> None:
    state, (proposal,) = after(CANARY, [canary_rollback()], RECOMMEND)
    state, _ = after(state, [SplitChange("fraud", (Share("1", Variant.CHAMPION, 1.0),), "bob")], RECOMMEND)
    _, (decision,) = after(state, [Approval(proposal.id, "ann")], RECOMMEND)
    assert (decision.step, decision.actor, decision.detail.action) == (Step.SUPPRESSED, "ann", Action.NONE)


def test_two_people_decide_at_once() -> None:
    state, (proposal,) = after(EMPTY, [signal(RETRAIN)], RECOMMEND)
    state, _ = after(state, [Rejection(proposal.id, "ann", "known cause")], RECOMMEND)
    with pytest.raises(Refused, match="rejected"):
        step(state, Approval(proposal.id, "bob"), NOW_MS, RECOMMEND)
    with pytest.raises(Refused, match="ann has rejected this decision already"):
        step(state, Rejection(proposal.id, "bob"), NOW_MS, RECOMMEND)
    assert after(state, [Rejection(proposal.id, "ann")], RECOMMEND)[1] == []


def test_several_people_must_approve_where_the_policy_says_so() -> None:
    governance = Governance(ActionPolicy(retrain=Mode.RECOMMEND, approvals=2), "p1")
    policy = Setting(lambda _: governance, (Route("oncall"),), retrain_configured=True)
    state, (proposal,) = after(EMPTY, [signal(RETRAIN)], policy)
    state, (first,) = after(state, [Approval(proposal.id, "ann", "go")], policy)
    assert (first.kind, first.detail.parent, first.detail.recipients) == (
        Kind.APPROVAL,
        proposal.id,
        ("oncall",),
    )
    assert [entry.id for entry in state.model("fraud").proposals()] == [proposal.id]
    assert after(state, [Approval(proposal.id, "ann")], policy)[1] == []
    rejected, _ = after(state, [Rejection(proposal.id, "bob")], policy)
    assert not rejected.model("fraud").proposals()
    state, (second,) = after(state, [Approval(proposal.id, "bob")], policy)
    assert (second.id, second.step, second.detail.action) == (proposal.id, Step.APPROVED, Action.RETRAIN)


def test_a_proposal_lapses() -> None:
    state, (proposal,) = after(EMPTY, [signal(RETRAIN)], RECOMMEND)
    assert after(state, [Tick()], RECOMMEND, NOW_MS + DAY_MS - 1)[1] == []
    _, (lapsed,) = after(state, [Tick()], RECOMMEND, NOW_MS + DAY_MS)
    assert (lapsed.id, lapsed.step) == (proposal.id, Step.EXPIRED)


def test_an_answer_that_comes_too_late_lapses_the_proposal() -> None:
    state, (proposal,) = after(EMPTY, [signal(RETRAIN)], RECOMMEND)
    state, (lapsed,) = after(state, [Approval(proposal.id, "ann")], RECOMMEND, NOW_MS + DAY_MS)
    assert lapsed.step is Step.EXPIRED
    assert not any(effect.action for effect in state.pending())


def test_a_resolved_incident_lapses_its_proposals() -> None:
    _, decisions = after(EMPTY, [signal(RETRAIN), signal(RESOLVE, hour=1)], RECOMMEND)
    assert [decision.step for decision in decisions] == [Step.PROPOSED, Step.DECIDED, Step.EXPIRED]


def test_what_nobody_knows_is_unknown() -> None:
    for event in (Approval("x", "ann"), Rejection("x", "ann"), Acknowledgement("x", "ann")):
        with pytest.raises(Unknown):
            step(EMPTY, event, NOW_MS, setting())


def test_an_incident_is_acknowledged_once() -> None:
    state, (decision,) = after(EMPTY, [signal(ALERT)], setting())
    state, (acknowledged,) = after(state, [Acknowledgement(decision.incident, "ann")], setting(), NOW_MS + 5)
    incident = state.incident(decision.incident)
    assert incident is not None
    assert (incident.status, incident.acknowledged_by, incident.acknowledged_ms) == (
        Status.ACKNOWLEDGED,
        "ann",
        NOW_MS + 5,
    )
    assert acknowledged.kind is Kind.ACKNOWLEDGE
    assert after(state, [Acknowledgement(decision.incident, "bob")], setting())[1] == []
    resolved, _ = after(state, [signal(RESOLVE, hour=1)], setting())
    with pytest.raises(Refused, match="resolved"):
        step(resolved, Acknowledgement(decision.incident, "bob"), NOW_MS, setting())


def test_a_person_sets_the_split() -> None:
    change = SplitChange("fraud", CANARY_SPLIT, "ann", "start of the canary")
    state, (decision,) = after(EMPTY, [change], setting())
    assert (decision.kind, decision.version, decision.actor, decision.mode) == (
        Kind.TRAFFIC,
        "2",
        "ann",
        None,
    )
    assert state.model("fraud").traffic == decision.detail.traffic
    assert after(state, [change], setting())[1] == []
    with pytest.raises(InvalidSplit):
        step(state, SplitChange("fraud", CANARY_SPLIT[:1], "ann"), NOW_MS, setting())


def test_an_outcome_counts_once() -> None:
    state, (decision,) = after(EMPTY, [signal(ALERT)], setting())
    (notice,) = state.pending()
    outcome = Outcome(notice, "", 2)
    state, (delivered, *more) = after(state, [outcome, outcome], setting())
    assert more == []
    assert (delivered.kind, delivered.step, delivered.id) == (Kind.NOTIFY, Step.PERFORMED, notice.id)
    assert (delivered.detail.parent, delivered.detail.target, delivered.detail.attempts) == (
        decision.id,
        "oncall",
        2,
    )
    record = state.record(decision.id)
    assert record is not None
    assert record.deliveries == (delivered,)
    assert state.pending() == ()


def test_memory_is_bounded_and_the_forgotten_is_not_decided_on_again() -> None:
    quiet = setting(routes=())
    events = [signal(ALERT, f"e{hour}", hour) for hour in range(MAX_DECISIONS + 10)]
    resolved = [signal(RESOLVE, f"e{hour}", hour) for hour in range(MAX_INCIDENTS + 10)]
    state, _ = after(EMPTY, [event for pair in zip(events, resolved, strict=True) for event in pair], quiet)
    model = state.model("fraud")
    assert len(model.records) == MAX_DECISIONS
    assert len(model.incidents) == MAX_INCIDENTS
    _, (decision,) = after(state, [events[0]], quiet)
    assert (decision.step, decision.detail.reason) == (Step.SUPPRESSED, FORGOTTEN)


def test_what_waits_is_never_forgotten() -> None:
    state, (proposal,) = after(EMPTY, [signal(RETRAIN)], RECOMMEND)
    events = [signal(ALERT, f"e{hour}", hour) for hour in range(1, MAX_DECISIONS + 10)]
    state, _ = after(state, [*events], setting(routes=()))
    assert state.record(proposal.id) is not None
    assert len(state.model("fraud").incidents) > MAX_INCIDENTS  # open ones stay
