"""A talk with another system: what is to be asked, in its order, as a generator that does nothing itself.

Whoever drives it sends each request, tries again as its patience allows, and hands the reply back in. So a talk knows
nothing of retries, clocks or sockets, and what several systems need (ask, wait, ask again) is written down plainly.
"""

import asyncio
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from driftsonde.adapters.outbound import Reply, Request, Sender
from driftsonde.core.origin import Origin


class NoAnswer(Exception):
    """A request got no answer that the talk knows what to do with; the message says what came."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next request."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Started:
    """What was asked for is under way at the other side, as `run`; it is still to be followed to its end."""

    run: str


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """What was looked for in a registry is this version."""

    version: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Put this content into a file, whole or not at all."""

    path: Path
    content: bytes


Step = Request | Pause | Started | FoundVersion | WriteFile
_T = TypeVar("_T")
# Yields steps and is sent the reply of each request.
Asking = Generator[Step, Reply | None, _T]
# Returns what is wrong, "" where all is done.
Talk = Asking[str]


async def held(talk: Asking[_T], sender: Sender) -> _T:
    """What the talk returns, with one try for each request. Raises `NoAnswer`; files are not written."""
    reply: Reply | None = None
    while True:
        try:
            asked = talk.send(reply)
        except StopIteration as end:
            return cast(_T, end.value)
        reply = None
        if isinstance(asked, Pause):
            await asyncio.sleep(asked.delay_ms / 1000)
        elif isinstance(asked, Request):
            reply = await sender.send(asked)
            if not 200 <= reply.status < 300 and reply.status not in asked.accept:
                raise NoAnswer(reply.answer.error or reply.excerpt())


def only(request: Request) -> Talk:
    """The talk that is one request."""
    yield request
    return ""


def ask(request: Request) -> Asking[Reply]:
    """Inside a talk: the reply to a request."""
    reply = yield request
    assert reply is not None, "a request is answered by a reply"
    return reply
