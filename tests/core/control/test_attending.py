"""What people do about incidents: snooze, resolve, false alarm; and what they are told then."""

import pytest

from control_examples import NOW_MS, after, setting, signal
from driftsonde.core.control.decisions import Change, Decision, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.inputs import Acknowledgement, Input, Refused, Resolution, Snooze, Tick, Unknown
from driftsonde.core.control.machine import step
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, Mode

ALERT, RETRAIN, RESOLVE = SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.RESOLVE
POLICY = setting(retrain=Mode.RECOMMEND)
OPEN, (OPENED,) = after(State(), [signal(ALERT)], POLICY)
KEY = OPENED.incident


def told(decisions: list[Decision]) -> list[tuple[Kind, Step]]:
    return [(decision.kind, decision.step) for decision in decisions if decision.detail.recipients]


def incident(state: State) -> Incident:
    found = state.incident(KEY)
    assert found is not None
    return found


def test_a_snoozed_incident_is_silent_until_then() -> None:
    state, snoozed = after(OPEN, [Snooze(KEY, HOUR_MS, "ann", "lunch")], POLICY)
    assert told(snoozed) == [(Kind.SNOOZE, Step.DECIDED)]  # everybody knows that somebody looks after it
    state, silent = after(
        state, [signal(ALERT, hour=1), signal(RETRAIN, hour=2), Tick()], POLICY, NOW_MS + HOUR_MS - 1
    )
    assert told(silent) == []
    assert silent[0].detail.quiet.startswith("the incident is snoozed until 2026-")
    assert silent[1].step is Step.PROPOSED  # what is proposed waits for an answer all the same
    state, (reminder,) = after(state, [Tick()], POLICY, NOW_MS + HOUR_MS)
    assert (reminder.step, reminder.detail.recipients) == (Step.EXPIRED, ("oncall",))
    assert reminder.detail.reason == "the snooze is over, the incident is not: retrain of fraud"
    _, loud = after(state, [Tick(), signal(ALERT, hour=3)], POLICY, NOW_MS + HOUR_MS)
    assert told(loud) == [(Kind.ALERT, Step.DECIDED)]


def test_the_end_of_a_snoozed_incident_is_told_and_no_reminder_follows() -> None:
    state, _ = after(OPEN, [Snooze(KEY, HOUR_MS, "ann")], POLICY)
    state, over = after(state, [signal(RESOLVE, hour=1)], POLICY)
    assert told(over) == [(Kind.RESOLVE, Step.DECIDED)]
    _, silent = after(state, [Tick()], POLICY, NOW_MS + HOUR_MS)
    assert (len(silent), told(silent)) == (1, [])


def test_the_newest_snooze_counts() -> None:
    state, _ = after(OPEN, [Snooze(KEY, HOUR_MS, "ann"), Snooze(KEY, 2 * HOUR_MS, "bob")], POLICY)
    assert incident(state).snoozed_until_ms == NOW_MS + 2 * HOUR_MS
    state, first = after(state, [Tick()], POLICY, NOW_MS + HOUR_MS)
    assert told(first) == []
    assert told(after(state, [Tick()], POLICY, NOW_MS + 2 * HOUR_MS)[1]) == [(Kind.SNOOZE, Step.EXPIRED)]


def test_a_snoozed_incident_is_not_escalated() -> None:
    policy = setting(routes=(Route("boss", escalation_ms=HOUR_MS // 2),))
    state, _ = after(OPEN, [Snooze(KEY, HOUR_MS, "ann")], policy)
    state, silent = after(state, [Tick()], policy, NOW_MS + HOUR_MS - 1)
    assert silent == []
    _, decisions = after(state, [Tick()], policy, NOW_MS + HOUR_MS)
    state, decisions = after(state, [Tick()], policy, NOW_MS + HOUR_MS)
    assert [entry.kind for entry in decisions] == [Kind.SNOOZE, Kind.ESCALATE]


@pytest.mark.parametrize(("false_alarm", "kind"), [(False, Kind.RESOLVE), (True, Kind.FALSE_ALARM)])
def test_a_person_ends_an_incident_and_its_proposals(false_alarm: bool, kind: Kind) -> None:
    state, _ = after(OPEN, [signal(RETRAIN, hour=1)], POLICY)
    state, (ended, lapsed) = after(state, [Resolution(KEY, "ann", "planned", false_alarm)], POLICY)
    assert (ended.kind, ended.actor, ended.detail.change) == (kind, "ann", Change.RESOLVED)
    assert (lapsed.kind, lapsed.step) == (Kind.RETRAIN, Step.EXPIRED)
    assert "by ann" in lapsed.detail.reason
    found = incident(state)
    assert (found.status, found.resolved_by, found.false_alarm) == (Status.RESOLVED, "ann", false_alarm)


def test_the_rest_of_a_false_alarms_episode_is_silent() -> None:
    state, _ = after(OPEN, [Resolution(KEY, "ann", "", false_alarm=True)], POLICY)
    rest: list[Input] = [signal(ALERT, hour=1), signal(RETRAIN, hour=2), signal(RESOLVE, hour=3)]
    state, decisions = after(state, rest, setting())
    assert [decision.step for decision in decisions] == [Step.SUPPRESSED] * 3
    assert told(decisions) == []
    assert "ann called this incident a false alarm" in decisions[1].detail.reason
    assert incident(state).status is Status.RESOLVED
    # The next episode is another matter.
    assert after(state, [signal(ALERT, "e2", 9)], POLICY)[1][0].detail.change is Change.OPENED


def test_an_incident_that_was_resolved_by_hand_opens_again_with_the_next_signal() -> None:
    state, _ = after(OPEN, [Resolution(KEY, "ann")], POLICY)
    state, (again,) = after(state, [signal(ALERT, hour=1)], POLICY)
    assert again.detail.change is Change.OPENED
    assert (incident(state).resolved_by, incident(state).false_alarm) == ("", False)


@pytest.mark.parametrize(
    "wish", [Acknowledgement(KEY, "bob"), Snooze(KEY, HOUR_MS, "bob"), Resolution(KEY, "bob")]
)
def test_nothing_is_done_about_what_is_over_or_not_there(wish: Input) -> None:
    state, _ = after(OPEN, [Resolution(KEY, "ann")], POLICY)
    with pytest.raises(Refused, match="resolved by ann"):
        step(state, wish, NOW_MS, POLICY)
    with pytest.raises(Unknown):
        step(State(), wish, NOW_MS, POLICY)


def test_one_that_ended_by_itself_can_be_called_a_false_alarm_afterwards() -> None:
    state, _ = after(OPEN, [signal(RESOLVE, hour=3)], POLICY)
    ended_ms = incident(state).resolved_ms
    state, (said,) = after(
        state, [Resolution(KEY, "ann", "a test", false_alarm=True)], POLICY, NOW_MS + HOUR_MS
    )
    found = incident(state)
    assert (said.kind, said.detail.reason) == (Kind.FALSE_ALARM, "a test")
    assert (found.false_alarm, found.resolved_by, found.resolved_ms) == (True, "ann", ended_ms)
    with pytest.raises(Refused, match="resolved by ann"):
        after(state, [Resolution(KEY, "bob", "", false_alarm=True)], POLICY)


def test_a_snooze_ends_by_one_of_no_length() -> None:
    state, _ = after(OPEN, [Snooze(KEY, HOUR_MS, "ann"), Snooze(KEY, 0, "ann", "back")], POLICY)
    assert incident(state).snoozed_until_ms == NOW_MS
    state, decisions = after(state, [Tick()], POLICY, NOW_MS + 1)
    assert told(decisions) == [(Kind.SNOOZE, Step.EXPIRED)]
    assert told(after(state, [Tick()], POLICY, NOW_MS + 2 * HOUR_MS)[1]) == []
