"""What is registered: models, versions, baselines."""

import json
from datetime import datetime

from fastapi import APIRouter

from driftsonde.adapters.specs import baseline_document, fingerprint, spec_document
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.controller.backend import Backend, Json
from driftsonde.controller.routes_lineage import state_then
from driftsonde.core.control.canonical import to_object, to_plain
from driftsonde.core.control.criteria import stage_of
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import Unknown


def models_router(backend: Backend) -> APIRouter:
    router = APIRouter(tags=["models"])

    @router.get("/models")
    def models() -> Json:
        catalogue = backend.catalogue()
        return {
            "items": [_model(catalogue, name) for name in catalogue.models()],
            "errors": dict(catalogue.errors),
        }

    @router.get("/models/{model}")
    def model(model: str, at: datetime | None = None) -> Json:
        """What is registered now; `at` a time, what was registered and served then, from the decisions that are stored."""
        if at is not None:
            return _model_then(backend, model, at)
        catalogue = backend.catalogue()
        if catalogue.spec(model) is None:
            raise Unknown(f"no model {model!r} is registered")
        return _model(catalogue, model)

    @router.get("/models/{model}/versions")
    def versions(model: str) -> Json:
        catalogue = backend.catalogue()
        names = catalogue.versions_of(model)
        if not names and catalogue.spec(model) is None:
            raise Unknown(f"no model {model!r} is registered")
        return {"items": [_version(catalogue, model, name) for name in names]}

    @router.get("/models/{model}/versions/{version}/baseline")
    def baseline(model: str, version: str) -> Json:
        found = backend.catalogue().baseline(model, version)
        if found is None:
            raise Unknown(f"no baseline is registered for version {version!r} of model {model!r}")
        return baseline_document(found)

    return router


def _model(catalogue: Catalogue, name: str) -> Json:
    spec = catalogue.specs[name]
    return spec_document(spec) | {
        "versions": list(catalogue.versions_of(name)),
        "policy_fingerprint": fingerprint(spec.policy),
    }


def _model_then(backend: Backend, name: str, at: datetime) -> Json:
    state, at_ms = state_then(backend, name, at)
    model = state.model(name)
    if not model.versions and model.traffic is None:
        raise Unknown(f"nothing is known of a model {name!r} at that time")
    spec = model.versions.get("")
    return {
        "name": name,
        "at_ms": at_ms,
        "spec": None if spec is None else json.loads(spec.registration.spec),
        "versions": [
            to_object(known.registration)
            | {"version": version, "stage": stage_of(model, version).value, "registered_ms": known.first_ms}
            for version, known in model.versions.items()
            if version
        ],
        "traffic": to_plain(model.traffic),
        "rollout": to_plain(model.rollout),
        "incidents": [to_object(it) for it in model.incidents.values() if it.status is not Status.RESOLVED],
        "stopped": model.stopped,
    }


def _version(catalogue: Catalogue, model: str, version: str) -> Json:
    baseline, origin = catalogue.baseline(model, version), catalogue.origins.get((model, version))
    return {
        "model": model,
        "version": version,
        "baseline": None if baseline is None else fingerprint(baseline),
        "rows": None if baseline is None else baseline.rows,
        "lineage": None if baseline is None else to_object(baseline.lineage),
        "origin": None if origin is None else to_object(origin),
    }
