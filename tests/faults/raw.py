"""Events put into the log message by message, where and in which order a test wants them, past the SDK."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import producer_config
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import (
    CategoricalColumn,
    Heartbeat,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    RawEvent,
    Role,
    Variant,
)
from driftsonde.core.partitioning import partition_of
from faults.load import COUNTRIES, Floats, Ints
from faults.world import PARTITIONS

CODEC = Codec(EVENT_TYPES)
CLASSES = ("0", "1")
MAX_MESSAGE_BYTES = 16_000_000

Place = tuple[str, int, int]


@dataclass(slots=True)
class RawLog:
    """Sends events of one model; `events` has what was sent, in the order of sending."""

    settings: KafkaSettings
    model: str
    events: list[PredictionBatch | LabelBatch] = field(default_factory=list)
    _producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        # Its own limit is larger than the broker's: what is too large is the broker's to refuse.
        limit = {"message.max.bytes": MAX_MESSAGE_BYTES}
        self._producer = Producer(producer_config(self.settings) | limit)

    def send(self, event: PredictionBatch | LabelBatch) -> None:
        """To the partition of its first id, in one message."""
        self.events.append(event)
        topic = PREDICTIONS if isinstance(event, PredictionBatch) else LABELS
        self.put(topic.name, home_of(event.ids[0]), CODEC.encode(event))

    def heartbeat(self, timestamp_ms: int) -> None:
        """To every partition of both topics."""
        for topic in (PREDICTIONS, LABELS):
            for partition in range(PARTITIONS):
                self.put(topic.name, partition, CODEC.encode(Heartbeat(timestamp_ms)))

    def put(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Place:
        """One message of any content. Returns where it is; raises AssertionError where the broker refuses it."""
        places: list[Place] = []

        def delivered(error: object, message: object) -> None:
            assert error is None, error
            places.append((topic, partition, message.offset()))  # type: ignore[attr-defined]

        self._producer.produce(topic, value, key, partition, on_delivery=delivered, headers=list(headers))
        self._producer.flush(30)
        (place,) = places
        return place


def home_of(key: str) -> int:
    """The partition of a prediction's id, or of a model on the topics that are keyed by it."""
    return partition_of(key.encode(), PARTITIONS)


def ids_at(partition: int, count: int, prefix: str) -> tuple[str, ...]:
    """Ids whose partition this is."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        if home_of(name := f"{prefix}{number}") == partition:
            found.append(name)
        number += 1
    return tuple(found)


def predictions(
    model: str, ids: Sequence[str], times_ms: Ints, x: Floats, countries: Ints, predicted: Ints
) -> PredictionBatch:
    """`countries` are positions in COUNTRIES, `predicted` in CLASSES."""
    return PredictionBatch(
        model,
        "1",
        Variant.CHAMPION,
        tuple(ids),
        times_ms,
        (
            NumericColumn("x", Role.FEATURE, x),
            CategoricalColumn("country", Role.SEGMENT, countries.astype(np.int32), COUNTRIES),
            CategoricalColumn("prediction", Role.PREDICTION, predicted.astype(np.int32), CLASSES),
        ),
    )


def labels(model: str, ids: Sequence[str], times_ms: Ints, values: Ints) -> LabelBatch:
    """`values` are positions in CLASSES."""
    column = CategoricalColumn("label", Role.PREDICTION, values.astype(np.int32), CLASSES)
    return LabelBatch(model, tuple(ids), times_ms, column)


def encoded(event: RawEvent) -> bytes:
    return CODEC.encode(event)
