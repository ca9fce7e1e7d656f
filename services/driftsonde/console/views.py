"""What the pages show, in words and numbers: built from the judge's results and the controller's state."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from driftsonde.console.fleet import Health, VersionState
from driftsonde.console.incidents import Case, IncidentLine, incident_line
from driftsonde.console.standing import NOT_SERVING, Standing, standing
from driftsonde.console.stories import Ranked
from driftsonde.console.texts import coverage_text, drift_text, judged_text, number_text, worst_text
from driftsonde.core.control.decisions import CONTROLLER, Decision, Kind, Step
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.state import State
from driftsonde.core.control.traffic import share_of
from driftsonde.core.signals import Evidence
from driftsonde.report import svg
from driftsonde.report.column_detail import BarPair, pairs_of
from driftsonde.report.formats import format_metric, format_moment, name_of
from driftsonde.report.results import BinCount, ColumnWindow
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
    """One incident: what, since when, how sure, what was done, what can be done. `over`: why it is resolved."""

    line: IncidentLine
    window: str
    evidence: tuple[EvidenceLine, ...]
    ranked: tuple[RankedLine, ...]
    distributions: tuple[Distribution, ...]
    done: tuple[DecisionLine, ...]
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
    share = share_of(traffic, version.version)
    health = version.health(now, silent_after)
    over = traffic is not None and share is None and health is not Health.ALERT
    return VersionLine(
        model=version.model,
        version=version.version,
        variant=version.variant,
        state=NOT_SERVING if over else health.value,
        traffic=f"{share.weight:.0%}" if share else "",
        judged=judged_text(version, now),
        drift=drift_text(version),
        worst=worst_text(version),
        performance=number_text(version.performance),
        labels=coverage_text(version),
    )


def wanted_counts(case: Case) -> tuple[ColumnWindow, ...]:
    """The windows whose distributions an incident's page shows: of the main column, and of the strongest."""
    signal = case.signal
    if signal is None:
        return ()
    found = [case.window] if case.window else []
    found += [
        ColumnWindow(signal.version, signal.variant, entry.column, signal.window_start_ms)
        for entry in signal.evidence
        if entry.column
    ]
    return tuple(dict.fromkeys(found))[:SHOWN_COLUMNS]


def incident_view(
    case: Case,
    state: State,
    ranking: Sequence[Ranked],
    counts: Mapping[ColumnWindow, tuple[BinCount, ...]],
    now: datetime,
) -> IncidentView:
    """All of one incident's page."""
    incident, signal = case.incident, case.signal
    told = case.told(counts.get(case.window, ()) if case.window else (), ranking)
    records = [r for r in state.model(incident.model).records.values() if r.first.incident == incident.id]
    steps = sorted((step for record in records for step in record.steps), key=lambda d: d.timestamp_ms)
    messages = [delivery for record in records for delivery in record.deliveries]
    waiting = [r.last for r in records if r.last.step is Step.PROPOSED]
    return IncidentView(
        line=incident_line(case, told, state, now),
        window=f"{format_moment(signal.window_start_ms)} to {format_moment(signal.window_end_ms)}"
        if signal
        else "",
        evidence=tuple(_evidence_line(entry) for entry in signal.evidence) if signal else (),
        ranked=tuple(_ranked_lines(ranking)),
        distributions=tuple(_distribution(window, bins) for window, bins in counts.items()),
        done=tuple(
            decision_line(decision, incident.summary)
            for decision in sorted((*steps, *messages), key=lambda d: (d.timestamp_ms, d.kind is Kind.NOTIFY))
        ),
        proposals=tuple(_proposal(decision) for decision in waiting),
        can_acknowledge=incident.status is Status.OPEN,
        is_open=incident.status is not Status.RESOLVED,
        over=_over(incident, steps),
    )


def _over(incident: Incident, steps: Sequence[Decision]) -> str:
    if incident.status is not Status.RESOLVED:
        return ""
    when = f"{format_moment(incident.resolved_ms)} UTC"
    if incident.false_alarm:
        return f"{incident.resolved_by} called it a false alarm at {when}."
    if incident.resolved_by != CONTROLLER:
        return f"{incident.resolved_by} resolved it at {when}."
    # What the judge says of an end is that the numbers are back; other ends have a reason of their own.
    ends = [s.detail for s in steps if s.kind is Kind.RESOLVE and s.step is Step.DECIDED]
    reason = ends[-1].reason if ends and ends[-1].signal is None else ""
    return f"It ended at {when}: {reason or 'back within its limits'}."


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
