"""Labels that wait for event time, what the store has to be asked about them, and their join with the predictions.

Which prediction a label finds is a function of the log. Label messages are taken in the order of the log; each has a
gate, an event time that never goes back, and sees the predictions that had come when their partition reached it. A label
whose prediction is not among them is kept; a later label message that sees the prediction joins the two. Labels and
predictions further apart than `wait_ms` are never joined, whichever comes first.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from driftsonde.core.chunks import NO_TIME_MS, whole_second_ms
from driftsonde.core.events import Heartbeat, LabelBatch, Variant
from driftsonde.core.join import (
    NO_LABEL_TIME_MS,
    Entries,
    Joined,
    JoinedPairs,
    Place,
    PredictionIndex,
    Stream,
    apply_and_pair,
)
from driftsonde.core.plan import Plan, target_values
from driftsonde.core.spec import ModelSpec
from driftsonde.core.unmatched import Coming, UnmatchedLabel, UnmatchedLabels
from driftsonde.sketcher.messages import Message, Plans, Tally

# A label, and the prediction that it is joined with: entries, row, label, label time.
Pair = tuple[Entries, int, float, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """Ids of labels that were waiting for their predictions when the process stopped: the store is asked about them."""

    model: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message of labels that waits for the predictions to reach its gate."""

    offset: int
    gate_ms: int
    event: LabelBatch | Heartbeat | Kept


@dataclass(frozen=True, slots=True)
class Lookup:
    """Ids that the hot index may not know in full, for which the store is asked: predictions of `model` stored below
    `predictions_below` of this partition (or of any other), with the labels below offset `labels_below`.

    Those of this partition that came when event time had reached `gate_ms` have not been joined with any label yet.
    """

    model: str
    ids: tuple[str, ...]
    partition: int
    predictions_below: int
    labels_below: int
    gate_ms: int


@dataclass(frozen=True, slots=True)
class Found:
    """The store's answer to a lookup: for each prediction the first row of its stream."""

    entries: tuple[Entries, ...] = ()


def wait_ms(spec: ModelSpec) -> int:
    """How much later than its label, in event time, a prediction may come to be joined with it."""
    return max(spec.label_wait_ms, spec.lateness_ms)


def in_time(entries: Entries, expires_ms: int) -> bool:
    """Whether the predictions came before a label expired. `wait_ms` after its own time a label expires."""
    return whole_second_ms(entries.arrived_ms) <= expires_ms


@dataclass(slots=True)
class WaitingLabels:
    """The labels of one partition in the order of the log, from when they are taken in until they are joined.

    `gate_ms` is the gate of the last message that was joined, `rows` the number of labels in messages.
    """

    partition: int
    index: PredictionIndex
    plans: Plans
    unmatched: UnmatchedLabels
    gate_ms: int = NO_TIME_MS
    messages: deque[Waiting] = field(default_factory=deque)
    rows: int = 0
    tally: Tally = field(default_factory=Tally)
    _coming: Coming = field(default_factory=Coming)
    _noted: dict[int, tuple[str, dict[str, list[Place]]]] = field(default_factory=dict)

    def restore(self, labels: Iterable[UnmatchedLabel], offset: int) -> None:
        """Begin with labels that waited for their predictions when the messages below `offset` were joined."""
        by_model: dict[str, list[str]] = {}
        for label in labels:
            self.unmatched.put(label)
            by_model.setdefault(label.model, []).append(label.id)
        self.unmatched.take_changes()
        for model, ids in by_model.items():
            self.messages.append(Waiting(offset - 1, self.gate_ms, Kept(model, tuple(ids))))

    def take(self, message: Message) -> None:
        """Queue a message that was checked."""
        gate_ms = self.awaited_ms
        match message.event:
            case LabelBatch() as labels:
                newest_ms = int(labels.timestamps_ms.max())
                gate_ms = max(gate_ms, whole_second_ms(newest_ms + self._plan(labels.model).spec.lateness_ms))
                self.messages.append(Waiting(message.offset, gate_ms, labels))
                self.rows += len(labels.ids)
            case Heartbeat(timestamp_ms) as heartbeat:
                gate_ms = max(gate_ms, whole_second_ms(timestamp_ms))
                self.messages.append(Waiting(message.offset, gate_ms, heartbeat))

    @property
    def awaited_ms(self) -> int:
        """The event time that the predictions have to reach before every waiting message can be joined."""
        return self.messages[-1].gate_ms if self.messages else self.gate_ms

    def open(self, predictions_ms: int, most: int) -> list[Waiting]:
        """The oldest messages, at most so many, for which the predictions have come far enough.

        A label waits until its partition of predictions has passed it by the allowed lateness: by then its
        prediction is in the index, whichever of the two topics was read faster.
        """
        opened: list[Waiting] = []
        for waiting in islice(self.messages, most):
            if predictions_ms < waiting.gate_ms:
                break
            opened.append(waiting)
        return opened

    def lookup_for(self, waiting: Waiting) -> Lookup | None:
        """What the store has to be asked before the message can be joined.

        Asked about is what the index does not have (another partition may), and of what copies may lie in the part that it
        does not have: what came soon after that, and shadows, which may come long after what they shadow. What it has is
        taken note of now: it may have left when the answer comes.
        """
        event = waiting.event
        match event:
            case Heartbeat():
                return None
            case Kept(model, ids):
                asked = ids
            case LabelBatch(model=model, ids=ids):
                hot = self.index.find_many(model, ids, waiting.gate_ms)
                self._noted[waiting.offset] = (model, hot)
                asked = self._not_known_in_full(model, hot)
        if not asked:
            return None
        return Lookup(model, asked, self.partition, self.index.missing_below, waiting.offset, waiting.gate_ms)

    def join_next(self, found: Found) -> tuple[list[Joined], list[JoinedPairs]]:
        """Write the labels of the oldest message, and the older ones that its gate lets find their predictions, into
        the predictions; returns what that changed, of each and of pairs. The message's lookup must have been made."""
        waiting = self.messages.popleft()
        pairs = self._late_pairs(waiting.gate_ms)
        # One prediction is one place in a message: what its older label has just been written into, the newer one goes into.
        late: dict[tuple[Stream, str], Place] = {(e.stream, e.ids[row]): (e, row) for e, row, *_ in pairs}
        visible: dict[str, list[Place]] = {}
        for entries in found.entries:
            for row, prediction_id in enumerate(entries.ids):
                if entries.arrived_ms < waiting.gate_ms:
                    place = late.get((entries.stream, prediction_id), (entries, row))
                    visible.setdefault(prediction_id, []).append(place)
                else:
                    self._coming.put(entries, row)
        self.gate_ms = waiting.gate_ms
        self.tally.expired += self.unmatched.expire(self.gate_ms)
        if isinstance(waiting.event, LabelBatch):
            self.rows -= len(waiting.event.ids)
            _, hot = self._noted.pop(waiting.offset)
            pairs.extend(self._own_pairs(waiting.event, hot, visible))
        self.tally.evicted += self.unmatched.evict()
        return apply_and_pair(pairs)

    def note_evicted(self, evicted: Iterable[Entries]) -> None:
        """Keep what has left the index before the labels that wait for it have come to it."""
        for entries in evicted:
            if entries.arrived_ms < self.gate_ms:
                continue
            model = entries.stream.model
            wanted = set(self.unmatched.among(model, entries.ids))
            for asking, hot in self._noted.values():
                if asking == model:
                    wanted.update(i for i in hot.keys() & set(entries.ids))
            for row, prediction_id in enumerate(entries.ids if wanted else ()):
                if prediction_id in wanted:
                    self._coming.put(entries, row)

    def _not_known_in_full(self, model: str, hot: Mapping[str, list[Place]]) -> tuple[str, ...]:
        if self.index.missing_below == 0:
            return tuple(prediction_id for prediction_id, places in hot.items() if not places)
        copies_until_ms = self.index.missing_until_ms + self._plan(model).spec.lateness_ms
        return tuple(i for i, places in hot.items() if _may_have_copies(places, copies_until_ms))

    def _late_pairs(self, gate_ms: int) -> list[Pair]:
        """The labels that have waited, with the predictions that are seen from this gate on and were not before."""
        seen: dict[tuple[str, str], dict[Stream, Place]] = {}
        for entries, row in self._coming.take_below(gate_ms):
            model, prediction_id = entries.stream.model, entries.ids[row]
            if self.unmatched.get(model, prediction_id) is not None:
                seen.setdefault((model, prediction_id), {}).setdefault(entries.stream, (entries, row))
        for entries in self.index.arrived_in(self.gate_ms, gate_ms):
            model = entries.stream.model
            for prediction_id in self.unmatched.among(model, entries.ids):
                streams = seen.setdefault((model, prediction_id), {})
                for place in self._visible(self.index.find(model, prediction_id), gate_ms):
                    streams.setdefault(place[0].stream, place)
        pairs: list[Pair] = []
        for (model, prediction_id), streams in sorted(seen.items(), key=lambda item: item[0]):
            label = self.unmatched.pop(model, prediction_id)
            assert label is not None
            joined = [
                (entries, row, label.label, label.time_ms)
                for entries, row in streams.values()
                if in_time(entries, label.expires_ms)
            ]
            self.tally.matched_late += bool(joined)
            self.tally.expired += not joined
            pairs.extend(joined)
        return pairs

    def _own_pairs(
        self, labels: LabelBatch, hot: Mapping[str, list[Place]], stored: Mapping[str, list[Place]]
    ) -> list[Pair]:
        """The labels of a message with the predictions that it sees; those that see none are kept."""
        spec = self._plan(labels.model).spec
        values = target_values(spec, labels.labels)
        times = labels.timestamps_ms
        expiries = times + wait_ms(spec)
        pairs: list[Pair] = []
        for prediction_id, value, time_ms, expires_ms in zip(
            labels.ids, values.tolist(), times.tolist(), expiries.tolist(), strict=True
        ):
            places = hot[prediction_id]
            known = stored.get(prediction_id)
            if known:
                self.tally.matched_in_store += 1
                streams = {entries.stream for entries, _ in known}
                places = [*known, *(place for place in places if place[0].stream not in streams)]
                pairs.extend(self._kept_pairs(labels.model, prediction_id, places))
            elif places:
                self.tally.matched_in_memory += 1
            else:
                self._keep(UnmatchedLabel(labels.model, prediction_id, value, time_ms, expires_ms))
            for entries, row in places if value == value else ():  # it is not missing
                if in_time(entries, expires_ms):
                    pairs.append((entries, row, value, time_ms))
        return pairs

    def _keep(self, label: UnmatchedLabel) -> None:
        self.tally.unmatched += 1
        if label.expires_ms < self.gate_ms:
            self.tally.expired += 1
        elif not np.isnan(label.label):
            self.unmatched.put(label)

    def _kept_pairs(self, model: str, prediction_id: str, places: Iterable[Place]) -> Iterable[Pair]:
        """An older label that still waits for a prediction which is found now in another partition. What the store has
        said of the prediction's labels is not so: none has been joined yet."""
        kept = self.unmatched.pop(model, prediction_id)
        for entries, row in places if kept else ():
            assert kept is not None
            entries.labels[row], entries.label_times_ms[row] = np.nan, NO_LABEL_TIME_MS
            yield entries, row, kept.label, kept.time_ms

    def _visible(self, places: Iterable[Place], gate_ms: int) -> list[Place]:
        """Those that had come when event time reached the gate."""
        return [place for place in places if place[0].arrived_ms < gate_ms]

    def _plan(self, model: str) -> Plan:
        plan = self.plans(model, "")
        if plan is None:
            raise LookupError(f"model {model} was checked and has gone")
        return plan


def _may_have_copies(places: Iterable[Place], until_ms: int) -> bool:
    """Whether there may be copies that came before these: of what came until then, and of shadows alone."""
    is_whole = False
    for entries, _ in places:
        if entries.arrived_ms < until_ms:
            return True
        is_whole = is_whole or entries.stream.variant is not Variant.SHADOW
    return not is_whole
