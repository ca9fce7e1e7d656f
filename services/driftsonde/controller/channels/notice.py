"""What a message to on-call is made from, and what it says: the order is that in which a woken person asks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from driftsonde.core.control.decisions import Change, Decision, Kind, Severity, Step
from driftsonde.core.control.incidents import Incident
from driftsonde.core.signals import Evidence, Rule, Signal

MAX_EVIDENCE_LINES = 5


@dataclass(frozen=True, slots=True)
class Notice:
    """A step of a decision for one endpoint.

    first: the decision's first step, which has the evidence. incident: as it is known now; None where there is none.
    link: where to look; "" where nothing is configured. severity: of the incident by the rule that opened it, and so the
    same from its beginning to its end; of anything else, the step's.
    """

    decision: Decision
    first: Decision
    incident: Incident | None
    link: str
    severity: Severity

    @property
    def signal(self) -> Signal | None:
        return self.first.detail.signal


class Event(StrEnum):
    """What the systems that keep alerts know."""

    OPEN = "open"
    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about: the same for its opening and its end. `rule` is None for an action that failed."""

    key: str
    rule: Rule | None
    model: str
    version: str
    variant: str
    segment: str


def event_of(decision: Decision) -> Event | None:
    """What a step is to a system that keeps alerts; None if it is nothing.

    An action that failed opens an alert of its own, which a person closes: nothing else will.
    """
    match decision.detail.change:
        case Change.OPENED | Change.UPDATED:
            return Event.OPEN
        case Change.ACKNOWLEDGED:
            return Event.ACKNOWLEDGE
        case Change.RESOLVED:
            return Event.CLOSE
    if decision.kind is Kind.ESCALATE:
        return Event.OPEN if decision.step is Step.DECIDED else Event.CLOSE
    return Event.OPEN if decision.step is Step.FAILED else None


def subject_of(notice: Notice) -> Subject:
    decision, signal, incident = notice.decision, notice.signal, notice.incident
    if decision.step is Step.FAILED:
        return Subject(f"{decision.id}-failed", None, decision.model, decision.version, "", "")
    # The incident first: what it was opened with is its identity, whatever a later signal says.
    source = incident or signal
    if source is None:
        return Subject(decision.incident or decision.id, None, decision.model, decision.version, "", "")
    return Subject(
        decision.incident, source.rule, source.model, source.version, source.variant, source.segment
    )


def title(notice: Notice) -> str:
    """One line: how urgent, which model, what."""
    decision = notice.decision
    return f"[{decision.detail.severity.upper()}] {_headline(notice)}"


def facts(notice: Notice) -> dict[str, str]:
    """What happened, since when, how sure, what it costs, what was done; what is not known is left out."""
    signal, incident = notice.signal, notice.incident
    what = signal.summary if signal is not None else incident.summary if incident is not None else ""
    since_ms = signal.since_ms if signal is not None else incident.since_ms if incident is not None else None
    told = {
        "What": what,
        "Since": "" if since_ms is None else _since(since_ms, notice.decision.timestamp_ms),
        "How sure": "" if signal is None else "\n".join(_evidence(signal.evidence)),
        "What it costs": notice.first.detail.impact,
        "Done": done(notice.decision),
        "Why": notice.decision.detail.reason if notice.decision.detail.reason != what else "",
    }
    return {label: text for label, text in told.items() if text}


def done(decision: Decision) -> str:
    """What became of a decision, in words.

    The demand for an approval says until when it waits.
    """
    what = _DONE.get((decision.kind, decision.step)) or _STEPS.get(decision.step, decision.step.value)
    if decision.step is Step.PROPOSED and decision.detail.expires_ms:
        what += f" until {minute(decision.detail.expires_ms)}"
    return f"{_ACTIONS[decision.kind]}: {what}" if decision.kind in _ACTIONS else what


def minute(timestamp_ms: int) -> str:
    """A time for people.

    >>> minute(0)
    '1970-01-01 00:00 UTC'
    """
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def cut(text: str, most: int) -> str:
    """At most so many characters, the last one an ellipsis where something is missing.

    >>> cut("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def number(value: float) -> str:
    """Four digits that count, as a person would write them.

    >>> [number(value) for value in (0.123456, 1234567.0, 0.0)]
    ['0.1235', '1.235e+06', '0']
    """
    return f"{value:.4g}"


_ACTIONS = {
    Kind.RETRAIN: "retraining",
    Kind.ROLLBACK: "rollback",
    Kind.TRAFFIC: "traffic split",
    Kind.ACTUATE: "serving system",
    Kind.CANDIDATE: "new version",
    Kind.PROMOTE: "promotion",
    Kind.ROLLOUT: "rollout",
}
_DONE = {
    (Kind.ALERT, Step.DECIDED): "nothing yet: this is for a person",
    (Kind.RESOLVE, Step.DECIDED): "nothing: it is over",
    (Kind.ACKNOWLEDGE, Step.DECIDED): "a person has taken it",
    (Kind.FALSE_ALARM, Step.DECIDED): "a person says that nothing was wrong",
    (Kind.SNOOZE, Step.DECIDED): "a person has put it off",
    (Kind.MAINTENANCE, Step.DECIDED): "maintenance is announced",
    (Kind.AUTOMATION, Step.DECIDED): "the automation is switched",
    (Kind.ESCALATE, Step.DECIDED): "told to the next in line, because nobody acknowledged it",
    (Kind.REVIEW, Step.DECIDED): "a person has reviewed the version",
    (Kind.STAGE, Step.DECIDED): "the version is in its next stage",
    (Kind.ESCALATE, Step.PERFORMED): "nothing more is asked of you",
}
_STEPS = {
    Step.PROPOSED: "waits for approval",
    Step.OBSERVED: "not done, the policy only observes",
    Step.DECIDED: "under way",
    Step.APPROVED: "approved, under way",
    Step.REJECTED: "rejected by a person",
    Step.EXPIRED: "lapsed without an answer",
    Step.SUPPRESSED: "held back",
    Step.STARTED: "running",
    Step.PERFORMED: "done",
    Step.FAILED: "FAILED",
}


def _headline(notice: Notice) -> str:
    decision = notice.decision
    name = f"{decision.model} {decision.version}".strip()
    signal = notice.signal
    segment = f" ({signal.segment})" if signal is not None and signal.segment else ""
    if decision.detail.change is Change.ACKNOWLEDGED:
        return f"{name}: acknowledged by {decision.actor}"
    if decision.detail.change is Change.NONE and decision.kind is not Kind.ESCALATE:
        return f"{name}{segment}: {done(decision)}"
    incident = notice.incident
    summary = signal.summary if signal is not None else incident.summary if incident is not None else ""
    prefix = {Change.RESOLVED: "resolved: "}.get(decision.detail.change, "")
    return f"{name}{segment}: {prefix}{summary or done(decision)}"


def _since(since_ms: int, now_ms: int) -> str:
    minutes = max(0, now_ms - since_ms) // 60_000
    days, hours = minutes // 1440, minutes // 60 % 24
    age = f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
    return f"{minute(since_ms)}, {age} before this was decided on"


def _evidence(evidence: tuple[Evidence, ...]) -> list[str]:
    """One line a number: the newest window's first, then the largest excess over the bar."""
    ranked = sorted(evidence, key=lambda entry: (-entry.window_end_ms, entry.column, entry.statistic))
    lines = [_evidence_line(entry) for entry in ranked[:MAX_EVIDENCE_LINES]]
    more = len(ranked) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def _evidence_line(entry: Evidence) -> str:
    of = f" of {entry.column}" if entry.column else ""
    known = entry.lower == entry.lower and entry.upper == entry.upper  # NaN where there is no interval
    interval = f" [{number(entry.lower)}, {number(entry.upper)}]" if known else ""
    limit = f", limit {number(entry.threshold)}" if entry.threshold == entry.threshold else ""
    return f"{entry.statistic}{of} {number(entry.value)}{interval}{limit}, n {entry.n}"
