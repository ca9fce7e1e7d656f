"""`driftsonde doctor`"""

import dataclasses
import json
import os
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import Settings
from driftsonde.commands.errors import settings_of_environment, world_failures
from driftsonde.console.diagnosis import Finding, Verdict, diagnose
from driftsonde.controller.config import parse_config
from driftsonde.controller.config_parts import InvalidConfig

_LOOK = {Verdict.OK: ("✓", "green"), Verdict.WARNING: ("!", "yellow"), Verdict.FAILED: ("✗", "bold red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a program.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check what the services need, and say how to mend what is wrong.

    Broker, topics, store, clocks, schema, how far the services are behind, dead letters, configuration. Reads the
    services' DRIFTSONDE_* variables. Exit status: 0 nothing failed (there may be warnings), 1 something did.
    """
    settings = settings_of_environment()
    console = Console(soft_wrap=True)
    findings: list[Finding] = []
    asked = diagnose(
        settings.kafka,
        Store(settings.clickhouse),
        schemas_directory() / "clickhouse",
        lambda: datetime.now(UTC),
    )
    with world_failures():
        for finding in chain(_configuration(settings), asked):
            findings.append(finding)
            if not as_json:
                _say(console, finding)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings]))
    if any(finding.verdict is Verdict.FAILED for finding in findings):
        ctx.exit(1)


def _say(console: Console, finding: Finding) -> None:
    sign, style = _LOOK[finding.verdict]
    console.print(Text(f"{sign} {finding.check}", style=style) + Text(f": {finding.what}", style="default"))
    if finding.remedy:
        console.print(Text(f"    → {finding.remedy}"))


def _configuration(settings: Settings) -> list[Finding]:
    """The file of the webhook endpoints, if there is one."""
    file = settings.controller.webhooks_file
    if not file:
        return []
    try:
        config = parse_config(Path(file).read_text(encoding="utf-8"), os.environ)
    except (OSError, UnicodeDecodeError, InvalidConfig) as error:
        problem = "; ".join(str(error).splitlines())
        return [Finding("webhooks", Verdict.FAILED, problem, f"mend {file}")]
    return [Finding("webhooks", Verdict.OK, f"{len(config.endpoints)} endpoints in {file}")]
