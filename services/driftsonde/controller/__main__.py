"""`python -m driftsonde.controller`: signals in, decisions and actions out, and an HTTP API beside them."""

import argparse
import ipaddress
import logging
import os
import random
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaException
from prometheus_client import CollectorRegistry

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.kafka import fatal_problem
from driftsonde.adapters.logging_json import configure_logging
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.outbound import Sender, trusting
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.service import STOP_WITHIN_S, Conditions, announce_ready, stop_on_signals
from driftsonde.adapters.settings import (
    InvalidSetting,
    Settings,
    read_settings,
    settings_table,
    unknown_variables,
)
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, origin_record, version_record
from driftsonde.controller.app import Controller, Turn, run
from driftsonde.controller.backend import Backend
from driftsonde.controller.catalogue import CatalogueFollower
from driftsonde.controller.config import ControllerConfig, parse_config
from driftsonde.controller.config_parts import InvalidConfig
from driftsonde.controller.delivery import Deliveries
from driftsonde.controller.door import VERSION, Door
from driftsonde.controller.guard import Guard
from driftsonde.controller.journal import Journal, Stopping, patiently, rebuild
from driftsonde.controller.live import LiveFollower
from driftsonde.controller.source import SERVICE, SignalSource
from driftsonde.controller.tokens import InvalidTokens, Tokens
from driftsonde.core.control.access import Allowance
from driftsonde.core.control.inputs import Setting
from driftsonde.core.origin import Origin

FAILED, USAGE_ERROR = 1, 2
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
        tokens = read_tokens(settings)
    except (InvalidSetting, InvalidConfig, InvalidTokens, OSError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    configure_logging(SERVICE, settings.log.level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs, and some hold a secret
    for name in unknown_variables(os.environ):
        _log.warning("unknown environment variable", extra={"variable": name})
    return serve(settings, config, tokens)


def read_tokens(settings: Settings) -> Tokens:
    """Raises `InvalidTokens` or OSError."""
    file = settings.controller.tokens_file
    return Tokens(settings.controller.api_token, Path(file) if file else None)


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
    tokens = settings.controller.api_token or settings.controller.tokens_file
    if not tokens and not is_loopback(settings.http.bind):
        raise InvalidSetting(
            "DRIFTSONDE_CONTROLLER_TOKENS_FILE or DRIFTSONDE_CONTROLLER_API_TOKEN: needed, because the API listens "
            f"on {settings.http.bind} and not on the loopback alone"
        )


def is_loopback(bind: str) -> bool:
    if bind == "localhost":
        return True
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


def register_candidate(
    catalogue: CatalogueFollower, journal: Journal, model: str, version: str, origin: Origin
) -> None:
    """A version that is registered already, perhaps with a baseline, stays as it is."""
    known = version in catalogue.current.versions_of(model)
    new = [] if known else [version_record(model, version, None)]
    journal.record([*new, origin_record(model, version, origin)])


def serve(settings: Settings, config: ControllerConfig, tokens: Tokens) -> int:
    stop = stop_on_signals(within_s=STOP_WITHIN_S)
    ready = Conditions({STARTING: "not a member of the group yet"})
    registry = CollectorRegistry()
    metrics = create_metrics(registry, SERVICE, VERSION)
    codec = Codec(
        (*CONTROL_TYPES, MODEL_RECORD),
        ConfluentRegistry(settings.registry.url) if settings.registry.url else None,
    )
    catalogue = CatalogueFollower(settings.kafka, codec)
    journal = Journal(settings.kafka, codec, stop, ready)
    store = Store(settings.clickhouse)
    live = LiveFollower(store, lambda: controller.state, catalogue.governance)
    controller = Controller(
        setting=Setting(
            catalogue.governance,
            config.routes,
            config.retrain is not None,
            config.severities,
            config.follows,
            config.registry is not None,
            live.numbers,
        ),
        config=config,
        record=journal.record,
        deliveries=Deliveries(
            sender=lambda: Sender(config.allow_hosts, verify=trusting(config.ca_file)),
            endpoints=config.names(),
            delays_ms=config.delays_ms,
            randomness=random.random,
            metrics=metrics,
        ),
        metrics=metrics,
        now_ms=lambda: time.time_ns() // 1_000_000,
        sweep_interval_s=settings.controller.sweep_interval_s,
        register=partial(register_candidate, catalogue, journal),
        registered=lambda: catalogue.registered,
    )
    backend = Backend(
        state=controller.current,
        catalogue=lambda: catalogue.current,
        submit=controller.submit,
        ready=ready,
        registry=registry,
        guard=Guard(
            tokens.current,
            time.monotonic,
            controller.submit,
            Allowance(settings.controller.requests_per_s),
        ),
        store=store,
        live=live.numbers,
    )
    try:
        door = Door(settings.http.bind, settings.http.port, backend)
    except OSError as error:
        print(f"DRIFTSONDE_HTTP_BIND, DRIFTSONDE_HTTP_PORT: {error}", file=sys.stderr)
        return USAGE_ERROR

    def begun() -> None:
        if STARTING in ready.problems():
            ready.clear(STARTING)
            announce_ready(SERVICE, door.port)

    source = SignalSource(settings.kafka, codec, metrics, stop)
    controller.deliveries.start(controller.outcome)
    live.start()
    try:
        patiently(catalogue.start, stop)
        turn = Turn(partial(patiently, partial(rebuild, settings.kafka, codec), stop), ready, begun)
        run(controller, source, turn, stop)
    except KafkaException as error:
        _log.critical("the Kafka client can't go on", extra={"problem": fatal_problem(error)})
        return FAILED
    except Stopping:
        _log.warning(
            "told to stop while a server was away; what was not stored is read again after the next start"
        )
    finally:
        door.close()
        live.close()
        controller.deliveries.stop()
        source.close()
        journal.close()
        catalogue.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
