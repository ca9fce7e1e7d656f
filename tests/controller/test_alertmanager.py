"""A real Alertmanager: what we post becomes an alert that ends at a receiver, and so does its end."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from control_examples import after, setting, signal
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.config_parts import Channel, Endpoint
from driftsonde.controller.outbox import delivery_of
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State
from driftsonde.core.signals import Rule, SignalKind
from fake_api import Answer, Call, FakeApi
from ports import free_port
from required import need
from talks import hold

pytestmark = pytest.mark.io

PROGRAM = "prometheus-alertmanager"


@dataclass(slots=True)
class Alertmanager:
    """`receiver` is where its notifications end."""

    url: str
    receiver: FakeApi

    def notified(self, status: str, timeout_s: float = 20.0) -> Call:
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            for call in self.receiver.calls:
                if call.body["status"] == status:
                    return call
            time.sleep(0.05)
        pytest.fail(f"no notification of {status} in {timeout_s} s: {self.receiver.calls}")


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    program = shutil.which(PROGRAM)
    need(None if program else f"{PROGRAM} is missing; Debian's package of that name has it")
    assert program is not None
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
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.path={tmp_path}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", tmp_path / "log")
            yield Alertmanager(f"http://127.0.0.1:{port}", receiver)
        finally:
            process.kill()
            process.wait(20)
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
