"""Sorting on disk: order, stability, and that nothing is lost."""

import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.replay.spool import Spool


def spool_of(directory: Path, parts: list[list[int]], run_rows: int = 4, batch_rows: int = 2) -> Spool:
    spool = Spool(directory, "x", "time", "row", run_rows=run_rows, batch_rows=batch_rows)
    row = 0
    for times in parts:
        rows = list(range(row, row + len(times)))
        row += len(times)
        spool.add(pa.table({"time": pa.array(times, pa.int64()), "row": pa.array(rows, pa.int64())}))
    spool.finish()
    return spool


def keys(spool: Spool) -> list[tuple[int, int]]:
    return [
        (time, row)
        for table in spool.read()
        for time, row in zip(table["time"].to_numpy().tolist(), table["row"].to_numpy().tolist(), strict=True)
    ]


@given(st.lists(st.lists(st.integers(0, 20), max_size=6), max_size=12))
def test_rows_come_back_once_and_in_order_each_time(parts: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        spool = spool_of(Path(directory), parts)
        times = [time for part in parts for time in part]
        expected = sorted((time, row) for row, time in enumerate(times))
        assert keys(spool) == expected
        assert keys(spool) == expected
        assert spool.rows == len(times)


def test_a_file_in_order_is_one_run(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, [[n, n, n] for n in range(10)])
    assert len(spool.runs) == 1


def test_a_file_out_of_order_is_several(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, [[9, 8, 7, 6], [5, 4, 3, 2]])
    assert len(spool.runs) == 2


def test_nothing_comes_from_nothing(tmp_path: Path) -> None:
    assert keys(spool_of(tmp_path, [])) == []
