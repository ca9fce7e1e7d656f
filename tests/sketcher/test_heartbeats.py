"""A worker none of whose partitions has ever had a message tells them how far event time has come at other workers."""

import asyncio
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.publisher import Publisher
from driftsonde.adapters.settings import SketcherSettings
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.chunks import EventTimeStep, Source
from driftsonde.core.events import Heartbeat
from driftsonde.sketcher.heartbeats import Heartbeats
from driftsonde.sketcher.pipeline import PartitionPipeline
from driftsonde.sketcher.starting import start_partitions
from driftsonde.sketcher.storage import StepLog
from stream_examples import plans

CODEC = Codec(EVENT_TYPES)


@dataclass(slots=True)
class Sent(Publisher):
    """Keeps what is sent: (topic, partition, event time)."""

    beats: list[tuple[str, int | None, int]] = field(default_factory=list)

    def send(self, topic: str, key: bytes, value: bytes, partition: int | None = None) -> None:
        event = CODEC.decode(value)
        assert isinstance(event, Heartbeat)
        self.beats.append((topic, partition, event.timestamp_ms))


def send(heartbeats: Heartbeats, pipelines: list[PartitionPipeline]) -> list[tuple[str, int | None, int]]:
    """What is sent in one round."""
    assert isinstance(heartbeats.publisher, Sent)
    heartbeats.publisher.beats.clear()
    asyncio.run(heartbeats.send(pipelines))
    return heartbeats.publisher.beats


@pytest.mark.io
def test_event_time_comes_from_other_workers(store: Store) -> None:
    elsewhere = StepLog(store)
    publisher = Sent(Producer({"test.mock.num.brokers": 1}))
    ours = Heartbeats(
        store, StepLog(store), CODEC, publisher, idle_timeout_s=0.0, future_tolerance_ms=300_000
    )
    pipelines = start_partitions(store, [4, 5], SketcherSettings(), plans)
    for pipeline in pipelines:
        ours.note_arrival(pipeline.predictions.source)
        ours.note_arrival(pipeline.labels.source)
    assert send(ours, pipelines) == []
    elsewhere.add([EventTimeStep(Source("predictions", 0), 7, 60_000)])
    elsewhere.write()
    told = send(ours, pipelines)
    assert sorted(told) == [(t, p, 60_000) for t in ("labels", "predictions") for p in (4, 5)]
