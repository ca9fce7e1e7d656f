"""`python -m driftsonde.controller`: signals in, decisions and actions out, and an HTTP API beside them."""

import argparse
import importlib.metadata
import ipaddress
import logging
import os
import queue
import random
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from confluent_kafka import KafkaException
from prometheus_client import CollectorRegistry

from driftsonde.adapters.avro import Codec, RegistryUnavailable
from driftsonde.adapters.kafka import MissingTopic
from driftsonde.adapters.logging_json import configure_logging
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.service import Conditions, announce_ready, stop_on_signals
from driftsonde.adapters.settings import (
    InvalidSetting,
    Settings,
    read_settings,
    settings_table,
    unknown_variables,
)
from driftsonde.adapters.webhook import Sender
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD
from driftsonde.controller.api import create_api
from driftsonde.controller.app import SERVICE, Controller, SignalSource, run
from driftsonde.controller.backend import Backend
from driftsonde.controller.catalogue import CatalogueFollower
from driftsonde.controller.config import ControllerConfig, InvalidConfig, parse_config
from driftsonde.controller.delivery import Deliveries
from driftsonde.controller.journal import Journal, rebuild
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.state import State

VERSION = importlib.metadata.version("driftsonde")
USAGE_ERROR = 2
STARTING = "starting"

_log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m driftsonde.controller", description=__doc__)
    parser.add_argument("--settings", action="store_true", help="list the environment variables and exit")
    if parser.parse_args(argv).settings:
        print(settings_table(), end="")
        return 0
    try:
        settings = read_settings(os.environ)
        config = read_config(settings, os.environ)
        check_access(settings)
    except (InvalidSetting, InvalidConfig, OSError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    configure_logging(SERVICE, settings.log.level)
    for name in unknown_variables(os.environ):
        _log.warning("unknown environment variable", extra={"variable": name})
    return serve(settings, config)


def read_config(settings: Settings, environ: Mapping[str, str]) -> ControllerConfig:
    """Raises `InvalidConfig` with the file's name before each problem, or OSError."""
    path = settings.controller.webhooks_file
    if not path:
        return ControllerConfig()
    try:
        return parse_config(Path(path).read_text(encoding="utf-8"), environ)
    except InvalidConfig as error:
        raise InvalidConfig("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None


def check_access(settings: Settings) -> None:
    """An API that others can reach asks for a token. Raises `InvalidSetting`."""
    if not settings.controller.api_token and not is_loopback(settings.http.bind):
        raise InvalidSetting(
            f"DRIFTSONDE_CONTROLLER_API_TOKEN: needed, because the API listens on {settings.http.bind} "
            "and not on the loopback alone"
        )


def is_loopback(bind: str) -> bool:
    if bind == "localhost":
        return True
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


def serve(settings: Settings, config: ControllerConfig) -> int:
    stop = stop_on_signals()
    ready = Conditions({STARTING: "reading the topics"})
    registry = CollectorRegistry()
    metrics = create_metrics(registry, SERVICE, VERSION)
    codec = Codec(
        (*CONTROL_TYPES, MODEL_RECORD),
        ConfluentRegistry(settings.registry.url) if settings.registry.url else None,
    )
    started = _start_reading(settings, codec, stop)
    if started is None:
        return 0
    catalogue, state = started
    targets = (*config.endpoints, *((config.retrain,) if config.retrain else ()))
    deliveries = Deliveries(
        sender=lambda: Sender(config.allow_hosts),
        endpoints=targets,
        delays_ms=config.delays_ms,
        randomness=random.random,
        metrics=metrics,
    )
    controller = Controller(
        state=state,
        setting=Setting(catalogue.governance, config.routes, config.retrain is not None),
        journal=Journal(settings.kafka, codec, stop, ready),
        deliveries=deliveries,
        inbox=queue.SimpleQueue(),
        metrics=metrics,
        now_ms=lambda: time.time_ns() // 1_000_000,
        sweep_interval_s=settings.controller.sweep_interval_s,
    )
    source = SignalSource(settings.kafka, codec, metrics, stop)
    backend = Backend(
        state=lambda: controller.state,
        catalogue=lambda: catalogue.current,
        submit=controller.submit,
        ready=ready,
        registry=registry,
        token=settings.controller.api_token,
    )
    door = Door(settings.http.bind, settings.http.port, backend)
    deliveries.start(controller.outcome)
    ready.clear(STARTING)
    announce_ready(SERVICE, door.port)
    try:
        run(controller, source, stop)
    finally:
        door.close()
        deliveries.stop()
        source.close()
        controller.journal.close()
        catalogue.close()
    return 0


def _start_reading(
    settings: Settings, codec: Codec, stop: threading.Event
) -> tuple[CatalogueFollower, State] | None:
    """The catalogue and the rebuilt state, as soon as the broker gives them; None if told to stop before."""
    while not stop.is_set():
        catalogue = CatalogueFollower(settings.kafka, codec)
        try:
            catalogue.start()
            return catalogue, rebuild(settings.kafka, codec)
        except (KafkaException, MissingTopic, TimeoutError, RegistryUnavailable) as error:
            _log.warning("can't start yet", extra={"problem": str(error)})
            catalogue.close()
            stop.wait(1.0)
    return None


class Door:
    """The API on its port, in a thread of its own."""

    def __init__(self, bind: str, port: int, backend: Backend) -> None:
        self._socket = socket.create_server(
            (bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET
        )
        self.port: int = self._socket.getsockname()[1]
        api = create_api(backend, VERSION)
        self._server = uvicorn.Server(
            uvicorn.Config(
                api, log_config=None, access_log=False, timeout_graceful_shutdown=5, lifespan="off"
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="api", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10.0)


if __name__ == "__main__":
    sys.exit(main())
