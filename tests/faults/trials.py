"""The same events sent again and again, each time with another fault: every trial ends where the first, undisturbed
run did."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka.admin import AdminClient

from driftsonde.adapters.kafka import ensure_topics
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from faults.door import FaultDoor, fault_door
from faults.load import Load
from faults.world import PARTITIONS, SERVICES, WORKERS, World, world
from kafka.launcher import kafka_cluster

ALONE = tuple(f"{service}-alone" for service in SERVICES)

_CAUGHT_UP_S = 120.0
_ANSWER_S = 3  # a silent store is given up after this long


@dataclass(slots=True)
class Trials:
    """`reference` are the digests of the undisturbed run. The log is made anew for each trial, and is the same."""

    world: World
    load: Load
    reference: dict[str, str]

    @contextmanager
    def workers(self, name: str, store: ClickHouseSettings | None = None) -> Iterator[FaultDoor]:
        """Fresh topics and a database `name`, in `store` or where all others are, and two workers a service that reach
        it through the door; they are stopped at the end."""
        it, settings = self.world, self.world.settings
        if store is not None:
            it.settings = replace(settings, clickhouse=replace(store, database=name))
        it.fresh_results(name)
        self._fresh_log()
        reached = it.settings.clickhouse
        with fault_door(reached.host, reached.port) as door:
            through = replace(reached, port=door.port, send_receive_timeout_s=_ANSWER_S)
            it.settings = replace(it.settings, clickhouse=through)
            try:
                it.start(*WORKERS)
                yield door
            finally:
                it.stop_all()
                it.settings = settings

    def send(self, between: Callable[[int], object]) -> None:
        self.world.send(self.load, between)

    def check(self) -> float:
        """Wait until everything has caught up; what is stored then is what it should be. Returns the seconds."""
        took_s = self.world.wait_until_caught_up(self.load, _CAUGHT_UP_S)
        assert self.world.ended() == []
        ids = self.world.signal_ids()
        assert self.world.count("SELECT count() FROM signals FINAL") == len(set(ids)) > 0
        assert self.world.digests() == self.reference
        return took_s

    def _fresh_log(self) -> None:
        admin = AdminClient(self.world.settings.kafka.librdkafka())
        raw = (PREDICTIONS, LABELS)
        for deletion in admin.delete_topics([topic.name for topic in raw]).values():
            deletion.result()
        while admin.list_topics(timeout=10).topics.keys() & {topic.name for topic in raw}:
            time.sleep(0.1)
        ensure_topics(self.world.settings.kafka, raw, partitions=PARTITIONS)


@contextmanager
def trials(load: Load, directory: Path) -> Iterator[Trials]:
    """A cluster and a store on which `load` has run undisturbed, its results being those that NumPy computes."""
    with kafka_cluster() as kafka, world(kafka, directory) as it:
        it.register(load)
        it.start(*ALONE)
        it.wait_ready(*ALONE)
        it.send(load)
        it.wait_until_caught_up(load, _CAUGHT_UP_S)
        assert it.found(load) == load.expected()
        reference = it.digests()
        it.stop_all()
        yield Trials(it, load, reference)
