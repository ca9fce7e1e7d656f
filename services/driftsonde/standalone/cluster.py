"""Broker, store and services on this machine: the embedded default in place of the servers, the services as they are."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from driftsonde.adapters.api_client import URL_VARIABLE
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.kafka import ensure_topics
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import PREFIX, Settings, environment
from driftsonde.standalone.child import Child
from driftsonde.standalone.store_process import running_store

SERVICES = ("sketcher", "judge", "archiver", "controller")

_BROKER_START_S = 30.0
_SERVICE_START_S = 90.0
_STOP_S = 30.0
_SCRAPE_S = 5.0


@dataclass
class Cluster:
    """Everything between entering and leaving the block; `settings` are then those that reach it.

    data: a directory of its own for the store and the logs (`logs/<service>.log`). The services get `settings` with the
    addresses of the embedded broker and store put in, as environment variables, and nothing else.
    Entering raises `ChildFailed` if a process doesn't start, and RuntimeError if the store doesn't.
    """

    data: Path
    services: Sequence[str] = SERVICES
    settings: Settings = field(default_factory=Settings)
    children: dict[str, Child] = field(default_factory=dict, init=False)
    ports: dict[str, int] = field(default_factory=dict, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        with self._stack:
            self.data.mkdir(parents=True, exist_ok=True)
            self._start_servers()
            for name in self.services:
                self.start(name)
            for name in self.services:
                self.wait_ready(name)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        # Side by side, in the reverse order; the servers only when all services have ended.
        for name in reversed(self.services):
            self.children[name].terminate()
        self._stack.close()

    @property
    def controller_url(self) -> str:
        """Where the controller's API is. Raises KeyError without a controller."""
        return f"http://{self.settings.http.bind}:{self.ports['controller']}"

    def log_of(self, name: str) -> Path:
        return self.data / "logs" / f"{name}.log"

    def start(self, name: str) -> None:
        """Start a service, or start it again once it has ended."""
        child = Child(name, f"driftsonde.{name}", self._environ(), self.log_of(name))
        self.children[name] = child
        self._stack.callback(child.stop, _STOP_S)

    def wait_ready(self, name: str) -> None:
        """Raises `ChildFailed` if it doesn't get ready."""
        self.ports[name] = int(self.children[name].wait_ready(_SERVICE_START_S)["port"])

    def exports(self) -> list[str]:
        """Lines for a shell in which the commands are to find it."""
        kafka, clickhouse = self.settings.kafka, self.settings.clickhouse
        found = environment(Settings(kafka=kafka, clickhouse=clickhouse)) | {
            URL_VARIABLE: self.controller_url
        }
        return [f"export {name}={value}" for name, value in found.items()]

    def check(self) -> None:
        """Raise `ChildFailed` if a process has ended."""
        for child in self.children.values():
            child.check()

    def read_metric(self, service: str, sample: str) -> Mapping[tuple[str, ...], float]:
        """The samples of that name in a service's metrics, by their labels' values in the order of the labels' names.

        Raises httpx.HTTPError.
        """
        url = f"http://{self.settings.http.bind}:{self.ports[service]}/metrics"
        # Plain HTTP: making a TLS context for each call would cost 20 ms.
        text = httpx.get(url, timeout=_SCRAPE_S, verify=False).raise_for_status().text
        return {
            tuple(found.labels[name] for name in sorted(found.labels)): found.value
            for family in text_string_to_metric_families(text)
            for found in family.samples
            if found.name == sample
        }

    def _start_servers(self) -> None:
        broker = Child("broker", "driftsonde.standalone.broker", self._environ(), self.log_of("broker"))
        self.children["broker"] = broker
        self._stack.callback(broker.stop, _STOP_S)
        store = self._stack.enter_context(running_store(self.data / "store"))
        servers = broker.wait_ready(_BROKER_START_S)["bootstrap_servers"]
        self.settings = dataclasses.replace(
            self.settings,
            kafka=dataclasses.replace(self.settings.kafka, bootstrap_servers=servers),
            clickhouse=dataclasses.replace(self.settings.clickhouse, host=store.host, port=store.port),
        )
        ensure_topics(self.settings.kafka)
        client = Store(self.settings.clickhouse)
        try:
            apply_migrations(client, schemas_directory() / "clickhouse")
        finally:
            client.close()

    def _environ(self) -> dict[str, str]:
        """This process's environment, but for our variables: those say what `settings` says."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return inherited | environment(self.settings)
