from control_examples import NOW_MS, after, setting, signal
from driftsonde.core.control.decisions import Change, Kind, Severity, Step
from driftsonde.core.control.inputs import Acknowledgement, Tick
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State, fold
from driftsonde.core.signals import Rule, SignalKind
from driftsonde.core.spec import MINUTE_MS

ROUTES = (
    Route("oncall"),
    Route("lead", escalation_ms=15 * MINUTE_MS),
    Route("boss", escalation_ms=60 * MINUTE_MS, at_least=Severity.CRITICAL),
)
SETTING = setting(routes=ROUTES)


def at(minutes: int) -> int:
    return NOW_MS + minutes * MINUTE_MS


def test_the_next_is_told_once_when_nobody_acknowledged_in_time() -> None:
    state, (opened,) = after(State(), [signal(SignalKind.ALERT, rule=Rule.PERFORMANCE)], SETTING)
    assert opened.detail.recipients == ("oncall",)
    state, early = after(state, [Tick()], SETTING, at(14))
    state, due = after(state, [Tick(), Tick()], SETTING, at(15))
    assert early == []
    (first,) = due
    assert (first.kind, first.step, first.detail.recipients) == (Kind.ESCALATE, Step.DECIDED, ("lead",))
    assert (first.incident, first.detail.severity) == (opened.incident, Severity.CRITICAL)
    assert first.detail.reason == "not acknowledged for 15 min"
    state, later = after(state, [Tick()], SETTING, at(60))
    assert [entry.detail.recipients for entry in later] == [("boss",)]


def test_who_was_told_hears_that_it_was_acknowledged_and_nothing_after() -> None:
    state, (opened,) = after(State(), [signal(SignalKind.ALERT)], SETTING)
    state, _ = after(state, [Tick()], SETTING, at(20))
    state, taken = after(state, [Acknowledgement(opened.incident, "ann"), Tick(), Tick()], SETTING, at(21))
    acknowledged, over = taken
    assert acknowledged.detail.recipients == ("oncall",)
    assert (over.kind, over.step, over.detail.recipients) == (Kind.ESCALATE, Step.PERFORMED, ("lead",))
    assert (over.detail.reason, over.detail.change) == ("acknowledged by ann", Change.NONE)
    state, resolved = after(state, [signal(SignalKind.RESOLVE, hour=1), Tick()], SETTING, at(22))
    assert [entry.detail.recipients for entry in resolved] == [("oncall",)]


def test_an_incident_that_is_over_or_not_urgent_enough_is_not_escalated() -> None:
    state, _ = after(State(), [signal(SignalKind.ALERT), signal(SignalKind.RESOLVE, hour=1)], SETTING)
    state, _ = after(state, [signal(SignalKind.ALERT, "warning")], SETTING)
    _, told = after(state, [Tick()], SETTING, at(600))
    assert [entry.detail.recipients for entry in told] == [("lead",)]


def test_an_incident_that_opens_again_is_escalated_again() -> None:
    state, _ = after(State(), [signal(SignalKind.ALERT)], SETTING)
    state, _ = after(state, [Tick(), signal(SignalKind.RESOLVE, hour=1), Tick()], SETTING, at(20))
    state, _ = after(state, [signal(SignalKind.ALERT, hour=2)], SETTING, at(30))
    _, told = after(state, [Tick()], SETTING, at(45))
    assert [(entry.step, entry.detail.recipients) for entry in told] == [(Step.DECIDED, ("lead",))]


def test_the_log_gives_the_same_state() -> None:
    first, opened = after(State(), [signal(SignalKind.ALERT)], SETTING)
    second, told = after(first, [Tick()], SETTING, at(20))
    assert fold(State(), [*opened, *told]) == second
