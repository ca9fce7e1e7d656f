"""The sketcher's fold in this process, fed with decoded messages."""

from collections.abc import Sequence

from bench.workload import Workload
from driftsonde.core.chunks import NO_TIME_MS, ChunkSketch, Source
from driftsonde.core.events import PredictionBatch
from driftsonde.core.join import PredictionIndex
from driftsonde.core.plan import Plan, plan_for
from driftsonde.sketcher.chunk_state import ChunkState
from driftsonde.sketcher.folding import Folding
from driftsonde.sketcher.messages import Message

CHUNK_MESSAGES = 64
_INDEX_ROWS = 100_000


def plan_of(workload: Workload, version: str = "1") -> Plan:
    return plan_for(workload.spec(), workload.baseline(version), f"baseline-{version}", "policy")


def messages_of(batches: Sequence[PredictionBatch]) -> list[Message]:
    """Recorded by the broker the moment they were made."""
    return [Message(offset, int(batch.timestamps_ms.max()), batch) for offset, batch in enumerate(batches)]


def fold(plan: Plan, messages: Sequence[Message]) -> ChunkState:
    """Fold the messages into a new chunk, and hold their rows for labels; every version has the same plan."""
    state = ChunkState(Source("predictions", 0), CHUNK_MESSAGES, 0)
    folding = Folding(state, PredictionIndex(_INDEX_ROWS), lambda model, version: plan)
    folding.fold([(message, NO_TIME_MS) for message in messages])
    return state


def sketches_of(plan: Plan, messages: Sequence[Message]) -> list[ChunkSketch]:
    """What the messages come to: fewer than a chunk of them."""
    return [each for each in fold(plan, messages).flush() if isinstance(each, ChunkSketch)]
