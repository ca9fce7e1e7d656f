"""`driftsonde settings`"""

import click

from driftsonde.adapters.settings import settings_table


@click.command()
def settings() -> None:
    """List the environment variables that configure the services and these commands, as a Markdown table."""
    click.echo(settings_table(), nl=False)
