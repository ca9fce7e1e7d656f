"""What the pages show, in words and numbers: built from the judge's results and the controller's state."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from driftsonde.console.fleet import Health, VersionState
from driftsonde.console.stories import Ranked
from driftsonde.console.texts import age, coverage_text, drift_text, judged_text, number_text, worst_text
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.state import Record, State
from driftsonde.core.control.traffic import share_of
from driftsonde.core.signals import Evidence, Signal, SignalKind
from driftsonde.report import svg
from driftsonde.report.column_detail import BarPair, pairs_of
from driftsonde.report.formats import format_metric, format_moment, name_of
from driftsonde.report.results import BinCount, ColumnWindow
from driftsonde.report.timeline import DecisionLine, decision_line

# Columns whose distributions an incident's page shows.
SHOWN_COLUMNS = 3
_OPEN_FIRST = {Status.OPEN: 0, Status.ACKNOWLEDGED: 1, Status.RESOLVED: 2}


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version in the overview, all texts. `traffic`: its part of the requests."""

    model: str
    version: str
    variant: str
    health: Health
    traffic: str
    judged: str
    drift: str
    worst: str
    performance: str
    labels: str


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """`url` leads to the incident; `waits`: what a person is asked for, "" for nothing."""

    id: str
    model: str
    about: str
    rule: str
    status: Status
    summary: str
    since: str
    lasted: str
    waits: str


@dataclass(frozen=True, slots=True)
class FleetView:
    """`problem` says why the versions are not there."""

    versions: tuple[VersionLine, ...]
    open: tuple[IncidentLine, ...]
    resolved: tuple[IncidentLine, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One number past its bar."""

    what: str
    value: str
    bar: str
    interval: str
    n: str


@dataclass(frozen=True, slots=True)
class Distribution:
    """A column of the incident's newest window against the baseline."""

    column: str
    bins: tuple[BarPair, ...]
    note: str


@dataclass(frozen=True, slots=True)
class RankedLine:
    """One column's drift in the incident's window."""

    column: str
    bar: Markup
    psi: str
    threshold: str
    breached: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something that waits for a yes or a no."""

    id: str
    what: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    """One incident: what, since when, how sure, what was done, what can be done."""

    line: IncidentLine
    window: str
    evidence: tuple[EvidenceLine, ...]
    ranked: tuple[RankedLine, ...]
    distributions: tuple[Distribution, ...]
    done: tuple[DecisionLine, ...]
    proposals: tuple[Proposal, ...]
    can_acknowledge: bool
    is_open: bool


def fleet_view(
    versions: Sequence[VersionState], state: State, now: datetime, silent_after: timedelta, problem: str = ""
) -> FleetView:
    """The overview; incidents come from the controller, so they are there when the store is not."""
    incidents = [incident for model in state.models.values() for incident in model.incidents.values()]
    ordered = sorted(incidents, key=lambda i: (_OPEN_FIRST[i.status], -i.updated_ms, i.id))
    lines = [_incident_line(incident, state, now) for incident in ordered]
    return FleetView(
        versions=tuple(_version_line(version, state, now, silent_after) for version in versions),
        open=tuple(line for line in lines if line.status is not Status.RESOLVED),
        resolved=tuple(line for line in lines if line.status is Status.RESOLVED)[:20],
        problem=problem,
    )


def _version_line(version: VersionState, state: State, now: datetime, silent_after: timedelta) -> VersionLine:
    share = share_of(state.model(version.model).traffic, version.version)
    return VersionLine(
        model=version.model,
        version=version.version,
        variant=version.variant,
        health=version.health(now, silent_after),
        traffic=f"{share.weight:.0%}" if share else "",
        judged=judged_text(version, now),
        drift=drift_text(version),
        worst=worst_text(version),
        performance=number_text(version.performance),
        labels=coverage_text(version),
    )


def _incident_line(incident: Incident, state: State, now: datetime) -> IncidentLine:
    segment = f", {incident.segment}" if incident.segment else ""
    waiting = [p for p in state.model(incident.model).proposals() if p.incident == incident.id]
    end_ms = incident.resolved_ms or now.timestamp() * 1000
    return IncidentLine(
        id=incident.id,
        model=incident.model,
        about=f"version {incident.version}, {incident.variant}{segment}",
        rule=incident.rule,
        status=incident.status,
        summary=incident.summary,
        since=format_moment(incident.since_ms),
        lasted=age(timedelta(milliseconds=end_ms - incident.opened_ms)),
        waits=f"{waiting[0].kind} waits for approval" if waiting else "",
    )


def newest_signal(incident: Incident, records: Iterable[Record]) -> Signal | None:
    """The last thing that was said to be wrong."""
    signals = [record.first.detail.signal for record in records if record.first.incident == incident.id]
    known = [signal for signal in signals if signal is not None and signal.kind is not SignalKind.RESOLVE]
    return max(known, key=lambda signal: (signal.window_end_ms, signal.id), default=None)


def wanted_counts(signal: Signal | None) -> tuple[ColumnWindow, ...]:
    """The windows whose distributions an incident's page shows: of the strongest columns."""
    if signal is None:
        return ()
    columns = dict.fromkeys(entry.column for entry in signal.evidence if entry.column)
    return tuple(
        ColumnWindow(signal.version, signal.variant, column, signal.window_start_ms)
        for column in list(columns)[:SHOWN_COLUMNS]
    )


def incident_view(
    incident: Incident,
    state: State,
    signal: Signal | None,
    ranking: Sequence[Ranked],
    counts: Iterable[tuple[ColumnWindow, tuple[BinCount, ...]]],
    now: datetime,
) -> IncidentView:
    """All of one incident's page."""
    records = [r for r in state.model(incident.model).records.values() if r.first.incident == incident.id]
    steps = sorted((step for record in records for step in record.steps), key=lambda d: d.timestamp_ms)
    told = [delivery for record in records for delivery in record.deliveries]
    waiting = [r.last for r in records if r.last.step is Step.PROPOSED]
    return IncidentView(
        line=_incident_line(incident, state, now),
        window=f"{format_moment(signal.window_start_ms)} to {format_moment(signal.window_end_ms)}"
        if signal
        else "",
        evidence=tuple(_evidence_line(entry) for entry in signal.evidence) if signal else (),
        ranked=tuple(_ranked_lines(ranking)),
        distributions=tuple(_distribution(window, bins) for window, bins in counts),
        done=tuple(
            decision_line(decision, incident.summary)
            for decision in sorted((*steps, *told), key=lambda d: (d.timestamp_ms, d.kind is Kind.NOTIFY))
        ),
        proposals=tuple(_proposal(decision) for decision in waiting),
        can_acknowledge=incident.status is Status.OPEN,
        is_open=incident.status is not Status.RESOLVED,
    )


def _evidence_line(entry: Evidence) -> EvidenceLine:
    low, high = (format_metric(entry.statistic, bound) for bound in (entry.lower, entry.upper))
    return EvidenceLine(
        what=f"{name_of(entry.statistic)}{f' of {entry.column}' if entry.column else ''}",
        value=format_metric(entry.statistic, entry.value),
        bar=format_metric(entry.statistic, entry.threshold),
        interval=f"{low} to {high}" if low != high else low,
        n=f"{entry.n:,}",
    )


def _ranked_lines(ranking: Sequence[Ranked]) -> Iterator[RankedLine]:
    largest = max((entry.psi for entry in ranking), default=0.0) or 1.0
    for entry in ranking:
        yield RankedLine(
            column=entry.column,
            bar=svg.share_bar(entry.psi / largest, "after" if entry.breached else "before"),
            psi=format_metric("psi", entry.psi),
            threshold=format_metric("psi", entry.threshold),
            breached=entry.breached,
        )


def _distribution(window: ColumnWindow, bins: Sequence[BinCount]) -> Distribution:
    pairs, note = pairs_of(bins)
    return Distribution(window.column, pairs, note)


def _proposal(decision: Decision) -> Proposal:
    what = {Kind.RETRAIN: "Retrain the model", Kind.ROLLBACK: f"Roll back version {decision.version}"}
    return Proposal(
        id=decision.id,
        what=what.get(decision.kind, str(decision.kind).capitalize()),
        reason=decision.detail.reason,
        until=format_moment(decision.detail.expires_ms) if decision.detail.expires_ms else "",
    )
