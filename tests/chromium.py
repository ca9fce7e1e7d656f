"""Debian's Chromium, driven over its DevTools pipe: no port, no driver program, no package.

The protocol is JSON, one message after another, each ended by a zero byte; the browser reads from its file 3 and writes
to its file 4.
"""

import base64
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from required import need_program

# Under a busy machine's load a browser takes its time; nothing here waits that long otherwise.
_PATIENCE_S = 30.0
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
_KEYS = {"Tab": 9, "Enter": 13}


class BrowserError(RuntimeError):
    """The browser refuses a command, or a page's script fails."""


@dataclass(slots=True)
class Pipe:
    """Commands to a browser and what it says by itself. Not for several threads."""

    commands: int
    messages: int
    _number: int = 0
    _read: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, session: str = "", /, **params: object) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        content = json.dumps(message | ({"sessionId": session} if session else {})).encode()
        os.write(self.commands, content + b"\0")
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            answer = self.next(deadline_s)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            if "method" in answer:
                self.events.append(answer)

    def next(self, deadline_s: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            if not select.select([self.messages], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self.messages, 1 << 20)
            if not part:
                raise BrowserError("the browser has ended")
            self._read += part
        first, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


@dataclass(slots=True)
class Tab:
    """One page of a browser."""

    pipe: Pipe
    session: str

    def call(self, method: str, /, **params: object) -> dict[str, Any]:
        return self.pipe.call(method, self.session, **params)

    def open(self, url: str) -> None:
        """Until the page and all that it asks for is there."""
        self.pipe.events.clear()
        self.call("Page.navigate", url=url)
        self.wait_until("document.readyState === 'complete'", url)

    def requested(self) -> list[str]:
        """What was asked for since the last `open`."""
        return [
            event["params"]["request"]["url"]
            for event in self.pipe.events
            if event["method"] == "Network.requestWillBeSent" and event.get("sessionId") == self.session
        ]

    def told(self) -> list[str]:
        """Errors and warnings of the page since the last `open`, such as a broken content security policy."""
        return [
            str(event["params"])
            for event in self.pipe.events
            if event["method"] == "Runtime.exceptionThrown"
            or (
                event["method"] == "Log.entryAdded"
                and event["params"]["entry"]["level"] in ("error", "warning")
            )
        ]

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_until(self, expression: str, url: str = "") -> None:
        """Until an expression holds on the page (at `url`)."""
        at = f"location.href === {json.dumps(url)} && " if url else ""
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            try:
                if self.evaluate(f"{at}Boolean({expression})"):
                    return
            except BrowserError:
                """The page is being replaced: ask the next one."""
            time.sleep(0.05)
        raise TimeoutError(f"never: {expression}; the page says {self.text()!r:.500}")

    def text(self) -> str:
        """What a person reads on the page, in one line."""
        return " ".join(str(self.evaluate("document.body.innerText")).split())

    def look(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        """A key of `_KEYS`."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=_KEYS[key],
                **text,
            )

    def write(self, text: str) -> None:
        """Into the field that has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """In the middle of the element, as a mouse does: what covers it gets the click."""
        place = self.evaluate(
            f"""(() => {{
                const it = document.querySelector({json.dumps(selector)});
                if (!it) return null;
                it.scrollIntoView({{ block: "center" }});
                const box = it.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        assert place, f"no {selector} on the page: {self.text():.500}"
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def submit(self, selector: str) -> None:
        """A click that leads to a page: until that one is there."""
        self.evaluate("window.left = true")
        self.click(selector)
        self.wait_until("!window.left && document.readyState === 'complete'")

    def picture(self, file: Path, *, most_height: int = 2_400) -> None:
        """The whole page from its top, at most so high, as WebP."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {
            "x": 0,
            "y": 0,
            "width": size["width"],
            "height": min(size["height"], most_height),
            "scale": 1,
        }
        taken = self.call(
            "Page.captureScreenshot", clip=clip, captureBeyondViewport=True, format="webp", quality=80
        )
        file.write_bytes(base64.b64decode(taken["data"]))


def chromium() -> str:
    """The program; without it the test is skipped, or fails where CI is set."""
    return need_program("chromium", "chromium")


@contextmanager
def browsing(folder: Path) -> Iterator[Tab]:
    """A tab of a fresh browser that keeps its profile in `folder`."""
    program = chromium()
    their_commands, commands = os.pipe()
    messages, their_messages = os.pipe()
    # Numbers that can't be 3 or 4, which they become in the browser.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in (their_commands, their_messages)]
    options = (*_OPTIONS, f"--user-data-dir={folder}", *(("--no-sandbox",) if os.geteuid() == 0 else ()))
    log = os.open(folder / "browser.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    actions = [(os.POSIX_SPAWN_DUP2, ends[0], 3), (os.POSIX_SPAWN_DUP2, ends[1], 4)]
    actions += [(os.POSIX_SPAWN_DUP2, log, number) for number in (1, 2)]
    environ = {**os.environ, "HOME": str(folder)}
    pid = os.posix_spawn(
        program, [program, *options, "about:blank"], environ, file_actions=actions, setpgroup=0
    )
    for end in (their_commands, their_messages, *ends, log):
        os.close(end)
    try:
        yield _tab(Pipe(commands, messages))
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(commands)
        os.close(messages)


def _tab(pipe: Pipe) -> Tab:
    target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
    session = pipe.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    tab = Tab(pipe, session)
    for domain in ("Page", "Runtime", "Network", "Log"):
        tab.call(f"{domain}.enable")
    return tab
