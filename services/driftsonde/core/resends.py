"""Messages that a producer has sent again: the same bytes as one of the messages just before them."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# So many messages of a partition are remembered, as 64-bit digests of their bytes.
REMEMBERED = 1_024


@dataclass(slots=True)
class RecentMessages:
    """The digests of the newest `bound` messages of a partition, in the order of the log."""

    bound: int = REMEMBERED
    _order: deque[int] = field(default_factory=deque)
    _known: set[int] = field(default_factory=set)

    def restore(self, digests: Iterable[int]) -> None:
        """Begin with what `digests` was when the process stopped."""
        for digest in digests:
            self.is_new(digest)

    def is_new(self, digest: int) -> bool:
        """Whether the message is none of those remembered; then it is remembered from now on."""
        if digest in self._known:
            return False
        self._order.append(digest)
        self._known.add(digest)
        if len(self._order) > self.bound:
            self._known.discard(self._order.popleft())
        return True

    @property
    def digests(self) -> Sequence[int]:
        """What is remembered, the oldest first."""
        return tuple(self._order)
