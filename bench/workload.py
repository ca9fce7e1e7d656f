"""Prediction traffic that is the same in every run: a binary model in two versions and three segment columns, with
scores."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

import fastavro
import numpy as np

from driftsonde.adapters.avro import Codec, load_schema
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.baseline import Baseline
from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    Floats,
    NumericColumn,
    PredictionBatch,
    Role,
    Variant,
)
from driftsonde.core.spec import ModelSpec, Task

WINDOW_MS = 60_000
START_MS = 1_767_225_600_000  # 2026-01-01, when a window begins
VERSIONS = (("1", Variant.CHAMPION), ("2", Variant.CANARY))
COUNTRIES = ("CH", "DE", "FR")
SEGMENTS = {"country": COUNTRIES, "device": ("desktop", "phone", "tablet"), "channel": ("app", "web")}
CATEGORIES = tuple(f"value-{number:02}" for number in range(30))

_REFERENCE_ROWS = 5_000
_SINGLE_OBJECT = b"\xc3\x01"


@dataclass(frozen=True)
class Workload:
    """`messages` of `rows` rows each, spread over `windows` windows of event time.

    Half of the numeric columns are skewed, every fifth has missing values. The categorical ones have 30 values.
    """

    messages: int
    rows: int = 1_000
    numeric: int = 20
    categorical: int = 0
    partitions: int = 4
    models: int = 1
    windows: int = 10
    seed: int = 0

    @property
    def total_rows(self) -> int:
        return self.messages * self.rows

    @property
    def columns(self) -> int:
        return self.numeric + self.categorical

    @property
    def end_ms(self) -> int:
        """A time by which every window has closed."""
        return START_MS + (self.windows + 2) * WINDOW_MS

    def model(self, number: int) -> str:
        return f"model-{number}"

    def spec(self, number: int = 0) -> ModelSpec:
        return ModelSpec(
            self.model(number),
            Task.BINARY,
            window_ms=WINDOW_MS,
            lateness_ms=5_000,
            label_wait_ms=WINDOW_MS,
            classes=("0", "1"),
            segments=tuple(SEGMENTS),
        )

    def baseline(self, version: str, number: int = 0) -> Baseline:
        return build_baseline(self.spec(number), version, self._reference, "bench")

    @cached_property
    def _reference(self) -> ReferenceRows:
        rng = np.random.default_rng(self.seed + 1)
        times_ms = START_MS - _REFERENCE_ROWS + np.arange(_REFERENCE_ROWS)
        return ReferenceRows(times_ms, self._columns(rng, _REFERENCE_ROWS))

    def batches(self) -> Iterator[tuple[int, PredictionBatch]]:
        """The partition and the batch of each message, in the order of event time."""
        rng = np.random.default_rng(self.seed)
        for number in range(self.messages):
            yield number % self.partitions, self.batch(rng, number)

    def batch(self, rng: np.random.Generator, number: int) -> PredictionBatch:
        """The message of that number: versions and models take turns on every partition."""
        turn = number // self.partitions
        version, variant = VERSIONS[turn % len(VERSIONS)]
        span_ms = self.windows * WINDOW_MS
        first_ms, last_ms = (START_MS + span_ms * n // self.messages for n in (number, number + 1))
        return PredictionBatch(
            model=self.model(turn // len(VERSIONS) % self.models),
            version=version,
            variant=variant,
            ids=random_ids(self.rows),
            timestamps_ms=np.sort(rng.integers(first_ms, max(last_ms, first_ms + 1), self.rows)),
            columns=self._columns(rng, self.rows),
        )

    def values(self, rng: np.random.Generator, rows: int) -> Floats:
        """The numeric columns, float64[numeric, rows]."""
        values = rng.standard_normal((self.numeric, rows))
        np.exp(values[1::2], out=values[1::2])
        missing = values[::5]
        missing[rng.random(missing.shape) < 0.02] = np.nan
        return values

    def _columns(self, rng: np.random.Generator, rows: int) -> tuple[Column, ...]:
        score = rng.random(rows)
        return (
            *(
                NumericColumn(f"n{i}", Role.FEATURE, column)
                for i, column in enumerate(self.values(rng, rows))
            ),
            *(
                CategoricalColumn(f"c{i}", Role.FEATURE, _codes(rng, rows, len(CATEGORIES)), CATEGORIES)
                for i in range(self.categorical)
            ),
            CategoricalColumn("prediction", Role.PREDICTION, (score > 0.5).astype(np.int32), ("0", "1")),
            NumericColumn("score", Role.SCORE, score),
            *(
                CategoricalColumn(name, Role.SEGMENT, _codes(rng, rows, len(values)), values)
                for name, values in SEGMENTS.items()
            ),
        )


def _codes(
    rng: np.random.Generator, rows: int, categories: int
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return rng.integers(0, categories, rows, dtype=np.int32)


def random_ids(count: int) -> tuple[str, ...]:
    """32 hexadecimal digits each, as the client makes them. What they are is without effect on any result."""
    digits = os.urandom(16 * count).hex()
    return tuple(digits[start : start + 32] for start in range(0, len(digits), 32))


def payloads(workload: Workload) -> Iterator[tuple[int, bytes]]:
    """The partition and the bytes of each message."""
    codec = Codec(EVENT_TYPES)
    for partition, batch in workload.batches():
        yield partition, codec.encode(batch)


def event_payloads(workload: Workload) -> Iterator[tuple[int, bytes]]:
    """The rows of the workload one by one, as `PredictionEvent`: the form of producers without our client."""
    schema = load_schema("PredictionEvent")
    for partition, batch in workload.batches():
        for record in _records(batch):
            body = BytesIO(_SINGLE_OBJECT + schema.fingerprint)
            body.seek(0, os.SEEK_END)
            fastavro.schemaless_writer(body, schema.parsed, record)
            yield partition, body.getvalue()


def _records(batch: PredictionBatch) -> Iterator[dict[str, object]]:
    by_role: dict[Role, dict[str, list[object]]] = {role: {} for role in Role}
    for column in batch.columns:
        by_role[column.role][column.name] = _scalars(column)
    for row, identifier in enumerate(batch.ids):
        yield {
            "model": batch.model,
            "version": batch.version,
            "variant": batch.variant.value,
            "id": identifier,
            "timestamp_ms": int(batch.timestamps_ms[row]),
            "features": {name: values[row] for name, values in by_role[Role.FEATURE].items()},
            "prediction": by_role[Role.PREDICTION]["prediction"][row],
            "score": by_role[Role.SCORE]["score"][row],
            "segments": {name: values[row] for name, values in by_role[Role.SEGMENT].items()},
            "protected": {},
            "attributions": {},
        }


def _scalars(column: Column) -> list[object]:
    if isinstance(column, NumericColumn):
        return [None if value != value else value for value in column.values.tolist()]
    return [column.categories[code] for code in column.codes.tolist()]
