"""`driftsonde rollout`"""

from typing import Any

import click

from driftsonde.adapters.api_client import ApiRefused, ApiUnavailable, api_of_environment
from driftsonde.commands.errors import Failed
from driftsonde.commands.output import json_option, say
from driftsonde.core.control.inputs import RolloutWish


@click.group()
def rollout() -> None:
    """New versions on their way to champion.

    Asks the controller's API: CONTROLLER_URL (default http://127.0.0.1:8080), CONTROLLER_TOKEN.
    """


@rollout.command()
@click.argument("model")
@click.argument("version")
@click.option("--reason", default="", help="Kept with the decision.")
@json_option
def start(model: str, version: str, reason: str, as_json: bool) -> None:
    """Send a registered version on its way."""
    _say(_ask("/v1/rollouts", {"model": model, "version": version, "reason": reason}), as_json)


@rollout.command()
@click.argument("model")
@json_option
def status(model: str, as_json: bool) -> None:
    """Where a model's latest rollout is."""
    _say(_ask(f"/v1/rollouts/{model}", None), as_json)


def _command(wish: RolloutWish, summary: str) -> click.Command:
    @click.command(wish.value, help=summary)
    @click.argument("model")
    @click.option("--reason", default="", help="Kept with the decision.")
    @json_option
    def change(model: str, reason: str, as_json: bool) -> None:
        _say(_ask(f"/v1/rollouts/{model}/{wish}", {"reason": reason}), as_json)

    return change


for _wish, _summary in (
    (RolloutWish.PAUSE, "Stay at this stage until told to go on."),
    (RolloutWish.RESUME, "Go on; the stage begins anew."),
    (RolloutWish.ADVANCE, "Go to the next stage now."),
    (RolloutWish.PROMOTE, "Make the new version champion now."),
    (RolloutWish.ROLLBACK, "Take the new version back now, as champion too."),
):
    rollout.add_command(_command(_wish, _summary))


def _ask(path: str, body: dict[str, object] | None) -> Any:
    api = api_of_environment()
    try:
        return api.get(path) if body is None else api.post(path, body)
    except (ApiUnavailable, ApiRefused) as error:
        raise Failed(str(error)) from error


def _say(found: Any, as_json: bool) -> None:
    text = f"{found['model']}: version {found['version']} for {found['champion']}: {found['status']}, {found['at']}"
    say(found, [text], as_json)
