"""Who the controller's webhooks go to: a small server that believes only what is signed.

The check is written from the text of Standard Webhooks 1.0.0, and shares no code with the controller that signs.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_S = 300
MAX_BODY_BYTES = 1_000_000
_KEY_BYTES = 32


class BadSignature(ValueError):
    """A message that whoever knows the secret did not send, or not now."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that proved genuine. `at_ms` is when it came (wall clock)."""

    endpoint: str
    id: str
    type: str
    at_ms: int
    body: Mapping[str, Any]

    @property
    def data(self) -> Mapping[str, Any]:
        data: Mapping[str, Any] = self.body["data"]
        return data


def new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}"


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """The id of the message. Raises `BadSignature`."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, timestamp, signatures = (headers.get(name, "") for name in names)
    if not message_id or not timestamp.isdecimal():
        raise BadSignature("no id, or no timestamp")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise BadSignature(f"the timestamp is more than {TOLERANCE_S} s off")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    for signature in signatures.split():
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), expected.encode()):
            return message_id
    raise BadSignature("no signature fits")


@dataclass(slots=True)
class Receiver:
    """Listens on the loopback from entering the block to leaving it; `secrets` has one for each endpoint, which is a
    path of one name. `deliveries` are the genuine ones, each id once; `refused` counts the others."""

    secrets: Mapping[str, str]
    deliveries: tuple[Delivery, ...] = ()
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer = field(init=False)

    def __enter__(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = min(int(self.headers.get("content-length", "0")), MAX_BODY_BYTES)
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver.take(self.path, headers, self.rfile.read(length)))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Standard error is for people."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="webhooks", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, endpoint: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{endpoint}"

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        """Keep a message if it is genuine; the status to answer with."""
        endpoint = path.removeprefix("/")
        try:
            if endpoint not in self.secrets:
                raise BadSignature(f"there is no endpoint {endpoint!r}")
            message_id = verify(self.secrets[endpoint], headers, body, time.time())
            content = json.loads(body)
            delivery = Delivery(endpoint, message_id, content["type"], time.time_ns() // 1_000_000, content)
        except (BadSignature, ValueError, KeyError, TypeError):
            with self._lock:
                self.refused += 1
            return HTTPStatus.UNAUTHORIZED
        with self._lock:
            # Delivery is at least once; the id says what came before.
            if all(known.id != message_id for known in self.deliveries):
                self.deliveries = (*self.deliveries, delivery)
        return HTTPStatus.NO_CONTENT
