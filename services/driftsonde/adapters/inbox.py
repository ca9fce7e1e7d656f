"""Messages between the consumer and the service's own loop: bounded, and acknowledged when the service says so."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
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
class Acknowledged:
    """How far the messages of one partition are acknowledged: every message below `end` is.

    >>> acknowledged = Acknowledged(5)
    >>> acknowledged.note(6, 7), acknowledged.end
    (None, 5)
    >>> acknowledged.note(5, 6), acknowledged.end
    (None, 7)
    """

    end: int
    _told: int = field(init=False)
    _later: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._told = self.end

    def note(self, begin: int, end: int) -> None:
        """A message is acknowledged: the only one that the log holds in [begin, end)."""
        self._later[begin] = end
        while self.end in self._later:
            self.end = self._later.pop(self.end)

    def take_news(self) -> bool:
        """Whether `end` has moved since the last call."""
        moved, self._told = self.end > self._told, self.end
        return moved


@dataclass(slots=True)
class Inbox:
    """Whoever puts waits for room first, which stops the consumer: it holds `bound_bytes` and one fetch at most.

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

    async def wait_for_room(self) -> None:
        """Return once it holds less than the bound."""
        while self.held_bytes >= self.bound_bytes:
            self._space.clear()
            await self._space.wait()

    def put(self, messages: Iterable[Incoming]) -> None:
        """Add messages of one partition, each if it is the next."""
        for message in messages:
            place = (message.topic, message.partition)
            if message.follows <= self._next.get(place, -1) <= message.offset:
                self._next[place] = message.offset + 1
                self._messages.append(message)
                self.held_bytes += _OVERHEAD_BYTES + len(message.value or b"")

    def drain(self) -> list[Incoming]:
        """All messages, in the order in which they came."""
        messages, self._messages = self._messages, []
        self.held_bytes = 0
        self._space.set()
        return messages
