"""`driftsonde explain`"""

import json
import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click

from driftsonde.adapters import topics
from driftsonde.adapters.api_client import URL_VARIABLE, ApiRefused, ApiUnavailable, api_of_environment
from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, Catalogue
from driftsonde.commands.errors import BadInput, Failed, reach, settings_of_environment, world_failures
from driftsonde.console.explaining import explain_incident, incident_text
from driftsonde.controller.catalogue import CatalogueFollower
from driftsonde.controller.journal import read_whole
from driftsonde.core.control.canonical import to_object
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.explaining import as_text, concerning, explain
from driftsonde.core.control.inputs import Unknown
from driftsonde.core.control.state import State, fold
from driftsonde.core.events import InvalidEvent


@click.command("explain")
@click.argument("what", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a program.")
def explain_command(what: str, as_json: bool) -> None:
    """Say what happened: which column, since when, because of what, what it did to the model, and what was done.

    WHAT is an incident's id, or a model's name for its newest incident, or nothing for the newest of all; open ones come first.
    Where it is a decision's id, say why that was made: rule, windows, baseline, policy, evidence, people, deliveries.

    Asks the controller's API where CONTROLLER_URL is set (with CONTROLLER_TOKEN), and else reads the topics and the store
    (DRIFTSONDE_KAFKA_*, DRIFTSONDE_CLICKHOUSE_*), which have decisions that the controller has long forgotten.
    """
    found = _from_api(what) if os.environ.get(URL_VARIABLE) else _from_topics(what)
    text = found.pop("text")
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text, nl=as_json)


def _from_api(what: str) -> dict[str, Any]:
    api = api_of_environment()
    try:
        if what:
            try:
                return dict(api.get(f"/v1/decisions/{quote(what, safe='')}/explanation"))
            except ApiRefused as error:
                if error.status != 404:
                    raise
        return dict(api.get(f"/v1/incidents/explanation?about={quote(what, safe='')}"))
    except ApiRefused as error:
        raise (_unknown(what, error) if error.status == 404 else Failed(str(error))) from error
    except ApiUnavailable as error:
        raise Failed(str(error)) from error


def _from_topics(what: str) -> dict[str, Any]:
    settings = settings_of_environment()
    reach(settings.kafka)
    with world_failures():
        decisions = _decisions(settings)
    try:
        if any(decision.id == what for decision in decisions):
            found = explain(fold(State(), concerning(decisions, what)), what)
            return to_object(found) | {"text": as_text(found)}
        with world_failures():
            catalogue = _catalogue(settings)
        store = Store(settings.clickhouse)
        told = explain_incident(fold(State(), decisions), catalogue, store, what, datetime.now(UTC))
        return to_object(told) | {"text": incident_text(told)}
    except Unknown as error:
        raise _unknown(what, error) from error


def _unknown(what: str, error: Exception) -> BadInput:
    return BadInput(f"no decision {what!r}, {error}" if what else str(error))


def _catalogue(settings: Settings) -> Catalogue:
    follower = CatalogueFollower(settings.kafka, _codec(settings))
    try:
        follower.start()
        return follower.current
    finally:
        follower.close()


def _codec(settings: Settings) -> Codec:
    registry = ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    return Codec((*CONTROL_TYPES, MODEL_RECORD), registry)


def _decisions(settings: Settings) -> tuple[Decision, ...]:
    codec = _codec(settings)
    found = []
    for payload in read_whole(settings.kafka, topics.DECISIONS):
        try:
            decision = codec.decode(payload)
        except (Undecodable, InvalidEvent):
            continue  # `driftsonde audit verify` speaks of these
        if isinstance(decision, Decision):
            found.append(decision)
    return tuple(found)
