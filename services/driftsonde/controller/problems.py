"""Errors of the HTTP API as problem details (RFC 9457)."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from driftsonde.core.control.inputs import Refused, Unknown
from driftsonde.core.control.traffic import InvalidSplit

MEDIA_TYPE = "application/problem+json"


class Unavailable(Exception):
    """The writer did not answer in time: most likely the broker is away."""


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: object) -> JSONResponse:
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Give every error of the API the one shape."""

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"field": ".".join(str(part) for part in entry["loc"]), "problem": str(entry["msg"])}
            for entry in error.errors()
        ]
        detail = "; ".join(f"{entry['field']}: {entry['problem']}" for entry in errors)
        return problem(422, detail, errors=errors)

    @app.exception_handler(Unknown)
    async def unknown(_: Request, error: Unknown) -> JSONResponse:
        return problem(404, str(error))

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return problem(409, str(error))

    @app.exception_handler(InvalidSplit)
    async def invalid_split(_: Request, error: InvalidSplit) -> JSONResponse:
        return problem(422, f"split: {error}")

    @app.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Unavailable) -> JSONResponse:
        return problem(503, str(error), {"Retry-After": "5"})
