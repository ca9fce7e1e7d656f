"""Incidents: the signals of one cause, as one thing that a person deals with.

What begins at about the same time in the same version is taken for one cause: drift, broken data and the loss that comes of
them are one incident, with the columns in the order of what they contribute. It is over once every episode in it is.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from driftsonde.core.control.decisions import Change, Decision, Kind
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, Signal, SignalKind, derive_id


class Status(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


# Episodes of one version that begin no more than so many windows apart have one cause.
CAUSE_WINDOWS = 24
# So many columns are named, those that contribute most.
COLUMNS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Member:
    """An episode that belongs to an incident; `over`: it is resolved."""

    episode: str
    rule: Rule
    segment: str
    over: bool = False


@dataclass(frozen=True, slots=True)
class Contribution:
    """How far a number of a column was beyond its bar at most, in bars; `column` is "" for the target's."""

    column: str
    statistic: str
    excess: float


@dataclass(frozen=True, slots=True)
class Incident:
    """`since_ms` is event time, the start of what is wrong; the other times are when the controller learned of it.

    `signals` counts the signals; `last_signal` is the id of the newest. 0 and "" stand for not yet. `resolved_by` is
    "controller" where the numbers are back within bounds. `false_alarm`: a person, `resolved_by`, says that nothing was wrong.
    `members`: its episodes, the first first; `rule` is the first's. `columns`: what contributes, the most first.
    `learning_until_ms`: it opened in a learning period that ends then, and nobody was told of it; 0 once people are.
    """

    id: str
    status: Status
    rule: Rule
    model: str
    version: str
    variant: Variant
    segment: str
    since_ms: int
    summary: str
    opened_ms: int
    updated_ms: int
    signals: int
    last_signal: str
    acknowledged_ms: int = 0
    acknowledged_by: str = ""
    snoozed_until_ms: int = 0
    resolved_ms: int = 0
    resolved_by: str = ""
    false_alarm: bool = False
    members: tuple[Member, ...] = ()
    columns: tuple[Contribution, ...] = ()
    learning_until_ms: int = 0

    @property
    def rules(self) -> frozenset[Rule]:
        """Those of the episodes that are not over; of an incident of before there were members, its own."""
        return (
            frozenset(one.rule for one in self.members if not one.over)
            if self.members
            else frozenset({self.rule})
        )


def incident_id(signal: Signal) -> str:
    """The id of the incident that a signal opens, if it is one of its own."""
    return derive_id("incident", signal.model, signal.episode)


def incident_of(incidents: Iterable[Incident], signal: Signal) -> str:
    """The id of the incident that a signal belongs to: that of its episode, or one of the same cause that is not resolved."""
    own, related = incident_id(signal), ""
    for incident in incidents:
        if any(one.episode == signal.episode for one in incident.members) or incident.id == own:
            return incident.id
        if not related and _of_one_cause(incident, signal):
            related = incident.id
    return related or own


def _of_one_cause(incident: Incident, signal: Signal) -> bool:
    """A rule that goes on in the incident has no second episode of the same slice: that is another story."""
    near_ms = CAUSE_WINDOWS * (signal.window_end_ms - signal.window_start_ms)
    return (
        incident.status is not Status.RESOLVED
        and (incident.version, incident.variant) == (signal.version, signal.variant)
        and abs(incident.since_ms - signal.since_ms) <= near_ms
        and not any(
            (one.rule, one.segment) == (signal.rule, signal.segment)
            for one in incident.members
            if not one.over
        )
    )


def still_open(incident: Incident, signal: Signal) -> tuple[Rule, ...]:
    """What goes on in the incident after a resolve of the signal's episode."""
    return tuple(one.rule for one in incident.members if one.episode != signal.episode and not one.over)


def change_by(incident: Incident | None, signal: Signal) -> Change:
    """What an alert, retrain or rollback signal does to its incident; a new signal opens a resolved one again."""
    if incident is None or incident.status is Status.RESOLVED:
        return Change.OPENED
    return Change.UPDATED


def changed(incident: Incident | None, decision: Decision) -> Incident | None:
    """The incident after a decision."""
    signal, now_ms = decision.detail.signal, decision.timestamp_ms
    match decision.detail.change:
        case Change.OPENED if signal is not None:
            return _opened(decision, signal, incident)
        case Change.UPDATED if signal is not None and incident is not None:
            return _updated(incident, signal, now_ms)
        case Change.RESOLVED if signal is not None and incident is not None:
            return _resolved(_updated(incident, signal, now_ms), decision)
        case Change.RESOLVED if incident is not None:
            return _resolved(incident, decision)
        case Change.SNOOZED if incident is not None:
            return replace(incident, snoozed_until_ms=decision.detail.expires_ms, updated_ms=now_ms)
        case Change.ACKNOWLEDGED if incident is not None:
            return replace(
                incident,
                status=Status.ACKNOWLEDGED,
                acknowledged_ms=now_ms,
                acknowledged_by=decision.actor,
                updated_ms=now_ms,
            )
        case _:
            return incident


def _resolved(incident: Incident, decision: Decision) -> Incident:
    if incident.status is Status.RESOLVED and decision.kind is Kind.FALSE_ALARM:  # said afterwards
        return replace(
            incident, updated_ms=decision.timestamp_ms, resolved_by=decision.actor, false_alarm=True
        )
    return replace(
        incident,
        status=Status.RESOLVED,
        updated_ms=decision.timestamp_ms,
        resolved_ms=decision.timestamp_ms,
        resolved_by=decision.actor,
        false_alarm=decision.kind is Kind.FALSE_ALARM,
    )


def _opened(decision: Decision, signal: Signal, before: Incident | None) -> Incident:
    now_ms = decision.timestamp_ms
    if (
        before is not None and before.status is not Status.RESOLVED
    ):  # it has become worse: as urgent as what joined it
        worse = _updated(before, signal, now_ms)
        worse = replace(worse, status=Status.OPEN, rule=signal.rule, segment=signal.segment)
        if before.learning_until_ms and not decision.detail.learning_until_ms:  # for people it begins now
            return replace(worse, opened_ms=now_ms, learning_until_ms=0)
        return worse
    return Incident(
        id=decision.incident,
        status=Status.OPEN,
        rule=signal.rule,
        model=signal.model,
        version=signal.version,
        variant=signal.variant,
        segment=signal.segment,
        since_ms=signal.since_ms,
        summary=signal.summary,
        opened_ms=now_ms,
        updated_ms=now_ms,
        signals=1 if before is None else before.signals + 1,
        last_signal=signal.id,
        members=_with_member((), signal),
        columns=_ranked((), signal),
        learning_until_ms=decision.detail.learning_until_ms,
    )


def _with_member(members: tuple[Member, ...], signal: Signal) -> tuple[Member, ...]:
    over = signal.kind is SignalKind.RESOLVE
    if any(one.episode == signal.episode for one in members):
        return tuple(replace(one, over=over) if one.episode == signal.episode else one for one in members)
    return (*members, Member(signal.episode, signal.rule, signal.segment, over))


def _ranked(before: tuple[Contribution, ...], signal: Signal) -> tuple[Contribution, ...]:
    """With what the signal's evidence says, the most first; a resolve says nothing of what was wrong."""
    if signal.kind is SignalKind.RESOLVE:
        return before
    most = {(one.column, one.statistic): one.excess for one in before}
    for entry in signal.evidence:
        bar = abs(entry.threshold) or 1e-9
        excess = abs(entry.value - entry.threshold) / bar
        if math.isfinite(excess):
            place = (entry.column, entry.statistic)
            most[place] = max(excess, most.get(place, 0.0))
    found = (Contribution(column, statistic, excess) for (column, statistic), excess in most.items())
    return tuple(sorted(found, key=lambda one: (-one.excess, one.column, one.statistic))[:COLUMNS_KEPT])


def _updated(incident: Incident, signal: Signal, now_ms: int) -> Incident:
    return replace(
        incident,
        summary=_summary(incident, signal),
        since_ms=min(incident.since_ms, signal.since_ms),
        updated_ms=now_ms,
        signals=incident.signals + (signal.id != incident.last_signal),
        last_signal=signal.id,
        members=_with_member(incident.members, signal),
        columns=_ranked(incident.columns, signal),
    )


def _summary(incident: Incident, signal: Signal) -> str:
    """What the newest signal says; that one of several episodes is over is not what the incident is about."""
    if signal.kind is SignalKind.RESOLVE and still_open(incident, signal):
        return incident.summary
    return signal.summary
