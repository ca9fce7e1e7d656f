"""How far a service is behind the ends of its partitions."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AdminClient,
    OffsetSpec,
)

from driftsonde.adapters.metrics import Metrics

INTERVAL_S = 5.0

_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


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

    def measure_until(
        self, stop: threading.Event, next_offsets: Callable[[], Mapping[tuple[str, int], int]]
    ) -> None:
        """Measure regularly, in a thread of its own: the lag is to be seen whatever holds the service up."""
        while not stop.wait(INTERVAL_S):
            try:
                self.measure(next_offsets())
            except KafkaException as error:
                _log.warning("the lag is unknown", extra={"problem": str(error)})
