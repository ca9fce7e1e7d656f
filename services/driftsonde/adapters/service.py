"""What the entry point of every service shares: health, readiness, metrics over HTTP, and how a service is stopped."""

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import TextIO

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from driftsonde.adapters.settings import HttpSettings

# Kubernetes kills after 30 s.
STOP_WITHIN_S = 25.0

_log = logging.getLogger(__name__)


class Conditions:
    """Named conditions, each with a problem or none. Safe to use from any thread."""

    def __init__(self, problems: Mapping[str, str] | None = None) -> None:
        self._problems: dict[str, str] = dict(problems or {})
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def fail(self, condition: str, problem: str) -> None:
        with self._lock:
            self._problems[condition] = problem

    def clear(self, condition: str) -> None:
        with self._lock:
            self._problems.pop(condition, None)
            waiting = [] if self._problems else self._waiting
            if waiting:
                self._waiting = []
        for call in waiting:
            call()

    def when_clear(self, call: Callable[[], None]) -> None:
        """Call `call` once: now, or when the last problem is cleared, in the thread that clears it."""
        with self._lock:
            if self._problems:
                self._waiting.append(call)
                return
        call()

    def problems(self) -> dict[str, str]:
        with self._lock:
            return dict(self._problems)


class HealthServer:
    """/healthz, /readyz and /metrics on a port of its own, in threads of its own.

    /healthz answers 503 while `live` has a problem (restart the process), /readyz while `ready` has one (wait).
    """

    def __init__(
        self, settings: HttpSettings, registry: CollectorRegistry, live: Conditions, ready: Conditions
    ) -> None:
        handler = _handler(registry, live, ready)
        self._server = ThreadingHTTPServer((settings.bind, settings.port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "HealthServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def announce_ready(service: str, port: int, stream: TextIO | None = None, **more: object) -> None:
    """Print the one line that tells whoever started the process that it is ready, and where it listens."""
    line = json.dumps({"event": "ready", "service": service, "port": port, **more})
    print(line, file=stream or sys.stdout, flush=True)


def end_within(timeout_s: float) -> None:
    """End the process after this long, in whatever it may be caught: what it has not stored is read again."""

    def end() -> None:
        _log.warning("told to stop, and a server is away: ending", extra={"after_s": timeout_s})
        os._exit(0)

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    timer.start()


def stop_on_signals(
    on_stop: Callable[[], None] | None = None, within_s: float | None = None
) -> threading.Event:
    """An event that SIGTERM and SIGINT set, calling `on_stop` once; a second signal ends the process at once.

    within_s: the process ends at the latest after this long. Call it from the main thread.
    """
    stop = threading.Event()
    if within_s is not None:
        _watch_signals(within_s)

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        if on_stop is not None:
            on_stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def _watch_signals(within_s: float) -> None:
    """Python's own handlers wait for the main thread, which may be in a call that takes a minute."""
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.fileno())

    def watch() -> None:
        with told, tell:
            told.recv(1)
            end_within(within_s)
            while told.recv(64):
                pass

    threading.Thread(target=watch, name="signals", daemon=True).start()


def _handler(
    registry: CollectorRegistry, live: Conditions, ready: Conditions
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that sends nothing doesn't hold its thread

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._answer_conditions(live)
                case "/readyz":
                    self._answer_conditions(ready)
                case "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                case _:
                    self._answer(404, "text/plain", b"not found; there are /healthz, /readyz and /metrics\n")

        def _answer_conditions(self, conditions: Conditions) -> None:
            problems = conditions.problems()
            body = json.dumps({"ok": not problems, "reasons": problems}) + "\n"
            self._answer(503 if problems else 200, "application/json", body.encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes every few seconds are not news."""

    return Handler
