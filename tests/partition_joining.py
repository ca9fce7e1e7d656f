"""The labels' join, row by row: every prediction of the log is known, and nothing is forgotten."""

import math
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.chunks import Kind, SketchKey
from driftsonde.core.events import Heartbeat, LabelBatch, NumericColumn, PredictionBatch
from driftsonde.core.join import Stream
from driftsonde.core.pairs import pairs_layout
from driftsonde.core.plan import Plan
from driftsonde.core.spec import Task
from driftsonde.sketcher.messages import Message
from partition_rows import (
    Sum,
    accepted,
    add_sums,
    bump,
    event_times,
    known_plan,
    newest_ms,
    number_of,
    segments_of,
    text_of,
)
from stream_examples import STREAMS, Log


@dataclass(slots=True)
class Prediction:
    """The first row of an id in its stream."""

    offset: int
    arrived_ms: int
    timestamp_ms: int
    batch: PredictionBatch
    row: int
    label: float = math.nan
    label_ms: int = -1


@dataclass(slots=True)
class Joining:
    """The state of the labels' join: every prediction of the log, and the newest label of each id without one.

    `gate_ms` is the second of event time up to which predictions are seen.
    """

    known: dict[tuple[Stream, str], Prediction]
    chunk_size: int
    totals: dict[tuple[int, SketchKey], Sum] | None
    gate_ms: int = -1
    kept: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def join_kept(
        self, chunk: int, label_time_ms: int, here: dict[tuple[int, SketchKey], dict[int, float]]
    ) -> None:
        """Join the labels that were kept with the predictions that are seen now."""
        for model, prediction_id in sorted(self.kept):
            seen = self._seen(model, prediction_id)
            if seen:
                label = self.kept.pop((model, prediction_id))
                for stream, prediction in seen:
                    self._apply(stream, prediction, label, (chunk, label_time_ms), here)

    def take(self, offset: int, message: Message, label_time_ms: int) -> None:
        event = message.event
        lateness_ms = 0 if isinstance(event, Heartbeat) else known_plan(event.model).spec.lateness_ms
        self.gate_ms = max(self.gate_ms, (newest_ms(message) + lateness_ms) // 1000 * 1000)
        chunk = offset // self.chunk_size
        here: dict[tuple[int, SketchKey], dict[int, float]] = {}
        before = self._pairs()
        self.join_kept(chunk, label_time_ms, here)
        if isinstance(event, LabelBatch):
            self._take_labels(event, (chunk, label_time_ms), here)
        if self.totals is not None:
            for place, sums in here.items():
                add_sums(self.totals[place], sums)
            after = self._pairs()
            for pair in before.keys() | after.keys():
                for state, sign in ((before, -1), (after, 1)):
                    if before.get(pair) != after.get(pair) and pair in state:
                        self._count_pair(pair, state[pair], sign, (chunk, label_time_ms))

    def _pairs(self) -> dict[tuple[Stream, str], tuple[float, int]]:
        """The shadow's rows whose champion has the same label, by shadow and id: that label and its time."""
        champion, shadow = STREAMS[0], STREAMS[2]
        return {
            (shadow, name): (mine.label, mine.label_ms)
            for (stream, name), mine in self.known.items()
            if stream == shadow and (theirs := self.known.get((champion, name))) is not None
            if mine.label_ms != -1 and (mine.label, mine.label_ms) == (theirs.label, theirs.label_ms)
        }

    def _count_pair(
        self, pair: tuple[Stream, str], labelled: tuple[float, int], sign: int, at: tuple[int, int]
    ) -> None:
        stream, name = pair
        plan, prediction = known_plan(stream.model, stream.version), self.known[pair]
        assert self.totals is not None
        champion, shadow = (
            _predicted(plan, one) == labelled[0] and labelled[0] < 2
            for one in (self.known[STREAMS[0], name], prediction)
        )
        spec, (chunk, label_time_ms) = plan.spec, at
        window = prediction.timestamp_ms // spec.window_ms * spec.window_ms
        late = window + spec.window_ms + spec.lateness_ms + spec.label_wait_ms <= label_time_ms
        layout = pairs_layout(plan.outcomes)
        key = SketchKey(stream.model, stream.version, stream.variant, "", window, Kind.OUTCOMES, late, layout)
        counts = self.totals.setdefault((chunk, key), Sum()).counts
        bump(counts, 0, sign)
        bump(counts, 1, sign * (champion and not shadow))
        bump(counts, 2, sign * (shadow and not champion))
        bump(counts, 3)

    def _take_labels(
        self, labels: LabelBatch, at: tuple[int, int], here: dict[tuple[int, SketchKey], dict[int, float]]
    ) -> None:
        plan = known_plan(labels.model)
        for row, (prediction_id, time_ms) in enumerate(
            zip(labels.ids, labels.timestamps_ms.tolist(), strict=True)
        ):
            label = _label(plan, labels, row)
            seen = self._seen(labels.model, prediction_id)
            for stream, prediction in seen:
                self._apply(stream, prediction, (label, time_ms), at, here)
            known = self.kept.get((labels.model, prediction_id))
            if not seen and not math.isnan(label) and (known is None or known[1] <= time_ms):
                self.kept[labels.model, prediction_id] = (label, time_ms)

    def _seen(self, model: str, prediction_id: str) -> list[tuple[Stream, Prediction]]:
        return [
            (stream, prediction)
            for stream in STREAMS
            if stream.model == model
            and (prediction := self.known.get((stream, prediction_id))) is not None
            and prediction.arrived_ms // 1000 * 1000 < self.gate_ms
        ]

    def _apply(
        self,
        stream: Stream,
        prediction: Prediction,
        labelled: tuple[float, int],
        at: tuple[int, int],
        here: dict[tuple[int, SketchKey], dict[int, float]],
    ) -> None:
        label, time_ms = labelled
        plan = known_plan(stream.model, stream.version)
        spec = plan.spec
        predicted = _predicted(plan, prediction)
        if math.isnan(label) or math.isnan(predicted) or time_ms < prediction.label_ms:
            return
        if prediction.arrived_ms // 1000 * 1000 > time_ms + max(spec.label_wait_ms, spec.lateness_ms):
            return
        if labelled == (prediction.label, prediction.label_ms):
            return
        changes = [(label, time_ms, 1)]
        if prediction.label_ms != -1:
            changes.insert(0, (prediction.label, prediction.label_ms, -1))
        prediction.label, prediction.label_ms = label, time_ms
        if self.totals is None:
            return
        chunk, label_time_ms = at
        window = prediction.timestamp_ms // spec.window_ms * spec.window_ms
        late = window + spec.window_ms + spec.lateness_ms + spec.label_wait_ms <= label_time_ms
        layout = plan.outcomes.fingerprint
        for segment in segments_of(plan, prediction.batch, prediction.row):
            key = SketchKey(
                stream.model, stream.version, stream.variant, segment, window, Kind.OUTCOMES, late, layout
            )
            for truth, known_ms, sign in changes:
                _count_outcome(
                    plan,
                    (predicted, truth, number_of(prediction.batch, "score", prediction.row)),
                    max(0, known_ms - prediction.timestamp_ms),
                    sign,
                    self.totals.setdefault((chunk, key), Sum()),
                    here.setdefault((chunk, key), {}),
                )


def join(log: Log, until: int, chunk_size: int, totals: dict[tuple[int, SketchKey], Sum] | None) -> Joining:
    """Join the first `until` messages of labels into `totals`, if wanted."""
    known: dict[tuple[Stream, str], Prediction] = {}
    for (offset, message), before_ms in zip(log.predictions, event_times(log), strict=True):
        if message is None or not accepted(message) or not isinstance(message.event, PredictionBatch):
            continue
        batch = message.event
        stream = Stream(batch.model, batch.version, batch.variant)
        for row, (prediction_id, time_ms) in enumerate(
            zip(batch.ids, batch.timestamps_ms.tolist(), strict=True)
        ):
            known.setdefault((stream, prediction_id), Prediction(offset, before_ms, time_ms, batch, row))
    joining = Joining(known, chunk_size, totals)
    label_time_ms = -1
    for offset, message in log.labels[:until]:
        if message is None or not accepted(message):
            continue
        joining.take(offset, message, label_time_ms)
        label_time_ms = max(label_time_ms, newest_ms(message))
    return joining


def _label(plan: Plan, labels: LabelBatch, row: int) -> float:
    column = labels.labels
    if isinstance(column, NumericColumn):
        value = float(column.values[row])
        return value if math.isfinite(value) else math.nan
    return math.nan if column.codes[row] == -1 else _class(plan, column.categories[column.codes[row]])


def _predicted(plan: Plan, prediction: Prediction) -> float:
    if plan.spec.task is Task.REGRESSION:
        return number_of(prediction.batch, "prediction", prediction.row)
    text = text_of(prediction.batch, "prediction", prediction.row)
    return math.nan if text is None else _class(plan, text)


def _class(plan: Plan, text: str) -> float:
    classes = plan.spec.classes
    return float(classes.index(text)) if text in classes else float(len(classes))


def _count_outcome(
    plan: Plan,
    row: tuple[float, float, float],
    delay_ms: int,
    sign: int,
    total: Sum,
    sums: dict[int, float],
) -> None:
    predicted, label, score = row
    bump(total.counts, 0, sign)
    bump(total.counts, 1, sign * delay_ms)
    bump(total.counts, 2)
    if plan.spec.task is Task.REGRESSION:
        error = predicted - label
        for place, value in enumerate((error, abs(error), error * error, label, label * label)):
            sums[place] = sums.get(place, 0.0) + sign * value
        return
    bump(total.counts, 3 + 3 * int(label) + int(predicted), sign)
    if math.isnan(score) or label == 2:
        return
    total.points.setdefault(score, [0, 0])[int(label)] += sign
    inside = min(max(score, 2.0**-52), 1 - 2.0**-52)
    # NumPy's logarithm, which may differ from the standard library's in the last bit.
    loss = float(-np.log(inside if label == 1 else 1 - inside))
    for place, value in enumerate((sign * (score - label) * (score - label), sign * loss, 1.0)):
        sums[place] = sums.get(place, 0.0) + value
