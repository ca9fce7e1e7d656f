"""`driftsonde tail`"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from rich.console import Console
from rich.text import Text

from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.durations import parse_duration_ms
from driftsonde.adapters.kafka import MissingTopic
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import SIGNALS
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.commands.errors import (
    BadInput,
    end_on_sigterm,
    reach,
    settings_of_environment,
    world_failures,
)
from driftsonde.console.saying import KIND_WORDS, signal_text
from driftsonde.core.control.canonical import to_object
from driftsonde.core.signals import Signal, SignalKind

_STYLE = {
    SignalKind.ALERT: "yellow",
    SignalKind.RETRAIN: "bold yellow",
    SignalKind.ROLLBACK: "bold red",
    SignalKind.RESOLVE: "green",
    SignalKind.PROMOTE: "green",
}
_TIMEOUT_S = 10.0


@click.command()
@click.argument("model", default="")
@click.option(
    "--since", default="", help="Begin with the signals of the last so long, as in 2h; default: new ones."
)
@click.option("--once", is_flag=True, help="Stop at the end of what is there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for a program.")
def tail(model: str, since: str, once: bool, as_json: bool) -> None:
    """Show what the judge finds as it comes, of all models or of MODEL, until Ctrl-C. Reads DRIFTSONDE_KAFKA_*."""
    try:
        since_ms = int(time.time() * 1000) - parse_duration_ms(since) if since else None
    except ValueError as error:
        raise BadInput(f"--since: {error}") from None
    end_on_sigterm()
    console = Console(soft_wrap=True)
    kafka = settings_of_environment().kafka
    reach(kafka)
    with world_failures():
        for signal in _signals(kafka, since_ms, once):
            if model in ("", signal.model):
                if as_json:
                    click.echo(json.dumps(to_object(signal)))
                else:
                    console.print(_line(signal))


def _line(signal: Signal) -> Text:
    end = datetime.fromtimestamp(signal.window_end_ms / 1000, UTC)
    head = Text(f"{end:%Y-%m-%d %H:%M:%S}Z  ")
    kind = Text(f"{KIND_WORDS[signal.kind]:<9}", style=_STYLE[signal.kind])
    return (
        head
        + kind
        + Text(f"  {signal.model} version {signal.version} ({signal.variant}): {signal_text(signal)}")
    )


def _signals(kafka: KafkaSettings, since_ms: int | None, once: bool) -> Iterator[Signal]:
    """What is there already in the order of its windows, whichever partitions it comes from, then the rest as it comes. What can't
    be decoded is left out: the archiver has it among the dead letters."""
    codec = Codec(CONTROL_TYPES)
    consumer = Consumer(
        kafka.librdkafka()
        | {
            "group.id": "driftsonde-tail",  # the client wants one; it is never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        open_partitions = _assign(consumer, from_end=since_ms is None)
        backlog = list[Signal]()
        while open_partitions or not once:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                open_partitions.discard(message.partition())
                if not open_partitions:
                    yield from sorted(backlog, key=lambda signal: signal.window_end_ms)
                    backlog.clear()
                continue
            # Signals are few: reading them all costs less than asking where a time begins, which not all brokers know.
            if since_ms is not None and message.timestamp()[1] < since_ms:
                continue
            try:
                event = codec.decode(bytes(message.value() or b""))
            except Undecodable:
                continue
            if not isinstance(event, Signal):
                continue
            if open_partitions:
                backlog.append(event)
            else:
                yield event
    finally:
        consumer.close()


def _assign(consumer: Consumer, from_end: bool) -> set[int | None]:
    """Begin at the ends, or at the beginning; returns the partitions."""
    topic = consumer.list_topics(timeout=_TIMEOUT_S).topics.get(SIGNALS.name)
    if topic is None:
        raise MissingTopic(SIGNALS.name)
    start = OFFSET_END if from_end else OFFSET_BEGINNING
    consumer.assign([TopicPartition(SIGNALS.name, number, start) for number in topic.partitions])
    return set(topic.partitions)
