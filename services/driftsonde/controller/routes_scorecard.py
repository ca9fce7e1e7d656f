"""Numbers for the business."""

import time
from typing import Annotated

from fastapi import APIRouter, Query

from driftsonde.adapters.wire_models import Catalogue
from driftsonde.controller.backend import Backend, Json
from driftsonde.core.baseline import Baseline
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.scorecard import Account, Registered, Sla, score
from driftsonde.core.spec import HOUR_MS, MINUTE_MS

_DAY_MS = 24 * HOUR_MS

Days = Annotated[int, Query(ge=1, le=366)]
Minutes = Annotated[int, Query(ge=1, le=60 * 24 * 366)]


def scorecard_router(backend: Backend) -> APIRouter:
    router = APIRouter(prefix="/scorecard", tags=["scorecard"])

    @router.get("")
    def scorecard(
        days: Days = 30, acknowledge_minutes: Minutes = 60, resolve_minutes: Minutes = 1440
    ) -> Json:
        """The last so many days. The service level: each incident acknowledged or resolved within the one, over within
        the other."""
        catalogue, now_ms = backend.catalogue(), time.time_ns() // 1_000_000
        owners = {name: spec.owner for name, spec in catalogue.specs.items()}
        sla = Sla(acknowledge_minutes * MINUTE_MS, resolve_minutes * MINUTE_MS)
        accounts = {
            name: Account(spec.policy.actions.retrain_budget, spec.value_unit)
            for name, spec in catalogue.specs.items()
        }
        since_ms = now_ms - days * _DAY_MS
        found = score(backend.state(), _registered(catalogue), owners, since_ms, now_ms, sla, accounts)
        return to_object(found)

    return router


def _registered(catalogue: Catalogue) -> list[Registered]:
    return [
        Registered(
            model, version, spec.owner if (spec := catalogue.spec(model)) else "", _has_lineage(baseline)
        )
        for (model, version), baseline in catalogue.versions.items()
    ]


def _has_lineage(baseline: Baseline | None) -> bool:
    return baseline is not None and bool(baseline.lineage.fingerprint) and not baseline.lineage.provisional
