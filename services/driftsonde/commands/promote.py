"""`driftsonde promote` and `driftsonde review`"""

from typing import Any
from urllib.parse import quote

import click

from driftsonde.adapters.api_client import ApiRefused, ApiUnavailable, api_of_environment
from driftsonde.commands.errors import BadInput, Failed
from driftsonde.commands.output import json_option, say

_UNKNOWN, _INVALID = 404, 422


@click.command()
@click.argument("model")
@click.argument("version")
@click.option("--check", is_flag=True, help="Only say what the next stage asks for, and what is missing.")
@click.option("--reason", default="", help="Kept with the decision.")
@json_option
def promote(model: str, version: str, check: bool, reason: str, as_json: bool) -> None:
    """Bring a registered version to its next stage: development, staging, production (where its rollout begins).

    Refused with all that is missing of the policy's promotion criteria.
    Asks the controller's API: CONTROLLER_URL (default http://127.0.0.1:8080), CONTROLLER_TOKEN.
    """
    path = _path(model, version)
    _say(ask(f"{path}/promotion") if check else ask(f"{path}/promote", {"reason": reason}), as_json)


@click.command()
@click.argument("model")
@click.argument("version")
@click.option("--approve", is_flag=True, help="You approve of the next stage, in your token's role.")
@click.option(
    "--done", multiple=True, metavar="ITEM", help="An item of the checklist is done; can be repeated."
)
@click.option("--reason", default="", help="Kept with the decision.")
@json_option
def review(
    model: str, version: str, approve: bool, done: tuple[str, ...], reason: str, as_json: bool
) -> None:
    """Say of a version, as it is registered now, that you approve of its next stage, or what is done.

    Asks the controller's API: CONTROLLER_URL (default http://127.0.0.1:8080), CONTROLLER_TOKEN.
    """
    body: dict[str, object] = {"approve": approve, "done": list(done), "reason": reason}
    _say(ask(f"{_path(model, version)}/review", body), as_json)


def ask(path: str, body: dict[str, object] | None = None) -> Any:
    """Raises `BadInput` and `Failed`."""
    api = api_of_environment()
    try:
        return api.get(path) if body is None else api.post(path, body)
    except ApiRefused as error:
        raise (BadInput if error.status in (_UNKNOWN, _INVALID) else Failed)(str(error)) from error
    except ApiUnavailable as error:
        raise Failed(str(error)) from error


def _path(model: str, version: str) -> str:
    return f"/v1/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"


def _say(found: Any, as_json: bool) -> None:
    coming = f", next {found['next']}" if found["next"] else ""
    criteria = [
        f"  {'has ' if it['met'] else 'needs'} {it['name']}: {it['found']}" for it in found["criteria"]
    ]
    head = f"{found['model']}, version {found['version']}: {found['stage']}{coming}"
    say(found, [head, *criteria], as_json)
