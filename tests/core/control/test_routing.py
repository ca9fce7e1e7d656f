from dataclasses import replace
from datetime import UTC

import pytest

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.core.control.decisions import Decision, Kind, Severity, Step
from driftsonde.core.control.hours import Hours
from driftsonde.core.control.inputs import Acknowledgement, Outcome
from driftsonde.core.control.routing import Route, is_held, recipients
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.signals import Rule, SignalKind
from driftsonde.core.spec import HOUR_MS

ALL = Route("all")
PAGER = Route("pager", kinds=frozenset({Kind.ALERT}))
FRAUD = Route("fraud-team", models=frozenset({"fraud"}))
OWNED = Route("payments", owners=frozenset({"payments"}))
URGENT = Route("urgent", at_least=Severity.CRITICAL)
ALERTS = Route("alerts", incidents_only=True)
ROUTES = (ALL, PAGER, FRAUD, OWNED, URGENT, ALERTS)
NIGHT = Hours(frozenset({0, 1, 2, 3, 4}), 18 * 60, 8 * 60, UTC)
MONDAY_MS = 4 * 24 * HOUR_MS  # 5 January 1970


def decisions(*signals: object, now_ms: int = NOW_MS) -> list[Decision]:
    _, taken = after(with_traffic(State(), with_canary()), list(signals), setting(), now_ms)  # type: ignore[arg-type]
    return taken


def told(decision: Decision, owner: str = "", routes: tuple[Route, ...] = ROUTES) -> tuple[str, ...]:
    return recipients(routes, decision, owner)


def test_an_endpoint_hears_what_it_asked_for() -> None:
    opened, updated = decisions(signal(SignalKind.ALERT), signal(SignalKind.ALERT, hour=1))
    assert told(updated) == ("all", "pager", "fraud-team", "alerts")
    assert told(opened, "payments") == ("all", "pager", "fraud-team", "payments", "alerts")


def test_the_opening_of_an_incident_reaches_whoever_asked_for_alerts() -> None:
    (opened,) = decisions(signal(SignalKind.RETRAIN, model="credit"))
    assert opened.kind is Kind.RETRAIN
    assert told(opened) == ("all", "pager", "alerts")


@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        (Rule.DRIFT, Severity.WARNING),
        (Rule.QUALITY, Severity.WARNING),
        (Rule.PERFORMANCE, Severity.CRITICAL),
        (Rule.CANARY, Severity.CRITICAL),
    ],
)
def test_an_incident_is_as_urgent_as_its_rule_from_its_opening_to_its_end(
    rule: Rule, severity: Severity
) -> None:
    state, (opened,) = after(State(), [signal(SignalKind.ALERT, rule=rule)], setting())
    _, (taken, over) = after(
        state,
        [Acknowledgement(opened.incident, "ann"), signal(SignalKind.RESOLVE, hour=1, rule=rule)],
        setting(),
    )
    assert [entry.detail.severity for entry in (opened, taken, over)] == [severity] * 3
    for entry in (opened, taken, over):
        assert ("urgent" in told(entry)) is (severity is Severity.CRITICAL)


def test_an_action_that_failed_is_critical_and_told_to_those_who_keep_alerts() -> None:
    state, (decided,) = after(State(), [signal(SignalKind.RETRAIN)], setting())
    (action,) = (effect for effect in state.pending() if effect.action)
    _, (failed,) = after(state, [Outcome(action, "status 500", 3)], setting())
    assert (decided.detail.severity, failed.detail.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert told(failed) == ("all", "fraud-team", "urgent", "alerts")


def test_what_is_no_news_of_an_incident_is_not_for_those_who_keep_alerts() -> None:
    state, (decided,) = after(with_traffic(State(), with_canary()), [canary_rollback()], setting())
    (action,) = (effect for effect in state.pending() if effect.action)
    _, (done, _) = after(state, [Outcome(action, "", 1)], setting())
    assert done.step is Step.PERFORMED
    assert ("alerts" in told(decided), "alerts" in told(done)) == (True, False)


def test_hours_past_midnight_belong_to_the_day_on_which_they_began() -> None:
    open_at = [hour for hour in range(-8, 7 * 24) if NIGHT.contain(MONDAY_MS + hour * HOUR_MS)]
    nights = [range(day * 24 + 18, day * 24 + 32) for day in range(5)]
    assert open_at == [hour for night in nights for hour in night]


def test_who_skips_what_comes_outside_hours_still_hears_of_the_end() -> None:
    route = Route("night", hours=NIGHT, hold=False)
    noon_ms = MONDAY_MS + 12 * HOUR_MS
    opened, over = decisions(signal(SignalKind.ALERT), signal(SignalKind.RESOLVE, hour=1), now_ms=noon_ms)
    assert told(opened, routes=(route,)) == ()
    assert told(over, routes=(route,)) == ("night",)
    assert told(opened, routes=(replace(route, hold=True),)) == ("night",)


def test_what_is_held_back_for_hours_or_a_digest() -> None:
    night = Route("night", hours=NIGHT)
    assert is_held(night, 0, MONDAY_MS + 12 * HOUR_MS)
    assert not is_held(night, 0, MONDAY_MS + 20 * HOUR_MS)
    hourly = Route("hourly", digest_ms=HOUR_MS)
    assert is_held(hourly, 90, HOUR_MS - 1)
    assert not is_held(hourly, 90, HOUR_MS)
    assert not is_held(ALL, 0, 0)
