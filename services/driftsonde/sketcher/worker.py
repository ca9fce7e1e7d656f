"""The sketcher's loop: messages from the inbox through the pipelines, what comes out to Kafka, positions to the store."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import Failure
from driftsonde.adapters.inbox import Inbox, Incoming
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.publisher import Publisher
from driftsonde.adapters.settings import SketcherSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS, SKETCHES
from driftsonde.core.chunks import ChunkSketch, Progress, Source
from driftsonde.sketcher.chunk_state import Emission, FinishedChunk
from driftsonde.sketcher.heartbeats import Heartbeats
from driftsonde.sketcher.intake import Intake
from driftsonde.sketcher.labels import Found, Lookup
from driftsonde.sketcher.lookups import NotArchivedYet, look_up
from driftsonde.sketcher.messages import Message, Rejected
from driftsonde.sketcher.pipeline import PartitionPipeline
from driftsonde.sketcher.settling import Settling
from driftsonde.sketcher.starting import start_partitions
from driftsonde.sketcher.storage import StepLog

# An open chunk is sent whole this often, so that the judge can let go of older copies.
OPEN_CHUNK_REPEAT_S = 60.0
# What one round of lookups is about, at most: so many messages of labels, and no further one once it is about so many
# ids. An answer takes some two kilobytes for an id, so few rounds are under way at once.
LOOKUP_MESSAGES = 32
LOOKUP_IDS = 16_384
_LOOKUPS_AT_ONCE = 2
_PAUSE_S = 0.02
# Flushes begin so many times further apart than one keeps the processor, up to a bound.
_FLUSH_SHARE = 10
_FLUSH_AT_MOST_S = 2.0
# What comes is taken once it is so much, or after so long: to fold few messages at once costs more for each.
_GATHERED_BYTES = 32 * 1024 * 1024
_GATHER_S = 0.05
_log = logging.getLogger(__name__)
_REFRESH_S = 2.0


@dataclass(slots=True)
class SketcherWorker:
    """Owns the pipelines of the partitions that this process has been assigned."""

    settings: SketcherSettings
    store: Store
    codec: Codec
    publisher: Publisher
    metrics: Metrics
    patience: Patience
    inbox: Inbox
    intake: Intake
    pipelines: dict[int, PartitionPipeline] = field(default_factory=dict)
    steps: StepLog = field(init=False)
    settling: Settling = field(init=False)
    heartbeats: Heartbeats = field(init=False)
    _lookups: dict[int, asyncio.Task[list[Found]]] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LOOKUPS_AT_ONCE))
    _due_s: dict[str, float] = field(default_factory=dict)
    _left: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.steps = StepLog(self.store)
        self.settling = Settling(
            self.store,
            self.steps,
            self.publisher,
            self.intake.dead_letters,
            self.patience,
            self.settings.chunk_messages,
        )
        self.heartbeats = Heartbeats(
            self.store,
            self.steps,
            self.codec,
            self.publisher,
            self.settings.idle_timeout_s,
            self.settings.future_tolerance_ms,
        )

    async def start_positions(self, assigned: frozenset[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """After a rebalance: drop what went to others, start what is new where the store says it stands, and go on
        with what stayed."""
        async with self._lock:
            self.inbox.drain()
            self._left.clear()
            partitions = {partition for topic, partition in assigned if topic == PREDICTIONS.name}
            self.settling.keep(partitions)
            for gone in self.pipelines.keys() - partitions:
                del self.pipelines[gone]
                if gone in self._lookups:
                    self._lookups.pop(gone).cancel()
            new = sorted(partitions - self.pipelines.keys())
            if new:
                await self.intake.refresh_plans()
                plans = self.intake.plans.plan
                started = await self.patience.until_done(
                    lambda: start_partitions(self.store, new, self.settings, plans)
                )
                for pipeline in started:
                    self.pipelines[pipeline.predictions.source.partition] = pipeline
                    self.heartbeats.note_arrival(pipeline.predictions.source)
                    self.heartbeats.note_arrival(pipeline.labels.source)
            bound = max(1, self.settings.join_index_rows // max(1, len(partitions)))
            for pipeline in self.pipelines.values():
                pipeline.index.bound = bound
            return self.next_offsets()

    def next_offsets(self) -> Mapping[tuple[str, int], int]:
        """The offsets that are to be taken next."""
        offsets: dict[tuple[str, int], int] = {}
        for partition, pipeline in self.pipelines.items():
            offsets[PREDICTIONS.name, partition], offsets[LABELS.name, partition] = pipeline.next_offsets
        return offsets

    async def run(self) -> None:
        """Work until cancelled; then send what is open, so that the judge has it before the restart."""
        try:
            while True:
                async with self._lock:
                    worked = await self._round()
                if not worked:
                    await asyncio.sleep(_PAUSE_S)
        finally:
            for task in self._lookups.values():
                task.cancel()

    async def drain(self) -> None:
        """Before leaving: publish and store what can be."""
        async with self._lock:
            self._publish([e for pipeline in self.pipelines.values() for e in self._flush(pipeline)])
            await self.publisher.flush()
            await self.settling.settle()

    async def _round(self) -> bool:
        """One pass over what has come in; False if there was nothing to do."""
        await self.settling.settle()
        messages = self.inbox.drain() if self._is_time_to_take() else []
        if self._due("refresh", _REFRESH_S):
            await self.intake.refresh_plans()
        emissions = await self._take(messages)
        for partition, pipeline in self.pipelines.items():
            self.steps.add(pipeline.take_steps())
            emissions.extend(self._advance_labels(partition, pipeline))
        self._read_left()
        began_s, flushes = time.thread_time(), self._due("flush", self.settings.flush_interval_ms / 1000)
        if flushes:
            repeat = self._due("repeat", OPEN_CHUNK_REPEAT_S)
            progress = self._due("progress", self.settings.progress_repeat_s)
            for pipeline in self.pipelines.values():
                emissions.extend(self._flush(pipeline, repeat, progress))
            await self.heartbeats.send(self.pipelines.values())
            self._measure()
        self._publish(emissions)
        if flushes:
            pause_s = min(_FLUSH_AT_MOST_S, _FLUSH_SHARE * (time.thread_time() - began_s))
            self._due_s["flush"] = max(self._due_s["flush"], time.monotonic() + pause_s)
        return bool(messages)

    def _is_time_to_take(self) -> bool:
        if self.settling.fill_ratio >= 1:
            return False
        return self._due("take", _GATHER_S) or self.inbox.held_bytes >= _GATHERED_BYTES

    async def _take(self, messages: Sequence[Incoming]) -> list[Emission]:
        """Decode and fold what came in, partition by partition."""
        decoded: dict[int, list[tuple[Incoming, Message]]] = {}
        emissions: list[Emission] = []
        self.intake.new_round()
        for incoming in messages:
            pipeline = self.pipelines.get(incoming.partition)
            if pipeline is None or incoming.offset < self._expected(pipeline, incoming.topic):
                continue
            if incoming.topic == LABELS.name and self._is_left(pipeline, incoming.partition):
                continue
            self.settling.hold(incoming)
            self.heartbeats.note_arrival(Source(incoming.topic, incoming.partition))
            self.metrics.events_consumed.labels(incoming.topic).inc()
            message = await self.intake.decode(incoming)
            if message is None:
                emissions.extend(self._fold(pipeline, decoded.pop(incoming.partition, [])))
                emissions.extend(self._skip(pipeline, incoming))
                continue
            decoded.setdefault(incoming.partition, []).append((incoming, message))
        for partition, parts in decoded.items():
            emissions.extend(self._fold(self.pipelines[partition], parts))
        return emissions

    def _is_left(self, pipeline: PartitionPipeline, partition: int) -> bool:
        """Whether labels of the partition stay in the log for now, since too many are waiting."""
        if pipeline.waiting.rows > self._waiting_bound and partition not in self._left:
            self._left.add(partition)
            _log.info("labels stay in the log until those before are joined", extra={"partition": partition})
        return partition in self._left

    def _read_left(self) -> None:
        """Have the consumer read again what was left, once half of those that waited are joined."""
        if any(self.pipelines[left].waiting.rows <= self._waiting_bound // 2 for left in self._left):
            self.inbox.rewind_is_due = True

    @property
    def _waiting_bound(self) -> int:
        return self.settings.waiting_labels // max(1, len(self.pipelines))

    def _expected(self, pipeline: PartitionPipeline, topic: str) -> int:
        predictions, labels = pipeline.next_offsets
        return predictions if topic == PREDICTIONS.name else labels

    def _skip(self, pipeline: PartitionPipeline, incoming: Incoming) -> list[Emission]:
        if incoming.topic == PREDICTIONS.name:
            return pipeline.skip_prediction(incoming.offset)
        pipeline.skip_label(incoming.offset)
        return []

    def _fold(self, pipeline: PartitionPipeline, parts: Sequence[tuple[Incoming, Message]]) -> list[Emission]:
        predictions = [(i, m) for i, m in parts if i.topic == PREDICTIONS.name]
        out = pipeline.take_predictions([message for _, message in predictions])
        labels = [(i, m) for i, m in parts if i.topic == LABELS.name]
        for _, message in labels:
            out.extend(pipeline.take_label(message))
        by_offset = {(incoming.topic, incoming.offset): incoming for incoming, _ in parts}
        emissions: list[Emission] = []
        for result in out:
            if isinstance(result, Rejected):
                failure = Failure("check", result.reason, result.explanation)
                self.intake.reject(by_offset[result.topic, result.offset], failure)
            else:
                emissions.append(result)
        return emissions

    def _advance_labels(self, partition: int, pipeline: PartitionPipeline) -> list[Emission]:
        """Join the labels whose time has come. Those that need the store hold up those behind them, so the store is
        asked about many messages at once."""
        emissions: list[Emission] = []
        task = self._lookups.get(partition)
        if task is not None:
            if not task.done():
                return []
            del self._lookups[partition]
            for found in task.result():
                emissions.extend(pipeline.take_next_label(found))
        wanted: list[Lookup | None] = []
        ids = 0
        for waiting in pipeline.open_labels(LOOKUP_MESSAGES):
            if ids >= LOOKUP_IDS:
                break
            lookup = pipeline.lookup_for(waiting)
            ids += len(lookup.ids) if lookup is not None else 0
            first = next(filter(None, wanted), lookup)
            if lookup is not None and first is not None and lookup.model != first.model:
                break
            if lookup is None and not wanted:
                emissions.extend(pipeline.take_next_label(Found()))
            else:
                wanted.append(lookup)
        if wanted:
            self._lookups[partition] = asyncio.create_task(self._look_up(wanted))
        return emissions

    async def _look_up(self, wanted: Sequence[Lookup | None]) -> list[Found]:
        """The store's answers in the order of the messages; None stands for a message that needs none."""
        topics = (PREDICTIONS.name, LABELS.name)
        asked = [lookup for lookup in wanted if lookup is not None]

        def ask() -> list[Found]:
            self.steps.write()
            return look_up(self.store, asked, self.intake.plans.plan, topics)

        while True:
            try:
                async with self._asking:
                    answers = iter(await self.patience.until_done(ask))
            except NotArchivedYet:
                await asyncio.sleep(0.25)
            else:
                return [Found() if lookup is None else next(answers) for lookup in wanted]

    def _flush(
        self, pipeline: PartitionPipeline, repeat: bool = False, progress: bool = False
    ) -> list[Emission]:
        out: list[Emission] = []
        for state in (pipeline.predictions, pipeline.labels):
            if repeat:
                out.extend(state.repeat())
            elif progress or state.has_news:
                out.extend(state.flush())
        return out

    def _publish(self, emissions: Iterable[Emission]) -> None:
        for emission in emissions:
            match emission:
                case ChunkSketch():
                    self.publisher.send(
                        SKETCHES.name, emission.key.model.encode(), self.codec.encode(emission)
                    )
                case Progress():
                    key = f"{emission.source.topic}/{emission.source.partition}".encode()
                    payload = self.codec.encode(emission)
                    for partition in range(self.publisher.partitions(SKETCHES.name)):
                        self.publisher.send(SKETCHES.name, key, payload, partition)
                case FinishedChunk():
                    self.settling.finish(emission)

    def _measure(self) -> None:
        pipelines = self.pipelines.values()
        for buffer, ratio in {
            "join_index": sum(p.index.rows for p in pipelines) / self.settings.join_index_rows,
            "waiting_labels": sum(p.waiting.rows for p in pipelines) / self.settings.waiting_labels,
            "unmatched_labels": max((p.waiting.unmatched.fill_ratio for p in pipelines), default=0.0),
            "inbox": self.inbox.fill_ratio,
            "finished_chunks": self.settling.fill_ratio,
        }.items():
            self.metrics.buffer_fill_ratio.labels(buffer).set(ratio)
        for pipeline in pipelines:
            tally = pipeline.take_tally()
            self.metrics.late_rows.labels(PREDICTIONS.name).inc(tally.late_rows)
            self.metrics.resent_messages.labels(PREDICTIONS.name).inc(tally.resent)
            self.metrics.labels_matched.labels("memory").inc(tally.matched_in_memory)
            self.metrics.labels_matched.labels("store").inc(tally.matched_in_store)
            self.metrics.labels_matched.labels("later").inc(tally.matched_late)
            self.metrics.labels_unmatched.inc(tally.unmatched)
            self.metrics.labels_dropped.labels("expired").inc(tally.expired)
            self.metrics.labels_dropped.labels("evicted").inc(tally.evicted)
            for delay_ms in tally.delays_ms:
                self.metrics.label_delay_seconds.observe(delay_ms / 1000)
            for state in (pipeline.predictions, pipeline.labels):
                gauge = self.metrics.watermark_timestamp.labels(state.source.topic, state.source.partition)
                gauge.set(max(0, state.event_time_ms) / 1000)

    def _due(self, what: str, every_s: float) -> bool:
        now_s = time.monotonic()
        if now_s < self._due_s.get(what, 0.0):
            return False
        self._due_s[what] = now_s + every_s
        return True
