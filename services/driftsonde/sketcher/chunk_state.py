"""The open chunk of one partition: cumulative sketches, what of them is still to be sent, and the event time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from driftsonde.core.chunks import NO_TIME_MS, ChunkSketch, Progress, SketchKey, Source
from driftsonde.core.events import Floats
from driftsonde.core.sketch import Sketch, add
from driftsonde.core.unmatched import UnmatchedChange


@dataclass(frozen=True, slots=True)
class FinishedChunk:
    """A chunk that no message will be added to: once its sketches and its clock are stored, its messages are
    acknowledged. `end` is the offset after it, `event_time_ms` the partition's event time there.

    Of predictions: `recent` are the digests of its newest messages. Of labels: `gate_ms` is the event time of predictions that they were joined at, `unmatched` what became of labels
    that were kept for their predictions.
    """

    source: Source
    chunk: int
    end: int
    event_time_ms: int
    gate_ms: int = NO_TIME_MS
    unmatched: tuple[UnmatchedChange, ...] = ()
    recent: Sequence[int] = ()


Emission = ChunkSketch | Progress | FinishedChunk


@dataclass(slots=True)
class ChunkState:
    """`position` is the next offset to fold. A chunk holds the offsets [chunk * size, (chunk + 1) * size)."""

    source: Source
    size: int
    position: int
    event_time_ms: int = NO_TIME_MS
    _sketches: dict[SketchKey, Sketch] = field(default_factory=dict)
    _changed: set[SketchKey] = field(default_factory=set)
    _flushed: int = -1

    @property
    def chunk(self) -> int:
        return self.position // self.size

    @property
    def has_news(self) -> bool:
        """Whether the position has moved since the last flush."""
        return self.position != self._flushed

    def sums(self, key: SketchKey, size: int) -> Floats:
        """The sums of the key in the open chunk so far, float64[size]."""
        known = self._sketches.get(key)
        return known.sums if known else np.zeros(size)

    def merge(self, sketches: Mapping[SketchKey, Sketch]) -> None:
        """Add what one newer message of the open chunk holds; sums are added in the order of the calls."""
        for key, sketch in sketches.items():
            known = self._sketches.get(key)
            self._put(key, add(known, sketch) if known else sketch)

    def extend(self, sketches: Mapping[SketchKey, Sketch]) -> None:
        """Add what several newer messages hold, in sketches whose sums have gone on from `sums`."""
        for key, sketch in sketches.items():
            known = self._sketches.get(key)
            self._put(key, replace(add(known, sketch), sums=sketch.sums) if known else sketch)

    def _put(self, key: SketchKey, sketch: Sketch) -> None:
        self._sketches[key] = sketch
        self._changed.add(key)

    def observe(self, event_time_ms: int) -> None:
        """Event time never goes back."""
        self.event_time_ms = max(self.event_time_ms, event_time_ms)

    def advance(self, position: int) -> list[Emission]:
        """Move on to `position`; where that leaves the open chunk, what it held is final and is returned."""
        chunk = self.chunk
        left = position // self.size > chunk
        final: list[Emission] = []
        if left:
            end = (chunk + 1) * self.size
            final.extend(self._pending(end))
            final.append(Progress(self.source, end, chunk + 1, self.event_time_ms))
            final.append(FinishedChunk(self.source, chunk, end, self.event_time_ms))
            self._sketches.clear()
        self.position = position
        return final

    def flush(self) -> list[Emission]:
        """The sketches that changed since they were last sent, then the progress that they amount to."""
        self._flushed = self.position
        return [*self._pending(self.position), self._progress()]

    def repeat(self) -> list[Emission]:
        """Everything of the open chunk again, so that the judge can let go of older copies."""
        self._changed.update(self._sketches)
        return self.flush()

    def _pending(self, position: int) -> list[Emission]:
        changed = sorted(self._changed)
        self._changed.clear()
        return [ChunkSketch(self.source, self.chunk, position, key, self._sketches[key]) for key in changed]

    def _progress(self) -> Progress:
        return Progress(self.source, self.position, self.chunk, self.event_time_ms)
