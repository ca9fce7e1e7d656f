"""From a message that no service can read to the people who are told: a real Prometheus and a real Alertmanager with the
deployment's own files, of which only addresses and durations are others."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from confluent_kafka import Producer

from driftsonde.standalone.cluster import Cluster
from ports import free_port
from real_servers import running, wait_for
from required import need_program
from webhook_receiver import Receiver

pytestmark = [pytest.mark.io, pytest.mark.timeout(240)]

DEPLOY = Path(__file__).parents[2] / "deploy"
JOB, ABSENT = "sketcher", {"judge", "archiver", "controller"}


@dataclass(frozen=True, slots=True)
class Watch:
    """`prometheus`: its address. team, oncall: who is told."""

    cluster: Cluster
    prometheus: str
    team: Receiver
    oncall: Receiver


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    programs = [need_program(name, name) for name in ("prometheus", "prometheus-alertmanager")]
    folder = tmp_path_factory.mktemp("alerting")
    ports = free_port(), free_port()
    with ExitStack() as stack:
        team, oncall = Receiver(), Receiver()
        stack.callback(team.close)
        stack.callback(oncall.close)
        cluster = stack.enter_context(Cluster(folder / "cluster", services=(JOB,)))
        write_alertmanager(folder, team, oncall)
        write_prometheus(folder, ports, cluster.ports[JOB])
        commands: list[list[str | Path]] = [
            [
                programs[1],
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{ports[1]}",
                "--cluster.listen-address=",
            ],
            [
                programs[0],
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{ports[0]}",
                # What fires before Alertmanager is found is sent again after this time, a minute otherwise.
                "--rules.alert.resend-delay=2s",
            ],
        ]
        for number, (command, port) in enumerate(zip(commands, reversed(ports), strict=True)):
            log = folder / f"{number}.log"
            stack.enter_context(running(command, {}, log))
            wait_for(f"http://127.0.0.1:{port}/-/ready", log, 60.0)
        yield Watch(cluster, f"http://127.0.0.1:{ports[0]}", team, oncall)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def write_alertmanager(folder: Path, team: Receiver, oncall: Receiver) -> None:
    """Ours, with the test's receivers, and without the time in which alerts gather."""
    config = load(DEPLOY / "alertmanager" / "alertmanager.yml")
    urls = {"team": team.url, "oncall": oncall.url}
    for receiver in config["receivers"]:
        receiver["webhook_configs"][0]["url"] = urls.pop(receiver["name"])
    assert not urls
    for route in (config["route"], *config["route"]["routes"]):
        route["group_wait"] = "1s"
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))


def write_prometheus(folder: Path, ports: tuple[int, int], service: int) -> None:
    """Ours, on the loopback and every second; rules whose condition must have held for a while fire after one."""
    config = load(DEPLOY / "prometheus" / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{ports[1]}"]
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        targets = {JOB: service, "prometheus": ports[0], "alertmanager": ports[1]}
        port = targets.get(job["job_name"])
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"] if port else []}]
    (folder / "rules").mkdir()
    for file in (DEPLOY / "prometheus" / "rules").glob("*.yml"):
        text = file.read_text(encoding="utf-8")
        (folder / "rules" / file.name).write_text(re.sub(r"\bfor: \w+", "for: 1s", text))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))


def test_a_message_that_no_service_can_read_is_told_to_the_team(watch: Watch) -> None:
    producer = Producer(watch.cluster.settings.kafka.librdkafka())
    producer.produce("predictions", b"not ours", partition=2)
    assert producer.flush(10) == 0
    alert = first_alert(watch.team, "DriftsondeDeadLetters")
    assert alert["status"] == "firing"
    assert alert["labels"]["job"] == JOB
    assert alert["labels"]["reason"] == "unknown-framing"
    assert alert["annotations"]["summary"] == f"{JOB} set messages aside: unknown-framing"
    assert alert["annotations"]["runbook_url"] == "deploy/README.md#driftsondedeadletters"
    assert "DriftsondeDeadLetters" not in {entry["labels"]["alertname"] for entry in alerts_of(watch.oncall)}


def test_services_that_are_not_there_are_told_to_whoever_is_on_call(watch: Watch) -> None:
    for count in range(1, len(ABSENT) + 2):
        watch.oncall.wait_for(count, 40.0)
        alerts = [entry for entry in alerts_of(watch.oncall) if entry["status"] == "firing"]
        assert {entry["labels"]["alertname"] for entry in alerts} == {"DriftsondeServiceAbsent"}
        told = {entry["labels"]["job"] for entry in alerts}
        if told >= ABSENT:
            break
    assert told - {JOB} == ABSENT  # the one that runs may have been missed before the first scrape


def test_every_rule_works_on_what_a_service_really_exposes(watch: Watch) -> None:
    answer = httpx.get(f"{watch.prometheus}/api/v1/rules", trust_env=False).raise_for_status().json()
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert len(rules) > 20
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] == "err"] == []
    targets = httpx.get(f"{watch.prometheus}/api/v1/targets", trust_env=False).raise_for_status().json()
    up = {entry["labels"]["job"]: entry["health"] for entry in targets["data"]["activeTargets"]}
    assert up == {JOB: "up", "prometheus": "up", "alertmanager": "up"}


def alerts_of(receiver: Receiver) -> list[dict[str, Any]]:
    return [alert for message in list(receiver.received) for alert in json.loads(message.raw)["alerts"]]


def first_alert(receiver: Receiver, name: str, most_messages: int = 10) -> dict[str, Any]:
    """The first alert of this name; fails if it does not come."""
    for count in range(1, most_messages + 1):
        receiver.wait_for(count, 60.0)
        found = [alert for alert in alerts_of(receiver) if alert["labels"]["alertname"] == name]
        if found:
            return found[0]
    raise AssertionError(f"no {name} in the first {most_messages} messages")
