"""A cluster of Kafka for each test: the topics have the names of production."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.world import World, world
from kafka.jars import missing
from kafka.launcher import kafka_cluster
from required import need


@pytest.fixture
def one_node(tmp_path: Path) -> Iterator[World]:
    """A world on a single node, without workers."""
    need(missing())
    with kafka_cluster() as kafka, world(kafka, tmp_path) as made:
        yield made


@pytest.fixture
def three_nodes(tmp_path: Path) -> Iterator[World]:
    """A world on three nodes, every partition on all of them, without workers."""
    need(missing())
    with kafka_cluster(nodes=3) as kafka, world(kafka, tmp_path) as made:
        yield made
