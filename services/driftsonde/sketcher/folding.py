"""Folding predictions: into the sketches of the open chunk, and as entries of the hot index that wait for labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.chunks import Kind, SketchKey
from driftsonde.core.events import Codes, NumericColumn, PredictionBatch, Role
from driftsonde.core.grouping import group_rows, key_template
from driftsonde.core.inputs import sketch_rows
from driftsonde.core.join import NO_LABEL_TIME_MS, Entries, PredictionIndex, Stream
from driftsonde.core.plan import Plan, target_values
from driftsonde.core.sketch import Sketch
from driftsonde.sketcher.chunk_state import ChunkState
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
        streams: dict[Stream, list[tuple[Message, PredictionBatch, int]]] = {}
        for message, before_ms in messages:
            if isinstance(message.event, PredictionBatch):
                event = message.event
                stream = Stream(event.model, event.version, event.variant)
                streams.setdefault(stream, []).append((message, event, before_ms))
        held: dict[int, Entries] = {}
        for stream, parts in streams.items():
            plan = plan_of(self.plans, stream)
            batches = [batch for _, batch, _ in parts]
            slices = [plan.slicing.codes(batch) for batch in batches]
            self.chunk.extend(self._sketch_inputs(stream, plan, parts, slices))
            for (message, batch, before_ms), codes in zip(parts, slices, strict=True):
                held[message.offset] = entries_of(stream, plan, batch, before_ms, codes)
        for offset, entries in sorted(held.items()):
            self.index.add(offset, entries)

    def _sketch_inputs(
        self,
        stream: Stream,
        plan: Plan,
        parts: Sequence[tuple[Message, PredictionBatch, int]],
        slices: Sequence[Sequence[Codes]],
    ) -> Mapping[SketchKey, Sketch]:
        batches = [batch for _, batch, _ in parts]
        times = np.concatenate([batch.timestamps_ms for batch in batches])
        before = np.repeat([before_ms for *_, before_ms in parts], [len(batch.ids) for batch in batches])
        windows = times - times % plan.spec.window_ms
        late = (windows + plan.spec.window_ms + plan.spec.lateness_ms <= before).astype(np.int64)
        self.tally.late_rows += int(late.sum())
        template = key_template(stream.model, stream.version, stream.variant, Kind.INPUTS, plan.baseline_id)
        by_column = [np.concatenate(column) for column in zip(*slices, strict=True)]
        groups = group_rows(template, plan.slicing.labels, by_column, windows, late)
        sums = np.stack([self.chunk.sums(key, plan.inputs.sums) for key in groups.keys])
        sketches = sketch_rows(plan.inputs, batches, groups.strata, sums)
        return dict(zip(groups.keys, sketches, strict=True))


def entries_of(
    stream: Stream, plan: Plan, batch: PredictionBatch, arrived_ms: int, slices: Sequence[Codes] | None = None
) -> Entries:
    """What the outcomes of a batch will need; `slices` are its slice codes where they are known already."""
    by_role = {column.role: column for column in batch.columns}
    rows = len(batch.ids)
    predicted = by_role.get(Role.PREDICTION)
    score = by_role.get(Role.SCORE)
    codes = plan.slicing.codes(batch) if slices is None else slices
    return Entries(
        stream=stream,
        ids=batch.ids,
        timestamps_ms=batch.timestamps_ms,
        predictions=target_values(plan.spec, predicted) if predicted else np.full(rows, np.nan),
        scores=score.values if isinstance(score, NumericColumn) else np.full(rows, np.nan),
        slices=np.array(codes, dtype=np.int32).reshape(len(codes), rows),
        slice_labels=plan.slicing.labels,
        arrived_ms=arrived_ms,
        labels=np.full(rows, np.nan),
        label_times_ms=np.full(rows, NO_LABEL_TIME_MS, dtype=np.int64),
    )
