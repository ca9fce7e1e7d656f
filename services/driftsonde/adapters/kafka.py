"""Kafka through confluent-kafka: how clients are configured, topics made, compacted topics followed."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from driftsonde.adapters import topics as topic_list
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import Topic

RAW_TOPICS = frozenset({topic_list.PREDICTIONS, topic_list.LABELS, topic_list.FEATURES})
MAX_DEAD_LETTER_BYTES = 2_097_152  # a message at Kafka's default limit fits, headers added

_RETRY_S = 0.1
_EMBEDDED_CLUSTER_PREFIX = "mockCluster"  # what librdkafka's cluster calls itself


# Errors that pass: of the connection, and while a partition's leader or a group's coordinator moves.
_PASSING = frozenset(
    (
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._NOENT,  # "Failed to query partition leaders: No leaders found"
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    )
)


class BrokerUnavailable(TimeoutError):
    """The brokers did not answer in time, or not with what only they know. Ask again later."""


class MissingTopic(LookupError):
    """A topic that a service needs is not there."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic!r} does not exist; `driftsonde topics create` makes it")


def producer_config(settings: KafkaSettings) -> dict[str, Any]:
    """A producer that loses and repeats nothing while it lives, and keys as the Java client does."""
    return settings.librdkafka() | {
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 5,
        "compression.type": "lz4",
        "message.max.bytes": MAX_DEAD_LETTER_BYTES,
    }


def consumer_config(settings: KafkaSettings, group_id: str) -> dict[str, Any]:
    """A consumer that commits only what it is told to, and keeps its partitions through a rebalance."""
    named = {"group.instance.id": settings.group_instance_id} if settings.group_instance_id else {}
    return settings.librdkafka() | {
        "group.id": group_id,
        **named,
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        # A killed member is missed after this long. The shortest that brokers allow; a thread of the client's keeps it up.
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 1_000,
        "max.poll.interval.ms": 300_000,
        "fetch.message.max.bytes": MAX_DEAD_LETTER_BYTES,
        # Of all partitions together, for consumers that are polled; passed by what one fetch brings.
        "queued.max.messages.kbytes": 16_384,
        "fetch.max.bytes": 16_777_216,
        "topic.metadata.refresh.interval.ms": 10_000,  # new topics and partitions are noticed
    }


def is_fatal(error: KafkaError) -> bool:
    """Whether the client can't go on. Among messages, the client says so by the code alone."""
    return error.fatal() or error.code() == KafkaError._FATAL


def fatal_problem(error: KafkaException) -> str:
    """What keeps a client from going on, as a sentence."""
    text = str(error)
    if "fenced" in text.lower():
        return f"another process has this instance's name (DRIFTSONDE_KAFKA_GROUP_INSTANCE_ID): {text}"
    return text


class TopicState(StrEnum):
    CREATED = "created"
    EXISTS = "exists"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class TopicReport:
    """`differences` has one text for each configuration that is not as wanted."""

    topic: str
    state: TopicState
    differences: tuple[str, ...] = ()


def topic_config(topic: Topic) -> dict[str, str]:
    """The broker's configuration of a topic.

    Raw topics get LogAppendTime: a replayed history has old event times, and by those retention would delete it.
    """
    config = {"cleanup.policy": "compact" if topic.compacted else "delete"}
    if not topic.compacted:
        config["retention.ms"] = str(topic.retention_ms)
    if topic in RAW_TOPICS:
        config["message.timestamp.type"] = "LogAppendTime"
    if topic == topic_list.DEAD_LETTERS:
        config["max.message.bytes"] = str(MAX_DEAD_LETTER_BYTES)
    return config


def ensure_topics(
    settings: KafkaSettings,
    topics: Iterable[Topic] = topic_list.TOPICS,
    *,
    partitions: int = 4,
    replication: int = 1,
    timeout_s: float = 30.0,
) -> tuple[TopicReport, ...]:
    """Make the topics that are missing and say how the others differ; nothing that exists is changed.

    The embedded broker refuses to make topics: there, asking for a topic's metadata brings it into being, with 4
    partitions and no configuration to compare. Raises `KafkaException` where the broker can't be reached, and
    `BrokerUnavailable` where a topic was made and can't be used in time.
    """
    wanted = tuple(topics)
    admin = AdminClient(settings.librdkafka() | {"allow.auto.create.topics": True})
    cluster = admin.list_topics(timeout=timeout_s)
    missing = [topic for topic in wanted if topic.name not in cluster.topics]
    if (cluster.cluster_id or "").startswith(_EMBEDDED_CLUSTER_PREFIX):
        for topic in missing:
            admin.list_topics(topic.name, timeout=timeout_s)
        return tuple(_report(topic, topic in missing, []) for topic in wanted)
    created = _create(admin, missing, partitions, replication, timeout_s)
    counts = _partition_counts(admin, [topic.name for topic in wanted], timeout_s)
    existing = [topic for topic in wanted if topic.name not in created]
    differences = _differences(admin, existing, timeout_s)
    for topic in existing:
        count = counts[topic.name]
        if count != partitions:
            differences.setdefault(topic.name, []).insert(0, f"partitions: {count}, wanted {partitions}")
    return tuple(_report(topic, topic.name in created, differences.get(topic.name, [])) for topic in wanted)


def _report(topic: Topic, created: bool, differences: list[str]) -> TopicReport:
    if created:
        return TopicReport(topic.name, TopicState.CREATED)
    state = TopicState.DIFFERS if differences else TopicState.EXISTS
    return TopicReport(topic.name, state, tuple(differences))


def _create(
    admin: AdminClient, missing: list[Topic], partitions: int, replication: int, timeout_s: float
) -> set[str]:
    """Make topics; returns the names of those that were made here."""
    if not missing:
        return set()
    new = [NewTopic(topic.name, partitions, replication, config=topic_config(topic)) for topic in missing]
    made: set[str] = set()
    for name, future in admin.create_topics(
        new, request_timeout=timeout_s, operation_timeout=timeout_s
    ).items():
        try:
            future.result()
            made.add(name)
        except KafkaException as error:
            # Someone else was quicker, or it was not in the list yet.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return made


def _partition_counts(admin: AdminClient, names: list[str], timeout_s: float) -> dict[str, int]:
    """How many partitions each topic has, once all of them have a leader: a broker lists what was made a little later."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        listed = admin.list_topics(timeout=timeout_s).topics
        led = {
            name: len(listed[name].partitions)
            for name in names
            if name in listed
            and listed[name].error is None
            and all(partition.leader >= 0 for partition in listed[name].partitions.values())
        }
        if len(led) == len(names):
            return led
        if time.monotonic() > deadline_s:
            raise BrokerUnavailable(f"no leader yet of topics {', '.join(sorted(set(names) - led.keys()))}")
        time.sleep(0.05)


def _differences(admin: AdminClient, existing: list[Topic], timeout_s: float) -> dict[str, list[str]]:
    resources = {ConfigResource(ResourceType.TOPIC, topic.name): topic for topic in existing}
    found: dict[str, list[str]] = {}
    if not resources:
        return found
    for resource, future in admin.describe_configs(list(resources), request_timeout=timeout_s).items():
        actual = future.result()
        for name, value in topic_config(resources[resource]).items():
            present = actual[name].value if name in actual else None
            if present != value:
                found.setdefault(resource.name, []).append(f"{name}: {present}, wanted {value}")
    return found


@dataclass(slots=True)
class _Position:
    next_offset: int = 0
    end_offset: int = 0


@dataclass(slots=True)
class CompactedReader:
    """Follows a compacted topic over all its partitions, outside any consumer group.

    `state` holds the latest value of each key that can be used: `check` says of a key and its value why it can't, or "".
    `problems` has what `check` said of the keys whose newest value can't be used. `times_ms` has when the values in `state`
    were sent, or stored where the topic says so. Not for use from two threads at once.
    """

    settings: KafkaSettings
    topic: Topic
    check: Callable[[bytes, bytes], str] = lambda key, value: ""
    problems: dict[bytes, str] = field(default_factory=dict)
    state: dict[bytes, bytes] = field(default_factory=dict)
    times_ms: dict[bytes, int] = field(default_factory=dict)
    _consumer: Consumer = field(init=False)
    _admin: AdminClient = field(init=False)
    _positions: dict[int, _Position] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A connection of its own: behind the consumer's, a question waits for the fetch that is under way.
        self._admin = AdminClient(self.settings.librdkafka())
        self._consumer = Consumer(
            self.settings.librdkafka()
            | {
                "group.id": f"driftsonde-reader-{self.topic.name}",  # the client wants one; it is never joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "auto.offset.reset": "earliest",
            }
        )

    def refresh(self, timeout_s: float = 10.0) -> Mapping[bytes, bytes | None]:
        """Read up to the present ends of all partitions; return what changed: the new value, or None for a deletion.

        Raises `MissingTopic`, `KafkaException`, or `BrokerUnavailable` if the ends were not reached in time; what was
        read until then is in `state`, and the next refresh goes on from there. After what `check` raises, it begins anew.
        """
        deadline_s = time.monotonic() + timeout_s
        self._look(deadline_s)
        before = dict(self.state)
        touched: set[bytes] = set()
        while any(position.next_offset < position.end_offset for position in self._positions.values()):
            if time.monotonic() > deadline_s:
                raise BrokerUnavailable(
                    f"topic {self.topic.name!r} could not be read to its end in {timeout_s:g} s"
                )
            try:
                for message in self._consumer.consume(1_000, timeout=0.1):
                    touched.update(self._take(message))
            except Exception:
                self._positions.clear()  # of what was fetched, the rest is lost
                raise
        return {key: self.state.get(key) for key in touched if self.state.get(key) != before.get(key)}

    def close(self) -> None:
        self._consumer.close()

    def _look(self, deadline_s: float) -> None:
        """Find the partitions and their ends; as often as it takes, since a question to a former leader is in vain
        until the client has learnt who leads now."""
        while True:
            left_s = max(0.1, deadline_s - time.monotonic())
            try:
                self._discover(left_s)
                self._find_ends(left_s)
                return
            except KafkaException as error:
                if error.args[0].code() not in _PASSING:
                    raise
                if time.monotonic() > deadline_s:
                    raise BrokerUnavailable(f"topic {self.topic.name!r}: {error.args[0].str()}") from error
                time.sleep(_RETRY_S)

    def _discover(self, timeout_s: float) -> None:
        # All topics, since a question about this one would bring it into being where the broker allows that.
        metadata = self._admin.list_topics(timeout=timeout_s).topics.get(self.topic.name)
        if metadata is None:
            raise MissingTopic(self.topic.name)
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        new = metadata.partitions.keys() - self._positions.keys()
        if new:
            self._positions.update((partition, _Position()) for partition in sorted(new))
            self._consumer.assign(
                [
                    TopicPartition(self.topic.name, partition, position.next_offset or OFFSET_BEGINNING)
                    for partition, position in self._positions.items()
                ]
            )

    def _find_ends(self, timeout_s: float) -> None:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(self.topic.name, partition): latest for partition in self._positions}
        for end, future in self._admin.list_offsets(wanted, request_timeout=timeout_s).items():
            self._positions[end.partition].end_offset = future.result().offset

    def _take(self, message: Message) -> Iterable[bytes]:
        error = message.error()
        partition, offset = message.partition(), message.offset()
        if error is not None and error.code() in _PASSING:
            return ()  # the client goes on by itself
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        assert partition is not None and offset is not None
        position = self._positions[partition]
        if error is not None:
            # The end as the broker sees it: the last offsets may hold nothing to read.
            position.next_offset = max(position.next_offset, offset)
            return ()
        position.next_offset = offset + 1
        key, value = _as_bytes(message.key()), _as_bytes(message.value())
        if key is None:
            return ()
        problem = "" if value is None else self.check(key, value)
        if problem:
            self.problems[key] = problem
            return ()
        self.problems.pop(key, None)
        if value is None:
            self.state.pop(key, None)
            self.times_ms.pop(key, None)
        else:
            self.state[key] = value
            _, self.times_ms[key] = message.timestamp()
        return (key,)


def _as_bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
