"""`driftsonde digest`"""

import hashlib

import click

from driftsonde.adapters.clickhouse import Store
from driftsonde.commands.errors import settings_of_environment, world_failures
from driftsonde.commands.output import json_option, say

# The wall clock is left out: it differs from run to run.
TABLES = {
    "windows": ("*", "ALL"),
    "metrics": ("*", "ALL"),
    "metrics_as_judged": ("*", "ALL"),
    "signals": ("* EXCEPT ingested_at", "model, window_end, id"),
}


@click.command()
@click.option("--table", "tables", multiple=True, type=click.Choice(sorted(TABLES)), help="Default: all.")
@json_option
def digest(tables: tuple[str, ...], as_json: bool) -> None:
    """Print the SHA-256 of the final rows of the result tables, without wall-clock columns.

    Two runs over the same log and the same specs print the same. Reads DRIFTSONDE_CLICKHOUSE_*.
    """
    store = Store(settings_of_environment().clickhouse)
    with world_failures():
        found = {table: digest_of(store, table) for table in tables or tuple(TABLES)}
    say(found, [f"{digest}  {table}" for table, digest in found.items()], as_json)


def digest_of(store: Store, table: str) -> str:
    """In hexadecimal. Raises what `Store` raises."""
    columns, order = TABLES[table]
    digest = hashlib.sha256()
    # By rows of JSON, which the store writes the shortest way that reads back to the same number.
    for (line,) in store.query_rows(
        f"SELECT toJSONString(tuple({columns})) FROM {table} FINAL ORDER BY {order} "
        "SETTINGS output_format_json_quote_denormals = 1"
    ):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
