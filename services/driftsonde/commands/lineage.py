"""`driftsonde lineage`"""

import json
from typing import Any
from urllib.parse import quote, urlencode

import click

from driftsonde.commands.errors import BadInput
from driftsonde.commands.promote import ask


@click.command()
@click.argument("model", default="")
@click.argument("version", default="")
@click.option("--prediction", metavar="ID", default="", help="Of the version that made this prediction.")
@click.option(
    "--data", metavar="NAME", default="", help="The versions trained on data of this name or fingerprint."
)
@click.option("--at", metavar="TIME", default="", help="As it was then, like 2026-11-24T09:00:00Z.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a program.")
def lineage(model: str, version: str, prediction: str, data: str, at: str, as_json: bool) -> None:
    """Say what MODEL's VERSION was made of, how far it came, and what was decided about it.

    Asks the controller's API: CONTROLLER_URL (default http://127.0.0.1:8080), CONTROLLER_TOKEN.
    """
    if prediction:
        found = ask(f"/v1/predictions/{quote(prediction, safe='')}/lineage?{urlencode({'model': model})}")
        text = "".join(_prediction(prediction, item) for item in found["items"])
    elif data:
        found = ask(f"/v1/lineage?{urlencode({'data': data})}")
        text = "".join(f"{item['model']} {item['version']}\n" for item in found["items"])
    elif model and version:
        when = f"?{urlencode({'at': at})}" if at else ""
        found = ask(f"/v1/lineage/{quote(model, safe='')}/{quote(version, safe='')}{when}")
        text = found["text"]
    else:
        raise BadInput("MODEL and VERSION are needed, or --prediction, or --data")
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text, nl=as_json)


def _prediction(name: str, item: Any) -> str:
    told = item["lineage"]["text"] if item["lineage"] else "this version is not registered\n"
    return f"prediction {name} of {item['model']}, version {item['version']}, as {item['variant']}\n{told}"
