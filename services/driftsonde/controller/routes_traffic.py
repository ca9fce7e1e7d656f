"""How requests are split, and the gate that rollout tools ask."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from driftsonde.controller.backend import Backend, Json, Name, Reason, RequestBody, submit
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.gate import Gate, gate
from driftsonde.core.control.inputs import SplitChange, Unknown
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant


class ShareRequest(RequestBody):
    version: Name
    variant: Variant
    weight: float


class SplitRequest(RequestBody):
    """The whole split: exactly one champion; weights sum to 1; a shadow has weight 0."""

    split: Annotated[list[ShareRequest], Field(min_length=1, max_length=100)]
    reason: Reason = ""


class GateCall(BaseModel):
    """What a rollout tool sends along; Flagger's `phase` says what it asks."""

    model_config = ConfigDict(extra="allow")

    phase: str = ""


def traffic_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/traffic", tags=["traffic"])
    approver = Depends(backend.guard.needs(Role.APPROVER))

    @router.get("")
    def splits() -> Json:
        known = (state.traffic for state in backend.state().models.values())
        return {"items": [to_object(traffic) for traffic in known if traffic is not None]}

    @router.get("/{model}")
    def split(model: str) -> Json:
        traffic = backend.state().model(model).traffic
        if traffic is None:
            raise Unknown(f"no split of model {model!r} is known")
        return to_object(traffic)

    @router.put("/{model}")
    def set_split(model: Name, body: SplitRequest, person: Annotated[Person, approver]) -> Json:
        if backend.catalogue().spec(model) is None:
            raise Unknown(f"no model {model!r} is registered")
        shares = tuple(Share(share.version, share.variant, share.weight) for share in body.split)
        submit(backend, SplitChange(model, shares, person.name, body.reason))
        return split(model)

    return router


def gates_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/gates", tags=["gates"])

    @router.get("/{model}")
    def ask(model: str, version: str = "") -> Json:
        return to_object(gate(backend.state().model(model), version))

    @router.post("/{model}")
    def call(model: str, body: Annotated[GateCall | None, Body()] = None, version: str = "") -> JSONResponse:
        """As GET. Flagger, which sends a phase, reads the status: 2xx lets the rollout go on, but for the phase
        "rollback", where 2xx asks to roll back."""
        answer = gate(backend.state().model(model), version)
        return JSONResponse(to_object(answer), _gate_status(answer, body.phase if body else ""))

    return router


def _gate_status(answer: Gate, phase: str) -> int:
    if not phase:
        return 200
    yes = not answer.data if phase == "rollback" else answer.data
    return 200 if yes else 409
