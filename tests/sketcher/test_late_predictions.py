"""Labels before their predictions by more than the allowed lateness, and labels in another partition than their
predictions, through kills of the sketcher and with hardly any room for labels: every one is joined, once."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.kafka import CompactedReader, producer_config
from driftsonde.adapters.settings import Settings, SketcherSettings
from driftsonde.adapters.topics import LABELS, MODELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record
from driftsonde.core.events import Heartbeat, LabelBatch, NumericColumn, PredictionBatch, Role, Variant
from driftsonde.core.partitioning import partitions_of
from driftsonde.core.spec import MINUTE_MS, ModelSpec, Task
from driftsonde.standalone.cluster import Cluster

pytestmark = pytest.mark.io

SPEC = ModelSpec("late", Task.BINARY, window_ms=MINUTE_MS, lateness_ms=MINUTE_MS, classes=("0", "1"))
PARTITIONS = 4
ROWS = 10
WAIT_S = 60
CODEC = Codec(EVENT_TYPES)


class Feed:
    """Sends events to the partitions that they name."""

    def __init__(self, cluster: Cluster) -> None:
        self.producer = Producer(producer_config(cluster.settings.kafka))

    def send(self, topic: str, partition: int, event: PredictionBatch | LabelBatch | Heartbeat) -> None:
        self.producer.produce(topic, CODEC.encode(event), b"k", partition)

    def predict(self, partition: int, ids: Sequence[str], time_ms: int) -> None:
        column = NumericColumn("prediction", Role.PREDICTION, np.ones(len(ids)))
        times = np.full(len(ids), time_ms)
        batch = PredictionBatch(SPEC.name, "1", Variant.CHAMPION, tuple(ids), times, (column,))
        self.send(PREDICTIONS.name, partition, batch)

    def label(self, partition: int, ids: Sequence[str], time_ms: int, value: float) -> None:
        column = NumericColumn("label", Role.PREDICTION, np.full(len(ids), value))
        self.send(
            LABELS.name, partition, LabelBatch(SPEC.name, tuple(ids), np.full(len(ids), time_ms), column)
        )

    def beat(self, time_ms: int) -> None:
        for topic in (PREDICTIONS.name, LABELS.name):
            for partition in range(PARTITIONS):
                self.send(topic, partition, Heartbeat(time_ms))
        self.producer.flush()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    settings = Settings(sketcher=SketcherSettings(chunk_messages=2, idle_timeout_s=3_600, waiting_labels=20))
    with Cluster(tmp_path, ("sketcher", "judge", "archiver"), settings) as cluster:
        reader = CompactedReader(cluster.settings.kafka, MODELS)
        reader.refresh()
        producer = Producer(producer_config(cluster.settings.kafka))
        register(producer, Codec((MODEL_RECORD,)), reader.state, [spec_record(SPEC)])
        reader.close()
        yield cluster


def ids_in(partition: int, name: str) -> list[str]:
    names = [f"{name}-{number}" for number in range(ROWS * PARTITIONS * 4)]
    return [i for i, p in zip(names, partitions_of(names, PARTITIONS), strict=True) if p == partition][:ROWS]


def restart(cluster: Cluster) -> None:
    cluster.children["sketcher"].process.kill()
    cluster.children["sketcher"].process.wait()
    cluster.start("sketcher")
    cluster.wait_ready("sketcher")


def wait_for(cluster: Cluster, sql: str, wanted: tuple[int, ...]) -> None:
    store = Store(cluster.settings.clickhouse)
    deadline_s = time.monotonic() + WAIT_S
    while (found := store.query_rows(sql)) != [wanted]:
        assert time.monotonic() < deadline_s, (found, cluster.log_of("sketcher").read_text()[-2000:])
        time.sleep(0.2)
    store.close()


def correct_until_labels_are_left(cluster: Cluster, feed: Feed, time_ms: int) -> None:
    """Correct some labels before they are joined, the same way again and again, until there are more than may wait: those
    read in one go are taken together, however many they are."""
    deadline_s = time.monotonic() + WAIT_S
    while "labels stay in the log" not in cluster.log_of("sketcher").read_text():
        assert time.monotonic() < deadline_s, cluster.log_of("sketcher").read_text()[-2000:]
        for partition in range(PARTITIONS):
            feed.label(partition, ids_in(partition, "early")[:3], time_ms, 1.0)
        time.sleep(0.5)


def test_each_label_is_joined_once(cluster: Cluster) -> None:
    start_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS - 60 * MINUTE_MS
    feed = Feed(cluster)
    for partition in range(PARTITIONS):
        feed.label(partition, ids_in(partition, "early"), start_ms, 0.0)
    correct_until_labels_are_left(cluster, feed, start_ms + 1)
    feed.beat(start_ms + 10 * MINUTE_MS)
    feed.beat(start_ms + 11 * MINUTE_MS)
    wait_for(cluster, "SELECT uniqExact(prediction_id) FROM unmatched_labels WHERE waiting", (40,))
    wait_for(
        cluster,
        "SELECT countIf(position > 0) FROM positions FINAL WHERE topic = 'labels' AND service = 'sketcher'",
        (4,),
    )
    restart(cluster)
    for partition in range(PARTITIONS):
        feed.predict(partition, ids_in(partition, "early"), start_ms)
        feed.predict(partition, ids_in(partition, "strayed"), start_ms)
    feed.beat(start_ms + 12 * MINUTE_MS)
    wait_for(cluster, "SELECT count() FROM predictions FINAL", (2 * ROWS * PARTITIONS,))
    restart(cluster)
    for partition in range(PARTITIONS):
        feed.label((partition + 1) % PARTITIONS, ids_in(partition, "strayed"), start_ms + MINUTE_MS, 1.0)
    feed.beat(start_ms + 20 * MINUTE_MS)
    counts = "SELECT sum(labelled), sum(confusion[5]) FROM outcomes FINAL"
    wait_for(cluster, counts, (2 * ROWS * PARTITIONS, (3 + ROWS) * PARTITIONS))
