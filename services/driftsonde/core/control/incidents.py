"""Incidents: the signals of one episode, as one thing that a person deals with."""

from dataclasses import dataclass, replace
from enum import StrEnum

from driftsonde.core.control.decisions import Change, Decision, Kind
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, Signal, derive_id


class Status(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Incident:
    """`since_ms` is event time, the start of what is wrong; the other times are when the controller learned of it.

    `signals` counts the signals; `last_signal` is the id of the newest. 0 and "" stand for not yet. `resolved_by` is
    "controller" where the numbers are back within bounds. `false_alarm`: a person says that nothing was wrong.
    """

    id: str
    status: Status
    rule: Rule
    model: str
    version: str
    variant: Variant
    segment: str
    since_ms: int
    summary: str
    opened_ms: int
    updated_ms: int
    signals: int
    last_signal: str
    acknowledged_ms: int = 0
    acknowledged_by: str = ""
    snoozed_until_ms: int = 0
    resolved_ms: int = 0
    resolved_by: str = ""
    false_alarm: bool = False


def incident_id(signal: Signal) -> str:
    """The id of the incident that a signal belongs to: one per episode of a model."""
    return derive_id("incident", signal.model, signal.episode)


def change_by(incident: Incident | None, signal: Signal) -> Change:
    """What an alert, retrain or rollback signal does to its incident; a new signal opens a resolved one again."""
    if incident is None or incident.status is Status.RESOLVED:
        return Change.OPENED
    return Change.UPDATED


def changed(incident: Incident | None, decision: Decision) -> Incident | None:
    """The incident after a decision."""
    signal, now_ms = decision.detail.signal, decision.timestamp_ms
    match decision.detail.change:
        case Change.OPENED if signal is not None:
            return _opened(signal, incident, now_ms)
        case Change.UPDATED if signal is not None and incident is not None:
            return _updated(incident, signal, now_ms)
        case Change.RESOLVED if signal is not None and incident is not None:
            return _resolved(_updated(incident, signal, now_ms), decision)
        case Change.RESOLVED if incident is not None:
            return _resolved(incident, decision)
        case Change.SNOOZED if incident is not None:
            return replace(incident, snoozed_until_ms=decision.detail.expires_ms, updated_ms=now_ms)
        case Change.ACKNOWLEDGED if incident is not None:
            return replace(
                incident,
                status=Status.ACKNOWLEDGED,
                acknowledged_ms=now_ms,
                acknowledged_by=decision.actor,
                updated_ms=now_ms,
            )
        case _:
            return incident


def _resolved(incident: Incident, decision: Decision) -> Incident:
    return replace(
        incident,
        status=Status.RESOLVED,
        updated_ms=decision.timestamp_ms,
        resolved_ms=decision.timestamp_ms,
        resolved_by=decision.actor,
        false_alarm=decision.kind is Kind.FALSE_ALARM,
    )


def _opened(signal: Signal, before: Incident | None, now_ms: int) -> Incident:
    return Incident(
        id=incident_id(signal),
        status=Status.OPEN,
        rule=signal.rule,
        model=signal.model,
        version=signal.version,
        variant=signal.variant,
        segment=signal.segment,
        since_ms=signal.since_ms,
        summary=signal.summary,
        opened_ms=now_ms,
        updated_ms=now_ms,
        signals=1 if before is None else before.signals + 1,
        last_signal=signal.id,
    )


def _updated(incident: Incident, signal: Signal, now_ms: int) -> Incident:
    return replace(
        incident,
        summary=signal.summary,
        updated_ms=now_ms,
        signals=incident.signals + 1,
        last_signal=signal.id,
    )
