import json

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.controller.messages import MAX_EVIDENCE, body_of, notice_type
from driftsonde.core.control.inputs import Acknowledgement, Approval, Outcome
from driftsonde.core.control.state import Effect, State, with_traffic
from driftsonde.core.iso_time import iso_milliseconds
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import Mode

CANARY = with_traffic(State(), with_canary())
RECOMMEND = setting(retrain=Mode.RECOMMEND)


def test_the_type_says_what_is_news() -> None:
    events = [signal(SignalKind.ALERT), signal(SignalKind.ALERT, hour=1), canary_rollback()]
    state, decisions = after(CANARY, [*events], setting())
    _, more = after(
        state, [Acknowledgement(decisions[0].incident, "ann"), signal(SignalKind.RESOLVE, hour=2)], setting()
    )
    assert [notice_type(decision) for decision in [*decisions, *more]] == [
        "incident.opened",
        "incident.updated",
        "rollback.decided",
        "incident.acknowledged",
        "incident.resolved",
    ]


def test_a_retraining_is_told_what_it_needs_even_after_an_approval() -> None:
    state, (proposal,) = after(CANARY, [signal(SignalKind.RETRAIN, hour=2)], RECOMMEND)
    state, _ = after(state, [Approval(proposal.id, "ann", "go")], RECOMMEND)
    (action,) = (effect for effect in state.pending() if effect.action)
    body = json.loads(body_of(action, proposal))
    assert (body["type"], body["timestamp"]) == ("retrain.requested", iso_milliseconds(NOW_MS))
    data = body["data"]
    assert (data["model"], data["actor"], data["reason"], data["columns"]) == (
        "fraud",
        "ann",
        "go",
        ["amount"],
    )
    assert data["window"] == {"start": "1970-01-01T00:00:00.000Z", "end": "1970-01-01T03:00:00.000Z"}
    assert data["signal"]["evidence"][0]["lower"] is None


def test_a_failed_retraining_is_told_with_the_problem() -> None:
    state, (first,) = after(CANARY, [signal(SignalKind.RETRAIN)], setting())
    (action,) = (effect for effect in state.pending() if effect.action)
    _, (failed,) = after(state, [Outcome(action, "status 500", 10)], setting())
    body = json.loads(body_of(Effect("x", failed, recipient="oncall"), first))
    assert (body["type"], body["data"]["reason"]) == ("retrain.failed", "status 500")
    assert body["data"]["signal"]["summary"] == "retrain of fraud"


def test_a_message_stays_small() -> None:
    event = signal(SignalKind.ALERT)
    state, (decision,) = after(CANARY, [event], setting())
    (notice,) = state.pending()
    many = event.__class__(
        **{name: getattr(event, name) for name in event.__slots__} | {"evidence": event.evidence * 1_000}
    )
    _, (large,) = after(CANARY, [many], setting())
    body = body_of(Effect(notice.id, large, recipient="oncall"), large)
    assert len(body) < 20_000
    data = json.loads(body)["data"]["signal"]
    assert (len(data["evidence"]), data["evidence_total"]) == (MAX_EVIDENCE, 1_000)
    assert decision.id == large.id
