"""How many partitions topics have: asked of the brokers, and believed for a while."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException

from driftsonde.client.complaints import Complaints

_TIMEOUT_S = 2.0
_ASK_AGAIN_S = 0.5
_REFRESH_OPTION = "topic.metadata.refresh.interval.ms"
_REFRESH_MS = 300_000  # librdkafka's own default


def refresh_interval_s(kafka_options: Mapping[str, Any]) -> float:
    """How long what is known of a topic is believed: librdkafka's option for the same."""
    interval_ms = float(kafka_options.get(_REFRESH_OPTION, _REFRESH_MS))
    return interval_ms / 1_000 if interval_ms > 0 else float("inf")


@dataclass(slots=True)
class _Known:
    count: int = 0
    ask_at_s: float = 0.0


@dataclass(slots=True)
class Partitions:
    """`ask(topic, timeout_s)` may block that long and raise `KafkaException`."""

    ask: Callable[[str, float], int]
    valid_s: float
    monotonic_s: Callable[[], float]
    complaints: Complaints
    _known: dict[str, _Known] = field(default_factory=dict)

    def count(self, topic: str) -> int:
        """As last known, asked anew where that is too old; 0 while it was never known."""
        known = self._known.setdefault(topic, _Known())
        if self.monotonic_s() >= known.ask_at_s:
            self._refresh(topic, known)
        return known.count

    def doubt(self, topic: str) -> None:
        """Ask anew at the next call: the brokers say that there is no such partition."""
        self._known.pop(topic, None)

    def _refresh(self, topic: str, known: _Known) -> None:
        try:
            known.count = self.ask(topic, _TIMEOUT_S)
            known.ask_at_s = self.monotonic_s() + self.valid_s
        except KafkaException as error:
            # While it was known once, that goes on being believed: with the brokers away nothing can have changed.
            self.complaints.warning(f"topic {topic}, its partitions", error)
            known.ask_at_s = self.monotonic_s() + _ASK_AGAIN_S * (10 if known.count else 1)
