"""The judge's loop: sketches from the inbox through the pipelines, results to the store, signals to Kafka."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.dead_letters import DeadLetters, Failure, SourceMessage
from driftsonde.adapters.inbox import Inbox, Incoming
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.plans import PlanBook
from driftsonde.adapters.positions import Position, read_positions, write_positions
from driftsonde.adapters.publisher import Publisher
from driftsonde.adapters.settings import JudgeSettings
from driftsonde.adapters.topics import LABELS, MODELS, PREDICTIONS, SIGNALS, SKETCHES
from driftsonde.adapters.wire_models import version_record
from driftsonde.core.chunks import NO_TIME_MS, WHOLE, ChunkSketch, Kind, Progress, SketchKey, Source
from driftsonde.core.detecting import Build
from driftsonde.core.events import InvalidEvent
from driftsonde.core.judging import RULE_OF
from driftsonde.core.partitioning import partition_of
from driftsonde.judge.hours import Batch, HourRollUp, add_up_days
from driftsonde.judge.pipeline import JudgePipeline, Settlement
from driftsonde.judge.provisional import make_provisional
from driftsonde.judge.reports import WindowReport
from driftsonde.judge.shapes import misfit
from driftsonde.judge.storage import JudgeStorage

SERVICE = "judge"

_PAUSE_S = 0.02
_REFRESH_S = 2.0
_PROVISIONAL_S = 5.0
_POSITION_S = 1.0


@dataclass(slots=True)
class _Partition:
    """A pipeline, the messages it has not acknowledged yet by offset, and the next offset to take."""

    pipeline: JudgePipeline[int]
    next_offset: int
    stored: int
    open: dict[int, Incoming] = field(default_factory=dict)

    @property
    def position(self) -> int:
        """Every message below is in stored results."""
        return min(self.open, default=self.next_offset)


@dataclass(slots=True)
class JudgeWorker:
    """Owns the pipelines of the partitions of `sketches` that this process has been assigned."""

    settings: JudgeSettings
    storage: JudgeStorage
    plans: PlanBook
    codec: Codec
    publisher: Publisher
    dead_letters: DeadLetters
    metrics: Metrics
    patience: Patience
    inbox: Inbox
    detectors: Build | None = None
    partitions: dict[int, _Partition] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _due_s: dict[str, float] = field(default_factory=dict)
    _is_fresh: bool = False
    _hours: HourRollUp = field(init=False)

    def __post_init__(self) -> None:
        self._hours = HourRollUp(self.storage.store)

    async def start_positions(self, assigned: frozenset[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        """After a rebalance: start every partition from the store, so that what another worker did is known."""
        async with self._lock:
            self.inbox.drain()
            await self.patience.until_done(self.plans.refresh)
            known = await self.patience.until_done(lambda: read_positions(self.storage.store, SERVICE))
            sources = await asyncio.to_thread(self._sources)
            self.partitions = {}
            self._hours = HourRollUp(self.storage.store)
            for topic, number in sorted(assigned):
                start = known.get((topic, number), Position(topic, number, 0, NO_TIME_MS)).position
                pipeline: JudgePipeline[int] = JudgePipeline(
                    self.plans.plan, sources, self.settings.windows_in_memory, self.detectors
                )
                self.partitions[number] = _Partition(pipeline, start, start)
                await self._load_models(number)
            return self.next_offsets()

    def next_offsets(self) -> Mapping[tuple[str, int], int]:
        """The offsets that are to be taken next."""
        return {(SKETCHES.name, number): part.next_offset for number, part in self.partitions.items()}

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._judge())
            tasks.create_task(add_up_days(self._begin_hours))

    async def _judge(self) -> None:
        while True:
            async with self._lock:
                worked = await self._round()
            if not worked:
                await asyncio.sleep(_PAUSE_S)

    async def _begin_hours(self) -> tuple[HourRollUp, Batch | None]:
        async with self._lock:  # nothing is on its way to the store
            return self._hours, self._hours.begin(self._judged_until_ms())

    def _judged_until_ms(self) -> dict[str, int]:
        return {
            name: model.state.inputs_until_ms
            for partition in self.partitions.values()
            for name, model in partition.pipeline.models.items()
        }

    async def drain(self) -> None:
        """Before leaving: settle what has come in."""
        async with self._lock:
            for number, partition in self.partitions.items():
                await self._settle(number, partition, last=True)

    def _sources(self) -> dict[Kind, frozenset[Source]]:
        kinds = {Kind.INPUTS: PREDICTIONS.name, Kind.OUTCOMES: LABELS.name}
        return {
            kind: frozenset(Source(topic, p) for p in range(self.publisher.partitions(topic)))
            for kind, topic in kinds.items()
        }

    async def _round(self) -> bool:
        messages = self.inbox.drain()
        self._is_fresh = False
        for incoming in messages:
            partition = self.partitions.get(incoming.partition)
            if partition is not None and incoming.offset >= partition.next_offset:
                await self._take(partition, incoming)
        if self._due("settle", self.settings.settle_interval_ms / 1000):
            if self._due("refresh", _REFRESH_S):
                await self._refresh()
            for number, partition in self.partitions.items():
                await self._settle(number, partition)
            self._measure()
        return bool(messages)

    async def _refresh_plans(self) -> None:
        if await self.patience.until_done(self.plans.refresh):
            for number in self.partitions:
                await self._load_models(number)

    async def _refresh(self) -> None:
        await self._refresh_plans()
        if self._due("provisional", _PROVISIONAL_S):
            for partition in self.partitions.values():
                await self._give_baselines(partition.pipeline)

    async def _give_baselines(self, pipeline: JudgePipeline[int]) -> None:
        """Publish a provisional baseline for each version that has served enough rows without one."""
        for model, version, until_ms in pipeline.without_baseline():
            spec = self.plans.catalogue.spec(model)
            if spec is None:
                continue
            clocks = pipeline.clocks_of(Kind.INPUTS)
            make = partial(make_provisional, self.storage.store, spec, version, until_ms, clocks)
            baseline = await self.patience.until_done(make)
            if baseline is not None:
                record = version_record(model, version, baseline)
                self.publisher.send(MODELS.name, record.key.encode(), self.codec.encode(record))
                await self.publisher.flush()

    async def _load_models(self, number: int) -> None:
        """Load the registered models of a partition that are not loaded yet: their windows may be due."""
        pipeline = self.partitions[number].pipeline
        for model in self.plans.catalogue.models():
            if self._home(model) == number and model not in pipeline.models:
                await self._load_model(pipeline, model)

    def _home(self, model: str) -> int:
        """The partition of sketches that a model's are on."""
        return partition_of(model.encode(), self.publisher.partitions(SKETCHES.name))

    async def _load_model(self, pipeline: JudgePipeline[int], model: str) -> None:
        plan = self.plans.plan(model, "")
        window_ms = plan.spec.window_ms if plan else 0
        state, windows = await self.patience.until_done(lambda: self.storage.read_model(model, window_ms))
        await self.patience.until_done(lambda: self._hours.load(model))
        pipeline.load_model(model, state, windows)

    async def _take(self, partition: _Partition, incoming: Incoming) -> None:
        partition.next_offset = incoming.offset + 1
        self.metrics.events_consumed.labels(SKETCHES.name).inc()
        try:
            event = await self.patience.decode(self.codec, incoming.value or b"")
        except Undecodable as error:
            await self._reject(incoming, Failure("decode", error.reason, error.message))
            return
        except InvalidEvent as error:
            await self._reject(incoming, Failure("decode", "invalid", str(error)))
            return
        match event:
            case Progress():
                partition.pipeline.observe(event)
                incoming.acknowledge()
            case ChunkSketch():
                await self._take_sketch(partition, incoming, event)
            case _:
                problem = f"{type(event).__name__} does not belong on topic {SKETCHES.name}"
                await self._reject(incoming, Failure("decode", "wrong-topic", problem))

    async def _take_sketch(self, partition: _Partition, incoming: Incoming, sketch: ChunkSketch) -> None:
        pipeline = partition.pipeline
        if self._home(sketch.key.model) != incoming.partition:
            # Taken here, the model would be judged twice, the second time by a part of what is known of it.
            problem = f"model {sketch.key.model!r} belongs on partition {self._home(sketch.key.model)}"
            await self._reject(incoming, Failure("check", "wrong-partition", problem))
            return
        if not self._is_known(sketch.key) and not self._is_fresh:
            await self._refresh_plans()
            self._is_fresh = True
        if sketch.key.model not in pipeline.models:
            await self._load_model(pipeline, sketch.key.model)
        plan = self.plans.plan(sketch.key.model, sketch.key.version)
        if plan is not None and (problem := misfit(plan, sketch)):
            await self._reject(incoming, Failure("check", "invalid", problem))
            return
        for needed in pipeline.needs(sketch):
            read = partial(self.storage.read_window, needed)
            pipeline.load_window(needed, await self.patience.until_done(read))
        partition.open[incoming.offset] = incoming
        pipeline.take(sketch, incoming.offset)

    def _is_known(self, key: SketchKey) -> bool:
        """Whether the plan is the one that the sketch was made with: if not, there may be a newer one. One look in a round
        is enough to see what the sketcher had seen before it sent the sketch."""
        plan = self.plans.plan(key.model, key.version)
        return plan is not None and (key.kind is Kind.OUTCOMES or key.layout == plan.baseline_id)

    async def _reject(self, incoming: Incoming, failure: Failure) -> None:
        source = SourceMessage(
            incoming.topic,
            incoming.partition,
            incoming.offset,
            incoming.key,
            incoming.value,
            incoming.headers,
        )
        self.dead_letters.send(source, failure)
        await self.patience.until_done(self.dead_letters.flush)
        self.metrics.dead_letters.labels(failure.reason).inc()
        incoming.acknowledge()

    async def _settle(self, number: int, partition: _Partition, last: bool = False) -> None:
        """Carry a round out: reports, signals, states, position; in this order (see `Settlement`). A position alone is
        stored now and then, and before leaving: `last`."""
        settlement = partition.pipeline.settle()
        if not settlement.empty:
            await self._carry_out(settlement)
        for offset in settlement.receipts:
            partition.open.pop(offset).acknowledge()
        position = partition.position
        if position > partition.stored and (
            last or not settlement.empty or self._due(f"{number}", _POSITION_S)
        ):
            rows = [Position(SKETCHES.name, number, position, NO_TIME_MS)]
            await self.patience.until_done(lambda: write_positions(self.storage.store, SERVICE, rows))
            partition.stored = position

    async def _carry_out(self, settlement: Settlement[int]) -> None:
        await self.patience.until_done(lambda: self._hours.mark(settlement.reports))
        rows = await self.patience.until_done(
            lambda: self.storage.write_reports(
                [*settlement.reports, *settlement.told_once], [*settlement.as_judged, *settlement.told_once]
            )
        )
        self.metrics.sink_rows.labels("metrics").inc(rows)
        for signal in settlement.signals:
            self.publisher.send(SIGNALS.name, signal.model.encode(), self.codec.encode(signal))
            self.metrics.signals.labels(signal.kind.value).inc()
        if settlement.signals:
            await self.publisher.flush()
        await self.patience.until_done(lambda: self.storage.write_windows(settlement.windows))
        await self.patience.until_done(lambda: self.storage.write_states(settlement.states))
        for report in settlement.as_judged:
            self._count(report)

    def _count(self, report: WindowReport) -> None:
        """A window that has been judged, in the metrics."""
        model = report.key.model
        self.metrics.windows_judged.labels(model).inc()
        for metric in report.metrics:
            if metric.breached:
                self.metrics.verdict_breaches.labels(model, RULE_OF[metric.name].value).inc()
            if metric.name == "label_coverage" and report.key.segment == WHOLE:
                self.metrics.label_coverage_ratio.labels(model).set(metric.value)

    def _measure(self) -> None:
        windows = sum(len(m.windows) for p in self.partitions.values() for m in p.pipeline.models.values())
        self.metrics.buffer_fill_ratio.labels("windows").set(windows / self.settings.windows_in_memory)
        self.metrics.buffer_fill_ratio.labels("inbox").set(self.inbox.fill_ratio)

    def _due(self, what: str, every_s: float) -> bool:
        now_s = time.monotonic()
        if now_s < self._due_s.get(what, 0.0):
            return False
        self._due_s[what] = now_s + every_s
        return True
