"""Performs a batch, step by step, in a thread of its own: a slow store doesn't keep the consumer from polling."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import DeadLetters
from driftsonde.adapters.metrics import Metrics
from driftsonde.archiver.pipeline import Batch, Insert


@dataclass(slots=True)
class Writing:
    """A batch under way; `steps_done` lets a repeated attempt go on where the last one failed."""

    batch: Batch
    steps_done: int = 0


@dataclass(frozen=True, slots=True)
class Writer:
    store: Store
    dead_letters: DeadLetters
    metrics: Metrics

    def start(self, writing: Writing) -> "Future[None]":
        """One attempt. The future fails with `StoreUnavailable`, `StoreRejected` or `KafkaException`."""
        future: Future[None] = Future()
        threading.Thread(target=self._attempt, args=(writing, future), name="writer", daemon=True).start()
        return future

    def _attempt(self, writing: Writing, future: "Future[None]") -> None:
        try:
            for step in self._steps(writing.batch)[writing.steps_done :]:
                step()
                writing.steps_done += 1
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    def _steps(self, batch: Batch) -> list[Callable[[], None]]:
        inserts = [*batch.inserts, batch.progress]
        return [lambda: self._send_dead_letters(batch), *(self._insert_step(insert) for insert in inserts)]

    def _send_dead_letters(self, batch: Batch) -> None:
        for refused in batch.dead_letters:
            self.dead_letters.send(refused.message, refused.failure)
            self.metrics.dead_letters.labels(reason=refused.failure.reason).inc()
        if batch.dead_letters:
            self.dead_letters.flush()

    def _insert_step(self, insert: Insert) -> Callable[[], None]:
        def write() -> None:
            started_s = time.monotonic()
            self.store.insert_arrow(insert.table, insert.rows)
            elapsed_s = time.monotonic() - started_s
            self.metrics.sink_flush_seconds.labels(table=insert.table).observe(elapsed_s)
            self.metrics.sink_rows.labels(table=insert.table).inc(insert.rows.num_rows)

        return write
