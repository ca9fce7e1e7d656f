from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.archiver.buffer import Buffer


def message(offset: int, partition: int = 0, size: int = 500) -> SourceMessage:
    return SourceMessage("labels", partition, offset, None, b"x" * size)


def buffer() -> Buffer:
    return Buffer(batch_bytes=2_000, batch_interval_s=1.0, bound_bytes=4_000)


def test_a_batch_is_due_when_it_is_full_or_old() -> None:
    waiting = buffer()
    assert not waiting.due(100.0)
    waiting.add(message(0), 10.0)
    assert not waiting.due(10.9)
    assert waiting.due(11.0)
    waiting.add(message(1), 10.5)
    assert waiting.due(10.5)


def test_batches_come_in_order_and_stay_until_removed() -> None:
    waiting = buffer()
    for offset in range(5):
        waiting.add(message(offset), 0.0)
    assert [entry.offset for entry in waiting.batch()] == [0, 1]
    assert [entry.offset for entry in waiting.batch()] == [0, 1]
    waiting.remove(2)
    assert [entry.offset for entry in waiting.batch()] == [2, 3]
    waiting.remove(2)
    waiting.remove(1)
    assert waiting.empty
    assert waiting.fill_ratio == 0


def test_the_bound_is_seen() -> None:
    waiting = buffer()
    for offset in range(3):
        waiting.add(message(offset), 0.0)
    assert not waiting.full
    waiting.add(message(3), 0.0)
    assert waiting.full
    assert waiting.fill_ratio == 1.0


def test_what_is_someone_elses_is_dropped() -> None:
    waiting = buffer()
    for offset in range(3):
        waiting.add(message(offset, partition=offset % 2), 0.0)
    waiting.drop({("labels", 0)})
    assert [entry.offset for entry in waiting.batch()] == [1]
    waiting.remove(1)
    assert waiting.fill_ratio == 0


def test_a_message_without_a_value_takes_room_too() -> None:
    waiting = Buffer(batch_bytes=10, batch_interval_s=1.0, bound_bytes=400)
    waiting.add(SourceMessage("labels", 0, 0, None, None), 0.0)
    assert waiting.full
