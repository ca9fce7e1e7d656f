"""A real Alertmanager: what we post becomes an alert that ends at a receiver, and so does its end; it is told again what it
has forgotten."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from control_examples import after, setting, signal
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.outbound import Sender
from driftsonde.controller.app import Controller
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.config_parts import Channel, Endpoint
from driftsonde.controller.delivery import Deliveries
from driftsonde.controller.outbox import delivery_of
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State
from driftsonde.core.signals import Rule, SignalKind
from fake_api import Answer, Call, FakeApi
from ports import free_port
from required import need_program
from talks import hold

pytestmark = pytest.mark.io

PROGRAM = "prometheus-alertmanager"


@dataclass(slots=True)
class Alertmanager:
    """`receiver` is where its notifications end."""

    program: str
    folder: Path
    port: int
    receiver: FakeApi
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [
                    self.program,
                    f"--config.file={self.folder / 'alertmanager.yml'}",
                    f"--storage.path={self.folder}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until_ready(self.url, self.folder / "log")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)

    def notified(self, status: str, timeout_s: float = 20.0) -> Call:
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            for call in self.receiver.calls:
                if call.body["status"] == status:
                    return call
            time.sleep(0.05)
        pytest.fail(f"no notification of {status} in {timeout_s} s: {self.receiver.calls}")

    def active(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False).json()
        return found


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    program = need_program(PROGRAM, PROGRAM)
    receiver = FakeApi(lambda _: Answer(200))
    config = tmp_path / "alertmanager.yml"
    config.write_text(
        f"""
route: {{receiver: oncall, group_by: [incident], group_wait: 100ms, group_interval: 200ms}}
receivers:
  - name: oncall
    webhook_configs: [{{url: "{receiver.url}/alerts", send_resolved: true}}]
"""
    )
    server = Alertmanager(program, tmp_path, free_port(), receiver)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        receiver.close()


def wait_until_ready(url: str, log: Path) -> None:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    pytest.fail(f"not ready:\n{log.read_text()}")


def test_an_incident_is_an_alert_that_ends_at_a_receiver_and_so_does_its_end(
    alertmanager: Alertmanager,
) -> None:
    endpoint = Endpoint("am", alertmanager.url, (), Channel.ALERTMANAGER)
    config = ControllerConfig(
        (endpoint,), (Route("am", incidents_only=True),), link="https://console.example.com/"
    )
    policy = setting(routes=config.routes)
    now_ms = int(time.time() * 1000)
    state, (opened,) = after(State(), [signal(SignalKind.ALERT, rule=Rule.PERFORMANCE)], policy, now_ms)
    (effect,) = state.pending()
    delivery = delivery_of(config, state, effect, now_ms)
    assert delivery is not None
    assert hold(delivery.talk) == ""
    (alert,) = alertmanager.notified("firing").body["alerts"]
    assert alert["labels"] == {
        "alertname": "ModelPerformance",
        "model": "fraud",
        "version": "1",
        "variant": "champion",
        "severity": "critical",
        "incident": opened.incident,
        "source": "driftsonde",
    }
    assert alert["annotations"]["summary"] == "[CRITICAL] fraud 1: alert of fraud"
    assert alert["generatorURL"] == "https://console.example.com/"

    over = signal(SignalKind.RESOLVE, hour=1, rule=Rule.PERFORMANCE)
    state, _ = after(state, [over], policy, now_ms + 1)
    delivery = delivery_of(config, state, state.pending()[-1], now_ms)
    assert delivery is not None
    assert hold(delivery.talk) == ""
    (alert,) = alertmanager.notified("resolved").body["alerts"]
    assert alert["labels"]["incident"] == opened.incident


def test_what_is_open_is_told_again_until_it_is_over(alertmanager: Alertmanager) -> None:
    """An Alertmanager that was killed has forgotten all alerts; so has one whose alerts have come to their `endsAt`."""
    desk = desk_for(alertmanager, State())
    try:
        desk.work([signal(SignalKind.ALERT, rule=Rule.PERFORMANCE)])
        first = wait_for_alert(alertmanager, desk)
        alertmanager.kill()
        alertmanager.start()
        again = wait_for_alert(alertmanager, desk)
        assert (again["labels"], again["startsAt"]) == (first["labels"], first["startsAt"])
        assert again["endsAt"] > first["endsAt"]
        desk.work([signal(SignalKind.RESOLVE, hour=1, rule=Rule.PERFORMANCE)])
        work_until(desk, lambda: not alertmanager.active())
        for _ in range(30):  # and stays over
            desk.work([])
            time.sleep(0.02)
            assert not alertmanager.active()
    finally:
        desk.deliveries.stop()


def test_whoever_takes_over_repeats_what_was_told_before(alertmanager: Alertmanager) -> None:
    before = desk_for(alertmanager, State())
    try:
        before.work([signal(SignalKind.ALERT)])
        wait_for_alert(alertmanager, before)
        work_until(before, lambda: not before.state.pending())
    finally:
        before.deliveries.stop()
    alertmanager.kill()
    alertmanager.start()
    after_it = desk_for(alertmanager, before.state)
    try:
        wait_for_alert(alertmanager, after_it)
    finally:
        after_it.deliveries.stop()


def desk_for(alertmanager: Alertmanager, state: State) -> Controller:
    """A controller that leads, and repeats every 0.2 s."""
    endpoint = Endpoint("am", alertmanager.url, (), Channel.ALERTMANAGER, repeat_ms=200)
    config = ControllerConfig((endpoint,), (Route("am", incidents_only=True),))
    metrics = create_metrics(CollectorRegistry(), "test", "0")
    controller = Controller(
        setting=setting(routes=config.routes),
        config=config,
        record=lambda _: None,
        deliveries=Deliveries(
            sender=lambda: Sender(frozenset({"127.0.0.1"})),
            endpoints=config.names(),
            delays_ms=(100,) * 100,
            randomness=lambda: 0.5,
            metrics=metrics,
        ),
        metrics=metrics,
        now_ms=lambda: time.time_ns() // 1_000_000,
        sweep_interval_s=0.0,
        register=lambda *_: None,
    )
    controller.deliveries.start(controller.outcome)
    controller.adopt(state)
    return controller


def work_until(desk: Controller, holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline_s
        desk.work([])
        time.sleep(0.02)


def wait_for_alert(alertmanager: Alertmanager, desk: Controller) -> dict[str, Any]:
    work_until(desk, lambda: bool(alertmanager.active()))
    (alert,) = alertmanager.active()
    return alert
