"""`driftsonde automation`"""

from typing import Any

import click

from driftsonde.adapters.api_client import ApiRefused, ApiUnavailable, api_of_environment
from driftsonde.commands.errors import Failed
from driftsonde.core.control.decisions import ALL_MODELS


@click.group()
def automation() -> None:
    """The switch for all that the controller does by itself.

    Asks the controller's API: CONTROLLER_URL (default http://127.0.0.1:8080), CONTROLLER_TOKEN of an admin.
    """


_MODEL = click.option("--model", default=ALL_MODELS, help="Only this model's; left out: all models'.")
_REASON = click.option("--reason", default="", help="Kept with the decision.")


@automation.command()
@_MODEL
@_REASON
def stop(model: str, reason: str) -> None:
    """From now on propose to people what would be done automatically. What was decided before is still carried out."""
    _switch({"model": model, "stopped": True, "reason": reason})


@automation.command()
@_MODEL
@_REASON
def start(model: str, reason: str) -> None:
    """Let it run again."""
    _switch({"model": model, "stopped": False, "reason": reason})


@automation.command()
def status() -> None:
    """Where it is stopped, by whom and why."""
    _say(_ask(None))


def _switch(body: dict[str, object]) -> None:
    _say(_ask(body))


def _ask(body: dict[str, object] | None) -> Any:
    api = api_of_environment()
    try:
        return api.get("/v1/automation") if body is None else api.put("/v1/automation", body)
    except (ApiUnavailable, ApiRefused) as error:
        raise Failed(str(error)) from error


def _say(found: Any) -> None:
    for model, why in sorted(found["stopped"].items()):
        click.echo(f"{'all models' if model == ALL_MODELS else model}: stopped by {why}")
    if not found["stopped"]:
        click.echo("automation runs")
