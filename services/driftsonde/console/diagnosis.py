"""What may keep the services from working, found by asking the servers that they need; and how to mend each."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AdminClient,
    ClusterMetadata,
    OffsetSpec,
)

from driftsonde.adapters.clickhouse import Store, StoreRejected, StoreUnavailable
from driftsonde.adapters.clickhouse_migrations import pending_migrations
from driftsonde.adapters.kafka_access import missing_grants
from driftsonde.adapters.positions import read_positions
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS, TOPICS

SERVICES = ("sketcher", "judge", "archiver")
# A clock that is off by more is told: rows from further in the future than the tolerance are quarantined.
SKEW_S = 5.0
# Messages that a service may be behind without a word.
LAG = 1_000
_DEAD_LETTERS_WITHIN = timedelta(hours=1)
_TIMEOUT_S = 5.0


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` says what to do; "" where nothing is wrong."""

    check: str
    verdict: Verdict
    what: str
    remedy: str = ""


def diagnose(
    kafka: KafkaSettings, store: Store, migrations: Path, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """One finding after another, each as soon as it is known; a server that does not answer is asked nothing more.
    Raises nothing that a server can cause."""
    admin = AdminClient(kafka.librdkafka() | {"log_level": 0})
    ends: dict[tuple[str, int], int] | None = None
    try:
        cluster = admin.list_topics(timeout=_TIMEOUT_S)
        brokers = len(cluster.brokers)
        yield Finding("broker", Verdict.OK, f"{brokers} answering at {kafka.bootstrap_servers}")
        if kafka.security_protocol != "PLAINTEXT":
            yield _permissions(admin, kafka.sasl_username)
        yield _topics(cluster)
        yield _copartitioned(cluster)
        ends = _ends(admin, cluster)
    except KafkaException as error:
        yield _failed(
            "broker",
            f"{kafka.bootstrap_servers}: {error.args[0].str()}",
            "is DRIFTSONDE_KAFKA_* right, is it up?",
        )
    try:
        yield _clock(store, now)
        yield _schema(store, migrations)
        yield from _lags(store, ends or {})
        yield _dead_letters(store, now())
    except StoreUnavailable as error:
        yield _failed("store", _short(error), "is DRIFTSONDE_CLICKHOUSE_* right, is it up?")
    except StoreRejected as error:
        yield _failed(
            "store", _short(error), "check the user, its grants, and the database; `driftsonde migrate`"
        )


def _failed(check: str, what: str, remedy: str) -> Finding:
    return Finding(check, Verdict.FAILED, what, remedy)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _permissions(admin: AdminClient, user: str) -> Finding:
    readers = [f"reader-{topic.name}" for topic in TOPICS if topic.compacted]
    groups = [f"driftsonde-{member}" for member in (*SERVICES, "controller", *readers)]
    missing = missing_grants(admin, [topic.name for topic in TOPICS], groups, _TIMEOUT_S)
    if missing:
        principal = f"User:{user}" if user else "User:ANONYMOUS"
        return _failed(
            "permissions",
            "; ".join(missing),
            f"`kafka-acls.sh --add --allow-principal {principal}` and each of these",
        )
    return Finding("permissions", Verdict.OK, "the brokers let this user read and write")


def _topics(cluster: ClusterMetadata) -> Finding:
    missing = [topic.name for topic in TOPICS if topic.name not in cluster.topics]
    if missing:
        return _failed("topics", f"missing: {', '.join(missing)}", "`driftsonde topics create` makes them")
    refused = [topic.name for topic in TOPICS if cluster.topics[topic.name].error is not None]
    if refused:
        return _failed("topics", f"can't be used: {', '.join(refused)}", "grant this user access to them")
    leaderless = [
        topic.name
        for topic in TOPICS
        if any(partition.leader < 0 for partition in cluster.topics[topic.name].partitions.values())
    ]
    if leaderless:
        return _failed("topics", f"without a leader: {', '.join(leaderless)}", "is a broker down?")
    return Finding("topics", Verdict.OK, f"all {len(TOPICS)} are there")


def _copartitioned(cluster: ClusterMetadata) -> Finding:
    """Labels find their predictions in the partition of the same number."""
    counts = {
        topic.name: len(cluster.topics[topic.name].partitions)
        for topic in (PREDICTIONS, LABELS)
        if topic.name in cluster.topics
    }
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    if len(set(counts.values())) > 1:
        return _failed("partitions", said, "predictions and labels need the same number of partitions")
    return Finding("partitions", Verdict.OK, said or "unknown")


def _ends(admin: AdminClient, cluster: ClusterMetadata) -> dict[tuple[str, int], int]:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {
        TopicPartition(topic.name, partition): latest
        for topic in TOPICS
        if topic.name in cluster.topics
        for partition in cluster.topics[topic.name].partitions
    }
    if not wanted:
        return {}
    answers = admin.list_offsets(wanted, request_timeout=_TIMEOUT_S)
    return {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}


def _clock(store: Store, now: Callable[[], datetime]) -> Finding:
    asked_s, before = time.monotonic(), now()
    ((theirs,),) = store.query_rows("SELECT now64(3, 'UTC')")
    took_s = time.monotonic() - asked_s
    skew_s = (theirs - before).total_seconds() - took_s / 2
    what = f"answers in {took_s * 1000:.0f} ms, its clock is {abs(skew_s):.1f} s {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) > SKEW_S + took_s:
        return Finding("store", Verdict.WARNING, what, "set the clocks of both machines (NTP)")
    return Finding("store", Verdict.OK, what)


def _schema(store: Store, migrations: Path) -> Finding:
    pending = pending_migrations(store, migrations)
    if pending:
        return _failed("schema", f"not applied: {', '.join(pending)}", "`driftsonde migrate` applies them")
    return Finding("schema", Verdict.OK, "up to date")


def _lags(store: Store, ends: Mapping[tuple[str, int], int]) -> Iterator[Finding]:
    """How far each service is behind, by the positions that it has stored."""
    for service in SERVICES:
        known = read_positions(store, service)
        if not known:
            yield Finding(
                service,
                Verdict.WARNING,
                "has stored no position yet",
                "start it, or wait for the first messages",
            )
            continue
        behind = {place: ends[place] - entry.position for place, entry in known.items() if place in ends}
        total = sum(max(0, count) for count in behind.values())
        if any(count < 0 for count in behind.values()):
            yield _failed(
                service,
                "is ahead of the log: topics were made anew",
                "use a fresh database with fresh topics (DRIFTSONDE_CLICKHOUSE_DATABASE)",
            )
        elif total > LAG:
            yield Finding(
                service, Verdict.WARNING, f"{total} messages behind", "is it running? if so, add a worker"
            )
        else:
            yield Finding(service, Verdict.OK, f"{total} messages behind")


def _dead_letters(store: Store, now: datetime) -> Finding:
    since = now.astimezone(UTC) - _DEAD_LETTERS_WITHIN
    rows = store.query_rows(
        "SELECT reason, count() FROM dead_letters FINAL WHERE timestamp >= {since:DateTime64(3, 'UTC')} "
        "GROUP BY reason ORDER BY count() DESC, reason",
        {"since": since},
    )
    if not rows:
        return Finding("dead letters", Verdict.OK, "none in the last hour")
    said = ", ".join(f"{count} for {reason}" for reason, count in rows[:3])
    return Finding(
        "dead letters",
        Verdict.WARNING,
        f"{said} in the last hour",
        "see table dead_letters for messages and producers",
    )
