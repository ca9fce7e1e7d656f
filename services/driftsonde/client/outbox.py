"""The bounded buffer between the serving path and the background thread, and the accounts of every row."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from driftsonde.client.rows import Block, Entry, Mark, Row, Stream, select


class WhenFull(StrEnum):
    """What gives way when the buffer is full: the new rows, the oldest that wait, or the caller's time (bounded)."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Stats:
    """Rows since the start, and now.

    accepted = delivered + failed + evicted + buffered; dropped rows (the buffer was full) are those never accepted
    and those evicted. Calls that make no sense are counted in `invalid_calls`; their rows are in no other number.
    """

    accepted: int
    dropped: int
    evicted: int
    delivered: int
    failed: int
    buffered: int
    invalid_calls: int


class Outbox:
    """Entries by stream, in order. Rows count against the bound from acceptance until delivery or failure.

    Safe between threads; one thread takes. `monotonic_s` is the clock for lingering and blocking.
    """

    def __init__(
        self,
        buffer_rows: int,
        when_full: WhenFull,
        block_s: float,
        linger_s: float,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._bound = buffer_rows
        self._when_full = when_full
        self._block_s = block_s
        self._linger_s = linger_s
        self._monotonic_s = monotonic_s
        self._changed = threading.Condition()
        self._waiting: dict[Stream, deque[tuple[float, Entry]]] = {stream: deque() for stream in Stream}
        self._waiting_rows = dict.fromkeys(Stream, 0)
        self._waiting_marks = dict.fromkeys(Stream, 0)
        self._marks_out = 0
        self._accepted = self._dropped = self._evicted = 0
        self._delivered = self._failed = self._invalid_calls = 0
        self._closed = False
        self._wake_rows: Mapping[Stream, int] = {}

    @property
    def stats(self) -> Stats:
        with self._changed:
            return Stats(
                self._accepted,
                self._dropped,
                self._evicted,
                self._delivered,
                self._failed,
                self._buffered(),
                self._invalid_calls,
            )

    def waits(self, stream: Stream) -> bool:
        """Whether anything waits in the stream, due or not."""
        with self._changed:
            return bool(self._waiting[stream])

    def offer(self, stream: Stream, rows: Row | Block) -> int:
        """Accept the rows or drop them; return how many were dropped of these and of older ones."""
        give_up_s = self._monotonic_s() + self._block_s
        piece_rows = max(1, self._bound // 4)
        if isinstance(rows, Row) or len(rows) <= piece_rows:
            return self._offer_whole(stream, rows, give_up_s)
        # A block beyond the bound would never fit as one.
        pieces = (select(rows, slice(start, start + piece_rows)) for start in range(0, len(rows), piece_rows))
        return sum(self._offer_whole(stream, piece, give_up_s) for piece in pieces)

    def _offer_whole(self, stream: Stream, rows: Row | Block, give_up_s: float) -> int:
        count = len(rows)
        with self._changed:
            evicted_before = self._evicted
            if self._buffered() + count > self._bound:
                self._make_room(count, give_up_s)
            evicted = self._evicted - evicted_before
            if self._closed or self._buffered() + count > self._bound:
                self._dropped += count
                return evicted + count
            self._accepted += count
            self._append(stream, rows)
            return evicted

    def mark(self, heartbeat_ms: int | None) -> None:
        """Send what waits in both streams without lingering; then, with a time, a heartbeat."""
        with self._changed:
            if self._closed:
                return
            for stream in Stream:
                if heartbeat_ms is not None or self._waiting[stream]:
                    self._append(stream, Mark(heartbeat_ms))
                    self._marks_out += 1

    def take(self, stream: Stream, most_rows: int) -> list[Entry]:
        """What should be sent now: exactly `most_rows`; or what waits up to a mark, or longer than the linger time; or
        nothing. The mark comes last. That the number is exact makes a replay's messages the same each time."""
        with self._changed:
            if not self._is_due(stream, most_rows):
                return []
            waiting = self._waiting[stream]
            taken: list[Entry] = []
            rows = 0
            while waiting and rows < most_rows:
                added_s, entry = waiting.popleft()
                if isinstance(entry, Block) and rows + len(entry) > most_rows:
                    waiting.appendleft((added_s, select(entry, slice(most_rows - rows, None))))
                    entry = select(entry, slice(0, most_rows - rows))
                taken.append(entry)
                rows += len(entry)
                if isinstance(entry, Mark):
                    self._waiting_marks[stream] -= 1
                    break
            self._waiting_rows[stream] -= rows
            return taken

    def wait(self, most_rows: Mapping[Stream, int]) -> None:
        """Return when something is due, or closed, or it is time to look again.

        `most_rows`: for each stream where something waits, what `take` will be asked for.
        """
        with self._changed:
            self._wake_rows = most_rows
            if self._closed or any(self._is_due(stream, most_rows.get(stream, 1)) for stream in Stream):
                return
            oldest = [waiting[0][0] for waiting in self._waiting.values() if waiting]
            due_in_s = max(0.0, min(oldest) + self._linger_s - self._monotonic_s()) if oldest else None
            self._changed.wait(None if due_in_s is None else min(due_in_s, threading.TIMEOUT_MAX))

    def settle(self, delivered: int = 0, failed: int = 0) -> None:
        """Account for rows that were taken."""
        with self._changed:
            self._delivered += delivered
            self._failed += failed
            self._changed.notify_all()

    def settle_mark(self) -> None:
        """Account for a mark that was taken: its heartbeats are delivered, or it had none."""
        with self._changed:
            self._marks_out -= 1
            self._changed.notify_all()

    def count_invalid_call(self) -> None:
        with self._changed:
            self._invalid_calls += 1

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether everything accepted was delivered or has failed within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._buffered() and not self._marks_out, timeout_s)

    def close(self) -> None:
        """Accept nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _buffered(self) -> int:
        return self._accepted - self._evicted - self._delivered - self._failed

    def _is_due(self, stream: Stream, most_rows: int) -> bool:
        waiting = self._waiting[stream]
        if not waiting or self._producer_has_enough():
            return False
        if self._waiting_rows[stream] >= most_rows or self._waiting_marks[stream]:
            return True
        return self._monotonic_s() - waiting[0][0] >= self._linger_s

    def _producer_has_enough(self) -> bool:
        # What the producer has can't be dropped in favour of something newer: so it never has much more than half.
        return self._buffered() - sum(self._waiting_rows.values()) >= max(1, self._bound // 2)

    def _append(self, stream: Stream, entry: Entry) -> None:
        """Wakes the thread for the first row, a mark and a full batch: not for every row."""
        waiting = self._waiting[stream]
        is_first = not waiting
        waiting.append((self._monotonic_s(), entry))
        self._waiting_rows[stream] += len(entry)
        self._waiting_marks[stream] += isinstance(entry, Mark)
        if (
            is_first
            or self._waiting_marks[stream]
            or self._waiting_rows[stream] >= self._wake_rows.get(stream, 1)
        ):
            self._changed.notify_all()

    def _make_room(self, count: int, give_up_s: float) -> None:
        match self._when_full:
            case WhenFull.DROP_NEWEST:
                return
            case WhenFull.DROP_OLDEST:
                self._evict(count)
            case WhenFull.BLOCK:
                self._changed.wait_for(
                    lambda: self._closed or self._buffered() + count <= self._bound,
                    max(0.0, give_up_s - self._monotonic_s()),
                )

    def _evict(self, count: int) -> None:
        """Drop the oldest rows that wait, as few entries as make room. What the producer has stays."""
        marks: dict[Stream, list[tuple[float, Entry]]] = {stream: [] for stream in Stream}
        while self._buffered() + count > self._bound:
            waiting = [stream for stream in Stream if self._waiting[stream]]
            if not waiting:
                break
            stream = min(waiting, key=lambda one: self._waiting[one][0][0])
            added = self._waiting[stream].popleft()
            if isinstance(added[1], Mark):
                marks[stream].append(added)
                continue
            self._waiting_rows[stream] -= len(added[1])
            self._evicted += len(added[1])
            self._dropped += len(added[1])
        for stream, kept in marks.items():
            self._waiting[stream].extendleft(reversed(kept))
