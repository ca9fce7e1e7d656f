"""The archiver alone: a topic that is full before it starts, until all of it is in the embedded engine."""

from bench.figures import Recorder, Scale, Target
from bench.names import ARCHIVED_ROW, ARCHIVER_ROWS
from bench.stage import Meter, stage
from bench.workload import Workload

_TIMEOUT_S = 150.0


def measure(scale: Scale, recorder: Recorder) -> None:
    workload = Workload(messages=scale.pick(256, 1_536))
    with stage(workload.partitions) as here:
        message_bytes = here.preload_workload(workload)
        child = here.start("archiver")
        meter = Meter((child.process.pid,))
        engine = Meter((here.store_process.process.pid,))
        here.wait_until(
            lambda: here.positions("archiver") >= workload.messages, "the archiver's positions", _TIMEOUT_S
        )
        read, engine_read = meter.read(), engine.read()
        rows = workload.total_rows
        ((stored,),) = here.store.query_rows("SELECT count() FROM predictions")
        ((row_bytes,),) = here.store.query_rows(
            "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts "
            "WHERE database = currentDatabase() AND table = 'predictions' AND active"
        )
    recorder.add(
        ARCHIVER_ROWS,
        rows / read.elapsed_s,
        "rows/s",
        rows=rows,
        columns=workload.columns,
        message_bytes=message_bytes,
        cpu_s=read.cpu_s,
        peak_mb=read.peak_mb,
        target=Target(300_000),
        note=f"{read.describe(rows)}; the engine took {engine_read.cpu_s:.1f} s and {engine_read.peak_mb:.0f} MB "
        f"beside it; {stored:,} rows stored",
    )
    note = "before parts are merged; random values, which don't compress"
    recorder.add(ARCHIVED_ROW, row_bytes, "bytes", rows=rows, columns=workload.columns, note=note)
