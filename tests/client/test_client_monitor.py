"""The monitor on the embedded broker: delivery, order, sizes, outages, and the end of the process."""

import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.schema_registry import ConfluentRegistry
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.client import Monitor
from driftsonde.core.events import (
    CategoricalColumn,
    Heartbeat,
    InvalidEvent,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    Variant,
)
from driftsonde.core.partitioning import partition_of

pytestmark = pytest.mark.io

# Nobody listens there: port 9 is the discard service's, and none runs.
NOBODY = "127.0.0.1:9"
QUIET = {"log_level": 0}
CODEC = Codec(EVENT_TYPES)


@pytest.fixture
def broker() -> Iterator[str]:
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    address = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    yield f"{address.host}:{address.port}"


def messages(bootstrap_servers: str, topic: str) -> list[list[Message]]:
    """All messages of a topic, by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "test", "fetch.wait.max.ms": 10})
    partitions = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    found: list[list[Message]] = [[] for _ in partitions]
    ends = [
        consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
        for partition in partitions
    ]
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    deadline = time.monotonic() + 20
    while sum(map(len, found)) < sum(ends):
        assert time.monotonic() < deadline, "the broker did not give what it has"
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            partition = message.partition()
            assert partition is not None
            found[partition].append(message)
    consumer.close()
    return found


def value_of(message: Message) -> object:
    value = message.value()
    assert isinstance(value, bytes)
    return CODEC.decode(value)


def predictions(bootstrap_servers: str) -> list[list[PredictionBatch]]:
    values = [[value_of(message) for message in part] for part in messages(bootstrap_servers, "predictions")]
    return [[value for value in part if isinstance(value, PredictionBatch)] for part in values]


def ids_by_partition(bootstrap_servers: str) -> list[list[str]]:
    return [
        [identifier for batch in part for identifier in batch.ids] for part in predictions(bootstrap_servers)
    ]


def expected_partitions(ids: list[str]) -> list[list[str]]:
    return [
        [identifier for identifier in ids if partition_of(identifier.encode(), 4) == part]
        for part in range(4)
    ]


def test_rows_and_batches_arrive_once_and_in_order_in_the_partition_of_their_id(broker: str) -> None:
    expected = [str(number) for number in range(2_500)]
    with Monitor(broker, "m", "7", "canary", task="binary", batch_rows=100, strict=True) as monitor:
        for number in range(500):
            assert monitor.log({"x": number, "c": "a"}, 1, ids=str(number)) == (str(number),)
        for start in range(500, 2_500, 250):
            rows = range(start, start + 250)
            monitor.log({"x": list(rows), "c": ["a"] * 250}, [1] * 250, ids=[str(number) for number in rows])
        assert monitor.flush(20)
        assert monitor.stats.delivered == monitor.stats.accepted == 2_500
        assert monitor.stats.buffered == monitor.stats.dropped == monitor.stats.failed == 0
    assert ids_by_partition(broker) == expected_partitions(expected)
    for batch in (batch for part in predictions(broker) for batch in part):
        assert (batch.model, batch.version, batch.variant) == ("m", "7", Variant.CANARY)
        assert len(batch.ids) <= 400
        numbers, _, prediction = batch.columns
        assert isinstance(numbers, NumericColumn)
        assert isinstance(prediction, CategoricalColumn)
        assert numbers.values.tolist() == [float(identifier) for identifier in batch.ids]


def test_eight_threads_lose_and_repeat_nothing(broker: str) -> None:
    threads, calls = 8, 400
    with Monitor(broker, "m", "1", task="binary", batch_rows=50, strict=True) as monitor:

        def log_all(thread: int) -> None:
            for number in range(calls):
                monitor.log({"x": 1.0}, 1, ids=f"{thread}-{number}")
                monitor.log({"x": [1.0, 2.0]}, [1, 0], ids=[f"{thread}-{number}a", f"{thread}-{number}b"])
                if number % 100 == 0:
                    monitor.label(f"{thread}-{number}", 1)
                    monitor.flush(0)

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(log_all, thread) for thread in range(threads)]:
                done.result()
        assert monitor.flush(30)
        rows = threads * calls * 3
        assert monitor.stats.delivered == monitor.stats.accepted == rows + threads * calls // 100
    found = [identifier for part in ids_by_partition(broker) for identifier in part]
    assert len(found) == len(set(found)) == rows
    for thread in range(threads):
        for part in ids_by_partition(broker):
            own = [int(i.partition("-")[2].rstrip("ab")) for i in part if i.startswith(f"{thread}-")]
            assert own == sorted(own)


def test_labels_go_to_the_partition_of_their_prediction(broker: str) -> None:
    ids = [f"p{number}" for number in range(50)]
    with Monitor(broker, "m", "1", task="regression", strict=True) as monitor:
        monitor.label(ids, [float(number) for number in range(50)], timestamps=5)
    found = [[value_of(message) for message in part] for part in messages(broker, "labels")]
    batches = [[value for value in part if isinstance(value, LabelBatch)] for part in found]
    assert [[i for batch in part for i in batch.ids] for part in batches] == expected_partitions(ids)


def test_a_message_of_one_row_has_the_id_as_its_key(broker: str) -> None:
    with Monitor(broker, "m", "1", task="binary", strict=True) as monitor:
        monitor.log({"x": 1}, 1, ids="größe")
    (message,) = [message for part in messages(broker, "predictions") for message in part]
    key = message.key()
    assert isinstance(key, bytes)
    assert key == "größe".encode()


def test_large_batches_are_split_below_the_brokers_limit(broker: str) -> None:
    rows, width = 2_000, 200
    matrix = np.random.default_rng(1).random((rows, width))
    names = [f"x{number}" for number in range(width)]
    with Monitor(broker, "m", "1", task="binary", batch_rows=rows, strict=True) as monitor:
        ids = monitor.log(matrix, np.ones(rows), feature_names=names)
        assert monitor.flush(20)
        assert monitor.stats.delivered == rows
    sizes = [len(message) for part in messages(broker, "predictions") for message in part]
    assert len(sizes) > 4
    assert max(sizes) <= 500_000
    assert ids_by_partition(broker) == expected_partitions(list(ids))


def test_a_heartbeat_goes_to_every_partition_after_what_was_logged(broker: str) -> None:
    with Monitor(broker, "m", "1", task="binary", linger_ms=1e9, strict=True) as monitor:
        monitor.log({"x": [1.0] * 100}, [1] * 100)
        monitor.heartbeat(1_700_000_000_000)
        monitor.log({"x": [1.0] * 100}, [1] * 100)
    for topic, kinds in (
        ("predictions", [PredictionBatch, Heartbeat, PredictionBatch]),
        ("labels", [Heartbeat]),
    ):
        for part in messages(broker, topic):
            assert [type(value_of(message)) for message in part] == kinds


def test_equal_calls_make_equal_messages() -> None:
    def log_everything() -> list[list[bytes | str | None]]:
        cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        address = next(iter(cluster.list_topics(timeout=10).brokers.values()))
        servers = f"{address.host}:{address.port}"
        numbers = count()
        with Monitor(
            servers,
            "m",
            "1",
            task="binary",
            batch_rows=50,
            linger_ms=float("inf"),
            when_full="block",
            buffer_rows=2_000,
            strict=True,
            new_ids=lambda rows: [str(next(numbers)) for _ in range(rows)],
            now_ms=lambda: 5,
        ) as monitor:
            for rows in (1, 70, 300, 1, 1, 999):
                monitor.log({"x": np.arange(rows), "c": [str(rows)] * rows}, [1] * rows)
            assert monitor.flush(20)
        return [[message.value() for message in part] for part in messages(servers, "predictions")]

    assert log_everything() == log_everything()


def test_the_schema_registrys_framing_is_used_where_there_is_one(broker: str) -> None:
    with Monitor(
        broker, "m", "1", task="binary", schema_registry_url="mock://monitor", strict=True
    ) as monitor:
        monitor.log({"x": 1}, 1)
    (message,) = [message for part in messages(broker, "predictions") for message in part]
    value = message.value()
    assert isinstance(value, bytes)
    assert value[0] == 0
    codec = Codec(EVENT_TYPES, ConfluentRegistry("mock://monitor"))
    # The mock registry lives in one client; the id is what this one gives the same first schema.
    codec.encode(PredictionBatch("m", "1", Variant.CHAMPION, ("a",), np.array([1]), ()))
    assert isinstance(codec.decode(value), PredictionBatch)


def test_without_a_broker_logging_stays_quick_and_drops_are_counted() -> None:
    monitor = Monitor(NOBODY, "m", "1", task="binary", buffer_rows=100, kafka_options=QUIET)
    slowest_s = 0.0
    for number in range(1_000):
        started = time.perf_counter()
        monitor.log({"x": number}, 1)
        slowest_s = max(slowest_s, time.perf_counter() - started)
    assert slowest_s < 0.25
    assert (monitor.stats.accepted, monitor.stats.dropped, monitor.stats.buffered) == (100, 900, 100)
    started = time.perf_counter()
    assert not monitor.flush(0.1)
    monitor.close(0.1)
    assert time.perf_counter() - started < 5


def test_a_dead_address_among_the_brokers_is_no_matter(broker: str) -> None:
    with Monitor(f"{NOBODY},{broker}", "m", "1", task="binary", kafka_options=QUIET) as monitor:
        monitor.log({"x": 1}, 1)
        assert monitor.flush(20)
        assert monitor.stats.delivered == 1


def test_ids_that_are_no_text_fail_alone(broker: str) -> None:
    ids = iter(["\ud800", "fine"])
    with Monitor(broker, "m", "1", task="binary", new_ids=lambda _: [next(ids)]) as monitor:
        for _ in range(2):
            monitor.log({"x": 1}, 1)
            assert monitor.flush(20)
        assert (monitor.stats.failed, monitor.stats.delivered) == (1, 1)


def test_a_full_queue_of_librdkafka_is_backpressure_not_an_error(broker: str) -> None:
    options = {"queue.buffering.max.messages": 1, "linger.ms": 0}
    with Monitor(
        broker, "m", "1", task="binary", batch_rows=10, kafka_options=options, strict=True
    ) as monitor:
        monitor.log({"x": np.arange(2_000)}, np.ones(2_000))
        assert monitor.flush(30)
        assert (monitor.stats.delivered, monitor.stats.failed) == (2_000, 0)


def test_a_message_the_producer_refuses_is_counted_and_the_rest_goes_on(
    broker: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"message.max.bytes": 1_000}
    with Monitor(broker, "m", "1", task="binary", kafka_options=options) as monitor:
        monitor.log({f"x{number}": "y" * 100 for number in range(20)}, 1)
        assert monitor.flush(20)
        monitor.log({"x": 1}, 1)
        assert monitor.flush(20)
        assert (monitor.stats.failed, monitor.stats.delivered) == (1, 1)
    assert "MSG_SIZE_TOO_LARGE" in caplog.text


def test_a_value_that_cannot_be_converted_does_not_take_its_neighbours_along(broker: str) -> None:
    with Monitor(broker, "m", "1", task="binary", linger_ms=1e9) as monitor:
        monitor.log({"x": 1}, 1, ids="good")
        monitor.log({"x": 10**400}, 1, ids="bad")
        monitor.log({"x": 2}, 1, ids="good too")
        assert monitor.flush(20)
        assert (monitor.stats.failed, monitor.stats.delivered) == (1, 2)
    assert sorted(identifier for part in ids_by_partition(broker) for identifier in part) == [
        "good",
        "good too",
    ]


def test_calls_that_make_no_sense_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    monitor = Monitor(NOBODY, "m", "1", task="binary", kafka_options=QUIET)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert monitor.log({"x": [1, 2], "y": [1]}, [1, 0]) == ()
            monitor.label(["a"], [1, 0])
            monitor.heartbeat("noon")
    assert monitor.stats.invalid_calls == 9
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "log, y",
        "label, ids",
        "heartbeat, timestamps",
    ]
    monitor.close(0)


def test_strict_raises() -> None:
    monitor = Monitor(NOBODY, "m", "1", task="binary", strict=True, kafka_options=QUIET)
    with pytest.raises(InvalidEvent, match="x"):
        monitor.log({"x": "y" * 2_000}, 1)
    with pytest.raises(InvalidEvent, match="ids"):
        monitor.label(["a"], [1, 0])
    monitor.close(0)


def test_a_closed_monitor_drops_and_says_so() -> None:
    monitor = Monitor(NOBODY, "m", "1", task="binary", kafka_options=QUIET)
    monitor.close()
    monitor.log({"x": 1}, 1)
    assert monitor.stats.dropped == 1
    assert monitor.flush(0)


@pytest.mark.parametrize(
    "options", [{"task": "guess"}, {"variant": "guess"}, {"when_full": "guess"}, {"batch_rows": 0}]
)
def test_options_that_make_no_sense_are_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"guess|batch_rows"):
        Monitor(NOBODY, "m", "1", **{"task": "binary", **options})  # type: ignore[arg-type]


def test_an_option_that_librdkafka_refuses_is_refused_at_once() -> None:
    with pytest.raises(KafkaException, match=r"no\.such\.option"):
        Monitor(NOBODY, "m", "1", task="binary", kafka_options={"no.such.option": 1})


FORKED = """
import os, sys
from driftsonde.client import Monitor
monitor = Monitor(sys.argv[1], "m", "1", task="binary", kafka_options={"log_level": 0})
early = os.fork()
if early == 0:
    monitor.log({"x": 1.0}, 1, ids="of a child before the first call")
    sys.exit(0 if monitor.flush(20) else 1)
assert os.waitpid(early, 0)[1] == 0
monitor.log({"x": 1.0}, 1, ids="of the parent")
late = os.fork()
if late == 0:
    assert monitor.log({"x": 1.0}, 1, ids="of a child after it") == ("of a child after it",)
    assert (monitor.stats.accepted, monitor.stats.dropped) == (0, 1), monitor.stats
    assert monitor.flush(1)
    with Monitor(sys.argv[1], "m", "1", task="binary", kafka_options={"log_level": 0}) as own:
        own.log({"x": 1.0}, 1, ids="of a child's own")
        assert own.flush(20)
    sys.exit(0)
assert os.waitpid(late, 0)[1] == 0
"""


def test_a_fork_is_said_and_a_monitor_of_its_own_works(broker: str) -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED, broker], timeout=60, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "forked after the monitor's first call" in ended.stderr
    assert sorted(identifier for part in ids_by_partition(broker) for identifier in part) == [
        "of a child before the first call",
        "of a child's own",
        "of the parent",
    ]


def test_the_readmes_example_works_as_it_stands(broker: str) -> None:
    readme = Path(__file__).parents[2] / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if "from driftsonde.client import Monitor" in block)
    assert '"kafka:9092"' in block
    names: dict[str, Any] = {}
    exec(block.replace("kafka:9092", broker), names)
    assert names["monitor"].flush(20)
    assert (names["monitor"].stats.delivered, names["monitor"].stats.invalid_calls) == (2, 0)
    names["monitor"].close()
    assert [identifier for part in ids_by_partition(broker) for identifier in part] == list(names["ids"])
    (label,) = [value_of(message) for part in messages(broker, "labels") for message in part]
    assert isinstance(label, LabelBatch)
    assert label.ids == names["ids"]


AT_EXIT = """
import sys
from driftsonde.client import Monitor
monitor = Monitor(sys.argv[1], "m", "1", task="binary", linger_ms=1e9, kafka_options={"log_level": 0})
monitor.log({"x": 1.0}, 1, ids="last words")
"""


def test_what_waits_is_sent_when_the_process_ends(broker: str) -> None:
    subprocess.run([sys.executable, "-c", AT_EXIT, broker], check=True, timeout=60)
    assert [identifier for part in ids_by_partition(broker) for identifier in part] == ["last words"]


def test_the_end_of_the_process_waits_no_longer_than_its_bound() -> None:
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", AT_EXIT, NOBODY], check=True, timeout=60, capture_output=True
    )
    assert time.monotonic() - started < 15
    assert b"1 rows undelivered" in ended.stderr
