"""`driftsonde backtest`"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.durations import format_duration
from driftsonde.adapters.kafka import CompactedReader
from driftsonde.adapters.plans import PlanBook
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.specs import fingerprint, spec_from_toml
from driftsonde.adapters.stored_windows import read_signal_ids, read_windows, stored_versions
from driftsonde.adapters.topics import MODELS
from driftsonde.adapters.wire_models import MODEL_RECORD
from driftsonde.commands.errors import BadInput, read_document, settings_of_environment, world_failures
from driftsonde.core.backtest import (
    NOT_REPLAYED,
    Page,
    Plans,
    Span,
    Step,
    Tally,
    covered,
    drop_policies,
    pages_of,
    plans_under,
    psi_policies,
    replay,
    spans_of,
    sweep,
    tally,
    within_budget,
)
from driftsonde.core.iso_time import iso_seconds
from driftsonde.core.rebarring import StoredWindow
from driftsonde.core.signals import Rule, Signal
from driftsonde.core.spec import ModelSpec, Policy

TODAY, OTHER = "today", "other"


@dataclass(frozen=True, slots=True)
class Tried:
    """One policy over the windows."""

    name: str
    policy: str
    pages: Sequence[Page]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Sweep:
    """A bar of the policy, what its values come to, and the lowest within the budget."""

    bar: str
    steps: Sequence[Step]
    within_budget: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a backtest found. as_stored: signals of today's policy that are in the store; replayed, stored: how many
    there are by the replay, and in the store, which may have some of the rules not replayed."""

    model: str
    period: Span
    windows: int
    incidents: Sequence[Span]
    given: bool
    as_stored: int
    replayed: int
    stored: int
    tried: Sequence[Tried]
    sweeps: Sequence[Sweep]
    budget: float
    not_replayed: Sequence[Rule] = NOT_REPLAYED


@click.command()
@click.argument("model")
@click.option(
    "--spec",
    "path",
    type=click.Path(path_type=Path),
    help="The other policy: a model's spec (TOML), of which [policy] is looked at.",
)
@click.option(
    "--incident",
    "incidents",
    multiple=True,
    metavar="START/END",
    help="When something was really wrong, in ISO 8601; repeat it. Default: the episodes of today's policy.",
)
@click.option(
    "--pages-per-week",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="The budget that thresholds are looked for within, for each rule.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a program.")
def backtest(
    model: str, path: Path | None, incidents: tuple[str, ...], pages_per_week: float, as_json: bool
) -> None:
    """Try another policy on the windows of MODEL that were judged, beside today's: pages, delays, what would be missed.

    Also says which thresholds would meet a budget of pages. Nothing is sent or stored. Today's baselines are taken for all
    windows. Fairness and columns watched together are not replayed. Reads DRIFTSONDE_KAFKA_* (the models) and DRIFTSONDE_CLICKHOUSE_*.
    """
    spans = [_span(text) for text in incidents]
    other = read_document(path, spec_from_toml) if path else None
    settings = settings_of_environment()
    spec, plans, windows, known = read_history(settings, Store(settings.clickhouse), model)
    _check(spec, other)
    report = make_report(spec, plans, windows, other.policy if other else None, spans, known, pages_per_week)
    click.echo(_as_json(report) if as_json else as_markdown(report))


def read_history(
    settings: Settings, store: Store, model: str
) -> tuple[ModelSpec, Plans, Sequence[StoredWindow], frozenset[str]]:
    """A registered model's spec, its versions' plans, the windows that were judged, and the ids of the signals stored. BadInput
    where there is no such model, or nothing has been judged of it."""
    with world_failures():
        book = _plan_book(settings)
        spec = book.catalogue.spec(model)
        if spec is None:
            raise BadInput(f"no model {model!r} is registered")
        plans = {
            version: plan
            for version in stored_versions(store, model)
            if (plan := book.plan(model, version)) is not None
        }
        windows = read_windows(store, model, plans)
        known = read_signal_ids(store, model)
    if not windows:
        raise BadInput(f"nothing has been judged of {model!r}")
    return spec, plans, windows, known


def make_report(
    spec: ModelSpec,
    plans: Plans,
    windows: Sequence[StoredWindow],
    other: Policy | None,
    incidents: Sequence[Span],
    stored: frozenset[str],
    budget: float,
) -> Report:
    """Deterministic: the same windows and policies give the same report."""
    period = covered(windows, spec.window_ms)
    today = replay(plans, windows)
    spans = list(incidents) or spans_of(pages_of(today), period.end_ms)
    tried = [_tried(TODAY, fingerprint(spec.policy), today, spans, period)]
    if other is not None:
        said = replay(plans_under(plans, other, fingerprint(other)), windows)
        tried.append(_tried(OTHER, fingerprint(other), said, spans, period))
    policy = other or spec.policy
    ladders = (
        ("drift.psi", Rule.DRIFT, psi_policies(policy)),
        ("performance.drop", Rule.PERFORMANCE, drop_policies(policy)),
    )
    sweeps = []
    for bar, rule, policies in ladders:
        steps = sweep(plans, windows, policies, rule, spans, period)
        sweeps.append(Sweep(bar, steps, within_budget(steps, budget)))
    ids = {signal.id for signal in today}
    return Report(
        spec.name,
        period,
        len({window.key for window in windows}),
        spans,
        bool(incidents),
        len(ids & stored),
        len(ids),
        len(stored),
        tried,
        sweeps,
        budget,
    )


def _tried(name: str, policy: str, signals: Sequence[Signal], spans: Sequence[Span], period: Span) -> Tried:
    return Tried(name, policy, pages_of(signals), tally(signals, spans, period))


def as_markdown(report: Report) -> str:
    """The report as tables."""
    period, named = report.period, "given" if report.given else "the episodes of today's policy"
    lines = [
        f"# Backtest of {report.model}",
        "",
        f"{report.windows} windows, {iso_seconds(period.start_ms)} to {iso_seconds(period.end_ms)}; "
        f"{len(report.incidents)} incidents ({named}).",
        f"Today's policy gives {report.replayed} signals, {report.as_stored} of the {report.stored} that are stored. "
        f"Not replayed: {' and '.join(report.not_replayed)}.",
        "",
        "| policy | pages | pages a week | found | missed | median delay | beside | retrain | rollback |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_tally_row(f"{tried.name} ({tried.policy})", tried.tally) for tried in report.tried),
    ]
    for swept in report.sweeps:
        best = "none that was tried" if swept.within_budget is None else f"{swept.within_budget:g}"
        lines += [
            "",
            f"## {swept.bar}, this rule alone",
            "",
            f"Lowest for at most {report.budget:g} pages a week: {best}.",
            "",
            f"| {swept.bar} | pages | pages a week | found | missed | median delay | beside | retrain | rollback |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_tally_row(f"{step.bar:g}", step.tally) for step in swept.steps),
        ]
    for tried in report.tried:
        lines += ["", f"## Pages of {tried.name}", "", *(_page_line(page) for page in tried.pages)]
    return "\n".join(lines)


def _tally_row(name: str, result: Tally) -> str:
    delay = "" if result.median_delay_ms is None else format_duration(round(result.median_delay_ms))
    cells = (result.found, result.missed, delay, result.beside, result.retrains, result.rollbacks)
    return f"| {name} | {result.pages} | {result.pages_per_week:.3g} | {' | '.join(map(str, cells))} |"


def _page_line(page: Page) -> str:
    until = "open" if page.until_ms is None else f"until {iso_seconds(page.until_ms)}"
    return f"* {iso_seconds(page.at_ms)}, {until}, version {page.version}: {page.summary}"


def _as_json(report: Report) -> str:
    document: dict[str, Any] = asdict(report)
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False)


def _plan_book(settings: Settings) -> PlanBook:
    registry = ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    book = PlanBook(CompactedReader(settings.kafka, MODELS), Codec((MODEL_RECORD,), registry))
    book.refresh()
    book.reader.close()
    return book


def _check(spec: ModelSpec, other: ModelSpec | None) -> None:
    """Only a policy can be tried: what was counted was counted by the rest of the spec."""
    if other is None:
        return
    for name in ("name", "task", "classes", "window_ms", "label_wait_ms"):
        if getattr(spec, name) != getattr(other, name):
            raise BadInput(
                f"--spec: {name.removesuffix('_ms')} is another than the registered model's; "
                "only another [policy] can be tried on windows that were counted already"
            )


def _span(text: str) -> Span:
    try:
        start, end = (datetime.fromisoformat(part) for part in text.split("/"))
        if start.tzinfo is None or end.tzinfo is None or end <= start:
            raise ValueError
    except ValueError:
        raise BadInput(
            f"--incident: {text!r} is not like 2026-03-01T08:00:00Z/2026-03-01T12:00:00Z"
        ) from None
    return Span(*(round(time.timestamp() * 1000) for time in (start, end)))
