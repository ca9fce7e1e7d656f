"""`driftsonde automation`"""

from typing import Any

import click

from driftsonde.adapters.api_client import ApiRefused, ApiUnavailable, api_of_environment
from driftsonde.commands.errors import Failed
from driftsonde.commands.output import json_option, say
from driftsonde.commands.propose import propose
from driftsonde.core.control.decisions import ALL_MODELS


@click.group()
def automation() -> None:
    """The switch for all that the controller does by itself.

    Asks the controller's API: CONTROLLER_URL (default http://127.0.0.1:8080), CONTROLLER_TOKEN of an admin.
    `propose` reads the stored windows instead.
    """


automation.add_command(propose)


_MODEL = click.option("--model", default=ALL_MODELS, help="Only this model's; left out: all models'.")
_REASON = click.option("--reason", default="", help="Kept with the decision.")


@automation.command()
@_MODEL
@_REASON
@json_option
def stop(model: str, reason: str, as_json: bool) -> None:
    """From now on propose to people what would be done automatically. What was decided before is still carried out."""
    _say(_ask({"model": model, "stopped": True, "reason": reason}), as_json)


@automation.command()
@_MODEL
@_REASON
@json_option
def start(model: str, reason: str, as_json: bool) -> None:
    """Let it run again."""
    _say(_ask({"model": model, "stopped": False, "reason": reason}), as_json)


@automation.command()
@json_option
def status(as_json: bool) -> None:
    """Where it is stopped, by whom and why."""
    _say(_ask(None), as_json)


def _ask(body: dict[str, object] | None) -> Any:
    api = api_of_environment()
    try:
        return api.get("/v1/automation") if body is None else api.put("/v1/automation", body)
    except (ApiUnavailable, ApiRefused) as error:
        raise Failed(str(error)) from error


def _say(found: Any, as_json: bool) -> None:
    lines = [
        f"{'all models' if model == ALL_MODELS else model}: stopped by {why}"
        for model, why in sorted(found["stopped"].items())
    ]
    say(found, lines or ["automation runs"], as_json)
