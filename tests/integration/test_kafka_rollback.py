"""Rollbacks on Apache Kafka: of canaries and of versions that had become champion, each within a second of its signal."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from control_examples import signal
from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import producer_config
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import ActionPolicy, Mode, ModelSpec, Policy, RolloutRule, Task
from faults.world import PARTITIONS, World, world
from kafka.launcher import KafkaCluster

pytestmark = pytest.mark.io

CODEC = Codec((*CONTROL_TYPES, MODEL_RECORD))
MODEL = "taken-back"
ROUNDS = 3
SPEC = ModelSpec(
    MODEL,
    Task.BINARY,
    policy=Policy(actions=ActionPolicy(rollback=Mode.AUTO), rollout=RolloutRule(shadow=False, stages=(0.5,))),
)


@dataclass(slots=True)
class Desk:
    """The controller's API, and the two topics beside it."""

    api: httpx.Client
    producer: Producer
    traffic: Consumer

    def post(self, path: str, **body: Any) -> None:
        answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text

    def split(self) -> dict[str, str]:
        found = self.api.get(f"/v1/traffic/{MODEL}").json()
        return {share["version"]: share["variant"] for share in found["split"]}

    def publish(self, event: Signal) -> None:
        self.producer.produce(topics.SIGNALS.name, key=MODEL.encode(), value=CODEC.encode(event))
        self.producer.poll(0)

    def await_champion_alone(self, version: str, timeout_s: float = 20.0) -> None:
        """Return as soon as the topic has the split in which this version answers everybody."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            message = self.traffic.poll(0.5)
            found = None if message is None or message.error() else CODEC.decode(message.value() or b"")
            if isinstance(found, Traffic) and [share.version for share in found.split] == [version]:
                return
        pytest.fail(f"no split with version {version} alone within {timeout_s} s")

    def wait_until(self, what: str, holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
            time.sleep(0.05)


@pytest.fixture
def desk(kafka: KafkaCluster, tmp_path: Path) -> Iterator[Desk]:
    with world(kafka, tmp_path) as made:
        producer = Producer(producer_config(made.settings.kafka) | {"linger.ms": 0})
        versions = [version_record(MODEL, str(number), None) for number in range(2 * ROUNDS + 2)]
        register(producer, CODEC, {}, [spec_record(SPEC), *versions])
        traffic = Consumer(
            made.settings.kafka.librdkafka() | {"group.id": "test", "enable.auto.commit": False}
        )
        traffic.assign([TopicPartition(topics.TRAFFIC.name, number, 0) for number in range(PARTITIONS)])
        with httpx.Client(base_url=_started(made), trust_env=False, timeout=30.0) as api:
            found = Desk(api, producer, traffic)
            found.wait_until("the model is known", lambda: api.get(f"/v1/models/{MODEL}").is_success)
            yield found
        producer.flush(10)
        traffic.close()
        assert made.ended() == []


def _started(made: World) -> str:
    made.start("controller-1")
    return f"http://127.0.0.1:{made.wait_ready('controller-1')['controller-1']}"


def test_from_the_signal_to_the_split_in_less_than_a_second_before_and_after_a_promotion(
    desk: Desk, record_property: Callable[[str, object], None]
) -> None:
    answer = desk.api.put(
        f"/v1/traffic/{MODEL}", json={"split": [{"version": "0", "variant": "champion", "weight": 1.0}]}
    )
    assert answer.is_success, answer.text
    desk.await_champion_alone("0")
    took_s: list[float] = []
    for number in range(1, 2 * ROUNDS + 1):
        promoted, version = number % 2 == 0, str(number)
        desk.post("/v1/rollouts", model=MODEL, version=version)
        if promoted:
            desk.post(f"/v1/rollouts/{MODEL}/promote")
            assert desk.split() == {version: "champion"}
            desk.await_champion_alone(version)
        variant = Variant.CHAMPION if promoted else Variant.CANARY
        worse = signal(SignalKind.ROLLBACK, f"e{number}", number, MODEL, version, variant, Rule.CANARY)
        began_s = time.monotonic()
        desk.publish(worse)
        desk.await_champion_alone("0")
        took_s.append(time.monotonic() - began_s)
        desk.wait_until("the incident is over", lambda: not open_incidents(desk))
        assert desk.split() == {"0": "champion"}
        assert desk.api.get(f"/v1/rollouts/{MODEL}").json()["status"] == "rolled-back"
        before = desk.api.get(f"/v1/traffic/{MODEL}").json()["revision"]
        # The same again, and once more in another window: the version is gone already.
        desk.publish(worse)
        desk.publish(replace(worse, id=f"late {number}", window_end_ms=worse.window_end_ms + 1))
        desk.wait_until("the late signal is answered", partial(has_rollbacks, desk, 2 * number))
        assert desk.api.get(f"/v1/traffic/{MODEL}").json()["revision"] == before
        assert not open_incidents(desk)
    steps = [(it["version"], it["steps"]) for it in rollbacks(desk)]
    for number in range(1, 2 * ROUNDS + 1):
        own = sorted(found for version, found in steps if version == str(number))
        assert own == [["decided", "performed"], ["suppressed"]]
    record_property("rollback_s", sorted(took_s))
    assert max(took_s) < 1.0, sorted(took_s)


def open_incidents(desk: Desk) -> list[str]:
    items = desk.api.get("/v1/incidents", params={"model": MODEL}).json()["items"]
    return [it["id"] for it in items if it["status"] != "resolved"]


def has_rollbacks(desk: Desk, count: int) -> bool:
    return len(rollbacks(desk)) == count


def rollbacks(desk: Desk) -> list[dict[str, Any]]:
    items = desk.api.get("/v1/decisions", params={"model": MODEL, "limit": 900}).json()["items"]
    return [it for it in items if it["kind"] == "rollback"]
