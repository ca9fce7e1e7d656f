"""`driftsonde explain`"""

import json
import os
from typing import Any

import click

from driftsonde.adapters import topics
from driftsonde.adapters.api_client import URL_VARIABLE, ApiRefused, ApiUnavailable, api_of_environment
from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.commands.errors import BadInput, Failed, settings_of_environment, world_failures
from driftsonde.controller.journal import read_whole
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.explaining import as_text, concerning, explain
from driftsonde.core.control.inputs import Unknown
from driftsonde.core.control.state import State, fold
from driftsonde.core.events import InvalidEvent


@click.command("explain")
@click.argument("decision")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a program.")
def explain_command(decision: str, as_json: bool) -> None:
    """Say why DECISION (its id) was made and what came of it: rule, windows, baseline, policy, evidence, people, deliveries.

    Asks the controller's API where CONTROLLER_URL is set (with CONTROLLER_TOKEN), and else reads the topic `decisions`
    (DRIFTSONDE_KAFKA_*), which has decisions that the controller has long forgotten.
    """
    found = _from_api(decision) if os.environ.get(URL_VARIABLE) else _from_topic(decision)
    text = found.pop("text")
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text, nl=as_json)


def _from_api(decision: str) -> dict[str, Any]:
    try:
        return dict(api_of_environment().get(f"/v1/decisions/{decision}/explanation"))
    except ApiRefused as error:
        raise (BadInput if error.status == 404 else Failed)(str(error)) from error
    except ApiUnavailable as error:
        raise Failed(str(error)) from error


def _from_topic(decision: str) -> dict[str, Any]:
    settings = settings_of_environment()
    with world_failures():
        decisions = _decisions(settings)
    try:
        found = explain(fold(State(), concerning(decisions, decision)), decision)
    except Unknown as error:
        raise BadInput(str(error)) from error
    return to_object(found) | {"text": as_text(found)}


def _decisions(settings: Settings) -> tuple[Decision, ...]:
    registry = ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    codec = Codec(CONTROL_TYPES, registry)
    found = []
    for payload in read_whole(settings.kafka, topics.DECISIONS):
        try:
            decision = codec.decode(payload)
        except (Undecodable, InvalidEvent):
            continue  # `driftsonde audit verify` speaks of these
        if isinstance(decision, Decision):
            found.append(decision)
    return tuple(found)
