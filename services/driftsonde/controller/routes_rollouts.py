"""New versions on their way to champion."""

from typing import Annotated

from fastapi import APIRouter, Depends

from driftsonde.controller.backend import Backend, Json, Name, Reason, RequestBody, submit
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.inputs import RolloutChange, RolloutStart, RolloutWish, Unknown
from driftsonde.core.control.rollout import Rollout


class RolloutRequest(RequestBody):
    model: Name
    version: Name
    reason: Reason = ""


class Why(RequestBody):
    reason: Reason = ""


def rollouts_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/rollouts", tags=["rollouts"])
    approver = Depends(backend.guard.needs(Role.APPROVER))

    @router.get("")
    def rollouts() -> Json:
        """The latest of each model, under way or over."""
        found = (state.rollout for state in backend.state().models.values())
        return {"items": [_rollout(it) for it in found if it is not None]}

    @router.get("/{model}")
    def rollout(model: str) -> Json:
        found = backend.state().model(model).rollout
        if found is None:
            raise Unknown(f"no rollout of model {model!r} is known")
        return _rollout(found)

    @router.post("")
    def start(body: RolloutRequest, person: Annotated[Person, approver]) -> Json:
        """Send a registered version on its way: as a shadow first, unless the model's policy says otherwise."""
        if body.version not in backend.catalogue().versions_of(body.model):
            raise Unknown(f"no version {body.version!r} of model {body.model!r} is registered")
        submit(backend, RolloutStart(body.model, body.version, person.name, body.reason))
        return rollout(body.model)

    @router.post("/{model}/{wish}")
    def change(model: str, wish: RolloutWish, body: Why, person: Annotated[Person, approver]) -> Json:
        """pause, resume, advance (to the next stage), promote (to champion, now), rollback (now)."""
        submit(backend, RolloutChange(model, wish, person.name, body.reason))
        return rollout(model)

    return router


def _rollout(rollout: Rollout) -> Json:
    return to_object(rollout) | {"at": rollout.at}
