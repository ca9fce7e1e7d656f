"""A decision explained: every fact that is stored, in words and as values."""

import pytest

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.explaining import as_text, concerning, explain
from driftsonde.core.control.inputs import Acknowledgement, Approval, Outcome, Unknown
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, Mode

CANARY = with_traffic(State(), with_canary())
RECOMMEND = setting(rollback=Mode.RECOMMEND)


def life() -> tuple[State, list[Decision], Decision]:
    """A rollback: proposed, approved an hour later, done, and told."""
    state, first = after(CANARY, [canary_rollback()], RECOMMEND)
    state, then = after(
        state,
        [Acknowledgement(first[0].incident, "bob"), Approval(first[0].id, "ann", "go")],
        RECOMMEND,
        NOW_MS + HOUR_MS,
    )
    outcomes = [Outcome(effect, "", 2) for effect in state.pending()]
    state, last = after(state, [*outcomes], RECOMMEND, NOW_MS + 2 * HOUR_MS)
    return state, [*first, *then, *last], first[0]


def test_an_explanation_has_every_fact() -> None:
    state, _, proposal = life()
    found = explain(state, proposal.id)
    assert [(step.step, step.actor, step.reason) for step in found.steps] == [
        ("proposed", "controller", "the policy asks a person to approve"),
        ("approved", "ann", "go"),
        ("performed", "controller", ""),
    ]
    assert (found.signal, found.mode, found.policy) == (canary_rollback(), "recommend", "p1")
    assert found.traffic is not None
    assert (found.traffic.decision, found.traffic.revision) == (proposal.id, 4)
    assert {(it.endpoint, it.about, it.attempts) for it in found.deliveries} == {
        ("oncall", "proposed", 2),
        ("oncall", "approved", 2),
    }
    assert [kind for _, kind, _ in found.related] == ["acknowledge", "resolve"]
    assert found.pending == ("oncall",)  # of the step "performed"


def test_the_text_says_it_to_a_person() -> None:
    state, _, proposal = life()
    text = as_text(explain(state, proposal.id))
    for said in (
        "rollback of fraud, version 2: performed\n",
        "rule      canary, of the canary: rollback of fraud\n",
        "windows   since 1970-01-01T00:00:00.000Z; the last one 1970-01-01T00:00:00.000Z to 1970-01-01T01:00",
        "baseline  b1\n",
        "  psi of amount 0.7, limit 0.2, n 500, window 1970-01-01T00:00:00.000Z\n",
        "acknowledged by bob",
        "the policy says recommend for this kind of action; version p1\n",
        "approved by ann: go\n",
        f"link 1 of the audit log, {proposal.hash[:16]}\n",
        "traffic   1 champion 100 % (revision 4)\n",
        "oncall of proposed: performed in 2 tries\n",
    ):
        assert said in text, said


def test_the_whole_log_explains_what_the_state_does() -> None:
    state, decisions, proposal = life()
    others = after(state, [signal(SignalKind.ALERT, f"x{hour}", hour) for hour in range(5)], RECOMMEND)[1]
    chosen = concerning((*decisions, *others), proposal.id)
    assert len(chosen) < len(decisions) + len(others)
    assert explain(fold(State(), chosen), proposal.id) == explain(state, proposal.id)


def test_what_is_not_there() -> None:
    with pytest.raises(Unknown, match="no decision none"):
        explain(State(), "none")


def test_a_decision_without_a_signal() -> None:
    state, (alert,) = after(State(), [signal(SignalKind.ALERT)], setting())
    state, (acknowledged,) = after(state, [Acknowledgement(alert.incident, "ann")], setting())
    text = as_text(explain(state, acknowledged.id))
    assert text.startswith("acknowledge of fraud, version 1: decided\n")
    assert "rule" not in text
