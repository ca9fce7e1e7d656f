"""What the fault tests share: a cluster of Kafka and the results of an undisturbed run are dear."""

from collections.abc import Iterator

import pytest

from faults.load import Load
from faults.trials import Trials, trials
from faults.world import World, world
from kafka.jars import missing
from kafka.launcher import kafka_cluster
from required import need


@pytest.fixture(scope="session")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Trials on a single node; each leaves it serving."""
    need(missing())
    with trials(Load(windows=24, rows=1_200), tmp_path_factory.mktemp("trials")) as made:
        yield made


@pytest.fixture(scope="session")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two judges and two archivers, for tests with models of their own; each leaves no other worker behind."""
    need(missing())
    steady = ("judge-1", "judge-2", "archiver-1", "archiver-2")
    with kafka_cluster() as kafka, world(kafka, tmp_path_factory.mktemp("steady")) as made:
        made.start(*steady)
        made.wait_ready(*steady)
        yield made
        assert made.ended() == []
