"""Deliver the log of a partition to the sketcher's pipeline as a worker would, in random portions and with restarts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.chunks import ChunkSketch, Progress, SketchKey, Source
from driftsonde.core.join import PredictionIndex
from driftsonde.core.resends import RecentMessages
from driftsonde.core.sketch import Sketch
from driftsonde.core.unmatched import UnmatchedLabel
from driftsonde.sketcher.chunk_state import ChunkState, Emission, FinishedChunk
from driftsonde.sketcher.labels import Found
from driftsonde.sketcher.messages import Message, Rejected
from driftsonde.sketcher.pipeline import PartitionPipeline
from partition_oracle import answer
from stream_examples import Log, plans

PREDICTION_CHUNK = 7
LABEL_CHUNK = 5
RESEND_BOUND = 6


@dataclass(slots=True)
class Received:
    """What a partition's pipelines have published: all of it, the newest sketch of each key, what was rejected, and
    where a restart would begin."""

    partition: int = 0
    published: list[ChunkSketch | Progress] = field(default_factory=list)
    sketches: dict[tuple[Source, int, SketchKey], ChunkSketch] = field(default_factory=dict)
    positions: dict[Source, tuple[int, int, int]] = field(default_factory=dict)
    recent: Sequence[int] = ()
    kept: dict[tuple[str, str], UnmatchedLabel | None] = field(default_factory=dict)
    rejected: list[tuple[str, int]] = field(default_factory=list)

    @property
    def predictions(self) -> Source:
        return Source("predictions", self.partition)

    @property
    def labels(self) -> Source:
        return Source("labels", self.partition)

    def take(self, emissions: Iterable[Emission | Rejected]) -> None:
        for emission in emissions:
            match emission:
                case ChunkSketch():
                    self._take_sketch(emission)
                case Progress():
                    self.published.append(emission)
                case FinishedChunk(source, _, end, event_time_ms, gate_ms, unmatched, recent):
                    self.positions[source] = (end, event_time_ms, gate_ms)
                    self.recent = recent if source == self.predictions else self.recent
                    self.kept |= {(change.model, change.id): change.label for change in unmatched}
                case Rejected(topic, offset):
                    self.rejected.append((topic, offset))

    def _take_sketch(self, sketch: ChunkSketch) -> None:
        self.published.append(sketch)
        identity = (sketch.source, sketch.chunk, sketch.key)
        known = self.sketches.get(identity)
        if known is not None and known.position == sketch.position:
            assert bits(known.sketch) == bits(sketch.sketch), "one position, two contents"
        if known is None or known.position <= sketch.position:
            self.sketches[identity] = sketch


def bits(sketch: Sketch) -> tuple[object, ...]:
    points = sketch.points
    arrays = (
        *(sketch.counts, sketch.sums, sketch.lows, sketch.highs),
        *(points.values, points.negatives, points.positives),
    )
    return (*(array.tobytes() for array in arrays), tuple(sorted(sketch.unseen.items())), points.coarse)


def start(received: Received, index_rows: int) -> PartitionPipeline:
    """As the worker starts a partition: from the stored positions."""
    position, event_time_ms, _ = received.positions.get(received.predictions, (0, -1, -1))
    label_position, label_time_ms, gate_ms = received.positions.get(received.labels, (0, -1, -1))
    recent = RecentMessages(RESEND_BOUND)
    recent.restore(received.recent)
    return PartitionPipeline(
        predictions=ChunkState(received.predictions, PREDICTION_CHUNK, position, event_time_ms),
        labels=ChunkState(received.labels, LABEL_CHUNK, label_position, label_time_ms),
        index=PredictionIndex(index_rows),
        plans=plans,
        future_tolerance_ms=0,
        archived_from=position,
        unmatched_bound=1_000,
        joined_gate_ms=gate_ms,
        kept=[label for label in received.kept.values() if label and label.expires_ms >= gate_ms],
        recent=recent,
    )


def run(
    log: Log,
    received: Received,
    rng: np.random.Generator,
    index_rows: int,
    steps: int | None = None,
    delivered: Log | None = None,
) -> None:
    """Deliver the log from the stored positions on, in random portions, to its end or for so many steps. `delivered` is
    the same log in another form, where the store has it as `log`."""
    sent = delivered or log
    pipeline = start(received, index_rows)
    at = [0, 0]
    lookup: list[Found] = []
    flush_rate = float(rng.choice([0.0, 0.1, 0.5]))
    portion = int(rng.choice([2, 6, 1000]))
    left = steps if steps is not None else 1_000_000
    while left > 0:
        left -= 1
        done = at[0] == len(log.predictions) and at[1] == len(log.labels)
        action = rng.random()
        if action < 0.4:
            upto = min(len(log.predictions), at[0] + int(rng.integers(1, portion)))
            received.take(_deliver_predictions(pipeline, sent.predictions[at[0] : upto]))
            at[0] = upto
        elif action < 0.6:
            upto = min(len(log.labels), at[1] + int(rng.integers(1, portion)))
            _deliver_labels(pipeline, log.labels[at[1] : upto], received)
            at[1] = upto
        elif action < 0.6 + flush_rate * 0.4:
            for state in (pipeline.predictions, pipeline.labels):
                received.take(state.repeat() if rng.random() < 0.3 else state.flush())
        else:
            _step_labels(pipeline, log, lookup, received)
        if done and not pipeline.waiting.messages:
            break
    if steps is None:
        received.take([*pipeline.predictions.flush(), *pipeline.labels.flush()])


def _deliver_predictions(
    pipeline: PartitionPipeline, messages: Sequence[tuple[int, Message | None]]
) -> Iterable[Emission | Rejected]:
    batch: list[Message] = []
    out: list[Emission | Rejected] = []
    for offset, message in messages:
        if offset < pipeline.next_offsets[0]:
            continue
        if message is not None:
            batch.append(message)
            continue
        out.extend(pipeline.take_predictions(batch))
        batch = []
        out.extend(pipeline.skip_prediction(offset))
    return [*out, *pipeline.take_predictions(batch)]


def _deliver_labels(
    pipeline: PartitionPipeline, messages: Sequence[tuple[int, Message | None]], received: Received
) -> None:
    for offset, message in messages:
        if offset < pipeline.next_offsets[1]:
            continue
        if message is None:
            pipeline.skip_label(offset)
        else:
            received.take(pipeline.take_label(message))


def _step_labels(pipeline: PartitionPipeline, log: Log, lookup: list[Found], received: Received) -> None:
    """Ask the store, or take its answer: other messages may come in between, as in the worker."""
    opened = pipeline.open_labels(1)
    if not opened:
        return
    if lookup:
        received.take(pipeline.take_next_label(lookup.pop()))
        return
    wanted = pipeline.lookup_for(opened[0])
    if wanted is None:
        received.take(pipeline.take_next_label(Found()))
    else:
        lookup.append(answer(log, wanted))
