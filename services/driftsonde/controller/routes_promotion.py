"""A version's way through the stages: what it lacks, what people say of it, and its next stage."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from driftsonde.controller.backend import Backend, Json, Reason, RequestBody, submit
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.criteria import criteria, next_stage, rule_of, stage_of
from driftsonde.core.control.inputs import Promotion, Unknown, Verdict
from driftsonde.core.control.proving import proofs


class PromotionRequest(RequestBody):
    reason: Reason = ""


class ReviewRequest(RequestBody):
    """approve: in the role of whoever asks. done: items of the next stage's checklist."""

    approve: bool = False
    done: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    reason: Reason = ""


def promotion_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/models/{model}/versions/{version}", tags=["promotion"])
    operator = Depends(backend.guard.needs(Role.OPERATOR))
    approver = Depends(backend.guard.needs(Role.APPROVER))

    @router.get("/promotion")
    def promotion(model: str, version: str) -> Json:
        """The version's stage, the next one, and each criterion for it, met or not; `live`: what it has to show as shadow and
        canary, before it is the champion."""
        spec, state = backend.catalogue().spec(model), backend.state().model(model)
        if spec is None or version not in backend.catalogue().versions_of(model):
            raise Unknown(f"no version {version!r} of model {model!r} is registered")
        stage = stage_of(state, version)
        target = next_stage(stage)
        asked = criteria(state, version, rule_of(spec.policy.promotion, target), spec.owner) if target else ()
        shown = proofs(state, version, spec.policy.promotion.production, backend.live(model))
        known = state.versions.get(version)
        return {
            "model": model,
            "version": version,
            "stage": stage.value,
            "next": target and target.value,
            "criteria": [to_object(it) for it in asked],
            "live": [to_object(it) for it in shown],
            "missing": [it.name for it in asked if not it.met],
            "reviews": [to_object(it) for it in known.reviews] if known is not None else [],
        }

    @router.post("/promote")
    def promote(
        model: str, version: str, body: PromotionRequest, person: Annotated[Person, approver]
    ) -> Json:
        """To the next stage, or 409 with all that is missing. In production, the version's rollout begins."""
        submit(backend, Promotion(model, version, person.name, body.reason))
        return promotion(model, version)

    @router.post("/review")
    def review(model: str, version: str, body: ReviewRequest, person: Annotated[Person, operator]) -> Json:
        """Say that you approve of the next stage, or what of its checklist is done. It is said of what is registered now."""
        verdict = Verdict(
            model, version, person.name, person.role.value, body.approve, body.done, body.reason
        )
        submit(backend, verdict)
        return promotion(model, version)

    return router
