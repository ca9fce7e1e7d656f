"""How far a service is behind the ends of its partitions."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AdminClient,
    OffsetSpec,
)

from driftsonde.adapters.metrics import Metrics

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class LagMeter:
    """Asks the broker for the ends, on a connection of its own."""

    admin: AdminClient
    metrics: Metrics

    def measure(self, next_offsets: Mapping[tuple[str, int], int]) -> None:
        """Set the lag of each partition. Blocks; raises `KafkaException` where the broker does not answer."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(topic, number): latest for topic, number in next_offsets}
        if not wanted:
            return
        # By itself the client would learn of a new leader minutes later.
        self.admin.list_topics(timeout=_TIMEOUT_S)
        for end, future in self.admin.list_offsets(wanted, request_timeout=_TIMEOUT_S).items():
            behind = future.result().offset - next_offsets[end.topic, end.partition]
            self.metrics.consumer_lag.labels(end.topic, end.partition).set(max(behind, 0))
