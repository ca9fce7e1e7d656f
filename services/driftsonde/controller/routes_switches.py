"""What people decide on a model as a whole: maintenance, and the switch for all automation."""

import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import AwareDatetime

from driftsonde.controller.backend import Backend, Json, Name, Reason, RequestBody, submit
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.decisions import ALL_MODELS, Decision
from driftsonde.core.control.inputs import AutomationChange, Maintenance, MaintenanceEnd, Unknown


class MaintenanceRequest(RequestBody):
    """From (now, if left out) until when, ISO 8601 with the offset."""

    model: Name
    begin: AwareDatetime | None = None
    end: AwareDatetime
    reason: Reason = ""


class AutomationRequest(RequestBody):
    """model: left out = all models."""

    stopped: bool
    model: Name = ALL_MODELS
    reason: Reason = ""


def maintenance_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/maintenance", tags=["people"])
    approver = Depends(backend.guard.needs(Role.APPROVER))

    @router.get("")
    def announced() -> Json:
        """What is announced or under way."""
        states = backend.state().models.values()
        return {"items": [_maintenance(it) for state in states for it in state.maintenance.values()]}

    @router.post("")
    def announce(body: MaintenanceRequest, person: Annotated[Person, approver]) -> Json:
        """Alerts are kept but not sent, and nothing is done automatically."""
        if backend.catalogue().spec(body.model) is None:
            raise Unknown(f"no model {body.model!r} is registered")
        begin_ms = 0 if body.begin is None else _ms(body.begin)
        submit(backend, Maintenance(body.model, begin_ms, _ms(body.end), person.name, body.reason))
        return announced()

    @router.delete("/{decision_id}")
    def end(decision_id: str, person: Annotated[Person, approver]) -> Json:
        submit(backend, MaintenanceEnd(decision_id, person.name))
        return announced()

    return router


def automation_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/automation", tags=["people"])
    admin = Depends(backend.guard.needs(Role.ADMIN))

    @router.get("")
    def automation() -> Json:
        """Where the automation is stopped, by whom and why; "*" stands for all models."""
        stopped = {name: state.stopped for name, state in backend.state().models.items() if state.stopped}
        return {"running": ALL_MODELS not in stopped, "stopped": stopped}

    @router.put("")
    def switch(body: AutomationRequest, person: Annotated[Person, admin]) -> Json:
        """While it is stopped, what would be done automatically is proposed to people instead."""
        if body.model != ALL_MODELS and backend.catalogue().spec(body.model) is None:
            raise Unknown(f"no model {body.model!r} is registered")
        submit(backend, AutomationChange(body.model, body.stopped, person.name, body.reason))
        return automation()

    return router


def _maintenance(decision: Decision) -> Json:
    return {
        "id": decision.id,
        "model": decision.model,
        "begin_ms": decision.detail.from_ms,
        "end_ms": decision.detail.expires_ms,
        "actor": decision.actor,
        "reason": decision.detail.reason,
    }


def _ms(time: datetime.datetime) -> int:
    return int(time.timestamp() * 1000)
