"""Run the judge's pipeline as its worker does, on a store in memory, with crashes between any two steps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.core.chunks import ChunkSketch, Kind, Progress, Source
from driftsonde.core.judging import ModelState
from driftsonde.core.signals import Signal
from driftsonde.core.window import Window, WindowKey
from driftsonde.judge.pipeline import JudgePipeline, Settlement
from driftsonde.judge.reports import WindowReport
from driftsonde.judge.storage import decode_state, encode_state
from partition_runs import Received, run
from stream_examples import Log, plans

CODEC = Codec(SKETCH_TYPES)
MODELS = ("rain", "shop")
PARTITIONS = 2

Published = list[ChunkSketch | Progress]

Row = tuple[object, ...]


@dataclass(slots=True)
class FakeStorage:
    """The tables of `JudgeStorage`, where the row of the highest version stays, the last one written on a tie."""

    rows: dict[tuple[object, ...], tuple[int, Row]] = field(default_factory=dict)
    as_judged: dict[tuple[object, ...], Row] = field(default_factory=dict)
    windows: dict[WindowKey, tuple[int, bytes]] = field(default_factory=dict)
    states: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    position: int = 0

    def write_reports(self, reports: Iterable[WindowReport], as_judged: Iterable[WindowReport]) -> None:
        for report in reports:
            for key, row in report_rows(report):
                known, _ = self.rows.get(key, (0, ()))
                if report.revision >= known:
                    self.rows[key] = (report.revision, row)
        for report in as_judged:
            assert report.revision == 0
            for key, row in report_rows(report):
                assert self.as_judged.setdefault(key, row) == row, "what was judged has changed"

    def write_signals(self, signals: Iterable[Signal]) -> None:
        for signal in signals:
            known = self.signals.setdefault(signal.id, signal)
            assert repr(known) == repr(signal), "one id, two signals"

    def write_windows(self, windows: Iterable[Window]) -> None:
        for window in windows:
            known, _ = self.windows.get(window.key, (-1, b""))
            if window.sequence >= known:
                self.windows[window.key] = (window.sequence, CODEC.encode(window))

    def write_states(self, states: Mapping[str, ModelState]) -> None:
        for model, state in states.items():
            known, _ = self.states.get(model, (-1, b""))
            if state.sequence >= known:
                self.states[model] = (state.sequence, encode_state(state))

    def read_model(self, model: str, window_ms: int) -> tuple[ModelState, list[Window]]:
        state = decode_state(self.states[model][1]) if model in self.states else ModelState()
        from_ms = max(0, min(state.inputs_until_ms, state.outcomes_until_ms) - window_ms)
        keys = [key for key in self.windows if key.model == model and key.window_start_ms >= from_ms]
        return state, [self._window(key) for key in keys]

    def read_window(self, key: WindowKey) -> Window | None:
        return self._window(key) if key in self.windows else None

    def _window(self, key: WindowKey) -> Window:
        window = CODEC.decode(self.windows[key][1])
        assert isinstance(window, Window)
        return window


def report_rows(report: WindowReport) -> Iterator[tuple[tuple[object, ...], Row]]:
    """The rows of a report by their keys in the store, as exact values."""
    for metric in report.metrics:
        yield (report.key, report.window_end_ms, metric.column, metric.name), (repr(metric),)
    for column in report.columns:
        moments = (column.total, column.total_squares, column.minimum, column.maximum)
        yield (
            (report.key, report.window_end_ms, column.reference.name),
            (column.counts.tolist(), *(value.hex() for value in moments)),
        )


def sources_of(partitions: int) -> dict[Kind, frozenset[Source]]:
    topics = {Kind.INPUTS: "predictions", Kind.OUTCOMES: "labels"}
    return {
        kind: frozenset(Source(topic, partition) for partition in range(partitions))
        for kind, topic in topics.items()
    }


@dataclass(slots=True)
class FakeWorker:
    """One life of the worker, from the stored position on."""

    storage: FakeStorage
    pipeline: JudgePipeline[int]
    next_offset: int
    open: set[int] = field(default_factory=set)

    def take(self, offset: int, message: ChunkSketch | Progress) -> None:
        self.next_offset = offset + 1
        if isinstance(message, Progress):
            self.pipeline.observe(message)
            return
        self._load_model(message.key.model)
        for needed in self.pipeline.needs(message):
            self.pipeline.load_window(needed, self.storage.read_window(needed))
        self.open.add(offset)
        self.pipeline.take(message, offset)

    def load_models(self) -> None:
        for model in MODELS:
            self._load_model(model)

    def _load_model(self, model: str) -> None:
        if model not in self.pipeline.models:
            plan = plans(model, "")
            assert plan is not None
            self.pipeline.load_model(model, *self.storage.read_model(model, plan.spec.window_ms))

    def settle(self, steps: int = 5) -> Settlement[int]:
        """Carry a round out; crashes after so many of its steps."""
        out = self.pipeline.settle()
        if steps > 0:
            self.storage.write_reports([*out.reports, *out.told_once], [*out.as_judged, *out.told_once])
        if steps > 1:
            self.storage.write_signals(out.signals)
        if steps > 2:
            self.storage.write_windows(out.windows)
        if steps > 3:
            self.storage.write_states(out.states)
        if steps > 4:
            for offset in out.receipts:
                self.open.remove(offset)
            self.storage.position = max(self.storage.position, min(self.open, default=self.next_offset))
        return out

    def check_open(self) -> None:
        """At the end, only the newest sketches of unfinished chunks are not acknowledged."""
        assert self.open == {receipt for _, receipt in self.pipeline.receipts.values()}


def start_worker(storage: FakeStorage, partitions: int, windows_kept: int) -> FakeWorker:
    pipeline: JudgePipeline[int] = JudgePipeline(plans, sources_of(partitions), windows_kept)
    return FakeWorker(storage, pipeline, storage.position)


def run_quietly(topic: Sequence[ChunkSketch | Progress], partitions: int) -> FakeStorage:
    """One life, everything in memory, rounds at fixed intervals."""
    storage = FakeStorage()
    worker = start_worker(storage, partitions, windows_kept=1_000_000)
    worker.load_models()
    for offset, message in enumerate(topic):
        worker.take(offset, message)
        if offset % 9 == 0:
            worker.settle()
    worker.settle()
    worker.check_open()
    return storage


def run_troubled(
    topic: Sequence[ChunkSketch | Progress],
    partitions: int,
    rng: np.random.Generator,
    crashes: int,
) -> FakeStorage:
    """Several lives with few windows in memory, rounds at random times, crashes in the middle of them."""
    storage = FakeStorage()
    for life in range(crashes + 1):
        worker = start_worker(storage, partitions, windows_kept=int(rng.integers(0, 6)))
        if rng.random() < 0.7:
            worker.load_models()
        round_rate = float(rng.choice([0.02, 0.2, 0.9]))
        end = len(topic)
        if life < crashes:
            end = int(rng.integers(storage.position, len(topic) + 1))
        for offset in range(storage.position, end):
            worker.take(offset, topic[offset])
            if rng.random() < round_rate:
                worker.settle()
        if life < crashes:
            worker.settle(steps=int(rng.integers(0, 6)))
    worker.load_models()
    worker.settle()
    worker.settle()
    worker.check_open()
    return storage


def publish(logs: Sequence[Log], rng: np.random.Generator, restarts: int) -> Published:
    """What one sketcher for each partition puts on the topic, their messages mixed at random. In the end each source
    says once more how far it is, as sketchers do again and again: a judge that starts has no clocks."""
    parts: list[Published] = []
    for partition, log in enumerate(logs):
        received = Received(partition)
        index_rows = int(rng.choice([12, 10_000]))
        for _ in range(restarts):
            run(log, received, rng, index_rows, steps=int(rng.integers(1, 120)))
        run(log, received, rng, index_rows)
        parts.append(received.published)
    turns = rng.permutation([number for number, part in enumerate(parts) for _ in part])
    iterators = [iter(part) for part in parts]
    mixed = [next(iterators[turn]) for turn in turns.tolist()]
    return [*mixed, *{m.source: m for m in mixed if isinstance(m, Progress)}.values()]
