"""Log files, read in pieces: CSV (also .gz) and Parquet. Every row keeps its line number."""

# pyarrow's arrays have a type parameter in its stubs only.
from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from driftsonde.core.events import Floats, Ints

if TYPE_CHECKING:
    from _csv import Reader

PIECE_ROWS = 8_192
MAX_FIELD_CHARS = 1 << 20
_EXACT = 1 << 53
_PANDAS_INDEX = re.compile(
    r"__index_level_\d+__"
)  # how pandas saves an index without a name: no column of the log

# A column as the file has it: texts, or numbers (NaN for missing), or times in milliseconds (NaN for missing).
Raw = list[str] | Floats


class UnreadableFile(ValueError):
    """A file that is not what its name says, or holds nothing."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that can't be used. `line` counts from 1: of a CSV the file's line on which the row ends, of a Parquet file
    the row."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a file, in columns of one length, and the rows in between that could not be taken apart.

    `rows` counts the file's rows from 1, rejected ones included; int64, as `lines`.
    """

    lines: Ints
    rows: Ints
    columns: dict[str, Raw]
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFile:
    """`names` are the columns, in the order of the file. `times` are those that hold times of their own type."""

    path: Path
    names: tuple[str, ...]
    times: frozenset[str] = frozenset()

    def pieces(self) -> Iterator[Piece]:
        """All rows, in the order of the file. Raises `UnreadableFile`, OSError."""
        return _parquet_pieces(self) if is_parquet(self.path) else _csv_pieces(self)


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def open_log(path: Path) -> LogFile:
    """Look at the columns. Raises `UnreadableFile`, OSError."""
    if is_parquet(path):
        with _parquet(path) as parquet:
            schema = parquet.schema_arrow
            names = tuple(name for name in schema.names if not _PANDAS_INDEX.fullmatch(name))
            log = LogFile(path, names, frozenset(f.name for f in schema if _holds_times(f.type)))
    else:
        with _open_text(path) as text:
            log = LogFile(path, tuple(name.strip() for name in next(_rows_of(text), [])))
    if not log.names:
        raise UnreadableFile(f"{path}: is empty")
    if len(set(log.names)) < len(log.names):
        twice = next(name for name in log.names if log.names.count(name) > 1)
        raise UnreadableFile(f"{path}: two columns are named {twice!r}")
    return log


def _csv_pieces(log: LogFile) -> Iterator[Piece]:
    with _open_text(log.path) as text:
        reader = _rows_of(text)
        next(reader, None)
        row = 0
        while True:
            lines: list[int] = []
            rows: list[int] = []
            values: list[list[str]] = []
            rejected: list[Rejected] = []
            ended = False
            for _ in range(PIECE_ROWS):
                try:
                    fields = next(reader)
                except StopIteration:
                    ended = True
                    break
                except csv.Error as error:
                    row += 1
                    rejected.append(Rejected(reader.line_num, f"not CSV: {error}"))
                    continue
                except (OSError, EOFError, zlib.error) as error:
                    raise UnreadableFile(f"{log.path}: {error}") from error
                if not fields:
                    continue  # an empty line is no row
                row += 1
                problem = _problem_of(fields, len(log.names))
                if problem:
                    rejected.append(Rejected(reader.line_num, problem))
                    continue
                lines.append(reader.line_num)
                rows.append(row)
                values.append(fields)
            columns = [list(column) for column in zip(*values, strict=True)] or [[] for _ in log.names]
            yield Piece(
                np.array(lines, dtype=np.int64),
                np.array(rows, dtype=np.int64),
                dict(zip(log.names, columns, strict=True)),
                tuple(rejected),
            )
            if ended:
                return


def _problem_of(fields: list[str], wanted: int) -> str:
    if len(fields) != wanted:
        return f"has {len(fields)} fields where the header has {wanted}"
    text = "".join(fields)
    if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
        return "is not UTF-8"
    return ""


def _rows_of(text: TextIO) -> Reader:
    csv.field_size_limit(MAX_FIELD_CHARS)
    return csv.reader(text)


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """Bytes that are no UTF-8 become lone surrogates, by which their row is found and rejected."""
    compressed = path.suffix.lower() == ".gz"
    with (
        gzip.open(path, "rb") if compressed else path.open("rb") as octets,
        io.TextIOWrapper(octets, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        try:
            start = text.read(1)
        except (gzip.BadGzipFile, EOFError) as error:
            raise UnreadableFile(f"{path}: {error}") from error
        if not start:
            raise UnreadableFile(f"{path}: is empty")
        text.seek(0)
        yield text


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as parquet:
            yield parquet
    except pa.ArrowInvalid as error:
        raise UnreadableFile(f"{path}: {error}") from error


def _parquet_pieces(log: LogFile) -> Iterator[Piece]:
    with _parquet(log.path) as parquet:
        first = 1
        for batch in parquet.iter_batches(PIECE_ROWS):
            rows = np.arange(first, first + batch.num_rows, dtype=np.int64)
            first += batch.num_rows
            columns = {name: _raw(batch.column(name), name, log.path) for name in log.names}
            yield Piece(rows, rows, columns)


def _holds_times(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _raw(column: pa.Array[Any], name: str, path: Path) -> Raw:
    kind = column.type
    if _holds_times(kind):
        # A time that names no zone is UTC, here as in a text.
        numbers = column.cast(pa.timestamp("ms", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        return _floats(numbers)
    if pa.types.is_integer(kind) and not _fits_float(column):
        return ["" if value is None else str(value) for value in column.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return _floats(column)
    if pa.types.is_decimal(kind):
        return _floats(column.cast(pa.float64()))
    if pa.types.is_dictionary(kind):
        column = pc.cast(column, kind.value_type)
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UnreadableFile(f"{path}: column {name!r} of type {kind} can't be used: {error}") from error
    return ["" if text is None else text for text in texts.to_pylist()]


def _fits_float(column: pa.Array[Any]) -> bool:
    """Whether a float64 tells these integers apart; ids are often too large for that."""
    low, high = pc.min(column).as_py(), pc.max(column).as_py()
    return low is None or (low >= -_EXACT and high <= _EXACT)


def _floats(column: pa.Array[Any]) -> Floats:
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def first_rows(log: LogFile, count: int) -> Piece:
    """The first rows together, about `count`: what is looked at before deciding what the columns are."""
    pieces = list(islice(log.pieces(), max(1, -(-count // PIECE_ROWS))))
    return Piece(
        np.concatenate([piece.lines for piece in pieces]),
        np.concatenate([piece.rows for piece in pieces]),
        {name: _concatenated([piece.columns[name] for piece in pieces]) for name in log.names},
        tuple(rejected for piece in pieces for rejected in piece.rejected),
    )


def _concatenated(parts: list[Raw]) -> Raw:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])
    return [text for part in parts if isinstance(part, list) for text in part]
