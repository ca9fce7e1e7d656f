"""The serving layer's router, on the embedded broker: what it knows, and what it does while Kafka is away."""

import logging
import threading
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import ensure_topics, producer_config
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import TRAFFIC_TYPE
from driftsonde.client.router import Router
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant

pytestmark = pytest.mark.io

CODEC = Codec((TRAFFIC_TYPE,))


class Kafka:
    """The embedded broker, which lives as long as its producer."""

    def __init__(self) -> None:
        self.host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
        brokers = self.host.list_topics(timeout=10).brokers.values()
        self.settings = KafkaSettings(bootstrap_servers=",".join(f"{it.host}:{it.port}" for it in brokers))
        ensure_topics(self.settings)
        self.producer = Producer(producer_config(self.settings))

    def put(self, model: str, payload: bytes | None) -> None:
        self.producer.produce(topics.TRAFFIC.name, key=model.encode(), value=payload)
        self.producer.flush(10)

    def split(self, *shares: Share, revision: int = 1) -> None:
        self.put("fraud", CODEC.encode(Traffic("fraud", shares, revision, "d")))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_router_follows_the_splits_and_keeps_the_last_one_it_could_read() -> None:
    kafka = Kafka()
    with Router(kafka.settings, defaults={"fraud": "1"}, interval_s=0.05) as router:
        assert router.choose("fraud", "ann") == Share("1", Variant.CHAMPION, 1.0)
        with pytest.raises(LookupError, match="'credit'"):
            router.choose("credit", "ann")
        assert router.wait(15)
        kafka.split(Share("2", Variant.CHAMPION, 1.0), Share("3", Variant.SHADOW, 0.0))
        wait_until(lambda: router.choose("fraud", "ann").version == "2")
        assert router.shadows("fraud") == ("3",)
        kafka.put("fraud", b"not ours")
        kafka.put("credit", CODEC.encode(Traffic("credit", (Share("7", Variant.CHAMPION, 1.0),), 1, "d")))
        wait_until(lambda: "credit" in router._wheels)
        assert router.choose("fraud", "ann").version == "2"
        kafka.put("fraud", None)
        wait_until(lambda: router.choose("fraud", "ann").version == "1")


def test_a_router_without_kafka_serves_what_it_knows() -> None:
    kafka = Kafka()
    kafka.split(Share("1", Variant.CHAMPION, 0.5), Share("2", Variant.CANARY, 0.5))
    router = Router(kafka.settings.bootstrap_servers, interval_s=0.05)
    assert router.wait(15)
    before = [router.choose("fraud", f"user {number}") for number in range(100)]
    assert {share.version for share in before} == {"1", "2"}
    del kafka.producer, kafka.host  # the broker goes with it
    time.sleep(0.5)
    stale_s = router.stale_s
    assert stale_s is not None
    assert [router.choose("fraud", f"user {number}") for number in range(100)] == before
    wait_until(lambda: (router.stale_s or 0.0) > stale_s + 0.1)
    closing = threading.Thread(target=router.close)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()


def test_a_router_that_never_reached_kafka_serves_its_defaults() -> None:
    with Router("127.0.0.1:1", defaults={"fraud": "5"}, interval_s=0.05) as router:
        assert not router.wait(0.3)
        assert router.stale_s is None
        assert router.choose("fraud", "ann").version == "5"


def test_a_decision_takes_less_than_two_microseconds() -> None:
    """The quickest of some short runs: what others do on the machine at the same time is not the router's."""
    kafka = Kafka()
    kafka.split(Share("1", Variant.CHAMPION, 0.7), Share("2", Variant.CANARY, 0.3), revision=1)
    with Router(kafka.settings, interval_s=5.0) as router:
        assert router.wait(15)
        entities = [f"customer-{number}" for number in range(2_000)]
        choose, took_s = router.choose, list[float]()
        for _ in range(25):
            began_s = time.perf_counter()
            for entity in entities:
                choose("fraud", entity)
            took_s.append((time.perf_counter() - began_s) / len(entities))
        assert {choose("fraud", entity).version for entity in entities} == {"1", "2"}
    assert min(took_s) < 2e-6, f"{1e6 * min(took_s):.2f} µs"
