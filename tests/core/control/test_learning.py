"""A learning period: everything is in the log, and nobody is called."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.core.control.decisions import Action, Change, Decision, Kind, Step
from driftsonde.core.control.explaining import as_text, explain
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Input,
    Maintenance,
    Registered,
    Resolution,
    Setting,
    Tick,
)
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, MINUTE_MS, ActionPolicy, Mode

ALERT, RETRAIN, ROLLBACK, RESOLVE = (
    SignalKind.ALERT,
    SignalKind.RETRAIN,
    SignalKind.ROLLBACK,
    SignalKind.RESOLVE,
)
# The model is registered at hour 10 and learns for 20 hours: a window that begins at hour 29 is the last one in it.
LAST, END_MS = 29, 30 * HOUR_MS
UNTIL = "learning until 1970-01-02T06:00:00Z"
SPEC = Registration(10 * HOUR_MS, spec="{}")
ROUTES = (Route("oncall"), Route("lead", escalation_ms=15 * MINUTE_MS))


def learning(
    hours: int = 20,
    retrain: Mode = Mode.AUTO,
    rollback: Mode = Mode.AUTO,
    routes: tuple[Route, ...] = (Route("oncall"),),
) -> Setting:
    actions = ActionPolicy(retrain, rollback, retrain_cooldown_ms=0, learning_ms=hours * HOUR_MS)
    return replace(setting(routes=routes), governance=lambda _: Governance(actions, "p1"))


def known(policy: Setting) -> State:
    """The model is registered, and has a canary."""
    events: list[Input] = [Registered("fraud", "", SPEC), Registered("fraud", "1", replace(SPEC, spec=""))]
    return with_traffic(after(State(), events, policy, 10 * HOUR_MS)[0], with_canary())


def told(decisions: list[Decision]) -> list[tuple[Kind, tuple[str, ...]]]:
    return [(entry.kind, entry.detail.recipients) for entry in decisions if entry.detail.recipients]


def test_an_alert_is_an_incident_that_nobody_is_told_of() -> None:
    state, (opened,) = after(known(learning()), [signal(ALERT, hour=LAST)], learning())
    assert (opened.step, opened.detail.change, opened.detail.recipients) == (Step.DECIDED, Change.OPENED, ())
    assert opened.detail.quiet == f"{UNTIL}; it would have told oncall"
    assert opened.detail.learning_until_ms == END_MS
    incident = state.model("fraud").incidents[opened.incident]
    assert (incident.status, incident.learning_until_ms) == (Status.OPEN, END_MS)
    assert UNTIL in as_text(explain(state, opened.id))


def test_the_first_window_after_it_pages() -> None:
    state, (opened,) = after(known(learning()), [signal(ALERT, hour=LAST + 1)], learning())
    assert opened.detail.recipients == ("oncall",)
    assert state.model("fraud").incidents[opened.incident].learning_until_ms == 0


def test_there_is_none_where_the_policy_says_so() -> None:
    _, (opened,) = after(known(learning(0)), [signal(ALERT, hour=LAST)], learning(0))
    assert (opened.detail.recipients, opened.detail.learning_until_ms) == (("oncall",), 0)


def test_who_says_nothing_has_a_week() -> None:
    _, (opened,) = after(known(setting()), [signal(ALERT, hour=LAST)], setting())
    assert opened.detail.learning_until_ms == (10 + 7 * 24) * HOUR_MS


def test_a_later_registration_does_not_begin_it_again() -> None:
    again: list[Input] = [
        Registered("fraud", "", Registration(40 * HOUR_MS, spec="{ }")),
        Registered("fraud", "2", Registration(41 * HOUR_MS)),
    ]
    *_, opened = after(known(learning()), [*again, signal(ALERT, hour=LAST + 1)], learning())[1]
    assert opened.detail.recipients == ("oncall",)


@pytest.mark.parametrize(
    ("mode", "otherwise"),
    [
        (Mode.AUTO, "it would be decided: the policy acts by itself"),
        (Mode.RECOMMEND, "it would be proposed: the policy asks a person to approve"),
        (Mode.OBSERVE, "it would be observed: the policy observes: nothing is done"),
    ],
)
def test_no_retraining_is_done_or_proposed(mode: Mode, otherwise: str) -> None:
    policy = learning(retrain=mode)
    state, (taken,) = after(known(policy), [signal(RETRAIN, hour=LAST)], policy)
    assert (taken.step, taken.detail.action, taken.detail.recipients) == (Step.OBSERVED, Action.NONE, ())
    assert (taken.detail.reason, taken.mode) == (f"{UNTIL}; {otherwise}", mode)
    assert not state.pending()
    assert not state.model("fraud").retrainings


def test_a_canary_is_taken_back_all_the_same_and_people_hear_of_it() -> None:
    before = signal(ALERT, "c0", LAST - 2, version="2", variant=Variant.CANARY)
    state, (quiet, back) = after(known(learning()), [before, canary_rollback(hour=LAST)], learning())
    assert quiet.detail.recipients == ()
    assert (back.step, back.detail.action, back.detail.recipients) == (
        Step.DECIDED,
        Action.TRAFFIC,
        ("oncall",),
    )
    assert back.incident == quiet.incident  # of one cause; with the rollback people are told of it
    assert state.model("fraud").incidents[back.incident].learning_until_ms == 0
    over = replace(
        signal(RESOLVE, "c1", LAST, version="2", variant=Variant.CANARY), window_end_ms=END_MS, id="over"
    )
    rest = replace(over, id="rest", episode="c0")
    assert told(after(state, [over, rest], learning())[1])[-1] == (Kind.RESOLVE, ("oncall",))


def test_a_rollback_that_leads_nowhere_is_learning() -> None:
    champion = signal(ROLLBACK, hour=LAST, rule=Rule.PERFORMANCE)
    state, (taken,) = after(known(learning()), [champion], learning())
    assert (taken.step, taken.detail.recipients) == (Step.OBSERVED, ())
    assert not state.pending()


def test_what_nobody_was_told_of_ends_without_a_word() -> None:
    ends: list[Input] = [signal(ALERT, hour=LAST), signal(RESOLVE, hour=LAST + 4)]
    _, (_, over) = after(known(learning()), ends, learning())
    assert (over.detail.change, over.detail.recipients) == (Change.RESOLVED, ())
    assert over.detail.quiet == f"nobody was told of the incident: it was {UNTIL}"


def test_what_people_do_about_it_is_no_news() -> None:
    policy = learning(routes=ROUTES)
    state, (opened,) = after(known(policy), [signal(ALERT, hour=LAST)], policy)
    acts: list[Input] = [Acknowledgement(opened.incident, "ann"), Resolution(opened.incident, "ann")]
    assert told(after(state, acts, policy)[1]) == []


def test_an_open_one_is_told_with_its_first_signal_after_it() -> None:
    policy = learning(routes=ROUTES)
    state, (opened,) = after(known(policy), [signal(ALERT, hour=LAST)], policy)
    state, silent = after(state, [Tick()], policy, NOW_MS + HOUR_MS)
    assert silent == []  # late labels brought it: it was no secret when the period ended
    later_ms = NOW_MS + 2 * HOUR_MS
    state, (taken,) = after(state, [signal(RETRAIN, hour=LAST + 1)], policy, later_ms)
    assert (taken.incident, taken.step) == (opened.incident, Step.DECIDED)
    assert (taken.detail.change, taken.detail.recipients) == (Change.OPENED, ("oncall",))
    incident = state.model("fraud").incidents[opened.incident]
    assert (incident.opened_ms, incident.learning_until_ms, incident.signals) == (later_ms, 0, 2)
    # Who is escalated to has as long to wait as for any other incident.
    assert after(state, [Tick()], policy, later_ms + 14 * MINUTE_MS)[1] == []
    assert told(after(state, [Tick()], policy, later_ms + 15 * MINUTE_MS)[1]) == [(Kind.ESCALATE, ("lead",))]


def test_what_is_open_at_its_end_is_told_then_once() -> None:
    policy = learning(routes=ROUTES)
    opens_ms = END_MS - 2 * HOUR_MS
    over: list[Input] = [signal(ALERT, "a", 20), signal(RESOLVE, "a", 24)]
    state, _ = after(known(policy), [signal(ALERT, hour=LAST - 3, version="2"), *over], policy, opens_ms)
    assert after(state, [Tick()], policy, END_MS - 1)[1] == []
    state, taken = after(state, [Tick(), Tick()], policy, END_MS)
    (said,) = taken
    assert (said.kind, said.detail.change, said.detail.recipients) == (Kind.ALERT, Change.OPENED, ("oncall",))
    assert said.detail.reason == "the learning period is over, the incident is not: alert of fraud"
    incident = state.model("fraud").incidents[said.incident]
    assert (incident.opened_ms, incident.learning_until_ms, incident.signals) == (END_MS, 0, 1)


def test_the_end_of_a_maintenance_says_nothing_of_it() -> None:
    work = Maintenance("fraud", 0, NOW_MS + HOUR_MS, "ann")
    state, _ = after(known(learning()), [work, signal(ALERT, hour=LAST)], learning())
    _, (over,) = after(state, [Tick()], learning(), NOW_MS + HOUR_MS)
    assert over.detail.reason == "the maintenance is over; 0 incidents are open"


signals = st.builds(
    signal,
    kind=st.sampled_from([ALERT, RETRAIN, ROLLBACK, RESOLVE]),
    episode=st.sampled_from(["a", "b", "c"]),
    hour=st.integers(0, LAST),
    rule=st.sampled_from(Rule),
)


@given(st.lists(st.one_of(signals, st.just(Tick())), max_size=30))
def test_nothing_pages_and_nothing_is_done_whatever_the_signals(events: list[Input]) -> None:
    policy = learning(routes=ROUTES)
    state, decisions = after(known(policy), events, policy, END_MS - 1)
    assert told(decisions) == []
    assert not state.pending()
    assert fold(known(policy), decisions) == state  # all of it follows from the log
    as_ever = after(known(setting()), events, setting(), END_MS - 1)[0]
    assert {i.id: i.status for i in state.model("fraud").incidents.values()} == {
        i.id: i.status for i in as_ever.model("fraud").incidents.values()
    }


@given(st.lists(signals, max_size=30))
def test_after_it_all_is_as_without(events: list[Signal]) -> None:
    late: list[Input] = [
        replace(one, id=f"{one.id}+", window_start_ms=end_ms - HOUR_MS, window_end_ms=end_ms)
        for one in events
        for end_ms in [one.window_end_ms + END_MS]
    ]
    with_it, without = learning(), learning(0)
    assert after(known(with_it), late, with_it) == after(known(without), late, without)
