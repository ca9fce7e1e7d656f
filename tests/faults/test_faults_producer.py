"""Producers on Apache Kafka, through everything that happens to brokers: each accepted row arrives once, in order."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import confluent_kafka
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AdminClient,
    NewPartitions,
)

from driftsonde.adapters.kafka import ensure_topics
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.client import Monitor, WhenFull, delivery
from faults.fatal import break_for_good
from faults.producing import PARTITIONS, Caller, add_up, arrived, by_partition, log_rows, wait_for
from kafka.jars import missing
from kafka.launcher import KafkaCluster, kafka_cluster
from required import need

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

QUIET = {"log_level": 0}
RECOVERY_S = 60.0

Record = Callable[[str, object], None]


def settings_of(cluster: KafkaCluster) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=cluster.bootstrap_servers)


def named(model: str) -> Iterator[str]:
    return (f"{model}-{number:06d}" for number in count())


@pytest.fixture(scope="module")
def one_node() -> Iterator[KafkaCluster]:
    """A node that the tests of this module stop and start; each leaves it serving."""
    need(missing())
    with kafka_cluster(nodes=1, partitions=PARTITIONS) as cluster:
        ensure_topics(settings_of(cluster), (PREDICTIONS, LABELS), partitions=PARTITIONS)
        yield cluster


def monitor_of(
    cluster: KafkaCluster, model: str, buffer_rows: int = 100_000, when_full: WhenFull = WhenFull.DROP_NEWEST
) -> Monitor:
    return Monitor(
        cluster.bootstrap_servers,
        model,
        "1",
        task="binary",
        batch_rows=20,
        linger_ms=50,
        buffer_rows=buffer_rows,
        when_full=when_full,
        block_ms=RECOVERY_S * 1_000,
        kafka_options=QUIET,
        strict=True,
    )


def restart(cluster: KafkaCluster, node: int, outage_s: float, how: str = "stop") -> None:
    getattr(cluster, how)(node)
    time.sleep(outage_s)
    cluster.start(node)
    cluster.wait_until_up()


def flush_s(monitor: Monitor) -> float:
    """Seconds until everything is delivered."""
    began_s = time.monotonic()
    assert monitor.flush(RECOVERY_S), monitor.stats
    return time.monotonic() - began_s


def has_delivered_more(monitor: Monitor, before: int) -> bool:
    return monitor.stats.delivered > before


def through_restarts(
    cluster: KafkaCluster, model: str, trials: int, outage_s: float, how: str, record: Record
) -> None:
    """A steady caller through restarts of every node in turn: what it logged is what arrived."""
    with monitor_of(cluster, model) as monitor:
        with Caller(monitor, named(model), 100_000) as caller:
            for trial in range(trials):
                # Some of it was delivered before, so that the producer has a history to continue.
                before = monitor.stats.delivered
                wait_for(partial(has_delivered_more, monitor, before), RECOVERY_S)
                restart(cluster, 1 + trial % len(cluster.ports), outage_s, how)
        assert caller.failure is None
        record("recovered_s", round(flush_s(monitor), 1))
        stats = monitor.stats
        assert (stats.delivered, stats.dropped, stats.failed) == (len(caller.logged), 0, 0)
    record("trials", trials)
    record("rows", len(caller.logged))
    assert arrived(cluster.bootstrap_servers, model) == by_partition(caller.logged)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_of_the_broker_loses_repeats_and_reorders_nothing(
    one_node: KafkaCluster, how: str, record_property: Record
) -> None:
    through_restarts(one_node, f"restart-{how}", 1, 1.0, how, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_many_restarts_of_the_broker(one_node: KafkaCluster, how: str, record_property: Record) -> None:
    through_restarts(one_node, f"many-{how}", 10, 1.0, how, record_property)


@pytest.mark.slow
def test_an_outage_of_tens_of_seconds_is_held_in_the_buffer(
    one_node: KafkaCluster, record_property: Record
) -> None:
    through_restarts(one_node, "long-outage", 1, 45.0, "stop", record_property)


@pytest.mark.slow
def test_one_of_three_brokers_may_be_lost(record_property: Record) -> None:
    need(missing())
    with kafka_cluster(nodes=3, partitions=PARTITIONS) as cluster:
        ensure_topics(settings_of(cluster), (PREDICTIONS, LABELS), partitions=PARTITIONS, replication=3)
        through_restarts(cluster, "one-of-three", 3, 3.0, "kill", record_property)


def test_the_newest_rows_give_way_to_the_bound_and_the_others_arrive(one_node: KafkaCluster) -> None:
    model, bound = "newest", 400
    with monitor_of(one_node, model, bound, WhenFull.DROP_NEWEST) as monitor:
        names = named(model)
        before = log_rows(monitor, names, 100, bound)
        flush_s(monitor)
        one_node.stop(1)
        during = log_rows(monitor, names, 3 * bound, bound)
        assert (monitor.stats.dropped, monitor.stats.buffered) == (2 * bound, bound)
        one_node.start(1)
        one_node.wait_until_up()
        flush_s(monitor)
        after = log_rows(monitor, names, 100, bound)
        flush_s(monitor)
        assert (monitor.stats.delivered, monitor.stats.failed) == (200 + bound, 0)
    expected = [*before, *during[:bound], *after]
    assert arrived(one_node.bootstrap_servers, model) == by_partition(expected)


def test_the_oldest_rows_give_way_to_the_bound_and_the_others_arrive(one_node: KafkaCluster) -> None:
    model, bound = "oldest", 400
    with monitor_of(one_node, model, bound, WhenFull.DROP_OLDEST) as monitor:
        names = named(model)
        before = log_rows(monitor, names, 100, bound)
        flush_s(monitor)
        one_node.stop(1)
        during = log_rows(monitor, names, 3 * bound, bound)
        stats = monitor.stats
        assert (stats.accepted, stats.evicted, stats.buffered) == (100 + 3 * bound, 2 * bound, bound)
        one_node.start(1)
        one_node.wait_until_up()
        flush_s(monitor)
        assert (monitor.stats.delivered, monitor.stats.failed) == (100 + bound, 0)
    found = arrived(one_node.bootstrap_servers, model)
    # librdkafka keeps what it has, at most about half and then the rows of one batch: a quarter of the bound.
    kept = {identifier for part in found for identifier in part} & set(during)
    assert len(kept) == bound
    assert kept >= set(during[-bound // 4 :])
    expected = [*before, *(identifier for identifier in during if identifier in kept)]
    assert found == by_partition(expected)


def test_a_blocked_caller_goes_on_after_the_outage_and_nothing_is_dropped(one_node: KafkaCluster) -> None:
    model, bound = "block", 400
    with monitor_of(one_node, model, bound, WhenFull.BLOCK) as monitor:
        names = named(model)
        first = log_rows(monitor, names, 100, bound)
        flush_s(monitor)
        one_node.stop(1)
        rest: list[str] = []
        caller = threading.Thread(target=lambda: rest.extend(log_rows(monitor, names, 3 * bound, bound)))
        caller.start()
        wait_for(lambda: monitor.stats.buffered == bound)
        time.sleep(0.5)
        assert (monitor.stats.buffered, monitor.stats.dropped) == (bound, 0)
        one_node.start(1)
        one_node.wait_until_up()
        caller.join(RECOVERY_S)
        flush_s(monitor)
        assert (monitor.stats.delivered, monitor.stats.dropped) == (100 + 3 * bound, 0)
    assert len(rest) == 3 * bound
    assert arrived(one_node.bootstrap_servers, model) == by_partition([*first, *rest])


def test_rows_logged_before_the_broker_is_there_arrive(one_node: KafkaCluster) -> None:
    model = "absent-at-start"
    one_node.stop(1)
    with monitor_of(one_node, model) as monitor:
        logged = log_rows(monitor, named(model), 500, 100_000)
        time.sleep(1.5)
        one_node.start(1)
        one_node.wait_until_up()
        flush_s(monitor)
    assert arrived(one_node.bootstrap_servers, model) == by_partition(logged)


@pytest.mark.slow
def test_a_finite_message_timeout_makes_rows_fail_and_they_are_counted(one_node: KafkaCluster) -> None:
    options = {"message.timeout.ms": 2_000, **QUIET}
    with Monitor(
        one_node.bootstrap_servers, "impatient", "1", task="binary", kafka_options=options
    ) as monitor:
        log_rows(monitor, named("a"), 10, 100_000)
        flush_s(monitor)
        one_node.stop(1)
        log_rows(monitor, named("b"), 10, 100_000)
        wait_for(lambda: monitor.stats.failed == 10)
        add_up(monitor.stats, 100_000)
        one_node.start(1)
        one_node.wait_until_up()
        log_rows(monitor, named("c"), 10, 100_000)
        flush_s(monitor)
        assert (monitor.stats.delivered, monitor.stats.failed) == (20, 10)


def test_a_producer_that_fails_for_good_is_replaced_and_what_it_had_not_sent_is_sent(
    one_node: KafkaCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[confluent_kafka.Producer] = []

    def make(*arguments: object, **options: object) -> confluent_kafka.Producer:
        made.append(confluent_kafka.Producer(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(delivery, "Producer", make)
    model = "fatal"
    with monitor_of(one_node, model) as monitor:
        names = named(model)
        logged = log_rows(monitor, names, 100, 100_000)
        flush_s(monitor)
        one_node.stop(1)
        logged += log_rows(monitor, names, 500, 100_000)
        wait_for(lambda: len(made[0]) > 0)
        time.sleep(0.5)
        break_for_good(made[0])
        logged += log_rows(monitor, names, 500, 100_000)
        wait_for(lambda: len(made) == 2)
        one_node.start(1)
        one_node.wait_until_up()
        flush_s(monitor)
        # With nothing under way, too: the next message meets it.
        break_for_good(made[1])
        logged += log_rows(monitor, names, 100, 100_000)
        flush_s(monitor)
        assert len(made) == 3
        assert (monitor.stats.delivered, monitor.stats.failed) == (len(logged), 0)
    assert "failed for good" in caplog.text
    assert arrived(one_node.bootstrap_servers, model) == by_partition(logged)


END_IN_AN_OUTAGE = """
import sys
from driftsonde.client import Monitor
monitor = Monitor(sys.argv[1], "end", "1", task="binary", kafka_options={"log_level": 0})
monitor.log({"x": 1.0}, 1, ids="delivered")
assert monitor.flush(30)
print("flushed", flush=True)
input()
for number in range(7):
    monitor.log({"x": 1.0}, 1, ids=f"late-{number}")
"""


def test_a_process_that_ends_in_an_outage_says_what_it_lost(one_node: KafkaCluster) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", END_IN_AN_OUTAGE, one_node.bootstrap_servers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "flushed\n"
        one_node.stop(1)
        began_s = time.monotonic()
        _, said = child.communicate("\n", timeout=60)
        took_s = time.monotonic() - began_s
    one_node.start(1)
    one_node.wait_until_up()
    assert child.returncode == 0
    assert took_s < 15
    assert "closed with 7 rows undelivered" in said
    assert [i for part in arrived(one_node.bootstrap_servers, "end") for i in part] == ["delivered"]


def test_topics_may_come_later_and_only_those_in_use_are_needed() -> None:
    need(missing())
    with kafka_cluster() as cluster, monitor_of(cluster, "early") as monitor:
        logged = log_rows(monitor, named("early"), 50, 100_000)
        assert not monitor.flush(2.0)
        ensure_topics(settings_of(cluster), (PREDICTIONS,), partitions=PARTITIONS)
        flush_s(monitor)
        assert arrived(cluster.bootstrap_servers, "early") == by_partition(logged)
        monitor.label(logged, [1] * 50)
        logged += log_rows(monitor, named("more"), 50, 100_000)
        wait_for(lambda: monitor.stats.delivered == 100)
        assert not monitor.flush(0.5)
        ensure_topics(settings_of(cluster), (LABELS,), partitions=PARTITIONS)
        flush_s(monitor)
        assert (monitor.stats.delivered, monitor.stats.failed) == (150, 0)


def test_new_partitions_of_a_topic_are_used() -> None:
    need(missing())
    options = {"topic.metadata.refresh.interval.ms": 500, **QUIET}
    with kafka_cluster() as cluster:
        settings = settings_of(cluster)
        ensure_topics(settings, (PREDICTIONS, LABELS), partitions=4)
        with Monitor(
            cluster.bootstrap_servers, "growing", "1", task="binary", strict=True, kafka_options=options
        ) as monitor:
            log_rows(monitor, named("few"), 200, 100_000)
            flush_s(monitor)
            admin = AdminClient(settings.librdkafka())
            grown = admin.create_partitions([NewPartitions(PREDICTIONS.name, PARTITIONS)])
            grown[PREDICTIONS.name].result()
            time.sleep(1.5)
            many = log_rows(monitor, named("many"), 200, 100_000)
            flush_s(monitor)
            assert (monitor.stats.delivered, monitor.stats.failed) == (400, 0)
        found = arrived(cluster.bootstrap_servers, "growing")
        assert [[i for i in part if i.startswith("many")] for part in found] == by_partition(many)
