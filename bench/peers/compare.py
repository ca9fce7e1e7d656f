"""The peers and this project on the same rows, one after another, each on one core."""

import json
import math
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bench.figures import Recorder, Scale, Target
from bench.folding import fold, messages_of, plan_of
from bench.machine import spare_cores
from bench.peers.environments import PEERS, NotInstalled, Peer, python_of
from bench.sketcher import fold_all
from bench.stage import stage
from bench.timing import best_seconds
from bench.workload import Workload
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import NumericColumn, PredictionBatch

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
ENVIRONMENTS = _CACHE / "driftsonde" / "peers"
_ROOT = Path(__file__).parents[2]
_WINDOW = 1_000
_REFERENCE_ROWS = 5_000
_RUN_S = 180
_AHEAD = 40.0


def measure(scale: Scale, recorder: Recorder) -> None:
    workload = Workload(messages=scale.pick(256, 1_024))
    ours = _on_kafka(workload)
    recorder.add(
        "Driftsonde, from Kafka to sketches",
        ours,
        "rows/s",
        rows=workload.total_rows,
        columns=workload.columns,
        note="read, decoded, folded in two versions and three segment columns, published",
    )
    _in_process(recorder)
    best = math.nan
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        files = _write_rows(Path(directory), rows=scale.pick(20_000, 100_000))
        for peer in PEERS:
            try:
                python = python_of(peer, ENVIRONMENTS)
                lines = _run(peer, python, files)
            except (NotInstalled, RuntimeError) as error:
                recorder.add(peer.name, math.nan, "rows/s", note=f"not measured: {error}")
                continue
            for line in lines:
                found = json.loads(line)
                rate = float(found["rows_per_s"])
                best = float(np.nanmax([best, rate]))
                recorder.add(
                    f"{peer.name} {found['version']}: {found['what']}",
                    rate,
                    "rows/s",
                    rows=int(found["rows"]),
                    columns=workload.numeric,
                    note=f"ours is {ours / rate:,.1f} times as fast",
                )
    recorder.add("ours ÷ the fastest peer", ours / best, "times", target=Target(_AHEAD))


def _on_kafka(workload: Workload) -> float:
    with stage(workload.partitions) as here:
        here.preload_workload(workload)
        return workload.total_rows / fold_all(here, workload.messages, workers=1).elapsed_s


def _in_process(recorder: Recorder) -> None:
    """Decoding and folding alone: the peers are given their rows in memory."""
    workload = Workload(messages=16)
    plan, codec = plan_of(workload), Codec(EVENT_TYPES)
    payloads = [codec.encode(batch) for _, batch in workload.batches()]

    def run() -> None:
        decoded = [codec.decode(payload) for payload in payloads]
        fold(plan, messages_of([event for event in decoded if isinstance(event, PredictionBatch)]))

    taken_s = best_seconds({"run": run})["run"]
    recorder.add(
        "Driftsonde, from bytes in memory to sketches",
        workload.total_rows / taken_s,
        "rows/s",
        rows=workload.total_rows,
        columns=workload.columns,
    )


def _write_rows(directory: Path, rows: int) -> tuple[str, str]:
    """The numeric columns of the same traffic, as files: the reference's, and those that are looked at."""
    paths = []
    for name, count, seed in (("reference", _REFERENCE_ROWS, 1), ("current", rows, 0)):
        workload = Workload(messages=1, rows=count, seed=seed)
        ((_, batch),) = workload.batches()
        values = [c.values for c in batch.columns if isinstance(c, NumericColumn) and c.name != "score"]
        path = directory / f"{name}.npy"
        np.save(path, np.stack(values, axis=1))
        paths.append(str(path))
    return paths[0], paths[1]


def _run(peer: Peer, python: Path, files: tuple[str, str]) -> list[str]:
    """The lines of its results. Raises RuntimeError with what it said last."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, spare_cores()[0])
    try:
        done = subprocess.run(
            [str(python.absolute()), "-m", f"bench.peers.{peer.name}_rows", *files, str(_WINDOW)],
            cwd=_ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_S,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it took more than {_RUN_S} s") from None
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return [line for line in done.stdout.splitlines() if line.startswith("{")]
