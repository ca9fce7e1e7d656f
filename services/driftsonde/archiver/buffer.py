"""Messages that wait to be archived, in the order of their arrival, within a bound on their bytes."""

from collections import deque
from dataclasses import dataclass, field

from driftsonde.adapters.dead_letters import SourceMessage

_OVERHEAD_BYTES = 500  # of one message, beside its value


@dataclass(slots=True)
class Buffer:
    """`bound_bytes` is passed by at most one read: who fills the buffer stops while `full`."""

    batch_bytes: int
    batch_interval_s: float
    bound_bytes: int
    _waiting: deque[tuple[SourceMessage, float]] = field(default_factory=deque)
    _bytes: int = 0

    def add(self, message: SourceMessage, now_s: float) -> None:
        self._waiting.append((message, now_s))
        self._bytes += _size_bytes(message)

    @property
    def full(self) -> bool:
        return self._bytes >= self.bound_bytes

    @property
    def empty(self) -> bool:
        return not self._waiting

    @property
    def fill_ratio(self) -> float:
        return self._bytes / self.bound_bytes

    def due(self, now_s: float) -> bool:
        """Whether a batch is full, or its first message has waited long enough."""
        if not self._waiting:
            return False
        return self._bytes >= self.batch_bytes or now_s - self._waiting[0][1] >= self.batch_interval_s

    def batch(self) -> list[SourceMessage]:
        """The messages of the next batch; they stay in the buffer until `remove`."""
        batch: list[SourceMessage] = []
        size_bytes = 0
        for message, _ in self._waiting:
            batch.append(message)
            size_bytes += _size_bytes(message)
            if size_bytes >= self.batch_bytes:
                break
        return batch

    def remove(self, count: int) -> None:
        """Let go of the oldest `count` messages."""
        for _ in range(count):
            message, _ = self._waiting.popleft()
            self._bytes -= _size_bytes(message)

    def drop(self, partitions: set[tuple[str, int]]) -> None:
        """Let go of the messages of partitions that are someone else's now."""
        kept = [entry for entry in self._waiting if (entry[0].topic, entry[0].partition) not in partitions]
        self._waiting = deque(kept)
        self._bytes = sum(_size_bytes(message) for message, _ in kept)


def _size_bytes(message: SourceMessage) -> int:
    return len(message.value or b"") + _OVERHEAD_BYTES
