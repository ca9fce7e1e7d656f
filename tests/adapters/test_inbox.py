import asyncio
from collections.abc import Sequence

from driftsonde.adapters.inbox import Inbox, Incoming


def incoming(offset: int, follows: int | None = None, partition: int = 0, value: bytes = b"") -> Incoming:
    before = offset if follows is None else follows
    return Incoming("t", partition, offset, before, None, value, (), 0, lambda: None)


def taken(inbox: Inbox, messages: Sequence[Incoming]) -> list[int]:
    """The offsets of those messages that the inbox takes."""

    async def put_all() -> list[int]:
        for message in messages:
            await inbox.put(message)
        return [message.offset for message in inbox.drain()]

    return asyncio.run(put_all())


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

    async def change() -> list[int]:
        await inbox.put(incoming(0))
        inbox.expect({("t", 0): 0})
        await inbox.put(incoming(0))
        return [message.offset for message in inbox.drain()]

    assert asyncio.run(change()) == [0]


def test_a_message_that_waited_for_room_through_a_rebalance_is_left_out() -> None:
    inbox = Inbox(bound_bytes=1)
    inbox.expect({("t", 0): 0})

    async def wait() -> list[int]:
        await inbox.put(incoming(0))
        waiting = asyncio.create_task(inbox.put(incoming(1)))
        await asyncio.sleep(0)
        inbox.expect({("t", 0): 0})
        await waiting
        return [message.offset for message in inbox.drain()]

    assert asyncio.run(wait()) == []


def test_a_full_inbox_makes_the_consumer_wait_until_it_is_drained() -> None:
    async def fill() -> tuple[list[int], list[int], float]:
        inbox = Inbox(1_000)
        inbox.expect({("t", 0): 0})

        async def put_all() -> None:
            for offset in range(9):
                await inbox.put(incoming(offset, value=b"x" * 200))

        task = asyncio.create_task(put_all())
        await asyncio.sleep(0)
        fill_ratio = inbox.fill_ratio
        first = [message.offset for message in inbox.drain()]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = [message.offset for message in inbox.drain()]
        assert not task.done()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await task
        return first, second, fill_ratio

    first, second, fill_ratio = asyncio.run(fill())
    assert (first, second) == (
        [0, 1, 2],
        [3, 4, 5],
    )  # three of 400 bytes pass the bound: at most one message beyond
    assert 1.0 <= fill_ratio < 1.4
