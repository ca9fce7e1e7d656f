"""A store whose disk is small, and can be filled and emptied."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_ALONE = ("unshare", "--map-root-user", "--mount")
_STOP_TIMEOUT_S = 30
_PIECES = (bytes(1 << 20), bytes(1 << 12), bytes(1))


def no_small_disk() -> str | None:
    """Why this machine can't give a process a disk of its own, as a sentence; None if it can."""
    try:
        done = subprocess.run([*_ALONE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "a small disk needs `unshare` (Linux)"
    return f"a small disk needs namespaces: {done.stderr.strip()}" if done.returncode else None


@dataclass(frozen=True, slots=True)
class SmallDiskStore:
    """An embedded store at (host, port); `disk` is its disk, as seen from outside."""

    host: str
    port: int
    disk: Path

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.disk / "ballast").open("ab", buffering=0) as ballast:
            for piece in _PIECES:
                with suppress(OSError):
                    while ballast.write(piece):
                        pass

    def empty(self) -> None:
        (self.disk / "ballast").unlink()


@contextmanager
def store_on_small_disk(path: Path, size_mb: int) -> Iterator[SmallDiskStore]:
    """The store sees a disk of its own at `path`; nobody else does."""
    path.mkdir()
    serve = f"{sys.executable} -m driftsonde.standalone.store --path {path}/data --port 0"
    mount = f"mount -t tmpfs -o size={size_mb}m tmpfs {path}"
    with subprocess.Popen(
        [*_ALONE, "sh", "-c", f"{mount} && exec {serve}"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None  # asked for above
            ready = json.loads(process.stdout.readline())
            yield SmallDiskStore(ready["host"], ready["port"], Path(f"/proc/{process.pid}/root{path}"))
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
