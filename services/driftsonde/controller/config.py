"""What the controller speaks to, and how: a TOML file, read once."""

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import pydantic
from pydantic_core import ErrorDetails

from driftsonde.controller.config_actuators import Actuator, ActuatorSection
from driftsonde.controller.config_endpoints import EndpointSection
from driftsonde.controller.config_parts import (
    Endpoint,
    InvalidConfig,
    Section,
    Surroundings,
    Texts,
    choice,
    duration_ms,
)
from driftsonde.controller.config_registry import CANDIDATE, Registry, RegistrySection
from driftsonde.controller.config_retrain import RETRAIN, Retraining, RetrainSection
from driftsonde.core.control.decisions import Severity
from driftsonde.core.control.retry import ONCALL_DELAYS_MS
from driftsonde.core.control.routing import SEVERITIES, Route
from driftsonde.core.signals import Rule

LINK_FIELDS = frozenset({"model", "incident", "decision"})


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """`routes` has one entry for each on-call endpoint, in the same order. delays_ms: waits between tries. link: where
    a message leads, with {model}, {incident} and {decision} to be filled in. ca_file: trusted besides the public ones.
    `follows` has one entry for each actuator, in the same order: which models' splits it follows.
    """

    endpoints: tuple[Endpoint, ...] = ()
    routes: tuple[Route, ...] = ()
    retrain: Retraining | None = None
    allow_hosts: frozenset[str] = frozenset()
    delays_ms: tuple[int, ...] = ONCALL_DELAYS_MS
    severities: Mapping[Rule, Severity] = field(default_factory=lambda: SEVERITIES)
    link: str = ""
    ca_file: str = ""
    actuators: tuple[Actuator, ...] = ()
    follows: tuple[Route, ...] = ()
    registry: Registry | None = None

    def names(self) -> tuple[str, ...]:
        """Of everything that is spoken to."""
        retrain = (RETRAIN,) if self.retrain else ()
        endpoints, actuators = (entry.name for entry in self.endpoints), (one.name for one in self.actuators)
        return (*endpoints, *actuators, *retrain, *((CANDIDATE,) if self.registry else ()))

    def endpoint(self, name: str) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.name == name), None)

    def actuator(self, name: str) -> Actuator | None:
        return next((actuator for actuator in self.actuators if actuator.name == name), None)


class _Document(Section):
    endpoints: Annotated[list[EndpointSection], pydantic.Field(default_factory=list)]
    retrain: RetrainSection | None = None
    registry: RegistrySection | None = None
    actuators: Annotated[list[ActuatorSection], pydantic.Field(default_factory=list)]
    severities: Annotated[dict[str, str], pydantic.Field(default_factory=dict)]
    allow_hosts: Texts
    retry_delays: list[str] | None = None
    link: str = ""
    ca_file: str = ""


def parse_config(text: str, environ: Mapping[str, str]) -> ControllerConfig:
    """Raises `InvalidConfig`. `environ` is where `secret_env` and its like look."""
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig(f"not TOML: {error}") from None
    except pydantic.ValidationError as error:
        raise InvalidConfig("\n".join(_problem(entry) for entry in error.errors(include_url=False))) from None
    names = [*(entry.name for entry in document.endpoints), *(entry.name for entry in document.actuators)]
    if len(set(names)) < len(names) or {RETRAIN, CANDIDATE} & set(names):
        raise InvalidConfig(
            f"endpoints.name, actuators.name: names must differ, and {RETRAIN!r} and {CANDIDATE!r} are taken"
        )
    around = Surroundings(frozenset(host.lower() for host in document.allow_hosts), environ)
    return ControllerConfig(
        endpoints=tuple(entry.read_endpoint(around) for entry in document.endpoints),
        routes=tuple(entry.read_route() for entry in document.endpoints),
        retrain=None if document.retrain is None else document.retrain.read(around),
        allow_hosts=around.allow_hosts,
        delays_ms=_delays(document.retry_delays),
        severities=_severities(document.severities),
        link=_link(document.link),
        registry=None if document.registry is None else document.registry.read(around),
        ca_file=document.ca_file,
        actuators=tuple(entry.read(around) for entry in document.actuators),
        follows=tuple(Route(entry.name, models=frozenset(entry.models)) for entry in document.actuators),
    )


def _problem(error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"])
    # The input is not shown: it may be a secret.
    return f"{path}: unknown field" if error["type"] == "extra_forbidden" else f"{path}: {error['msg']}"


def _delays(texts: list[str] | None) -> tuple[int, ...]:
    if texts is None:
        return ONCALL_DELAYS_MS
    return tuple(duration_ms("retry_delays", text) for text in texts)


def _severities(texts: Mapping[str, str]) -> Mapping[Rule, Severity]:
    own = {
        Rule(choice("severities", rule, Rule)): Severity(choice(f"severities.{rule}", text, Severity))
        for rule, text in texts.items()
    }
    return {**SEVERITIES, **own}


def _link(text: str) -> str:
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise InvalidConfig(f"link: {error}") from None
    if not fields <= LINK_FIELDS:
        raise InvalidConfig(f"link: expected no other fields than {', '.join(sorted(LINK_FIELDS))}")
    if text and not text.startswith(("https://", "http://")):
        raise InvalidConfig("link: expected http:// or https://")
    return text
