"""Kafka's partitioner: against the vectors of its own tests, and against librdkafka."""

import pytest
from confluent_kafka import Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.partitioning import murmur2, partition_of, partitions_of
from strategies import identifiers

# UtilsTest.testMurmur2 of Apache Kafka's Java client.
JAVA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "signed"), JAVA_VECTORS.items())
def test_hash_is_the_java_clients(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@given(st.lists(identifiers()), st.integers(1, 1_000))
def test_many_at_once_are_as_one_by_one(ids: list[str], partitions: int) -> None:
    expected = [partition_of(identifier.encode(), partitions) for identifier in ids]
    assert partitions_of(ids, partitions).tolist() == expected


@pytest.mark.io
def test_librdkafka_chooses_the_same_partition() -> None:
    broker = Producer({"test.mock.num.brokers": 1})
    address = next(iter(broker.list_topics(timeout=10).brokers.values()))
    producer = Producer(
        {
            "bootstrap.servers": f"{address.host}:{address.port}",
            "partitioner": "murmur2_random",
            "linger.ms": 0,
        }
    )
    chosen: dict[str, int | None] = {}

    def note(_: object, message: Message) -> None:
        key = message.key()
        assert isinstance(key, bytes)
        chosen[key.decode()] = message.partition()

    ids = [*(f"{number:x}" * (number % 7 + 1) for number in range(200)), "größe", "日本"]
    for identifier in ids:
        producer.produce("keys", value=b"", key=identifier.encode(), on_delivery=note)
    assert producer.flush(10) == 0
    partitions = len(producer.list_topics("keys", timeout=10).topics["keys"].partitions)
    assert chosen == dict(zip(ids, partitions_of(ids, partitions).tolist(), strict=True))
