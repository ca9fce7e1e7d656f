"""The sketcher alone: one worker on one core, a topic that is full before it starts, until all of it is folded. The
same bytes read by confluent-kafka, and the same values copied in memory, say how far from the limit that is."""

from dataclasses import replace
from typing import Any

from bench.figures import Recorder, Scale, Target
from bench.limits import consume_rows_per_s, copy_rows_per_s
from bench.names import NUMERIC_20, NUMERIC_200
from bench.stage import Meter, Reading, Stage, stage
from bench.workload import Workload, event_payloads

CHUNK_MESSAGES = 64
_TIMEOUT_S = 120.0

# What is folded, and the rows/s that the design asks for.
_BASE = Workload(messages=0)


def cases(scale: Scale) -> list[tuple[str, Workload, Target | None]]:
    """Each with whole chunks on every partition, since a position moves at the end of a chunk."""

    def sized(workload: Workload, quick_rows: int, full_rows: int) -> Workload:
        unit = CHUNK_MESSAGES * workload.partitions
        chunks = max(1, round(scale.pick(quick_rows, full_rows) / workload.rows / unit))
        return replace(workload, messages=chunks * unit)

    return [
        (
            NUMERIC_20,
            sized(_BASE, 512_000, 2_560_000),
            Target(1_000_000),
        ),
        (
            "20 numeric, messages of 100 rows",
            sized(replace(_BASE, rows=100), 100_000, 800_000),
            Target(400_000),
        ),
        (
            NUMERIC_200,
            sized(replace(_BASE, rows=250, numeric=200), 64_000, 384_000),
            Target(100_000),
        ),
        (
            "20 categorical, messages of 1,000 rows",
            sized(replace(_BASE, numeric=0, categorical=20), 256_000, 1_536_000),
            Target(333_000),
        ),
    ]


def measure(scale: Scale, recorder: Recorder) -> None:
    for name, workload, target in cases(scale):
        with stage(workload.partitions) as here:
            message_bytes = here.preload_workload(workload)
            _measure(here, recorder, name, workload, message_bytes, target)
    events = Workload(messages=scale.pick(4_096, 32_768) // 1_024, rows=1_024)
    with stage(events.partitions) as here:
        here.register(events)
        count, total_bytes = here.preload(event_payloads(events))
        single = replace(events, messages=count, rows=1)
        name = "20 numeric, single-row events"
        _measure(here, recorder, name, single, total_bytes // count, Target(8_000))


def _measure(
    here: Stage, recorder: Recorder, name: str, workload: Workload, message_bytes: int, target: Target | None
) -> None:
    read = fold_all(here, workload.messages, workers=1)
    rows = workload.total_rows
    load = {
        "rows": rows,
        "columns": workload.columns,
        "message_rows": workload.rows,
        "message_bytes": message_bytes,
    }
    rate = rows / read.elapsed_s
    recorder.add(name, rate, "rows/s", **load, **measured(read, rows), target=target)
    consumed = consume_rows_per_s(here, workload)
    recorder.add(f"{name}: only read", consumed, "rows/s", **load, note=f"we reach {rate / consumed:.1%}")
    if workload.numeric and workload.rows > 1:
        copied = copy_rows_per_s(workload)
        recorder.add(f"{name}: only copied", copied, "rows/s", **load, note=f"we reach {rate / copied:.1%}")


def measured(read: Reading, rows: int) -> dict[str, Any]:
    """The fields of a figure that a reading has."""
    return {"cpu_s": read.cpu_s, "peak_mb": read.peak_mb, "note": read.describe(rows)}


def fold_all(here: Stage, messages: int, workers: int) -> Reading:
    """From when the workers have their partitions until all is folded."""
    children = [here.start("sketcher") for _ in range(workers)]
    meter = Meter(tuple(child.process.pid for child in children))
    here.wait_until(lambda: here.positions("sketcher") >= messages, "the sketcher's positions", _TIMEOUT_S)
    read = meter.read()
    here.stop()
    return read
