import asyncio
from collections.abc import Sequence

from driftsonde.adapters.inbox import Acknowledged, Inbox, Incoming


def incoming(offset: int, follows: int | None = None, partition: int = 0, value: bytes = b"") -> Incoming:
    before = offset if follows is None else follows
    return Incoming("t", partition, offset, before, None, value, (), 0, lambda: None)


def taken(inbox: Inbox, messages: Sequence[Incoming]) -> list[int]:
    """The offsets of those messages that the inbox takes."""
    inbox.put(messages)
    return [message.offset for message in inbox.drain()]


def test_nothing_is_taken_of_a_partition_that_is_not_expected() -> None:
    inbox = Inbox(1_000)
    assert taken(inbox, [incoming(0)]) == []
    inbox.expect({("t", 0): 0})
    assert taken(inbox, [incoming(0), incoming(0, partition=1)]) == [0]


def test_a_message_from_before_the_seek_neither_counts_nor_makes_a_gap() -> None:
    inbox = Inbox(10_000)
    inbox.expect({("t", 0): 24})
    # 61 and 62 were on their way when the consumer was sent back to 24; then come 24 and 25, and 24 once more.
    late = [incoming(61), incoming(62)]
    assert taken(inbox, [*late, incoming(24), incoming(25), incoming(24), incoming(26)]) == [24, 25, 26]


def test_a_gap_that_the_log_itself_has_is_passed() -> None:
    inbox = Inbox(10_000)
    inbox.expect({("t", 0): 5})
    # A transaction's marker at 6 and 7.
    assert taken(inbox, [incoming(5), incoming(8, follows=6), incoming(9)]) == [5, 8, 9]


def test_what_is_held_is_dropped_when_partitions_change() -> None:
    inbox = Inbox(10_000)
    inbox.expect({("t", 0): 0})
    inbox.put([incoming(0)])
    inbox.expect({("t", 0): 0})
    assert taken(inbox, [incoming(0)]) == [0]


def test_whoever_waits_for_room_has_it_once_the_inbox_is_drained() -> None:
    async def fill() -> tuple[bool, bool]:
        inbox = Inbox(1_000)
        inbox.expect({("t", 0): 0})
        inbox.put([incoming(offset, value=b"x" * 200) for offset in range(2)])
        await asyncio.wait_for(inbox.wait_for_room(), 1)
        inbox.put([incoming(2, value=b"x" * 200)])
        waiting = asyncio.create_task(inbox.wait_for_room())
        await asyncio.sleep(0)
        full = not waiting.done() and 1.0 <= inbox.fill_ratio < 1.4
        inbox.drain()
        await asyncio.wait_for(waiting, 1)
        return full, inbox.held_bytes == 0

    assert asyncio.run(fill()) == (True, True)


def test_the_end_of_what_is_acknowledged_passes_no_message_that_is_not() -> None:
    acknowledged = Acknowledged(5)
    acknowledged.note(7, 8)
    assert (acknowledged.end, acknowledged.take_news()) == (5, False)
    acknowledged.note(5, 6)
    assert (acknowledged.end, acknowledged.take_news()) == (6, True)
    # The message at 10: what lies between is a transaction's marker, which nobody acknowledges.
    acknowledged.note(8, 11)
    acknowledged.note(6, 7)
    assert (acknowledged.end, acknowledged.take_news(), acknowledged.take_news()) == (11, True, False)
