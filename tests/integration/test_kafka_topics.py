"""What `ensure_topics` does that only Apache Kafka can show: configuration, and how what exists differs."""

import time
from dataclasses import replace

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from brokers import Broker
from driftsonde.adapters import topics
from driftsonde.adapters.kafka import (
    CompactedReader,
    TopicReport,
    TopicState,
    consumer_config,
    ensure_topics,
    producer_config,
)
from driftsonde.adapters.settings import KafkaSettings
from kafka.launcher import KafkaCluster

pytestmark = pytest.mark.io


@pytest.fixture
def broker(kafka: KafkaCluster) -> Broker:
    return Broker(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers), partitions=12)


def configuration(broker: Broker, topic: str) -> dict[str, str]:
    admin = AdminClient(broker.settings.librdkafka())
    (answer,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: str(entry.value) for name, entry in answer.result().items()}


def test_every_topic_is_made_as_it_is_described(broker: Broker) -> None:
    ensure_topics(broker.settings, partitions=12)
    assert {report.state for report in ensure_topics(broker.settings, partitions=12)} == {TopicState.EXISTS}
    listed = AdminClient(broker.settings.librdkafka()).list_topics(timeout=10).topics
    for topic in topics.TOPICS:
        assert len(listed[topic.name].partitions) == 12
        found = configuration(broker, topic.name)
        assert found["cleanup.policy"] == ("compact" if topic.compacted else "delete")
        if not topic.compacted:
            assert found["retention.ms"] == str(topic.retention_ms)
    assert configuration(broker, "predictions")["message.timestamp.type"] == "LogAppendTime"
    assert configuration(broker, "dead-letters")["max.message.bytes"] == "2097152"


def test_how_a_topic_differs_is_said_and_nothing_is_changed(broker: Broker) -> None:
    mine = replace(topics.SIGNALS, name="signals-of-someone-else")
    admin = AdminClient(broker.settings.librdkafka())
    made = admin.create_topics([NewTopic(mine.name, 3, 1, config={"cleanup.policy": "compact"})])
    made[mine.name].result()
    (report,) = ensure_topics(broker.settings, [mine], partitions=12)
    differences = (
        "partitions: 3, wanted 12",
        "cleanup.policy: compact, wanted delete",
        "retention.ms: 604800000, wanted 7776000000",
    )
    assert report == TopicReport(mine.name, TopicState.DIFFERS, differences)
    assert configuration(broker, mine.name)["cleanup.policy"] == "compact"


def test_raw_topics_stamp_messages_with_the_brokers_clock(broker: Broker) -> None:
    ensure_topics(broker.settings, [topics.FEATURES], partitions=12)
    before_ms = time.time() * 1000
    producer = Producer(producer_config(broker.settings))
    producer.produce(topics.FEATURES.name, value=b"old", timestamp=1)
    producer.flush(10)
    (message,) = broker.read(topics.FEATURES.name, 1)
    assert message.timestamp()[1] > before_ms - 1_000


def test_what_compaction_leaves_reads_as_before(broker: Broker) -> None:
    """After the log cleaner: offsets have gaps, tombstones are gone, and the state is the same."""
    name = "models-compacted"
    eager = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "segment.ms": "200",
        "max.compaction.lag.ms": "300",
        "delete.retention.ms": "0",
    }
    admin = AdminClient(broker.settings.librdkafka())
    admin.create_topics([NewTopic(name, 1, 1, config=eager)])[name].result()
    topic = replace(topics.MODELS, name=name)
    producer = Producer(producer_config(broker.settings))
    reader = CompactedReader(broker.settings, topic)
    for turn in range(20):
        for key in range(5):
            producer.produce(name, key=f"k{key}", value=b"%d" % turn)
        producer.flush(10)
    producer.produce(name, key=b"k4", value=None)
    producer.flush(10)
    wanted = {b"k%d" % key: b"19" for key in range(4)}
    reader.refresh()
    assert reader.state == wanted
    deadline_s = time.monotonic() + 60
    while len(rest := offsets(broker, name)) > 50 and time.monotonic() < deadline_s:
        # A segment is closed by the first message after its time.
        producer.produce(name, key=b"k0", value=b"19")
        producer.flush(10)
        time.sleep(1)
    assert len(rest) <= 50, "the cleaner did not come"
    late = CompactedReader(broker.settings, topic)
    late.refresh()
    reader.refresh()
    assert late.state == reader.state == wanted
    late.close()
    reader.close()


def offsets(broker: Broker, topic: str) -> list[int]:
    """The offsets that partition 0 still has."""
    consumer = Consumer(consumer_config(broker.settings, "test"))
    start = TopicPartition(topic, 0, OFFSET_BEGINNING)
    _, end = consumer.get_watermark_offsets(start, timeout=10)
    consumer.assign([start])
    found: list[int] = []
    while not found or found[-1] < end - 1:
        found.extend(message.offset() or 0 for message in consumer.consume(1_000, timeout=0.2))
    consumer.close()
    return found
