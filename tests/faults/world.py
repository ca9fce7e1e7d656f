"""Kafka, a store and the services as processes: several workers of each, to be killed and started again."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import httpx
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from brokers import Broker
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.kafka import CompactedReader, ensure_topics, producer_config
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import (
    PREFIX,
    ClickHouseSettings,
    KafkaSettings,
    Settings,
    SketcherSettings,
    environment,
)
from driftsonde.adapters.topics import DEAD_LETTERS, DECISIONS, MODELS, SIGNALS, SKETCHES, TRAFFIC, Topic
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.client.monitor import Monitor
from driftsonde.commands.digest import TABLES, digest_of
from driftsonde.core.signals import Signal
from driftsonde.standalone.child import Child
from driftsonde.standalone.store_process import StoreProcess, running_store
from faults.load import COUNTRIES, Call, Cell, Load, Predictions
from kafka.launcher import KafkaCluster

SERVICES = ("sketcher", "judge", "archiver")
WORKERS = tuple(f"{service}-{number}" for service in SERVICES for number in (1, 2))
CONTROLLERS = ("controller-1", "controller-2")
GROUPS = tuple(f"driftsonde-{service}" for service in (*SERVICES, "controller"))
PARTITIONS = 12

T = TypeVar("T")

_READY_S = 90.0
_STOP_S = 60.0
_SETTLED_S = 2.0


@dataclass(slots=True)
class World:
    """`settings` reach Kafka and the store. A worker's name is its service and a number: "judge-2"."""

    kafka: KafkaCluster
    store_process: StoreProcess
    settings: Settings
    directory: Path
    store: Store
    workers: dict[str, Child] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    # --- Workers

    def start(self, *names: str, named: bool = False) -> None:
        """Start workers; `wait_ready` says when they have partitions. `named`: the group knows them by their names."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        for name in names:
            service = name.partition("-")[0]
            log = self.directory / f"{name}.log"
            kafka = replace(self.settings.kafka, group_instance_id=name if named else "")
            environ = inherited | environment(replace(self.settings, kafka=kafka))
            self.workers[name] = Child(name, f"driftsonde.{service}", environ, log)

    def wait_ready(self, *names: str) -> dict[str, int]:
        """The ports on which they tell their metrics."""
        ports = {name: int(self.workers[name].wait_ready(_READY_S)["port"]) for name in names}
        self.ports.update(ports)
        return ports

    def metric(self, service: str, name: str) -> float:
        """The sum over all series whose name and labels begin like this, of all workers of a service that were waited
        for."""
        total = 0.0
        for worker, port in self.ports.items():
            if worker.startswith(service) and worker in self.workers:
                text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
                total += sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))
        return total

    def kill(self, name: str) -> None:
        """kill -9."""
        child = self.workers.pop(name)
        child.process.kill()
        child.process.wait()

    def stop(self, name: str) -> None:
        """SIGTERM; a worker that doesn't end by itself is an error."""
        child = self.workers.pop(name)
        child.stop(_STOP_S)
        assert child.process.returncode == 0, f"{name} ended with {child.process.returncode}{child.tail()}"

    def stop_all(self) -> None:
        for child in self.workers.values():
            child.process.terminate()
        for child in self.workers.values():
            child.stop(_STOP_S)
        self.workers.clear()

    def ended(self) -> list[str]:
        """The workers that have ended by themselves, with the end of their logs."""
        return [
            f"{n}: {c.process.returncode}{c.tail()}"
            for n, c in self.workers.items()
            if c.process.poll() is not None
        ]

    # --- What goes in

    def register(self, load: Load) -> None:
        codec = Codec((MODEL_RECORD,))
        reader = CompactedReader(self.settings.kafka, MODELS)
        reader.refresh()
        records = [spec_record(load.spec()), version_record(load.model, "1", load.baseline())]
        register(Producer(producer_config(self.settings.kafka)), codec, reader.state, records)
        reader.close()

    def send(self, load: Load, between: Callable[[int], object] = lambda window: None) -> None:
        """Send all of the load, in messages that are the same each time; `between` is called after each window."""
        servers = self.settings.kafka.bootstrap_servers
        monitor = Monitor(
            servers, load.model, "1", task="binary", strict=True, batch_rows=40, linger_ms=float("inf")
        )
        with monitor:
            for window, calls in enumerate(load.calls()):
                for call in calls:
                    _send(monitor, call)
                between(window)
            monitor.heartbeat(load.end_ms)
            assert monitor.flush(60.0), monitor.stats
            stats = monitor.stats
        assert (stats.dropped, stats.failed) == (0, 0), stats

    # --- What comes out

    def count(self, sql: str) -> int:
        return int(self.store.query_rows(sql)[0][0])

    def wait_until_caught_up(self, load: Load, timeout_s: float) -> float:
        """Return the seconds it took until every window was judged and everything archived. Raises AssertionError."""
        began_s = time.monotonic()
        predictions, labels = load.rows_sent()
        wanted = {
            "predictions": predictions,
            "labels": labels,
            "judged": load.windows,
            "labelled": sum(cell.labelled for (segment, _), cell in load.expected().items() if not segment),
        }
        self._wait_for(wanted, self._progress, began_s + timeout_s)
        self._wait_for(load.expected(), lambda: self.found(load), began_s + timeout_s)
        return time.monotonic() - began_s

    def wait_for_digests(self, wanted: dict[str, str], timeout_s: float) -> None:
        """Return once the tables are these. Raises AssertionError."""
        self._wait_for(wanted, self.digests, time.monotonic() + timeout_s)

    def settled_digests(self) -> dict[str, str]:
        """The digests, once all signals are archived and nothing has changed for a while."""
        while self.count("SELECT count() FROM signals FINAL") < len(set(self.signal_ids())):
            time.sleep(0.25)
        before, since_s = self.digests(), time.monotonic()
        while time.monotonic() - since_s < _SETTLED_S:
            time.sleep(0.5)
            if (now := self.digests()) != before:
                before, since_s = now, time.monotonic()
        return before

    def _wait_for(self, wanted: T, found: Callable[[], T], deadline_s: float) -> None:
        while True:
            began_s = time.monotonic()
            if (now := found()) == wanted:
                return
            if time.monotonic() > deadline_s:
                assert self.ended() == []
                assert now == wanted, _difference(now, wanted)
            # To look takes the store's time, too: at most half of it.
            time.sleep(max(0.25, time.monotonic() - began_s))

    def _progress(self) -> dict[str, int]:
        accuracy = "metric = 'accuracy' AND segment = ''"
        return {
            "predictions": self.count("SELECT count() FROM predictions FINAL"),
            "labels": self.count("SELECT count() FROM labels FINAL"),
            "judged": self.count(f"SELECT count() FROM metrics_as_judged FINAL WHERE {accuracy}"),
            "labelled": self.count(f"SELECT sum(n) FROM metrics FINAL WHERE {accuracy}"),
        }

    def digests(self) -> dict[str, str]:
        return {table: digest_of(self.store, table) for table in TABLES}

    def found(self, load: Load) -> dict[tuple[str, int], Cell]:
        """What the store says of every window, in the form of `Load.expected`."""
        bins = {
            (segment, start): tuple(counts)
            for segment, start, counts in self.store.query_rows(
                "SELECT segment, toUnixTimestamp64Milli(window_start), counts FROM windows FINAL "
                "WHERE model = {model:String} AND column = 'x'",
                {"model": load.model},
            )
        }
        outcomes = {
            (segment, start): (n, round(n * value))
            for segment, start, n, value in self.store.query_rows(
                "SELECT segment, toUnixTimestamp64Milli(window_start), n, value FROM metrics FINAL "
                "WHERE model = {model:String} AND metric = 'accuracy'",
                {"model": load.model},
            )
        }
        return {key: Cell(sum(counts), counts, *outcomes.get(key, (0, 0))) for key, counts in bins.items()}

    def signal_ids(self) -> list[str]:
        """The ids of all messages on the topic of signals: as often as each was sent."""
        codec = Codec(CONTROL_TYPES)
        broker = Broker(self.settings.kafka, PARTITIONS)
        events = [codec.decode(message.value() or b"") for message in broker.read_all(SIGNALS.name)]
        return [event.id for event in events if isinstance(event, Signal)]

    # --- The same log again

    def fresh_results(self, database: str) -> None:
        """Forget everything that was computed, and keep the raw log: the next workers begin at its beginning."""
        assert not self.workers
        admin = AdminClient(self.settings.kafka.librdkafka())
        for group in GROUPS:
            _delete_group(admin, group)
        self.empty((SKETCHES, SIGNALS, DECISIONS, TRAFFIC, DEAD_LETTERS))
        self.store.close()
        self.settings = replace(
            self.settings, clickhouse=replace(self.settings.clickhouse, database=database)
        )
        self.store = _database(self.settings.clickhouse)

    def empty(self, topics: Sequence[Topic]) -> None:
        """Make topics anew."""
        admin = AdminClient(self.settings.kafka.librdkafka())
        names = {topic.name for topic in topics}
        for deletion in admin.delete_topics(sorted(names)).values():
            deletion.result()
        while admin.list_topics(timeout=10).topics.keys() & names:
            time.sleep(0.1)
        ensure_topics(
            self.settings.kafka, topics, partitions=PARTITIONS, replication=min(3, len(self.kafka.ports))
        )


def _difference(now: object, wanted: object) -> str:
    """Where two mappings differ, as far as it fits on a screen."""
    if not isinstance(now, dict) or not isinstance(wanted, dict):
        return f"{now} and not {wanted}"
    keys = [key for key in now.keys() | wanted.keys() if now.get(key) != wanted.get(key)]
    return "; ".join(f"{key}: {now.get(key)} and not {wanted.get(key)}" for key in keys)[:2_000]


def undisturbed_digests(world: World, load: Load) -> dict[str, str]:
    """What one worker of each service makes of the same log, from its beginning and left alone."""
    alone = tuple(f"{service}-alone" for service in SERVICES)
    world.fresh_results("undisturbed")
    world.start(*alone)
    world.wait_until_caught_up(load, timeout_s=300)
    return world.settled_digests()


def _delete_group(admin: AdminClient, group: str) -> None:
    """Delete a consumer group, once the session of its last killed worker is over."""
    deadline_s = time.monotonic() + 60
    while True:
        try:
            admin.delete_consumer_groups([group])[group].result()
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.GROUP_ID_NOT_FOUND:
                return
            if code != KafkaError.NON_EMPTY_GROUP or time.monotonic() > deadline_s:
                raise
            time.sleep(0.5)
        else:
            return


def _send(monitor: Monitor, call: Call) -> None:
    if isinstance(call, Predictions):
        monitor.log(
            {"x": call.x},
            call.predicted,
            score=np.where(call.predicted == 1, 0.9, 0.1),
            ids=call.ids,
            timestamps=call.times_ms,
            segments={"country": np.array(COUNTRIES)[call.countries]},
        )
    else:
        monitor.label(call.ids, call.values, timestamps=call.times_ms)
    assert monitor.flush(60.0), monitor.stats


def _database(settings: ClickHouseSettings) -> Store:
    store = Store(settings)
    store.create_database()
    apply_migrations(store, schemas_directory() / "clickhouse")
    return store


@contextmanager
def world(kafka: KafkaCluster, directory: Path) -> Iterator[World]:
    """A store of its own, topics on `kafka`, and no workers yet; workers are stopped at the end."""
    with ExitStack() as stack:
        store_process = stack.enter_context(running_store(directory / "store"))
        settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap_servers),
            clickhouse=ClickHouseSettings(host=store_process.host, port=store_process.port),
            # Chunks so small that many end during a test; and no heartbeats of the sketcher in the log of a pause.
            sketcher=SketcherSettings(chunk_messages=16, idle_timeout_s=3_600.0),
        )
        ensure_topics(settings.kafka, partitions=PARTITIONS, replication=min(3, len(kafka.ports)))
        made = World(kafka, store_process, settings, directory, _database(settings.clickhouse))
        stack.callback(made.stop_all)
        yield made
        made.store.close()
