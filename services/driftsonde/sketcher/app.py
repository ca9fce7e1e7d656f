"""The sketcher as a process."""

from driftsonde.adapters.faust_service import parts_of, serve
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES, PREDICTION_ROW
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.sketcher.intake import Intake
from driftsonde.sketcher.settling import SERVICE
from driftsonde.sketcher.worker import SketcherWorker


def run(settings: Settings) -> None:
    """Connect the parts and run until SIGTERM."""
    parts = parts_of(SERVICE, settings, (*EVENT_TYPES, PREDICTION_ROW, *SKETCH_TYPES))
    metrics = parts.instruments.metrics
    worker = SketcherWorker(
        settings=settings.sketcher,
        store=parts.store,
        codec=parts.codec,
        publisher=parts.publisher,
        metrics=metrics,
        patience=parts.patience,
        inbox=parts.inbox,
        intake=Intake(parts.plans, parts.codec, parts.dead_letters, metrics, parts.patience),
    )
    serve(SERVICE, settings, worker, (PREDICTIONS, LABELS), parts.instruments)
