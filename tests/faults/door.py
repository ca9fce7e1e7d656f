"""A door in front of the store, through which its clients can be given every kind of bad answer."""

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_PIECE_BYTES = 1 << 14
_CUT_BYTES = 5_000
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


@dataclass(slots=True)
class FaultDoor:
    """A TCP relay to `target` (host, port), on a port of its own.

    `fault` decides what becomes of the answers that follow, or of every `every`-th of them:
    refuse (503 in its place), silence, cut (some of it comes), drop (nothing of it comes: what was asked for was done,
    and the client does not know). With "away" nothing reaches the store and connections break. `bytes_per_s` bounds what
    passes towards the store (`passed_bytes` so far), and `delay_s` is how much later its answers come.
    """

    target: tuple[str, int]
    fault: str = "none"
    every: int = 1
    bytes_per_s: float = math.inf
    delay_s: float = 0.0
    struck: int = 0
    passed_bytes: int = 0
    port: int = field(init=False)
    _answers: int = 0
    _listener: socket.socket = field(init=False)
    _open: list[socket.socket] = field(default_factory=list)
    _pace: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def behave(self) -> None:
        """No faults from now on."""
        self.fault, self.every, self.bytes_per_s, self.delay_s = "none", 1, math.inf, 0.0

    def close(self) -> None:
        for connection in (self._listener, *self._open):
            _close(connection)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.fault == "away":
                    self.struck += 1
                    _close(client)
                    continue
                try:
                    store = socket.create_connection(self.target)
                except OSError:  # the store itself has gone
                    _close(client)
                    continue
                self._open += [client, store]
                threading.Thread(target=self._relay, args=(client, store), daemon=True).start()
                threading.Thread(target=self._relay_answers, args=(store, client), daemon=True).start()

    def _relay(self, client: socket.socket, store: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_PIECE_BYTES):
                if self.fault == "away":
                    self.struck += 1
                    break
                with self._pace:  # held while it sleeps: the bound is on all connections together
                    time.sleep(len(data) / self.bytes_per_s)
                    self.passed_bytes += len(data)
                store.sendall(data)
        _close(client)
        _close(store)

    def _relay_answers(self, store: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := store.recv(_PIECE_BYTES):
                time.sleep(self.delay_s)
                if self.fault in ("none", "away") or not self._strikes():
                    client.sendall(data)
                elif self.fault == "refuse":
                    client.sendall(_REFUSAL)
                elif self.fault != "silence":
                    client.sendall(data[: min(_CUT_BYTES, len(data) - 1)] if self.fault == "cut" else b"")
                    break
        _close(store)
        _close(client)

    def _strikes(self) -> bool:
        self._answers += 1
        strikes = self._answers % self.every == 0
        self.struck += strikes
        return strikes


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def fault_door(host: str, port: int) -> Iterator[FaultDoor]:
    """A door to the store at (host, port), open until the block ends."""
    door = FaultDoor((host, port))
    try:
        yield door
    finally:
        door.close()
