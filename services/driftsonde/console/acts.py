"""Decisions that are about no incident as people say them, each in a sentence; and the steps of any, for an expert."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from driftsonde.console.deeds import Deed
from driftsonde.console.texts import moment, split_text, who_text
from driftsonde.core.control.decisions import CONTROLLER, Decision, Kind, Step, Switch
from driftsonde.core.control.rollout import Rollout, RolloutStatus
from driftsonde.core.control.state import Record
from driftsonde.report.formats import format_moment

_HOW = {
    Step.PROPOSED: "waits for approval",
    Step.OBSERVED: "would have been done: the policy only watches",
    Step.REJECTED: "was turned down",
    Step.EXPIRED: "was not answered in time",
    Step.SUPPRESSED: "was held back",
    Step.FAILED: "failed",
}


def acts_of(records: Iterable[Record], now: datetime) -> tuple[Deed, ...]:
    """The newest first."""
    newest = sorted(records, key=lambda record: record.last.timestamp_ms, reverse=True)
    return tuple(_act(record, now) for record in newest)


def steps_of(records: Sequence[Record]) -> Iterator[tuple[str, ...]]:
    """Rows of (when, what, step, who, reason, id) in the order of time, deliveries too."""
    steps = [step for record in records for step in (*record.steps, *record.deliveries)]
    for step in sorted(steps, key=lambda step: (step.timestamp_ms, step.kind is Kind.NOTIFY)):
        what = f"notice to {step.detail.target}" if step.kind is Kind.NOTIFY else str(step.kind)
        when = f"{format_moment(step.timestamp_ms)} UTC"
        yield when, what, str(step.step), step.actor, step.detail.reason, step.id


def _act(record: Record, now: datetime) -> Deed:
    first, last = record.first, record.last
    person = next((step.actor for step in reversed(record.steps) if step.actor != CONTROLLER), "")
    traffic = next((step.detail.traffic for step in record.steps if step.detail.traffic), None)
    rollout = next((step.detail.rollout for step in record.steps if step.detail.rollout), None)
    text = _moved(first, last, rollout) if rollout or last.step in _HOW else _done(first)
    text += f" {who_text(person)}" if person else ""
    text += f"; requests now: {split_text(traffic.split)}" if traffic else ""
    told = person or last.step in _HOW  # what the machinery says of what it did is among the steps
    why = (
        next((step.detail.reason for step in reversed(record.steps) if step.detail.reason), "")
        if told
        else ""
    )
    if rollout is not None:  # what is said above already
        why = why.removeprefix(f"version {rollout.version}: {rollout.at}").removeprefix("; ")
    return Deed(moment(last.timestamp_ms, now), text, why)


def _moved(first: Decision, last: Decision, rollout: Rollout | None) -> str:
    version = first.version or (rollout.version if rollout else "")
    if last.step in _HOW or rollout is None:
        subject = {
            Kind.PROMOTE: f"The next stage of version {version}",
            Kind.ROLLOUT: f"The rollout of version {version}",
        }.get(first.kind, str(first.kind).capitalize())
        return f"{subject} {_HOW[last.step]}"
    return {
        RolloutStatus.RUNNING: f"Version {version} is on its way ({rollout.at})",
        RolloutStatus.PAUSED: f"The rollout of version {version} was paused ({rollout.at})",
        RolloutStatus.PROMOTED: f"Version {version} became the champion",
        RolloutStatus.ROLLED_BACK: f"Version {version} was taken back",
    }[rollout.status]


def _done(first: Decision) -> str:
    match first.kind:
        case Kind.TRAFFIC:
            return "The split of requests was set"
        case Kind.AUTOMATION:
            return f"Automation was {'stopped' if first.detail.switch is Switch.STOPPED else 'let run again'}"
        case Kind.MAINTENANCE:
            return "Maintenance was announced" if first.detail.expires_ms else "Maintenance was ended"
        case Kind.ROLLBACK:
            return f"Version {first.version} was taken back"
        case Kind.REGISTER:
            return f"Version {first.version} was registered" if first.version else "The model was registered"
        case Kind.REVIEW:
            approves = "approved of" if first.detail.approves else "reviewed"
            return f"Version {first.version} was {approves}"
        case Kind.STAGE:
            return f"Version {first.version} came to {first.detail.stage or 'its next stage'}"
        case Kind.REFUSAL:
            return "Something was refused"
        case kind:
            of = f" of version {first.version}" if first.version else ""
            return f"{str(kind).replace('-', ' ').capitalize()}{of}"
