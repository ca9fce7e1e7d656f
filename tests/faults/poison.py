"""Messages that no service can use, topic by topic, each with the reason that its dead letter gives."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.topics import (
    DECISIONS,
    FEATURES,
    LABELS,
    PREDICTIONS,
    SIGNALS,
    SKETCHES,
)
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.core.chunks import ChunkSketch, Kind, SketchKey, Source
from driftsonde.core.events import (
    CategoricalColumn,
    FeatureBatch,
    Heartbeat,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
)
from driftsonde.core.sketch import empty_sketch
from faults.raw import encoded, labels, predictions

Poison = tuple[str, bytes | None, str]

_SKETCHES = Codec(SKETCH_TYPES)
_CONTROL = Codec(CONTROL_TYPES)
_NOT_A_TIME_MS = int(np.array([np.nan]).view(np.int64)[0])  # NaN, written where an integer belongs
_FUTURE_MS = 3 * 86_400_000
TOO_MANY = 1_000_000
TOO_LONG = "y" * 9_900_000


def of_bytes(topic: str, good: bytes) -> Iterator[Poison]:
    """What is wrong on any topic; `good` is a message that belongs there."""
    yield topic, None, "empty"
    yield topic, b"", "empty"
    yield topic, good[:-3], "truncated"
    yield topic, good[:7], "truncated"
    yield topic, good + b"\x00", "trailing-bytes"
    yield topic, good[:2] + bytes(8) + good[10:], "unknown-schema"
    yield topic, b"\x07\x07" + good[2:], "unknown-framing"
    yield topic, b'{"model": "m"}', "unknown-framing"
    yield topic, b"\x00\x00\x00\x00\x07" + good[10:], "no-registry"


def of_events(model: str, at_ms: int) -> Iterator[Poison]:
    """What is wrong on the raw topics alone. Larger than a message may be by default: the last ones."""
    times = np.array([at_ms, at_ms])
    two = np.array([0, 1])
    good = predictions(model, ("poison-1", "poison-2"), times, np.zeros(2), two, two)
    x, country, prediction = good.columns
    assert isinstance(x, NumericColumn) and isinstance(country, CategoricalColumn)
    topic = PREDICTIONS.name

    def like(**changes: object) -> bytes:
        return encoded(replace(good, **changes))  # type: ignore[arg-type]

    def with_x(column: NumericColumn | CategoricalColumn) -> bytes:
        return like(columns=(column, country, prediction))

    yield topic, encoded(good).replace(b"poison-1", b"poison\xff\xfe"), "malformed"
    yield topic, like(timestamps_ms=np.array([at_ms, _NOT_A_TIME_MS])), "invalid"
    yield topic, like(timestamps_ms=np.array([at_ms, -1])), "invalid"
    yield topic, like(timestamps_ms=times + _now_ms() - at_ms + _FUTURE_MS), "timestamps_ms"
    yield topic, encoded(Heartbeat(_now_ms() + _FUTURE_MS)), "timestamps_ms"
    yield topic, like(timestamps_ms=times[:1]), "invalid"
    yield topic, like(ids=()), "invalid"
    yield topic, like(model="nobody-knows"), "model"
    yield topic, with_x(replace(x, values=np.zeros(3))), "invalid"
    yield topic, with_x(CategoricalColumn("x", Role.FEATURE, two.astype(np.int32), ("a", "b"))), "columns"
    yield topic, like(columns=(x, x, country, prediction)), "invalid"
    yield topic, like(columns=(x, replace(country, codes=np.array([0, 9], np.int32)), prediction)), "invalid"
    yield topic, encoded(labels(model, good.ids, times, two)), "wrong-topic"
    truth = labels(model, good.ids, times, two)
    yield LABELS.name, encoded(good), "wrong-topic"
    yield LABELS.name, encoded(replace(truth, timestamps_ms=times[:1])), "invalid"
    yield LABELS.name, encoded(replace(truth, model="nobody-knows")), "model"
    yield LABELS.name, encoded(replace(truth, labels=replace(truth.labels, role=Role.FEATURE))), "invalid"
    yield LABELS.name, encoded(replace(truth, timestamps_ms=times + _FUTURE_MS * 1_000)), "timestamps_ms"
    yield FEATURES.name, encoded(good), "wrong-topic"
    yield FEATURES.name, encoded(_features(times[:1])), "invalid"
    many = tuple(map(str, range(TOO_MANY)))
    yield topic, with_x(CategoricalColumn("x", Role.FEATURE, two.astype(np.int32), many)), "invalid"
    yield topic, like(ids=("poison-1", TOO_LONG)), "invalid"
    yield topic, like(ids=("poison-1", TOO_LONG + "y" * 200_000)), "too-large"


def of_control(model: str, at_ms: int) -> Iterator[Poison]:
    """What is wrong on the topics that the services write."""
    key = SketchKey(model, "1", Variant.CHAMPION, "", at_ms, Kind.INPUTS, False, "")
    sketch = ChunkSketch(Source(PREDICTIONS.name, 0), 1, 16, key, empty_sketch(3, 1, 1))
    yield from of_bytes(SKETCHES.name, _SKETCHES.encode(sketch))
    yield SKETCHES.name, encoded(Heartbeat(at_ms)), "unknown-schema"
    for topic in (SIGNALS.name, DECISIONS.name):
        yield topic, _SKETCHES.encode(sketch), "unknown-schema"


def features(at_ms: int) -> bytes:
    return encoded(_features(np.array([at_ms, at_ms])))


def _features(times_ms: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> FeatureBatch:
    column = NumericColumn("income", Role.FEATURE, np.zeros(2))
    return FeatureBatch("view", "1", True, ("a", "b"), times_ms, (column,))


def misshapen(model: str, baseline: str, at_ms: int) -> bytes:
    """A sketch of three bins, whatever its layout should have."""
    key = SketchKey(model, "1", Variant.CHAMPION, "", at_ms, Kind.INPUTS, False, baseline)
    return _SKETCHES.encode(ChunkSketch(Source(PREDICTIONS.name, 0), 1, 16, key, empty_sketch(3, 1, 1)))


def good_events(model: str, at_ms: int) -> Iterator[tuple[str, bytes]]:
    """One message for each raw topic that could be used."""
    times, two = np.array([at_ms, at_ms]), np.array([0, 1])
    event: PredictionBatch = predictions(model, ("poison-1", "poison-2"), times, np.zeros(2), two, two)
    yield PREDICTIONS.name, encoded(event)
    yield LABELS.name, encoded(labels(model, event.ids, times, two))
    yield FEATURES.name, features(at_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
