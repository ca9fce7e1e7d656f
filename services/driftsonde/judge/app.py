"""The judge as a process."""

from driftsonde.adapters.detector_names import installed_detectors
from driftsonde.adapters.faust_service import parts_of, serve
from driftsonde.adapters.settings import Settings
from driftsonde.adapters.topics import SKETCHES
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.judge.storage import JudgeStorage
from driftsonde.judge.worker import SERVICE, JudgeWorker


def run(settings: Settings) -> None:
    """Connect the parts and run until SIGTERM."""
    parts = parts_of(SERVICE, settings, (*SKETCH_TYPES, *CONTROL_TYPES))
    worker = JudgeWorker(
        settings=settings.judge,
        storage=JudgeStorage(parts.store, parts.codec),
        plans=parts.plans,
        codec=parts.codec,
        publisher=parts.publisher,
        dead_letters=parts.dead_letters,
        metrics=parts.instruments.metrics,
        patience=parts.patience,
        inbox=parts.inbox,
        detectors=installed_detectors(),
    )
    serve(SERVICE, settings, worker, (SKETCHES,), parts.instruments)
