"""The sketcher as a process."""

from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from driftsonde import __version__
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import DeadLetters
from driftsonde.adapters.faust_service import Instruments, serve
from driftsonde.adapters.inbox import Inbox
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.plans import PlanBook
from driftsonde.adapters.publisher import Publisher
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.topics import LABELS, MODELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.sketcher.intake import Intake
from driftsonde.sketcher.settling import SERVICE
from driftsonde.sketcher.worker import SketcherWorker

# Raw messages held between the consumer and the loop.
INBOX_BYTES = 64 * 1024 * 1024


def run(settings: Settings) -> None:
    """Connect the parts and run until SIGTERM."""
    registry = CollectorRegistry()
    schema_registry = ConfluentRegistry(settings.registry.url) if settings.registry.url else None
    codec = Codec((*EVENT_TYPES, *SKETCH_TYPES, MODEL_RECORD), schema_registry)
    metrics = create_metrics(registry, SERVICE, __version__)
    ready = Conditions()
    patience = Patience(ready, metrics)
    worker = SketcherWorker(
        settings=settings.sketcher,
        store=Store(settings.clickhouse),
        codec=codec,
        publisher=Publisher(Producer(producer_config(settings.kafka))),
        metrics=metrics,
        patience=patience,
        inbox=Inbox(INBOX_BYTES),
        intake=Intake(
            PlanBook(CompactedReader(settings.kafka, MODELS), codec),
            codec,
            DeadLetters(Producer(producer_config(settings.kafka)), SERVICE),
            metrics,
            patience,
        ),
    )
    serve(SERVICE, settings, worker, (PREDICTIONS, LABELS), Instruments(registry, metrics, ready))
