"""The bounded buffer: what it takes, in which order it gives, and that its accounts add up."""

import threading
import time
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.client.outbox import Outbox, WhenFull
from driftsonde.client.rows import Block, Entry, Layout, Mark, Row, Stream

LAYOUT = Layout((), (), classification=True)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def outbox(
    bound: int = 100,
    when_full: WhenFull = WhenFull.DROP_NEWEST,
    linger_s: float = 1.0,
    clock: Clock | None = None,
) -> Outbox:
    return Outbox(bound, when_full, 0.05, linger_s, clock or Clock())


def row(identifier: object) -> Row:
    return Row(str(identifier), 0, LAYOUT, ())


def block(*identifiers: object) -> Block:
    return Block(tuple(map(str, identifiers)), np.zeros(len(identifiers), dtype=np.int64), ())


def ids(entries: list[Entry]) -> list[str]:
    found = [
        (entry.id,) if isinstance(entry, Row) else entry.ids
        for entry in entries
        if not isinstance(entry, Mark)
    ]
    return list(chain.from_iterable(found))


def test_nothing_is_due_before_the_batch_is_full_or_old() -> None:
    clock = Clock()
    box = outbox(clock=clock)
    box.offer(Stream.LABELS, row(1))
    assert box.take(Stream.LABELS, 2) == []
    clock.now_s = 1.0
    assert ids(box.take(Stream.LABELS, 2)) == ["1"]
    assert not box.waits(Stream.LABELS)


def test_a_full_batch_is_exact_and_blocks_are_cut() -> None:
    box = outbox()
    box.offer(Stream.PREDICTIONS, row(1))
    box.offer(Stream.PREDICTIONS, block(2, 3, 4, 5))
    assert ids(box.take(Stream.PREDICTIONS, 3)) == ["1", "2", "3"]
    assert box.take(Stream.PREDICTIONS, 3) == []
    box.offer(Stream.PREDICTIONS, row(6))
    assert ids(box.take(Stream.PREDICTIONS, 3)) == ["4", "5", "6"]


def test_streams_are_apart() -> None:
    box = outbox()
    box.offer(Stream.LABELS, block(1, 2))
    assert box.take(Stream.PREDICTIONS, 1) == []
    assert ids(box.take(Stream.LABELS, 2)) == ["1", "2"]


def test_a_mark_makes_what_is_before_it_due_and_comes_last() -> None:
    box = outbox()
    box.offer(Stream.LABELS, row(1))
    box.mark(5)
    box.offer(Stream.LABELS, row(2))
    taken = box.take(Stream.LABELS, 10)
    assert ids(taken) == ["1"]
    assert taken[-1] == Mark(5)
    assert box.take(Stream.LABELS, 10) == []
    assert box.take(Stream.PREDICTIONS, 10) == [Mark(5)]


def test_a_flush_leaves_no_mark_where_nothing_waits() -> None:
    box = outbox()
    box.offer(Stream.LABELS, row(1))
    box.mark(None)
    assert not box.waits(Stream.PREDICTIONS)
    assert box.take(Stream.LABELS, 10)[-1] == Mark(None)


def test_the_newest_are_dropped() -> None:
    box = outbox(bound=4)
    assert box.offer(Stream.LABELS, block(*range(6))) == 2
    assert ids(box.take(Stream.LABELS, 4)) == ["0", "1", "2", "3"]
    assert (box.stats.accepted, box.stats.dropped, box.stats.evicted, box.stats.buffered) == (4, 2, 0, 4)


def test_the_oldest_are_dropped_and_marks_are_not() -> None:
    box = outbox(bound=4, when_full=WhenFull.DROP_OLDEST)
    box.offer(Stream.LABELS, row(0))
    box.mark(None)
    for number in range(1, 6):
        box.offer(Stream.LABELS, row(number))
    assert box.take(Stream.LABELS, 10) == [Mark(None)]
    box.mark(None)
    assert ids(box.take(Stream.LABELS, 10)) == ["2", "3", "4", "5"]
    assert (box.stats.accepted, box.stats.dropped, box.stats.evicted, box.stats.buffered) == (6, 2, 2, 4)


def test_the_oldest_are_dropped_of_whichever_stream() -> None:
    clock = Clock()
    box = outbox(bound=4, when_full=WhenFull.DROP_OLDEST, clock=clock)
    for number in range(4):
        clock.now_s = float(number)
        box.offer(Stream.LABELS if number == 1 else Stream.PREDICTIONS, row(number))
    for number in (4, 5):
        assert box.offer(Stream.LABELS, row(number)) == 1
    box.mark(None)
    assert ids(box.take(Stream.PREDICTIONS, 10)) == ["2", "3"]
    box.settle(delivered=2)
    assert ids(box.take(Stream.LABELS, 10)) == ["4", "5"]


def test_what_the_producer_has_cannot_be_dropped_and_is_at_most_about_half() -> None:
    box = outbox(bound=4, when_full=WhenFull.DROP_OLDEST)
    box.offer(Stream.LABELS, row(1))
    box.offer(Stream.LABELS, row(2))
    assert len(box.take(Stream.LABELS, 2)) == 2
    box.offer(Stream.LABELS, row(3))
    box.offer(Stream.LABELS, row(4))
    assert box.take(Stream.LABELS, 2) == []
    box.settle(delivered=1)
    assert ids(box.take(Stream.LABELS, 2)) == ["3", "4"]


def test_blocking_is_bounded() -> None:
    box = Outbox(1, WhenFull.BLOCK, 0.05, 1.0, Clock())
    box.offer(Stream.LABELS, row(1))
    assert box.offer(Stream.LABELS, row(2)) == 1
    assert box.stats.dropped == 1


def test_a_large_block_blocks_once_not_for_each_of_its_pieces() -> None:
    box = Outbox(4, WhenFull.BLOCK, 0.2, 1.0, time.monotonic)
    box.offer(Stream.LABELS, block(*range(4)))
    began_s = time.monotonic()
    assert box.offer(Stream.LABELS, block(*range(40))) == 40
    assert time.monotonic() - began_s < 1.0


def test_blocking_ends_when_there_is_room() -> None:
    box = Outbox(1, WhenFull.BLOCK, 30.0, 0.0, Clock())
    box.offer(Stream.LABELS, row(1))
    box.take(Stream.LABELS, 1)
    threading.Timer(0.05, box.settle, kwargs={"delivered": 1}).start()
    assert box.offer(Stream.LABELS, row(2)) == 0
    assert box.stats.accepted == 2


def test_a_closed_one_accepts_nothing() -> None:
    box = outbox()
    box.close()
    assert box.offer(Stream.LABELS, row(1)) == 1
    assert box.stats.dropped == 1


def test_it_is_empty_when_rows_and_marks_are_settled() -> None:
    box = outbox()
    box.offer(Stream.LABELS, row(1))
    box.mark(5)
    assert not box.wait_until_empty(0)
    box.take(Stream.LABELS, 1)
    box.settle(failed=1)
    assert not box.wait_until_empty(0)
    box.settle_mark()
    box.settle_mark()
    assert box.wait_until_empty(0)


@pytest.mark.parametrize("when_full", [WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("offer"), st.integers(1, 9)), st.tuples(st.just("take"), st.integers(1, 9))
        )
    )
)
def test_accounts_add_up_and_order_is_kept(when_full: WhenFull, steps: list[tuple[str, int]]) -> None:
    box = outbox(bound=10, when_full=when_full, linger_s=0.0)
    offered = 0
    taken: list[int] = []
    for step, count in steps:
        if step == "offer":
            box.offer(Stream.LABELS, block(*range(offered, offered + count)))
            offered += count
        else:
            rows = [int(identifier) for identifier in ids(box.take(Stream.LABELS, count))]
            assert len(rows) <= count
            taken += rows
            box.settle(delivered=len(rows))
        stats = box.stats
        assert 0 <= stats.buffered <= 10
        assert stats.accepted == stats.delivered + stats.failed + stats.evicted + stats.buffered
        assert offered == stats.accepted + stats.dropped - stats.evicted
    assert taken == sorted(taken)
    assert len(taken) == box.stats.delivered
