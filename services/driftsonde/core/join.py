"""The hot index: predictions of one partition, waiting for their labels, in bounded memory.

What is not in the index is joined through the store. An entry is what the outcome of a prediction needs: its time,
the value predicted, its score, its slices, and the newest label it has been joined with.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from driftsonde.core.chunks import NO_TIME_MS
from driftsonde.core.events import Codes, Floats, Ints, Variant
from driftsonde.core.id_numbers import IdNumbers

NO_LABEL_TIME_MS = -1


@dataclass(frozen=True, slots=True, order=True)
class Stream:
    """The predictions of one version in one role."""

    model: str
    version: str
    variant: Variant


@dataclass(frozen=True, slots=True)
class Entries:
    """Predictions of one stream, in columns of one length.

    predictions: float64, as in `outcomes.Outcomes`, NaN where the prediction is missing; scores: float64; slices:
    int32[sliced columns, rows], codes into `slice_labels`, those of the plan that the predictions were folded with (a
    newer baseline slices otherwise); labels and label_times_ms: the newest label so far, written in place.
    `arrived_ms` is the event time of the partition before the message that brought them, at least to the second.
    """

    stream: Stream
    ids: tuple[str, ...]
    timestamps_ms: Ints
    predictions: Floats
    scores: Floats
    slices: Codes
    slice_labels: tuple[str, ...]
    arrived_ms: int
    labels: Floats
    label_times_ms: Ints


# One prediction: its entries, and its row in them.
Place = tuple[Entries, int]

# What a label changed: which pair's prediction, the label, its time, +1 to put the outcome in or -1 to take it out.
_Change = tuple[int, float, int, int]


# Ids stay until all of their generation have left: in so many generations a quarter more than are held, at most.
_GENERATIONS = 4


@dataclass(frozen=True, slots=True)
class _Held:
    """A message in the index: the number of its first row, counted from the first row ever held, and its offset."""

    first: int
    offset: int
    entries: Entries


_first = attrgetter("first")
_arrived = attrgetter("entries.arrived_ms")


@dataclass(slots=True)
class PredictionIndex:
    """Entries by stream and id. When more than `bound` rows are held, the oldest messages leave first.

    What lies below offset `missing_below` has left, or was never here; event time had reached `missing_until_ms` there.
    """

    bound: int
    rows: int = 0
    missing_below: int = 0
    missing_until_ms: int = NO_TIME_MS
    _messages: deque[_Held] = field(default_factory=deque)
    _numbers: IdNumbers = field(default_factory=IdNumbers)
    _next_number: int = 0
    _evicted: list[Entries] = field(default_factory=list)

    def add(self, offset: int, entries: Entries) -> None:
        """Hold the entries of the message at `offset`, in the order of offsets; a prediction sent twice keeps its first
        place as long as that is held."""
        count, first = len(entries.ids), self._next_number
        generation_ids = self.bound // _GENERATIONS
        self._numbers.put(entries.stream.model, entries.stream, entries.ids, first, generation_ids)
        self._messages.append(_Held(first, offset, entries))
        self._next_number += count
        self.rows += count
        while self.rows > self.bound and len(self._messages) > 1:
            self._evict()

    def find(self, model: str, prediction_id: str) -> list[Place]:
        """The prediction in each stream of the model."""
        return [self._place(number) for number in self._numbers.find(model, prediction_id)]

    def find_many(self, model: str, ids: Sequence[str], below_ms: int) -> dict[str, list[Place]]:
        """Each prediction in each stream of the model, of those that came when event time was below `below_ms`."""
        places: dict[str, list[Place]] = {prediction_id: [] for prediction_id in ids}
        distinct = list(places)
        later = bisect_left(self._messages, below_ms, key=_arrived)
        below = self._messages[later].first if later < len(self._messages) else self._next_number
        for numbers in self._numbers.find_many(model, distinct):
            rows = np.flatnonzero((numbers >= 0) & (numbers < below))
            for row, place in zip(rows.tolist(), self._places(numbers[rows].tolist()), strict=True):
                places[distinct[row]].append(place)
        return places

    def arrived_in(self, from_ms: int, below_ms: int) -> Iterator[Entries]:
        """What is held and came when event time was in [from_ms, below_ms), in the order of the log."""
        for number in range(bisect_left(self._messages, from_ms, key=_arrived), len(self._messages)):
            entries = self._messages[number].entries
            if entries.arrived_ms >= below_ms:
                return
            yield entries

    def take_evicted(self) -> list[Entries]:
        """What has left since the last call, in the order of the log."""
        evicted, self._evicted = self._evicted, []
        return evicted

    def _place(self, number: int) -> Place:
        held = self._messages[bisect_right(self._messages, number, key=_first) - 1]
        return held.entries, number - held.first

    def _places(self, numbers: Sequence[int]) -> Iterator[Place]:
        """As `_place`; quick where those that follow each other are of one message."""
        first, after, entries = 0, 0, None
        for number in numbers:
            if entries is None or not first <= number < after:
                entries, row = self._place(number)
                first = number - row
                after = first + len(entries.ids)
            yield entries, number - first

    def _evict(self) -> None:
        held = self._messages.popleft()
        self._evicted.append(held.entries)
        self._numbers.forget(self._messages[0].first)
        self.rows -= len(held.entries.ids)
        self.missing_below = held.offset + 1
        self.missing_until_ms = self._messages[0].entries.arrived_ms


@dataclass(frozen=True, slots=True)
class Joined:
    """Rows of one stream, sliced alike, that a label message changed: the outcomes to put in and to take out.

    Every array has one entry a change: window and slices are the prediction's, `signs` is +1 or -1.
    """

    stream: Stream
    timestamps_ms: Ints
    predictions: Floats
    scores: Floats
    slices: Codes
    slice_labels: tuple[str, ...]
    labels: Floats
    label_times_ms: Ints
    signs: Ints


@dataclass(frozen=True, slots=True)
class JoinedPairs:
    """Rows that the champion and one shadow stream both predicted, as a label message changed them: pairs to put in (sign
    +1) and to take out (-1). Every array has one entry a change; `timestamps_ms` and `predictions` are the shadow's."""

    stream: Stream
    timestamps_ms: Ints
    champion_predictions: Floats
    predictions: Floats
    labels: Floats
    signs: Ints


# A pair: the predictions of champion and shadow, the label, its time.
_Pair = tuple[float, float, float, int]


def apply_and_pair(
    found: Sequence[tuple[Entries, int, float, int]],
) -> tuple[list[Joined], list[JoinedPairs]]:
    """`apply_labels`, and what that changed of the pairs of champion and shadows, by shadow stream in the order of first
    appearance. A prediction and its copies must be in `found` together, each prediction as one place."""
    shared = _shared(found)
    before = [_pairs_now(places) for places in shared]
    joined = apply_labels(found)
    changes: dict[Stream, list[tuple[int, _Pair, int]]] = {}
    for places, old in zip(shared, before, strict=True):
        new = _pairs_now(places)
        for stream, (entries, row) in places.items():
            if stream.variant is not Variant.SHADOW or old.get(stream) == new.get(stream):
                continue
            time_ms = int(entries.timestamps_ms[row])
            kept = changes.setdefault(stream, [])
            kept.extend(
                (time_ms, pair[stream], sign) for pair, sign in ((old, -1), (new, 1)) if stream in pair
            )
    return joined, [_joined_pairs(stream, rows) for stream, rows in changes.items()]


def _shared(found: Sequence[tuple[Entries, int, float, int]]) -> list[dict[Stream, Place]]:
    """The places of each prediction that a shadow is among the makers of, by stream."""
    distinct = {id(entries): entries for entries, *_ in found}.values()
    shadowed = {entries.stream.model for entries in distinct if entries.stream.variant is Variant.SHADOW}
    if not shadowed:
        return []
    by_id: dict[tuple[str, str], dict[Stream, Place]] = {}
    for entries, row, *_ in found:
        stream = entries.stream
        if stream.model in shadowed:
            by_id.setdefault((stream.model, entries.ids[row]), {}).setdefault(stream, (entries, row))
    return [places for places in by_id.values() if len(places) > 1]


def _pairs_now(places: Mapping[Stream, Place]) -> dict[Stream, _Pair]:
    """The pair of each shadow stream that has the label of the first labelled champion."""
    labelled = {
        stream: (
            float(entries.predictions[row]),
            float(entries.labels[row]),
            int(entries.label_times_ms[row]),
        )
        for stream, (entries, row) in sorted(places.items())
        if entries.label_times_ms[row] != NO_LABEL_TIME_MS
    }
    champion = next((labelled[stream] for stream in labelled if stream.variant is Variant.CHAMPION), None)
    if champion is None:
        return {}
    return {
        stream: (champion[0], prediction, label, time_ms)
        for stream, (prediction, label, time_ms) in labelled.items()
        if stream.variant is Variant.SHADOW and (label, time_ms) == champion[1:]
    }


def _joined_pairs(stream: Stream, rows: Sequence[tuple[int, _Pair, int]]) -> JoinedPairs:
    times, pairs, signs = zip(*rows, strict=True)
    champion, shadow, labels, _ = zip(*pairs, strict=True)
    return JoinedPairs(
        stream,
        np.array(times, dtype=np.int64),
        np.array(champion, dtype=np.float64),
        np.array(shadow, dtype=np.float64),
        np.array(labels, dtype=np.float64),
        np.array(signs, dtype=np.int64),
    )


def apply_labels(found: Sequence[tuple[Entries, int, float, int]]) -> list[Joined]:
    """Write labels into their entries and return what changed, by stream and slicing in the order of first appearance.

    `found`: (entries, row, label, label time). The newest label by time wins, the later one in the log on a tie; an
    older one, or the same one again, changes nothing.
    """
    pairs = _Pairs.of(found)
    predictions, labels, times = (
        pairs.gather(attribute).tolist() for attribute in ("predictions", "labels", "label_times_ms")
    )
    newest: dict[tuple[int, int], tuple[float, int]] = {}
    lists: dict[int, list[_Change]] = {}
    changes: dict[Stream, dict[tuple[str, ...], list[_Change]]] = {}
    for pair, (entries, row, label, time_ms) in enumerate(found):
        place = id(entries), row
        old, old_time = newest.get(place) or (labels[pair], times[pair])
        if time_ms < old_time or predictions[pair] != predictions[pair]:
            continue
        if time_ms == old_time and old == label:
            continue
        changed = lists.get(place[0])
        if changed is None:
            slicings = changes.setdefault(entries.stream, {})
            changed = lists[place[0]] = slicings.setdefault(entries.slice_labels, [])
        if old_time != NO_LABEL_TIME_MS:
            changed.append((pair, old, old_time, -1))
        changed.append((pair, label, time_ms, +1))
        newest[place] = label, time_ms
        entries.labels[row] = label
        entries.label_times_ms[row] = time_ms
    return [
        _joined(pairs, stream, slice_labels, rows)
        for stream, slicings in changes.items()
        for slice_labels, rows in slicings.items()
    ]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Rows of several entries. `parts`: each entries, with the places of its pairs; `rows`: of each pair, int64[pairs]."""

    parts: Sequence[tuple[Entries, Ints]]
    rows: Ints

    @classmethod
    def of(cls, found: Sequence[tuple[Entries, int, float, int]]) -> "_Pairs":
        places: dict[int, list[int]] = {}
        for pair, (entries, *_) in enumerate(found):
            places.setdefault(id(entries), []).append(pair)
        parts = [(found[pairs[0]][0], np.array(pairs)) for pairs in places.values()]
        return cls(parts, np.array([row for _, row, _, _ in found], dtype=np.int64))

    def gather(self, attribute: str) -> npt.NDArray[Any]:
        """A column of the entries for every pair."""
        of_pairs = np.zeros(len(self.rows), dtype=np.int64 if attribute.endswith("_ms") else np.float64)
        for entries, pairs in self.parts:
            of_pairs[pairs] = getattr(entries, attribute)[self.rows[pairs]]
        return of_pairs

    def gather_slices(self, slice_labels: tuple[str, ...]) -> Codes:
        """The slices of the pairs that are sliced so, int32[sliced columns, pairs]."""
        alike = [part for part in self.parts if part[0].slice_labels == slice_labels]
        of_pairs = np.zeros((len(alike[0][0].slices), len(self.rows)), dtype=np.int32)
        for entries, pairs in alike:
            of_pairs[:, pairs] = entries.slices[:, self.rows[pairs]]
        return of_pairs


def _joined(
    pairs: _Pairs, stream: Stream, slice_labels: tuple[str, ...], changes: Sequence[_Change]
) -> Joined:
    changed = np.array([pair for pair, *_ in changes])
    return Joined(
        stream=stream,
        timestamps_ms=pairs.gather("timestamps_ms")[changed],
        predictions=pairs.gather("predictions")[changed],
        scores=pairs.gather("scores")[changed],
        slices=pairs.gather_slices(slice_labels)[:, changed],
        slice_labels=slice_labels,
        labels=np.array([label for _, label, _, _ in changes]),
        label_times_ms=np.array([time for _, _, time, _ in changes], dtype=np.int64),
        signs=np.array([sign for *_, sign in changes], dtype=np.int64),
    )
