"""`driftsonde settings`"""

import click

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
    say(found, settings_table().splitlines(), as_json)
