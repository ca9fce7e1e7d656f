"""The embedded cluster: real processes, started, watched and stopped."""

import os
import signal
from pathlib import Path

import pytest
from confluent_kafka import Producer

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ArchiverSettings, Settings
from driftsonde.standalone.child import Child, ChildFailed
from driftsonde.standalone.cluster import Cluster

pytestmark = pytest.mark.io


def test_a_service_runs_on_the_embedded_servers_and_all_stop(tmp_path: Path) -> None:
    settings = Settings(archiver=ArchiverSettings(batch_interval_ms=50))
    with Cluster(tmp_path, services=("archiver",), settings=settings) as cluster:
        producer = Producer(cluster.settings.kafka.librdkafka())
        producer.produce("predictions", b"not ours", partition=2)
        assert producer.flush(10) == 0
        store = Store(cluster.settings.clickhouse)
        tables = {name for (name,) in store.query_rows("SHOW TABLES")}
        store.close()
        assert {"windows", "metrics", "signals", "positions"} <= tables
        cluster.check()
        assert cluster.read_metric("archiver", "driftsonde_build_info") == {("archiver", "0.1.0"): 1.0}
        processes = [child.process for child in cluster.children.values()]
    assert [process.poll() for process in processes] == [0] * len(processes)


def test_a_child_that_dies_is_noticed_and_can_be_started_again(tmp_path: Path) -> None:
    with Cluster(tmp_path, services=("archiver",)) as cluster:
        cluster.children["archiver"].process.kill()
        cluster.children["archiver"].process.wait(10)
        with pytest.raises(ChildFailed, match="archiver ended with status -9"):
            cluster.check()
        cluster.start("archiver")
        cluster.wait_ready("archiver")
        cluster.check()


def test_settings_of_the_caller_s_environment_do_not_reach_the_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("DRIFTSONDE_HTTP_PORT", "not a port")
    with Cluster(tmp_path, services=("archiver",)) as cluster:
        cluster.check()


def test_a_child_that_ends_early_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    environ = dict(os.environ) | {"DRIFTSONDE_HTTP_PORT": "no number"}
    child = Child("archiver", "driftsonde.archiver", environ, tmp_path / "a.log")
    with pytest.raises(ChildFailed, match=r"status 2(?s:.)*DRIFTSONDE_HTTP_PORT: expected a whole number"):
        child.wait_ready(60)
    child.stop(5)


def test_a_child_that_is_not_ready_in_time_is_an_error(tmp_path: Path) -> None:
    child = Child("broker", "driftsonde.standalone.broker", os.environ, tmp_path / "b.log")
    with pytest.raises(ChildFailed, match="broker was not ready within 0 s"):
        child.wait_ready(0)
    child.process.send_signal(signal.SIGKILL)
    child.stop(5)
