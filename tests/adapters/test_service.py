import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from io import StringIO

import pytest
from prometheus_client import CollectorRegistry

from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.service import Conditions, HealthServer, announce_ready
from driftsonde.adapters.settings import HttpSettings


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.io
def test_health_readiness_and_metrics() -> None:
    registry = CollectorRegistry()
    create_metrics(registry, "judge", "1")
    live, ready = Conditions(), Conditions({"store": "not connected"})
    with HealthServer(HttpSettings(), registry, live, ready) as server:
        assert get(server.port, "/healthz") == (200, '{"ok": true, "reasons": {}}\n')
        status, body = get(server.port, "/readyz")
        assert status == 503
        assert json.loads(body) == {"ok": False, "reasons": {"store": "not connected"}}
        ready.clear("store")
        assert get(server.port, "/readyz?verbose")[0] == 200
        live.fail("consumer", "stuck")
        assert get(server.port, "/healthz")[0] == 503
        status, body = get(server.port, "/metrics")
        assert status == 200
        assert "driftsonde_build_info" in body
        assert get(server.port, "/elsewhere")[0] == 404


def test_a_call_waits_for_the_last_problem_once() -> None:
    calls: list[int] = []
    conditions = Conditions({"broker": "?", "store": "?"})
    conditions.when_clear(lambda: calls.append(1))
    conditions.clear("broker")
    assert calls == []
    conditions.clear("store")
    conditions.clear("store")
    assert calls == [1]
    conditions.when_clear(lambda: calls.append(2))
    assert calls == [1, 2]


def test_the_ready_line() -> None:
    stream = StringIO()
    announce_ready("judge", 8123, stream, pid=7)
    assert stream.getvalue() == '{"event": "ready", "service": "judge", "port": 8123, "pid": 7}\n'


_PROGRAM = """
import sys, time
from driftsonde.adapters.service import stop_on_signals
within_s = 1.0 if sys.argv[1] == "caught" else None
stop = stop_on_signals(lambda: print("stopping", flush=True), within_s)
print("up", flush=True)
stop.wait()
if sys.argv[1] != "clean":
    time.sleep(60)
print("clean", flush=True)
"""


def run(argument: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, argument], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.io
def test_sigterm_stops_cleanly() -> None:
    with run("clean") as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10)[0] == "stopping\nclean\n"
        assert process.returncode == 0


@pytest.mark.io
def test_a_second_sigterm_ends_the_process_at_once() -> None:
    with run("hang") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 128 + signal.SIGTERM
        assert time.monotonic() - started < 5


@pytest.mark.io
def test_what_is_caught_in_a_call_ends_in_time() -> None:
    with run("caught") as process:
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - started >= 1.0
