"""Where the controller's messages go: a TOML file, read once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import pydantic
from pydantic_core import ErrorDetails

from driftsonde.adapters.durations import parse_duration_ms
from driftsonde.adapters.webhook import ForbiddenDestination, InvalidSecret, check_url, parse_secret
from driftsonde.core.control.decisions import Kind
from driftsonde.core.control.retry import ONCALL_DELAYS_MS
from driftsonde.core.control.routing import Route

RETRAIN = "retrain"


class InvalidConfig(ValueError):
    """A configuration that can't be used: one line a problem, each naming the field."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`keys` sign every message: the newest secret first, then those being phased out."""

    name: str
    url: str
    keys: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """`routes` has one entry for each on-call endpoint, in the same order. delays_ms: waits between tries."""

    endpoints: tuple[Endpoint, ...] = ()
    routes: tuple[Route, ...] = ()
    retrain: Endpoint | None = None
    allow_hosts: frozenset[str] = frozenset()
    delays_ms: tuple[int, ...] = ONCALL_DELAYS_MS


class _Target(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    url: str
    secret: str | list[str] = []
    secret_env: str | list[str] = []


class _Endpoint(_Target):
    name: Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    kinds: list[str] = []
    models: list[str] = []


class _Document(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    endpoints: list[_Endpoint] = []
    retrain: _Target | None = None
    allow_hosts: list[str] = []
    retry_delays: list[str] | None = None


def parse_config(text: str, environ: Mapping[str, str]) -> ControllerConfig:
    """Raises `InvalidConfig`. `environ` is where `secret_env` looks."""
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig(f"not TOML: {error}") from None
    except pydantic.ValidationError as error:
        raise InvalidConfig("\n".join(_problem(entry) for entry in error.errors(include_url=False))) from None
    names = [endpoint.name for endpoint in document.endpoints]
    if len(set(names)) < len(names) or RETRAIN in names:
        raise InvalidConfig(f"endpoints.name: names must differ, and {RETRAIN!r} is taken")
    allow_hosts = frozenset(host.lower() for host in document.allow_hosts)
    return ControllerConfig(
        endpoints=tuple(
            _endpoint(f"endpoints.{entry.name}", entry.name, entry, allow_hosts, environ)
            for entry in document.endpoints
        ),
        routes=tuple(_route(entry) for entry in document.endpoints),
        retrain=None
        if document.retrain is None
        else _endpoint(RETRAIN, RETRAIN, document.retrain, allow_hosts, environ),
        allow_hosts=allow_hosts,
        delays_ms=ONCALL_DELAYS_MS if document.retry_delays is None else _delays(document.retry_delays),
    )


def _problem(error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"])
    # The input is not shown: it may be a secret.
    return f"{path}: unknown field" if error["type"] == "extra_forbidden" else f"{path}: {error['msg']}"


def _endpoint(
    path: str, name: str, target: _Target, allow_hosts: frozenset[str], environ: Mapping[str, str]
) -> Endpoint:
    try:
        check_url(target.url, allow_hosts)
    except ForbiddenDestination as error:
        raise InvalidConfig(f"{path}.url: {error}") from None
    return Endpoint(name, target.url, _keys(path, target, environ))


def _keys(path: str, target: _Target, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    secrets = [(f"{path}.secret", text) for text in _as_list(target.secret)]
    for variable in _as_list(target.secret_env):
        if not environ.get(variable):
            raise InvalidConfig(f"{path}.secret_env: the environment has no {variable}")
        secrets.append((f"{path}.secret_env ({variable})", environ[variable]))
    if not secrets:
        raise InvalidConfig(f"{path}: expected secret or secret_env")
    return tuple(_key(where, text) for where, text in secrets)


def _key(where: str, text: str) -> bytes:
    try:
        return parse_secret(text)
    except InvalidSecret as error:
        raise InvalidConfig(f"{where}: {error}") from None


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _route(endpoint: _Endpoint) -> Route:
    allowed = [kind.value for kind in Kind if kind is not Kind.NOTIFY]
    for kind in endpoint.kinds:
        if kind not in allowed:
            raise InvalidConfig(
                f"endpoints.{endpoint.name}.kinds: {kind!r}; expected some of {', '.join(allowed)}"
            )
    return Route(endpoint.name, frozenset(map(Kind, endpoint.kinds)), frozenset(endpoint.models))


def _delays(texts: list[str]) -> tuple[int, ...]:
    try:
        return tuple(parse_duration_ms(text) for text in texts)
    except ValueError as error:
        raise InvalidConfig(f"retry_delays: {error}") from None
