"""The order of sending: laws that the join and the watermarks rely on."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.replay.pacing import MAX_STEP_ROWS, MIN_STEP_ROWS, STEP_SKETCH_BYTES, LogShape
from driftsonde.replay.steps import Step, StepSize, in_steps

SIZE = StepSize(rows=3, windows=2, window_ms=10)


def tables(column: str, times: list[int], piece: int) -> Iterator[pa.Table]:
    for start in range(0, len(times), piece):
        yield pa.table({column: pa.array(times[start : start + piece], pa.int64())})


def steps_of(times: list[int], labels: list[int], piece: int = 5) -> list[Step]:
    return list(
        in_steps(tables("time_ms", sorted(times), piece), tables("at", sorted(labels), piece), "at", SIZE)
    )


def sent(steps: list[Step]) -> tuple[list[int], list[int]]:
    rows = [
        t
        for step in steps
        if step.predictions is not None
        for t in step.predictions["time_ms"].to_numpy().tolist()
    ]
    return rows, [time for step in steps for table in step.labels for time in table["at"].to_numpy().tolist()]


times_ms = st.lists(st.integers(0, 100), max_size=30)


@given(times_ms, times_ms, st.integers(1, 9))
def test_everything_is_sent_once_in_order(times: list[int], labels: list[int], piece: int) -> None:
    assert sent(steps_of(times, labels, piece)) == (sorted(times), sorted(labels))


@given(times_ms, times_ms)
def test_a_step_keeps_the_promise_of_those_before_it(times: list[int], labels: list[int]) -> None:
    reached = -1
    for step in steps_of(times, labels):
        rows, known = sent([step])
        assert all(time >= reached for time in (*rows, *known))
        assert step.until_ms >= max((*rows, *known))
        reached = step.until_ms


@given(times_ms, times_ms)
def test_a_step_is_bounded(times: list[int], labels: list[int]) -> None:
    for step in steps_of(times, labels):
        rows, _ = sent([step])
        assert len(rows) <= SIZE.rows
        assert len({time // SIZE.window_ms for time in rows}) <= SIZE.windows
        assert all(table.num_rows <= SIZE.rows for table in step.labels)


@pytest.mark.parametrize(
    ("row_bytes", "rows"), [(1, MAX_STEP_ROWS), (1_000, 160), (1_000_000, MIN_STEP_ROWS)]
)
def test_large_rows_make_short_steps(row_bytes: int, rows: int) -> None:
    assert LogShape(1_000, 10, row_bytes, 1).step_size.rows == rows


def test_sketches_of_a_step_are_bounded_by_its_windows() -> None:
    shape = LogShape(window_ms=10, columns=20, row_bytes=1, slices=3)
    size = shape.step_size
    rows = pa.table({"time_ms": pa.array(range(0, 10 * size.windows, 1), pa.int64())})
    assert 0 < shape.sketch_bytes_of(Step(rows, (), 0)) <= STEP_SKETCH_BYTES
