"""What happened and what was decided, and a person's answers: incidents and decisions."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import AfterValidator

from driftsonde.adapters.durations import parse_duration_ms
from driftsonde.console.explaining import explain_incident, incident_text
from driftsonde.controller.backend import Backend, Json, Limit, Reason, RequestBody, submit
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.explaining import as_text, explain
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    Refused,
    Rejection,
    Resolution,
    Snooze,
    Unknown,
)
from driftsonde.core.control.state import Record, State
from driftsonde.core.spec import HOUR_MS, MINUTE_MS

MAX_SNOOZE_MS = 30 * 24 * HOUR_MS


def _snooze(text: str) -> str:
    if not MINUTE_MS <= parse_duration_ms(text) <= MAX_SNOOZE_MS:
        raise ValueError("expected 1m to 30d")
    return text


class SnoozeRequest(RequestBody):
    """duration: how long, like "4h"; at most 30 days."""

    duration: Annotated[str, AfterValidator(_snooze)]
    reason: Reason = ""


class Closing(RequestBody):
    """Why the incident is over, or none."""

    reason: Reason = ""


class Answer(RequestBody):
    """Why this answer."""

    reason: Reason = ""


def incidents_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/incidents", tags=["incidents"])
    operator = Depends(backend.guard.needs(Role.OPERATOR))

    @router.get("")
    def incidents(model: str = "", status: Status | None = None, limit: Limit = 100) -> Json:
        found = [
            incident
            for name, state in backend.state().models.items()
            if model in ("", name)
            for incident in state.incidents.values()
            if status in (None, incident.status)
        ]
        found.sort(key=lambda incident: (incident.opened_ms, incident.id), reverse=True)
        return {"items": [to_object(incident) for incident in found[:limit]], "total": len(found)}

    @router.get("/explanation")
    def explanation(about: str = "") -> Json:
        """What happened to which column, since when, and why one can say so, in sentences; the same as `text`. `about`: an
        incident's id, or a model's name: then its newest that is open, or else its newest; "" for any model's."""
        found = explain_incident(
            backend.state(), backend.catalogue(), backend.store, about, datetime.now(UTC)
        )
        return to_object(found) | {"text": incident_text(found)}

    @router.get("/{incident_id}")
    def incident(incident_id: str) -> Json:
        return _incident(backend.state(), incident_id)

    @router.post("/{incident_id}/acknowledge")
    def acknowledge(incident_id: str, person: Annotated[Person, operator]) -> Json:
        submit(backend, Acknowledgement(incident_id, person.name))
        return _incident(backend.state(), incident_id)

    @router.post("/{incident_id}/snooze")
    def snooze(incident_id: str, body: SnoozeRequest, person: Annotated[Person, operator]) -> Json:
        """Nobody is told of this incident until then, but of its end; then people are reminded if it is still open."""
        submit(backend, Snooze(incident_id, parse_duration_ms(body.duration), person.name, body.reason))
        return _incident(backend.state(), incident_id)

    @router.post("/{incident_id}/resolve")
    def resolve(incident_id: str, body: Closing, person: Annotated[Person, operator]) -> Json:
        submit(backend, Resolution(incident_id, person.name, body.reason))
        return _incident(backend.state(), incident_id)

    @router.post("/{incident_id}/false-alarm")
    def false_alarm(incident_id: str, body: Closing, person: Annotated[Person, operator]) -> Json:
        """Resolves the incident, and keeps silent about the rest of its episode."""
        submit(backend, Resolution(incident_id, person.name, body.reason, false_alarm=True))
        return _incident(backend.state(), incident_id)

    return router


def _incident(state: State, incident_id: str) -> Json:
    incident = state.incident(incident_id)
    if incident is None:
        raise Unknown(f"no incident {incident_id}")
    records = state.model(incident.model).records.values()
    return to_object(incident) | {
        "decisions": [_summary(record) for record in records if record.first.incident == incident_id]
    }


def decisions_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/decisions", tags=["decisions"])
    approver = Depends(backend.guard.needs(Role.APPROVER))

    @router.get("")
    def decisions(
        model: str = "", kind: Kind | None = None, step: Step | None = None, limit: Limit = 100
    ) -> Json:
        found = [
            record
            for name, state in backend.state().models.items()
            if model in ("", name)
            for record in state.records.values()
            if kind in (None, record.first.kind) and step in (None, record.last.step)
        ]
        found.sort(key=lambda record: (record.first.timestamp_ms, record.first.id), reverse=True)
        return {"items": [_summary(record) for record in found[:limit]], "total": len(found)}

    @router.get("/{decision_id}")
    def decision(decision_id: str) -> Json:
        return _decision(backend.state(), decision_id)

    @router.get("/{decision_id}/explanation")
    def explanation(decision_id: str) -> Json:
        """Why it was made, and what came of it: all that is stored, and the same as `text`."""
        found = explain(backend.state(), decision_id)
        return to_object(found) | {"text": as_text(found)}

    @router.post("/{decision_id}/approve")
    def approve(decision_id: str, body: Answer, person: Annotated[Person, approver]) -> Json:
        return _answer(backend, Approval(decision_id, person.name, body.reason))

    @router.post("/{decision_id}/reject")
    def reject(decision_id: str, body: Answer, person: Annotated[Person, approver]) -> Json:
        return _answer(backend, Rejection(decision_id, person.name, body.reason))

    return router


def _answer(backend: Backend, answer: Approval | Rejection) -> Json:
    taken = submit(backend, answer)
    if taken and taken[0].step in (Step.EXPIRED, Step.SUPPRESSED):
        raise Refused(f"the decision is {taken[0].step}: {taken[0].detail.reason}")
    return _decision(backend.state(), answer.decision)


def _summary(record: Record) -> Json:
    """A decision as it stands, with the evidence left to its own address."""
    first, last = record.first, record.last
    return {
        "id": first.id,
        "kind": first.kind.value,
        "step": last.step.value,
        "steps": [taken.step.value for taken in record.steps],
        "model": first.model,
        "version": first.version,
        "incident": first.incident,
        "signal": first.signal,
        "mode": first.mode and first.mode.value,
        "actor": last.actor,
        "policy": first.policy,
        "reason": last.detail.reason,
        "timestamp_ms": first.timestamp_ms,
        "updated_ms": last.timestamp_ms,
        "expires_ms": last.detail.expires_ms,
    }


def _decision(state: State, decision_id: str) -> Json:
    record = state.record(decision_id)
    if record is None:
        raise Unknown(f"no decision {decision_id}")
    pending = state.model(record.first.model).pending.values()
    return _summary(record) | {
        "history": [to_object(taken) for taken in record.steps],
        "deliveries": [_delivery(delivery) for delivery in record.deliveries],
        "pending": [
            effect.recipient or effect.action.value for effect in pending if effect.decision.id == decision_id
        ],
    }


def _delivery(delivery: Decision) -> Json:
    return {
        "id": delivery.id,
        "endpoint": delivery.detail.target,
        "about": delivery.detail.parent_step,
        "result": delivery.step.value,
        "attempts": delivery.detail.attempts,
        "reason": delivery.detail.reason,
        "timestamp_ms": delivery.timestamp_ms,
    }
