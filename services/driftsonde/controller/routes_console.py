"""The console: pages for people, for whom a browser asks. The same guard and the same writer as the API's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials

from driftsonde.adapters.clickhouse import StoreRejected, StoreUnavailable
from driftsonde.console.fleet import VersionState, read_fleet
from driftsonde.console.rendering import environment, files
from driftsonde.console.stories import MOST_WINDOWS, USUAL_WINDOWS, newest_period, read_counts, read_page
from driftsonde.console.views import fleet_view, incident_view, newest_signal, wanted_counts
from driftsonde.controller import problems
from driftsonde.controller.backend import Backend, submit
from driftsonde.core.baseline import Baseline
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    Refused,
    Rejection,
    Resolution,
    Snooze,
    Unknown,
    Wish,
)
from driftsonde.core.spec import HOUR_MS
from driftsonde.report.formats import format_moment

COOKIE = "driftsonde_token"
# A version that has not been judged for so long is silent.
SILENT_AFTER = timedelta(days=1)
SNOOZE_MS = 4 * HOUR_MS
PERIODS = (60, USUAL_WINDOWS, 720, MOST_WINDOWS)
_MAX_FORM_BYTES = 16_384
_HEADERS = {
    # Drawings are placed by style attributes; everything else comes from this server's own files.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Button:
    """Something that a person can do about an incident. `make`: the input from the form and the person's name."""

    value: str
    label: str
    role: Role
    make: Callable[[str, Form, str], Wish]
    hint: str = ""


def _snooze(incident: str, form: Form, actor: str) -> Wish:
    return Snooze(incident, SNOOZE_MS, actor, form.get("reason", ""))


def _resolve(incident: str, form: Form, actor: str) -> Wish:
    return Resolution(incident, actor, form.get("reason", ""))


def _false_alarm(incident: str, form: Form, actor: str) -> Wish:
    return Resolution(incident, actor, form.get("reason", ""), false_alarm=True)


def _acknowledge(incident: str, form: Form, actor: str) -> Wish:
    return Acknowledgement(incident, actor)


def _approve(incident: str, form: Form, actor: str) -> Wish:
    return Approval(form.get("decision", ""), actor, form.get("reason", ""))


def _reject(incident: str, form: Form, actor: str) -> Wish:
    return Rejection(form.get("decision", ""), actor, form.get("reason", ""))


ACKNOWLEDGE = Button("acknowledge", "Acknowledge", Role.OPERATOR, _acknowledge, "I am looking at it")
ON_OPEN = (
    Button("snooze", "Snooze for 4 hours", Role.OPERATOR, _snooze, "No notices of it until then"),
    Button("resolve", "Resolve", Role.OPERATOR, _resolve, "It is over"),
    Button("false-alarm", "False alarm", Role.OPERATOR, _false_alarm, "There was nothing to it"),
)
APPROVE = Button("approve", "Approve", Role.APPROVER, _approve)
REJECT = Button("reject", "Reject", Role.APPROVER, _reject)
BUTTONS = {button.value: button for button in (ACKNOWLEDGE, *ON_OPEN, APPROVE, REJECT)}


class SignInNeeded(Exception):
    """Nobody known asks: the browser is led to the sign-in page."""


def console_router(backend: Backend) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    templates = environment()
    served = files()

    def who(request: Request) -> Person:
        return _person(backend, request)

    Who = Annotated[Person, Depends(who)]

    def show(template: str, person: Person | None, status: int = 200, **values: object) -> HTMLResponse:
        content = templates.get_template(template).render(
            person=person.name if person else "", signed_in=bool(backend.guard.tokens()), **values
        )
        return HTMLResponse(content, status, _HEADERS)

    def trouble(person: Person, status: int, title: str, detail: str) -> HTMLResponse:
        return show("problem.html", person, status, title=title, detail=detail)

    @router.get("/console/{name}")
    def file(name: str) -> Response:
        if name not in served:
            raise HTTPException(404, f"there is no {name}")
        content, kind = served[name]
        return PlainTextResponse(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    @router.get("/login")
    def ask_login(next: str = "/") -> HTMLResponse:
        return show("login.html", None, next=_local(next), notice="")

    @router.post("/login")
    def login(form: Annotated[Form, Depends(_form)]) -> Response:
        token, next = form.get("token", ""), _local(form.get("next", "/"))
        try:
            backend.guard.identify(HTTPAuthorizationCredentials(scheme="Bearer", credentials=token))
        except HTTPException as error:
            return show("login.html", None, 401, next=next, notice=str(error.detail))
        answer = RedirectResponse(next, 303)
        answer.set_cookie(COOKIE, token, max_age=12 * 3600, httponly=True, samesite="strict")
        return answer

    @router.post("/logout")
    def logout(form: Annotated[Form, Depends(_form)]) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    @router.get("/")
    def fleet(person: Who) -> HTMLResponse:
        versions: list[VersionState] = []
        problem = ""
        try:
            versions = read_fleet(backend.store)
        except (StoreUnavailable, StoreRejected):
            problem = "The store can't be read now: the models are not shown. Incidents and approvals work."
        view = fleet_view(versions, backend.state(), datetime.now(UTC), SILENT_AFTER, problem)
        return show("fleet.html", person, view=view)

    @router.get("/models/{model}")
    def story(
        model: str, person: Who, windows: Annotated[int, Query(ge=1, le=MOST_WINDOWS)] = USUAL_WINDOWS
    ) -> HTMLResponse:
        state, catalogue = backend.state(), backend.catalogue()
        versions = catalogue.versions_of(model)
        baselines = [b for version in versions if (b := catalogue.baseline(model, version)) is not None]
        if not versions and not state.model(model).incidents:
            return trouble(person, 404, "No such model", f"No model {model!r} is registered.")
        now = datetime.now(UTC)
        try:
            period = newest_period(backend.store, model, windows)
            if period is None or not baselines:
                return trouble(person, 200, model, _nothing_yet(bool(baselines)))
            page = read_page(backend.store, _newest(baselines), period)
        except (StoreUnavailable, StoreRejected):
            return trouble(
                person, 503, "The store can't be read", "Try again in a while; `driftsonde doctor` says why."
            )
        lines = fleet_view((), state, now, SILENT_AFTER).open
        return show(
            "model.html",
            person,
            page=page,
            open=[line for line in lines if line.model == model],
            choices=PERIODS,
            windows=windows,
            read_at=format_moment(int(now.timestamp() * 1000)),
        )

    def incident_page(incident_id: str, person: Person, status: int = 200, notice: str = "") -> HTMLResponse:
        state = backend.state()
        incident = state.incident(incident_id)
        if incident is None:
            return trouble(person, 404, "No such incident", f"No incident {incident_id} is known.")
        signal = newest_signal(incident, state.model(incident.model).records.values())
        try:
            counts = read_counts(backend.store, incident.model, wanted_counts(signal))
        except (StoreUnavailable, StoreRejected):
            counts = {}
        view = incident_view(incident, state, signal, counts.items(), datetime.now(UTC))
        offered = [ACKNOWLEDGE] if view.can_acknowledge else []
        offered += ON_OPEN if view.is_open else ()
        return show(
            "incident.html",
            person,
            status,
            view=view,
            notice=notice,
            actions=[button for button in offered if person.role.permits(button.role)],
        )

    @router.get("/incidents/{incident_id}")
    def incident(incident_id: str, person: Who) -> HTMLResponse:
        return incident_page(incident_id, person)

    @router.post("/incidents/{incident_id}")
    def act(incident_id: str, person: Who, form: Annotated[Form, Depends(_form)]) -> Response:
        button = BUTTONS.get(form.get("action", ""))
        if button is None:
            return incident_page(incident_id, person, 422, "This page is older than the server: try again.")
        if not person.role.permits(button.role):
            return incident_page(incident_id, person, 403, f"This needs the role {button.role}.")
        try:
            submit(backend, button.make(incident_id, form, person.name))
        except (Refused, Unknown) as error:
            return incident_page(incident_id, person, 409, f"Not done: {error}.")
        except problems.Unavailable as error:
            return incident_page(incident_id, person, 503, str(error))
        return RedirectResponse(f"/incidents/{quote(incident_id, safe='')}", 303)

    return router


def _newest(baselines: list[Baseline]) -> Baseline:
    """The baseline that the story is told against."""
    return max(baselines, key=lambda baseline: (baseline.lineage.end_ms, baseline.version))


def _nothing_yet(has_baseline: bool) -> str:
    if not has_baseline:
        return "No version has a baseline yet: it is made from the first rows, or registered with --data."
    return "No window has been judged yet: the first one closes when later events have come."


def _person(backend: Backend, request: Request) -> Person:
    """Whose browser asks: by its cookie. Raises `SignInNeeded`."""
    cookie = request.cookies.get(COOKIE, "")
    given = HTTPAuthorizationCredentials(scheme="Bearer", credentials=cookie) if cookie else None
    try:
        return backend.guard.identify(given)
    except HTTPException as error:
        if error.status_code == 401:
            raise SignInNeeded from error
        raise


async def _form(request: Request) -> Form:
    """The fields of a form that one of our own pages sent. Raises 403 for another site's, 413 for too much."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none") or (
        origin not in (None, "null") and urlsplit(str(origin)).netloc != request.headers.get("host")
    )
    if foreign:
        raise HTTPException(403, "this form was sent by another site")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM_BYTES:
            raise HTTPException(413, f"a form of more than {_MAX_FORM_BYTES} bytes")
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


def _local(path: str) -> str:
    """A path of this server; anything else becomes the start page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


async def lead_to_login(request: Request, _: Exception) -> Response:
    return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)
