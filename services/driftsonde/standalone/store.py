"""The embedded store: one small process that owns chDB and serves it over ClickHouse's HTTP interface.

    python -m driftsonde.standalone.store --path DIR --port 0

Prints one line, `{"event": "ready", "host": ..., "port": ...}`, when it serves. SIGTERM finishes the requests in hand,
closes chDB and exits with 0. What was acknowledged survives a kill -9 of the process (not a power cut: chDB, like a
ClickHouse server, leaves flushing to the operating system).
"""

import argparse
import ipaddress
import json
import signal
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from driftsonde.standalone.store_engine import Engine
from driftsonde.standalone.store_http import StoreApp

# ClickHouse's own bound on an address (http_max_uri_size).
_MAX_ADDRESS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreSettings:
    path: Path
    host: str
    port: int
    token: str
    max_body_bytes: int
    max_execution_s: int
    concurrency: int


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        host, port = sockets[0].getsockname()[:2]
        print(json.dumps({"event": "ready", "host": host, "port": port}), flush=True)


def serve(settings: StoreSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port is taken, RuntimeError when the path is."""
    listener = socket.create_server((settings.host, settings.port))
    # Connections inherit it; without it each small answer waits about 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    engine = Engine(settings.path, settings.max_execution_s)
    executor = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="store")
    app = StoreApp(engine, executor, token=settings.token, max_body_bytes=settings.max_body_bytes)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=60,
        # No statement takes longer; a client that stalls its upload can't hold up the end.
        timeout_graceful_shutdown=settings.max_execution_s,
        h11_max_incomplete_event_size=_MAX_ADDRESS_BYTES,
    )
    server = _Server(config)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn raises the signal again once it has stopped; this handler lets the rest of this function run.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.run(sockets=[listener])
    executor.shutdown(wait=True)
    engine.close()


def parse_arguments(arguments: Sequence[str]) -> StoreSettings:
    parser = argparse.ArgumentParser(prog="driftsonde.standalone.store", description=__doc__.splitlines()[0])
    parser.add_argument("--path", type=Path, required=True, help="directory of the data")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--token", default="", help="the password that every user must give")
    parser.add_argument(
        "--max-body-mb", type=int, default=256, help="bound on a request body, as sent and unpacked"
    )
    parser.add_argument("--max-execution-s", type=int, default=120, help="bound on a statement's time")
    parser.add_argument("--concurrency", type=int, default=4, help="statements that run at the same time")
    options = parser.parse_args(arguments)
    if not options.token and not _is_loopback(options.host):
        parser.error("--host other than this machine's needs --token")
    return StoreSettings(
        path=options.path,
        host=options.host,
        port=options.port,
        token=options.token,
        max_body_bytes=options.max_body_mb << 20,
        max_execution_s=options.max_execution_s,
        concurrency=options.concurrency,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    serve(parse_arguments(sys.argv[1:]))
