"""Row-by-row change detectors on a stream of outcomes that comes as counts: rows and errors, window after window.

* An alarm can't be missed: the usual detectors raise a flag that the next update clears, so the flag is read after every row,
  and `update` returns every alarm of a batch.
* State survives a restart: a detector starts anew after an alarm, so its state is a function of the outcomes since the last one.
  Those are kept as counts (`Snapshot`, plain numbers) and folded again when a stream is resumed; nothing of a detector's
  own is stored.
* The same counts give the same alarms. The rows of a batch have no order of their own (they were counted); they get one that is
  a function of how many rows came before, uniform over all orders: the law that independent outcomes have given their counts.
  So it neither hides a change between batches nor makes one up inside a batch.
* Memory is bounded: beyond 2 `horizon` rows without an alarm a detector is rebuilt from the newest `horizon` rows, at that row count
  wherever it runs.

Here 1 is an error. `adapters.river_detectors` has river's detectors by name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.bool_]


class RowDetector(Protocol):
    """Takes one outcome after the other. Built anew it depends on nothing but what it takes: same rows, same flags."""

    @property
    def drift_detected(self) -> bool:
        """Whether the row just taken raised an alarm."""

    def update(self, x: bool, /) -> object:
        """Take the next outcome, True for an error."""


@dataclass(frozen=True, slots=True)
class CountedOutcomes:
    """Rows `start` to `start + rows` of the stream, of which `errors` were wrong; the first `skipped` are no longer of interest."""

    start: int
    rows: int
    errors: int
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All state: how many rows were seen, and the counts that the detector's state is made of."""

    rows_seen: int = 0
    kept: tuple[CountedOutcomes, ...] = ()


@dataclass(slots=True)
class OutcomeDetector:
    """A detector and where it is in its stream: at its start, or where `snapshot` was taken.

    build: a fresh detector. horizon: see the module, in rows, at least 1.
    """

    build: Callable[[], RowDetector]
    horizon: int = 100_000
    snapshot: Snapshot = field(default_factory=Snapshot)
    _detector: RowDetector = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 row, got {self.horizon}")
        self._rebuild()

    def update(self, rows: int, errors: int) -> tuple[int, ...]:
        """Take the next batch; the alarms in it, as rows of the stream, counted from 0. ValueError: errors outside [0, rows]."""
        if not 0 <= errors <= rows:
            raise ValueError(f"errors must lie between 0 and rows = {rows}, got {errors}")
        if rows == 0:
            return ()
        batch = CountedOutcomes(self.snapshot.rows_seen, rows, errors)
        kept = [*self.snapshot.kept, batch]
        alarms: list[int] = []
        for place, wrong in enumerate(outcomes_in_order(batch).tolist()):
            self._detector.update(wrong)
            if self._detector.drift_detected:
                alarms.append(batch.start + place)
                kept = [replace(batch, skipped=place + 1)] if place + 1 < rows else []
                self._detector = self.build()
        self.snapshot = Snapshot(batch.start + rows, tuple(kept))
        if sum(part.rows - part.skipped for part in kept) > 2 * self.horizon:
            self.snapshot = replace(self.snapshot, kept=_newest(kept, self.horizon))
            self._rebuild()
        return tuple(alarms)

    def _rebuild(self) -> None:
        """Fold what is kept. An alarm that only the shorter history raises is none of the stream's: it starts the detector anew."""
        self._detector = self.build()
        for batch in self.snapshot.kept:
            for wrong in outcomes_in_order(batch)[batch.skipped :].tolist():
                self._detector.update(wrong)
                if self._detector.drift_detected:
                    self._detector = self.build()


def outcomes_in_order(batch: CountedOutcomes) -> Bits:
    """The outcomes of a batch, bool[rows], True for an error: its errors are the rows with the smallest hashes.

    >>> outcomes_in_order(CountedOutcomes(start=0, rows=6, errors=2)).tolist()
    [False, False, True, False, True, False]
    """
    hashes = _splitmix64(np.arange(batch.start, batch.start + batch.rows, dtype=np.uint64))
    wrong = np.zeros(batch.rows, dtype=np.bool_)
    wrong[np.argsort(hashes, kind="stable")[: batch.errors]] = True
    return wrong


def _newest(kept: list[CountedOutcomes], rows: int) -> tuple[CountedOutcomes, ...]:
    """The last `rows` rows of what is kept."""
    newest: list[CountedOutcomes] = []
    for batch in reversed(kept):
        taken = min(rows, batch.rows - batch.skipped)
        if not taken:
            break
        newest.append(replace(batch, skipped=batch.rows - taken))
        rows -= taken
    return tuple(reversed(newest))


def _splitmix64(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A bijective hash of 64 bits. Source: Steele, Lea & Flood, OOPSLA 2014."""
    mixed = values * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
