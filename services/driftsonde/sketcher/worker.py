"""The sketcher's loop: messages from the inbox through the pipelines, what comes out to Kafka, positions to the store."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.clickhouse import Backoff, Store, StoreUnavailable
from driftsonde.adapters.dead_letters import DeadLetters, Failure, SourceMessage
from driftsonde.adapters.inbox import Inbox, Incoming
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.plans import PlanBook
from driftsonde.adapters.positions import Position, read_positions, write_positions
from driftsonde.adapters.publisher import Publisher
from driftsonde.adapters.settings import SketcherSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS, SKETCHES, Topic
from driftsonde.core.chunks import NO_TIME_MS, ChunkSketch, Progress, Source
from driftsonde.core.events import Heartbeat, InvalidEvent, LabelBatch, PredictionBatch
from driftsonde.core.join import PredictionIndex
from driftsonde.sketcher.chunk_state import ChunkState, Emission, FinishedChunk
from driftsonde.sketcher.labels import Found, Lookup
from driftsonde.sketcher.lookups import NotArchivedYet, look_up
from driftsonde.sketcher.messages import Message, Rejected
from driftsonde.sketcher.pipeline import PartitionPipeline

SERVICE = "sketcher"

# An open chunk is sent whole this often, so that the judge can let go of older copies.
OPEN_CHUNK_REPEAT_S = 60.0
# Finished chunks whose positions could not be stored yet; beyond, nothing more is taken in.
FINISHED_BOUND = 4_096
# Messages of labels that one round of lookups is about.
LOOKUP_MESSAGES = 32
_PAUSE_S = 0.02
_REFRESH_S = 2.0


@dataclass(slots=True)
class SketcherWorker:
    """Owns the pipelines of the partitions that this process has been assigned."""

    settings: SketcherSettings
    store: Store
    plans: PlanBook
    codec: Codec
    publisher: Publisher
    dead_letters: DeadLetters
    metrics: Metrics
    patience: Patience
    inbox: Inbox
    pipelines: dict[int, PartitionPipeline] = field(default_factory=dict)
    _held: dict[Source, list[Incoming]] = field(default_factory=dict)
    _finished: list[FinishedChunk] = field(default_factory=list)
    _lookups: dict[int, asyncio.Task[list[Found]]] = field(default_factory=dict)
    _arrived_s: dict[Source, float] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _due_s: dict[str, float] = field(default_factory=dict)
    _outage_delays_s: Iterator[float] | None = None

    async def start_positions(self, assigned: frozenset[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """After a rebalance: drop what went to others, start what is new where the store says it stands, and go on
        with what stayed."""
        async with self._lock:
            self.inbox.drain()
            self._held.clear()
            partitions = {partition for topic, partition in assigned if topic == PREDICTIONS.name}
            for gone in self.pipelines.keys() - partitions:
                del self.pipelines[gone]
                if gone in self._lookups:
                    self._lookups.pop(gone).cancel()
            new = partitions - self.pipelines.keys()
            if new:
                await self._refresh_plans()
                known = await self.patience.until_done(lambda: read_positions(self.store, SERVICE))
                for partition in sorted(new):
                    self.pipelines[partition] = self._pipeline(partition, known)
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
            await self._settle_finished()

    def _pipeline(self, partition: int, known: Mapping[tuple[str, int], Position]) -> PartitionPipeline:
        predictions = self._chunk_state(PREDICTIONS, partition, known)
        now_s = time.monotonic()
        labels = self._chunk_state(LABELS, partition, known)
        self._arrived_s[predictions.source] = self._arrived_s[labels.source] = now_s
        return PartitionPipeline(
            predictions=predictions,
            labels=labels,
            index=PredictionIndex(self.settings.join_index_rows),
            plans=self.plans.plan,
            future_tolerance_ms=self.settings.future_tolerance_ms,
            archived_from=predictions.position,
        )

    def _chunk_state(
        self, topic: Topic, partition: int, known: Mapping[tuple[str, int], Position]
    ) -> ChunkState:
        start = known.get((topic.name, partition), Position(topic.name, partition, 0, NO_TIME_MS))
        source = Source(topic.name, partition)
        return ChunkState(source, self.settings.chunk_messages, start.position, start.event_time_ms)

    async def _round(self) -> bool:
        """One pass over what has come in; False if there was nothing to do."""
        await self._settle_finished()
        messages = self.inbox.drain() if len(self._finished) < FINISHED_BOUND else []
        if self._due("refresh", _REFRESH_S):
            await self._refresh_plans()
        emissions = await self._take(messages)
        for partition, pipeline in self.pipelines.items():
            emissions.extend(self._advance_labels(partition, pipeline))
        if self._due("flush", self.settings.flush_interval_ms / 1000):
            repeat = self._due("repeat", OPEN_CHUNK_REPEAT_S)
            progress = self._due("progress", self.settings.progress_repeat_s)
            for pipeline in self.pipelines.values():
                emissions.extend(self._flush(pipeline, repeat, progress))
            self._send_heartbeats()
            self._measure()
        self._publish(emissions)
        return bool(messages)

    async def _take(self, messages: Sequence[Incoming]) -> list[Emission]:
        """Decode and fold what came in, partition by partition."""
        decoded: dict[int, list[tuple[Incoming, Message]]] = {}
        emissions: list[Emission] = []
        for incoming in messages:
            pipeline = self.pipelines.get(incoming.partition)
            if pipeline is None or incoming.offset < self._expected(pipeline, incoming.topic):
                continue
            source = Source(incoming.topic, incoming.partition)
            self._held.setdefault(source, []).append(incoming)
            self._arrived_s[source] = time.monotonic()
            self.metrics.events_consumed.labels(incoming.topic).inc()
            message = await self._decode(incoming)
            if message is None:
                emissions.extend(self._fold(pipeline, decoded.pop(incoming.partition, [])))
                emissions.extend(self._skip(pipeline, incoming))
                continue
            await self._know_model(message)
            decoded.setdefault(incoming.partition, []).append((incoming, message))
        for partition, parts in decoded.items():
            emissions.extend(self._fold(self.pipelines[partition], parts))
        return emissions

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
                self._reject(by_offset[result.topic, result.offset], failure)
            else:
                emissions.append(result)
        return emissions

    async def _decode(self, incoming: Incoming) -> Message | None:
        expected = PredictionBatch if incoming.topic == PREDICTIONS.name else LabelBatch
        try:
            event = await self.patience.decode(self.codec, incoming.value or b"")
        except Undecodable as error:
            self._reject(incoming, Failure("decode", error.reason, str(error)))
            return None
        except InvalidEvent as error:
            self._reject(incoming, Failure("decode", "invalid", str(error)))
            return None
        if not isinstance(event, (expected, Heartbeat)):
            problem = f"{type(event).__name__} does not belong on topic {incoming.topic}"
            self._reject(incoming, Failure("decode", "wrong-topic", problem))
            return None
        return Message(incoming.offset, incoming.recorded_ms, event)

    def _reject(self, incoming: Incoming, failure: Failure) -> None:
        self.metrics.dead_letters.labels(failure.reason).inc()
        source = SourceMessage(
            incoming.topic,
            incoming.partition,
            incoming.offset,
            incoming.key,
            incoming.value,
            incoming.headers,
        )
        self.dead_letters.send(source, failure)

    async def _know_model(self, message: Message) -> None:
        """A model that was registered a moment ago is known before its first event is judged unknown."""
        event = message.event
        if not isinstance(event, Heartbeat) and self.plans.plan(event.model, "") is None:
            await self._refresh_plans()

    async def _refresh_plans(self) -> None:
        await self.patience.until_done(self.plans.refresh)

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
        for message in pipeline.open_labels(LOOKUP_MESSAGES):
            lookup = pipeline.lookup_for(message)
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
        while True:
            try:
                answers = iter(
                    await self.patience.until_done(
                        lambda: look_up(self.store, asked, self.plans.plan, topics)
                    )
                )
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
                    self._finished.append(emission)

    async def _settle_finished(self) -> None:
        """Store how far the finished chunks bring us, then acknowledge their messages."""
        if not self._finished or not self._due("settle", 0.0):
            return
        await self.publisher.flush()
        await asyncio.to_thread(self.dead_letters.flush)
        finished, size = list(self._finished), self.settings.chunk_messages
        newest = {chunk.source: chunk for chunk in finished}
        positions = [
            Position(source.topic, source.partition, (chunk.chunk + 1) * size, chunk.event_time_ms)
            for source, chunk in newest.items()
        ]
        try:
            await asyncio.to_thread(write_positions, self.store, SERVICE, positions)
        except StoreUnavailable as error:
            self._outage_delays_s = self._outage_delays_s or Backoff().delays_s()
            delay_s = next(self._outage_delays_s)
            self._due_s["settle"] = time.monotonic() + delay_s
            self.patience.note_outage(error, delay_s)
            return
        self.patience.note_recovery()
        self._outage_delays_s = None
        del self._finished[: len(finished)]
        for position in positions:
            source = Source(position.topic, position.partition)
            held = self._held.get(source, [])
            for incoming in held:
                if incoming.offset < position.position:
                    incoming.acknowledge()
            self._held[source] = [i for i in held if i.offset >= position.position]

    def _send_heartbeats(self) -> None:
        """Say in the log of a partition that has fallen silent how far event time has come elsewhere; to predictions
        also how far labels are waiting for it to come, so that the labels of a night are joined before the morning."""
        states = [s for p in self.pipelines.values() for s in (p.predictions, p.labels)]
        newest_ms = max((state.event_time_ms for state in states), default=NO_TIME_MS)
        # Half the tolerance leaves room for the clocks of broker and sketcher to differ.
        latest_ms = time.time_ns() // 1_000_000 + self.settings.future_tolerance_ms // 2
        for pipeline in self.pipelines.values():
            awaited_ms = max(newest_ms, min(pipeline.waiting.awaited_ms, latest_ms))
            self._heartbeat(pipeline.predictions, awaited_ms)
            if not pipeline.waiting.messages:
                self._heartbeat(pipeline.labels, newest_ms)

    def _heartbeat(self, state: ChunkState, event_time_ms: int) -> None:
        now_s = time.monotonic()
        idle_s = now_s - self._arrived_s[state.source]
        if state.event_time_ms < event_time_ms and idle_s > self.settings.idle_timeout_s:
            self._arrived_s[state.source] = now_s
            payload = self.codec.encode(Heartbeat(event_time_ms))
            self.publisher.send(state.source.topic, b"heartbeat", payload, state.source.partition)

    def _measure(self) -> None:
        rows = sum(pipeline.index.rows for pipeline in self.pipelines.values())
        self.metrics.buffer_fill_ratio.labels("join_index").set(rows / self.settings.join_index_rows)
        self.metrics.buffer_fill_ratio.labels("inbox").set(self.inbox.fill_ratio)
        self.metrics.buffer_fill_ratio.labels("finished_chunks").set(len(self._finished) / FINISHED_BOUND)
        for pipeline in self.pipelines.values():
            tally = pipeline.take_tally()
            self.metrics.late_rows.labels(PREDICTIONS.name).inc(tally.late_rows)
            self.metrics.labels_matched.labels("memory").inc(tally.matched_in_memory)
            self.metrics.labels_matched.labels("store").inc(tally.matched_in_store)
            self.metrics.labels_unmatched.inc(tally.unmatched)
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
