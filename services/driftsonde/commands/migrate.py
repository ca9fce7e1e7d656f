"""`driftsonde migrate`"""

import click

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.commands.errors import settings_of_environment, world_failures


@click.command()
def migrate() -> None:
    """Bring the ClickHouse schema up to date: make the database if it is missing, and apply new migrations.

    Reads DRIFTSONDE_CLICKHOUSE_*. Running it again changes nothing.
    """
    store = Store(settings_of_environment().clickhouse)
    with world_failures():
        applied = apply_migrations(store, schemas_directory() / "clickhouse")
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to do: the schema is up to date")
