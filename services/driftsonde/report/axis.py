"""The time axis that all charts of the page share: equal cells, each of one or more windows."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from driftsonde.core.events import Ints
from driftsonde.report.formats import TickPattern, format_tick
from driftsonde.report.results import Series

MAX_CELLS = 240

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_STEPS_MS = (
    *(1000, 5000, 15_000, 30_000),
    *(_MINUTE_MS * count for count in (1, 5, 10, 15, 30)),
    *(_HOUR_MS * count for count in (1, 2, 3, 6, 12)),
    *(_DAY_MS * count for count in (1, 2, 5, 7, 14)),
)
_STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)
_MAX_TICKS = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """`at`: where on the axis, in percent of its length."""

    at: float
    label: str

    @property
    def side(self) -> str:
        """On which side of its place the label stands, so that it is not cut off: "start", "middle" or "end"."""
        return "start" if self.at < 8 else "end" if self.at > 92 else "middle"


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """[start_ms, end_ms) in `cells` cells of `cell_ms`, which is `windows_per_cell` windows of `window_ms`."""

    start_ms: int
    end_ms: int
    window_ms: int
    windows_per_cell: int
    cells: int

    @property
    def cell_ms(self) -> int:
        return self.window_ms * self.windows_per_cell

    def cells_of(self, starts_ms: Ints) -> Ints:
        """The cell of each window, by its start."""
        return np.clip((starts_ms - self.start_ms) // self.cell_ms, 0, self.cells - 1)

    def position(self, time_ms: int) -> float:
        """A moment's place in cells, from 0 to `cells`."""
        return min(max((time_ms - self.start_ms) / self.cell_ms, 0.0), float(self.cells))

    def ticks(self) -> tuple[Tick, ...]:
        """Round moments along the axis; the first window's start where there is none."""
        length = self.cells * self.cell_ms
        for moments, pattern in _grids(self.start_ms, self.start_ms + length):
            if len(moments) <= _MAX_TICKS:
                places = [(100 * (time - self.start_ms) / length, time) for time in moments]
                ticks = tuple(Tick(at, format_tick(time, pattern)) for at, time in places if at <= 99)
                return ticks or (Tick(0.0, format_tick(self.start_ms, TickPattern.MINUTE)),)
        return (Tick(0.0, format_tick(self.start_ms, TickPattern.YEAR)),)


def _grids(start_ms: int, end_ms: int) -> Iterator[tuple[Sequence[int], TickPattern]]:
    """Round moments in [start_ms, end_ms), on ever coarser grids: equal steps, then the calendar's."""
    for step_ms in _STEPS_MS:
        pattern = TickPattern.DAY if step_ms >= _DAY_MS else TickPattern.MINUTE
        pattern = TickPattern.SECOND if step_ms < _MINUTE_MS else pattern
        yield range(-(-start_ms // step_ms) * step_ms, end_ms, step_ms), pattern
    first, last = (datetime.fromtimestamp(time // 1000, UTC) for time in (start_ms, end_ms))
    for months in _STEPS_MONTHS:
        numbers = range(max(12, first.year * 12 // months * months), last.year * 12 + last.month, months)
        starts = [int(datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000 for n in numbers]
        pattern = TickPattern.YEAR if months >= 12 else TickPattern.MONTH
        yield [time for time in starts if start_ms <= time < end_ms], pattern


def axis_over(series: list[Series]) -> TimeAxis:
    """The axis on which all windows have their place; its unit is the commonest size of a window."""
    starts = np.concatenate([part.starts_ms for part in series])
    ends = np.concatenate([part.ends_ms for part in series])
    sizes, counts = np.unique(ends - starts, return_counts=True)
    window_ms = max(1, int(sizes[np.argmax(counts)]))
    start_ms, end_ms = int(starts.min()), int(ends.max())
    windows = max(1, math.ceil((end_ms - start_ms) / window_ms))
    per_cell = math.ceil(windows / MAX_CELLS)
    return TimeAxis(start_ms, end_ms, window_ms, per_cell, math.ceil(windows / per_cell))
