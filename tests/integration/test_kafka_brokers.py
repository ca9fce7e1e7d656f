"""What the services need of a broker, on Apache Kafka and on the embedded one."""

import asyncio
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from brokers import Broker
from driftsonde.adapters import topics
from driftsonde.adapters.dead_letters import DeadLetters, Failure, SourceMessage
from driftsonde.adapters.kafka import (
    CompactedReader,
    TopicState,
    consumer_config,
    ensure_topics,
    producer_config,
)
from driftsonde.adapters.publisher import Publisher
from driftsonde.core.partitioning import partition_of

pytestmark = pytest.mark.io


def test_topics_are_made_once(broker: Broker) -> None:
    wanted = [broker.fresh(topics.PREDICTIONS), broker.fresh(topics.MODELS)]
    again = ensure_topics(broker.settings, wanted, partitions=broker.partitions)
    assert {report.state for report in again} == {TopicState.EXISTS}
    listed = Producer(producer_config(broker.settings)).list_topics(timeout=10).topics
    assert {len(listed[topic.name].partitions) for topic in wanted} == {broker.partitions}


def test_messages_arrive_in_the_order_of_their_partition(broker: Broker) -> None:
    topic = broker.fresh(topics.SKETCHES)
    producer = Producer(producer_config(broker.settings))
    for number in range(300):
        producer.produce(topic.name, key=f"k{number % 7}", value=str(number), headers=[("n", b"1")])
    assert producer.flush(10) == 0
    seen: dict[int, list[int]] = {}
    for message in broker.read(topic.name, 300):
        assert message.key() == f"k{int(message.value() or 0) % 7}".encode()
        assert message.headers() == [("n", b"1")]
        # The Java client's partition of the key: any producer's label meets its prediction.
        assert message.partition() == partition_of(message.key() or b"", broker.partitions)
        seen.setdefault(message.partition() or 0, []).append(int(message.value() or 0))
    assert sum(map(len, seen.values())) == 300
    assert all(numbers == sorted(numbers) for numbers in seen.values())


def test_a_group_goes_on_where_it_has_committed(broker: Broker) -> None:
    topic = broker.fresh(topics.SIGNALS)
    producer = Producer(producer_config(broker.settings))
    for number in range(10):
        producer.produce(topic.name, partition=0, value=str(number))
    producer.flush(10)
    group = f"group-{topic.name}"

    def read(count: int) -> tuple[Consumer, list[bytes | None]]:
        # The embedded broker lets the second one in when it has missed the first.
        consumer = Consumer(consumer_config(broker.settings, group) | {"session.timeout.ms": 6_000})
        consumer.subscribe([topic.name])
        found: list[bytes | None] = []
        for _ in range(100):
            found.extend(message.value() for message in consumer.consume(count - len(found), timeout=0.3))
            if len(found) >= count:
                break
        return consumer, found

    first, found = read(6)
    assert found == [b"%d" % number for number in range(6)]
    first.commit(offsets=[TopicPartition(topic.name, 0, 4)], asynchronous=False)
    first.close()
    second, found = read(6)
    second.close()
    assert found == [b"%d" % number for number in range(4, 10)]


def test_a_compacted_topic_is_followed(broker: Broker) -> None:
    topic = broker.fresh(topics.MODELS)
    producer = Producer(producer_config(broker.settings))
    reader = CompactedReader(broker.settings, topic)
    assert reader.refresh() == {}
    for number in range(50):
        producer.produce(topic.name, key=f"k{number}", value=b"old")
    producer.produce(topic.name, key=b"k1", value=b"new")
    producer.flush(10)
    assert reader.refresh()[b"k1"] == b"new"
    producer.produce(topic.name, key=b"k1", value=None)
    producer.produce(topic.name, key=b"k2", value=b"newer")
    producer.flush(10)
    assert reader.refresh() == {b"k1": None, b"k2": b"newer"}
    late = CompactedReader(broker.settings, topic)
    late.refresh()
    assert late.state == reader.state
    assert len(late.state) == 49
    reader.close()
    late.close()


def test_a_publisher_has_stored_what_it_flushed(broker: Broker) -> None:
    topic = broker.fresh(topics.SKETCHES)
    publisher = Publisher(Producer(producer_config(broker.settings)))
    assert publisher.partitions(topic.name) == broker.partitions
    for number in range(100):
        publisher.send(topic.name, b"m%d" % number, b"x")
    publisher.send(topic.name, b"anywhere", b"y", partition=1)
    asyncio.run(publisher.flush())
    messages = broker.read(topic.name, 101)
    assert len(messages) == 101
    for message in messages:
        chosen = 1 if message.value() == b"y" else partition_of(message.key() or b"", broker.partitions)
        assert message.partition() == chosen


def test_a_publisher_says_what_was_not_stored(broker: Broker) -> None:
    topic = broker.fresh(topics.SKETCHES)
    publisher = Publisher(Producer(producer_config(broker.settings)))
    too_far = broker.partitions + 5
    with pytest.raises(KafkaException):
        publisher.send(topic.name, b"m", b"x", partition=too_far)
        asyncio.run(publisher.flush())
    publisher.send(topic.name, b"m", b"x")
    asyncio.run(publisher.flush())  # said once


def test_a_dead_letter_is_the_message_and_why(broker: Broker) -> None:
    ensure_topics(broker.settings, [topics.DEAD_LETTERS], partitions=broker.partitions)
    dead_letters = DeadLetters(Producer(producer_config(broker.settings)), "sketcher")
    source = SourceMessage("labels", 3, 17, b"\xff", b"\x00broken", (("trace", b"1"), ("empty", None)))
    dead_letters.send(source, Failure("decode", "truncated", "ends too early"))
    # Larger than the topic takes: cut, and said so.
    dead_letters.send(replace(source, offset=18, value=b"x" * 5_000_000), Failure("decode", "malformed", "?"))
    dead_letters.flush()
    letters = {
        headers["__connect.errors.offset"]: (message.key(), message.value(), headers)
        for message in broker.read(topics.DEAD_LETTERS.name, 2)
        for headers in [dict(message.headers() or [])]
    }
    assert letters.keys() == {b"17", b"18"}
    key, value, headers = letters[b"17"]
    assert (key, value) == (b"\xff", b"\x00broken")
    assert headers["trace"] == b"1"
    assert headers["empty"] is None
    assert headers["__connect.errors.topic"] == b"labels"
    assert headers["__connect.errors.exception.class.name"] == b"truncated"
    _, cut, headers = letters[b"18"]
    assert len(cut or b"") == 65_536
    assert headers["driftsonde.truncated-from-bytes"] == b"5000000"
