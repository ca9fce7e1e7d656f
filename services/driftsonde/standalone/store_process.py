"""Start the embedded store as a child process, for the demo and for tests."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STOP_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class StoreProcess:
    """A store that serves at (host, port); `process` is there to be signalled and waited for."""

    process: subprocess.Popen[str]
    host: str
    port: int


@contextmanager
def running_store(path: Path, *options: str, port: int = 0) -> Iterator[StoreProcess]:
    """A store on `path` from its ready line until the block ends; `options` as on its command line.

    Leaving the block stops it with SIGTERM, and kills it where that doesn't help. Raises RuntimeError when it ends
    before it serves; its own message is on stderr.
    """
    command = [sys.executable, "-m", "driftsonde.standalone.store", "--path", str(path), "--port", str(port)]
    # A session of its own: Ctrl-C is for the parent, which stops the services first and the store last.
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None  # asked for above
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(
                    f"the store on {path} ended before it served, with status {process.wait()}"
                )
            ready = json.loads(line)
            yield StoreProcess(process, ready["host"], ready["port"])
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
