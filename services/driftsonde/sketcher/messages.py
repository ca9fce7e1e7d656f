"""What the parts of the sketcher's pipeline tell each other: messages, refusals, totals for the metrics."""

from collections.abc import Callable
from dataclasses import dataclass, field

from driftsonde.core.events import Heartbeat, LabelBatch, PredictionBatch
from driftsonde.core.join import Stream
from driftsonde.core.plan import Plan
from driftsonde.core.rows import PredictionRow

Plans = Callable[[str, str], Plan | None]


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message. `recorded_ms` is when the broker took it: a row that is much newer has a wrong clock.

    `digest` stands for the bytes of a message of predictions, None if that it may be sent again is of no interest.
    """

    offset: int
    recorded_ms: int
    event: PredictionBatch | PredictionRow | LabelBatch | Heartbeat
    digest: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message for the dead letters."""

    topic: str
    offset: int
    reason: str
    explanation: str


@dataclass(slots=True)
class Tally:
    """Totals of one partition for the metrics, since they were last taken.

    `resent` messages were not counted again. `unmatched` labels found no prediction when they came; `matched_late` did
    when it came, `expired` never, `evicted` had to make room.
    """

    late_rows: int = 0
    resent: int = 0
    matched_in_memory: int = 0
    matched_in_store: int = 0
    matched_late: int = 0
    unmatched: int = 0
    expired: int = 0
    evicted: int = 0
    delays_ms: list[int] = field(default_factory=list)


def newest_ms(event: PredictionBatch | PredictionRow | LabelBatch | Heartbeat) -> int:
    """The largest timestamp in the event."""
    if isinstance(event, Heartbeat | PredictionRow):
        return event.timestamp_ms
    return int(event.timestamps_ms.max())


def plan_of(plans: Plans, stream: Stream) -> Plan:
    """The plan of a stream that was checked to have one; raises LookupError if it has gone."""
    plan = plans(stream.model, stream.version)
    if plan is None:
        raise LookupError(f"model {stream.model} was checked and has gone")
    return plan
