"""What the demo expects of itself, and how it tells what happened."""

import json
from dataclasses import replace
from typing import Any

import pytest

from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.standalone.demo.control_log import Seen
from driftsonde.standalone.demo.expectations import check
from driftsonde.standalone.demo.facts import Canary, Facts, Retraining, Totals, timeline
from driftsonde.standalone.demo.receiver import Delivery
from driftsonde.standalone.demo.serving import Fault
from driftsonde.standalone.demo.summary import summarise
from driftsonde.standalone.demo.traffic import SplitSeen

CHAMPION, CANARY = ("1", Variant.CHAMPION), ("2", Variant.CANARY)


def signal(kind: SignalKind, rule: Rule, start_ms: int, statistic: str, column: str = "") -> Seen[Signal]:
    canary = rule is Rule.CANARY
    evidence = Evidence(
        start_ms, start_ms + 2_000, column, statistic, -0.3, -0.02 if canary else 0.2, -0.4, -0.2, 90
    )
    found = Signal(
        id=f"{kind}-{rule}",
        kind=kind,
        rule=rule,
        model="shuttle",
        version="2" if canary else "1",
        variant=Variant.CANARY if canary else Variant.CHAMPION,
        segment="",
        window_start_ms=start_ms,
        window_end_ms=start_ms + 2_000,
        since_ms=start_ms,
        episode="e",
        summary=f"{rule} in {column}",
        evidence=(evidence,),
        baseline="b",
        policy="p",
    )
    return Seen(start_ms + 4_500, found)


def decision(kind: Kind) -> Seen[Decision]:
    return Seen(
        50_000,
        Decision(
            f"d-{kind}", Step.PERFORMED, kind, "shuttle", "1", "i", "s", None, "controller", "p", 50_000
        ),
    )


def delivery(endpoint: str, kind: str, signal_id: str) -> Delivery:
    body = {"type": kind, "data": {"signal": {"id": signal_id}}}
    return Delivery(endpoint, f"{endpoint}-{kind}", kind, 25_000, body)


def split(*shares: Share) -> Traffic:
    return Traffic("shuttle", shares, 1, "d")


ALERT = signal(SignalKind.ALERT, Rule.DRIFT, 20_000, "psi", "f3")
RETRAIN = signal(SignalKind.RETRAIN, Rule.DRIFT, 24_000, "psi", "f3")
RESOLVE = signal(SignalKind.RESOLVE, Rule.DRIFT, 32_000, "psi", "f3")
ROLLBACK = signal(SignalKind.ROLLBACK, Rule.CANARY, 42_000, "accuracy_difference")
TOLD = delivery("oncall", "incident.opened", "alert-drift")
CALLED = delivery("retrain", "retrain.requested", "retrain-drift")
GOOD = Facts(
    model="shuttle",
    window_ms=2_000,
    retrain_after=3,
    started_ms=0,
    healthy_windows=5,
    fault=Fault("f3", 20_000, 30_000),
    retraining=Retraining(31_000, "2", 2_000, 0.99),
    canary=Canary(41_000, 49_000, {CHAMPION: 800, CANARY: 200}, {CHAMPION: 500}),
    splits=(
        SplitSeen(0, split(Share("1", Variant.CHAMPION, 1.0))),
        SplitSeen(41_000, split(Share("1", Variant.CHAMPION, 0.8), Share("2", Variant.CANARY, 0.2))),
        SplitSeen(49_000, split(Share("1", Variant.CHAMPION, 1.0))),
    ),
    signals=(ALERT, RETRAIN, RESOLVE, ROLLBACK),
    decisions=(decision(Kind.RETRAIN), decision(Kind.ROLLBACK)),
    deliveries=(TOLD, CALLED),
    refused=0,
    verdicts=(),
    totals=Totals(25_000, 24_000, 1_000, 50.0, 0, 0, 25_000, 24_000, 2_000, 0, 24_000),
)


def failed(facts: Facts) -> set[str]:
    return {expectation.text for expectation in check(facts) if not expectation.met}


def test_a_run_in_which_all_happened_meets_every_expectation() -> None:
    assert failed(GOOD) == set()


def without(*dropped: object) -> Facts:
    return replace(
        GOOD,
        signals=tuple(seen for seen in GOOD.signals if seen not in dropped),
        deliveries=tuple(one for one in GOOD.deliveries if one not in dropped),
        decisions=tuple(seen for seen in GOOD.decisions if seen not in dropped),
    )


def totals(**changes: Any) -> Facts:
    return replace(GOOD, totals=replace(GOOD.totals, **changes))


def with_signal(seen: Seen[Signal]) -> Facts:
    return replace(GOOD, signals=(*GOOD.signals, seen))


def canary(**changes: Any) -> Facts:
    assert GOOD.canary is not None
    return replace(GOOD, canary=replace(GOOD.canary, **changes))


EARLY = signal(SignalKind.ALERT, Rule.PERFORMANCE, 10_000, "accuracy")
AFTERWARDS = signal(SignalKind.ALERT, Rule.DRIFT, 40_000, "psi", "f1")
ELSEWHERE = signal(SignalKind.ALERT, Rule.DRIFT, 20_000, "psi", "f1")
TOO_LATE = signal(SignalKind.ALERT, Rule.DRIFT, 24_000, "psi", "f3")
TOO_SOON = signal(SignalKind.RETRAIN, Rule.DRIFT, 22_000, "psi", "f3")


@pytest.mark.parametrize(
    ("facts", "unmet"),
    [
        (with_signal(EARLY), {"in the healthy phase nothing alarms", "no alarm is false"}),
        (replace(GOOD, healthy_windows=4), {"in the healthy phase nothing alarms"}),
        (with_signal(AFTERWARDS), {"no alarm is false"}),
        (
            without(ALERT),
            {
                "the drift is found, in the feature at fault",
                "the alert reaches on-call, its signature verified",
            },
        ),
        (
            replace(GOOD, signals=(ELSEWHERE, RETRAIN, RESOLVE, ROLLBACK)),
            {"the drift is found, in the feature at fault"},
        ),
        (
            replace(GOOD, signals=(TOO_LATE, RETRAIN, RESOLVE, ROLLBACK)),
            {"the drift is found, in the feature at fault"},
        ),
        (
            replace(GOOD, signals=(ALERT, TOO_SOON, RESOLVE, ROLLBACK)),
            {"retraining is signalled once the drift has lasted"},
        ),
        (without(CALLED), {"the controller calls the retrain webhook"}),
        (without(GOOD.decisions[0]), {"the controller calls the retrain webhook"}),
        (without(TOLD), {"the alert reaches on-call, its signature verified"}),
        (replace(GOOD, refused=1), {"the alert reaches on-call, its signature verified"}),
        (without(RESOLVE), {"the incident is resolved after the repair"}),
        (
            canary(during={CHAMPION: 900, CANARY: 100}),
            {"the canary's share is what the traffic topic says"},
        ),
        (canary(during={}), {"the canary's share is what the traffic topic says"}),
        (without(ROLLBACK), {"a rollback of the canary is signalled"}),
        (
            canary(after={CHAMPION: 400, CANARY: 1}),
            {"the controller sets the traffic back, and serving follows"},
        ),
        (without(GOOD.decisions[1]), {"the controller sets the traffic back, and serving follows"}),
        (totals(archived_predictions=24_999), {"the archive has every row and every label"}),
        (totals(archived_labels=23_999), {"the archive has every row and every label"}),
        (totals(dropped=1), {"the archive has every row and every label"}),
        (totals(matched=23_999), {"every label finds its prediction"}),
        (totals(dead_letters=1), {"no dead letters"}),
        (replace(GOOD, problem="waited 20 s for the split"), {"the story came to its end"}),
    ],
)
def test_each_thing_that_goes_wrong_fails_its_expectation(facts: Facts, unmet: set[str]) -> None:
    assert failed(facts) == unmet


def test_a_run_that_ended_before_the_fault_meets_no_expectation_of_it() -> None:
    early = replace(GOOD, fault=None, retraining=None, canary=None, signals=(), deliveries=(), decisions=())
    assert {
        "the drift is found, in the feature at fault",
        "a rollback of the canary is signalled",
        "the controller sets the traffic back, and serving follows",
    } <= failed(early)


def test_the_timeline_says_how_long_after_its_cause_each_thing_came() -> None:
    lines = {line.what: line for line in timeline(GOOD)}
    alert = lines["signal: alert, drift, version 1"]
    assert (alert.after_ms, alert.after_windows) == (4_500, 1)
    assert lines["signal: resolve, drift, version 1"].after_windows == 2
    assert lines["signal: rollback, canary, version 2"].after_ms == 5_500
    assert lines["webhook to oncall: incident.opened"].after_ms == 5_000
    times = [line.at_ms for line in timeline(GOOD)]
    assert times == sorted(times)


def test_the_summary_is_json_with_the_evidence_and_the_delays() -> None:
    result = json.loads(json.dumps(summarise(GOOD, check(GOOD), 60.0), allow_nan=False))
    assert result["ok"] is True
    assert result["events_produced"] == 49_000
    assert result["detection_delay"]["drift"] == {"windows": 1, "seconds": 4.5}
    first = result["signals"][0]
    assert (first["kind"], first["column"], first["statistic"], first["value"], first["threshold"]) == (
        *("alert", "f3", "psi"),
        *(-0.3, 0.2),
    )
    assert first["window"] == {"start_ms": 20_000, "end_ms": 22_000}
