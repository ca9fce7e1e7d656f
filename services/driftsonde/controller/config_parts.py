"""What the sections of the controller's configuration have in common: addresses, secrets, durations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import pydantic

from driftsonde.adapters.durations import parse_duration_ms
from driftsonde.adapters.outbound import ForbiddenDestination, check_url
from driftsonde.adapters.webhook import InvalidSecret, parse_secret


class InvalidConfig(ValueError):
    """A configuration that can't be used: one line a problem, each naming the field."""


class Channel(StrEnum):
    """How an endpoint is spoken to."""

    WEBHOOK = "webhook"
    PAGERDUTY = "pagerduty"
    SLACK = "slack"
    OPSGENIE = "opsgenie"
    ALERTMANAGER = "alertmanager"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`keys` sign every webhook: the newest secret first, then those being phased out. `token` is what the other
    channels ask for: PagerDuty's routing key, Opsgenie's API key, a bearer token for Alertmanager. repeat_ms: what is open
    is told again so often; 0 = it is kept there.

    Neither they nor the URL, which for Slack is a secret itself, are shown in its representation.
    """

    name: str
    url: str = field(repr=False)
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    channel: Channel = Channel.WEBHOOK
    token: str = field(default="", repr=False)
    repeat_ms: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the sections are read with: the hosts that may be internal, and the environment that holds secrets."""

    allow_hosts: frozenset[str]
    environ: Mapping[str, str]

    def url(self, path: str, text: str) -> str:
        try:
            check_url(text, self.allow_hosts)
        except ForbiddenDestination as error:
            raise InvalidConfig(f"{path}: {error}") from None
        return text

    def variable(self, path: str, name: str) -> str:
        if not self.environ.get(name):
            raise InvalidConfig(f"{path}: the environment has no {name}")
        return self.environ[name]

    def one_of(self, path: str, field_name: str, text: str, variable: str, *, needed: bool = True) -> str:
        """The value that stands in the file, or that the environment has: `url` or `url_env`."""
        if variable:
            if text:
                raise InvalidConfig(f"{path}: {field_name} and {field_name}_env exclude each other")
            return self.variable(f"{path}.{field_name}_env", variable)
        if needed and not text:
            raise InvalidConfig(f"{path}: expected {field_name} or {field_name}_env")
        return text

    def keys(self, path: str, secret: str | list[str], secret_env: str | list[str]) -> tuple[bytes, ...]:
        """The keys of a signed webhook."""
        secrets = [(f"{path}.secret", text) for text in _as_list(secret)]
        secrets += [
            (f"{path}.secret_env ({name})", self.variable(f"{path}.secret_env", name))
            for name in _as_list(secret_env)
        ]
        if not secrets:
            raise InvalidConfig(f"{path}: expected secret or secret_env")
        return tuple(_key(where, text) for where, text in secrets)


Texts = Annotated[list[str], pydantic.Field(default_factory=list)]


class Section(pydantic.BaseModel):
    """A table of the file: nothing that it doesn't know, nothing of another type."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class SignedTarget(Section):
    """Where a signed webhook goes."""

    url: str = ""
    url_env: str = ""
    secret: str | list[str] = []
    secret_env: str | list[str] = []

    def endpoint(self, path: str, name: str, around: Surroundings) -> Endpoint:
        url = around.url(f"{path}.url", around.one_of(path, "url", self.url, self.url_env))
        return Endpoint(name, url, around.keys(path, self.secret, self.secret_env))


def duration_ms(path: str, text: str) -> int:
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise InvalidConfig(f"{path}: {error}") from None


def choice(path: str, text: str, allowed: type[StrEnum]) -> str:
    values = [entry.value for entry in allowed]
    if text not in values:
        raise InvalidConfig(f"{path}: {text!r}; expected one of {', '.join(values)}")
    return text


def _key(where: str, text: str) -> bytes:
    try:
        return parse_secret(text)
    except InvalidSecret as error:
        raise InvalidConfig(f"{where}: {error}") from None


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
