"""A broker to test against, and what tests do with one."""

import uuid
from dataclasses import dataclass, replace

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from driftsonde.adapters.kafka import consumer_config, ensure_topics
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import Topic

_READ_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Broker:
    """`partitions` are what it gives a topic made by `fresh`."""

    settings: KafkaSettings
    partitions: int

    def fresh(self, topic: Topic) -> Topic:
        """A new topic like the given one, under a name of its own."""
        made = replace(topic, name=f"{topic.name}-{uuid.uuid4().hex[:8]}")
        ensure_topics(self.settings, [made], partitions=self.partitions)
        return made

    def read_all(self, topic: str) -> list[Message]:
        """Every message that a topic has now."""
        consumer = Consumer(consumer_config(self.settings, "test"))
        places = [
            TopicPartition(topic, p) for p in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        ends = [consumer.get_watermark_offsets(place, timeout=10) for place in places]
        consumer.close()
        return self.read(topic, sum(high - low for low, high in ends))

    def read(self, topic: str, count: int) -> list[Message]:
        """The messages of a topic from its beginning, at least `count` unless it takes too long."""
        # Assigned, not subscribed: joining a group would take the test seconds.
        consumer = Consumer(consumer_config(self.settings, "test"))
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        messages: list[Message] = []
        for _ in range(_READ_ATTEMPTS):
            messages.extend(consumer.consume(max(count, 1), timeout=0.2))
            if len(messages) >= count:
                break
        consumer.close()
        return messages
