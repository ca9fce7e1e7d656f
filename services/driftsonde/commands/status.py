"""`driftsonde status`"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.durations import parse_duration_ms
from driftsonde.adapters.stored_control import signal_records
from driftsonde.adapters.wire_control import signal_from_record
from driftsonde.commands.errors import BadInput, settings_of_environment, world_failures
from driftsonde.console.fleet import Episode, Health, VersionState, read_fleet, read_splits
from driftsonde.console.saying import signal_text
from driftsonde.console.standing import serving
from driftsonde.console.texts import (
    age,
    coverage_text,
    drift_text,
    health_text,
    judged_text,
    number_text,
    worst_text,
)
from driftsonde.core.control.traffic import Share
from driftsonde.core.signals import SignalKind

NEEDS_ATTENTION = 3
_WIDE = 100
_STYLE: dict[str, str] = {
    Health.OK: "green",
    Health.DRIFTING: "yellow",
    Health.UNKNOWN: "dim",
    Health.SILENT: "yellow",
    Health.ALERT: "bold red",
}


@click.command()
@click.argument("model", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a program.")
@click.option("--silent-after", default="1d", show_default=True, help="No judged window for so long: silent.")
@click.pass_context
def status(ctx: click.Context, model: str, as_json: bool, silent_after: str) -> None:
    """Show how every version of every model (or of MODEL) does: drift, performance, what is open.

    Reads DRIFTSONDE_CLICKHOUSE_*. Exit status: 0 all is well, 3 something is open, 2 an unknown model.
    """
    try:
        patience = timedelta(milliseconds=parse_duration_ms(silent_after))
    except ValueError as error:
        raise BadInput(f"--silent-after: {error}") from None
    store = Store(settings_of_environment().clickhouse)
    with world_failures():
        versions = read_fleet(store, model)
        told = {} if as_json else _told(store, versions)
        splits = {} if as_json else read_splits(store, model)
    if model and not versions:
        raise BadInput(
            f"nothing has been judged of a model {model!r}; `driftsonde status` lists those that are known"
        )
    now = datetime.now(UTC)
    if as_json:
        click.echo(json.dumps([_plain(version, version.health(now, patience)) for version in versions]))
    else:
        _show(versions, splits, told, now, patience)
    if any(version.open for version in versions):
        ctx.exit(NEEDS_ATTENTION)


def _show(
    versions: Sequence[VersionState],
    splits: Mapping[str, Sequence[Share]],
    told: Mapping[str, str],
    now: datetime,
    patience: timedelta,
) -> None:
    console = Console()
    if not versions:
        console.print(
            "nothing has been judged yet: `driftsonde doctor` says whether anything is sent, and the services run"
        )
        return
    gap = 2 if console.width >= _WIDE else 1
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for title in (
        "MODEL",
        "VERSION",
        "ROLE",
        "HEALTH",
        "WINDOW",
        "DRIFTING",
        "FURTHEST COLUMN",
        "PERFORMANCE",
        "LABELS",
    ):
        # On a narrow terminal, long cells take more lines; no word is cut.
        least = max(len(word) for word in (*title.split(), "champion" if title == "ROLE" else ""))
        table.add_column(title, no_wrap=title in ("MODEL", "VERSION"), min_width=least)
    for version in versions:
        health, part = serving(version, splits.get(version.model, ()), now, patience)
        role = f"{version.variant} {part}" if part else version.variant
        table.add_row(
            *(Text(cell) for cell in (version.model, version.version, role)),
            Text(health_text(health), style=_STYLE.get(health, "dim")),
            *(
                Text(cell)
                for cell in (
                    judged_text(version, now),
                    drift_text(version),
                    worst_text(version),
                    number_text(version.performance),
                    coverage_text(version),
                )
            ),
        )
    console.print(table)
    for model, episode in sorted(
        ((version.model, episode) for version in versions for episode in version.open),
        key=lambda entry: (entry[1].since, entry[1].episode),
    ):
        console.print(Text(_open_line(model, episode, told.get(episode.episode, episode.summary), now)))
    if told:
        console.print(
            Text("`driftsonde explain` says of the newest which column, since when, because of what")
        )


def _open_line(model: str, episode: Episode, what: str, now: datetime) -> str:
    until = episode.learning_until
    quiet = f" (learning until {until:%Y-%m-%d %H:%M:%SZ}; would have paged)" if until else ""
    return f"incident of {model}, version {episode.version}, for {age(now - episode.since)}: {what}{quiet}"


def _told(store: Store, versions: Sequence[VersionState]) -> dict[str, str]:
    """What is open in the words of the pages, by episode."""
    told: dict[str, str] = {}
    for model in sorted({version.model for version in versions if version.open}):
        signals = (signal_from_record(record) for record in signal_records(store, model))
        told |= {it.episode: signal_text(it) for it in signals if it.kind is not SignalKind.RESOLVE}
    return told


def _plain(version: VersionState, health: Health) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(entry) for name, entry in value.items()}
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return None if isinstance(value, float) and math.isnan(value) else value

    return {"health": health.value, "drifting": version.drifting, **plain(asdict(version))}
