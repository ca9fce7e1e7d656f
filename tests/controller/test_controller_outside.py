"""The controller as a process among the systems that it speaks to: from drift to a new version that is on its way."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer

from control_examples import signal
from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.kafka import ensure_topics, producer_config
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.adapters.wire_control import CONTROL_TYPES
from driftsonde.adapters.wire_models import MODEL_RECORD, register, spec_record, version_record
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.core.spec import ActionPolicy, Mode, ModelSpec, Policy, Task
from fake_api import Answer, Call, FakeApi
from mlflow_api import MlflowApi
from vendor_shapes import check_pagerduty

pytestmark = pytest.mark.io

CODEC = Codec((*CONTROL_TYPES, MODEL_RECORD))
ROUTING_KEY = "r" * 32
CHAMPION_ONLY = [{"version": "1", "variant": "champion", "weight": 1.0}]


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    """The embedded broker, with a model whose policy acts by itself and its first version."""
    host = Producer({"test.mock.num.brokers": 1}, logger=logging.getLogger("test"))
    address = ",".join(f"{it.host}:{it.port}" for it in host.list_topics(timeout=10).brokers.values())
    settings = KafkaSettings(bootstrap_servers=address)
    ensure_topics(settings)
    policy = Policy(actions=ActionPolicy(retrain=Mode.AUTO, promote=Mode.AUTO, learning_ms=0))
    records = [
        spec_record(ModelSpec("fraud", Task.BINARY, policy=policy)),
        version_record("fraud", "1", None),
    ]
    register(Producer(producer_config(settings)), CODEC, {}, records)
    yield settings
    host.flush(1)


def publish(kafka: KafkaSettings, event: Signal) -> None:
    producer = Producer(producer_config(kafka))
    producer.produce(topics.SIGNALS.name, key=event.model.encode(), value=CODEC.encode(event))
    producer.flush(10)


@contextmanager
def controller(kafka: KafkaSettings, config: Path) -> Iterator[httpx.Client]:
    environ = {
        "DRIFTSONDE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "DRIFTSONDE_CONTROLLER_WEBHOOKS_FILE": str(config),
        "DRIFTSONDE_CONTROLLER_SWEEP_INTERVAL_S": "0.2",
        "DRIFTSONDE_LOG_LEVEL": "WARNING",
        "PAGERDUTY_KEY": ROUTING_KEY,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "driftsonde.controller"],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the controller ended with status {process.wait(20)}"
        port = json.loads(line)["port"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            yield client
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def wait_until(what: str, holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def ok(response: httpx.Response) -> bool:
    assert response.status_code in (200, 503), response.text  # 503: it does not lead yet
    return response.is_success


def test_from_drift_to_a_new_version_on_its_way(kafka: KafkaSettings, tmp_path: Path) -> None:
    registry = MlflowApi([1_000], {})
    events: list[tuple[str, str]] = []

    def run(call: Call) -> Answer:
        if call.method == "POST":  # the pipeline registers the version that it trains
            registry.created_ms.append(int(time.time() * 1000))
            registry.tags["2"] = [{"key": "driftsonde.decision", "value": call.body["conf"]["decision"]}]
            return Answer(200, {"dag_run_id": call.body["dag_run_id"]})
        return Answer(200, {"state": "success"})

    def page(call: Call) -> Answer:
        check_pagerduty(call, ROUTING_KEY)
        events.append((call.body["event_action"], call.body["dedup_key"]))
        return Answer(202, {"status": "success"})

    pagerduty, airflow, mlflow = FakeApi(page), FakeApi(run), FakeApi(registry.answer)
    config = tmp_path / "controller.toml"
    config.write_text(
        f"""
        allow_hosts = ["127.0.0.1"]
        retry_delays = ["100ms"]
        [[endpoints]]
        name = "pager"
        type = "pagerduty"
        url = "{pagerduty.url}"
        key_env = "PAGERDUTY_KEY"
        [retrain]
        type = "airflow"
        url = "{airflow.url}"
        dag = "retrain_{{model}}"
        key = "token"
        poll = "100ms"
        [registry]
        url = "{mlflow.url}"
        poll = "100ms"
        [[actuators]]
        name = "aliases"
        type = "mlflow"
        url = "{mlflow.url}"
        """
    )
    with controller(kafka, config) as client:
        body = {"split": CHAMPION_ONLY}
        wait_until("a split is set", lambda: ok(client.put("/v1/traffic/fraud", json=body)))
        wait_until("MLflow follows", lambda: registry.aliases == {"champion": "1"})
        publish(kafka, signal(SignalKind.RETRAIN))
        wait_until("the candidate is on its way", lambda: registry.aliases.get("challenger") == "2")
        wait_until(
            "it is in the catalogue",
            lambda: "2" in client.get("/v1/models/fraud").json()["versions"],
        )
        publish(kafka, signal(SignalKind.RESOLVE, hour=1))
        wait_until("it is over", lambda: any(action == "resolve" for action, _ in events))
        decisions = client.get("/v1/decisions").json()["items"]
    for api in (pagerduty, airflow, mlflow):
        api.close()
    assert [action for action, _ in events] == ["trigger", "resolve"]
    assert len({key for _, key in events}) == 1
    assert sum(call.method == "POST" for call in airflow.calls) == 1
    steps = {entry["kind"]: entry["steps"] for entry in reversed(decisions)}
    assert steps["retrain"] == ["decided", "started", "performed"]
    assert steps["candidate"] == ["decided", "started", "performed"]
    assert steps["rollout"][0] == "decided"
