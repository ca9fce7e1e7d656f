"""`driftsonde automation propose`: from what a model learned to what its policy might say."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import click

from driftsonde.adapters.clickhouse import Store
from driftsonde.commands.backtest import Report, make_report, read_history
from driftsonde.commands.errors import settings_of_environment, world_failures
from driftsonde.commands.output import json_option, say
from driftsonde.core.backtest import WEEK_MS
from driftsonde.core.iso_time import iso_seconds
from driftsonde.core.spec import Mode, ModelSpec

_FIRST_REGISTERED = """
SELECT min(JSONExtractInt(detail, 'registration', 'at_ms')) FROM decisions
WHERE kind = 'register' AND version != '' AND model = {model:String}
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """A key of the policy, what it is, the pages a week of its rule with that, and what is proposed for it: today's where that
    keeps the budget, else the lowest that was tried and does; None where none does."""

    key: str
    today: float
    pages_per_week: float
    proposed: float | None
    then_per_week: float | None

    @property
    def changes(self) -> bool:
        return self.proposed is not None and self.proposed != self.today


@dataclass(frozen=True, slots=True)
class Proposal:
    """learning_until_ms: 0 = no period is known of. would_have_paged: a week, by rule, with today's policy. ready: the period is
    over by the newest window, and each rule keeps the budget with what is proposed. change: of the spec, as TOML."""

    model: str
    start_ms: int
    end_ms: int
    learning_until_ms: int
    budget_per_week: float
    would_have_paged: Mapping[str, float]
    limits: Sequence[Limit]
    ready: bool
    change: str
    commands: Sequence[str]


@click.command()
@click.argument("model")
@click.option(
    "--pages-per-week",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="The budget that limits are looked for within, for each rule.",
)
@json_option
def propose(model: str, pages_per_week: float, as_json: bool) -> None:
    """What MODEL would have paged, which limits keep a budget of pages, and the change of its spec that says so.

    As a backtest over all windows that were judged, so what was really wrong counts as pages, too: read `backtest` beside it.
    Nothing is changed. Reads DRIFTSONDE_KAFKA_* (the models) and DRIFTSONDE_CLICKHOUSE_*.
    """
    settings = settings_of_environment()
    store = Store(settings.clickhouse)
    spec, plans, windows, known = read_history(settings, store, model)
    with world_failures():
        ((first_ms,),) = store.query_rows(_FIRST_REGISTERED, {"model": model})
    until_ms = first_ms + spec.policy.actions.learning_ms if first_ms else 0
    report = make_report(spec, plans, windows, None, (), known, pages_per_week)
    found = proposal_of(spec, report, until_ms)
    say(asdict(found), in_lines(found), as_json)


def proposal_of(spec: ModelSpec, report: Report, learning_until_ms: int) -> Proposal:
    """Deterministic: the same report gives the same proposal."""
    weeks = (report.period.end_ms - report.period.start_ms) / WEEK_MS
    pages = Counter(page.rule.value for page in report.tried[0].pages)
    today = {"drift.psi": spec.policy.drift.psi, "performance.drop": spec.policy.performance.drop}
    limits = []
    for swept in report.sweeps:
        per_week = {step.bar: step.tally.pages_per_week for step in swept.steps}
        bar = today[swept.bar]
        best = bar if per_week[bar] <= report.budget else swept.within_budget
        limits.append(Limit(swept.bar, bar, per_week[bar], best, None if best is None else per_week[best]))
    learned = report.period.end_ms > learning_until_ms
    ready = learned and all(limit.proposed is not None for limit in limits)
    change = "\n".join(_change(spec, limits, ready))
    commands = (
        [f"driftsonde register SPEC.toml --replace  # {spec.name}'s, with the change"] if change else []
    )
    return Proposal(
        spec.name,
        report.period.start_ms,
        report.period.end_ms,
        learning_until_ms,
        report.budget,
        {rule: count / weeks for rule, count in sorted(pages.items())},
        limits,
        ready,
        change,
        [*commands, *([f"driftsonde automation start --model {spec.name}"] if ready else [])],
    )


def _change(spec: ModelSpec, limits: Sequence[Limit], ready: bool) -> Iterator[str]:
    for limit in limits:
        if limit.changes:
            table, name = limit.key.split(".")
            yield f"[policy.{table}]\n{name} = {limit.proposed:g}"
    actions = spec.policy.actions
    modes = {"retrain": actions.retrain, "rollback": actions.rollback}
    waiting = [name for name, mode in modes.items() if mode is not Mode.AUTO]
    if ready and waiting:
        yield "[policy.actions]"
        yield from (f'{name} = "auto"  # {modes[name]} today' for name in waiting)


def in_lines(found: Proposal) -> Iterator[str]:
    """The proposal for a person."""
    yield f"{found.model}: judged from {iso_seconds(found.start_ms)} to {iso_seconds(found.end_ms)}"
    if found.learning_until_ms:
        over = "over since" if found.end_ms > found.learning_until_ms else "not over until"
        yield f"learning period: {over} {iso_seconds(found.learning_until_ms)}"
    yield "would have paged, with today's policy:"
    yield from (f"  {rule}: {pages:.3g} a week" for rule, pages in found.would_have_paged.items())
    if not found.would_have_paged:
        yield "  nothing"
    yield f"limits for at most {found.budget_per_week:g} pages a week of each rule:"
    for limit in found.limits:
        now = f"{limit.today:g} ({limit.pages_per_week:.3g} a week)"
        if limit.proposed is None:
            yield f"  {limit.key}: {now}; none that was tried keeps the budget: look at the pages (driftsonde backtest)"
        elif limit.changes:
            yield f"  {limit.key}: {limit.proposed:g} ({limit.then_per_week:.3g} a week) instead of {now}"
        else:
            yield f"  {limit.key}: stays {now}"
    if found.change:
        yield "change of the spec:"
        yield from (f"  {line}" for line in found.change.splitlines())
    if not found.ready:
        yield "not yet to be automated: let it learn, or look at what is beyond the budget"
    if found.commands:
        yield "then:"
        yield from (f"  {command}" for command in found.commands)
