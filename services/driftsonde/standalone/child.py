"""A child process that says in one line of standard output when it is ready, and logs the rest to a file."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

_TAIL_LINES = 15


class ChildFailed(RuntimeError):
    """A child ended, or was not ready in time; the message ends with what it last wrote."""


class Child:
    """`python -m module arguments`, started when this is made. `log` gets its standard error, and its standard output
    but for the ready line."""

    def __init__(
        self, name: str, module: str, environ: Mapping[str, str], log: Path, arguments: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.log = log
        self._told = False  # a service takes a second SIGTERM for impatience, and ends at once
        self._ready: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # Ctrl-C is for the parent, which stops its children in order.
                start_new_session=True,
            )
        assert self.process.stdout is not None  # asked for above
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def wait_ready(self, timeout_s: float) -> dict[str, Any]:
        """The ready line's content. Raises `ChildFailed`."""
        try:
            ready = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            raise ChildFailed(f"{self.name} was not ready within {timeout_s:g} s{self.tail()}") from None
        if ready is None:
            raise ChildFailed(
                f"{self.name} ended before it was ready, with status {self.process.wait()}{self.tail()}"
            )
        return ready

    def check(self) -> None:
        """Raise `ChildFailed` if the process has ended."""
        status = self.process.poll()
        if status is not None:
            raise ChildFailed(f"{self.name} ended with status {status}{self.tail()}")

    def terminate(self) -> None:
        """Tell it to end, and don't wait."""
        if not self._told:
            self._told = True
            self.process.terminate()

    def stop(self, timeout_s: float) -> None:
        """SIGTERM, then SIGKILL where that doesn't help in time."""
        self.terminate()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()

    def tail(self) -> str:
        """The last lines of the log, to be added to a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return "".join(f"\n  {line}" for line in [f"its log, {self.log}, ends:", *lines]) if lines else ""

    def _read(self, output: TextIO) -> None:
        with output, self.log.open("a", encoding="utf-8") as log:
            for line in output:
                ready = _ready_line(line)
                if ready is None:
                    log.write(line)
                    log.flush()
                else:
                    self._ready.put(ready)
        self._ready.put(None)


def _ready_line(line: str) -> dict[str, Any] | None:
    try:
        # Faust moves the cursor first, whether there is one or not.
        content = json.loads(line[line.index("{") :])
    except ValueError:
        return None
    return content if isinstance(content, dict) and content.get("event") == "ready" else None
