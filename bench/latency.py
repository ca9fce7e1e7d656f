"""From the last event of a window past the watermark to its verdict in ClickHouse, and to the webhook on call."""

import json
import math
import os
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from confluent_kafka import KafkaError, Message, Producer

from bench.figures import Recorder, Target
from bench.stage import Stage, stage
from bench.workload import Workload, random_ids
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.kafka import producer_config
from driftsonde.adapters.settings import ControllerSettings, Settings
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.core.events import NumericColumn, PredictionBatch
from driftsonde.core.spec import ActionPolicy, DriftRule, ModelSpec
from driftsonde.standalone.demo.receiver import Receiver, new_secret

WINDOW_MS = 2_000
LATENESS_MS = 200
TICK_MS = 100
SERVICES = ("sketcher", "judge", "archiver", "controller")

_WARM_WINDOWS = 3
_SETTLE_S = 5.0
_POLL_S = 0.02
_SHIFT = 3.0
_TEMPLATES = 8


@dataclass(slots=True)
class Moments:
    """When what happened to which window (by its start), wall clock in seconds."""

    passed: dict[int, float] = field(default_factory=dict)
    stored: dict[int, float] = field(default_factory=dict)
    told: dict[int, float] = field(default_factory=dict)


def measure_latency(rows_per_s: float, windows: int, recorder: Recorder) -> None:
    """At a steady `rows_per_s`, over so many windows of two seconds of which every second one drifts."""
    workload = Workload(messages=0, rows=max(10, round(rows_per_s * TICK_MS / 1_000 / 4)))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        receiver = stack.enter_context(Receiver({"oncall": new_secret()}))
        settings = Settings(
            controller=ControllerSettings(webhooks_file=str(_write_webhooks(receiver, directory)))
        )
        here = stack.enter_context(stage(workload.partitions, settings, share_cores=True))
        _register(here, workload)
        for service in SERVICES:
            here.start(service)
        moments = Moments()
        watch = _Watch(here, moments)
        with watch:
            _send(here, workload, windows + _WARM_WINDOWS, moments)
            time.sleep(_SETTLE_S)
        for delivery in receiver.deliveries:
            start = _window_of(delivery.data)
            if start is not None:
                moments.told.setdefault(start, delivery.at_ms / 1_000)
    offered = workload.rows * workload.partitions * 1_000 / TICK_MS
    _report(recorder, "to the verdict in ClickHouse", moments.passed, moments.stored, offered, 1.0)
    _report(recorder, "to the webhook", moments.passed, moments.told, offered, 2.0)


def _report(
    recorder: Recorder,
    name: str,
    passed: Mapping[int, float],
    seen: Mapping[int, float],
    rows_per_s: float,
    bound_s: float,
) -> None:
    """Of the windows after the first few, in which everything was still being loaded."""
    measured = sorted(passed)[_WARM_WINDOWS:]
    taken_s = [seen[start] - passed[start] for start in measured if start in seen]
    middle, slowest = np.percentile(taken_s, (50, 99)) if taken_s else (math.nan, math.nan)
    note = f"{len(taken_s)} of {len(measured)} windows; {rows_per_s:,.0f} rows/s; median {middle:.3g} s"
    target = Target(bound_s, at_least=False)
    cores = len(os.sched_getaffinity(0))
    recorder.add(f"latency {name}, p99", float(slowest), "s", target=target, cores=cores, note=note)


def _spec(workload: Workload) -> ModelSpec:
    """A model that alerts at the first window that drifts, and resolves at the first that doesn't."""
    spec = workload.spec()
    drift = DriftRule(alert_after=1, retrain_after=1_000, resolve_after=1, min_rows=10)
    policy = replace(spec.policy, drift=drift, actions=ActionPolicy(learning_ms=0))
    return replace(spec, window_ms=WINDOW_MS, lateness_ms=LATENESS_MS, policy=policy)


def _register(here: Stage, workload: Workload) -> None:
    records = [
        spec_record(_spec(workload)),
        *(version_record(workload.model(0), v, workload.baseline(v)) for v in ("1", "2")),
    ]
    register(Producer(producer_config(here.settings.kafka)), Codec((MODEL_RECORD,)), {}, records)


def _send(here: Stage, workload: Workload, windows: int, moments: Moments) -> None:
    """A message a partition and tick, each in real time; notes when the brokers had what closes a window."""
    producer = Producer(producer_config(here.settings.kafka) | {"linger.ms": 0})
    codec = Codec(EVENT_TYPES)
    templates = [batch for _, batch in replace(workload, messages=2 * _TEMPLATES).batches()]
    first_ms = math.ceil(time.time() * 1_000 / WINDOW_MS + 1) * WINDOW_MS
    closing_tick = (
        WINDOW_MS + LATENESS_MS
    ) // TICK_MS  # of the first window: its events pass the allowed lateness
    window_ticks = WINDOW_MS // TICK_MS
    for tick in range(windows * window_ticks + closing_tick):
        start_ms = first_ms + tick * TICK_MS
        while (early_s := (start_ms + TICK_MS) / 1_000 - time.time()) > 0:
            producer.poll(min(early_s, _POLL_S / 10))  # a delivery is noted when it is polled
        window, off = divmod(tick - closing_tick, window_ticks)
        arrived = _Closing(workload.partitions, first_ms + window * WINDOW_MS, moments)
        for partition in range(workload.partitions):
            template = templates[(tick * workload.partitions + partition) % len(templates)]
            drifting = (start_ms // WINDOW_MS) % 2 == 1
            payload = codec.encode(_stamped(template, start_ms, drifting))
            closes = window >= 0 and off == 0
            producer.produce(
                PREDICTIONS.name, payload, partition=partition, on_delivery=arrived if closes else None
            )
        producer.poll(0)
    producer.flush(10.0)


@dataclass(slots=True)
class _Closing:
    """Notes when the last of the partitions has the event that closes a window."""

    left: int
    window_ms: int
    moments: Moments

    def __call__(self, error: KafkaError | None, _: Message) -> None:
        self.left -= error is None
        if not self.left:
            self.moments.passed[self.window_ms] = time.time()


def _stamped(template: PredictionBatch, start_ms: int, drifting: bool) -> PredictionBatch:
    """The rows of a template, as of the tick that begins at `start_ms`; its last event is the tick's last moment."""
    rows = len(template.ids)
    times = start_ms + np.arange(1, rows + 1) * TICK_MS // rows - 1
    first, *rest = template.columns
    assert isinstance(first, NumericColumn)
    shifted = replace(first, values=first.values + _SHIFT) if drifting else first
    return replace(
        template, ids=random_ids(rows), timestamps_ms=times.astype(np.int64), columns=(shifted, *rest)
    )


class _Watch:
    """Looks into the store again and again, in a thread of its own."""

    def __init__(self, here: Stage, moments: Moments) -> None:
        self._store = Store(here.settings.clickhouse)
        self._moments = moments
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._store.close()

    def _look(self) -> None:
        known = 0
        while not self._stopping.wait(_POLL_S):
            rows = self._store.query_rows(
                "SELECT DISTINCT toUnixTimestamp64Milli(window_start) FROM metrics_as_judged "
                "WHERE metric = 'psi' AND segment = '' AND window_start > fromUnixTimestamp64Milli({known:Int64})",
                {"known": known},
            )
            now_s = time.time()
            for (start,) in rows:
                self._moments.stored.setdefault(int(start), now_s)
                known = max(known, int(start))


def _window_of(data: Mapping[str, object]) -> int | None:
    """The start of the window that a message is about."""
    signal = data.get("signal")
    if not isinstance(signal, dict):
        return None
    moment = datetime.fromisoformat(str(signal["window_start"]))
    return round(moment.timestamp() * 1_000)


def _write_webhooks(receiver: Receiver, directory: Path) -> Path:
    path = directory / "webhooks.toml"
    path.touch(mode=0o600)
    path.write_text(
        'allow_hosts = ["127.0.0.1"]\n\n[[endpoints]]\nname = "oncall"\n'
        f"url = {json.dumps(receiver.url('oncall'))}\nsecret = {json.dumps(receiver.secrets['oncall'])}\n",
        encoding="utf-8",
    )
    return path
