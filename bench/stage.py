"""Apache Kafka, the embedded store and service processes, each on its cores; all of them stopped at the end."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from bench.machine import cpu_seconds, peak_mb, spare_cores, waited_seconds
from bench.workload import Workload, payloads
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.kafka import consumer_config, ensure_topics, producer_config
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import PREFIX, ClickHouseSettings, KafkaSettings, Settings, environment
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.core.events import Heartbeat
from driftsonde.standalone.child import Child
from driftsonde.standalone.store_process import StoreProcess, running_store
from kafka.launcher import KafkaCluster, kafka_cluster

_READY_S = 90.0
_STOP_S = 30.0
_POLL_S = 0.05


class TookTooLong(RuntimeError):
    """What was waited for did not come."""


@dataclass(slots=True)
class Stage:
    """`settings` reach the servers. `service_cores` are for what is measured, the servers have the others."""

    kafka: KafkaCluster
    store_process: StoreProcess
    settings: Settings
    store: Store
    directory: Path
    partitions: int
    service_cores: set[int]
    children: list[Child] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    # --- What goes in

    def register(self, workload: Workload) -> None:
        """Every model of the workload with both its versions."""
        producer = Producer(producer_config(self.settings.kafka))
        records = [
            record
            for number in range(workload.models)
            for record in (
                spec_record(workload.spec(number)),
                *(
                    version_record(workload.model(number), version, workload.baseline(version, number))
                    for version in ("1", "2")
                ),
            )
        ]
        register(producer, Codec((MODEL_RECORD,)), {}, records)

    def preload(
        self, messages: Iterable[tuple[int, bytes]], topic: str = PREDICTIONS.name
    ) -> tuple[int, int]:
        """Put messages on a topic, before anything reads it; returns how many, and their bytes together."""
        producer = Producer(producer_config(self.settings.kafka) | {"linger.ms": 50})
        count = total_bytes = 0
        for partition, payload in messages:
            while True:
                try:
                    producer.produce(topic, payload, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            count += 1
            total_bytes += len(payload)
        if producer.flush(60.0):
            raise TookTooLong(f"{topic}: not all messages were stored")
        return count, total_bytes

    def preload_workload(self, workload: Workload) -> int:
        """All its messages; returns their mean size in bytes."""
        self.register(workload)
        count, total_bytes = self.preload(payloads(workload))
        return total_bytes // count

    def close_windows(self, end_ms: int, topics: Iterable[str]) -> None:
        """A heartbeat in every partition: event time has come to `end_ms`."""
        payload = Codec(EVENT_TYPES).encode(Heartbeat(end_ms))
        for topic in topics:
            self.preload([(partition, payload) for partition in range(self.partitions)], topic)

    # --- Services

    def start(self, service: str, cores: set[int] | None = None) -> Child:
        """Start a service, and wait until it has its partitions. Its core is set before it has made any thread."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        log = self.directory / f"{service}-{len(self.children)}.log"
        child = Child(service, f"driftsonde.{service}", inherited | environment(self.settings), log)
        os.sched_setaffinity(child.process.pid, cores or self.service_cores)
        self.children.append(child)
        self.ports[service] = int(child.wait_ready(_READY_S)["port"])
        return child

    def stop(self) -> None:
        """Stop all services."""
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.stop(_STOP_S)
        self.children.clear()

    # --- What comes out

    def positions(self, service: str, topic: str = PREDICTIONS.name) -> int:
        """The messages of a topic that a service is done with."""
        (row,) = self.store.query_rows(
            "SELECT sum(p) FROM (SELECT max(position) AS p FROM positions "
            "WHERE service = {service:String} AND topic = {topic:String} GROUP BY partition)",
            {"service": service, "topic": topic},
        )
        return int(row[0])

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Raises `TookTooLong`, or `ChildFailed` where a service has ended meanwhile."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            for child in self.children:
                child.check()
            if time.monotonic() > deadline_s:
                raise TookTooLong(f"{what}: not within {timeout_s:g} s")
            time.sleep(_POLL_S)

    # --- Reading as plainly as can be

    def consume_all(self, messages: int, topic: str = PREDICTIONS.name) -> float:
        """Seconds in which confluent-kafka reads so many messages from the beginning, without looking at them."""
        config: dict[str, Any] = consumer_config(self.settings.kafka, "bench")
        consumer = Consumer(config)
        try:
            consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(self.partitions)])
            left, began_s = messages, time.perf_counter()
            while left > 0:
                # Few at a time: to hold 500 of a megabyte's quarter each takes longer than to read them.
                found = consumer.consume(min(left, 50), timeout=10.0)
                if not found:
                    raise TookTooLong(f"{topic}: {left} messages did not come")
                left -= len(found)
            return time.perf_counter() - began_s
        finally:
            consumer.close()


@dataclass(frozen=True, slots=True)
class Reading:
    """`waited_s`: without a core that they could have used."""

    elapsed_s: float
    cpu_s: float
    waited_s: float
    peak_mb: float

    def describe(self, rows: int) -> str:
        """What a busy machine changes less than the rate, and how busy it was."""
        waited = (
            f"; waited {self.waited_s:.1f} of {self.elapsed_s:.1f} s for a core" if self.waited_s > 1 else ""
        )
        return f"{rows / self.cpu_s:,.0f} rows for a second of processor time{waited}"


@dataclass(slots=True)
class Meter:
    """Time and processor time of some processes, from when this is made."""

    pids: tuple[int, ...]
    _began_s: float = field(init=False)
    _cpu_s: float = field(init=False)
    _waited_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._cpu_s, self._waited_s = cpu_seconds(self.pids), waited_seconds(self.pids)
        self._began_s = time.perf_counter()

    def read(self) -> Reading:
        return Reading(
            time.perf_counter() - self._began_s,
            cpu_seconds(self.pids) - self._cpu_s,
            waited_seconds(self.pids) - self._waited_s,
            peak_mb(self.pids),
        )


@contextmanager
def stage(
    partitions: int = 4, settings: Settings | None = None, *, share_cores: bool = False
) -> Iterator[Stage]:
    """Servers with empty topics and tables, and no services yet. `share_cores`: everything may use every core.

    The calling process is moved to the servers' cores for the time being.
    """
    before = os.sched_getaffinity(0)
    service_cores, server_cores = (before, before) if share_cores else spare_cores()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack.callback(os.sched_setaffinity, 0, before)
        os.sched_setaffinity(0, server_cores)
        kafka = stack.enter_context(kafka_cluster(partitions=partitions))
        store_process = stack.enter_context(running_store(directory / "store"))
        made = replace(
            settings or Settings(),
            kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers),
            clickhouse=ClickHouseSettings(host=store_process.host, port=store_process.port),
        )
        ensure_topics(made.kafka, partitions=partitions)
        store = Store(made.clickhouse)
        store.create_database()
        apply_migrations(store, schemas_directory() / "clickhouse")
        result = Stage(kafka, store_process, made, store, directory, partitions, service_cores)
        stack.callback(store.close)
        stack.callback(result.stop)
        yield result
