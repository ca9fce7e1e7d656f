"""`driftsonde token`"""

import re
import secrets

import click

from driftsonde.commands.errors import BadInput
from driftsonde.commands.output import json_option, say
from driftsonde.core.control.access import NAME_PATTERN, Role, hash_token

PREFIX = "dsk_"
RANDOM_BYTES = 32


@click.group()
def token() -> None:
    """Tokens of the controller's API."""


@token.command()
@click.option("--name", required=True, help="Whose it is; decisions name it as the actor.")
@click.option(
    "--role", required=True, type=click.Choice([role.value for role in Role]), help="What it may do."
)
@json_option
def new(name: str, role: str, as_json: bool) -> None:
    """Make a token and print it, this once, with the lines to configure.

    Only its SHA-256 goes into DRIFTSONDE_CONTROLLER_TOKENS_FILE, which the controller reads again when it changes. For
    a rotation add the new token under the same name, and take the old one out once nobody uses it.
    """
    if not re.match(NAME_PATTERN, name):
        raise BadInput("--name: expected a letter or digit first, then letters, digits, spaces and @._-")
    text = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    entry = {"name": name, "role": role, "sha256": hash_token(text)}
    lines = [
        f"token (shown once): {text}",
        "",
        "[[tokens]]",
        *(f'{key} = "{value}"' for key, value in entry.items()),
    ]
    say({"token": text, **entry}, lines, as_json)
