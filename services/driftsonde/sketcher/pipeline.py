"""What the sketcher does with the messages of one partition of predictions and labels. Pure: it returns what should
be sent, and asks for what it needs from the store.

decode → check → fold into the open chunk → hold for the labels → wait for event time → join → fold the outcomes
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from driftsonde.core.chunks import NO_TIME_MS, Kind, SketchKey
from driftsonde.core.events import (
    Codes,
    Heartbeat,
    InvalidEvent,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    Role,
)
from driftsonde.core.grouping import group_rows, key_template
from driftsonde.core.inputs import check_columns, sketch_rows
from driftsonde.core.join import (
    NO_LABEL_TIME_MS,
    Entries,
    Joined,
    Place,
    PredictionIndex,
    Stream,
    apply_labels,
)
from driftsonde.core.outcomes import Outcomes, sketch_outcomes
from driftsonde.core.plan import Plan, target_values
from driftsonde.core.sketch import Sketch, add
from driftsonde.sketcher.chunk_state import ChunkState, Emission, FinishedChunk

Plans = Callable[[str, str], Plan | None]

_NOTHING = Heartbeat(0)


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message. `recorded_ms` is when the broker took it: a row that is much newer has a wrong clock."""

    offset: int
    recorded_ms: int
    event: PredictionBatch | LabelBatch | Heartbeat


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message for the dead letters."""

    topic: str
    offset: int
    reason: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Ids that the hot index may not know in full, for which the store is asked: predictions of `model` stored below
    `predictions_below` of this partition (or of any other), with the labels below offset `labels_below`.

    Of this partition, only what was in the log when event time reached `gate_ms` counts: no message after the first
    with that timestamp. Below `predictions_below` event time had come to `reached_ms`.
    """

    model: str
    ids: tuple[str, ...]
    partition: int
    predictions_below: int
    labels_below: int
    gate_ms: int
    reached_ms: int


@dataclass(frozen=True, slots=True)
class Found:
    """The store's answer to a lookup: for each prediction the first row of its stream."""

    entries: tuple[Entries, ...] = ()


@dataclass(slots=True)
class Tally:
    """Running totals of one partition for the metrics."""

    late_rows: int = 0
    matched_in_memory: int = 0
    matched_in_store: int = 0
    unmatched: int = 0
    delays_ms: list[int] = field(default_factory=list)


@dataclass(slots=True)
class PartitionPipeline:
    """State of one partition number: the open chunks of both topics, the hot index, and the labels that wait.

    `archived_from` is the offset of predictions from which on the hot index has seen everything; what lies below is
    only in the store.

    A prediction and its copies (of other versions, or sent again) are known as one if they come within the allowed
    lateness of the first; later ones only as long as both are in the hot index.
    """

    predictions: ChunkState
    labels: ChunkState
    index: PredictionIndex
    plans: Plans
    future_tolerance_ms: int
    archived_from: int
    waiting: deque[Message] = field(default_factory=deque)
    tally: Tally = field(default_factory=Tally)
    _noted: dict[int, dict[str, list[Place]]] = field(default_factory=dict)
    _joined_gate_ms: int = NO_TIME_MS
    _settled_ms: int = field(init=False)
    _unsettled: deque[tuple[int, FinishedChunk]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._settled_ms = self.predictions.event_time_ms
        self.index.missing_below = self.archived_from
        self.index.missing_until_ms = self.predictions.event_time_ms

    def take_predictions(self, messages: Sequence[Message]) -> list[Emission | Rejected]:
        """Fold messages of the predictions topic, in offset order."""
        out: list[Emission | Rejected] = []
        batch: list[tuple[Message, int]] = []
        for message in messages:
            if message.offset // self.predictions.size > self.predictions.chunk:
                self._fold_predictions(batch)
                batch = []
            out.extend(self._advance_predictions(message.offset))
            try:
                self._check(message)
            except InvalidEvent as error:
                out.append(_rejected(self.predictions.source.topic, message, error))
            else:
                batch.append((message, self.predictions.event_time_ms))
                self.predictions.observe(_newest_ms(message))
            if (message.offset + 1) // self.predictions.size > self.predictions.chunk:
                self._fold_predictions(batch)
                batch = []
            out.extend(self._advance_predictions(message.offset + 1))
        self._fold_predictions(batch)
        return out

    def skip_prediction(self, offset: int) -> list[Emission]:
        """Move past a message of predictions that is in the dead letters."""
        return [*self._advance_predictions(offset), *self._advance_predictions(offset + 1)]

    def skip_label(self, offset: int) -> None:
        """Let a message of labels that is in the dead letters take its turn, as one that says nothing."""
        self.waiting.append(Message(offset, 0, _NOTHING))

    @property
    def next_offsets(self) -> tuple[int, int]:
        """The offsets of predictions and of labels that are to be taken next."""
        waiting = self.waiting[-1].offset + 1 if self.waiting else self.labels.position
        return self.predictions.position, waiting

    def take_label(self, message: Message) -> list[Rejected]:
        """Queue a message of the labels topic until event time allows it to be joined."""
        try:
            self._check(message)
        except InvalidEvent as error:
            self.skip_label(message.offset)
            return [_rejected(self.labels.source.topic, message, error)]
        self.waiting.append(message)
        return []

    @property
    def awaited_ms(self) -> int:
        """The event time that the predictions have to reach before every waiting label can be joined."""
        labels = (message.event for message in self.waiting)
        return max((self._gate_ms(e) for e in labels if isinstance(e, LabelBatch)), default=NO_TIME_MS)

    def open_labels(self, most: int) -> list[Message]:
        """The oldest waiting messages, at most so many, for which the predictions have come far enough.

        A label waits until its partition of predictions has passed it by the allowed lateness: by then its
        prediction is in the index, whichever of the two topics was read faster.
        """
        opened: list[Message] = []
        for message in islice(self.waiting, most):
            event = message.event
            if isinstance(event, LabelBatch) and self.predictions.event_time_ms < self._gate_ms(event):
                break
            opened.append(message)
        return opened

    def lookup_for(self, message: Message) -> Lookup | None:
        """What the store has to be asked before the message can be joined.

        Asked about is what the index does not have, and what came so soon after the part that it does not have that
        copies may lie there. What it has is taken note of now: it may have left when the answer comes.
        """
        event, index = message.event, self.index
        if not isinstance(event, LabelBatch) or index.missing_below == 0:
            return None
        gate_ms = self._gate_ms(event)
        hot = {i: self._find_hot(event.model, i, gate_ms) for i in event.ids}
        self._noted[message.offset] = hot
        whole_from_ms = index.missing_until_ms + self._lateness_ms(event.model)
        asked = tuple(
            prediction_id
            for prediction_id, places in hot.items()
            if min((entries.arrived_ms for entries, _ in places), default=NO_TIME_MS) < whole_from_ms
        )
        if not asked:
            return None
        return Lookup(
            event.model,
            asked,
            self.labels.source.partition,
            index.missing_below,
            message.offset,
            gate_ms,
            index.missing_until_ms,
        )

    def take_next_label(self, found: Found) -> list[Emission]:
        """Join and fold the oldest waiting message, given the store's answer to its lookup."""
        message = self.waiting.popleft()
        out = self._advance_labels(message.offset)
        match message.event:
            case LabelBatch() as labels:
                for joined in self._join(labels, self._noted.pop(message.offset, None), found):
                    self.labels.merge(self._fold_outcomes(joined))
                self.labels.observe(int(labels.timestamps_ms.max()))
                self._joined_gate_ms = max(self._joined_gate_ms, self._gate_ms(labels))
            case Heartbeat(timestamp_ms):
                self.labels.observe(timestamp_ms)
        out.extend(self._advance_labels(message.offset + 1))
        return out

    def _advance_predictions(self, position: int) -> list[Emission]:
        out = self.predictions.advance(position)
        for emission in out:
            if isinstance(emission, FinishedChunk):
                self._settled_ms = emission.event_time_ms
        return [*out, *self._settle_labels()]

    def _advance_labels(self, position: int) -> list[Emission]:
        out: list[Emission] = []
        for emission in self.labels.advance(position):
            if isinstance(emission, FinishedChunk):
                self._unsettled.append((self._joined_gate_ms, emission))
            else:
                out.append(emission)
        return [*out, *self._settle_labels()]

    def _settle_labels(self) -> list[Emission]:
        """The finished chunks of labels that may be acknowledged: those all of whose predictions are in finished chunks.

        After a restart, predictions are folded again from the first unfinished chunk and come into the index without a
        label. So none of the labels that are then behind may have been joined with them.
        """
        settled: list[Emission] = []
        while self._unsettled and self._unsettled[0][0] <= self._settled_ms:
            settled.append(self._unsettled.popleft()[1])
        return settled

    def _check(self, message: Message) -> None:
        """Raise `InvalidEvent` for an unknown model, a clock from the future, or columns of the wrong kind."""
        event = message.event
        newest_ms = _newest_ms(message)
        if newest_ms > message.recorded_ms + self.future_tolerance_ms:
            ahead_s = (newest_ms - message.recorded_ms) / 1000
            raise InvalidEvent(
                "timestamps_ms", f"{ahead_s:.0f} s ahead of the broker's clock; set the producer's"
            )
        if isinstance(event, Heartbeat):
            return
        version = event.version if isinstance(event, PredictionBatch) else ""
        plan = self.plans(event.model, version)
        if plan is None:
            raise InvalidEvent("model", f'"{event.model}" is not registered; run `driftsonde register`')
        if isinstance(event, PredictionBatch):
            check_columns(plan.inputs, event)
            plan.slicing.codes(event)

    def _fold_predictions(self, messages: Sequence[tuple[Message, int]]) -> None:
        """Fold checked messages, each with the event time before it, and hold them for their labels."""
        streams: dict[Stream, list[tuple[Message, PredictionBatch, int]]] = {}
        for message, before_ms in messages:
            if isinstance(message.event, PredictionBatch):
                event = message.event
                stream = Stream(event.model, event.version, event.variant)
                streams.setdefault(stream, []).append((message, event, before_ms))
        held: dict[int, Entries] = {}
        for stream, parts in streams.items():
            plan = self._plan(stream)
            batches = [batch for _, batch, _ in parts]
            slices = [plan.slicing.codes(batch) for batch in batches]
            self.predictions.extend(self._sketch_inputs(stream, plan, parts, slices))
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
        sums = np.stack([self.predictions.sums(key, plan.inputs.sums) for key in groups.keys])
        sketches = sketch_rows(plan.inputs, batches, groups.members, sums)
        return dict(zip(groups.keys, sketches, strict=True))

    def _join(
        self, labels: LabelBatch, noted: Mapping[str, list[Place]] | None, found: Found
    ) -> list[Joined]:
        plan = self.plans(labels.model, "")
        if plan is None:
            raise LookupError(f"model {labels.model} was checked and has gone")
        stored: dict[str, list[Place]] = {}
        for entries in found.entries:
            for row, prediction_id in enumerate(entries.ids):
                stored.setdefault(prediction_id, []).append((entries, row))
        gate_ms = self._gate_ms(labels)
        values = target_values(plan.spec, labels.labels)
        pairs: list[tuple[Entries, int, float, int]] = []
        for prediction_id, value, time_ms in zip(
            labels.ids, values.tolist(), labels.timestamps_ms.tolist(), strict=True
        ):
            hot = (
                self._find_hot(labels.model, prediction_id, gate_ms)
                if noted is None
                else noted[prediction_id]
            )
            known = stored.get(prediction_id, [])
            streams = {entries.stream for entries, _ in known}
            places = [*known, *(place for place in hot if place[0].stream not in streams)]
            if known:
                self.tally.matched_in_store += 1
            elif places:
                self.tally.matched_in_memory += 1
            else:
                self.tally.unmatched += 1
            if not np.isnan(value):
                pairs.extend((entries, row, value, time_ms) for entries, row in places)
        return apply_labels(pairs)

    def _fold_outcomes(self, joined: Joined) -> dict[SketchKey, Sketch]:
        plan = self._plan(joined.stream)
        spec = plan.spec
        windows = joined.timestamps_ms - joined.timestamps_ms % spec.window_ms
        deadline = windows + spec.window_ms + spec.label_wait_ms + spec.lateness_ms
        late = (deadline <= self.labels.event_time_ms).astype(np.int64)
        outcomes = Outcomes(
            predictions=joined.predictions,
            labels=joined.labels,
            scores=joined.scores,
            delays_ms=np.maximum(joined.label_times_ms - joined.timestamps_ms, 0),
            signs=joined.signs,
        )
        stream = joined.stream
        self.tally.delays_ms.extend(outcomes.delays_ms[outcomes.signs > 0].tolist())
        layout = plan.outcomes.fingerprint
        template = key_template(stream.model, stream.version, stream.variant, Kind.OUTCOMES, layout)
        groups = group_rows(template, plan.slicing.labels, list(joined.slices), windows, late)
        result: dict[SketchKey, Sketch] = {}
        for member in groups.members:
            inside = member >= 0
            part = _take(outcomes, inside)
            sketches = sketch_outcomes(plan.outcomes, part, member[inside], len(groups.keys))
            for number in np.unique(member[inside]).tolist():
                key = groups.keys[number]
                result[key] = add(result[key], sketches[number]) if key in result else sketches[number]
        return result

    def _gate_ms(self, labels: LabelBatch) -> int:
        return int(labels.timestamps_ms.max()) + self._lateness_ms(labels.model)

    def _lateness_ms(self, model: str) -> int:
        plan = self.plans(model, "")
        return plan.spec.lateness_ms if plan else 0

    def _find_hot(self, model: str, prediction_id: str, gate_ms: int) -> list[Place]:
        """The prediction in the index, where it was in the log when event time reached the gate."""
        return [place for place in self.index.find(model, prediction_id) if place[0].arrived_ms < gate_ms]

    def _plan(self, stream: Stream) -> Plan:
        plan = self.plans(stream.model, stream.version)
        if plan is None:
            raise LookupError(f"model {stream.model} was checked and has gone")
        return plan


def _rejected(topic: str, message: Message, error: InvalidEvent) -> Rejected:
    # "columns[price]" is about columns: the names of reasons must not be the producer's to choose.
    return Rejected(topic, message.offset, error.field.partition("[")[0], str(error))


def _newest_ms(message: Message) -> int:
    event = message.event
    return event.timestamp_ms if isinstance(event, Heartbeat) else int(event.timestamps_ms.max())


def _take(outcomes: Outcomes, inside: npt.NDArray[np.bool_]) -> Outcomes:
    return Outcomes(
        outcomes.predictions[inside],
        outcomes.labels[inside],
        outcomes.scores[inside],
        outcomes.delays_ms[inside],
        outcomes.signs[inside],
    )


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
        arrived_ms=arrived_ms,
        labels=np.full(rows, np.nan),
        label_times_ms=np.full(rows, NO_LABEL_TIME_MS, dtype=np.int64),
    )
