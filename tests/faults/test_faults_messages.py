"""Messages that are repeated, out of order, late by days, of skewed clocks, or poison; and a partition without any.

One set of workers for all tests: each has a model and a stretch of event time of its own, later than the one before.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported in its types
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from brokers import Broker
from driftsonde.adapters.dead_letters import PREFIX
from driftsonde.adapters.settings import SketcherSettings
from driftsonde.adapters.specs import fingerprint
from driftsonde.adapters.topics import DEAD_LETTERS, MODELS, PREDICTIONS, SKETCHES, TRAFFIC
from faults.load import WINDOW_MS
from faults.poison import good_events, misshapen, of_bytes, of_control, of_events
from faults.raw import MAX_MESSAGE_BYTES, Place, home_of, ids_at, labels
from faults.stretch import CAUGHT_UP_S, DAY_MS, Record, sketchers, stretch
from faults.world import CONTROLLERS, PARTITIONS, World

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

T = TypeVar("T")


PATIENT = SketcherSettings(chunk_messages=16, idle_timeout_s=3_600.0)
HASTY = SketcherSettings(chunk_messages=16, idle_timeout_s=1.0)


def test_repeated_shuffled_late_and_of_skewed_clocks(it: World, record_property: Record) -> None:
    at = stretch(it, "unruly", day=10)
    rng = np.random.default_rng(3)
    skews_ms = (-90_000, 0, 40_000)  # one of three producers each
    for partition in range(PARTITIONS):
        ids = ids_at(partition, 17 * 10, "u")
        messages = [
            (ids[10 * n : 10 * n + 10], at.start_ms + n // 2 * WINDOW_MS + skews_ms[n % 3]) for n in range(16)
        ]
        messages.append((ids[160:], at.start_ms - 3 * DAY_MS))
        for start in range(0, 17, 4):
            block = messages[start : start + 4]
            for number in rng.permutation(len(block)).tolist():
                names, from_ms = block[number]
                at.random_predictions(rng, names, from_ms + rng.integers(0, WINDOW_MS, len(names)))
    sent = list(at.log.events)
    for event in rng.choice(len(sent), 30, replace=False).tolist():
        at.log.send(sent[event])
    known_ms = at.start_ms + 12 * WINDOW_MS
    for event in sent:
        values = rng.integers(0, 2, len(event.ids))
        at.log.send(labels(at.load.model, event.ids, np.full(len(event.ids), known_ms), values))
    for label in rng.choice(len(sent), 30, replace=False).tolist():
        at.log.send(at.log.events[len(sent) + 30 + label])
    at.log.heartbeat(at.start_ms + 30 * WINDOW_MS)
    with sketchers(it, PATIENT):
        record_property("recovered_s", at.wait())


def test_an_idle_partition_holds_nothing_up(it: World, record_property: Record) -> None:
    """Nor does a topic of labels in which nothing comes at all. Nobody but the sketcher sends heartbeats."""
    at = stretch(it, "quiet", day=20)
    rng = np.random.default_rng(4)
    for window in range(4):
        for partition in set(range(PARTITIONS)) - {5}:
            ids = ids_at(partition, 10 * (window + 1), "q")[10 * window :]
            times_ms = at.start_ms + window * WINDOW_MS + rng.integers(0, WINDOW_MS, 10)
            at.random_predictions(rng, ids, times_ms)
    expected = at.expected()
    # One row in one partition is what tells that time goes on.
    at.random_predictions(rng, ids_at(0, 41, "q")[40:], np.array([at.start_ms + 7 * WINDOW_MS]))
    with sketchers(it, HASTY):
        record_property("recovered_s", at.wait(expected=expected))


def test_poison_in_every_topic(it: World, record_property: Record) -> None:
    """Each message gives one dead letter with its reason, and those before and after it are processed."""
    at = stretch(it, "poisoned", day=30)
    it.start(*CONTROLLERS)
    allow_large_messages(it, PREDICTIONS.name)
    before = set(dead_letters(it))
    rng = np.random.default_rng(5)
    model, baseline = at.load.model, fingerprint(at.load.baseline())
    corpus = [p for topic, good in good_events(model, at.start_ms) for p in of_bytes(topic, good)]
    corpus += [*of_events(model, at.start_ms), *of_control(model, at.start_ms)]
    expected: dict[Place, list[str]] = {}
    known_ms = np.array([at.start_ms + 5 * WINDOW_MS])
    for place, (topic, payload, reason) in enumerate(corpus):
        partition = place % PARTITIONS
        for number in (2 * place, 2 * place + 1):  # a neighbour before, one behind
            (name,) = ids_at(partition, 1, f"n{number}-")
            times_ms = np.array([at.start_ms + number % 4 * WINDOW_MS])
            at.random_predictions(rng, (name,), times_ms)
            at.log.send(labels(model, (name,), known_ms, rng.integers(0, 2, 1)))
            if number % 2 == 0:
                expected[at.log.put(topic, partition, payload)] = [reason]
    sketch, home = misshapen(model, baseline, at.start_ms), home_of(model)
    expected[at.log.put(SKETCHES.name, home, sketch)] = ["invalid"]
    expected[at.log.put(SKETCHES.name, (home + 1) % PARTITIONS, sketch)] = ["wrong-partition"]
    for key in (model, f"{model}/1"):  # what is registered stays in force
        bad = at.log.put(MODELS.name, home_of(key), b"\xc3\x01 not ours", key=key.encode())
        expected[bad] = ["unknown-schema"]
    for topic in (MODELS.name, TRAFFIC.name):
        expected[at.log.put(topic, 0, sketch, key=b"poison")] = ["unknown-schema"]
    at.log.put(DEAD_LETTERS.name, 0, b"\xc3\x01 not ours", key=b"poison")  # archived as it is
    absurd = [(PREFIX + name, b"9" * 30) for name in ("partition", "offset")]
    not_ours = at.log.put(DEAD_LETTERS.name, 0, b"?", headers=absurd)
    at.log.heartbeat(at.start_ms + 30 * WINDOW_MS)
    with sketchers(it, PATIENT):
        record_property("recovered_s", at.wait())
        assert wait_for(lambda: new_letters(it, before), expected, CAUGHT_UP_S) == expected
    record_property("trials", len(expected))
    archived = "SELECT count() FROM dead_letters FINAL WHERE service != ''"
    wanted = len(before) + len(expected)
    assert wait_for(lambda: it.count(archived), wanted, CAUGHT_UP_S) == wanted
    own = f"SELECT count() FROM dead_letters FINAL WHERE service = '' AND source_offset = {not_ours[2]}"
    assert wait_for(lambda: it.count(own), 1, CAUGHT_UP_S) == 1
    it.wait_ready(*CONTROLLERS)
    for name in CONTROLLERS:
        it.stop(name)


def allow_large_messages(it: World, topic: str) -> None:
    entry = ConfigEntry(
        "max.message.bytes", str(MAX_MESSAGE_BYTES), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(it.settings.kafka.librdkafka())
    for change in admin.incremental_alter_configs([resource]).values():
        change.result()


def dead_letters(it: World) -> dict[Place, list[str]]:
    """The reasons of the dead letters of each message."""
    found: dict[Place, list[str]] = {}
    for message in Broker(it.settings.kafka, PARTITIONS).read_all(DEAD_LETTERS.name):
        given = dict(message.headers() or [])
        headers = {name: value.decode() for name, value in given.items() if isinstance(value, bytes)}
        if PREFIX + "connector.name" in headers:
            place = (
                headers[PREFIX + "topic"],
                int(headers[PREFIX + "partition"]),
                int(headers[PREFIX + "offset"]),
            )
            found.setdefault(place, []).append(headers[PREFIX + "exception.class.name"])
    return found


def new_letters(it: World, before: set[Place]) -> dict[Place, list[str]]:
    """After a rebalance in the middle of a chunk a letter is sent again; in the table there is one for each place."""
    return {place: sorted(set(reasons)) for place, reasons in dead_letters(it).items() if place not in before}


def wait_for(found: Callable[[], T], expected: T, timeout_s: float) -> T:
    """What is found, as soon as it is what is expected, or at the end of the time."""
    deadline_s = time.monotonic() + timeout_s
    while (now := found()) != expected and time.monotonic() < deadline_s:
        time.sleep(0.5)
    return now
