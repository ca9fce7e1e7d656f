"""What the sketches of a partition should be, row by row: no index, no batches, no restarts."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.chunks import Kind, SketchKey, Source
from driftsonde.core.events import (
    CategoricalColumn,
    Heartbeat,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    Role,
)
from driftsonde.core.join import Entries, Stream
from driftsonde.core.pairs import pairs_layout
from driftsonde.core.plan import Plan
from driftsonde.core.points import Points
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.sketcher.folding import entries_of
from driftsonde.sketcher.labels import Found, Lookup
from driftsonde.sketcher.messages import Message
from stream_examples import END_MS, STREAMS, Log, plans

PREDICTIONS = Source("predictions", 0)
LABELS = Source("labels", 0)

Sketches = dict[tuple[Source, int, SketchKey], Sketch]


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
class _Sum:
    counts: dict[int, int] = field(default_factory=dict)
    sums: dict[int, float] = field(default_factory=dict)
    low: dict[int, float] = field(default_factory=dict)
    high: dict[int, float] = field(default_factory=dict)
    unseen: dict[tuple[str, str], int] = field(default_factory=dict)
    points: dict[float, list[int]] = field(default_factory=dict)


def accepted(message: Message | None) -> bool:
    """Whether the log's message is to be folded."""
    if message is None or (not isinstance(message.event, Heartbeat) and message.event.model == "unknown"):
        return False
    return _newest_ms(message) <= END_MS


def expected_sketches(log: Log, prediction_chunk: int, label_chunk: int) -> Sketches:
    """The final sketch of every key of every chunk."""
    inputs = {
        (PREDICTIONS, chunk, key): _dense(
            plan_for_key(key).inputs.bins,
            plan_for_key(key).inputs.sums,
            len(plan_for_key(key).inputs.numeric),
            total,
        )
        for (chunk, key), total in _fold_inputs(log, prediction_chunk).items()
    }
    outcomes: dict[tuple[int, SketchKey], _Sum] = {}
    join(log, len(log.labels), label_chunk, outcomes)
    return inputs | {
        (LABELS, chunk, key): _dense(*_outcome_sizes(key), 0, total)
        for (chunk, key), total in outcomes.items()
    }


def _outcome_sizes(key: SketchKey) -> tuple[int, int]:
    layout = plan_for_key(key).outcomes
    return (4, 0) if key.layout == pairs_layout(layout) else (layout.bins, layout.sums)


def plan_for_key(key: SketchKey) -> Plan:
    plan = plans(key.model, key.version)
    assert plan is not None
    return plan


def event_times(log: Log) -> list[int]:
    """The event time of the predictions before each message."""
    times, now_ms = [], -1
    for _, message in log.predictions:
        times.append(now_ms)
        if message is not None and accepted(message):
            now_ms = max(now_ms, _newest_ms(message))
    return times


def answer(log: Log, lookup: Lookup) -> Found:
    """What a store that has everything says to a lookup."""
    labels = [n for n, (offset, _) in enumerate(log.labels) if offset < lookup.labels_below]
    joining = join(log, len(labels), 1, None)
    joining.gate_ms = max(joining.gate_ms, lookup.gate_ms)
    joining.join_kept(0, -1, {})
    found: list[Entries] = []
    for (stream, prediction_id), prediction in joining.known.items():
        if (
            stream.model != lookup.model
            or prediction_id not in lookup.ids
            or prediction.offset >= lookup.predictions_below
        ):
            continue
        plan = plans(stream.model, stream.version)
        assert plan is not None
        entries = entries_of(
            stream, plan, one_row(prediction.batch, prediction.row), prediction.arrived_ms // 1000 * 1000
        )
        entries.labels[0] = prediction.label
        entries.label_times_ms[0] = prediction.label_ms
        found.append(entries)
    return Found(tuple(found))


def one_row(batch: PredictionBatch, row: int) -> PredictionBatch:
    columns = tuple(
        NumericColumn(c.name, c.role, c.values[[row]])
        if isinstance(c, NumericColumn)
        else CategoricalColumn(c.name, c.role, c.codes[[row]], c.categories)
        for c in batch.columns
    )
    return PredictionBatch(
        batch.model, batch.version, batch.variant, (batch.ids[row],), batch.timestamps_ms[[row]], columns
    )


def _newest_ms(message: Message) -> int:
    event = message.event
    return (
        max(event.timestamps_ms.tolist())
        if isinstance(event, PredictionBatch | LabelBatch)
        else event.timestamp_ms
    )


def _fold_inputs(log: Log, chunk_size: int) -> dict[tuple[int, SketchKey], _Sum]:
    totals: dict[tuple[int, SketchKey], _Sum] = {}
    for (offset, message), before_ms in zip(log.predictions, event_times(log), strict=True):
        if message is None or not accepted(message) or not isinstance(message.event, PredictionBatch):
            continue
        batch = message.event
        plan = plans(batch.model, batch.version)
        assert plan is not None
        here: dict[tuple[tuple[int, ...], tuple[int, SketchKey]], dict[int, list[float]]] = {}
        for row, time_ms in enumerate(batch.timestamps_ms.tolist()):
            window = time_ms // plan.spec.window_ms * plan.spec.window_ms
            late = window + plan.spec.window_ms + plan.spec.lateness_ms <= before_ms
            segments = list(_segments(plan, batch, row))
            stratum = _stratum(plan, segments)
            for segment in segments:
                key = SketchKey(
                    batch.model,
                    batch.version,
                    batch.variant,
                    segment,
                    window,
                    Kind.INPUTS,
                    late,
                    plan.baseline_id,
                )
                place = (offset // chunk_size, key)
                terms = here.setdefault((stratum, place), {})
                _count_row(plan, batch, row, totals.setdefault(place, _Sum()), terms)
        parts: dict[tuple[int, SketchKey], dict[int, list[float]]] = {}
        for (_, place), terms in sorted(here.items(), key=lambda item: item[0][0]):
            for number, values in terms.items():
                parts.setdefault(place, {}).setdefault(number, []).append(_run_sum(values))
        for place, sums in parts.items():
            _add_sums(totals[place], {number: _run_sum(values) for number, values in sums.items()})
    return totals


def _sliced(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The columns that rows are sliced by, with the values that have a slice of their own."""
    baseline = plan.baseline
    listed = dict(baseline.segments) if baseline else {}
    sliced = {name: listed.get(name, ()) for name in plan.spec.segments}
    for column in baseline.columns if baseline else ():
        if column.role is Role.PROTECTED and isinstance(column, CategoricalReference):
            sliced.setdefault(column.name, column.categories)
    return sliced


def _segments(plan: Plan, batch: PredictionBatch, row: int) -> Iterator[str]:
    yield ""
    for name, listed in _sliced(plan).items():
        value = _text(batch, name, row)
        if value is not None:
            yield f"{name}={value if value in listed and value != '(other)' else '(other)'}"


def _stratum(plan: Plan, segments: list[str]) -> tuple[int, ...]:
    """By which a message's rows are summed up before their sums are added: the slice of each column."""
    slices = {
        label.partition("=")[0]: code for code, label in enumerate(plan.slicing.labels) if label in segments
    }
    return tuple(slices.get(name, -1) for name in _sliced(plan))


def _text(batch: PredictionBatch, name: str, row: int) -> str | None:
    for column in batch.columns:
        if column.name == name and isinstance(column, CategoricalColumn):
            return None if column.codes[row] == -1 else column.categories[column.codes[row]]
    return None


def _number(batch: PredictionBatch, name: str, row: int) -> float:
    for column in batch.columns:
        if column.name == name and isinstance(column, NumericColumn):
            return float(column.values[row])
    return math.nan


def _run_sum(values: list[float]) -> float:
    """NumPy adds up a run of values in an order of its own, which depends on how many there are."""
    return float(np.add.reduceat(values, [0])[0])


def _count_row(
    plan: Plan, batch: PredictionBatch, row: int, total: _Sum, terms: dict[int, list[float]]
) -> None:
    _bump(total.counts, 0)
    start, number = 1, 0
    for reference in plan.baseline.columns if plan.baseline else ():
        size = len(reference.counts)
        if isinstance(reference, NumericReference):
            value = _number(batch, reference.name, row)
            below = sum(edge <= value for edge in reference.edges.tolist())
            _bump(total.counts, start + (size - 1 if math.isnan(value) else below))
            finite = value if math.isfinite(value) else 0.0
            terms.setdefault(2 * number, []).append(finite)
            terms.setdefault(2 * number + 1, []).append(finite * finite)
            if math.isfinite(value):
                total.low[number] = min(total.low.get(number, math.inf), value)
                total.high[number] = max(total.high.get(number, -math.inf), value)
            number += 1
        else:
            text = _text(batch, reference.name, row)
            if text is None:
                _bump(total.counts, start + size - 1)
            elif text in reference.categories:
                _bump(total.counts, start + reference.categories.index(text))
            else:
                _bump(total.counts, start + size - 2)
                pair = (reference.name, text)
                total.unseen[pair] = total.unseen.get(pair, 0) + 1
        start += size


@dataclass(slots=True)
class Joining:
    """The state of the labels' join: every prediction of the log, and the newest label of each id without one.

    `gate_ms` is the second of event time up to which predictions are seen.
    """

    known: dict[tuple[Stream, str], Prediction]
    chunk_size: int
    totals: dict[tuple[int, SketchKey], _Sum] | None
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
        lateness_ms = 0 if isinstance(event, Heartbeat) else _spec(event.model).lateness_ms
        self.gate_ms = max(self.gate_ms, (_newest_ms(message) + lateness_ms) // 1000 * 1000)
        chunk = offset // self.chunk_size
        here: dict[tuple[int, SketchKey], dict[int, float]] = {}
        before = self._pairs()
        self.join_kept(chunk, label_time_ms, here)
        if isinstance(event, LabelBatch):
            self._take_labels(event, (chunk, label_time_ms), here)
        if self.totals is not None:
            for place, sums in here.items():
                _add_sums(self.totals[place], sums)
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
        plan, prediction = plans(stream.model, stream.version), self.known[pair]
        assert plan is not None
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
        counts = self.totals.setdefault((chunk, key), _Sum()).counts
        _bump(counts, 0, sign)
        _bump(counts, 1, sign * (champion and not shadow))
        _bump(counts, 2, sign * (shadow and not champion))
        _bump(counts, 3)

    def _take_labels(
        self, labels: LabelBatch, at: tuple[int, int], here: dict[tuple[int, SketchKey], dict[int, float]]
    ) -> None:
        plan = plans(labels.model, "")
        assert plan is not None
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
        plan = plans(stream.model, stream.version)
        assert plan is not None
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
        for segment in _segments(plan, prediction.batch, prediction.row):
            key = SketchKey(
                stream.model, stream.version, stream.variant, segment, window, Kind.OUTCOMES, late, layout
            )
            for truth, known_ms, sign in changes:
                _count_outcome(
                    plan,
                    (predicted, truth, _number(prediction.batch, "score", prediction.row)),
                    max(0, known_ms - prediction.timestamp_ms),
                    sign,
                    self.totals.setdefault((chunk, key), _Sum()),
                    here.setdefault((chunk, key), {}),
                )


def join(log: Log, until: int, chunk_size: int, totals: dict[tuple[int, SketchKey], _Sum] | None) -> Joining:
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
        label_time_ms = max(label_time_ms, _newest_ms(message))
    return joining


def _spec(model: str) -> ModelSpec:
    plan = plans(model, "")
    assert plan is not None
    return plan.spec


def _label(plan: Plan, labels: LabelBatch, row: int) -> float:
    column = labels.labels
    if isinstance(column, NumericColumn):
        value = float(column.values[row])
        return value if math.isfinite(value) else math.nan
    return math.nan if column.codes[row] == -1 else _class(plan, column.categories[column.codes[row]])


def _predicted(plan: Plan, prediction: Prediction) -> float:
    if plan.spec.task is Task.REGRESSION:
        return _number(prediction.batch, "prediction", prediction.row)
    text = _text(prediction.batch, "prediction", prediction.row)
    return math.nan if text is None else _class(plan, text)


def _class(plan: Plan, text: str) -> float:
    classes = plan.spec.classes
    return float(classes.index(text)) if text in classes else float(len(classes))


def _count_outcome(
    plan: Plan,
    row: tuple[float, float, float],
    delay_ms: int,
    sign: int,
    total: _Sum,
    sums: dict[int, float],
) -> None:
    predicted, label, score = row
    _bump(total.counts, 0, sign)
    _bump(total.counts, 1, sign * delay_ms)
    _bump(total.counts, 2)
    if plan.spec.task is Task.REGRESSION:
        error = predicted - label
        for place, value in enumerate((error, abs(error), error * error, label, label * label)):
            sums[place] = sums.get(place, 0.0) + sign * value
        return
    _bump(total.counts, 3 + 3 * int(label) + int(predicted), sign)
    if math.isnan(score) or label == 2:
        return
    total.points.setdefault(score, [0, 0])[int(label)] += sign
    inside = min(max(score, 2.0**-52), 1 - 2.0**-52)
    # NumPy's logarithm, which may differ from the standard library's in the last bit.
    loss = float(-np.log(inside if label == 1 else 1 - inside))
    for place, value in enumerate((sign * (score - label) * (score - label), sign * loss, 1.0)):
        sums[place] = sums.get(place, 0.0) + value


def _bump(counts: dict[int, int], place: int, by: int = 1) -> None:
    counts[place] = counts.get(place, 0) + by


def _add_sums(total: _Sum, sums: Mapping[int, float]) -> None:
    for place, value in sums.items():
        total.sums[place] = total.sums.get(place, 0.0) + value


def _dense(bins: int, sums: int, extremes: int, total: _Sum) -> Sketch:
    return Sketch(
        np.array([total.counts.get(place, 0) for place in range(bins)], dtype=np.int64),
        np.array([total.sums.get(place, 0.0) for place in range(sums)]),
        np.array([total.low.get(place, math.inf) for place in range(extremes)]),
        np.array([total.high.get(place, -math.inf) for place in range(extremes)]),
        total.unseen,
        Points(
            np.array(sorted(total.points), dtype=np.float64),
            np.array([total.points[score][0] for score in sorted(total.points)], dtype=np.int64),
            np.array([total.points[score][1] for score in sorted(total.points)], dtype=np.int64),
            coarse=False,
        ),
    )
