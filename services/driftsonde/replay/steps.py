"""The order in which a log is sent: predictions and labels by event time, in steps."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from driftsonde.replay.rows import TIME


@dataclass(frozen=True, slots=True)
class Step:
    """What is sent together, and the event time that is reached by it: no later step has anything before it."""

    predictions: pa.Table | None
    labels: tuple[pa.Table, ...]
    until_ms: int


@dataclass(frozen=True, slots=True)
class StepSize:
    """Bounds on a step: rows, and windows that its predictions fall into."""

    rows: int
    windows: int
    window_ms: int


def in_steps(
    predictions: Iterator[pa.Table], labels: Iterator[pa.Table], label_time: str, size: StepSize
) -> Iterator[Step]:
    """Steps of rows that come in the order of `TIME`, and of labels that come in the order of `label_time`.

    A label goes out in the first step that has reached a later time than its own.
    """
    waiting = _Labels(labels, label_time, size.rows)
    for table in predictions:
        for part in _cut(table, size):
            until_ms = part[TIME][-1].as_py()
            yield Step(part, tuple(waiting.before(until_ms)), until_ms)
    for part in waiting.before(None):
        yield Step(None, (part,), part[label_time][-1].as_py())


def _cut(table: pa.Table, size: StepSize) -> Iterator[pa.Table]:
    windows = table[TIME].to_numpy() // size.window_ms
    new_window = np.concatenate([[0], np.cumsum(windows[1:] != windows[:-1])])
    start = 0
    while start < table.num_rows:
        beyond = int(np.searchsorted(new_window, new_window[start] + size.windows, side="left"))
        end = min(start + size.rows, beyond)
        yield table.slice(start, end - start)
        start = end


@dataclass(slots=True)
class _Labels:
    """Labels that wait for their time."""

    tables: Iterator[pa.Table]
    time: str
    most_rows: int
    _table: pa.Table | None = field(default=None)

    def before(self, time_ms: int | None) -> Iterator[pa.Table]:
        """Take all labels before this time, or all that are left."""
        while True:
            if self._table is None or self._table.num_rows == 0:
                self._table = next(self.tables, None)
                if self._table is None:
                    return
            table = self._table
            count = table.num_rows
            if time_ms is not None:
                count = int(np.searchsorted(table[self.time].to_numpy(), time_ms, side="left"))
            if count == 0:
                return
            count = min(count, self.most_rows)
            self._table = table.slice(count)
            yield table.slice(0, count)
