"""Everything at a steady rate for a while: `python -m bench.soak --rate ROWS --minutes N --date DATE`, on Apache Kafka.

Every few seconds the resident memory of each process, the lag of each service and the windows held by the judge are
written down; at the end everything has to be caught up. DIR/soak.{json,md,svg} have it all.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from confluent_kafka import Producer

from bench.machine import describe_machine, load_average, resident_mb
from bench.soak_report import Result, Sample, draw, render
from bench.stage import Stage, stage
from bench.workload import Workload
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import producer_config
from driftsonde.adapters.settings import JudgeSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import CategoricalColumn, LabelBatch, PredictionBatch, Role

SERVICES = ("sketcher", "judge", "archiver", "controller")
PARTITIONS = 12

_ROWS = 1_000  # of a message
_LABELLED = 10  # one row in so many has a label
_CAUGHT_UP_S = 600.0


@dataclass(slots=True)
class Traffic:
    """Sends what is due by the clock: predictions of now, and the labels of those sent before."""

    here: Stage
    workload: Workload
    rows_per_s: float
    sent: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    _producer: Producer = field(init=False)
    _codec: Codec = field(default_factory=lambda: Codec(EVENT_TYPES))

    def __post_init__(self) -> None:
        self._producer = Producer(producer_config(self.here.settings.kafka))

    def run(self) -> None:
        """Until told to stop, in a thread of its own."""
        rng = np.random.default_rng(1)
        began_s, done = time.monotonic(), 0
        before: dict[int, PredictionBatch] = {}
        while not self.stop.is_set():
            due = int((time.monotonic() - began_s) * self.rows_per_s / _ROWS)
            for number in range(done, due):
                partition = number % self.workload.partitions
                batch = self._batch(rng, number)
                self._send(PREDICTIONS.name, partition, batch)
                if partition in before:
                    self._send(LABELS.name, partition, _labels_of(before[partition]))
                before[partition] = batch
                self.sent += _ROWS
            done = due
            self.stop.wait(0.05)
        self._producer.flush(60)

    def _batch(self, rng: np.random.Generator, number: int) -> PredictionBatch:
        now_ms = time.time_ns() // 1_000_000
        times_ms = np.sort(now_ms - rng.integers(0, 1_000, _ROWS))
        return replace(self.workload.batch(rng, number), timestamps_ms=times_ms)

    def _send(self, topic: str, partition: int, event: PredictionBatch | LabelBatch) -> None:
        payload = self._codec.encode(event)
        while True:
            try:
                self._producer.produce(topic, payload, partition=partition)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)


def _labels_of(batch: PredictionBatch) -> LabelBatch:
    rows = slice(None, None, _LABELLED)
    (predicted,) = (column for column in batch.columns if column.role is Role.PREDICTION)
    assert isinstance(predicted, CategoricalColumn)
    column = replace(predicted, name="label", codes=np.ascontiguousarray(predicted.codes[rows]))
    return LabelBatch(batch.model, batch.ids[rows], batch.timestamps_ms[rows] + 1, column)


def soak(rows_per_s: float, minutes: float, every_s: float) -> Result:
    """Raises `TookTooLong` where the services don't catch up, `ChildFailed` where one ends."""
    workload = Workload(messages=PARTITIONS, rows=_ROWS, partitions=PARTITIONS)
    load_before = load_average()
    with stage(PARTITIONS, share_cores=True) as here:
        here.register(workload)
        pids = {service: here.start(service).process.pid for service in SERVICES}
        pids["store"] = here.store_process.process.pid
        traffic = Traffic(here, workload, rows_per_s)
        thread = threading.Thread(target=traffic.run, daemon=True)
        thread.start()
        samples = list(_sample(here, pids, traffic, 60 * minutes, every_s))
        traffic.stop.set()
        thread.join()
        stopped_s = time.monotonic()
        here.wait_until(lambda: _archived(here) >= traffic.sent, "all rows archived", _CAUGHT_UP_S)
        caught_up_s = time.monotonic() - stopped_s
        ((judged,),) = here.store.query_rows("SELECT uniq(window_start) FROM windows WHERE segment = ''")
    about = describe_machine() | {"load before": f"{load_before:.2f}", "load after": f"{load_average():.2f}"}
    return Result(rows_per_s, minutes, traffic.sent, int(judged), caught_up_s, about, tuple(samples))


def _sample(
    here: Stage, pids: dict[str, int], traffic: Traffic, length_s: float, every_s: float
) -> Iterator[Sample]:
    began_s = time.monotonic()
    while (now_s := time.monotonic() - began_s) < length_s:
        for child in here.children:
            child.check()
        lag = {
            service: _metric(here.ports[service], "driftsonde_consumer_lag_records") for service in SERVICES
        }
        fill = _metric(here.ports["judge"], 'driftsonde_buffer_fill_ratio{buffer="windows"}')
        memory_mb = {name: resident_mb(pid) for name, pid in pids.items()}
        windows = round(fill * JudgeSettings().windows_in_memory)
        yield Sample(round(now_s, 1), memory_mb, lag, windows, traffic.sent)
        time.sleep(every_s)


def _metric(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:  # our own process
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def _archived(here: Stage) -> int:
    ((rows,),) = here.store.query_rows("SELECT count() FROM predictions")
    return int(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--rate", type=float, default=10_000, help="rows a second, of 20 numeric columns")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--every", type=float, default=5, help="seconds from sample to sample")
    parser.add_argument("--out", type=Path, default=Path("bench/results/soak"))
    parser.add_argument("--date", required=True, help="the day of the run, for its record")
    options = parser.parse_args(arguments)
    result = soak(options.rate, options.minutes, options.every)
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"date": options.date, **asdict(result)}
    (options.out / "soak.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "soak.md").write_text(render(result, options.date), encoding="utf-8")
    (options.out / "soak.svg").write_text(draw(result), encoding="utf-8")
    print(render(result, options.date))
    return 0


if __name__ == "__main__":
    sys.exit(main())
