"""A talk with another system: what is to be asked, in its order, as a generator that does nothing itself.

Whoever drives it sends each request, tries again as its patience allows, and hands the reply back in. So a talk knows
nothing of retries, clocks or sockets, and what several systems need (ask, wait, ask again) is written down plainly.
"""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from driftsonde.adapters.outbound import Reply, Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next request."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Started:
    """What was asked for is under way at the other side, as `run`; it is still to be followed to its end."""

    run: str


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Put this content into a file, whole or not at all."""

    path: Path
    content: bytes


Step = Request | Pause | Started | WriteFile
_T = TypeVar("_T")
# Yields steps and is sent the reply of each request.
Asking = Generator[Step, Reply | None, _T]
# Returns what is wrong, "" where all is done.
Talk = Asking[str]


def only(request: Request) -> Talk:
    """The talk that is one request."""
    yield request
    return ""


def ask(request: Request) -> Asking[Reply]:
    """Inside a talk: the reply to a request."""
    reply = yield request
    assert reply is not None, "a request is answered by a reply"
    return reply
