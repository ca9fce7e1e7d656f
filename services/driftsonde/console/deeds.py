"""What was done about an incident, as a person would tell it: a line a deed, the steps of the machinery left out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from driftsonde.console.sentences import tell
from driftsonde.console.texts import Moment, moment, split_text, who_text
from driftsonde.core.control.decisions import CONTROLLER, Change, Decision, Kind, Severity, Step
from driftsonde.core.control.state import Record
from driftsonde.report.formats import format_moment, format_plural

ACTIONS = {
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
    steps = sorted(
        (step for record in known for step in record.steps), key=lambda it: (it.timestamp_ms, it.sequence)
    )
    found = [*_openings(steps, now)]
    found += [(step.timestamp_ms, deed) for step in steps if (deed := _deed(step, now))]
    found += _sent([delivery for record in known for delivery in record.deliveries], steps, now)
    return tuple(deed for _, deed in sorted(found, key=lambda entry: entry[0]))


def _openings(steps: Iterable[Decision], now: datetime) -> Iterator[tuple[int, Deed]]:
    """An incident that is open already and opens again has become worse."""
    words, so_far = "Incident opened", "Became worse"
    for step in steps:
        if step.detail.change is Change.RESOLVED:
            words = "Opened again"
        elif step.detail.change is Change.OPENED:
            signal = step.detail.signal
            why = tell(signal).what if signal and words == so_far else ""
            quiet = (
                ", without telling anybody: the model is learning" if step.detail.learning_until_ms else ""
            )
            yield step.timestamp_ms, Deed(moment(step.timestamp_ms, now), words + quiet, why)
            words = so_far


def _deed(step: Decision, now: datetime) -> Deed | None:
    when, by = moment(step.timestamp_ms, now), ""
    if step.actor != CONTROLLER:
        by = f" {who_text(step.actor)}"
    why = step.detail.reason if by else ""
    match step.kind:
        case Kind.ACKNOWLEDGE:
            return Deed(when, f"Acknowledged{by}", why)
        case Kind.SNOOZE if step.step is Step.DECIDED and step.detail.expires_ms <= step.timestamp_ms:
            return Deed(when, f"Snooze ended{by}", why)
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
    name = ACTIONS[step.kind]
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
    """A page is what is critical, everything else a notice; they stand where the first was asked for."""
    asked_ms = {(step.id, step.step.value): step.timestamp_ms for step in steps}
    urgent = {(step.id, step.step.value) for step in steps if step.detail.severity is Severity.CRITICAL}
    grouped: dict[tuple[str, str, bool], list[Decision]] = {}
    for delivery in deliveries:
        detail = delivery.detail
        what = "page" if (detail.parent, detail.parent_step) in urgent else "notice"
        grouped.setdefault((what, detail.target, delivery.step is Step.PERFORMED), []).append(delivery)
    for (what, target, arrived), sent in grouped.items():
        first_ms = min(
            asked_ms.get((it.detail.parent, it.detail.parent_step), it.timestamp_ms) for it in sent
        )
        last = max(sent, key=lambda it: it.timestamp_ms)
        count = format_plural(len(sent), what)
        text = f"{count} sent to {target}" if arrived else f"{count} did not reach {target}"
        if len(sent) > 1:
            text += f", the last at {format_moment(last.timestamp_ms, exact=True)} UTC"
        yield first_ms, Deed(moment(first_ms, now), text, "" if arrived else last.detail.reason)
