"""The archiver as a process, between the embedded broker and the embedded store."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.kafka import consumer_config, ensure_topics, producer_config
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import (
    ArchiverSettings,
    ClickHouseSettings,
    KafkaSettings,
    Settings,
    environment,
)
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.archiver.app import GROUP_ID
from driftsonde.core.events import FeatureBatch, Heartbeat, NumericColumn, PredictionBatch, Role, Variant
from driftsonde.standalone.store_process import StoreProcess, running_store

pytestmark = pytest.mark.io

CODEC = Codec(EVENT_TYPES)
ROWS = 20


@dataclass(frozen=True, slots=True)
class World:
    settings: Settings
    store: Store
    producer: Producer
    store_process: StoreProcess

    def stop_store(self) -> None:
        self.store_process.process.kill()
        self.store_process.process.wait()

    def count(self, sql: str) -> int:
        return int(self.store.query_rows(sql)[0][0])

    def stored(self) -> int:
        return self.count("SELECT count() FROM predictions FINAL")

    def produce(self, messages: range) -> None:
        for number in messages:
            self.producer.produce(
                topics.PREDICTIONS.name, partition=number % 4, value=CODEC.encode(batch(number))
            )
        self.producer.flush(10)


def batch(number: int) -> PredictionBatch:
    return PredictionBatch(
        model="m",
        version="1",
        variant=Variant.CHAMPION,
        ids=tuple(f"{number}-{row}" for row in range(ROWS)),
        timestamps_ms=np.full(ROWS, 1_700_000_000_000 + number, dtype=np.int64),
        columns=(NumericColumn("x", Role.FEATURE, np.full(ROWS, float(number))),),
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    with running_store(tmp_path / "data") as process:
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=address),
            clickhouse=ClickHouseSettings(host=process.host, port=process.port),
            archiver=ArchiverSettings(batch_interval_ms=50, batch_mb=1, retry_max_s=0.5),
        )
        ensure_topics(settings.kafka)
        store = Store(settings.clickhouse)
        apply_migrations(store, schemas_directory() / "clickhouse")
        yield World(settings, store, Producer(producer_config(settings.kafka)), process)
        store.close()


def start(settings: Settings) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "driftsonde.archiver"],
        env=os.environ | environment(settings),
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_until_ready(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert (ready["event"], ready["service"]) == ("ready", "archiver")
    return int(ready["port"])


def wait_for(world: World, sql: str, expected: int, timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while (found := world.count(sql)) != expected:
        assert time.monotonic() < deadline_s, f"{found} instead of {expected}: {sql}"
        time.sleep(0.1)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def wait_for_status(port: int, path: str, status: int, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while get(port, path)[0] != status:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def committed(settings: KafkaSettings, topic: str) -> dict[int, int]:
    consumer = Consumer(consumer_config(settings, GROUP_ID), logger=logging.getLogger("test"))
    found = consumer.committed([TopicPartition(topic, partition) for partition in range(4)], timeout=10)
    consumer.close()
    return {entry.partition: entry.offset for entry in found}


def test_a_kill_loses_and_repeats_nothing(world: World) -> None:
    messages = 1_200
    with start(world.settings) as first:
        try:
            wait_until_ready(first)
            world.produce(range(400))
            deadline_s = time.monotonic() + 30
            while world.stored() == 0:
                assert time.monotonic() < deadline_s
            world.produce(range(400, 800))
        finally:
            first.kill()
    assert first.returncode == -signal.SIGKILL
    assert 0 < world.stored() < messages * ROWS
    with start(world.settings) as second:
        try:
            world.produce(range(800, messages))
            wait_for(world, "SELECT count() FROM predictions FINAL", messages * ROWS, 90)
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0
        finally:
            second.kill()
    assert world.count("SELECT uniqExact(prediction_id) FROM predictions FINAL") == messages * ROWS
    assert world.count("SELECT toInt64(sum(numeric_values[1])) FROM predictions FINAL") == ROWS * sum(
        range(messages)
    )
    progress = world.store.query_rows("SELECT partition, position FROM positions FINAL ORDER BY partition")
    assert progress == [(partition, messages // 4) for partition in range(4)]
    assert committed(world.settings.kafka, topics.PREDICTIONS.name) == dict.fromkeys(range(4), messages // 4)


def test_what_has_no_rows_moves_the_progress_and_bad_features_are_told(world: World) -> None:
    with start(world.settings) as process:
        try:
            port = wait_until_ready(process)
            world.producer.produce(topics.PREDICTIONS.name, partition=0, value=b"junk")
            world.producer.produce(topics.PREDICTIONS.name, partition=0, value=CODEC.encode(Heartbeat(5)))
            world.producer.produce(topics.FEATURES.name, partition=1, key=b"k", value=b"junk")
            good = FeatureBatch("v", "1", True, ("e",), np.array([5], dtype=np.int64), batch(1).columns)
            good = replace(good, columns=(NumericColumn("x", Role.FEATURE, np.ones(1)),))
            world.producer.produce(topics.FEATURES.name, partition=1, value=CODEC.encode(good))
            world.producer.flush(10)
            wait_for(world, "SELECT count() FROM dead_letters FINAL", 1)
            wait_for(world, "SELECT sum(position) FROM positions FINAL WHERE topic != 'dead-letters'", 4)
            letters = world.store.query_rows(
                "SELECT source_topic, source_partition, source_offset, service, reason, payload FROM dead_letters FINAL"
            )
            assert letters == [("features", 1, 0, "archiver", "unknown-framing", "junk")]
            assert world.count("SELECT count() FROM features FINAL") == 1
            metrics = get(port, "/metrics")[1]
            skipped = 'driftsonde_events_skipped_total{reason="unknown-framing",topic="predictions"} 1.0'
            assert skipped in metrics
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_an_outage_of_the_store_stops_acknowledgement_not_the_process(world: World) -> None:
    with start(world.settings) as process:
        try:
            port = wait_until_ready(process)
            world.store.command("RENAME TABLE predictions TO hidden")
            world.produce(range(40))
            wait_for_status(port, "/readyz", 503)
            assert "store" in json.loads(get(port, "/readyz")[1])["reasons"]
            assert get(port, "/healthz")[0] == 200
            assert set(committed(world.settings.kafka, topics.PREDICTIONS.name).values()) == {-1001}
            assert world.count("SELECT count() FROM positions") == 0
            world.store.command("RENAME TABLE hidden TO predictions")
            wait_for(world, "SELECT count() FROM predictions FINAL", 40 * ROWS)
            wait_for(world, "SELECT sum(position) FROM positions FINAL", 40)
            wait_for_status(port, "/readyz", 200)
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_two_archivers_share_the_partitions_and_hand_them_over(world: World) -> None:
    with start(world.settings) as first, start(world.settings) as second:
        try:
            wait_until_ready(first)
            world.produce(range(200))
            wait_until_ready(second)
            world.produce(range(200, 600))
            first.send_signal(signal.SIGTERM)
            world.produce(range(600, 800))
            assert first.wait(30) == 0
            wait_for(world, "SELECT count() FROM predictions FINAL", 800 * ROWS, 60)
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0
        finally:
            first.kill()
            second.kill()
    assert world.count("SELECT uniqExact(prediction_id) FROM predictions FINAL") == 800 * ROWS
    assert committed(world.settings.kafka, topics.PREDICTIONS.name) == dict.fromkeys(range(4), 200)


def test_while_the_store_is_gone_memory_is_bounded_and_the_group_stays(world: World, tmp_path: Path) -> None:
    messages = 6_000  # about 7 MB as the buffer counts, against its bound of 1 MB
    settings = replace(world.settings, archiver=replace(world.settings.archiver, buffer_mb=1))
    clickhouse = settings.clickhouse
    with start(settings) as process:
        try:
            port = wait_until_ready(process)
            world.stop_store()
            world.produce(range(messages))
            deadline_s = time.monotonic() + 20
            while sample(get(port, "/metrics")[1], 'driftsonde_buffer_fill_ratio{buffer="archiver"}') < 1:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
            time.sleep(1)
            consumed = sample(
                get(port, "/metrics")[1], 'driftsonde_events_consumed_total{topic="predictions"}'
            )
            assert 800 < consumed < 3_500  # the buffer, one read, and a batch at the writer and before it
            assert get(port, "/readyz")[0] == 503
            with running_store(tmp_path / "data", port=clickhouse.port):
                wait_for(world, "SELECT count() FROM predictions FINAL", messages * ROWS, 60)
                process.terminate()
                assert process.wait(30) == 0
                assert (
                    world.count("SELECT uniqExact(prediction_id) FROM predictions FINAL") == messages * ROWS
                )
        finally:
            process.kill()


@pytest.mark.parametrize("committed_before", [True, False])
def test_what_the_broker_dropped_unread_is_counted(world: World, committed_before: bool) -> None:
    topic = topics.FEATURES.name
    if committed_before:
        consumer = Consumer(consumer_config(world.settings.kafka, GROUP_ID), logger=logging.getLogger("test"))
        consumer.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
        consumer.close()
    for _ in range(80):  # 8 MB, of which the embedded broker keeps 5
        world.producer.produce(topic, partition=0, value=os.urandom(100_000))
        world.producer.flush(10)
    watcher = Consumer(consumer_config(world.settings.kafka, "watcher"), logger=logging.getLogger("test"))
    low, high = watcher.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    watcher.close()
    assert 2 < low < high == 80
    with start(world.settings) as process:
        try:
            port = wait_until_ready(process)
            wait_for(world, "SELECT max(position) FROM positions WHERE topic = 'features'", high)
            lost = sample(get(port, "/metrics")[1], 'driftsonde_records_lost_total{topic="features"}')
            assert lost == (low - 2 if committed_before else 0)
        finally:
            process.terminate()
            assert process.wait(30) == 0


def sample(metrics: str, name: str) -> float:
    found = [line.split()[-1] for line in metrics.splitlines() if line.startswith(name + " ")]
    return float(found[0]) if found else 0.0
