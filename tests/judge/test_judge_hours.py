"""Whole hours on the real engine: whatever is restated, repeated or lost, every period reads as its windows added up."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store, StoreUnavailable
from driftsonde.adapters.clickhouse_migrations import apply_migrations, split_statements
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.core.baseline import CategoricalReference, NumericReference, Reference
from driftsonde.core.events import Role, Variant
from driftsonde.core.verdict import ColumnCounts
from driftsonde.core.window import WindowKey
from driftsonde.judge.hours import HOUR_MS, Batch, HourRollUp, add_up_days
from driftsonde.judge.reports import WindowReport
from driftsonde.judge.storage import JudgeStorage
from driftsonde.standalone.store_process import running_store

pytestmark = pytest.mark.io

MINUTE_MS = 60_000
DAY_MS = 24 * HOUR_MS
START_MS = (
    1_769_817_600_000  # 2026-01-31: the second day is another month's, so in another part of the tables
)
DAYS = 3
UNBROKEN = 1_000_000  # statements
LATER_MS = START_MS + 30 * DAY_MS

# The borders of hours and days, and some in between.
MINUTES = (0, 1, 59, 60, 61, 119, 120, 700, 1_379, 1_380, 1_439)
SEGMENTS = ("", "c=x")


def references(bins: int) -> tuple[Reference, ...]:
    edges, ones = np.linspace(0.0, 1.0, bins + 1), np.ones(bins + 3, dtype=np.int64)
    return (
        NumericReference("x", Role.FEATURE, edges, ones, 1.0, 1.0, 0.0, 1.0),
        CategoricalReference("c", Role.SEGMENT, ("red",), np.array([5, 1, 0])),
    )


BASELINES = {"b1": references(2), "b2": references(3)}

Window = tuple[str, int]  # segment, start


@dataclass(frozen=True, slots=True)
class Write:
    """Windows that are stored together: their counts, their revision, their baseline."""

    windows: tuple[Window, ...]
    count: int
    revision: int
    baseline: str


windows = st.tuples(
    st.sampled_from(SEGMENTS),
    st.builds(
        lambda day, minute: START_MS + day * DAY_MS + minute * MINUTE_MS,
        st.integers(0, DAYS - 1),
        st.sampled_from(MINUTES),
    ),
)
writes = st.builds(
    Write,
    st.lists(windows, min_size=1, max_size=6, unique=True).map(tuple),
    st.integers(0, 1_000),
    st.integers(0, 3),
    st.sampled_from(["b1", "b1", "b1", "b2"]),
)
times = st.one_of(
    st.integers(0, DAYS * 24).map(lambda hour: START_MS + hour * HOUR_MS),
    st.integers(0, DAYS * 1_440).map(lambda minute: START_MS + minute * MINUTE_MS),
    st.integers(0, DAYS * DAY_MS).map(lambda ms: START_MS + ms),
)
steps = st.one_of(
    writes,
    st.sampled_from(["add up", "add up", "write while adding up", "die while adding up", "start again"]),
)


class Lost(Store):
    """Loses the connection before the statement number `left`."""

    left: int = UNBROKEN

    def insert_arrow(self, *arguments: object, **options: object) -> None:
        self._count()
        super().insert_arrow(*arguments, **options)  # type: ignore[arg-type]

    def command(self, *arguments: object, **options: object) -> None:
        self._count()
        super().command(*arguments, **options)  # type: ignore[arg-type]

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("lost")


@dataclass(slots=True)
class World:
    """The judge's way to store windows and hours, and beside it what the newest revision of each window is."""

    store: Lost
    model: str
    hours: HourRollUp = field(init=False)
    known: dict[Window, Write] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start_again()

    def start_again(self) -> None:
        self.hours = HourRollUp(self.store)
        self.hours.load(self.model)

    def write(self, write: Write) -> None:
        reports = self.reports(write)
        self.hours.mark(reports)
        self.insert(reports)
        for window in write.windows:
            if window not in self.known or write.revision >= self.known[window].revision:
                self.known[window] = write

    def reports(self, write: Write) -> list[WindowReport]:
        return [self._report(window, write) for window in write.windows]

    def insert(self, reports: list[WindowReport]) -> None:
        JudgeStorage(self.store, Codec(SKETCH_TYPES)).write_reports(reports, [])

    def _report(self, window: Window, write: Write) -> WindowReport:
        segment, start_ms = window
        columns = tuple(
            ColumnCounts(reference, np.arange(len(reference.counts)) + write.count)
            for reference in BASELINES[write.baseline]
        )
        key = WindowKey(start_ms, self.model, "1", Variant.CHAMPION, segment)
        return WindowReport(key, start_ms + MINUTE_MS, write.baseline, columns, (), write.revision)

    def add_up(self, meanwhile: Write | None = None) -> bool:
        batch = self.hours.begin({self.model: LATER_MS})
        if batch is None:
            return False
        if meanwhile:
            self.write(meanwhile)
        self.hours.add_up(batch)
        return True

    def expected(self, segment: str, from_ms: int, to_ms: int) -> dict[tuple[str, str], list[int]]:
        sums: dict[tuple[str, str], list[int]] = {}
        for (of, start_ms), write in self.known.items():
            if of == segment and from_ms <= start_ms < to_ms:
                for reference in BASELINES[write.baseline]:
                    key, width = (reference.name, write.baseline), len(reference.counts)
                    before = sums.get(key, [0] * width)
                    sums[key] = [
                        old + bin + write.count for old, bin in zip(before, range(width), strict=True)
                    ]
        return sums

    def found(self, segment: str, from_ms: int, to_ms: int) -> dict[tuple[str, str], list[int]]:
        rows = self.store.query_rows(
            "SELECT column, baseline, counts FROM period_counts(model = {model:String}, version = '1',"
            " variant = 'champion', segment = {segment:String},"
            " from_time = fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC'),"
            " to_time = fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC'))",
            {"model": self.model, "segment": segment, "from_ms": from_ms, "to_ms": to_ms},
        )
        return {(column, baseline): list(counts) for column, baseline, counts in rows}

    def hours_due(self) -> int:
        ((due,),) = self.store.query_rows(
            "SELECT count() FROM (SELECT max(revision) AS r FROM rolled_hours WHERE model = {model:String} "
            "GROUP BY hour HAVING r % 2 = 0)",
            {"model": self.model},
        )
        return int(due)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lost]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Lost(ClickHouseSettings(process.host, process.port))
        apply_migrations(store, schemas_directory() / "clickhouse")
        yield store
        store.close()


_names = (f"m{number}" for number in count())


def tell(store: Lost, story: list[Write | str], data: st.DataObject) -> None:
    store.left = UNBROKEN
    world = World(store, next(_names))
    for step in story:
        match step:
            case Write():
                world.write(step)
            case "add up":
                world.add_up()
            case "write while adding up":
                world.add_up(data.draw(writes))
            case "die while adding up":
                store.left = data.draw(st.integers(0, 2))
                try:
                    world.add_up()
                except StoreUnavailable:
                    world.start_again()
                store.left = UNBROKEN
            case _:
                world.start_again()
        begin_ms, end_ms = sorted((data.draw(times), data.draw(times)))
        for from_ms, to_ms in ((START_MS, LATER_MS), (begin_ms, end_ms)):
            segment = data.draw(st.sampled_from(SEGMENTS))
            assert world.found(segment, from_ms, to_ms) == world.expected(segment, from_ms, to_ms)
    while world.add_up():
        pass
    assert world.hours_due() == 0
    assert world.found("", START_MS, LATER_MS) == world.expected("", START_MS, LATER_MS)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=3, max_size=7), st.data())
def test_every_period_is_its_windows_added_up(
    store: Lost, story: list[Write | str], data: st.DataObject
) -> None:
    tell(store, story, data)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=3, max_size=12), st.data())
def test_every_period_is_its_windows_added_up_in_many_stories(
    store: Lost, story: list[Write | str], data: st.DataObject
) -> None:
    tell(store, story, data)


def day_of_windows(count: int, revision: int = 0, baseline: str = "b1") -> Write:
    return Write(tuple(("", START_MS + hour * HOUR_MS) for hour in range(24)), count, revision, baseline)


def test_whole_hours_are_read_instead_of_their_windows(store: Lost) -> None:
    world = World(store, next(_names))
    world.write(day_of_windows(5))
    assert world.add_up()
    # Behind the back of the hours: were the windows read, this would be seen.
    world.insert(world.reports(day_of_windows(900, revision=1)))
    assert world.found("", START_MS, LATER_MS) == world.expected("", START_MS, LATER_MS)


def test_another_worker_that_was_adding_up_does_not_hide_what_came_late(store: Lost) -> None:
    world = World(store, next(_names))
    world.write(day_of_windows(5))
    former = world.hours
    batch = former.begin({world.model: LATER_MS})
    assert batch is not None
    store.left = 1  # it has begun, no more
    with pytest.raises(StoreUnavailable):
        former.add_up(batch)
    store.left = UNBROKEN
    world.start_again()
    world.write(day_of_windows(6, revision=1))
    former.add_up(batch)
    assert world.found("", START_MS, LATER_MS) == world.expected("", START_MS, LATER_MS)
    assert world.hours_due() == 24


def test_a_day_waits_until_it_is_over_and_all_have_their_turn(store: Lost) -> None:
    world = World(store, next(_names))
    for day in range(2):
        world.write(Write((("", START_MS + day * DAY_MS),), 1, 0, "b1"))
    assert world.hours.begin({world.model: START_MS + DAY_MS}) is None
    assert world.hours.begin({"another": LATER_MS}) is None
    turns = [world.hours.begin({world.model: LATER_MS}) for _ in range(3)]
    assert [batch and batch.hours_ms for batch in turns] == [
        (START_MS,),
        (START_MS + DAY_MS,),
        (START_MS,),
    ]
    only_first = world.hours.begin({world.model: START_MS + DAY_MS + 2 * HOUR_MS})
    assert only_first is not None
    assert only_first.hours_ms == (START_MS,)


def test_days_are_added_up_by_and_by_even_where_the_store_is_away_for_a_while(store: Lost) -> None:
    world = World(store, next(_names))
    for day in range(DAYS):
        world.write(Write((("", START_MS + day * DAY_MS),), 7, 0, "b1"))
    store.left = 4  # the first day, three statements, and not all of the second

    done = asyncio.Event()
    turns = 0

    async def begin() -> tuple[HourRollUp, Batch | None]:
        nonlocal turns
        turns += 1
        if store.left < 0:
            store.left = UNBROKEN
        batch = world.hours.begin({world.model: LATER_MS})
        if batch is None:
            done.set()
        return world.hours, batch

    async def work() -> None:
        task = asyncio.create_task(add_up_days(begin, 0.01))
        await asyncio.wait_for(done.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert turns == DAYS + 2  # one was lost, and the last found nothing
    assert world.hours_due() == 0
    assert world.found("", START_MS, LATER_MS) == world.expected("", START_MS, LATER_MS)


def test_a_mark_is_written_once(store: Lost) -> None:
    world = World(store, next(_names))
    world.write(day_of_windows(1))
    store.left = 1  # the windows alone
    world.write(day_of_windows(2))
    store.left = UNBROKEN


def test_what_was_stored_before_there_were_hours_is_to_be_added_up(store: Lost) -> None:
    world = World(store, next(_names))
    world.write(day_of_windows(3))
    store.command("ALTER TABLE rolled_hours DELETE WHERE model = {m:String}", {"m": world.model})
    assert world.found("", START_MS, LATER_MS) == world.expected("", START_MS, LATER_MS)
    file = schemas_directory() / "clickhouse" / "0009_window_hours.sql"
    for _ in range(2):
        for statement in split_statements(file.read_text(encoding="utf-8")):
            store.command(statement)
    assert world.hours_due() == 24
    world.start_again()
    assert world.add_up()
    assert world.hours_due() == 0
    assert world.found("", START_MS, LATER_MS) == world.expected("", START_MS, LATER_MS)
