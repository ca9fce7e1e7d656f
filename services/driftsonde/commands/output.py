"""What commands print: lines for a person, or with --json one JSON document for a program."""

import json
from collections.abc import Iterable

import click

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document, for a program.")


def say(found: object, lines: Iterable[str], as_json: bool) -> None:
    """`found` as JSON, or `lines`."""
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        for line in lines:
            click.echo(line)
