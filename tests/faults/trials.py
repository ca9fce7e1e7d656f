"""The same events sent again and again, each time with another fault: every trial ends where the first, undisturbed
run did."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from driftsonde.adapters.settings import ClickHouseSettings, Settings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from faults.door import FaultDoor, fault_door
from faults.load import Load
from faults.world import SERVICES, WORKERS, World, world
from kafka.launcher import kafka_cluster

ALONE = tuple(f"{service}-alone" for service in SERVICES)

# Far more than it takes: a machine that is busy with other things is not a failure.
_CAUGHT_UP_S = 600.0
_ANSWER_S = 3  # a silent store is given up after this long


@dataclass(slots=True)
class Trials:
    """`reference` are the digests of the undisturbed run. The log is made anew for each trial, and is the same."""

    world: World
    load: Load
    reference: dict[str, str]

    @contextmanager
    def workers(
        self,
        name: str,
        store: ClickHouseSettings | None = None,
        names: tuple[str, ...] = WORKERS,
        configured: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> Iterator[FaultDoor]:
        """Fresh topics and a database `name`, in `store` or where all others are, and two workers a service that reach
        it through the door; they are stopped at the end."""
        it, settings = self.world, self.world.settings
        if store is not None:
            it.settings = replace(settings, clickhouse=replace(store, database=name))
        it.fresh_results(name)
        it.empty((PREDICTIONS, LABELS))
        reached = it.settings.clickhouse
        with fault_door(reached.host, reached.port) as door:
            through = replace(reached, port=door.port, send_receive_timeout_s=_ANSWER_S)
            it.settings = configured(replace(it.settings, clickhouse=through))
            try:
                it.start(*names)
                yield door
            finally:
                it.stop_all()
                it.settings = settings

    def send(self, between: Callable[[int], object]) -> None:
        self.world.send(self.load, between)

    def check(self) -> float:
        """Wait until everything has caught up; what is stored then is what it should be. Returns the seconds."""
        took_s = self.world.wait_until_caught_up(self.load, _CAUGHT_UP_S)
        self.world.wait_for_digests(self.reference, _CAUGHT_UP_S)
        assert self.world.ended() == []
        ids = self.world.signal_ids()
        assert self.world.count("SELECT count() FROM signals FINAL") == len(set(ids)) > 0
        return took_s


@contextmanager
def trials(load: Load, directory: Path, nodes: int = 1) -> Iterator[Trials]:
    """A cluster and a store on which `load` has run undisturbed, its results being those that NumPy computes."""
    with kafka_cluster(nodes) as kafka, world(kafka, directory) as it:
        it.register(load)
        it.start(*ALONE)
        it.wait_ready(*ALONE)
        it.send(load)
        it.wait_until_caught_up(load, _CAUGHT_UP_S)
        reference = it.settled_digests()
        it.stop_all()
        yield Trials(it, load, reference)
