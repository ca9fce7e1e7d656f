"""The rows of a partition's messages as the oracle reads them, one by one, and what it adds up."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from driftsonde.core.baseline import CategoricalReference
from driftsonde.core.events import (
    CategoricalColumn,
    Heartbeat,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    Role,
)
from driftsonde.core.plan import Plan
from driftsonde.sketcher.messages import Message
from stream_examples import END_MS, Log, plans


@dataclass(slots=True)
class Sum:
    """A sketch as it grows: places that nothing was counted at are not there."""

    counts: dict[int, int] = field(default_factory=dict)
    sums: dict[int, float] = field(default_factory=dict)
    low: dict[int, float] = field(default_factory=dict)
    high: dict[int, float] = field(default_factory=dict)
    unseen: dict[tuple[str, str], int] = field(default_factory=dict)
    points: dict[float, list[int]] = field(default_factory=dict)


def known_plan(model: str, version: str = "") -> Plan:
    plan = plans(model, version)
    assert plan is not None
    return plan


def accepted(message: Message | None) -> bool:
    """Whether the log's message is to be folded."""
    if message is None or (not isinstance(message.event, Heartbeat) and message.event.model == "unknown"):
        return False
    return newest_ms(message) <= END_MS


def newest_ms(message: Message) -> int:
    event = message.event
    return (
        max(event.timestamps_ms.tolist())
        if isinstance(event, PredictionBatch | LabelBatch)
        else event.timestamp_ms
    )


def event_times(log: Log) -> list[int]:
    """The event time of the predictions before each message."""
    times, now_ms = [], -1
    for _, message in log.predictions:
        times.append(now_ms)
        if message is not None and accepted(message):
            now_ms = max(now_ms, newest_ms(message))
    return times


def one_row(batch: PredictionBatch, row: int) -> PredictionBatch:
    columns = tuple(
        NumericColumn(c.name, c.role, c.values[[row]])
        if isinstance(c, NumericColumn)
        else CategoricalColumn(c.name, c.role, c.codes[[row]], c.categories)
        for c in batch.columns
    )
    return PredictionBatch(
        batch.model, batch.version, batch.variant, (batch.ids[row],), batch.timestamps_ms[[row]], columns
    )


def _sliced(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The columns that rows are sliced by, with the values that have a slice of their own."""
    baseline = plan.baseline
    listed = dict(baseline.segments) if baseline else {}
    sliced = {name: listed.get(name, ()) for name in plan.spec.segments}
    for column in baseline.columns if baseline else ():
        if column.role is Role.PROTECTED and isinstance(column, CategoricalReference):
            sliced.setdefault(column.name, column.categories)
    return sliced


def segments_of(plan: Plan, batch: PredictionBatch, row: int) -> Iterator[str]:
    yield ""
    for name, listed in _sliced(plan).items():
        value = text_of(batch, name, row)
        if value is not None:
            yield f"{name}={value if value in listed and value != '(other)' else '(other)'}"


def stratum_of(plan: Plan, segments: list[str]) -> tuple[int, ...]:
    """By which a message's rows are summed up before their sums are added: the slice of each column."""
    slices = {
        label.partition("=")[0]: code for code, label in enumerate(plan.slicing.labels) if label in segments
    }
    return tuple(slices.get(name, -1) for name in _sliced(plan))


def text_of(batch: PredictionBatch, name: str, row: int) -> str | None:
    for column in batch.columns:
        if column.name == name and isinstance(column, CategoricalColumn):
            return None if column.codes[row] == -1 else column.categories[column.codes[row]]
    return None


def number_of(batch: PredictionBatch, name: str, row: int) -> float:
    for column in batch.columns:
        if column.name == name and isinstance(column, NumericColumn):
            return float(column.values[row])
    return math.nan


def bump(counts: dict[int, int], place: int, by: int = 1) -> None:
    counts[place] = counts.get(place, 0) + by


def add_sums(total: Sum, sums: Mapping[int, float]) -> None:
    for place, value in sums.items():
        total.sums[place] = total.sums.get(place, 0.0) + value
