"""Drift over 90 days of minute windows from the stored counts, on the embedded engine; what a window takes in the store."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Recorder, Scale, Target
from bench.machine import peak_mb
from bench.names import WINDOW_ROW
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.standalone.store_process import running_store

_COLUMNS = 200
_DAY_WINDOWS = 1_440
_BOUND_S = 1.0
_ROUNDS = 3
_STATEMENT_S = 600
_CODECS = ("LZ4", "ZSTD(1)", "ZSTD(3)", "Delta, ZSTD(1)", "T64, LZ4", "T64, ZSTD(1)")

_SLICE = "model = 'm', version = '1', variant = 'champion', segment = 'country=FR'"

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
            _ask(store, recorder, days, process.process.pid)
            _weigh(store, recorder, days)
            _try_codecs(store, recorder)
            store.close()


def _fill(store: Store, days: int) -> None:
    step_days = 15
    for first_day in range(0, days, step_days):
        windows = min(step_days, days - first_day) * _DAY_WINDOWS
        store.command(_FILL, {"windows": windows, "first": first_day * _DAY_WINDOWS, "columns": _COLUMNS})


def _ask(store: Store, recorder: Recorder, days: int, engine: int) -> None:
    middle = f"toDateTime64('2026-01-01', 3, 'UTC') + toIntervalDay({days // 2})"
    end = f"toDateTime64('2026-01-01', 3, 'UTC') + toIntervalDay({days})"
    start = "toDateTime64('2026-01-01', 3, 'UTC')"
    queries: Mapping[str, tuple[str, int]] = {
        f"{days} days against the baseline": (
            f"SELECT * FROM drift_from_baseline({_SLICE}, from_time = {start}, to_time = {end})",
            days,
        ),
        f"the last {days - days // 2} days against those before": (
            f"SELECT * FROM drift_between({_SLICE}, from_a = {start}, to_a = {middle}, from_b = {middle}, to_b = {end})",
            days,
        ),
        "a day against the baseline": (
            f"SELECT * FROM drift_from_baseline({_SLICE}, from_time = {middle}, to_time = {middle} + toIntervalDay(1))",
            1,
        ),
        f"a column, {days} days against the baseline": (
            f"SELECT * FROM drift_from_baseline({_SLICE}, from_time = {start}, to_time = {end}) WHERE column = 'n007'",
            days,
        ),
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
            note="minute windows of one segment; rows are windows × columns",
        )


def _seconds(store: Store, sql: str) -> float:
    began_s = time.perf_counter()
    store.query_rows(sql)
    return time.perf_counter() - began_s


def _weigh(store: Store, recorder: Recorder, days: int) -> None:
    rows = days * _DAY_WINDOWS * _COLUMNS
    sizes = store.query_rows(
        "SELECT column, sum(column_data_compressed_bytes) AS size FROM system.parts_columns "
        "WHERE database = currentDatabase() AND table = 'windows' AND active GROUP BY column ORDER BY size DESC"
    )
    total = sum(size for _, size in sizes)
    parts = ", ".join(f"{name} {size / rows:.2g}" for name, size in sizes[:7])
    recorder.add(WINDOW_ROW, total / rows, "bytes", rows=rows, note=parts)


def _try_codecs(store: Store, recorder: Recorder) -> None:
    """The counts of a day, in each codec."""
    day = "window_start < '2026-01-02'"
    for codec in _CODECS:
        store.command(
            "CREATE OR REPLACE TABLE tried (column LowCardinality(String), window_start DateTime64(3, 'UTC'), "
            f"counts Array(Int64) CODEC({codec})) ENGINE = MergeTree ORDER BY (column, window_start)"
        )
        store.command(f"INSERT INTO tried SELECT column, window_start, counts FROM windows WHERE {day}")
        ((size, rows),) = store.query_rows(
            "SELECT sum(column_data_compressed_bytes), sum(rows) FROM system.parts_columns "
            "WHERE database = currentDatabase() AND table = 'tried' AND active AND column = 'counts'"
        )
        sql = "SELECT column, sumForEach(counts) FROM tried GROUP BY column"
        taken_s = min(_seconds(store, sql) for _ in range(_ROUNDS))
        note = f"added up in {taken_s * 1_000:.0f} ms"
        recorder.add(f"counts of a window, {codec}", size / rows, "bytes", rows=rows, note=note)
    store.command("DROP TABLE tried")
