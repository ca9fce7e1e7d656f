"""The whole pipeline on Apache Kafka: what comes out is what NumPy computes from the events that went in."""

from pathlib import Path

import pytest

from faults.load import Load
from faults.world import WORKERS, world
from kafka.jars import missing
from kafka.launcher import kafka_cluster
from required import need

pytestmark = pytest.mark.io


def test_results_are_those_of_the_events(tmp_path: Path) -> None:
    need(missing())
    load = Load(windows=20, rows=2_000)
    with kafka_cluster() as kafka, world(kafka, tmp_path) as it:
        it.register(load)
        it.start(*WORKERS)
        it.wait_ready(*WORKERS)
        it.send(load)
        it.wait_until_caught_up(load, timeout_s=60)
        it.settled_digests()
        sent = it.signal_ids()
        assert len(sent) == len(set(sent))
        assert it.count("SELECT count() FROM signals FINAL") == len(sent) > 0
        assert it.ended() == []
