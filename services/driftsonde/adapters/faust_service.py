"""What the entry points of the Faust services share: health, readiness, metrics, one loop, an orderly end."""

import asyncio
import logging
import os
import tempfile
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from driftsonde import __version__
from driftsonde.adapters.avro import Codec, RecordType
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import DeadLetters
from driftsonde.adapters.faust_app import Assignment, Positions, create_app, run_worker, subscribe
from driftsonde.adapters.inbox import Inbox
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.lag import INTERVAL_S, LagMeter
from driftsonde.adapters.metrics import Metrics, create_metrics
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.plans import PlanBook
from driftsonde.adapters.publisher import Publisher
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.service import (
    STOP_WITHIN_S,
    Conditions,
    HealthServer,
    announce_ready,
    end_within,
)
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.topics import MODELS, Topic
from driftsonde.adapters.tuning import collect_seldom, keep_freed_memory
from driftsonde.adapters.wire_models import MODEL_RECORD

_log = logging.getLogger(__name__)
_ASSIGNMENT = "assignment"
_DRAIN_S = 10.0

# Raw messages held between the consumer and the loop.
_INBOX_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


class Worker(Protocol):
    """A service's own loop."""

    inbox: Inbox

    async def start_positions(self, assigned: Assignment) -> Positions:
        """Called after every rebalance with all partitions of this worker; says where each starts."""

    def next_offsets(self) -> Positions:
        """The offsets that are to be taken next, for measuring the lag."""

    async def run(self) -> None:
        """Works until it is cancelled. An exception ends the process: what is not stored is read again."""

    async def drain(self) -> None:
        """Called once before leaving, with the consumer still a member of its group."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What is told about the service: its metrics, and what keeps it from being ready."""

    registry: CollectorRegistry
    metrics: Metrics
    ready: Conditions


@dataclass(frozen=True, slots=True)
class Parts:
    """What a Faust service is made of."""

    codec: Codec
    store: Store
    plans: PlanBook
    publisher: Publisher
    dead_letters: DeadLetters
    patience: Patience
    inbox: Inbox
    instruments: Instruments


def parts_of(service: str, settings: Settings, types: Iterable[RecordType]) -> Parts:
    """The parts of a service that reads and writes these types of events; they connect when they are used."""
    registry = CollectorRegistry()
    metrics = create_metrics(registry, service, __version__)
    ready = Conditions()
    schema_registry = ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    codec = Codec((*types, MODEL_RECORD), schema_registry)
    return Parts(
        codec=codec,
        store=Store(settings.clickhouse),
        plans=PlanBook(CompactedReader(settings.kafka, MODELS), codec),
        publisher=Publisher(Producer(producer_config(settings.kafka))),
        dead_letters=DeadLetters(Producer(producer_config(settings.kafka)), service),
        patience=Patience(ready, metrics),
        inbox=Inbox(_INBOX_BYTES),
        instruments=Instruments(registry, metrics, ready),
    )


def serve(
    service: str, settings: Settings, worker: Worker, topics: Iterable[Topic], instruments: Instruments
) -> None:
    """Run until SIGTERM. The process exits with status 1 if the loop fails, so that a supervisor starts it anew."""
    ready = instruments.ready
    ready.fail(_ASSIGNMENT, "no partitions assigned yet")
    meter = LagMeter(AdminClient(settings.kafka.librdkafka()), instruments.metrics)
    with (
        tempfile.TemporaryDirectory() as data,
        HealthServer(settings.http, instruments.registry, Conditions(), ready) as health,
    ):
        ready.when_clear(lambda: announce_ready(service, health.port))

        async def start_positions(assigned: Assignment) -> Positions:
            positions = await _or_leave(worker.start_positions(assigned))
            ready.clear(_ASSIGNMENT)
            return positions

        app = create_app(f"driftsonde-{service}", settings.kafka, Path(data), worker.inbox, start_positions)
        subscribe(app, topics)

        async def work() -> None:
            await _or_leave(worker.run())

        async def measure() -> None:
            while True:
                await asyncio.sleep(INTERVAL_S)
                try:
                    await asyncio.to_thread(meter.measure, worker.next_offsets())
                except KafkaException as error:
                    _log.warning("the lag is unknown", extra={"problem": str(error)})

        app.task(work)
        app.task(measure)
        keep_freed_memory()
        collect_seldom()

        @app.on_before_shutdown.connect
        async def leave(*_: object, **__: object) -> None:
            end_within(STOP_WITHIN_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(worker.drain(), _DRAIN_S)

        run_worker(app)


async def _or_leave(call: Coroutine[Any, Any, T]) -> T:
    """Leave the process if it fails: Faust would go on without."""
    try:
        return await call
    except asyncio.CancelledError:
        raise
    except BaseException:
        _log.exception("the service failed; leaving")
        os._exit(1)
