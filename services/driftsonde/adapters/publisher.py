"""Publishes what a service produces, and knows when the broker has it."""

import asyncio
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from driftsonde.core.partitioning import partition_of

_FLUSH_S = 120.0


@dataclass(slots=True)
class Publisher:
    """Keyed messages, partitioned as Kafka's own clients do. Ordered within a partition, never blocking the loop."""

    producer: Producer
    _failed: list[KafkaError] = field(default_factory=list)
    _partitions: dict[str, int] = field(default_factory=dict)

    def send(self, topic: str, key: bytes, value: bytes, partition: int | None = None) -> None:
        """Queue one message; `partition` is the key's unless given. Waits while the producer's queue is full."""
        chosen = partition_of(key, self.partitions(topic)) if partition is None else partition
        while True:
            try:
                self.producer.produce(topic, value, key, chosen, on_delivery=self._delivered)
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(0.1)

    async def flush(self) -> None:
        """Return once everything sent is stored by the broker; raise `KafkaException` if something is not."""
        remaining = await asyncio.to_thread(self.producer.flush, _FLUSH_S)
        if self._failed:
            error = self._failed[0]
            self._failed.clear()
            raise KafkaException(error)
        if remaining:
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{remaining} messages not stored"))

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; asked once."""
        if topic not in self._partitions:
            metadata = self.producer.list_topics(topic, timeout=10).topics[topic]
            if metadata.error is not None:
                raise KafkaException(metadata.error)
            self._partitions[topic] = len(metadata.partitions)
        return self._partitions[topic]

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)
