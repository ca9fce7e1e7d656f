"""Files in pieces: CSV, gzip and Parquet; what is wrong with a row, and with a file."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftsonde.replay import files
from driftsonde.replay.files import Rejected, UnreadableFile, first_rows, open_log


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_lines_are_the_files_own_with_quoted_line_breaks_and_empty_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,"two\nlines"\n\n3,x\n')
    piece = first_rows(open_log(path), 10)
    assert piece.columns == {"a": ["1", "3"], "b": ["two\nlines", "x"]}
    assert (piece.lines.tolist(), piece.rows.tolist()) == ([3, 5], [1, 2])


def test_rows_that_are_torn_are_told_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n1,2\n3\n4,5,6\n\xff,7\n8,9\n")
    piece = first_rows(open_log(path), 10)
    assert piece.columns == {"a": ["1", "8"], "b": ["2", "9"]}
    assert piece.rejected == (
        Rejected(3, "has 1 fields where the header has 2"),
        Rejected(4, "has 3 fields where the header has 2"),
        Rejected(5, "is not UTF-8"),
    )


def test_a_field_beyond_all_measure_costs_its_row_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_FIELD_CHARS", 50)
    path = write(tmp_path / "a.csv", "a\nx\n" + "y" * 60 + "\nz\n")
    piece = first_rows(open_log(path), 10)
    assert piece.columns["a"] == ["x", "z"]
    assert [entry.line for entry in piece.rejected] == [3]


def test_a_byte_order_mark_and_gzip_change_nothing(tmp_path: Path) -> None:
    content = "\ufeffa,b\n1,é\n".encode()
    plain = first_rows(open_log(write(tmp_path / "a.csv", content)), 10)
    packed = first_rows(open_log(write(tmp_path / "a.csv.gz", gzip.compress(content))), 10)
    assert plain.columns == packed.columns == {"a": ["1"], "b": ["é"]}


def test_many_rows_come_in_pieces_with_their_numbers(tmp_path: Path) -> None:
    count = 2 * files.PIECE_ROWS + 5
    path = write(tmp_path / "a.csv", "a\n" + "".join(f"{n}\n" for n in range(count)))
    pieces = list(open_log(path).pieces())
    assert len(pieces) == 3
    rows = np.concatenate([piece.rows for piece in pieces])
    assert rows.tolist() == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("a.csv.gz", b"no gzip", "gzip"),
        ("a.csv", b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
        ("a.parquet", b"no parquet", "arquet"),
    ],
)
def test_a_file_that_is_not_what_it_says(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    with pytest.raises(UnreadableFile, match=problem):
        open_log(write(tmp_path / name, content))


def test_a_gzip_file_that_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", gzip.compress(b"a\n" + bytes(range(48, 58)) * 100_000 + b"\n")[:-50])
    with pytest.raises(UnreadableFile, match=r"a\.csv\.gz"):
        list(open_log(path).pieces())


def test_parquet_keeps_numbers_times_and_large_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "t": pa.array([1_500, None], pa.timestamp("us", "Europe/Paris")),
            "n": pa.array([1, None]),
            "id": pa.array([2**60 + 1, 5]),
            "flag": pa.array([True, False]),
            "c": pa.array(["x", None]).dictionary_encode(),
            "__index_level_0__": pa.array([7, 8]),
        }
    )
    pq.write_table(table, path)
    log = open_log(path)
    assert log.names == ("t", "n", "id", "flag", "c")
    assert log.times == {"t"}
    columns = first_rows(log, 10).columns
    assert np.array_equal(columns["t"], [1.0, np.nan], equal_nan=True)
    assert np.array_equal(columns["n"], [1.0, np.nan], equal_nan=True)
    assert columns["id"] == [str(2**60 + 1), "5"]
    assert np.array_equal(columns["flag"], [1.0, 0.0])
    assert columns["c"] == ["x", ""]


def test_a_parquet_column_of_lists_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"embedding": pa.array([[1.0], [2.0]])}), path)
    with pytest.raises(UnreadableFile, match="'embedding'"):
        first_rows(open_log(path), 10)
