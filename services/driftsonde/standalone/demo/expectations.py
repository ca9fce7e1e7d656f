"""What should have happened in the demo, held against what did."""

from dataclasses import dataclass

from driftsonde.core.control.decisions import Kind, Step
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, SignalKind
from driftsonde.standalone.demo.facts import Facts

HEALTHY_WINDOWS = 5
CANARY_WEIGHT = 0.2
_DETECTION_WINDOWS = 2
_SHARE_TOLERANCE = 0.06


@dataclass(frozen=True, slots=True)
class Expectation:
    """`seen` is what the run has to show for it."""

    text: str
    met: bool
    seen: str


def check(facts: Facts) -> list[Expectation]:
    """Every expectation, in the order of the story."""
    return [
        Expectation(text, *judge(facts))
        for text, judge in (
            ("in the healthy phase nothing alarms", _healthy),
            ("the drift is found, in the feature at fault", _drift_found),
            ("retraining is signalled once the drift has lasted", _retrain_signalled),
            ("the controller calls the retrain webhook", _retrain_called),
            ("the alert reaches on-call, its signature verified", _oncall_told),
            ("the incident is resolved after the repair", _resolved),
            ("the canary's share is what the traffic topic says", _share_kept),
            ("a rollback of the canary is signalled", _rollback_signalled),
            ("the controller sets the traffic back, and serving follows", _set_back),
            ("no alarm is false", _no_false_alarm),
            ("the archive has every row and every label", _all_archived),
            ("every label finds its prediction", _all_joined),
            ("no dead letters", _no_dead_letters),
            ("the story came to its end", _ended),
        )
    ]


Judgement = tuple[bool, str]
_MISSING: Judgement = (False, "it did not happen")


def _healthy(facts: Facts) -> Judgement:
    alarms = [
        seen.event
        for seen in facts.signals
        if facts.fault is None or seen.event.window_end_ms <= facts.fault.from_ms
    ]
    seen = f"{facts.healthy_windows} windows judged, {len(alarms)} signals"
    return not alarms and facts.healthy_windows >= HEALTHY_WINDOWS, seen


def _drift_found(facts: Facts) -> Judgement:
    found = next(
        (s.event for s in facts.signals if s.event.kind is SignalKind.ALERT and s.event.rule is Rule.DRIFT),
        None,
    )
    if found is None or facts.fault is None:
        return _MISSING
    strongest, windows = found.evidence[0], facts.windows_after_cause(found)
    seen = (
        f"{strongest.statistic} of {strongest.column} {strongest.value:.3g}, in window {windows} of the fault"
    )
    in_time = windows is not None and 1 <= windows <= _DETECTION_WINDOWS
    return in_time and strongest.column == facts.fault.feature, seen


def _retrain_signalled(facts: Facts) -> Judgement:
    found = facts.first(SignalKind.RETRAIN)
    if found is None:
        return _MISSING
    windows = facts.windows_after_cause(found.event)
    return windows == facts.retrain_after, f"in window {windows} of the fault, policy: {facts.retrain_after}"


def _retrain_called(facts: Facts) -> Judgement:
    found = facts.first(SignalKind.RETRAIN)
    calls = [delivery for delivery in facts.deliveries if delivery.endpoint == "retrain"]
    performed = any(
        seen.event.kind is Kind.RETRAIN and seen.event.step is Step.PERFORMED for seen in facts.decisions
    )
    about = [call for call in calls if found and (call.data.get("signal") or {}).get("id") == found.event.id]
    return len(calls) == len(about) == 1 and performed, f"{len(calls)} calls, {facts.refused} refused"


def _oncall_told(facts: Facts) -> Judgement:
    found = facts.first(SignalKind.ALERT)
    told = [delivery for delivery in facts.deliveries if delivery.type == "incident.opened"]
    about = found and any((one.data.get("signal") or {}).get("id") == found.event.id for one in told)
    verified = sum(delivery.endpoint == "oncall" for delivery in facts.deliveries)
    return bool(about) and facts.refused == 0, f"{verified} messages verified, {facts.refused} refused"


def _resolved(facts: Facts) -> Judgement:
    found = facts.first(SignalKind.RESOLVE)
    if found is None:
        return _MISSING
    return True, f"after {facts.windows_after_cause(found.event)} clean windows"


def _share_kept(facts: Facts) -> Judgement:
    during = facts.canary.during if facts.canary else {}
    total = sum(during.values())
    if not total:
        return _MISSING
    share = sum(rows for (_, variant), rows in during.items() if variant is Variant.CANARY) / total
    return abs(
        share - CANARY_WEIGHT
    ) <= _SHARE_TOLERANCE, f"{share:.1%} of {total} requests, topic: {CANARY_WEIGHT:.0%}"


def _rollback_signalled(facts: Facts) -> Judgement:
    found = facts.first(SignalKind.ROLLBACK)
    if found is None or facts.retraining is None:
        return _MISSING
    evidence, signal = found.event.evidence[0], found.event
    seen = f"{evidence.statistic} {evidence.value:.3g}, at most {evidence.upper:.3g}, margin {evidence.threshold:.3g}"
    about = signal.version == facts.retraining.version and signal.variant is Variant.CANARY
    return about and evidence.upper < evidence.threshold, seen


def _set_back(facts: Facts) -> Judgement:
    if facts.canary is None or facts.canary.until_ms is None:
        return _MISSING
    performed = any(
        seen.event.kind is Kind.ROLLBACK and seen.event.step is Step.PERFORMED for seen in facts.decisions
    )
    total = sum(facts.canary.after.values())
    strays = sum(rows for (_, variant), rows in facts.canary.after.items() if variant is Variant.CANARY)
    return performed and total > 0 and strays == 0, f"then {strays} of {total} requests went to the canary"


def _no_false_alarm(facts: Facts) -> Judgement:
    alarms = facts.false_alarms()
    return not alarms, "; ".join(alarm.summary for alarm in alarms) or "0"


def _all_archived(facts: Facts) -> Judgement:
    totals = facts.totals
    seen = (
        f"{totals.archived_predictions} of {totals.predictions} rows, "
        f"{totals.archived_labels} of {totals.labels} labels"
    )
    kept = (totals.archived_predictions, totals.archived_labels) == (totals.predictions, totals.labels)
    return kept and totals.predictions > 0 and totals.dropped == totals.failed == 0, seen


def _all_joined(facts: Facts) -> Judgement:
    totals = facts.totals
    return totals.matched == totals.labels > 0, f"{totals.matched} of {totals.labels}"


def _no_dead_letters(facts: Facts) -> Judgement:
    return facts.totals.dead_letters == 0, str(facts.totals.dead_letters)


def _ended(facts: Facts) -> Judgement:
    return not facts.problem, facts.problem or "it did"
