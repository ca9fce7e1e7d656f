"""`driftsonde demo`"""

import tempfile
from pathlib import Path

import click
import httpx
from rich.console import Console

from driftsonde.adapters.clickhouse import Store
from driftsonde.commands.errors import BadInput, Failed, end_on_sigterm, world_failures
from driftsonde.core.baseline import Baseline
from driftsonde.replay.results import write_results
from driftsonde.report.report import write_report
from driftsonde.report.results import InvalidResults
from driftsonde.standalone.demo.data import InvalidData, read_rows, shuttle_file
from driftsonde.standalone.demo.run import run
from driftsonde.standalone.demo.story import MIN_ROWS

_PLAIN_WIDTH = 140


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON object on standard output."
)
@click.option(
    "--keep/--no-keep",
    default=None,
    help="Go on serving until Ctrl-C, with the console; default: if a person looks on, at a terminal.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file (.gz too) with the columns f1 to f9 and anomaly; default: the Shuttle data in river.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Empty directory for the store and the logs; default: a new one for temporary files.",
)
def demo(as_json: bool, keep: bool | None, data: Path | None, out: Path | None) -> None:
    """A real incident on real data: drift, an alert, retraining, a bad canary, a rollback.

    Starts broker, store and services on this machine, serves NASA's Shuttle telemetry through a model as a live stream, and
    changes a sensor's unit. Exit status 0 only if all that should have happened did. Takes a minute or two.
    """
    end_on_sigterm()
    path = data or shuttle_file()
    try:
        rows = read_rows(path)
    except InvalidData as error:
        raise BadInput(str(error)) from error
    if len(rows) < MIN_ROWS:
        raise BadInput(f"{path}: has {len(rows)} rows; the demo needs {MIN_ROWS}")
    if out is not None and out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty")
    directory = out or Path(tempfile.mkdtemp(prefix="driftsonde-demo-"))
    console = Console(stderr=as_json, highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    if keep is None:
        keep = console.is_terminal and not as_json
    try:
        with world_failures():
            ok = run(rows, path.name, directory, console, write_page, keep=keep, as_json=as_json)
    except (RuntimeError, httpx.HTTPError) as error:
        raise Failed(f"{error}; the logs are in {directory / 'logs'}") from error
    except (InvalidResults, OSError) as error:
        raise Failed(f"the report: {error}") from error
    if not ok:
        raise Failed(f"not everything that should have happened did; the logs are in {directory / 'logs'}")


def write_page(store: Store, baseline: Baseline, directory: Path) -> Path:
    """The files that a replay writes, and their page. Raises what `Store` raises, `InvalidResults`, OSError."""
    write_results(store, baseline, directory)
    return write_report(directory)
