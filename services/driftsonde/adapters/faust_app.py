"""Faust, as we use it: raw bytes in, no tables, and positions that are ours.

Faust acknowledges the messages of an old generation that it skips after a rebalance, so the offsets that it commits can
be ahead of what was folded. We therefore keep positions with the results, in the store: `PositionedConsumer` starts each
partition where the service says. The committed offsets are for lag displays only.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from driftsonde.adapters.inbox import Acknowledged, Inbox, Incoming
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import Topic

Assignment = frozenset[tuple[str, int]]
Positions = Mapping[tuple[str, int], int]

# Told the partitions this worker now has; answers where to start each of them.
StartPositions = Callable[[Assignment], Awaitable[Positions]]

_RETRY_S = 0.5
_FAUSTS_FETCH_WAIT_MS = 1_500
_FETCH_WAIT_MS = 100

# What one fetch brings of a partition, and of all: one is under way at a time, and small ones mean waiting for the broker.
_PARTITION_FETCH_BYTES = 4 * 1024 * 1024
_FETCH_BYTES = 16 * 1024 * 1024

_log = logging.getLogger(__name__)


class PromptConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, but for what Faust has no settings for: how long a fetch waits at the broker (Faust says
    1.5 s, for everybody), and how much it brings.

    aiokafka has one fetch under way to a broker. While all partitions with messages have some buffered, that fetch asks
    for the empty ones alone, and until it is answered nothing else is fetched from that broker.
    """

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        assert consumer._fetch_max_wait_ms == _FAUSTS_FETCH_WAIT_MS, "aiokafka has other names now"
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        consumer._fetch_max_bytes = _FETCH_BYTES
        return consumer


class PositionedConsumer(driver.Consumer):
    """Faust's consumer, but for where it starts after each rebalance.

    Faust seeks from another task than the one that fetches, more than once a rebalance, and goes on to deliver what was
    fetched before. Here the task that fetches seeks, between two fetches, and the inbox takes from each partition what
    comes next: so nothing is skipped, whatever is still on its way.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seek_is_due = False
        self._fetched: dict[TP, int] = {}
        self._acknowledged: dict[TP, Acknowledged] = {}

    def _new_consumer_thread(self) -> PromptConsumerThread:
        return PromptConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def subscribe(self, topics: Iterable[str]) -> None:
        _log.info("joining the group")
        await super().subscribe(topics)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._seek_is_due = True
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        _log.info("partitions of the group", extra={"count": len(assigned)})
        self._seek_is_due = True
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust during and after a rebalance: seek before the next fetch, to the service's positions."""
        self._seek_is_due = True
        return {}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109  # Faust's name
        """Called by Faust again and again, by one task. What is fetched goes to the inbox, a fetch at a time; to Faust,
        which would pass each message through a stream of its own (100 µs), nothing is left."""
        app = cast("DriftsondeApp", self.app)
        if app.inbox.rewind_is_due:
            self._seek_is_due = True
        while self._seek_is_due and self.flow_active:
            await self._seek_to_positions()
        generation = app.consumer_generation_id
        records, _ = await self._wait_next_records(timeout)
        if records and not self.should_stop:
            if self.flow_active and app.consumer_generation_id == generation:
                await self._deliver(records)
            else:
                self._seek_is_due = True
        return
        yield  # a generator, as Faust's

    async def _deliver(self, records: Mapping[TP, Sequence[Any]]) -> None:
        """Put what was fetched into the inbox, as there is room; what is left at a rebalance is fetched again."""
        inbox = cast("DriftsondeApp", self.app).inbox
        for tp, fetched in records.items():
            if inbox.fill_ratio >= 1:
                await self.wait_first(inbox.wait_for_room(), self.suspend_flow.wait())
            if self._seek_is_due or not self.flow_active:
                self._seek_is_due = True
                return
            inbox.put(self._incoming(tp, fetched))

    def _incoming(self, tp: TP, fetched: Sequence[Any]) -> list[Incoming]:
        acknowledged = self._acknowledged.setdefault(tp, Acknowledged(fetched[0].offset))
        follows = self._fetched.get(tp, fetched[0].offset)
        messages: list[Incoming] = []
        for record in fetched:
            end = record.offset + 1
            messages.append(
                Incoming(
                    tp.topic,
                    tp.partition,
                    record.offset,
                    follows,
                    record.key,
                    record.value,
                    record.headers,
                    record.timestamp,
                    partial(acknowledged.note, follows, end),
                )
            )
            follows = end
        self._fetched[tp] = follows
        return messages

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Called by Faust every second, and before it leaves: commit what was acknowledged since."""
        offsets = {
            tp: acknowledged.end
            for tp, acknowledged in self._acknowledged.items()
            if acknowledged.take_news()
        }
        return bool(offsets) and await self._commit_offsets(offsets, start_new_transaction)

    async def _seek_to_positions(self) -> None:
        app = cast("DriftsondeApp", self.app)
        self._seek_is_due = False
        self._fetched.clear()
        self._acknowledged.clear()
        app.inbox.expect({})
        try:
            assigned = {tp for tp in self.assignment() if not tp.topic.startswith("__")}
            wanted = await app.start_positions(frozenset((tp.topic, tp.partition) for tp in assigned))
            beginnings = await self.earliest_offsets(*assigned) if assigned else {}
            if self._seek_is_due:
                return  # another rebalance, meanwhile
            for tp in sorted(assigned):
                start = max(beginnings.get(tp) or 0, wanted.get((tp.topic, tp.partition), 0))
                await self._seek(tp, start)
                self._fetched[tp] = start
                self._acknowledged[tp] = Acknowledged(start)
        except KafkaError as error:
            _log.warning("positions not found yet", extra={"problem": repr(error)})
            self._seek_is_due = True
            await asyncio.sleep(_RETRY_S)
            return
        positions = {(tp.topic, tp.partition): start for tp, start in self._fetched.items()}
        app.inbox.expect(positions)
        _log.info(
            "partitions assigned",
            extra={"positions": {f"{topic}/{number}": start for (topic, number), start in positions.items()}},
        )


class Transport(driver.Transport):
    Consumer = PositionedConsumer


class DriftsondeApp(faust.App):
    """A Faust app whose service decides where partitions start."""

    start_positions: StartPositions
    inbox: Inbox

    def _new_transport(self) -> driver.Transport:
        return Transport(self.conf.broker_consumer, self)


def create_app(
    name: str, kafka: KafkaSettings, data: Path, inbox: Inbox, start_positions: StartPositions
) -> DriftsondeApp:
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
        consumer_group_instance_id=kafka.group_instance_id or None,
        # A worker that was killed is missed after this long; its partitions stand still until then.
        broker_session_timeout=10.0,
        # With a heartbeat the others hear of a rebalance, which waits for the last of them.
        broker_heartbeat_interval=1.0,
        broker_commit_interval=1.0,
        # The broker checked the sum when it took the batch, and TCP checks the way; librdkafka does without, too.
        broker_check_crcs=False,
        consumer_max_fetch_size=_PARTITION_FETCH_BYTES,
        # What is not acknowledged is read again after the restart; waiting for it would never end.
        stream_wait_empty=False,
        store="memory://",
    )
    app.start_positions = start_positions
    app.inbox = inbox
    return app


def subscribe(app: DriftsondeApp, topics: Iterable[Topic]) -> None:
    """Have Faust read these topics. It subscribes to what its agents read; ours never get anything."""
    for topic in topics:
        channel = app.topic(
            topic.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            acks=False,
        )

        async def idle(stream: Any) -> None:
            async for _ in stream:
                pass

        app.agent(channel, name=f"driftsonde.{topic.name}")(idle)


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
    worker.spinner = None  # it writes to standard output, and would mangle the ready line
    worker.execute_from_commandline()
