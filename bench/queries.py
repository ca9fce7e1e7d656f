"""Drift over 90 days of minute windows from the stored counts, on the embedded engine; what windows and hours take there."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Recorder, Scale, Target
from bench.machine import peak_mb
from bench.names import HOUR_ROW, WINDOW_ROW
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.judge.hours import HourRollUp
from driftsonde.standalone.store_process import running_store

_COLUMNS = 200
_DAY_WINDOWS = 1_440
_BOUND_S = 1.0
_ROUNDS = 3
_STATEMENT_S = 600
_LATER_MS = 4_000_000_000_000
_CODECS = ("LZ4", "ZSTD(1)", "ZSTD(3)", "Delta, ZSTD(1)", "T64, LZ4", "T64, ZSTD(1)")

_SLICE = "model = 'm', version = '1', variant = 'champion', segment = 'country=FR'"
_WHERE = _SLICE.replace(",", " AND")
_DIRECT = """
SELECT column, baseline, any(edges), any(reference_counts), sumForEach(counts) FROM windows FINAL
WHERE {slice} AND window_start >= {begin} AND window_start < {end} GROUP BY column, kind, role, baseline
"""

# A month's worth or so at a time, in the order of the table: as the parts are once they have been merged. About 1,000
# rows a window in ten bins; the moments are numbers that no codec can make smaller.
_FILL = """
INSERT INTO windows
WITH intDiv(number, {windows:UInt64}) AS column_number, cityHash64(number, {first:UInt64}) AS noise
SELECT 'm', '1', 'champion', 'country=FR', concat('n', leftPad(toString(column_number), 3, '0')),
    toDateTime64('2026-01-01', 3, 'UTC') + toIntervalMinute({first:UInt64} + number % {windows:UInt64}) AS start,
    start + toIntervalMinute(1), 'numeric', 'feature',
    arrayMap(i -> i / 10 + column_number / 7, range(11)), [],
    arrayMap(i -> toInt64(if(i IN (0, 11, 12), bitAnd(bitShiftRight(noise, 4 * i), 3),
        80 + bitAnd(bitShiftRight(noise, 4 * i), 31))), range(13)),
    arrayMap(i -> toInt64(500 + (i + column_number) % 7), range(13)),
    1000 + (noise % 1000003) / 7, 2000 + (noise % 1000033) / 7, -2 - (noise % 1000037) / 1e6, 3 + (noise % 1000039) / 1e6,
    'b1', 0
FROM numbers({windows:UInt64} * {columns:UInt64})
"""


def measure(scale: Scale, recorder: Recorder) -> None:
    days = scale.pick(3, 90)
    with TemporaryDirectory(prefix="bench-") as directory:
        options = ("--max-execution-s", str(_STATEMENT_S))
        with running_store(Path(directory) / "store", *options) as process:
            store = Store(ClickHouseSettings(process.host, process.port, send_receive_timeout_s=_STATEMENT_S))
            store.create_database()
            apply_migrations(store, schemas_directory() / "clickhouse")
            _fill(store, days)
            _add_up(store, recorder, days)
            _ask(store, recorder, days, process.process.pid)
            _weigh(store, recorder, "windows", WINDOW_ROW)
            _weigh(store, recorder, "window_hours", HOUR_ROW)
            _try_codecs(store, recorder, "windows", "a window", "1 DAY")
            _try_codecs(store, recorder, "window_hours", "an hour", "30 DAY")
            store.close()


def _fill(store: Store, days: int) -> None:
    step_days = 15
    for first_day in range(0, days, step_days):
        windows = min(step_days, days - first_day) * _DAY_WINDOWS
        store.command(_FILL, {"windows": windows, "first": first_day * _DAY_WINDOWS, "columns": _COLUMNS})


def _add_up(store: Store, recorder: Recorder, days: int) -> None:
    """The hours, as the judge adds them up: those of a day at a time."""
    store.command(
        "INSERT INTO rolled_hours SELECT DISTINCT model, toStartOfHour(window_start), 0 FROM windows"
    )
    hours = HourRollUp(store)
    hours.load("m")
    began_s = time.perf_counter()
    while (batch := hours.begin({"m": _LATER_MS})) is not None:
        hours.add_up(batch)
    recorder.add(
        "the hours of a day, added up by the judge",
        (time.perf_counter() - began_s) / days,
        "s",
        rows=_DAY_WINDOWS * _COLUMNS,
        columns=_COLUMNS,
        cores=len(os.sched_getaffinity(0)),
        note="once, after the day; again what is restated later",
    )


def _ask(store: Store, recorder: Recorder, days: int, engine: int) -> None:
    """Periods that begin and end within hours: windows have to be read besides. A day within a month, too."""
    begin, end = _at(0, "00:17:00"), _at(days - 1, "23:42:00")
    middle = _at(days // 2, "12:30:00")
    baseline = f"SELECT * FROM drift_from_baseline({_SLICE}, from_time = {begin}, to_time = {end})"
    between = f"drift_between({_SLICE}, from_a = {begin}, to_a = {middle}, from_b = {middle}, to_b = {end})"
    day = f"drift_from_baseline({_SLICE}, from_time = {_at(1, '00:17:00')}, to_time = {_at(2, '00:17:00')})"
    queries: Mapping[str, tuple[str, int]] = {
        f"{days} days against the baseline": (baseline, days),
        f"the second half of {days} days against the first": (f"SELECT * FROM {between}", days),
        "a day against the baseline": (f"SELECT * FROM {day}", 1),
        f"a column, {days} days against the baseline": (f"{baseline} WHERE column = 'n007'", days),
    }
    for name, (sql, read_days) in queries.items():
        taken_s = min(_seconds(store, sql) for _ in range(_ROUNDS))
        recorder.add(
            name,
            taken_s,
            "s",
            rows=read_days * _DAY_WINDOWS * _COLUMNS,
            columns=_COLUMNS,
            cores=len(os.sched_getaffinity(0)),
            peak_mb=peak_mb([engine]),
            target=Target(_BOUND_S, at_least=False),
            note="minute windows of one segment, from and to within an hour; rows are windows × columns",
        )
    direct_s = _seconds(store, _DIRECT.format(slice=_WHERE, begin=begin, end=end))
    recorder.add(
        f"the windows of {days} days added up, without hours",
        direct_s,
        "s",
        rows=days * _DAY_WINDOWS * _COLUMNS,
        columns=_COLUMNS,
        cores=len(os.sched_getaffinity(0)),
        note="what the first would have to do",
    )


def _at(day: int, time_of_day: str) -> str:
    return f"toDateTime64('2026-01-01 {time_of_day}', 3, 'UTC') + toIntervalDay({day})"


def _seconds(store: Store, sql: str) -> float:
    began_s = time.perf_counter()
    store.query_rows(sql)
    return time.perf_counter() - began_s


def _weigh(store: Store, recorder: Recorder, table: str, name: str) -> None:
    """Bytes of a row of a column, compressed, without the marks. Small parts don't tell them by column."""
    ((total, rows),) = store.query_rows(
        "SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts "
        "WHERE database = currentDatabase() AND table = {table:String} AND active",
        {"table": table},
    )
    sizes = store.query_rows(
        "SELECT column, sum(column_data_compressed_bytes) AS size FROM system.parts_columns "
        "WHERE database = currentDatabase() AND table = {table:String} AND active "
        "GROUP BY column HAVING size > 0 ORDER BY size DESC",
        {"table": table},
    )
    parts = ", ".join(f"{column} {size / rows:.2g}" for column, size in sizes[:7])
    recorder.add(name, total / rows, "bytes", rows=rows, note=parts)


def _try_codecs(store: Store, recorder: Recorder, table: str, what: str, period: str) -> None:
    """The counts of a while, in each codec."""
    time_column = "window_start" if table == "windows" else "hour"
    for codec in _CODECS:
        store.command(
            "CREATE OR REPLACE TABLE tried (column LowCardinality(String), at DateTime64(3, 'UTC'), "
            f"counts Array(Int64) CODEC({codec})) ENGINE = MergeTree ORDER BY (column, at) "
            "SETTINGS min_bytes_for_wide_part = 0"
        )
        store.command(
            f"INSERT INTO tried SELECT column, {time_column}, counts FROM {table} "
            f"WHERE {time_column} < toDateTime('2026-01-01', 'UTC') + INTERVAL {period}"
        )
        ((size, rows),) = store.query_rows(
            "SELECT sum(column_data_compressed_bytes), sum(rows) FROM system.parts_columns "
            "WHERE database = currentDatabase() AND table = 'tried' AND active AND column = 'counts'"
        )
        sql = "SELECT column, sumForEach(counts) FROM tried GROUP BY column"
        taken_s = min(_seconds(store, sql) for _ in range(_ROUNDS))
        note = f"added up in {taken_s * 1_000:.0f} ms"
        recorder.add(f"counts of {what}, {codec}", size / rows, "bytes", rows=rows, note=note)
    store.command("DROP TABLE tried")
