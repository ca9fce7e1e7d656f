"""Talks with real servers on the loopback, held to their end without retries."""

import asyncio
import time

from driftsonde.adapters.outbound import Reply, Request, Sender
from driftsonde.adapters.talk import Pause, Started, Talk


def hold(talk: Talk, runs: list[str] | None = None, most_pause_s: float = 0.2) -> str:
    """What the talk returns; the runs that it names are added to `runs`."""
    reply: Reply | None = None
    while True:
        try:
            asked = talk.send(reply)
        except StopIteration as end:
            return str(end.value)
        reply = None
        match asked:
            case Request():
                reply = send(asked)
                assert reply.status in asked.accept or 200 <= reply.status < 300, reply.excerpt()
            case Pause(delay_ms):
                time.sleep(min(delay_ms / 1000, most_pause_s))
            case Started(run) if runs is not None:
                runs.append(run)


def send(request: Request) -> Reply:
    async def exchange() -> Reply:
        sender = Sender(frozenset({"127.0.0.1"}))
        try:
            return await sender.send(request)
        finally:
            await sender.close()

    return asyncio.run(exchange())
