"""The controller as a process, on the embedded broker: from signal to webhook and traffic, through kill -9."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from control_examples import CANARY_SPLIT, canary_rollback, signal
from driftsonde.adapters import topics
from driftsonde.adapters.audit import links_of_topic
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import ensure_topics, producer_config
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.controller.journal import read_whole
from driftsonde.core.control.canonical import to_plain
from driftsonde.core.control.chain import verify
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.core.spec import ActionPolicy, Mode, ModelSpec, Policy, Task
from webhook_receiver import SECRET, Received, Receiver

pytestmark = pytest.mark.io

CODEC = Codec((*CONTROL_TYPES, MODEL_RECORD))


@dataclass(slots=True)
class Broker:
    """The embedded broker; it lives as long as its producer."""

    settings: KafkaSettings
    producer: Producer

    def publish(self, *signals: Signal) -> None:
        for event in signals:
            self.producer.produce(topics.SIGNALS.name, key=event.model.encode(), value=CODEC.encode(event))
        self.producer.flush(10)

    def decisions(self) -> list[Decision]:
        read = [CODEC.decode(payload) for payload in read_whole(self.settings, topics.DECISIONS)]
        return [decision for decision in read if isinstance(decision, Decision)]

    def breaks(self) -> list[str]:
        """What is wrong with the audit log."""
        findings = verify(links_of_topic(read_whole(self.settings, topics.DECISIONS), None))
        assert all(finding.head.sequence for finding in findings)
        return [finding.problem for finding in findings if finding.problem]

    def traffic(self) -> list[Traffic]:
        read = [CODEC.decode(payload) for payload in read_whole(self.settings, topics.TRAFFIC)]
        return [traffic for traffic in read if isinstance(traffic, Traffic)]


@pytest.fixture
def broker() -> Iterator[Broker]:
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    settings = KafkaSettings(bootstrap_servers=address)
    ensure_topics(settings)
    producer = Producer(producer_config(settings))
    policy = Policy(actions=ActionPolicy(retrain=Mode.AUTO, rollback=Mode.AUTO, learning_ms=0))
    paging = Policy(actions=ActionPolicy(learning_ms=0))
    specs = [
        ModelSpec("fraud", Task.BINARY, policy=policy),
        ModelSpec("credit", Task.BINARY, policy=paging),
    ]
    register(producer, CODEC, {}, [spec_record(spec) for spec in specs])
    yield Broker(settings, producer)
    host.flush(1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@dataclass(slots=True)
class Process:
    """The controller, with one on-call endpoint and the retrain webhook at the receiver."""

    broker: Broker
    config: Path
    _process: "subprocess.Popen[str]" = field(init=False)
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        environ = {
            "DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS": self.broker.settings.bootstrap_servers,
            "DRIFTSONDE_CONTROLLER_WEBHOOKS_FILE": str(self.config),
            "DRIFTSONDE_CONTROLLER_SWEEP_INTERVAL_S": "0.2",
            "DRIFTSONDE_LOG_LEVEL": "WARNING",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "driftsonde.controller"],
            env=os.environ | environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the controller ended with status {self._process.wait(20)}"
        ready = json.loads(line)
        assert (ready["event"], ready["service"]) == ("ready", "controller")
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{ready['port']}", trust_env=False)

    def get(self, path: str) -> Any:
        return self.client.get(path).json()

    def wait_until(self, what: str, holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
            time.sleep(0.05)

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def terminate(self) -> int:
        self._process.terminate()
        return self._end()

    def _end(self) -> int:
        status = self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self.client.close()
        return status


@pytest.fixture
def start(broker: Broker, receiver: Receiver, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    config = tmp_path / "webhooks.toml"
    config.write_text(
        f"""
        allow_hosts = ["127.0.0.1"]
        retry_delays = ["100ms", "100ms"]
        [[endpoints]]
        name = "oncall"
        url = "{receiver.url}"
        secret = "{SECRET}"
        [retrain]
        url = "{receiver.url}"
        secret = "{SECRET}"
        """
    )
    started: list[Process] = []

    def begin() -> Process:
        started.append(Process(broker, config))
        return started[-1]

    yield begin
    for process in started:
        if process._process.poll() is None:
            process.kill()


def test_from_signal_to_handled(broker: Broker, receiver: Receiver, start: Callable[[], Process]) -> None:
    process = start()
    split = [to_plain(share) for share in CANARY_SPLIT]
    body = {"split": split}
    process.wait_until(
        "the canary is set", lambda: process.client.put("/v1/traffic/fraud", json=body).is_success
    )
    broker.publish(
        signal(SignalKind.ALERT),
        signal(SignalKind.RETRAIN, hour=2),
        canary_rollback(hour=3),
        signal(SignalKind.RETRAIN, "other", model="credit"),
    )
    broker.producer.produce(topics.SIGNALS.name, key=b"fraud", value=b"not ours")
    broker.publish(signal(SignalKind.ALERT), signal(SignalKind.RESOLVE, hour=4))

    retrain = receiver.wait_for_type("retrain.requested")
    assert retrain.body["data"]["columns"] == ["amount"]
    for message_type in ("incident.opened", "rollback.decided", "retrain.observed", "incident.resolved"):
        receiver.wait_for_type(message_type)
    process.wait_until(
        "nothing is pending",
        lambda: all(
            not process.get(f"/v1/decisions/{entry['id']}")["pending"]
            for entry in process.get("/v1/decisions")["items"]
        ),
    )
    for message in receiver.received:
        message.verify()
    steps = {
        (entry["model"], entry["kind"]): entry["steps"]
        for entry in process.get("/v1/decisions")["items"]
        if entry["kind"] != "register"
    }
    assert steps == {
        ("fraud", "traffic"): ["decided", "performed"],
        ("fraud", "alert"): ["decided"],
        ("fraud", "retrain"): ["decided", "performed"],
        ("fraud", "rollback"): ["decided", "performed"],
        ("fraud", "resolve"): ["decided"],
        ("credit", "retrain"): ["observed"],
    }
    statuses = {entry["model"]: entry["status"] for entry in process.get("/v1/incidents")["items"]}
    assert statuses["credit"] == "open"
    assert [traffic.split for traffic in broker.traffic()] == [
        CANARY_SPLIT,
        (Share("1", Variant.CHAMPION, 1.0),),
    ]
    assert len(list(read_whole(broker.settings, topics.DEAD_LETTERS))) == 1
    before = {path: process.get(path) for path in ("/v1/incidents", "/v1/decisions", "/v1/traffic")}
    assert process.terminate() == 0

    # What was known is known again, and what was done is not done again.
    messages = len(receiver.received)
    again = start()
    assert {path: again.get(path) for path in before} == before
    broker.publish(signal(SignalKind.ALERT), signal(SignalKind.RETRAIN, hour=2), canary_rollback(hour=3))
    broker.publish(signal(SignalKind.ALERT, "last", 9))
    receiver.wait_for(messages + 1)
    assert len(receiver.received) == messages + 1
    assert len(broker.traffic()) == 2
    assert again.terminate() == 0
    assert broker.breaks() == []


def test_killed_between_decided_and_performed(
    broker: Broker, receiver: Receiver, start: Callable[[], Process]
) -> None:
    healthy = threading.Event()

    def answer(_: Received) -> tuple[int, Mapping[str, str]]:
        healthy.wait(60)
        return 200, {}

    receiver.answer = answer
    process = start()
    broker.publish(signal(SignalKind.RETRAIN))
    first = receiver.wait_for_type("retrain.requested")
    process.kill()  # the request is out, no answer came: decided, and not performed as far as anybody knows
    (decision,) = (entry for entry in broker.decisions() if entry.kind == "retrain")
    assert decision.step == "decided"

    healthy.set()
    again = start()
    again.wait_until(
        "the retraining is performed",
        lambda: again.get(f"/v1/decisions/{decision.id}")["step"] == "performed",
    )
    requests = [message for message in receiver.received if message.body["type"] == "retrain.requested"]
    assert [message.id for message in requests] == [first.id, first.id]
    assert {message.raw for message in requests} == {first.raw}
    again.wait_until("everybody is told", lambda: not again.get(f"/v1/decisions/{decision.id}")["pending"])
    assert again.terminate() == 0
    assert broker.breaks() == []  # one chain, over the kill and the other process
    steps = [
        (entry.kind, entry.step) for entry in broker.decisions() if entry.kind not in ("notify", "register")
    ]
    assert sorted(steps) == [("retrain", "decided"), ("retrain", "performed")]


def test_a_dead_webhook_holds_up_neither_rollback_nor_consumption(
    broker: Broker, receiver: Receiver, start: Callable[[], Process]
) -> None:
    release = threading.Event()

    def answer(_: Received) -> tuple[int, Mapping[str, str]]:
        release.wait(60)
        return 200, {}

    receiver.answer = answer
    process = start()
    body = {"split": [to_plain(share) for share in CANARY_SPLIT]}
    process.wait_until(
        "the canary is set", lambda: process.client.put("/v1/traffic/fraud", json=body).is_success
    )
    broker.publish(signal(SignalKind.ALERT))
    receiver.wait_for_type("incident.opened")
    started_s = time.monotonic()
    broker.publish(*(signal(SignalKind.ALERT, f"x{hour}", hour) for hour in range(1, 200)), canary_rollback())
    process.wait_until("the split is set back", lambda: process.get("/v1/traffic/fraud")["revision"] == 2)
    assert time.monotonic() - started_s < 3.0
    assert process.get("/v1/incidents?limit=1000")["total"] == 201
    assert process.terminate() == 0
    release.set()


def test_a_rollback_reaches_the_serving_layers_within_a_second(
    broker: Broker, start: Callable[[], Process]
) -> None:
    process = start()
    alone = {"split": [{"version": "1", "variant": "champion", "weight": 1.0}]}
    process.wait_until(
        "a champion is set", lambda: process.client.put("/v1/traffic/fraud", json=alone).is_success
    )
    register(broker.producer, CODEC, {}, [version_record("fraud", "2", None)])
    process.wait_until(
        "the rollout begins",
        lambda: process.client.post("/v1/rollouts", json={"model": "fraud", "version": "2"}).is_success,
    )
    process.wait_until(
        "the registration is in the log", lambda: process.client.get("/v1/lineage/fraud/2").is_success
    )
    lineage = process.get("/v1/lineage/fraud/2")
    assert 0 < lineage["registered_ms"] <= lineage["events"][0]["at_ms"]  # by the broker's time of the record
    assert [event["kind"] for event in lineage["events"]].count("register") == 1
    assert process.client.post("/v1/rollouts/fraud/advance", json={}).json()["at"] == "canary at 5 %"
    consumer = Consumer(broker.settings.librdkafka() | {"group.id": "serving"})
    consumer.assign([TopicPartition(topics.TRAFFIC.name, partition, OFFSET_END) for partition in range(4)])
    assert consumer.poll(1.0) is None
    started_s = time.monotonic()
    broker.publish(canary_rollback(hour=3), canary_rollback(hour=3))
    message = consumer.poll(10.0)
    elapsed_s = time.monotonic() - started_s
    assert message is not None
    traffic = CODEC.decode(message.value() or b"")
    assert isinstance(traffic, Traffic)
    assert traffic.split == (Share("1", Variant.CHAMPION, 1.0),)
    assert elapsed_s < 1.0
    assert consumer.poll(1.0) is None  # once
    consumer.close()
    assert process.get("/v1/rollouts/fraud")["status"] == "rolled-back"
    assert process.terminate() == 0


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"DRIFTSONDE_HTTP_BIND": "0.0.0.0"}, "DRIFTSONDE_CONTROLLER_API_TOKEN"),
        ({"DRIFTSONDE_CONTROLLER_TOKENS_FILE": "empty.toml"}, "empty.toml: tokens: the file has none"),
        ({"DRIFTSONDE_CONTROLLER_TOKENS_FILE": "none.toml"}, "none.toml"),
        ({"DRIFTSONDE_HTTP_PORT": "many"}, "DRIFTSONDE_HTTP_PORT"),
        ({"DRIFTSONDE_CONTROLLER_WEBHOOKS_FILE": "none.toml"}, "none.toml"),
        ({"DRIFTSONDE_CONTROLLER_WEBHOOKS_FILE": "typo.toml"}, "typo.toml: endpointz: unknown field"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line_and_status_2(
    tmp_path: Path, environ: dict[str, str], problem: str
) -> None:
    (tmp_path / "typo.toml").write_text("endpointz = []\n")
    (tmp_path / "empty.toml").write_text("")
    run = subprocess.run(
        [sys.executable, "-m", "driftsonde.controller"],
        env=os.environ | environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert problem in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_help() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "driftsonde.controller", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "signals in" in run.stdout
