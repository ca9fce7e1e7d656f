"""A small real webhook receiver on the loopback: it verifies, remembers, and answers as it is told."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import standardwebhooks

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass(frozen=True, slots=True)
class Received:
    headers: Mapping[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    def verify(self, secret: str = SECRET) -> None:
        """By the reference library; raises if the signature is not what it should be."""
        standardwebhooks.Webhook(secret).verify(self.raw, dict(self.headers))


Answering = Callable[[Received], tuple[int, Mapping[str, str]]]


@dataclass(slots=True)
class Receiver:
    """`answer` gives status and headers for each message; it may block."""

    answer: Answering = lambda _: (200, {})
    received: list[Received] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                raw = self.rfile.read(length)
                if len(raw) < length:  # the sender was killed
                    return
                message = Received({key.lower(): value for key, value in self.headers.items()}, raw)
                with receiver._arrived:
                    receiver.received.append(message)
                    receiver._arrived.notify_all()
                status, headers = receiver.answer(message)
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Not a test's business."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait_for(self, count: int, timeout_s: float = 20.0) -> list[Received]:
        """The first `count` messages; fails if they do not come."""
        with self._arrived:
            came = self._arrived.wait_for(lambda: len(self.received) >= count, timeout_s)
            assert came, f"{len(self.received)} of {count} messages came in {timeout_s} s"
            return self.received[:count]

    def wait_for_type(self, message_type: str, timeout_s: float = 20.0) -> Received:
        """The first message of this type."""

        def found() -> list[Received]:
            return [message for message in self.received if message.body["type"] == message_type]

        with self._arrived:
            types = [message.body["type"] for message in self.received]
            assert self._arrived.wait_for(lambda: bool(found()), timeout_s), (
                f"no {message_type} among {types}"
            )
            return found()[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
