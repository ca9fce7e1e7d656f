"""The producers of docs/how-to/other-languages.md in Java and Go, against Apache Kafka."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from docs.pages import blocks_of
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import ensure_topics
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.events import PredictionBatch, Variant
from driftsonde.core.partitioning import partitions_of
from kafka import jars
from kafka.launcher import kafka_cluster
from required import need

pytestmark = pytest.mark.io

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "how-to" / "other-languages.md"
PARTITIONS = 7  # a producer that hashes otherwise would hardly meet the right one


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    need(jars.missing())
    with kafka_cluster() as cluster:
        ensure_topics(KafkaSettings(cluster.bootstrap_servers), [PREDICTIONS], partitions=PARTITIONS)
        yield cluster.bootstrap_servers


def test_the_producer_in_java(servers: str, tmp_path: Path) -> None:
    classes = f"{jars.class_path()}{os.pathsep}{jars.class_path(HERE / 'avro.pom.xml')}"
    quick = ("-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    program = written("java", "Producer.java", tmp_path)
    said = run(["java", *quick, "-cp", classes, program.name], servers, tmp_path)
    check("request-18", said, servers)


@pytest.mark.slow  # the first build takes a minute of processor time
def test_the_producer_in_go(servers: str, tmp_path: Path) -> None:
    need(None if shutil.which("go") else "the producer in Go needs `go` on the path")
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / "go" / name, tmp_path)
    program = written("go", "producer.go", tmp_path)
    check("request-19", run(["go", "run", program.name], servers, tmp_path), servers)


def written(language: str, name: str, folder: Path) -> Path:
    """The page's program in a folder, beside the schema that it reads."""
    (text,) = [block.text for block in blocks_of(PAGE) if block.language == language]
    assert text.startswith(f"// {name}\n")
    shutil.copy(schemas_directory() / "avro" / "PredictionEvent.avsc", folder)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def run(command: list[str], servers: str, folder: Path) -> str:
    environ: Mapping[str, str] = {**os.environ, "DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS": servers}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def check(prediction_id: str, said: str, servers: str) -> None:
    """The event lies where labels will look for it, and is read as any other."""
    (place,) = partitions_of([prediction_id], PARTITIONS).tolist()
    assert said == f"sent to partition {place}\n"
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(PREDICTIONS.name, place, 0)])
    codec = Codec(EVENT_TYPES)
    while (message := consumer.poll(20.0)) is not None:
        assert message.error() is None
        event = codec.decode(bytes(message.value() or b""))
        if isinstance(event, PredictionBatch) and event.ids == (prediction_id,):
            break
    else:
        pytest.fail("it is not there")
    consumer.close()
    assert message.key() == prediction_id.encode()
    assert (event.model, event.version, event.variant) == ("churn", "3", Variant.CHAMPION)
    assert {column.name for column in event.columns} == {"age", "plan", "country", "prediction", "score"}
