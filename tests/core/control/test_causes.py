"""Episodes of one cause are one incident: opened once, over when all are, its columns in the order of what they contribute."""

import math
from dataclasses import replace

from control_examples import NOW_MS, setting, signal
from driftsonde.core.control.decisions import Change, Decision
from driftsonde.core.control.incidents import CAUSE_WINDOWS, Incident, Status
from driftsonde.core.control.machine import step
from driftsonde.core.control.state import State, fold
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, Mode


def entry(column: str, statistic: str, value: float, threshold: float) -> Evidence:
    return Evidence(0, HOUR_MS, column, statistic, value, threshold, math.nan, math.nan, 500)


DRIFT = replace(
    signal(SignalKind.ALERT, "d"),
    evidence=(entry("amount", "psi", 0.3, 0.2), entry("age", "psi", 0.9, 0.2)),
)
LOSS = replace(
    signal(SignalKind.ALERT, "p", 3, rule=Rule.PERFORMANCE), evidence=(entry("", "accuracy", 0.7, 0.85),)
)


def told(signals: list[Signal], state: State | None = None) -> tuple[State, list[Decision]]:
    state, decisions = state or State(), list[Decision]()
    for number, one in enumerate(signals):
        state, said = step(state, one, NOW_MS + number, setting(retrain=Mode.OBSERVE))
        decisions += said
    return state, decisions


def incidents(state: State) -> list[Incident]:
    return list(state.model("fraud").incidents.values())


def test_drift_and_the_loss_that_comes_of_it_are_one_incident_that_becomes_more_urgent() -> None:
    state, decisions = told([DRIFT, LOSS])
    (incident,) = incidents(state)
    assert [one.rule for one in incident.members] == [Rule.DRIFT, Rule.PERFORMANCE]
    assert {decision.incident for decision in decisions} == {incident.id}
    assert [decision.detail.change for decision in decisions] == [Change.OPENED, Change.OPENED]
    assert incident.rule is Rule.PERFORMANCE
    assert [(one.column, one.statistic) for one in incident.columns] == [
        ("age", "psi"),
        ("amount", "psi"),
        ("", "accuracy"),
    ]
    # What is less urgent only adds to it.
    state, decisions = told([LOSS, replace(DRIFT, id="later")])
    assert [decision.detail.change for decision in decisions] == [Change.OPENED, Change.UPDATED]


def test_it_is_over_when_all_of_it_is() -> None:
    state, _ = told([DRIFT, LOSS])
    state, decisions = told([signal(SignalKind.RESOLVE, "d", 5)], state)
    assert [decision.detail.change for decision in decisions] == [Change.UPDATED]
    assert "the incident goes on: performance" in decisions[0].detail.reason
    assert incidents(state)[0].status is Status.OPEN
    assert incidents(state)[0].rules == {Rule.PERFORMANCE}
    state, decisions = told([signal(SignalKind.RESOLVE, "p", 6, rule=Rule.PERFORMANCE)], state)
    assert [decision.detail.change for decision in decisions] == [Change.RESOLVED]
    assert incidents(state)[0].status is Status.RESOLVED


def test_what_follows_from_an_episode_belongs_to_its_incident() -> None:
    state, decisions = told([DRIFT, LOSS, signal(SignalKind.RETRAIN, "p", 4, rule=Rule.PERFORMANCE)])
    (incident,) = incidents(state)
    assert {decision.incident for decision in decisions} == {incident.id}


def test_another_version_another_time_and_a_second_episode_of_a_rule_are_incidents_of_their_own() -> None:
    others = [
        replace(LOSS, id="v", episode="v", version="2"),
        replace(LOSS, id="c", episode="c", variant=Variant.CANARY),
        replace(LOSS, id="t", episode="t", since_ms=(CAUSE_WINDOWS + 1) * HOUR_MS),
        replace(DRIFT, id="r", episode="r"),
    ]
    for other in others:
        assert len(incidents(told([DRIFT, other])[0])) == 2


def test_broken_data_within_an_incident_holds_retraining_back() -> None:
    broken = replace(signal(SignalKind.ALERT, "q", rule=Rule.QUALITY), version="1")
    state, _ = told([broken, LOSS])
    asked = signal(SignalKind.RETRAIN, "p", 4, rule=Rule.PERFORMANCE)
    _, (decision,) = step(state, asked, NOW_MS + 9, setting())
    assert decision.step.value == "suppressed"


def test_the_state_is_the_fold_of_the_decisions() -> None:
    state, decisions = told([DRIFT, LOSS, signal(SignalKind.RESOLVE, "d", 5)])
    assert incidents(fold(State(), decisions)) == incidents(state)
