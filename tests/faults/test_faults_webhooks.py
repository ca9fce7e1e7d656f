"""Receivers that refuse, are slow, answer 500, or whose answer is lost, while the controller is killed: no notice is lost,
those of an incident come in their order, and a repetition has the same id and the same bytes."""

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from control_examples import signal
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import ensure_topics, producer_config
from driftsonde.adapters.settings import (
    PREFIX,
    ControllerSettings,
    KafkaSettings,
    Settings,
    environment,
)
from driftsonde.adapters.topics import DECISIONS, SIGNALS
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record
from driftsonde.controller.journal import read_whole
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.standalone.child import Child
from faults.door import FaultDoor, fault_door
from webhook_receiver import SECRET, Received, Receiver

pytestmark = [pytest.mark.io, pytest.mark.timeout(400)]

CODEC = Codec((*CONTROL_TYPES, MODEL_RECORD))
STORY = ("incident.opened", "incident.updated", "incident.resolved")

Record = Callable[[str, object], None]


@dataclass(slots=True)
class OnCall:
    """The controller, which tells its one endpoint through the door; `broker` lives as long as its producer."""

    kafka: KafkaSettings
    receiver: Receiver
    door: FaultDoor
    directory: Path
    retry_delays: str = '["200ms"]'
    _process: Child | None = None
    _port: int = 0
    _producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        self._producer = Producer(producer_config(self.kafka))
        register(self._producer, CODEC, {}, [spec_record(ModelSpec("fraud", Task.BINARY))])

    def publish(self, *signals: Signal) -> None:
        for event in signals:
            self._producer.produce(SIGNALS.name, key=event.model.encode(), value=CODEC.encode(event))
        assert self._producer.flush(10) == 0

    def start(self) -> None:
        config = self.directory / "webhooks.toml"
        url = f"http://127.0.0.1:{self.door.port}/hook"
        config.write_text(
            f'allow_hosts = ["127.0.0.1"]\nretry_delays = {self.retry_delays}\n'
            f'[[endpoints]]\nname = "oncall"\nurl = "{url}"\nsecret = "{SECRET}"\n'
        )
        settings = Settings(kafka=self.kafka, controller=ControllerSettings(0.2, str(config)))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        log = self.directory / "controller.log"
        environ = inherited | environment(settings)
        self._process = Child("controller", "driftsonde.controller", environ, log)
        self._port = int(self._process.wait_ready(60.0)["port"])

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.process.kill()
        self._process.process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop(20.0)

    def get(self, path: str) -> Any:
        return httpx.get(f"http://127.0.0.1:{self._port}{path}", trust_env=False).json()

    def notices(self) -> list[Decision]:
        """What the log of decisions says of deliveries."""
        read = [CODEC.decode(payload) for payload in read_whole(self.kafka, DECISIONS)]
        return [entry for entry in read if isinstance(entry, Decision) and entry.kind is Kind.NOTIFY]

    def wait_for_notices(self, count: int, timeout_s: float = 60.0) -> list[Decision]:
        """The deliveries, once so many have come to an end."""
        deadline_s = time.monotonic() + timeout_s
        while len(found := self.notices()) < count:
            assert time.monotonic() < deadline_s, f"{len(found)} of {count} notices ended in {timeout_s} s"
            time.sleep(0.2)
        return found


@pytest.fixture
def oncall(tmp_path: Path) -> Iterator[OnCall]:
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    kafka = KafkaSettings(bootstrap_servers=address)
    ensure_topics(kafka)
    receiver = Receiver()
    with fault_door("127.0.0.1", receiver.port) as door:
        made = OnCall(kafka, receiver, door, tmp_path)
        yield made
        made.stop()
    receiver.close()
    host.flush(1)


@pytest.mark.parametrize(
    ("incidents", "kills"),
    [
        pytest.param(12, 1, id="short"),
        pytest.param(200, 20, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(1_500)]),
    ],
)
def test_no_notice_is_lost_and_incidents_keep_their_order(
    oncall: OnCall, record_property: Record, incidents: int, kills: int
) -> None:
    rng = random.Random(6)

    def moody(_: Received) -> tuple[int, Mapping[str, str]]:
        if rng.random() < 0.3:
            time.sleep(0.5)
        return rng.choice((200, 200, 500, 502, 429)), {}

    oncall.receiver.answer = moody
    oncall.retry_delays = str(["200ms"] * 500).replace("'", '"')
    oncall.start()
    story = [
        signal(kind, f"episode-{number}", hour)
        for hour, kind in enumerate((SignalKind.ALERT, SignalKind.ALERT, SignalKind.RESOLVE))
        for number in range(incidents)
    ]
    part = len(story) // (kills + 1)
    for turn in range(kills + 1):
        for fault, every in (("drop", 2), ("away", 1), ("none", 1)):
            oncall.door.fault, oncall.door.every = fault, every
            before = len(oncall.receiver.received)
            oncall.publish(*story[turn * part : (turn + 1) * part])  # signals, too, may come more than once
            oncall.receiver.wait_for(before + (0 if fault == "away" else 4), timeout_s=60.0)
            time.sleep(rng.random())
        if turn < kills:
            oncall.kill()
            oncall.start()
    oncall.publish(*story)
    oncall.door.behave()
    oncall.receiver.answer = lambda _: (200, {})
    began_s = time.monotonic()
    told = oncall.wait_for_notices(len(story))
    record_property("recovered_s", time.monotonic() - began_s)

    assert {notice.step for notice in told} == {Step.PERFORMED}
    received = list(oncall.receiver.received)
    first = {message.id: message for message in reversed(received)}
    record_property("trials", f"{kills} kills, {len(story)} notices, {oncall.door.struck} broken connections")
    record_property("repeated", len(received) - len(first))
    assert oncall.door.struck > 0
    assert len(received) > len(first)
    assert first.keys() == {notice.id for notice in told}
    assert len(first) == len(story)
    for message in received:
        message.verify()
        assert message.raw == first[message.id].raw
    order: dict[str, list[str]] = {}
    for name in dict.fromkeys(message.id for message in received):
        body = first[name].body
        order.setdefault(body["data"]["incident"]["id"], []).append(body["type"])
    assert len(order) == incidents
    assert all(tuple(types) == STORY for types in order.values())


def test_what_is_given_up_is_visible(oncall: OnCall) -> None:
    """After the last try the log says so, the API shows it, a restart does not try again, and the next notice goes out."""
    oncall.receiver.answer = lambda message: (500 if message.body["type"] == STORY[0] else 200, {})
    oncall.retry_delays = '["100ms", "100ms"]'
    oncall.start()
    oncall.publish(signal(SignalKind.ALERT), signal(SignalKind.RESOLVE, hour=1))
    told = {notice.step: notice for notice in oncall.wait_for_notices(2)}
    given_up = told[Step.FAILED]
    assert (given_up.detail.attempts, given_up.detail.reason) == (3, "status 500, after 3 tries")
    assert told[Step.PERFORMED].incident == given_up.incident
    for _ in range(2):
        (delivery,) = oncall.get(f"/v1/decisions/{given_up.detail.parent}")["deliveries"]
        assert (delivery["result"], delivery["attempts"]) == ("failed", 3)
        oncall.kill()
        oncall.start()
    assert [message.body["type"] for message in oncall.receiver.received] == [STORY[0]] * 3 + [STORY[2]]
