"""What was done about an incident, as a person would tell it: a line a deed, the steps of the machinery left out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from driftsonde.console.texts import Moment, moment, split_text, who_text
from driftsonde.core.control.decisions import CONTROLLER, Change, Decision, Kind, Severity, Step
from driftsonde.core.control.state import Record
from driftsonde.report.formats import format_moment, format_plural

_ACTIONS = {
    Kind.RETRAIN: "Retraining",
    Kind.ROLLBACK: "Rollback",
    Kind.PROMOTE: "Promotion",
    Kind.CANDIDATE: "The retrained version",
}
_STEPS = {
    Step.PROPOSED: "proposed, waits for a yes",
    Step.APPROVED: "approved",
    Step.REJECTED: "rejected",
    Step.EXPIRED: "lapsed: nobody answered in time",
    Step.DECIDED: "decided",
    Step.STARTED: "started",
    Step.PERFORMED: "done",
    Step.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Deed:
    """`when`: of the first of several; `why`: in words of whoever did it, "" for none."""

    when: Moment
    what: str
    why: str = ""


def deeds_of(records: Iterable[Record], now: datetime) -> tuple[Deed, ...]:
    """In the order in which they were done; what was sent stands once for each who got it."""
    known = list(records)
    steps = [step for record in known for step in record.steps]
    found = [(step.timestamp_ms, deed) for step in steps if (deed := _deed(step, now))]
    found += _sent([delivery for record in known for delivery in record.deliveries], steps, now)
    return tuple(deed for _, deed in sorted(found, key=lambda entry: entry[0]))


def _deed(step: Decision, now: datetime) -> Deed | None:
    when, by = moment(step.timestamp_ms, now), ""
    if step.actor != CONTROLLER:
        by = f" {who_text(step.actor)}"
    why = step.detail.reason if by else ""
    match step.kind:
        case Kind.ALERT if step.detail.change is Change.OPENED and not step.detail.learning_until_ms:
            return Deed(when, "Incident opened")
        case Kind.ALERT if step.detail.change is Change.OPENED:
            return Deed(when, "Incident opened, without telling anybody: the model is learning")
        case Kind.ACKNOWLEDGE:
            return Deed(when, f"Acknowledged{by}", why)
        case Kind.SNOOZE if step.step is Step.DECIDED:
            return Deed(when, f"Snoozed until {format_moment(step.detail.expires_ms)} UTC{by}", why)
        case Kind.FALSE_ALARM:
            return Deed(when, f"Called a false alarm{by}", why)
        case Kind.ESCALATE if step.step is Step.DECIDED:
            return Deed(when, f"Escalated to {', '.join(step.detail.recipients)}", step.detail.reason)
        case Kind.RESOLVE if step.detail.change is Change.RESOLVED:
            return Deed(when, f"Resolved{by}", why)
        case Kind.RETRAIN | Kind.ROLLBACK | Kind.PROMOTE | Kind.CANDIDATE:
            return _action(step, when, by, why)
        case _:
            return None


def _action(step: Decision, when: Moment, by: str, why: str) -> Deed | None:
    name = _ACTIONS[step.kind]
    if step.step is Step.SUPPRESSED:
        return Deed(when, f"{name} not done", step.detail.reason)
    if step.step not in _STEPS:
        return None
    version = f" of version {step.version}" if step.kind is Kind.ROLLBACK else ""
    split = step.detail.traffic
    to = f"; requests go to {split_text(split.split)}" if split else ""
    failed = step.detail.reason if step.step is Step.FAILED else why
    return Deed(when, f"{name}{version} {_STEPS[step.step]}{by}{to}", failed)


def _sent(
    deliveries: Iterable[Decision], steps: Iterable[Decision], now: datetime
) -> Iterator[tuple[int, Deed]]:
    """A page is what is critical, everything else a notice."""
    urgent = {(step.id, step.step.value) for step in steps if step.detail.severity is Severity.CRITICAL}
    grouped: dict[tuple[str, str, bool], list[Decision]] = {}
    for delivery in deliveries:
        detail = delivery.detail
        what = "page" if (detail.parent, detail.parent_step) in urgent else "notice"
        grouped.setdefault((what, detail.target, delivery.step is Step.PERFORMED), []).append(delivery)
    for (what, target, arrived), sent in grouped.items():
        first, last = sent[0], sent[-1]
        count = format_plural(len(sent), what)
        text = f"{count} sent to {target}" if arrived else f"{count} did not reach {target}"
        yield (
            first.timestamp_ms,
            Deed(moment(first.timestamp_ms, now), text, "" if arrived else last.detail.reason),
        )
