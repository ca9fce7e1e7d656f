"""Steps of a partition's event time, as the store has them: where in the log it came to which second."""

from collections.abc import Iterable, Sequence

from driftsonde.adapters.clickhouse import Store

# Read is only what lies between two offsets, and the last step before them.
_STEPS = """(
    SELECT partition, position, time_ms FROM event_times
    WHERE topic = {topic:String} AND partition = {partition:UInt32} AND position <= {last:UInt64}
          AND position >= coalesce((
              SELECT position FROM event_times
              WHERE topic = {topic:String} AND partition = {partition:UInt32} AND position <= {first:UInt64}
              ORDER BY topic DESC, partition DESC, position DESC LIMIT 1
          ), 0)
) AS steps"""

_TIMES_AT = f"""
SELECT wanted.offset, time_ms
FROM (SELECT arrayJoin({{wanted:Array(UInt64)}}) AS offset, {{partition:UInt32}} AS partition) AS wanted
ASOF JOIN {_STEPS} ON wanted.partition = steps.partition AND wanted.offset >= steps.position
"""

_FIRST_ABOVE = f"""
SELECT wanted.above_ms, time_ms
FROM (SELECT arrayJoin({{wanted:Array(Int64)}}) AS above_ms, {{partition:UInt32}} AS partition) AS wanted
ASOF JOIN {_STEPS} ON wanted.partition = steps.partition AND wanted.above_ms < steps.time_ms
"""

# What is asked about is one field of a request, of which ClickHouse takes 128 kB.
_WANTED_PER_QUERY = 2_000


def _batched(items: Sequence[int]) -> Iterable[Sequence[int]]:
    return (items[start : start + _WANTED_PER_QUERY] for start in range(0, len(items), _WANTED_PER_QUERY))


def times_at(store: Store, topic: str, partition: int, offsets: Sequence[int]) -> dict[int, int]:
    """By offset, of rising ones: the second that event time had come to before it; none before the first step."""
    times: dict[int, int] = {}
    for wanted in _batched(offsets):
        place = {"topic": topic, "partition": partition, "first": wanted[0], "last": wanted[-1]}
        times.update(_asked(store, _TIMES_AT, place, wanted))
    return times


def first_above(
    store: Store, topic: str, partition: int, times_ms: Sequence[int], between: tuple[int, int]
) -> dict[int, int]:
    """By time: the first later second that event time came to between two offsets, or had come to before them."""
    first, last = between
    place = {"topic": topic, "partition": partition, "first": first, "last": last}
    above: dict[int, int] = {}
    for wanted in _batched(times_ms):
        above.update(_asked(store, _FIRST_ABOVE, place, wanted))
    return above


def _asked(store: Store, query: str, place: dict[str, object], wanted: Sequence[int]) -> dict[int, int]:
    return {int(key): int(time_ms) for key, time_ms in store.query_rows(query, place | {"wanted": wanted})}
