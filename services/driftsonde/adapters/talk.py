"""A talk with another system: what is to be asked, in its order, as a generator that does nothing itself.

Whoever drives it sends each request, tries again as its patience allows, and hands the reply back in. So a talk knows
nothing of retries, clocks or sockets, and what several systems need (ask, wait, ask again) is written down plainly.
"""

from collections.abc import Generator
from dataclasses import dataclass

from driftsonde.adapters.outbound import Reply, Request


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next request."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Started:
    """What was asked for is under way at the other side, as `run`; it is still to be followed to its end."""

    run: str


# Yields requests and is sent the reply of each; returns what is wrong, "" where all is done.
Talk = Generator[Request | Pause | Started, Reply | None, str]


def only(request: Request) -> Talk:
    """The talk that is one request."""
    yield request
    return ""


def ask(request: Request) -> Generator[Request | Pause | Started, Reply | None, Reply]:
    """Inside a talk: the reply to a request."""
    reply = yield request
    assert reply is not None, "a request is answered by a reply"
    return reply
