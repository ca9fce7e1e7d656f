"""What was decided, by whom and why; and what holds the automation back now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftsonde.console.texts import age
from driftsonde.core.control.decisions import ALL_MODELS, Decision, Kind
from driftsonde.core.control.state import Record, State
from driftsonde.report.formats import format_moment
from driftsonde.report.timeline import DecisionLine, decision_line

SHOWN_DECISIONS = 100


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """One decision with its steps. `model` is "" where it is about all; `state`: how far it has come; `summary`: what
    the judge said, where it was about that."""

    id: str
    kind: str
    model: str
    version: str
    incident: str
    state: str
    when: str
    summary: str
    lines: tuple[DecisionLine, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest decisions; `left_out` are older."""

    entries: tuple[DecisionEntry, ...]
    left_out: int
    models: tuple[str, ...]
    kinds: tuple[str, ...]


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


def timeline(state: State, model: str = "", kind: str = "") -> Timeline:
    """What was decided, the newest first. Deliveries stand with what they told of, approvals with what they approved."""
    records = [record for entry in state.models.values() for record in entry.records.values()]
    chosen = [
        record
        for record in records
        if model in ("", record.first.model) and kind in ("", record.first.kind.value)
    ]
    chosen.sort(key=lambda record: (record.last.timestamp_ms, record.first.id), reverse=True)
    return Timeline(
        entries=tuple(_entry(record) for record in chosen[:SHOWN_DECISIONS]),
        left_out=max(0, len(chosen) - SHOWN_DECISIONS),
        models=tuple(sorted({record.first.model for record in records} - {ALL_MODELS})),
        kinds=tuple(sorted({record.first.kind.value for record in records})),
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


def _entry(record: Record) -> DecisionEntry:
    first = record.first
    steps: list[Decision] = [*record.steps, *record.deliveries]
    steps.sort(key=lambda step: (step.timestamp_ms, step.kind is Kind.NOTIFY))
    summary = first.detail.signal.summary if first.detail.signal else ""
    return DecisionEntry(
        id=first.id,
        kind=str(first.kind),
        model="" if first.model == ALL_MODELS else first.model,
        version=first.version,
        incident=first.incident,
        state=str(record.last.step),
        when=format_moment(record.last.timestamp_ms),
        summary=summary,
        lines=tuple(
            decision_line(step, first.detail.reason if place else summary) for place, step in enumerate(steps)
        ),
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
