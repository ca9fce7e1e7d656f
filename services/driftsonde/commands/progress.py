"""A bar for each part of long work, on standard error, where a person looks on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from driftsonde.replay.run import Progress


@contextmanager
def progress() -> Iterator[Progress]:
    """What is told of the work as it goes on; nothing is shown where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _teller(bars)


def _teller(bars: Bars) -> Progress:
    """One bar for each thing that is done; the next one finishes the one before."""
    known: dict[str, Any] = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in known:
            for task in known.values():
                completed = bars.tasks[task].completed or 1
                bars.update(task, total=completed, completed=completed)
            known[what] = bars.add_task(what, total=total or None)
        bars.update(known[what], completed=done, total=total or None)

    return tell
