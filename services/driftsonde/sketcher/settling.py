"""Finished chunks: what a restart needs of them is stored, then their messages are acknowledged."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from driftsonde.adapters.clickhouse import Backoff, Store, StoreUnavailable
from driftsonde.adapters.dead_letters import DeadLetters
from driftsonde.adapters.inbox import Incoming
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.positions import Position, write_positions
from driftsonde.adapters.publisher import Publisher
from driftsonde.core.chunks import Source
from driftsonde.sketcher.chunk_state import FinishedChunk
from driftsonde.sketcher.storage import StepLog, write_unmatched

SERVICE = "sketcher"

# Finished chunks whose positions could not be stored yet; beyond, nothing more is taken in.
FINISHED_BOUND = 4_096


@dataclass(slots=True)
class Settling:
    """Holds messages until the chunks that they are in are stored. An outage of the store is waited out."""

    store: Store
    steps: StepLog
    publisher: Publisher
    dead_letters: DeadLetters
    patience: Patience
    chunk_messages: int
    _held: dict[Source, deque[tuple[int, Callable[[], None]]]] = field(default_factory=dict)
    _finished: list[FinishedChunk] = field(default_factory=list)
    _again_s: float = 0.0
    _outage_delays_s: Iterator[float] | None = None

    @property
    def fill_ratio(self) -> float:
        return len(self._finished) / FINISHED_BOUND

    def hold(self, incoming: Incoming) -> None:
        """Keep what acknowledges the message, and nothing else of it."""
        held = self._held.setdefault(Source(incoming.topic, incoming.partition), deque())
        held.append((incoming.offset, incoming.acknowledge))

    def finish(self, chunk: FinishedChunk) -> None:
        self._finished.append(chunk)

    def keep(self, partitions: Collection[int]) -> None:
        """After a rebalance: what is not acknowledged of other partitions is others' to acknowledge."""
        for source in [source for source in self._held if source.partition not in partitions]:
            del self._held[source]

    async def settle(self) -> None:
        """Store how far the finished chunks bring us, in an order that a crash may cut anywhere; then acknowledge."""
        if not self._finished or time.monotonic() < self._again_s:
            return
        await self.publisher.flush()
        await asyncio.to_thread(self.dead_letters.flush)
        finished = list(self._finished)
        try:
            await asyncio.to_thread(self._write, finished)
        except StoreUnavailable as error:
            self._outage_delays_s = self._outage_delays_s or Backoff().delays_s()
            delay_s = next(self._outage_delays_s)
            self._again_s = time.monotonic() + delay_s
            self.patience.note_outage(error, delay_s)
            return
        self.patience.note_recovery()
        self._outage_delays_s = None
        del self._finished[: len(finished)]
        for chunk in _newest(finished):
            self._acknowledge(chunk)

    def _write(self, finished: list[FinishedChunk]) -> None:
        self.steps.write()
        write_unmatched(self.store, finished)
        positions = [
            Position(
                chunk.source.topic,
                chunk.source.partition,
                chunk.end,
                chunk.event_time_ms,
                chunk.gate_ms,
                self.chunk_messages,
                chunk.recent,
            )
            for chunk in _newest(finished)
        ]
        write_positions(self.store, SERVICE, positions)

    def _acknowledge(self, chunk: FinishedChunk) -> None:
        held = self._held.get(chunk.source, deque())
        while held and held[0][0] < chunk.end:
            held.popleft()[1]()


def _newest(finished: list[FinishedChunk]) -> list[FinishedChunk]:
    return list({chunk.source: chunk for chunk in finished}.values())
