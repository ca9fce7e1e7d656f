"""Faust, as we use it: raw bytes in, no tables, and positions that are ours.

Faust acknowledges the messages of an old generation that it skips after a rebalance, so the offsets that it commits can
be ahead of what was folded. We therefore keep positions with the results, in the store: `PositionedConsumer` starts each
partition where the service says. The committed offsets are for lag displays only.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from driftsonde.adapters.inbox import Inbox, Incoming
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import Topic

Assignment = frozenset[tuple[str, int]]
Positions = Mapping[tuple[str, int], int]

# Told the partitions this worker now has; answers where to start each of them.
StartPositions = Callable[[Assignment], Awaitable[Positions]]

_log = logging.getLogger(__name__)


class PositionedConsumer(driver.Consumer):
    """Faust's consumer, but for where it starts after each rebalance."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust once a rebalance is over: seek to the service's positions instead."""
        app = cast("DriftsondeApp", self.app)
        assigned = {tp for tp in self.assignment() if not tp.topic.startswith("__")}
        wanted = await app.start_positions(frozenset((tp.topic, tp.partition) for tp in assigned))
        beginnings = await self.earliest_offsets(*assigned)
        starts: dict[TP, int] = {}
        for tp in sorted(assigned):
            first = beginnings.get(tp) or 0
            start = max(first, wanted.get((tp.topic, tp.partition), 0))
            await self._seek(tp, start)
            starts[tp] = start
        _log.info(
            "partitions assigned",
            extra={"positions": {f"{t.topic}/{t.partition}": o for t, o in starts.items()}},
        )
        return starts


class Transport(driver.Transport):
    Consumer = PositionedConsumer


class DriftsondeApp(faust.App):
    """A Faust app whose service decides where partitions start."""

    start_positions: StartPositions

    def _new_transport(self) -> driver.Transport:
        return Transport(self.conf.broker_consumer, self)


def create_app(name: str, kafka: KafkaSettings, data: Path, start_positions: StartPositions) -> DriftsondeApp:
    """An app of the consumer group `name`. `data` is a folder that Faust may write to; we store nothing there."""
    app = DriftsondeApp(
        name,
        broker=kafka.faust_brokers(),
        broker_credentials=_credentials(kafka),
        datadir=data,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        # A worker that was killed is missed after this long; its partitions stand still until then.
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=1.0,
        stream_buffer_maxsize=1024,
        # What is not acknowledged is read again after the restart; waiting for it would never end.
        stream_wait_empty=False,
        store="memory://",
    )
    app.start_positions = start_positions
    return app


def feed(app: DriftsondeApp, topics: Iterable[Topic], inbox: Inbox) -> None:
    """One agent for each topic that only passes raw messages on: an exception in an agent would lose its message."""
    for topic in topics:
        channel = app.topic(
            topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )

        async def pass_on(stream: Any) -> None:
            async for event in stream.noack().events():
                message = event.message
                await inbox.put(
                    Incoming(
                        message.topic,
                        message.partition,
                        message.offset,
                        message.key,
                        message.value,
                        tuple((message.headers or {}).items()),
                        round(message.timestamp * 1000),
                        event.ack,
                    )
                )

        app.agent(channel, name=f"driftsonde.{topic.name}")(pass_on)


def _credentials(kafka: KafkaSettings) -> Any:
    if kafka.uses_sasl:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password,
            mechanism=kafka.sasl_mechanism,
            ssl_context=kafka.ssl_context(),
        )
    return faust.SSLCredentials(context=kafka.ssl_context()) if kafka.uses_ssl else None


def run_worker(app: DriftsondeApp) -> None:
    """Run until SIGTERM or SIGINT; returns once the app has stopped. Logging stays as it is configured."""
    for chatty in ("faust", "mode", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, loglevel=None, quiet=True)
    worker.execute_from_commandline()
