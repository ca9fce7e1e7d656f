"""The servers of the integration tests, started once."""

import logging
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from brokers import Broker
from driftsonde.adapters.settings import KafkaSettings
from kafka.jars import missing
from kafka.launcher import KafkaCluster, kafka_cluster
from required import need


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """One node of Apache Kafka, for all tests; they use topics with names of their own."""
    need(missing())
    with kafka_cluster(nodes=1, partitions=12) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """The address of librdkafka's own cluster, which lives as long as its client."""
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    yield ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    host.flush(1)


@pytest.fixture(params=["embedded", "kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each of the two brokers in turn."""
    if request.param == "embedded":
        return Broker(KafkaSettings(bootstrap_servers=request.getfixturevalue("embedded")), partitions=4)
    cluster: KafkaCluster = request.getfixturevalue("kafka")
    return Broker(KafkaSettings(bootstrap_servers=cluster.bootstrap_servers), partitions=12)
