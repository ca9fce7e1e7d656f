"""The idle timeout, as messages: a partition that has fallen silent is told how far event time has come elsewhere."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store, StoreUnavailable
from driftsonde.adapters.publisher import Publisher
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.core.chunks import NO_TIME_MS, Source
from driftsonde.core.events import Heartbeat
from driftsonde.sketcher.chunk_state import ChunkState
from driftsonde.sketcher.pipeline import PartitionPipeline
from driftsonde.sketcher.storage import StepLog, read_event_time


@dataclass(slots=True)
class Heartbeats:
    """Sends to the partitions of this worker. Other workers' event time comes from the store."""

    store: Store
    steps: StepLog
    codec: Codec
    publisher: Publisher
    idle_timeout_s: float
    future_tolerance_ms: int
    _arrived_s: dict[Source, float] = field(default_factory=dict)
    _asked_s: float = 0.0
    _elsewhere_ms: int = NO_TIME_MS

    def note_arrival(self, source: Source) -> None:
        self._arrived_s[source] = time.monotonic()

    async def send(self, pipelines: Iterable[PartitionPipeline]) -> None:
        """To predictions also how far labels are waiting for them to come, so that the labels of a night are joined before
        the morning."""
        kept = list(pipelines)
        states = [state for pipeline in kept for state in (pipeline.predictions, pipeline.labels)]
        if any(self._is_idle(state) for state in states):
            await self._look_elsewhere()
        newest_ms = max((state.event_time_ms for state in states), default=NO_TIME_MS)
        newest_ms = max(newest_ms, self._elsewhere_ms)
        # Half the tolerance leaves room for the clocks of broker and sketcher to differ.
        latest_ms = time.time_ns() // 1_000_000 + self.future_tolerance_ms // 2
        for pipeline in kept:
            awaited_ms = max(newest_ms, min(pipeline.waiting.awaited_ms, latest_ms))
            self._send(pipeline.predictions, awaited_ms)
            if not pipeline.waiting.messages:
                self._send(pipeline.labels, newest_ms)

    async def _look_elsewhere(self) -> None:
        """Ask the store how far the partitions of all workers have come, and tell it how far ours have."""
        now_s = time.monotonic()
        if now_s < self._asked_s + self.idle_timeout_s / 2:
            return
        self._asked_s = now_s
        try:
            await asyncio.to_thread(self.steps.write)
            self._elsewhere_ms = await asyncio.to_thread(read_event_time, self.store, PREDICTIONS.name)
        except StoreUnavailable:
            return  # what is known of before will do until it is asked again

    def _send(self, state: ChunkState, event_time_ms: int) -> None:
        if state.event_time_ms < event_time_ms and self._is_idle(state):
            self.note_arrival(state.source)
            payload = self.codec.encode(Heartbeat(event_time_ms))
            self.publisher.send(state.source.topic, b"heartbeat", payload, state.source.partition)

    def _is_idle(self, state: ChunkState) -> bool:
        return time.monotonic() - self._arrived_s[state.source] > self.idle_timeout_s
