"""The controller's API, as the commands ask it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

URL_VARIABLE, TOKEN_VARIABLE = "CONTROLLER_URL", "CONTROLLER_TOKEN"
USUAL_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 15.0
# What the commands that ask it are configured by: name, default, meaning.
VARIABLES = (
    (URL_VARIABLE, USUAL_URL, "Where commands reach the controller's API."),
    (TOKEN_VARIABLE, "", "The token that they show it (`driftsonde token`)."),
)


class ApiUnavailable(Exception):
    """The controller can't be reached, or does not answer as itself."""


class ApiRefused(Exception):
    """The controller said no: `status`, and why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    url: str = USUAL_URL
    token: str = field(default="", repr=False)

    def get(self, path: str) -> Any:
        """Raises `ApiUnavailable` and `ApiRefused`, as the others do."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        return self._ask("POST", path, body)

    def put(self, path: str, body: Mapping[str, object]) -> Any:
        return self._ask("PUT", path, body)

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = httpx.request(
                method, self.url.rstrip("/") + path, headers=headers, json=body, timeout=TIMEOUT_S
            )
            said = answer.json()
        except httpx.HTTPError as error:
            raise ApiUnavailable(
                f"{self.url}: {error}; is {URL_VARIABLE} right, does the controller run?"
            ) from error
        except ValueError as error:
            raise ApiUnavailable(f"{self.url}: answered {answer.status_code}, and no JSON") from error
        if answer.is_success:
            return said
        raise ApiRefused(answer.status_code, str(said.get("detail", answer.status_code)))


def api_of_environment() -> Api:
    """CONTROLLER_URL and CONTROLLER_TOKEN."""
    return Api(os.environ.get(URL_VARIABLE) or USUAL_URL, os.environ.get(TOKEN_VARIABLE, ""))
