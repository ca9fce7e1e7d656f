"""What was decided, by whom and why; and what holds the automation back now."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftsonde.adapters.wire_models import Catalogue
from driftsonde.console.acts import acts_of, steps_of
from driftsonde.console.deeds import Deed, deeds_of
from driftsonde.console.incidents import case_of, incident_line
from driftsonde.console.texts import Moment, age, moment
from driftsonde.core.control.decisions import ALL_MODELS, Decision, Kind
from driftsonde.core.control.state import Record, State
from driftsonde.report.formats import format_moment

SHOWN_DECISIONS = 100


@dataclass(frozen=True, slots=True)
class Story:
    """What was decided on one incident, or a decision that is about none: then `incident` is "", and so is `title`. `model` is ""
    where it is about all. `outcome`: what was done about the incident; `waits`: what a person is asked for. `status` is the
    incident's. `impact`: what it costs. `steps`: all of them, for an expert."""

    incident: str
    title: str
    status: str
    outcome: str
    waits: str
    impact: str
    model: str
    version: str
    when: Moment
    deeds: tuple[Deed, ...]
    steps: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest stories; `left_out` are older. `kinds`: by which one may choose, with their names."""

    stories: tuple[Story, ...]
    left_out: int
    models: tuple[str, ...]
    kinds: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MaintenanceLine:
    """Work on a model that is announced or under way."""

    id: str
    model: str
    begin: str
    end: str
    under_way: bool
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Controls:
    """`stopped`: who stopped all automation, and why; "" = it runs. `models`: where it is stopped for one model."""

    stopped: str
    models: tuple[tuple[str, str], ...]
    maintenance: tuple[MaintenanceLine, ...]


_KIND_NAMES = {
    Kind.ALERT: "incidents opened",
    Kind.RETRAIN: "retrainings",
    Kind.ROLLBACK: "versions taken back",
    Kind.PROMOTE: "next stages",
    Kind.RESOLVE: "incidents ended",
    Kind.TRAFFIC: "splits set by hand",
    Kind.ROLLOUT: "rollouts",
    Kind.REGISTER: "registrations",
    Kind.APPROVAL: "approvals",
    Kind.ACKNOWLEDGE: "acknowledgements",
    Kind.SNOOZE: "snoozes",
    Kind.FALSE_ALARM: "false alarms",
    Kind.MAINTENANCE: "maintenance",
    Kind.AUTOMATION: "automation stopped or let run",
    Kind.REFUSAL: "refusals",
    Kind.ESCALATE: "escalations",
    Kind.ACTUATE: "actions called for",
    Kind.CANDIDATE: "retrained versions",
    Kind.REVIEW: "reviews",
    Kind.STAGE: "stages reached",
    Kind.NOTIFY: "deliveries",
}


def timeline(state: State, catalogue: Catalogue, now: datetime, model: str = "", kind: str = "") -> Timeline:
    """What was decided, grouped by incident, the newest first. Deliveries stand with what they told of."""
    records = [record for entry in state.models.values() for record in entry.records.values()]
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        first = record.first
        if model in ("", first.model) and kind in ("", first.kind.value):
            groups[first.incident or first.id].append(record)
    newest = sorted(groups.values(), key=_newest_ms, reverse=True)
    kinds = sorted({record.first.kind for record in records})
    return Timeline(
        stories=tuple(_story(group, state, catalogue, now) for group in newest[:SHOWN_DECISIONS]),
        left_out=max(0, len(newest) - SHOWN_DECISIONS),
        models=tuple(sorted({record.first.model for record in records} - {ALL_MODELS})),
        kinds=tuple((it.value, _KIND_NAMES[it]) for it in kinds),
    )


def controls(state: State, now: datetime) -> Controls:
    """What holds the automation back, and what is announced."""
    now_ms = int(now.timestamp() * 1000)
    announced = [entry for model in state.models.values() for entry in model.maintenance.values()]
    return Controls(
        stopped=state.model(ALL_MODELS).stopped,
        models=tuple(
            (name, model.stopped)
            for name, model in sorted(state.models.items())
            if model.stopped and name != ALL_MODELS
        ),
        maintenance=tuple(_maintenance(entry, now_ms) for entry in _by_begin(announced)),
    )


def notices(state: State, now: datetime) -> tuple[str, ...]:
    """What every page says as long as it is so, the most important first."""
    held = controls(state, now)
    return (
        *((f"Automation is stopped for all models by {held.stopped}",) if held.stopped else ()),
        *(f"Automation of {name} is stopped by {who}" for name, who in held.models),
        *(f"Maintenance of {line.model} until {line.end}" for line in held.maintenance if line.under_way),
    )


def _newest_ms(group: Sequence[Record]) -> int:
    return max(record.last.timestamp_ms for record in group)


def _story(group: Sequence[Record], state: State, catalogue: Catalogue, now: datetime) -> Story:
    first = group[0].first
    incident = state.model(first.model).incidents.get(first.incident)
    line = None
    if incident is not None:
        case = case_of(incident, state, catalogue)
        line = incident_line(case, case.told(), state, now)
    return Story(
        incident=first.incident,
        title=line.what if line else "",
        status=str(line.status) if line else "",
        outcome=line.done if line else "",
        waits=line.waits if line else "",
        impact=next((it.first.detail.impact for it in reversed(group) if it.first.detail.impact), ""),
        model="" if first.model == ALL_MODELS else first.model,
        version=first.version,
        when=moment(_newest_ms(group), now),
        deeds=(deeds_of(group, now) if first.incident else ()) or acts_of(group, now),
        steps=tuple(steps_of(group)),
    )


def _by_begin(announced: Iterable[Decision]) -> list[Decision]:
    return sorted(announced, key=lambda decision: (decision.detail.from_ms, decision.id))


def _maintenance(decision: Decision, now_ms: int) -> MaintenanceLine:
    detail = decision.detail
    left = age(timedelta(milliseconds=max(0, detail.expires_ms - now_ms)))
    return MaintenanceLine(
        id=decision.id,
        model=decision.model,
        begin=format_moment(detail.from_ms),
        end=f"{format_moment(detail.expires_ms)} UTC (in {left})",
        under_way=detail.from_ms <= now_ms,
        who=decision.actor,
        reason=detail.reason,
    )
