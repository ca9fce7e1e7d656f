"""The counts of whole hours, for questions about long periods: which hours have changed, and adding them up again.

An hour is marked before a window of it is stored, and read window by window from then on (the view `period_counts`); once its
day is over it is added up again, by the store itself and from what is stored. So what is read is exact at any time, whatever is
restated, repeated or lost in between; only how fast it is read depends on when that is done.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from driftsonde.adapters.clickhouse import Store, StoreUnavailable
from driftsonde.judge.reports import WindowReport

HOUR_MS = 3_600_000
_DAY_MS = 24 * HOUR_MS

# After the end of a day, in event time: most of what is late has come by then.
_WAIT_MS = 2 * HOUR_MS

# Between two days: so long at least, and so many times what the last one took.
_PAUSE_S = 5.0
_PAUSE_SHARE = 9

_log = logging.getLogger(__name__)

_COLUMNS: dict[str, pa.DataType] = {
    "model": pa.string(),
    "hour": pa.timestamp("s", tz="UTC"),
    "revision": pa.uint64(),
}
_SCHEMA = pa.schema(_COLUMNS)
_DUE = """
SELECT toInt64(toUnixTimestamp(hour)) * 1000, max(revision) FROM rolled_hours
WHERE model = {model:String} GROUP BY hour HAVING max(revision) % 2 = 0
"""
_NEWEST = """
SELECT max(revision) FROM rolled_hours
WHERE model = {model:String} AND toUnixTimestamp(hour) IN {hours:Array(UInt32)}
"""
# The bounds are of the day, for the index. `any` is of what is the same in all windows of a baseline.
_ADD_UP = """
INSERT INTO window_hours (model, version, variant, segment, column, hour, baseline, kind, role, edges, categories, counts,
    reference_counts, windows, revision)
SELECT model, version, variant, segment, column, toStartOfHour(window_start) AS hour, baseline, any(kind), any(role),
    any(edges), any(categories), sumForEach(counts), any(reference_counts), count(), {revision:UInt64}
FROM windows FINAL
WHERE model = {model:String} AND window_start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    AND toUnixTimestamp(toStartOfHour(window_start)) IN {hours:Array(UInt32)}
GROUP BY model, version, variant, segment, column, hour, baseline
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Hours of one day (their starts) that are added up together; `revision` is even: that of their mark."""

    model: str
    hours_ms: tuple[int, ...]
    revision: int


@dataclass(slots=True)
class HourRollUp:
    """Which hours of the models of this worker have to be added up. Thread-safe. What goes to the store blocks, and raises
    what `Store` raises; after a failure the same call can be repeated.

    due: the newest revision of each hour that has changed, by model and start. marked: those of them that this worker has marked since it knows
    the model, and not begun to add up since: they need no other mark. A first mark is always written, so that it is newer
    than what another worker began that had the model before.
    """

    store: Store
    due: dict[tuple[str, int], int] = field(default_factory=dict)
    marked: set[tuple[str, int]] = field(default_factory=set)
    _last: tuple[str, int] = ("", 0)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, model: str) -> None:
        """Learn what is still to be done of a model."""
        rows = self.store.query_rows(_DUE, {"model": model})
        with self._lock:
            self.due |= {(model, hour_ms): revision for hour_ms, revision in rows}

    def mark(self, reports: Iterable[WindowReport]) -> None:
        """Say which hours are about to change. Call it before the reports are stored."""
        changed: dict[str, set[int]] = {}
        for report in reports:
            if report.columns:
                start_ms = report.key.window_start_ms
                changed.setdefault(report.key.model, set()).add(start_ms - start_ms % HOUR_MS)
        with self._lock:
            for model, hours in changed.items():
                new = sorted(hour_ms for hour_ms in hours if (model, hour_ms) not in self.marked)
                if new:
                    self._mark(model, new)

    def _mark(self, model: str, hours_ms: list[int]) -> None:
        ((stored,),) = self.store.query_rows(_NEWEST, {"model": model, "hours": _seconds(hours_ms)})
        newest = max(stored, *(self.due.get((model, hour_ms), 0) for hour_ms in hours_ms))
        revision = newest - newest % 2 + 2
        self._write(model, hours_ms, revision)
        keys = [(model, hour_ms) for hour_ms in hours_ms]
        self.due |= dict.fromkeys(keys, revision)
        self.marked |= set(keys)

    def begin(self, until_ms: Mapping[str, int]) -> Batch | None:
        """Take the due hours of a day that ended well before the model's `until_ms`, the event time up to which it is judged;
        each such day in its turn. No report that is marked may be on its way to the store."""
        with self._lock:
            days = sorted({(model, hour_ms // _DAY_MS) for model, hour_ms in self.due})
            ended = [(model, day) for model, day in days if _is_over(day, until_ms.get(model, 0))]
            if not ended:
                return None
            self._last = next((place for place in ended if place > self._last), ended[0])
            keys = sorted(key for key in self.due if (key[0], key[1] // _DAY_MS) == self._last)
            revision = max(self.due[key] for key in keys) + 2
            self.due |= dict.fromkeys(keys, revision)
            self.marked -= set(keys)
            return Batch(self._last[0], tuple(hour_ms for _, hour_ms in keys), revision)

    def add_up(self, batch: Batch) -> None:
        """Store the sums of a batch. What changes meanwhile is marked with a newer revision, so it stays due."""
        self._write(batch.model, batch.hours_ms, batch.revision)
        day_ms = batch.hours_ms[0] // _DAY_MS * _DAY_MS
        self.store.command(
            _ADD_UP,
            {
                "model": batch.model,
                "revision": batch.revision + 1,
                "from_ms": day_ms,
                "to_ms": day_ms + _DAY_MS,
                "hours": _seconds(batch.hours_ms),
            },
        )
        with self._lock:
            self._write(batch.model, batch.hours_ms, batch.revision + 1)
            for hour_ms in batch.hours_ms:
                if self.due.get((batch.model, hour_ms)) == batch.revision:
                    del self.due[batch.model, hour_ms]

    def _write(self, model: str, hours_ms: Iterable[int], revision: int) -> None:
        rows = [{"model": model, "hour": hour_s, "revision": revision} for hour_s in _seconds(hours_ms)]
        self.store.insert_arrow("rolled_hours", pa.Table.from_pylist(rows, schema=_SCHEMA))


async def add_up_days(
    begin: Callable[[], Awaitable[tuple[HourRollUp, Batch | None]]], least_pause_s: float = _PAUSE_S
) -> None:
    """Until cancelled, add up one day after the other, as `begin` says. The store gets most of the time for everything else;
    what it has no time for is done later."""
    pause_s = least_pause_s
    while True:
        await asyncio.sleep(pause_s)
        hours, batch = await begin()
        began_s = time.monotonic()
        if batch is not None:
            try:
                await asyncio.to_thread(hours.add_up, batch)
            except StoreUnavailable as error:
                _log.warning("hours are added up later", extra={"problem": str(error)})
        pause_s = max(least_pause_s, _PAUSE_SHARE * (time.monotonic() - began_s))


def _is_over(day: int, until_ms: int) -> bool:
    return (day + 1) * _DAY_MS + _WAIT_MS <= until_ms


def _seconds(times_ms: Iterable[int]) -> list[int]:
    return [time_ms // 1_000 for time_ms in times_ms]
