"""`driftsonde replay`"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from driftsonde.adapters.durations import parse_duration_ms
from driftsonde.adapters.spec_limits import spec_problems
from driftsonde.adapters.specs import baseline_from_json, policy_from_toml
from driftsonde.commands.errors import (
    BadInput,
    Failed,
    end_on_sigterm,
    read_document,
    settings_of_environment,
    world_failures,
)
from driftsonde.commands.progress import progress
from driftsonde.core.events import InvalidEvent
from driftsonde.core.spec import ModelSpec, Policy, Task
from driftsonde.replay.files import UnreadableFile
from driftsonde.replay.mapping import Choices, WrongChoice
from driftsonde.replay.pacing import Stalled
from driftsonde.replay.run import LATENESS_MS, Order, Outcome
from driftsonde.replay.run import replay as run_replay
from driftsonde.replay.sending import SendingFailed
from driftsonde.replay.waiting import NotJudged
from driftsonde.report.report import write_report
from driftsonde.report.results import InvalidResults
from driftsonde.standalone.child import ChildFailed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Duration(click.ParamType):
    """Milliseconds, from a text like "15m"."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_duration_ms(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Names(click.ParamType):
    """Column names, separated by commas."""

    name = "a,b,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(names) or len(set(names)) < len(names):
            self.fail(f"{value!r}: expected different names, separated by commas", param, ctx)
        return names


@click.command()
@click.argument("file", type=_FILE)
@click.option("--model", help="The model's name; default: the file's.")
@click.option("--task", type=click.Choice([task.value for task in Task]), help="Default: inferred.")
@click.option(
    "--timestamp", metavar="COL", help="When predicted: ISO 8601, or seconds or milliseconds since 1970."
)
@click.option("--id", "id_column", metavar="COL", help="Default: the row number.")
@click.option("--version", "version_column", metavar="COL", help="The version that predicted, row by row …")
@click.option("--version-name", default="1", show_default=True, help="… or the one for all rows.")
@click.option("--features", type=Names(), default=(), help="Default: all columns that are nothing else.")
@click.option(
    "--categorical", type=Names(), default=(), help="Features that are no numbers, however they look."
)
@click.option("--prediction", metavar="COL", help="The predicted class, or number.")
@click.option("--score", metavar="COL", help="The probability of the positive class (binary).")
@click.option("--label", metavar="COL", help="The truth, where it is known.")
@click.option(
    "--label-timestamp", metavar="COL", help="When the label became known; default: with the prediction."
)
@click.option("--segment", "segments", metavar="COL", multiple=True, help="Slice results by it. Repeatable.")
@click.option("--baseline-rows", type=click.IntRange(1), help="Default: a tenth of the rows, 500 to 200,000.")
@click.option("--baseline", "baseline_file", type=_FILE, help="A baseline.json of before, instead.")
@click.option("--window", type=Duration(), default="1h", show_default=True, help="Size of the windows.")
@click.option(
    "--label-wait", type=Duration(), default="24h", show_default=True, help="As in the model's spec."
)
@click.option("--policy", "policy_file", type=_FILE, help="TOML with the rules; default: the usual ones.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory; default: the file's name + -replay.",
)
@click.option(
    "--cluster", is_flag=True, help="Use the Kafka and ClickHouse that DRIFTSONDE_* name, and its services."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(
    file: Path,
    model: str | None,
    task: str | None,
    id_column: str | None,
    version_column: str | None,
    baseline_rows: int | None,
    baseline_file: Path | None,
    window: int,
    label_wait: int,
    policy_file: Path | None,
    out: Path | None,
    cluster: bool,
    as_json: bool,
    **columns: Any,
) -> None:
    """Judge a FILE of logged predictions: CSV (also .gz) or Parquet, one prediction a row.

    The rows go the way of live ones, in order of their time: client, broker, sketcher, judge, store; on servers inside
    this command unless --cluster is given. The first rows become the baseline, and are never alarmed about. Writes
    metrics.csv, windows.csv, baseline.json, signals.jsonl, decisions.jsonl and report.html.
    """
    end_on_sigterm()
    if baseline_rows and baseline_file:
        raise BadInput("--baseline-rows and --baseline exclude each other")
    name = file.name.split(".")[0]
    order = Order(
        file=file,
        out=out or Path(f"{name}-replay"),
        model=model or name,
        choices=Choices(task=Task(task) if task else None, id=id_column, version=version_column, **columns),
        window_ms=window,
        label_wait_ms=label_wait,
        policy=read_document(policy_file, policy_from_toml) if policy_file else Policy(),
        baseline_rows=baseline_rows or 0,
        baseline=read_document(baseline_file, baseline_from_json) if baseline_file else None,
        real=settings_of_environment() if cluster else None,
    )
    _check(order)
    outcome = _run(order)
    try:
        report = write_report(order.out)
    except (InvalidResults, OSError) as error:
        raise Failed(f"the report: {error}") from error
    click.echo(json.dumps(document(order, outcome)) if as_json else describe(order, outcome, report))


def _check(order: Order) -> None:
    """Say before the work what its spec would be refused for."""
    spec = ModelSpec(
        order.model,
        Task.REGRESSION,
        order.window_ms,
        LATENESS_MS,
        order.label_wait_ms,
        segments=order.choices.segments,
        policy=order.policy,
    )
    problems = list(spec_problems(spec))
    if problems:
        raise BadInput("; ".join(problems).replace("name:", "--model:", 1))


def _run(order: Order) -> Outcome:
    with progress() as tell:
        try:
            with world_failures():
                return run_replay(order, tell)
        except (UnreadableFile, WrongChoice, InvalidEvent) as error:
            raise BadInput(str(error)) from error
        except (Stalled, NotJudged, SendingFailed, ChildFailed, OSError) as error:
            raise Failed(str(error)) from error


def document(order: Order, outcome: Outcome) -> dict[str, object]:
    """What --json prints."""
    fields = dataclasses.asdict(outcome)
    return fields | {
        "model": order.model,
        "out": str(order.out),
        "rows_per_s": outcome.rows_per_s,
        "rejected": [dataclasses.asdict(entry) for entry in outcome.rejected],
    }


def describe(order: Order, outcome: Outcome, report: Path) -> str:
    """What is printed for a person."""
    lines = [
        f"{outcome.rows:,} rows of {order.file.name} in {outcome.seconds:g} s ({outcome.rows_per_s:,.0f} rows/s)",
        f"{outcome.events:,} events sent; {outcome.windows:,} windows, {outcome.metrics:,} metrics, "
        f"{outcome.signals} signals, {outcome.decisions} decisions",
    ]
    lines += [f"inferred: {what}: {_shown(value)}" for what, value in outcome.inferred.items()]
    if outcome.rows_rejected:
        lines.append(f"{outcome.rows_rejected:,} rows could not be read:")
        lines += [f"  line {entry.line}: {entry.reason}" for entry in outcome.rejected]
        if outcome.rows_rejected > len(outcome.rejected):
            lines.append(f"  and {outcome.rows_rejected - len(outcome.rejected):,} more")
    return "\n".join([*lines, f"results in {order.out}; look at {report}"])


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
