"""What people do about an incident: acknowledge it, snooze it, resolve it, say that it was none."""

from dataclasses import replace

from driftsonde.core.control.decisions import CONTROLLER, Change, Decision, Detail, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Refused,
    Resolution,
    Setting,
    Snooze,
    Unknown,
)
from driftsonde.core.control.making import next_step, told
from driftsonde.core.control.state import State
from driftsonde.core.signals import derive_id


def on_acknowledgement(
    state: State, acknowledgement: Acknowledgement, now_ms: int, setting: Setting
) -> list[Decision]:
    incident = _unresolved(state, acknowledgement.incident)
    if incident.status is Status.ACKNOWLEDGED:
        return []
    decision_id = derive_id("acknowledge", incident.id, incident.opened_ms)
    detail = Detail(reason=acknowledgement.reason, change=Change.ACKNOWLEDGED)
    return [_on(incident, decision_id, Kind.ACKNOWLEDGE, acknowledgement.actor, now_ms, detail, setting)]


def on_snooze(state: State, snooze: Snooze, now_ms: int, setting: Setting) -> list[Decision]:
    """The newest snooze counts, be it shorter or longer than the one before."""
    incident = _unresolved(state, snooze.incident)
    until_ms = now_ms + snooze.duration_ms
    decision_id = derive_id("snooze", incident.id, until_ms)
    if decision_id in state.model(incident.model).records:
        return []
    detail = Detail(reason=snooze.reason, change=Change.SNOOZED, expires_ms=until_ms)
    return [_on(incident, decision_id, Kind.SNOOZE, snooze.actor, now_ms, detail, setting)]


def on_resolution(state: State, resolution: Resolution, now_ms: int, setting: Setting) -> list[Decision]:
    """What waits for approval because of the incident lapses with it."""
    incident = state.incident(resolution.incident)
    afterwards = resolution.false_alarm and incident is not None and incident.resolved_by == CONTROLLER
    if incident is None or not afterwards:
        incident = _unresolved(state, resolution.incident)
    kind = Kind.FALSE_ALARM if resolution.false_alarm else Kind.RESOLVE
    decision_id = derive_id(kind, incident.id, incident.opened_ms)
    detail = Detail(reason=resolution.reason, change=Change.RESOLVED)
    decision = _on(incident, decision_id, kind, resolution.actor, now_ms, detail, setting)
    said = "called a false alarm" if resolution.false_alarm else "resolved"
    lapsed = (
        next_step(
            proposal,
            Step.EXPIRED,
            CONTROLLER,
            f"the incident was {said} by {resolution.actor}",
            now_ms,
            setting,
        )
        for proposal in state.model(incident.model).proposals()
        if proposal.incident == incident.id
    )
    return [decision, *lapsed]


def _unresolved(state: State, incident_id: str) -> Incident:
    incident = state.incident(incident_id)
    if incident is None:
        raise Unknown(f"no incident {incident_id}")
    if incident.status is Status.RESOLVED:
        by = f" by {incident.resolved_by}" if incident.resolved_by else ""
        raise Refused(f"the incident is resolved{by}")
    return incident


def _on(
    incident: Incident,
    decision_id: str,
    kind: Kind,
    actor: str,
    now_ms: int,
    detail: Detail,
    setting: Setting,
) -> Decision:
    decision = Decision(
        id=decision_id,
        step=Step.DECIDED,
        kind=kind,
        model=incident.model,
        version=incident.version,
        incident=incident.id,
        signal="",
        mode=None,
        actor=actor,
        policy="",
        timestamp_ms=now_ms,
        detail=replace(detail, severity=setting.severities[incident.rule]),
    )
    return told(decision, setting)
