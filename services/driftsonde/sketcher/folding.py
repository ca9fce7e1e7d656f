"""Folding predictions: into the sketches of the open chunk, and as entries of the hot index that wait for labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.chunks import Kind, SketchKey
from driftsonde.core.columns import concatenate
from driftsonde.core.events import Codes, Column, Floats, NumericColumn, PredictionBatch, Role
from driftsonde.core.grouping import group_rows, key_template
from driftsonde.core.inputs import sketch_rows
from driftsonde.core.join import NO_LABEL_TIME_MS, Entries, PredictionIndex, Stream
from driftsonde.core.plan import Plan, target_values
from driftsonde.core.rows import PredictionRow, join_rows
from driftsonde.core.sketch import Sketch
from driftsonde.sketcher.chunk_state import ChunkState
from driftsonde.sketcher.joint_folding import fold_joint
from driftsonde.sketcher.messages import Message, Plans, Tally, plan_of


@dataclass(slots=True)
class Folding:
    """Folds into `chunk` and `index`, which the pipeline moves on."""

    chunk: ChunkState
    index: PredictionIndex
    plans: Plans
    tally: Tally = field(default_factory=Tally)

    def fold(self, messages: Sequence[tuple[Message, int]]) -> None:
        """Fold checked messages of the open chunk, each with the event time before it."""
        streams: dict[Stream, list[tuple[Message, PredictionBatch | PredictionRow, int]]] = {}
        for message, before_ms in messages:
            event = message.event
            if isinstance(event, PredictionBatch | PredictionRow):
                stream = Stream(event.model, event.version, event.variant)
                streams.setdefault(stream, []).append((message, event, before_ms))
        held: dict[int, Entries] = {}
        for stream, parts in streams.items():
            plan = plan_of(self.plans, stream)
            batches = join_rows([event for _, event, _ in parts])
            ids = [(event.id,) if isinstance(event, PredictionRow) else event.ids for _, event, _ in parts]
            arrived_ms = [before_ms for *_, before_ms in parts]
            slices = plan.slicing.codes(batches)
            self.chunk.extend(
                self._sketch_inputs(stream, plan, batches, arrived_ms, list(map(len, ids)), slices)
            )
            if plan.joint is not None:
                self.chunk.merge(fold_joint(stream, plan, batches, arrived_ms, list(map(len, ids))))
            every = _entries(stream, plan, batches, ids, arrived_ms, slices)
            held.update(
                (message.offset, entries) for (message, *_), entries in zip(parts, every, strict=True)
            )
        for offset, entries in sorted(held.items()):
            self.index.add(offset, entries)

    def _sketch_inputs(
        self,
        stream: Stream,
        plan: Plan,
        batches: Sequence[PredictionBatch],
        arrived_ms: Sequence[int],
        message_rows: Sequence[int],
        slices: Codes,
    ) -> Mapping[SketchKey, Sketch]:
        times = np.concatenate([batch.timestamps_ms for batch in batches])
        before = np.repeat(arrived_ms, message_rows)
        windows = times - times % plan.spec.window_ms
        late = (windows + plan.spec.window_ms + plan.spec.lateness_ms <= before).astype(np.int64)
        self.tally.late_rows += int(late.sum())
        template = key_template(stream.model, stream.version, stream.variant, Kind.INPUTS, plan.baseline_id)
        groups = group_rows(template, plan.slicing.labels, slices, windows, late)
        sums = np.stack([self.chunk.sums(key, plan.inputs.sums) for key in groups.keys])
        sketches = sketch_rows(plan.inputs, batches, groups.strata, sums, message_rows)
        return dict(zip(groups.keys, sketches, strict=True))


def entries_of(stream: Stream, plan: Plan, batch: PredictionBatch, arrived_ms: int) -> Entries:
    """What the outcomes of a batch will need."""
    (entries,) = _entries(stream, plan, [batch], [batch.ids], [arrived_ms], plan.slicing.codes([batch]))
    return entries


def _entries(
    stream: Stream,
    plan: Plan,
    batches: Sequence[PredictionBatch],
    ids: Sequence[tuple[str, ...]],
    arrived_ms: Sequence[int],
    slices: Codes,
) -> list[Entries]:
    """What the outcomes of each message, of these ids, will need: its rows of columns that all have in common."""
    lengths = [len(batch.ids) for batch in batches]
    by_role = [{column.role: column for column in batch.columns} for batch in batches]
    slice_labels = plan.slicing.labels
    predictions = _targets(plan, [columns.get(Role.PREDICTION) for columns in by_role], lengths)
    scores = _scores([columns.get(Role.SCORE) for columns in by_role], lengths)
    times = np.concatenate([batch.timestamps_ms for batch in batches])
    labels, labelled_ms = (
        np.full(sum(lengths), np.nan),
        np.full(sum(lengths), NO_LABEL_TIME_MS, dtype=np.int64),
    )
    entries: list[Entries] = []
    end = 0
    for message_ids, before_ms in zip(ids, arrived_ms, strict=True):
        rows = slice(end, end := end + len(message_ids))
        entries.append(
            Entries(
                stream=stream,
                ids=message_ids,
                timestamps_ms=times[rows],
                predictions=predictions[rows],
                scores=scores[rows],
                slices=slices[:, rows],
                slice_labels=slice_labels,
                arrived_ms=before_ms,
                labels=labels[rows],
                label_times_ms=labelled_ms[rows],
            )
        )
    return entries


def _scores(columns: Sequence[Column | None], lengths: Sequence[int]) -> Floats:
    """The scores of all messages, NaN where a message has none."""
    return np.concatenate(
        [
            column.values if isinstance(column, NumericColumn) else np.full(length, np.nan)
            for column, length in zip(columns, lengths, strict=True)
        ]
    )


def _targets(plan: Plan, columns: Sequence[Column | None], lengths: Sequence[int]) -> Floats:
    """The predictions of all messages, NaN where a message has none."""
    if len({type(column) for column in columns if column is not None}) > 1:
        each = zip(columns, lengths, strict=True)
        return np.concatenate([_targets(plan, [column], [length]) for column, length in each])
    predicted = concatenate(columns, lengths)
    return np.full(sum(lengths), np.nan) if predicted is None else target_values(plan.spec, predicted)
