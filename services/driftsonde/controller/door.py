"""The API on a port, in a thread of its own."""

import importlib.metadata
import socket
import threading

import uvicorn

from driftsonde.controller.api import create_api
from driftsonde.controller.backend import Backend

VERSION = importlib.metadata.version("driftsonde")


class Door:
    """Serves from its making on. Raises OSError where the port can't be had; 0 takes any free one."""

    def __init__(self, bind: str, port: int, backend: Backend) -> None:
        self._socket = socket.create_server(
            (bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET
        )
        self.port: int = self._socket.getsockname()[1]
        api = create_api(backend, VERSION)
        self._server = uvicorn.Server(
            uvicorn.Config(
                api, log_config=None, access_log=False, timeout_graceful_shutdown=5, lifespan="off"
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="api", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10.0)
