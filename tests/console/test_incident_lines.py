"""How long an incident lasts, what belongs to it, which others began with it, and what was done, in a person's words."""

from dataclasses import replace
from datetime import UTC, datetime

from console_desk import CATALOGUE
from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.console.deeds import deeds_of
from driftsonde.console.incidents import Case, cases_of, incident_line, records_of, related
from driftsonde.core.control.inputs import Acknowledgement, Input, Rejection, Resolution, Snooze
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, Mode
from driftsonde.report.column_detail import pairs_of
from driftsonde.report.results import BinCount

NOW = datetime.fromtimestamp(100 * HOUR_MS / 1000, UTC)


def told(*signals: Signal) -> tuple[State, list[Case]]:
    state, _ = after(State(), [*signals], setting())
    return state, cases_of(state, CATALOGUE)


def canary(kind: SignalKind, hour: int) -> Signal:
    """A canary, watched from hour 2 on."""
    made = signal(kind, "c1", hour, version="2", variant=Variant.CANARY, rule=Rule.DRIFT)
    return replace(made, since_ms=2 * HOUR_MS)


def test_it_lasts_from_the_first_window_past_a_limit_to_the_one_that_was_back() -> None:
    state, (case,) = told(signal(SignalKind.ALERT, hour=2), signal(SignalKind.RESOLVE, hour=9))
    assert case.until_ms == 10 * HOUR_MS
    line = incident_line(case, case.told(), state, NOW)
    assert (line.lasted, line.began.ago) == ("10 h", "4 d ago")


def test_one_that_goes_on_lasts_until_now() -> None:
    state, (case,) = told(signal(SignalKind.ALERT, hour=2))
    assert case.until_ms is None
    assert incident_line(case, case.told(), state, NOW).lasted == "4 d"


def test_what_began_at_about_the_same_time_is_related_and_another_time_is_not() -> None:
    late = replace(signal(SignalKind.ALERT, "e9", 80), since_ms=80 * HOUR_MS)
    _, cases = told(
        signal(SignalKind.ALERT, hour=2),
        canary(SignalKind.ALERT, 4),
        signal(SignalKind.RESOLVE, hour=9),
        canary(SignalKind.RESOLVE, 9),
        late,
    )
    first, second, third = sorted(cases, key=lambda case: case.incident.since_ms)
    assert related(first, cases) == [second]
    assert related(second, cases) == [first]
    assert related(third, cases) == []


def test_an_input_is_the_main_thing_and_a_loss_is_told_beside_it() -> None:
    loss = signal(SignalKind.ALERT, "p1", 3, rule=Rule.PERFORMANCE)
    fell = replace(loss.evidence[0], column="", statistic="accuracy", value=0.72, threshold=0.9)
    _, (case,) = told(signal(SignalKind.ALERT, hour=2), replace(loss, evidence=(fell,)))
    assert case.told().what == "amount changed; accuracy fell to 72.0 %"


def test_deeds_are_sentences_and_steps_of_the_machinery_are_none() -> None:
    state, (case,) = told(
        signal(SignalKind.ALERT, hour=2),
        signal(SignalKind.RETRAIN, hour=4),
        signal(SignalKind.RESOLVE, hour=9),
    )
    deeds = deeds_of(records_of(case.incident, state), NOW)
    assert [deed.what for deed in deeds] == ["Incident opened", "Retraining decided", "Resolved"]


def test_an_incident_opens_once_and_becomes_worse_after_that() -> None:
    loss = signal(SignalKind.ALERT, "p1", 3, rule=Rule.PERFORMANCE)
    fell = replace(loss.evidence[0], column="", statistic="accuracy", value=0.72, threshold=0.9)
    state, (case,) = told(signal(SignalKind.ALERT, hour=2), replace(loss, evidence=(fell,)))
    deeds = deeds_of(records_of(case.incident, state), NOW)
    assert [(deed.what, deed.why) for deed in deeds] == [
        ("Incident opened", ""),
        ("Became worse", "accuracy fell to 72.0 %"),
    ]


def test_a_version_that_is_taken_back_at_once_has_an_incident_that_opened() -> None:
    state, _ = after(with_traffic(State(), with_canary()), [canary_rollback()], setting())
    (case,) = cases_of(state, CATALOGUE)
    deeds = deeds_of(records_of(case.incident, state), NOW)
    assert deeds[0].what == "Incident opened"
    assert deeds[1].what.startswith("Rollback of version 2 decided")


def test_exact_times_have_their_seconds() -> None:
    state, (case,) = told(signal(SignalKind.ALERT, hour=2))
    line = incident_line(case, case.told(), state, NOW)
    assert line.since.endswith("00:00:00") and line.began.text.endswith("00:00:00 UTC")


def test_what_people_do_is_said_beside_the_status_with_their_reasons() -> None:
    state, _ = after(
        State(),
        [signal(SignalKind.ALERT), signal(SignalKind.RETRAIN, hour=2)],
        setting(retrain=Mode.RECOMMEND),
    )
    (case,) = cases_of(state, CATALOGUE)
    (proposal,) = state.model("fraud").proposals()
    own = case.incident.id
    acts: list[Input] = [
        Acknowledgement(own, "ann", "on it"),
        Rejection(proposal.id, "ann", "a unit"),
        Snooze(own, HOUR_MS, "ann"),
    ]
    state, _ = after(state, acts, setting())
    now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    (case,) = cases_of(state, CATALOGUE)
    line = incident_line(case, case.told(), state, now)
    assert line.done == "retraining was rejected by ann"
    assert line.snoozed.startswith("snoozed until")
    said = [(deed.what, deed.why) for deed in deeds_of(records_of(case.incident, state), now)]
    assert ("Acknowledged by ann", "on it") in said

    state, _ = after(state, [Snooze(own, 0, "ann")], setting())
    (case,) = cases_of(state, CATALOGUE)
    assert incident_line(case, case.told(), state, now).snoozed == ""
    assert "Snooze ended by ann" in [deed.what for deed in deeds_of(records_of(case.incident, state), now)]


def test_a_false_alarm_said_afterwards_leaves_its_end_as_it_was() -> None:
    state, (case,) = told(signal(SignalKind.ALERT, hour=2), signal(SignalKind.RESOLVE, hour=9))
    state, _ = after(state, [Resolution(case.incident.id, "ann", "", false_alarm=True)], setting())
    (late,) = cases_of(state, CATALOGUE)
    assert (late.until_ms, late.went_back) == (10 * HOUR_MS, True)


def test_bins_that_are_empty_before_and_after_are_counted_and_not_drawn() -> None:
    pairs, note = pairs_of([BinCount("low", 5, 0), BinCount("middle", 0, 0), BinCount("high", 0, 7)])
    assert [pair.label for pair in pairs] == ["low", "high"]
    assert note == "1 bin empty in both left out."
