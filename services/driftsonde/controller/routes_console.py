"""The console: pages for people, for whom a browser asks. The same guard and the same writer as the API's."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials

from driftsonde.adapters.clickhouse import StoreRejected, StoreUnavailable
from driftsonde.console.explaining import read_stored
from driftsonde.console.fleet import VersionState, read_fleet
from driftsonde.console.incidents import IncidentLine, case_of, cases_of, incident_line
from driftsonde.console.rendering import files
from driftsonde.console.stories import (
    MOST_WINDOWS,
    USUAL_WINDOWS,
    Period,
    newest_period,
    read_counts,
    read_page,
)
from driftsonde.console.views import fleet_view, incident_view
from driftsonde.console.waiting import Waiting, read_first_rows, waiting_models
from driftsonde.controller.backend import Backend
from driftsonde.controller.console_pages import COOKIE, STORE_AWAY, Button, Form, Pages, form_of, local_path
from driftsonde.controller.routes_console_control import controls_router, timeline_router
from driftsonde.controller.routes_console_rollouts import rollout_pages_router
from driftsonde.core.baseline import Baseline
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.decisions import CONTROLLER
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    Rejection,
    Resolution,
    Snooze,
    Wish,
)
from driftsonde.core.control.learning import learning_until
from driftsonde.core.control.state import ModelState
from driftsonde.core.spec import HOUR_MS
from driftsonde.report.formats import format_moment

# A version that has not been judged for so long is silent.
SILENT_AFTER = timedelta(days=1)
SNOOZE_MS = 4 * HOUR_MS
PERIODS = (60, USUAL_WINDOWS, 720, MOST_WINDOWS)
# The lists show so many incidents, and say of the first ones how their column changed.
MOST_INCIDENTS, EXPLAINED = 200, 12
NO_MODELS_NOW = "The store can't be read now: the models are not shown. Incidents and approvals work."


def _snooze(incident: str, form: Form, actor: str) -> Wish:
    return Snooze(incident, SNOOZE_MS, actor, form.get("reason", ""))


def _resolve(incident: str, form: Form, actor: str) -> Wish:
    return Resolution(incident, actor, form.get("reason", ""))


def _false_alarm(incident: str, form: Form, actor: str) -> Wish:
    return Resolution(incident, actor, form.get("reason", ""), false_alarm=True)


def _acknowledge(incident: str, form: Form, actor: str) -> Wish:
    return Acknowledgement(incident, actor, form.get("reason", ""))


def _wake(incident: str, form: Form, actor: str) -> Wish:
    return Snooze(incident, 0, actor, form.get("reason", ""))


def _approve(incident: str, form: Form, actor: str) -> Wish:
    return Approval(form.get("decision", ""), actor, form.get("reason", ""))


def _reject(incident: str, form: Form, actor: str) -> Wish:
    return Rejection(form.get("decision", ""), actor, form.get("reason", ""))


ACKNOWLEDGE = Button("acknowledge", "Acknowledge", Role.OPERATOR, _acknowledge, "I am looking at it")
SNOOZE = Button("snooze", "Snooze for 4 hours", Role.OPERATOR, _snooze, "No notices of it until then")
WAKE = Button("wake", "End the snooze", Role.OPERATOR, _wake, "Notices of it from now on")
RESOLVE = Button("resolve", "Resolve", Role.OPERATOR, _resolve, "It is over")
FALSE_ALARM = Button("false-alarm", "False alarm", Role.OPERATOR, _false_alarm, "There was nothing to it")
APPROVE = Button("approve", "Approve", Role.APPROVER, _approve)
REJECT = Button("reject", "Reject", Role.APPROVER, _reject)
BUTTONS = {
    button.value: button for button in (ACKNOWLEDGE, SNOOZE, WAKE, RESOLVE, FALSE_ALARM, APPROVE, REJECT)
}


def console_router(pages: Pages) -> APIRouter:
    """All pages."""
    router = pages.router()
    for part in (
        _sign_in_router,
        _models_router,
        _incidents_router,
        rollout_pages_router,
        timeline_router,
        controls_router,
    ):
        router.include_router(part(pages))
    return router


def _sign_in_router(pages: Pages) -> APIRouter:
    router, served = pages.router(), files()

    @router.get("/console/{name}")
    def file(name: str) -> Response:
        if name not in served:
            raise HTTPException(404, f"there is no {name}")
        content, kind = served[name]
        return PlainTextResponse(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    @router.get("/login")
    def ask_login(next: str = "/") -> HTMLResponse:
        return pages.show("login.html", None, next=local_path(next), notice="")

    @router.post("/login")
    def login(form: Annotated[Form, Depends(form_of)]) -> Response:
        token, next = form.get("token", ""), local_path(form.get("next", "/"))
        try:
            pages.backend.guard.identify(HTTPAuthorizationCredentials(scheme="Bearer", credentials=token))
        except HTTPException as error:
            return pages.show("login.html", None, 401, next=next, notice=str(error.detail))
        answer = RedirectResponse(next, 303)
        answer.set_cookie(COOKIE, token, max_age=12 * 3600, httponly=True, samesite="strict")
        return answer

    @router.post("/logout")
    def logout(form: Annotated[Form, Depends(form_of)]) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    return router


def _models_router(pages: Pages) -> APIRouter:
    router, backend = pages.router(), pages.backend
    Who = Annotated[Person, Depends(pages.who)]

    @router.get("/")
    def fleet(person: Who) -> HTMLResponse:
        versions: list[VersionState] = []
        waiting: tuple[Waiting, ...] = ()
        problem, now, specs = "", datetime.now(UTC), backend.catalogue().specs
        try:
            versions = read_fleet(backend.store)
            judged = {version.model for version in versions}
            first_rows = read_first_rows(backend.store, sorted(set(specs) - judged))
            waiting = waiting_models(specs, judged, first_rows, now)
        except (StoreUnavailable, StoreRejected):
            problem = NO_MODELS_NOW
        view = fleet_view(versions, _lines(backend, now), backend.state(), now, SILENT_AFTER, problem)
        return pages.show("fleet.html", person, view=view, waiting=waiting)

    @router.get("/models/{model}")
    def story(
        model: str, person: Who, windows: Annotated[int, Query(ge=1, le=MOST_WINDOWS)] = USUAL_WINDOWS
    ) -> HTMLResponse:
        state, catalogue = backend.state(), backend.catalogue()
        versions = catalogue.versions_of(model)
        baselines = [b for version in versions if (b := catalogue.baseline(model, version)) is not None]
        if model not in catalogue.specs and not versions and not state.model(model).incidents:
            return pages.trouble(person, 404, "No such model", f"No model {model!r} is registered.")
        now = datetime.now(UTC)
        try:
            period = newest_period(backend.store, model, windows)
            if period is None or not baselines:
                return pages.trouble(person, 200, model, _nothing_yet(bool(baselines)))
            page = read_page(backend.store, _newest(baselines), period)
            served = read_fleet(backend.store, model)
        except (StoreUnavailable, StoreRejected):
            return pages.trouble(person, 503, "The store can't be read", STORE_AWAY)
        return pages.show(
            "model.html",
            person,
            page=page,
            view=fleet_view(served, _lines(backend, now, model), state, now, SILENT_AFTER),
            learning=_learning(backend, model, now),
            choices=PERIODS,
            windows=windows,
            reaching=_reaching(state.model(model), period, windows),
            read_at=format_moment(int(now.timestamp() * 1000)),
        )

    return router


def _reaching(model: ModelState, period: Period, windows: int) -> int:
    """How many windows it takes to see the newest incident where it was over before the period; 0 where it was not, or where it
    lies beyond what a page shows."""
    newest = max(model.incidents.values(), key=lambda incident: incident.since_ms, default=None)
    if newest is None or newest.status is not Status.RESOLVED or newest.since_ms >= period.from_ms:
        return 0
    size_ms = (period.until_ms - period.from_ms) / windows
    return next((count for count in PERIODS if period.until_ms - count * size_ms <= newest.since_ms), 0)


def _learning(backend: Backend, model: str, now: datetime) -> str:
    """Until when a model learns, "" where it does not (any more)."""
    spec = backend.catalogue().spec(model)
    until_ms = learning_until(backend.state().model(model), spec.policy.actions) if spec else 0
    return format_moment(until_ms) if until_ms > now.timestamp() * 1000 else ""


def _incidents_router(pages: Pages) -> APIRouter:
    router, backend = pages.router(), pages.backend
    Who = Annotated[Person, Depends(pages.who)]

    def incident_page(incident_id: str, person: Person, status: int = 200, notice: str = "") -> HTMLResponse:
        state = backend.state()
        incident = state.incident(incident_id)
        if incident is None:
            return pages.trouble(person, 404, "No such incident", f"No incident {incident_id} is known.")
        case, now = case_of(incident, state, backend.catalogue()), datetime.now(UTC)
        cases = cases_of(state, backend.catalogue(), incident.model)
        view = incident_view(case, cases, state, read_stored(backend.store, case, now), now)
        offered = [ACKNOWLEDGE] if view.can_acknowledge else []
        offered += [WAKE if view.line.snoozed else SNOOZE, RESOLVE] if view.is_open else []
        offered += [FALSE_ALARM] if view.is_open or incident.resolved_by == CONTROLLER else []
        return pages.show(
            "incident.html",
            person,
            status,
            view=view,
            notice=notice,
            actions=[button for button in offered if person.role.permits(button.role)],
            may_answer=person.role.permits(Role.APPROVER),
        )

    @router.get("/incidents/{incident_id}")
    def incident(incident_id: str, person: Who) -> HTMLResponse:
        return incident_page(incident_id, person)

    @router.post("/incidents/{incident_id}")
    def act(incident_id: str, person: Who, form: Annotated[Form, Depends(form_of)]) -> Response:
        return pages.press(
            BUTTONS,
            incident_id,
            form,
            person,
            lambda status, notice: incident_page(incident_id, person, status, notice),
            f"/incidents/{quote(incident_id, safe='')}",
        )

    return router


def _lines(backend: Backend, now: datetime, model: str = "") -> list[IncidentLine]:
    """Incidents in words; how a column changed is said where the store can be read."""
    state = backend.state()
    cases = cases_of(state, backend.catalogue(), model)[:MOST_INCIDENTS]
    wanted = [(case.incident.model, window) for case in cases[:EXPLAINED] if (window := case.window)]
    try:
        counts = read_counts(backend.store, wanted)
    except (StoreUnavailable, StoreRejected):
        counts = {}
    return [
        incident_line(case, case.told([found] if found else []), state, now)
        for case in cases
        for found in [counts.get((case.incident.model, case.window)) if case.window else None]
    ]


def _newest(baselines: list[Baseline]) -> Baseline:
    """The baseline that the story is told against."""
    return max(baselines, key=lambda baseline: (baseline.lineage.end_ms, baseline.version))


def _nothing_yet(has_baseline: bool) -> str:
    if not has_baseline:
        return "No version has a baseline yet: it is made from the first rows, or registered with --data."
    return "No window has been judged yet: the first one closes when later events have come."
