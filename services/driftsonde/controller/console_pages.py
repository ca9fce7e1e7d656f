"""What the console's pages share: who asks, how a page is shown, forms, buttons, and errors that a person can read."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials
from jinja2 import Environment
from starlette.exceptions import HTTPException as HttpError

from driftsonde.adapters.clickhouse import StoreRejected, StoreUnavailable
from driftsonde.console.governance import notices
from driftsonde.console.rendering import compiled
from driftsonde.controller import problems
from driftsonde.controller.backend import Backend, submit
from driftsonde.core.control.access import Person, Role
from driftsonde.core.control.inputs import Refused, Unknown, Wish
from driftsonde.core.control.traffic import InvalidSplit
from driftsonde.core.events import InvalidEvent

COOKIE = "driftsonde_token"
_MAX_FORM_BYTES = 16_384
MAX_REASON = 2_000
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
_TITLES = {
    403: "Not allowed",
    404: "There is no such page",
    405: "That can't be done here",
    409: "Not done",
    413: "Too much",
    422: "Not understood",
    429: "Too many requests",
    503: "Not now",
}

Form = Mapping[str, str]


class SignInNeeded(Exception):
    """Nobody known asks: the browser is led to the sign-in page."""


@dataclass(frozen=True, slots=True)
class Button:
    """Something that a person can do about `subject`, which the page's address names. `make`: the input from the
    subject, the form and the person's name."""

    value: str
    label: str
    role: Role
    make: Callable[[str, Form, str], Wish]
    hint: str = ""
    css: str = ""


@dataclass(frozen=True, slots=True)
class Pages:
    """Shows pages of one backend."""

    backend: Backend
    templates: Environment = field(default_factory=compiled)

    def who(self, request: Request) -> Person:
        """Whose browser asks: by its cookie. Raises `SignInNeeded`."""
        cookie = request.cookies.get(COOKIE, "")
        given = HTTPAuthorizationCredentials(scheme="Bearer", credentials=cookie) if cookie else None
        try:
            return self.backend.guard.identify(given)
        except HTTPException as error:
            if error.status_code == 401:
                raise SignInNeeded from error
            raise

    def known(self, request: Request) -> Person | None:
        """Whose browser asks, where that is known: an error has a page for everybody."""
        try:
            return self.who(request)
        except (SignInNeeded, HTTPException):
            return None

    def router(self) -> APIRouter:
        """A router whose errors are pages."""
        return APIRouter(include_in_schema=False, route_class=_route_of(self))

    def show(self, template: str, person: Person | None, code: int = 200, **values: object) -> HTMLResponse:
        """A page. What holds the automation back stands on every page of a person who is signed in."""
        content = self.templates.get_template(template).render(
            person=person.name if person else "",
            signed_in=bool(self.backend.guard.tokens()),
            notices=self._notices() if person else (),
            **values,
        )
        return HTMLResponse(content, code, _HEADERS)

    def trouble(self, person: Person | None, status: int, title: str, detail: str) -> HTMLResponse:
        return self.show("problem.html", person, status, title=title, detail=detail, status=status)

    def answer_browsers(self, app: FastAPI) -> None:
        """Give a browser a page for every error outside the API, so for an address that is none; programs keep theirs."""
        otherwise = app.exception_handlers[HttpError]

        async def http_error(request: Request, error: Exception) -> Response:
            assert isinstance(error, HttpError), "it handles no other"
            if not _wants_page(request):
                answer: Response = await otherwise(request, error)  # type: ignore[misc]
                return answer
            detail = f"Nothing is at {request.url.path}." if error.status_code == 404 else f"{error.detail}."
            title = _TITLES.get(error.status_code, "Not done")
            return self.trouble(self.known(request), error.status_code, title, detail)

        app.add_exception_handler(HttpError, http_error)

    def press(
        self,
        buttons: Mapping[str, Button],
        subject: str,
        form: Form,
        person: Person,
        again: Callable[[int, str], HTMLResponse],
        after: str,
    ) -> Response:
        """Do what a form asks for and lead to `after`; or show the page again, with why it was not done."""
        button = buttons.get(form.get("action", ""))
        if button is None:
            return again(422, "This page is older than the server: try again.")
        if not person.role.permits(button.role):
            return again(403, f"This needs the role {button.role}.")
        if len(form.get("reason", "")) > MAX_REASON:
            return again(422, f"A reason has at most {MAX_REASON:,} characters.")
        try:
            submit(self.backend, button.make(subject, form, person.name))
        except (Refused, Unknown, InvalidSplit) as error:
            return again(409, f"Not done: {error}.")
        except problems.Unavailable as error:
            return again(503, str(error))
        return RedirectResponse(after, 303)

    def _notices(self) -> tuple[str, ...]:
        try:
            return notices(self.backend.state(), datetime.now(UTC))
        except (problems.Unavailable, InvalidEvent):
            return ()


def _route_of(pages: Pages) -> type[APIRoute]:
    """A route that answers with a page where the API would answer with problem details."""

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handled(request: Request) -> Response:
                def trouble(status: int, title: str, detail: str) -> Response:
                    return pages.trouble(pages.known(request), status, title, detail)

                try:
                    return await handle(request)
                except problems.Unavailable as error:
                    return trouble(503, _TITLES[503], f"{error}.")
                except (StoreUnavailable, StoreRejected):
                    return trouble(503, "The store can't be read", STORE_AWAY)
                except InvalidEvent as error:
                    return trouble(500, "Something stored can't be read", f"{error}.")
                except RequestValidationError as error:
                    said = "; ".join(f"{entry['loc'][-1]}: {entry['msg']}" for entry in error.errors())
                    return trouble(422, _TITLES[422], f"{said}.")
                except HTTPException as error:
                    return trouble(
                        error.status_code, _TITLES.get(error.status_code, "Not done"), f"{error.detail}."
                    )

            return handled

    return PageRoute


STORE_AWAY = "Try again in a while; `driftsonde doctor` says why."


def _wants_page(request: Request) -> bool:
    """A person's browser, at an address that is not the API's."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/")


async def form_of(request: Request) -> Form:
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


def local_path(path: str) -> str:
    """A path of this server; anything else becomes the start page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


async def lead_to_login(request: Request, _: Exception) -> Response:
    return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)
