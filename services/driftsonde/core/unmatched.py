"""Labels that have come before their prediction: kept for a time, in bounded memory, until it comes."""

import heapq
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from driftsonde.core.join import Entries, Place

# Expiries of labels that are gone, which may lie about.
_SLACK = 1_000


@dataclass(frozen=True, slots=True)
class UnmatchedLabel:
    """The newest label of an id that no prediction has been seen of. `label` is as in `plan.target_values`.

    A prediction is joined with it that comes before event time has passed `expires_ms`.
    """

    model: str
    id: str
    label: float
    time_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class UnmatchedChange:
    """What became of an id's label: it waits, or (None) it waits no longer."""

    model: str
    id: str
    label: UnmatchedLabel | None


@dataclass(slots=True)
class UnmatchedLabels:
    """At most `bound` labels; beyond, those leave first that would expire first."""

    bound: int
    _labels: dict[str, dict[str, UnmatchedLabel]] = field(default_factory=dict)
    _by_expiry: list[tuple[int, str, str]] = field(default_factory=list)
    _changed: dict[tuple[str, str], None] = field(default_factory=dict)
    _count: int = 0

    @property
    def fill_ratio(self) -> float:
        return self._count / self.bound

    def put(self, label: UnmatchedLabel) -> None:
        """Keep a label; of two of an id the newer by time, on a tie the one that was put later."""
        known = self.get(label.model, label.id)
        if known is not None and known.time_ms > label.time_ms:
            return
        self._labels.setdefault(label.model, {})[label.id] = label
        self._count += known is None
        heapq.heappush(self._by_expiry, (label.expires_ms, label.model, label.id))
        if len(self._by_expiry) > 2 * self._count + _SLACK:
            self._sort_anew()
        self._changed[label.model, label.id] = None

    def get(self, model: str, prediction_id: str) -> UnmatchedLabel | None:
        return self._labels.get(model, {}).get(prediction_id)

    def pop(self, model: str, prediction_id: str) -> UnmatchedLabel | None:
        """Take out the label of an id, if there is one."""
        label = self._labels.get(model, {}).pop(prediction_id, None)
        if label is not None:
            self._count -= 1
            self._changed[model, prediction_id] = None
        return label

    def among(self, model: str, ids: Collection[str]) -> Iterable[str]:
        """Those of `ids` that a label waits for."""
        waiting = self._labels.get(model)
        if not waiting or waiting.keys().isdisjoint(ids):
            return ()
        return [prediction_id for prediction_id in ids if prediction_id in waiting]

    def expire(self, now_ms: int) -> int:
        """Drop the labels that have expired; returns how many."""
        return self._drop_first(lambda expires_ms: expires_ms < now_ms)

    def evict(self) -> int:
        """Drop what is beyond the bound; returns how many labels that were."""
        return self._drop_first(lambda _: self._count > self.bound)

    def take_changes(self) -> tuple[UnmatchedChange, ...]:
        """What became of the ids that were touched since the last call."""
        changes = tuple(UnmatchedChange(model, i, self.get(model, i)) for model, i in self._changed)
        self._changed.clear()
        return changes

    def _drop_first(self, is_due: Callable[[int], bool]) -> int:
        dropped = 0
        while self._by_expiry and (self._is_stale(self._by_expiry[0]) or is_due(self._by_expiry[0][0])):
            entry = heapq.heappop(self._by_expiry)
            if not self._is_stale(entry):
                self.pop(entry[1], entry[2])
                dropped += 1
        return dropped

    def _sort_anew(self) -> None:
        """Forget the order of labels that are no longer there: many of one id must not add up."""
        live = (label for labels in self._labels.values() for label in labels.values())
        self._by_expiry = [(label.expires_ms, label.model, label.id) for label in live]
        heapq.heapify(self._by_expiry)

    def _is_stale(self, entry: tuple[int, str, str]) -> bool:
        """Whether a newer label has taken the place of this one, or it has been taken out."""
        expires_ms, model, prediction_id = entry
        label = self.get(model, prediction_id)
        return label is None or label.expires_ms != expires_ms


@dataclass(slots=True)
class Coming:
    """Predictions that are not in the hot index and that the labels have not come to yet."""

    _places: list[tuple[int, int, Entries, int]] = field(default_factory=list)
    _next: int = 0

    def put(self, entries: Entries, row: int) -> None:
        heapq.heappush(self._places, (entries.arrived_ms, self._next, entries, row))
        self._next += 1

    def take_below(self, gate_ms: int) -> list[Place]:
        """Take out those that had come when event time reached the gate, in the order of their coming."""
        taken: list[Place] = []
        while self._places and self._places[0][0] < gate_ms:
            _, _, entries, row = heapq.heappop(self._places)
            taken.append((entries, row))
        return taken
