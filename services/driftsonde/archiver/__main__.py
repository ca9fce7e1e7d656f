"""`python -m driftsonde.archiver`: the archiver as a process."""

import logging
import os
import sys
import threading
from importlib.metadata import version

import click
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import DeadLetters
from driftsonde.adapters.kafka import consumer_config, fatal_problem, producer_config
from driftsonde.adapters.lag import LagMeter
from driftsonde.adapters.logging_json import configure_logging
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.service import (
    STOP_WITHIN_S,
    Conditions,
    HealthServer,
    announce_ready,
    stop_on_signals,
)
from driftsonde.adapters.settings import InvalidSetting, Settings, read_settings, unknown_variables
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD
from driftsonde.archiver.app import GROUP_ID, Archiver
from driftsonde.archiver.writer import Writer

SERVICE = "archiver"

_log = logging.getLogger(__name__)


@click.command()
def main() -> None:
    """Store every event, signal, decision and dead letter in ClickHouse, exactly once.

    Configured by environment variables (DRIFTSONDE_KAFKA_*, DRIFTSONDE_CLICKHOUSE_*, DRIFTSONDE_REGISTRY_*,
    DRIFTSONDE_HTTP_*, DRIFTSONDE_ARCHIVER_*, DRIFTSONDE_LOG_*). Answers /healthz, /readyz and /metrics, and prints one
    JSON line with its port once it is ready. SIGTERM stores what was read, acknowledges it and ends.
    """
    try:
        settings = read_settings(os.environ)
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error
    configure_logging(SERVICE, settings.log.level)
    for name in unknown_variables(os.environ):
        _log.warning("unknown variable", extra={"variable": name})
    run(settings, stop_on_signals(within_s=STOP_WITHIN_S))


def run(settings: Settings, stop: threading.Event) -> None:
    """Run until `stop` is set."""
    registry = CollectorRegistry()
    metrics = create_metrics(registry, SERVICE, version("driftsonde"))
    live, ready = Conditions(), Conditions()
    kafka_log = logging.getLogger("librdkafka")
    store = Store(settings.clickhouse)
    producer = Producer(producer_config(settings.kafka), logger=kafka_log)
    archiver = Archiver(
        consumer=Consumer(consumer_config(settings.kafka, GROUP_ID), logger=kafka_log),
        codec=Codec(
            (*EVENT_TYPES, *CONTROL_TYPES, MODEL_RECORD),
            ConfluentRegistry(settings.registry.url) if settings.registry.url else None,
        ),
        store=store,
        writer=Writer(store, DeadLetters(producer, SERVICE), metrics),
        metrics=metrics,
        ready=ready,
        settings=settings.archiver,
    )
    meter = LagMeter(AdminClient(settings.kafka.librdkafka()), metrics)
    watch = threading.Thread(
        target=meter.measure_until, args=(stop, archiver.acknowledged), name="lag", daemon=True
    )
    with HealthServer(settings.http, registry, live, ready) as server:
        ready.when_clear(lambda: announce_ready(SERVICE, server.port))
        watch.start()
        try:
            archiver.run(stop)
        except KafkaException as error:
            _log.critical("the Kafka client can't go on", extra={"problem": fatal_problem(error)})
            sys.exit(1)
        finally:
            store.close()


if __name__ == "__main__":
    main()
