"""The unit of exactly-once: a chunk of one partition, and what the sketcher tells the judge about it."""

from dataclasses import dataclass
from enum import StrEnum

from driftsonde.core.events import Variant
from driftsonde.core.sketch import Sketch

# Event time of a partition in which nothing has been seen.
NO_TIME_MS = -1

# Event time is told in steps of so much where the labels are to be joined.
_STEP_MS = 1_000


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One partition of a raw topic."""

    topic: str
    partition: int


class Kind(StrEnum):
    """What was summed up: the rows of predictions, or predictions joined with their labels."""

    INPUTS = "inputs"
    OUTCOMES = "outcomes"


@dataclass(frozen=True, slots=True, order=True)
class SketchKey:
    """What a sketch is about. `late` rows came after their partition had passed the window: they restate it.

    `layout` says which sketches can be added up: the fingerprint of the baseline that an inputs sketch is counted
    against ("" without one), or that of the task and classes of an outcomes sketch.
    """

    model: str
    version: str
    variant: Variant
    segment: str
    window_start_ms: int
    kind: Kind
    late: bool
    layout: str


@dataclass(frozen=True, slots=True)
class ChunkSketch:
    """The rows of one key in one chunk, up to (not including) offset `position`. Cumulative: it replaces what was
    known of the same source, chunk and key from a smaller position."""

    source: Source
    chunk: int
    position: int
    key: SketchKey
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one source has been folded: all chunks below `finished_below` are complete, and event time, the
    largest timestamp below offset `position`, is `event_time_ms`. Sent after the sketches that it speaks of."""

    source: Source
    position: int
    finished_below: int
    event_time_ms: int


@dataclass(frozen=True, slots=True)
class EventTimeStep:
    """Before offset `position` event time first came to the second that begins at `time_ms`. Of labels: the event time of
    predictions that the message there, as the first, waits for."""

    source: Source
    position: int
    time_ms: int


def window_start_of(timestamp_ms: int, window_ms: int) -> int:
    """The start of the tumbling window that holds the timestamp; windows are aligned to the epoch.

    >>> window_start_of(7_250_000, 3_600_000)
    7200000
    """
    return timestamp_ms - timestamp_ms % window_ms


def whole_second_ms(time_ms: int) -> int:
    """The second that the time is in, in milliseconds.

    >>> whole_second_ms(1_999), whole_second_ms(NO_TIME_MS)
    (1000, -1000)
    """
    return time_ms - time_ms % _STEP_MS


def segment_label(column: str, value: str) -> str:
    """How a slice is named in results; the whole model is "".

    >>> segment_label("country", "FR")
    'country=FR'
    """
    return f"{column}={value}"


WHOLE = ""
OTHER = "(other)"
