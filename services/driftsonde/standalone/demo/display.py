"""What people see of the demo: progress while it runs, the results at its end."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from driftsonde.standalone.cluster import Cluster
from driftsonde.standalone.demo.expectations import Expectation
from driftsonde.standalone.demo.facts import Facts, Happening


class Display:
    """Tells the story: a line for each thing that happens, and on a terminal a bar for the phase that runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_s = time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def phase(self, title: str, steps: int = 0) -> None:
        self._console.print(Text(f"{self._elapsed()}  {title}", style="bold"))
        self._progress.reset(self._task, description=title, total=steps or None, visible=True)

    def say(self, text: str) -> None:
        self._console.print(Text(f"{self._elapsed()}    {text}"))

    def reached(self, steps: int) -> None:
        self._progress.update(self._task, completed=steps)

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started_s:5.1f} s"


def show_timeline(console: Console, happenings: Iterable[Happening]) -> None:
    """When each thing happened, on what evidence, how long after its cause."""
    table = Table(title="Timeline (UTC)", title_justify="left", box=box.SIMPLE, pad_edge=False)
    for heading in ("when", "what", "evidence"):
        table.add_column(heading)
    table.add_column("after its cause", justify="right")
    for happening in happenings:
        table.add_row(
            Text(_clock(happening.at_ms)),
            Text(happening.what, style="bold" if happening.what[:5].isupper() else ""),
            Text(happening.evidence),
            Text(_after(happening)),
        )
    console.print(table)


def show_numbers(console: Console, facts: Facts) -> None:
    totals = facts.totals
    by_version: dict[str, int] = {}
    for verdict in facts.verdicts:
        name = f"version {verdict.version} as {verdict.variant}"
        by_version[name] = by_version.get(name, 0) + 1
    table = Table(title="Numbers", title_justify="left", box=box.SIMPLE, show_header=False, pad_edge=False)
    for name, value in (
        ("events produced", f"{totals.predictions:,} predictions, {totals.labels:,} labels"),
        (
            "rate",
            f"{totals.rows_per_s:,.0f} a second for {totals.seconds:.0f} s (paced by the demo, not a limit)",
        ),
        ("labels", f"{totals.matched:,} joined, {totals.labels_never:,} never come"),
        ("windows judged", ", ".join(f"{count} of {name}" for name, count in by_version.items())),
        ("metrics stored", f"{totals.metrics:,}"),
        ("signals, decisions", f"{len(facts.signals)}, {len({seen.event.id for seen in facts.decisions})}"),
        ("webhooks", f"{len(facts.deliveries)} with a genuine signature, {facts.refused} refused"),
        ("dead letters", f"{totals.dead_letters}"),
        ("false alarms", f"{len(facts.false_alarms())}"),
    ):
        table.add_row(name, Text(value))
    console.print(table)


def show_expectations(console: Console, expectations: Iterable[Expectation]) -> None:
    table = Table(
        title="What should have happened",
        title_justify="left",
        box=box.SIMPLE,
        show_header=False,
        pad_edge=False,
    )
    for expectation in expectations:
        verdict = Text("ok", style="green") if expectation.met else Text("FAILED", style="bold red")
        table.add_row(verdict, Text(expectation.text), Text(expectation.seen))
    console.print(table)


def show_places(console: Console, directory: Path, page: Path | None) -> None:
    """Where to look afterwards."""
    lines = [f"report        {page}"] if page else []
    lines += [
        f"results       {directory}",
        f"logs          {directory / 'logs'}",
        f"store         {directory / 'store'}",
    ]
    lines.append("for real      docker compose up; see README.md")
    console.print(Text("\n".join(["Where to look", *(f"  {line}" for line in lines)])))


def show_doors(console: Console, cluster: Cluster) -> None:
    """How to reach what goes on running."""
    lines = ["", "For the commands of driftsonde, in another terminal:", *cluster.exports()]
    console.print(Text("\n".join(lines)), soft_wrap=True)
    console.print(Text(f"\nWhat happened, in the console: {cluster.controller_url}", style="bold"))
    console.print(Text("The stream goes on. Ctrl-C stops it."))


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S.") + f"{at_ms % 1000 // 100}"


def _after(happening: Happening) -> str:
    if happening.after_ms is None:
        return ""
    windows = happening.after_windows
    counted = "" if windows is None else f", window {windows}"
    return f"{happening.after_ms / 1000:.1f} s{counted}"
