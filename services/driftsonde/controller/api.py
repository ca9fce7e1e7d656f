"""The controller's HTTP API: what is registered, what happened, what was decided; and what a person may do about it.

Everything that changes something goes to the one writer and is answered when the broker has stored the decision.
"""

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from driftsonde.controller import problems
from driftsonde.controller.backend import Backend, Json
from driftsonde.controller.console_pages import Pages, SignInNeeded, lead_to_login
from driftsonde.controller.routes_console import console_router
from driftsonde.controller.routes_decisions import decisions_router, incidents_router
from driftsonde.controller.routes_lineage import lineage_router, predictions_router
from driftsonde.controller.routes_models import models_router
from driftsonde.controller.routes_promotion import promotion_router
from driftsonde.controller.routes_rollouts import rollouts_router
from driftsonde.controller.routes_scorecard import scorecard_router
from driftsonde.controller.routes_switches import automation_router, maintenance_router
from driftsonde.controller.routes_traffic import gates_router, traffic_router
from driftsonde.core.control.access import Role

ROUTERS = (
    models_router,
    incidents_router,
    decisions_router,
    traffic_router,
    gates_router,
    rollouts_router,
    maintenance_router,
    automation_router,
    scorecard_router,
    promotion_router,
    lineage_router,
    predictions_router,
)


def create_api(backend: Backend, version: str) -> FastAPI:
    """The whole application."""
    app = FastAPI(
        title="Driftsonde controller",
        version=version,
        summary="Incidents, decisions and traffic of monitored models",
        docs_url=None,  # these pages load their scripts from other people's servers
        redoc_url=None,
    )
    problems.install(app)
    if not backend.guard.tokens():
        # A web page must not reach an unprotected API through a name that it made point to the loopback.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
    guard = [Depends(backend.guard.needs(Role.VIEWER))]
    app.include_router(_probes(backend))
    pages = Pages(backend)
    app.include_router(console_router(pages))
    pages.answer_browsers(app)
    app.add_exception_handler(SignInNeeded, lead_to_login)
    for router in ROUTERS:
        app.include_router(router(backend), prefix="/v1", dependencies=guard)
    return app


def _probes(backend: Backend) -> APIRouter:
    router = APIRouter(tags=["probes"])

    @router.get("/healthz")
    def healthz() -> Json:
        return {"ok": True, "reasons": {}}

    @router.get("/readyz")
    def readyz() -> JSONResponse:
        reasons = backend.ready.problems()
        return JSONResponse({"ok": not reasons, "reasons": reasons}, 503 if reasons else 200)

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(backend.registry), media_type=CONTENT_TYPE_LATEST)

    return router
