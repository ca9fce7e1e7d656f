"""A Schema Registry between producers and services, over HTTP: it is used, and what happens while it is away."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from brokers import Broker
from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.kafka import ensure_topics, producer_config
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.settings import (
    ArchiverSettings,
    ClickHouseSettings,
    KafkaSettings,
    RegistrySettings,
    Settings,
    environment,
)
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.client import Monitor
from driftsonde.core.events import LabelBatch, NumericColumn, PredictionBatch, Role
from driftsonde.standalone.store_process import running_store
from registry_server import Registry, running_registry

pytestmark = pytest.mark.io

PARTITIONS = 4


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    """A broker of its own: the topics have the names of production."""
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    settings = KafkaSettings(bootstrap_servers=address)
    ensure_topics(settings)
    yield settings
    host.flush(1)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with running_registry() as running:
        yield running


def monitor_of(kafka: KafkaSettings, registry: Registry) -> Monitor:
    return Monitor(
        kafka.bootstrap_servers,
        "m",
        "1",
        task="binary",
        buffer_rows=1_000,
        linger_ms=10,
        schema_registry_url=registry.url,
        strict=True,
    )


def values(kafka: KafkaSettings, topic: str, codec: Codec) -> list[object]:
    found = []
    for message in Broker(kafka, PARTITIONS).read_all(topic):
        value = message.value()
        assert isinstance(value, bytes) and value[0] == 0
        found.append(codec.decode(value))
    return found


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


def test_what_the_client_writes_with_a_registry_any_consumer_with_it_reads(
    kafka: KafkaSettings, registry: Registry
) -> None:
    with monitor_of(kafka, registry) as monitor:
        ids = monitor.log({"x": [1.0, 2.0, 3.0]}, [1, 0, 1])
        monitor.label(ids, [1, 1, 1])
        assert monitor.flush(20)
    assert sorted(registry.subjects) == ["driftsonde.LabelBatch", "driftsonde.PredictionBatch"]
    codec = Codec(EVENT_TYPES, ConfluentRegistry(registry.url))
    predictions, labels = values(kafka, PREDICTIONS.name, codec), values(kafka, LABELS.name, codec)
    assert sorted(i for it in predictions if isinstance(it, PredictionBatch) for i in it.ids) == sorted(ids)
    assert sorted(i for it in labels if isinstance(it, LabelBatch) for i in it.ids) == sorted(ids)


def test_a_producer_buffers_within_its_bound_while_the_registry_is_away_and_goes_on(
    kafka: KafkaSettings, registry: Registry
) -> None:
    registry.stop()
    with monitor_of(kafka, registry) as monitor:
        for number in range(1_200):
            monitor.log({"x": 1.0}, 1, ids=f"early-{number}")
        assert not monitor.flush(1.0)
        assert (monitor.stats.buffered, monitor.stats.dropped, monitor.stats.delivered) == (1_000, 200, 0)
        registry.start()
        assert monitor.flush(20)
        # Away again: the id of predictions is known, that of labels is not.
        registry.stop()
        monitor.log({"x": 1.0}, 1, ids="in between")
        wait_for(lambda: monitor.stats.delivered == 1_001)
        monitor.label("in between", 1)
        assert not monitor.flush(1.0)
        registry.start()
        assert monitor.flush(20)
        assert (monitor.stats.delivered, monitor.stats.failed) == (1_002, 0)


def test_a_refusal_of_the_registry_is_waited_for_and_told(
    kafka: KafkaSettings, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    other = '{"type": "record", "name": "driftsonde.PredictionBatch", "fields": []}'
    ConfluentRegistry(registry.url).register("driftsonde.PredictionBatch", other)
    with monitor_of(kafka, registry) as monitor:
        monitor.log({"x": 1.0}, 1)
        assert not monitor.flush(1.0)
        assert "409" in caplog.text and "PredictionBatch.model" in caplog.text
        registry.compatibility = "NONE"
        assert monitor.flush(20)


def test_a_silent_registry_is_given_up_for_now(registry: Registry) -> None:
    registry.silence_s = 20.0
    began_s = time.monotonic()
    with pytest.raises(RegistryUnavailable):
        ConfluentRegistry(registry.url).schema(1)
    assert time.monotonic() - began_s < 10.0


def test_a_consumer_waits_for_the_registry_and_loses_nothing(
    kafka: KafkaSettings, registry: Registry, tmp_path: Path
) -> None:
    with monitor_of(kafka, registry) as monitor:
        monitor.log({"x": [1.0] * 50}, [1] * 50)
        assert monitor.flush(20)
    labels = Codec(EVENT_TYPES, ConfluentRegistry(registry.url)).encode(label_batch(20))
    with running_store(tmp_path / "data") as process:
        settings = Settings(
            kafka=kafka,
            clickhouse=ClickHouseSettings(host=process.host, port=process.port),
            registry=RegistrySettings(url=registry.url),
            archiver=ArchiverSettings(batch_interval_ms=50, retry_max_s=0.5),
        )
        store = Store(settings.clickhouse)
        apply_migrations(store, schemas_directory() / "clickhouse")
        registry.stop()
        # Away at its start, and again when another schema is new to it.
        with archiver(settings) as running:
            for table, rows in (("predictions", 50), ("labels", 20)):
                registry.stop()
                if table == "labels":
                    produce(kafka, LABELS.name, labels)
                time.sleep(3.0)
                assert running.poll() is None
                assert stored(store, table) == 0
                registry.start()
                wait_for(partial(has_stored, store, table, rows))
        assert stored(store, "dead_letters") == 0
        store.close()


def label_batch(rows: int) -> LabelBatch:
    labels = NumericColumn("label", Role.PREDICTION, np.ones(rows))
    times_ms = np.full(rows, 1_700_000_000_000)
    return LabelBatch("m", tuple(f"p{number}" for number in range(rows)), times_ms, labels)


def produce(kafka: KafkaSettings, topic: str, payload: bytes) -> None:
    producer = Producer(producer_config(kafka))
    producer.produce(topic, payload)
    assert producer.flush(10) == 0


@contextmanager
def archiver(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "driftsonde.archiver"]
    environ = os.environ | environment(settings)
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def has_stored(store: Store, table: str, rows: int) -> bool:
    return stored(store, table) == rows


def stored(store: Store, table: str) -> int:
    return int(store.query_rows(f"SELECT count() FROM {table} FINAL")[0][0])
