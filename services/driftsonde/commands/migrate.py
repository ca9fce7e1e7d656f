"""`driftsonde migrate`"""

import click

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.commands.errors import settings_of_environment, world_failures
from driftsonde.commands.output import json_option, say


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Bring the ClickHouse schema up to date: make the database if it is missing, and apply new migrations.

    Reads DRIFTSONDE_CLICKHOUSE_*. Running it again changes nothing.
    """
    store = Store(settings_of_environment().clickhouse)
    with world_failures():
        applied = apply_migrations(store, schemas_directory() / "clickhouse")
    lines = [f"applied {name}" for name in applied] or ["nothing to do: the schema is up to date"]
    say({"applied": list(applied)}, lines, as_json)
