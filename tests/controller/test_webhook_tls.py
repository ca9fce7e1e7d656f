"""That the connection to a checked address is made, and verified, under the host's name: with a real TLS server."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from driftsonde.adapters.outbound import Request, Sender
from driftsonde.adapters.webhook import parse_secret
from driftsonde.core.control.retry import Answer
from required import need_program
from webhook_receiver import SECRET

pytestmark = pytest.mark.io

HOST = "hooks.example.test"


@dataclass(slots=True)
class Server:
    """`names` are the names that clients asked for in TLS, `hosts` those in their requests."""

    port: int
    certificate: Path
    names: list[str | None] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        need_program("openssl", "openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            served.hosts.append(self.headers["host"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not a test's business."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that does not trust us hangs up."""

    http = Quiet(("127.0.0.1", 0), Handler)
    served = Server(http.server_address[1], certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _socket, name, _context: served.names.append(name)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield served
    http.shutdown()
    http.server_close()


def send(server: Server, host: str) -> Answer:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async def run() -> Answer:
        trusting = ssl.create_default_context(cafile=str(server.certificate))
        sender = Sender(frozenset({host}), lookup=lookup, verify=trusting)
        try:
            url = f"https://{host}:{server.port}/"
            return (await sender.send(Request(url, b"{}", keys=(parse_secret(SECRET),), id="m1"))).answer
        finally:
            await sender.close()

    return asyncio.run(run())


def test_the_hosts_name_is_asked_for_and_verified(server: Server) -> None:
    assert send(server, HOST) == Answer(204)
    assert server.names == [HOST]
    assert server.hosts == [f"{HOST}:{server.port}"]


def test_a_certificate_for_another_name_is_refused(server: Server) -> None:
    answer = send(server, "other.example.test")
    assert answer.status == 0
    assert "certificate" in answer.error
    assert server.hosts == []
