"""The controller alone: a topic of signals that is full before it starts, until each has its decision."""

import math
from collections.abc import Iterator

from confluent_kafka import Consumer, TopicPartition

from bench.figures import Recorder, Scale
from bench.stage import Meter, Stage, stage
from bench.workload import START_MS, WINDOW_MS
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import consumer_config
from driftsonde.adapters.topics import DECISIONS, SIGNALS
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind, derive_id

_MODELS = 100
_TIMEOUT_S = 120.0


def measure(scale: Scale, recorder: Recorder) -> None:
    count = scale.pick(500, 5_000)
    codec = Codec(CONTROL_TYPES)
    with stage() as here:
        _, total_bytes = here.preload(
            (
                (number % here.partitions, codec.encode(signal))
                for number, signal in enumerate(signals(count))
            ),
            SIGNALS.name,
        )
        child = here.start("controller")
        meter = Meter((child.process.pid,))
        here.wait_until(lambda: _decisions(here) >= count, "the decisions", _TIMEOUT_S)
        read = meter.read()
    recorder.add(
        "an alert to its decision",
        count / read.elapsed_s,
        "decisions/s",
        rows=count,
        message_bytes=total_bytes // count,
        cpu_s=read.cpu_s,
        peak_mb=read.peak_mb,
        note=f"{_MODELS} models, no webhook configured",
    )


def signals(count: int) -> Iterator[Signal]:
    """Alerts, each of an episode of its own."""
    for number in range(count):
        start_ms = START_MS + number // _MODELS * WINDOW_MS
        model = f"model-{number % _MODELS}"
        episode = derive_id("episode", model, start_ms)
        yield Signal(
            id=derive_id("alert", episode),
            kind=SignalKind.ALERT,
            rule=Rule.DRIFT,
            model=model,
            version="1",
            variant=Variant.CHAMPION,
            segment="",
            window_start_ms=start_ms,
            window_end_ms=start_ms + WINDOW_MS,
            since_ms=start_ms,
            episode=episode,
            summary="drift: psi of n0 0.5 (limit 0.2)",
            evidence=tuple(
                Evidence(start_ms, start_ms + WINDOW_MS, f"n{i}", "psi", 0.5, 0.2, math.nan, math.nan, 1_000)
                for i in range(10)
            ),
            baseline="b",
            policy="p",
        )


def _decisions(here: Stage) -> int:
    consumer = Consumer(consumer_config(here.settings.kafka, "bench"))
    try:
        places = [TopicPartition(DECISIONS.name, p) for p in range(here.partitions)]
        return sum(consumer.get_watermark_offsets(place, timeout=10.0)[1] for place in places)
    finally:
        consumer.close()
