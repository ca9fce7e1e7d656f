import logging
from collections.abc import Iterator

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from driftsonde.adapters import topics
from driftsonde.adapters.dead_letters import TRUNCATED, DeadLetters, Failure, SourceMessage
from driftsonde.adapters.kafka import (
    RAW_TOPICS,
    CompactedReader,
    MissingTopic,
    TopicState,
    consumer_config,
    ensure_topics,
    producer_config,
    topic_config,
)
from driftsonde.adapters.settings import KafkaSettings


@pytest.fixture
def broker() -> Iterator[KafkaSettings]:
    """The embedded broker; it lives as long as its producer."""
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    yield KafkaSettings(bootstrap_servers=address)
    host.flush(1)


def read_all(settings: KafkaSettings, topic: str, count: int) -> list[Message]:
    # Assigned, not subscribed: joining a group would take the test seconds.
    consumer = Consumer(consumer_config(settings, "test"))
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    messages: list[Message] = []
    for _ in range(100):
        messages.extend(consumer.consume(count, timeout=0.3))
        if len(messages) >= count:
            break
    consumer.close()
    return messages


def test_what_topics_are_made_with() -> None:
    assert topic_config(topics.MODELS) == {"cleanup.policy": "compact"}
    assert topic_config(topics.SIGNALS) == {
        "cleanup.policy": "delete",
        "retention.ms": str(90 * topics.DAY_MS),
    }
    # Event times of a replay are old; by them, retention would delete what has just been written.
    assert all(topic_config(topic)["message.timestamp.type"] == "LogAppendTime" for topic in RAW_TOPICS)


def test_a_consumer_commits_only_what_it_is_told_to() -> None:
    config = consumer_config(KafkaSettings(), "g")
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["group.id"] == "g"


@pytest.mark.io
def test_topics_of_the_embedded_broker_come_into_being(broker: KafkaSettings) -> None:
    first = ensure_topics(broker)
    assert [report.topic for report in first] == [topic.name for topic in topics.TOPICS]
    assert {report.state for report in first} == {TopicState.CREATED}
    assert {report.state for report in ensure_topics(broker)} == {TopicState.EXISTS}
    metadata = Producer(producer_config(broker)).list_topics(timeout=10)
    assert {topic.name for topic in topics.TOPICS} <= metadata.topics.keys()


@pytest.mark.io
def test_a_compacted_topic_is_followed(broker: KafkaSettings) -> None:
    ensure_topics(broker, [topics.MODELS])
    producer = Producer(producer_config(broker))
    reader = CompactedReader(broker, topics.MODELS)
    assert reader.refresh() == {}
    for index in range(20):
        producer.produce(topics.MODELS.name, key=f"k{index}", value=b"old")
    producer.produce(topics.MODELS.name, key=b"k1", value=b"new")
    producer.flush(10)
    changes = reader.refresh()
    assert len(changes) == 20
    assert changes[b"k1"] == b"new"
    assert reader.refresh() == {}
    producer.produce(topics.MODELS.name, key=b"k1", value=None)
    producer.produce(topics.MODELS.name, key=b"k2", value=b"old")  # nothing new in it
    producer.produce(topics.MODELS.name, key=b"fleeting", value=b"x")
    producer.produce(topics.MODELS.name, key=b"fleeting", value=None)
    producer.flush(10)
    assert reader.refresh() == {b"k1": None}
    assert len(reader.state) == 19
    reader.close()


@pytest.mark.io
def test_what_cannot_be_used_does_not_take_the_place_of_what_can(broker: KafkaSettings) -> None:
    """Nor after a restart; and what `check` raises costs no message."""
    ensure_topics(broker, [topics.TRAFFIC])
    producer = Producer(producer_config(broker))
    for key, value in ((b"a", b"good"), (b"a", b"bad"), (b"b", b"bad"), (b"c", b"bad"), (b"c", b"good")):
        producer.produce(topics.TRAFFIC.name, key=key, value=value)
    producer.flush(10)
    outages = [TimeoutError("the registry is away")]

    def check(key: bytes, value: bytes) -> str:
        if outages:
            raise outages.pop()
        return "bad" if value == b"bad" else ""

    reader = CompactedReader(broker, topics.TRAFFIC, check)
    with pytest.raises(TimeoutError):
        reader.refresh()
    assert reader.refresh() == {b"a": b"good", b"c": b"good"}
    assert reader.state == {b"a": b"good", b"c": b"good"}
    assert reader.problems == {b"a": "bad", b"b": "bad"}
    producer.produce(topics.TRAFFIC.name, key=b"a", value=None)
    producer.flush(10)
    assert reader.refresh() == {b"a": None}
    assert reader.problems == {b"b": "bad"}
    reader.close()


@pytest.mark.io
def test_a_topic_that_is_not_there_is_said(broker: KafkaSettings) -> None:
    reader = CompactedReader(broker, topics.TRAFFIC)
    with pytest.raises(MissingTopic, match="driftsonde topics create"):
        reader.refresh()
    reader.close()


@pytest.mark.io
def test_a_dead_letter_is_the_message_and_why(broker: KafkaSettings) -> None:
    dead_letters = DeadLetters(Producer(producer_config(broker)), "sketcher")
    source = SourceMessage("labels", 3, 17, b"\xff", b"\x00broken", (("trace", b"1"), ("empty", None)))
    dead_letters.send(source, Failure("decode", "truncated", "ends too early " + "x" * 5_000))
    dead_letters.flush()
    (message,) = read_all(broker, topics.DEAD_LETTERS.name, 1)
    assert message.value() == b"\x00broken"
    assert message.key() == b"\xff"
    headers = dict(message.headers() or [])
    why = headers.pop("__connect.errors.exception.message")
    assert why is not None
    assert len(why) == 1_024
    assert headers == {
        "trace": b"1",
        "empty": None,
        "__connect.errors.topic": b"labels",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"17",
        "__connect.errors.connector.name": b"sketcher",
        "__connect.errors.stage": b"decode",
        "__connect.errors.exception.class.name": b"truncated",
    }


@pytest.mark.io
def test_a_dead_letter_too_large_is_cut_and_says_so(broker: KafkaSettings) -> None:
    dead_letters = DeadLetters(Producer(producer_config(broker)), "sketcher")
    dead_letters.send(
        SourceMessage("labels", 0, 1, None, b"x" * 10_000_000), Failure("decode", "too-large", "?")
    )
    dead_letters.flush()
    (message,) = read_all(broker, topics.DEAD_LETTERS.name, 1)
    assert len(message.value() or b"") == 65_536
    assert dict(message.headers() or [])[TRUNCATED] == b"10000000"


@pytest.mark.io
def test_a_dead_letter_without_a_broker_is_not_taken_for_stored() -> None:
    config = producer_config(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    producer = Producer(config | {"message.timeout.ms": 10_000}, logger=logging.getLogger("test"))
    dead_letters = DeadLetters(producer, "sketcher")
    dead_letters.send(SourceMessage("labels", 0, 1, None, b"x"), Failure("decode", "malformed", "?"))
    with pytest.raises(Exception, match="not stored"):
        dead_letters.flush(0.2)
    producer.purge()
