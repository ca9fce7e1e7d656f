"""Messages between the consumer and the service's own loop: bounded, and acknowledged when the service says so."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# What a message costs beside its value.
_OVERHEAD_BYTES = 200


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as it was read. `follows`: the log holds nothing from there to `offset`. `recorded_ms`: the time the
    broker gave it. `acknowledge` may be called once."""

    topic: str
    partition: int
    offset: int
    follows: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    recorded_ms: int
    acknowledge: Callable[[], None]


@dataclass(slots=True)
class Inbox:
    """Takes at most `bound_bytes`; then `put` waits, which stops the consumer.

    `rewind_is_due` is set by a service that has left messages in the log, to have them read again.

    It holds each partition's messages without a gap and without repetition, from where `expect` has said: what a consumer
    still delivers of the time before a rebalance is left out.
    """

    bound_bytes: int
    held_bytes: int = 0
    rewind_is_due: bool = False
    _messages: list[Incoming] = field(default_factory=list)
    _next: dict[tuple[str, int], int] = field(default_factory=dict)
    _space: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def fill_ratio(self) -> float:
        return self.held_bytes / self.bound_bytes

    def expect(self, positions: Mapping[tuple[str, int], int]) -> None:
        """From now on, take each of these partitions from its offset, and no other; what is held is dropped."""
        self.drain()
        self.rewind_is_due = False
        self._next = dict(positions)

    async def put(self, message: Incoming) -> None:
        """Add a message if it is the next of its partition, once there is room for it."""
        while self.held_bytes >= self.bound_bytes:
            self._space.clear()
            await self._space.wait()
        place = (message.topic, message.partition)
        if not message.follows <= self._next.get(place, -1) <= message.offset:
            return
        self._next[place] = message.offset + 1
        self._messages.append(message)
        self.held_bytes += _OVERHEAD_BYTES + len(message.value or b"")

    def drain(self) -> list[Incoming]:
        """All messages, in the order in which they came."""
        messages, self._messages = self._messages, []
        self.held_bytes = 0
        self._space.set()
        return messages
