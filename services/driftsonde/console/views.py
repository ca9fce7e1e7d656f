"""What the pages show, in words and numbers: built from the judge's results and the controller's state."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from markupsafe import Markup

from driftsonde.console.advising import advice
from driftsonde.console.deeds import Deed, deeds_of
from driftsonde.console.fleet import VersionState
from driftsonde.console.hints import Compared, compared
from driftsonde.console.incidents import Case, IncidentLine, incident_line, records_of, related
from driftsonde.console.sentences import effect_text, main_column, suspect
from driftsonde.console.standing import Standing, serving, standing
from driftsonde.console.stories import Effect, Ranked, bins_of, with_sums
from driftsonde.console.texts import age, coverage_text, drift_text, judged_text, number_text, worst_text
from driftsonde.core.control.decisions import CONTROLLER, Decision, Kind, Step
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.state import State
from driftsonde.core.signals import Evidence, Rule
from driftsonde.core.verdict import ColumnCounts
from driftsonde.report import svg
from driftsonde.report.column_detail import BarPair, pairs_of
from driftsonde.report.formats import format_metric, format_moment, name_of
from driftsonde.report.results import ColumnWindow
from driftsonde.report.timeline import DecisionLine, decision_line

# Columns whose distributions an incident's page shows.
SHOWN_COLUMNS = 3
SHOWN_RESOLVED = 20


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version in the overview, all texts. `traffic`: its part of the requests; `state`: a `Health`, or "not serving"."""

    model: str
    version: str
    variant: str
    state: str
    traffic: str
    judged: str
    drift: str
    worst: str
    performance: str
    labels: str


@dataclass(frozen=True, slots=True)
class FleetView:
    """`standing`: how all of them stand together. `problem` says why the versions are not there."""

    standing: Standing
    versions: tuple[VersionLine, ...]
    open: tuple[IncidentLine, ...]
    resolved: tuple[IncidentLine, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One number past its limit."""

    what: str
    value: str
    limit: str
    interval: str
    n: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """A column of the incident's newest window against the baseline. `window`: when it began."""

    column: str
    window: str
    compared: tuple[Compared, ...]
    bins: tuple[BarPair, ...]
    note: str


@dataclass(frozen=True, slots=True)
class RankedLine:
    """One column's drift in the incident's window."""

    column: str
    bar: Markup
    psi: str
    limit: str
    breached: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something that waits for a yes or a no."""

    id: str
    what: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class RelatedLine:
    """Another incident of the same model and time; `when`: how long before or after this one it began."""

    id: str
    what: str
    when: str
    status: Status


@dataclass(frozen=True, slots=True)
class IncidentView:
    """One incident: what, since when, because of what, how sure, what was done, what can be done. `effect`: on how well the model
    does, "" where the incident itself is about that; `advice`: what to do; `over`: why it is resolved; `technical`: every step as it is stored."""

    line: IncidentLine
    effect: str
    advice: str
    related: tuple[RelatedLine, ...]
    window: str
    evidence: tuple[EvidenceLine, ...]
    ranked: tuple[RankedLine, ...]
    distributions: tuple[Distribution, ...]
    done: tuple[Deed, ...]
    technical: tuple[DecisionLine, ...]
    proposals: tuple[Proposal, ...]
    can_acknowledge: bool
    is_open: bool
    over: str


def fleet_view(
    versions: Sequence[VersionState],
    incidents: Sequence[IncidentLine],
    state: State,
    now: datetime,
    silent_after: timedelta,
    problem: str = "",
) -> FleetView:
    """The overview; incidents come from the controller, so they are there when the store is not."""
    lines = tuple(version_line(version, state, now, silent_after) for version in versions)
    open_lines = tuple(line for line in incidents if line.status is not Status.RESOLVED)
    return FleetView(
        standing=standing(len(open_lines), [line.state for line in lines]),
        versions=lines,
        open=open_lines,
        resolved=tuple(line for line in incidents if line.status is Status.RESOLVED)[:SHOWN_RESOLVED],
        problem=problem,
    )


def version_line(version: VersionState, state: State, now: datetime, silent_after: timedelta) -> VersionLine:
    """One version, with its part of the traffic."""
    traffic = state.model(version.model).traffic
    health, part = serving(version, traffic.split if traffic else (), now, silent_after)
    return VersionLine(
        model=version.model,
        version=version.version,
        variant=version.variant,
        state=health,
        traffic=part,
        judged=judged_text(version, now),
        drift=drift_text(version),
        worst=worst_text(version),
        performance=number_text(version.performance),
        labels=coverage_text(version),
    )


def wanted_counts(case: Case, ranking: Sequence[Ranked]) -> tuple[ColumnWindow, ...]:
    """The windows whose distributions an incident's page shows: of the main column, the input that is suspected, and the
    strongest."""
    signal = case.signal
    if signal is None:
        return ()
    names = [
        main_column(signal, case.outputs),
        suspect(ranking, case.outputs),
        *(entry.column for entry in signal.evidence),
    ]
    found = (case.window_of(name) for name in dict.fromkeys(names) if name)
    return tuple(window for window in found if window)[:SHOWN_COLUMNS]


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store adds to an incident; nothing of it where the store can't be read."""

    ranking: Sequence[Ranked] = ()
    counts: Mapping[ColumnWindow, ColumnCounts] = field(default_factory=dict)
    effect: Effect | None = None
    read: bool = False


def incident_view(
    case: Case, cases: Sequence[Case], state: State, stored: Stored, now: datetime
) -> IncidentView:
    """All of one incident's page. `cases`: the model's."""
    incident, signal = case.incident, case.signal
    counts = {window: with_sums(column, case.references) for window, column in stored.counts.items()}
    told = case.told(counts.values(), stored.ranking)
    records = records_of(incident, state)
    steps = sorted((step for record in records for step in record.steps), key=lambda d: d.timestamp_ms)
    messages = [delivery for record in records for delivery in record.deliveries]
    waiting = [r.last for r in records if r.last.step is Step.PROPOSED]
    tells_effect = stored.read and signal is not None and signal.rule is not Rule.CANARY
    return IncidentView(
        line=incident_line(case, told, state, now),
        effect=effect_text(stored.effect, case.until_ms is None) if tells_effect else "",
        advice=advice(
            case, cases, state, {column.reference.name: column for column in counts.values()}, stored.ranking
        ),
        related=tuple(_related_line(case, other) for other in related(case, cases)),
        window=f"{format_moment(signal.window_start_ms)} to {format_moment(signal.window_end_ms)} UTC"
        if signal
        else "",
        evidence=tuple(_evidence_line(entry) for entry in _evidence(case)),
        ranked=tuple(_ranked_lines(stored.ranking)),
        distributions=tuple(_distribution(column, window.start_ms) for window, column in counts.items()),
        done=deeds_of(records, now),
        technical=tuple(
            decision_line(decision, incident.summary)
            for decision in sorted((*steps, *messages), key=lambda d: (d.timestamp_ms, d.kind is Kind.NOTIFY))
        ),
        proposals=tuple(_proposal(decision) for decision in waiting),
        can_acknowledge=incident.status is Status.OPEN,
        is_open=incident.status is not Status.RESOLVED,
        over=_over(case, steps),
    )


def _related_line(case: Case, other: Case) -> RelatedLine:
    apart = timedelta(milliseconds=other.incident.since_ms - case.incident.since_ms)
    when = (
        f"{age(abs(apart))} {'later' if apart > timedelta(0) else 'earlier'}" if apart else "at the same time"
    )
    return RelatedLine(other.incident.id, other.told().what, when, other.incident.status)


def _evidence(case: Case) -> tuple[Evidence, ...]:
    signals = (case.signal, case.loss)
    return tuple(entry for signal in signals if signal for entry in signal.evidence)


def _over(case: Case, steps: Sequence[Decision]) -> str:
    incident = case.incident
    if case.until_ms is None:
        return ""
    when = f"{format_moment(case.until_ms, exact=True)} UTC"
    called = [step for step in steps if step.kind is Kind.FALSE_ALARM]
    if incident.false_alarm and called:
        at = format_moment(called[-1].timestamp_ms, exact=True)
        return f"{called[-1].actor} called it a false alarm at {at} UTC."
    if incident.resolved_by != CONTROLLER:
        return f"{incident.resolved_by} resolved it at {when}."
    # What the judge says of an end is that the numbers are back; other ends have a reason of their own.
    ends = [s.detail for s in steps if s.kind is Kind.RESOLVE and s.step is Step.DECIDED]
    if ends and ends[-1].parent:
        return f"It ended at {when}: version {incident.version} does not serve any more."
    reason = ends[-1].reason if ends and ends[-1].signal is None else ""
    return f"It ended at {when}: {reason or 'back within its limits'}."


def _evidence_line(entry: Evidence) -> EvidenceLine:
    low, high = (format_metric(entry.statistic, bound) for bound in (entry.lower, entry.upper))
    return EvidenceLine(
        what=f"{name_of(entry.statistic)}{f' of {entry.column}' if entry.column else ''}",
        value=format_metric(entry.statistic, entry.value),
        limit=format_metric(entry.statistic, entry.threshold),
        interval=f"{low} to {high}" if low != high else low,
        n=f"{entry.n:,}",
    )


def _ranked_lines(ranking: Sequence[Ranked]) -> Iterator[RankedLine]:
    numbers = [number for entry in ranking for number in (entry.psi, entry.threshold)]
    largest = max((number for number in numbers if math.isfinite(number)), default=0.0) or 1.0
    for entry in ranking:
        limit = entry.threshold / largest if math.isfinite(entry.threshold) else None
        yield RankedLine(
            column=entry.column,
            bar=svg.share_bar(entry.psi / largest, "after" if entry.breached else "before", limit),
            psi=format_metric("psi", entry.psi),
            limit=format_metric("psi", entry.threshold),
            breached=entry.breached,
        )


def _distribution(column: ColumnCounts, start_ms: int) -> Distribution:
    pairs, note = pairs_of(list(bins_of(column)))
    window = f"{format_moment(start_ms, exact=True)} UTC"
    return Distribution(column.reference.name, window, compared(column), pairs, note)


def _proposal(decision: Decision) -> Proposal:
    what = {Kind.RETRAIN: "Retrain the model", Kind.ROLLBACK: f"Roll back version {decision.version}"}
    return Proposal(
        id=decision.id,
        what=what.get(decision.kind, str(decision.kind).capitalize()),
        reason=decision.detail.reason,
        until=format_moment(decision.detail.expires_ms) if decision.detail.expires_ms else "",
    )
