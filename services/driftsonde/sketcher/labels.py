"""Labels that wait for event time, what the store has to be asked about them, and their join with the predictions."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from driftsonde.core.chunks import NO_TIME_MS
from driftsonde.core.events import LabelBatch
from driftsonde.core.join import Entries, Joined, Place, PredictionIndex, apply_labels
from driftsonde.core.plan import target_values
from driftsonde.sketcher.messages import Message, Plans, Tally


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
class WaitingLabels:
    """The labels of one partition in the order of the log, from when they are taken in until they are joined."""

    partition: int
    index: PredictionIndex
    plans: Plans
    messages: deque[Message] = field(default_factory=deque)
    tally: Tally = field(default_factory=Tally)
    _noted: dict[int, dict[str, list[Place]]] = field(default_factory=dict)

    @property
    def awaited_ms(self) -> int:
        """The event time that the predictions have to reach before every waiting label can be joined."""
        labels = (message.event for message in self.messages)
        return max((self.gate_ms(e) for e in labels if isinstance(e, LabelBatch)), default=NO_TIME_MS)

    def open(self, predictions_ms: int, most: int) -> list[Message]:
        """The oldest messages, at most so many, for which the predictions have come far enough.

        A label waits until its partition of predictions has passed it by the allowed lateness: by then its
        prediction is in the index, whichever of the two topics was read faster.
        """
        opened: list[Message] = []
        for message in islice(self.messages, most):
            event = message.event
            if isinstance(event, LabelBatch) and predictions_ms < self.gate_ms(event):
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
        gate_ms = self.gate_ms(event)
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
            self.partition,
            index.missing_below,
            message.offset,
            gate_ms,
            index.missing_until_ms,
        )

    def join(self, offset: int, labels: LabelBatch, found: Found) -> list[Joined]:
        """Write the labels of the message at `offset` into their predictions; returns what that changed."""
        plan = self.plans(labels.model, "")
        if plan is None:
            raise LookupError(f"model {labels.model} was checked and has gone")
        noted = self._noted.pop(offset, None)
        stored: dict[str, list[Place]] = {}
        for entries in found.entries:
            for row, prediction_id in enumerate(entries.ids):
                stored.setdefault(prediction_id, []).append((entries, row))
        values = target_values(plan.spec, labels.labels)
        pairs: list[tuple[Entries, int, float, int]] = []
        for prediction_id, value, time_ms in zip(
            labels.ids, values.tolist(), labels.timestamps_ms.tolist(), strict=True
        ):
            known = stored.get(prediction_id, [])
            places = [*known, *self._hot_places(labels, prediction_id, noted, known)]
            if known:
                self.tally.matched_in_store += 1
            elif places:
                self.tally.matched_in_memory += 1
            else:
                self.tally.unmatched += 1
            if not np.isnan(value):
                pairs.extend((entries, row, value, time_ms) for entries, row in places)
        return apply_labels(pairs)

    def gate_ms(self, labels: LabelBatch) -> int:
        """The event time of predictions at which the labels are joined."""
        return int(labels.timestamps_ms.max()) + self._lateness_ms(labels.model)

    def _hot_places(
        self,
        labels: LabelBatch,
        prediction_id: str,
        noted: Mapping[str, list[Place]] | None,
        known: list[Place],
    ) -> list[Place]:
        """Where the index has or had the prediction, for those streams that the store has not answered for."""
        hot = (
            self._find_hot(labels.model, prediction_id, self.gate_ms(labels))
            if noted is None
            else noted[prediction_id]
        )
        streams = {entries.stream for entries, _ in known}
        return [place for place in hot if place[0].stream not in streams]

    def _lateness_ms(self, model: str) -> int:
        plan = self.plans(model, "")
        return plan.spec.lateness_ms if plan else 0

    def _find_hot(self, model: str, prediction_id: str, gate_ms: int) -> list[Place]:
        """The prediction in the index, where it was in the log when event time reached the gate."""
        return [place for place in self.index.find(model, prediction_id) if place[0].arrived_ms < gate_ms]
