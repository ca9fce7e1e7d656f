"""`driftsonde settings`"""

import click

from driftsonde.adapters.api_client import VARIABLES
from driftsonde.adapters.settings import settings_table, variables
from driftsonde.commands.output import json_option, say


@click.command()
@json_option
def settings(as_json: bool) -> None:
    """List the environment variables that configure the services and these commands: a Markdown table."""
    found = [
        {
            "name": known.name,
            "default": None if known.secret else str(known.default),
            "meaning": known.meaning,
        }
        for known in variables()
    ]
    found += [{"name": name, "default": default, "meaning": meaning} for name, default, meaning in VARIABLES]
    rows = [
        f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |"
        for name, default, meaning in VARIABLES
    ]
    say(found, [*settings_table().splitlines(), *rows], as_json)
