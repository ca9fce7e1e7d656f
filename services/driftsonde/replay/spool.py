"""Rows on disk, put into the order of a time column in bounded memory: sorted runs, merged when they are read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from driftsonde.core.events import Ints

# Rows that are sorted at once, and rows of a batch on disk, of which each run has one in memory while merging.
RUN_ROWS = 262_144
BATCH_ROWS = 8_192

_Key = tuple[int, int]


@dataclass
class Spool:
    """Takes tables of one schema and gives their rows back ordered by (`time`, `row`), both int64.

    A run that begins after the last one ended goes on in the same file, so a file that is in order is one run.
    """

    directory: Path
    name: str
    time: str
    row: str
    run_rows: int = RUN_ROWS
    batch_rows: int = BATCH_ROWS
    rows: int = 0
    runs: list[Path] = field(default_factory=list)
    _waiting: list[pa.Table] = field(default_factory=list)
    _waiting_rows: int = 0
    _last: _Key | None = None
    _writer: pa.ipc.RecordBatchStreamWriter | None = None

    def add(self, table: pa.Table) -> None:
        if table.num_rows:
            self._waiting.append(table)
            self._waiting_rows += table.num_rows
            self.rows += table.num_rows
        if self._waiting_rows >= self.run_rows:
            self._write()

    def finish(self) -> None:
        """After the last row and before reading."""
        self._write()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def read(self) -> Iterator[pa.Table]:
        """All rows in order, in tables of any size; may be called again."""
        heads = [head for run in self.runs if (head := _Head.open(run, self.time, self.row)) is not None]
        try:
            while heads:
                if len(heads) == 1:
                    yield heads[0].table
                    heads = [head for head in heads if head.advance()]
                    continue
                until = min(head.last for head in heads)
                parts = [head.take(until) for head in heads]
                yield _in_order(pa.concat_tables(parts), self.time, self.row)
                heads = [head for head in heads if head.table.num_rows or head.advance()]
        finally:
            for head in heads:
                head.close()

    def _write(self) -> None:
        if not self._waiting:
            return
        table = _in_order(pa.concat_tables(self._waiting), self.time, self.row)
        self._waiting, self._waiting_rows = [], 0
        times, rows = _keys(table, self.time, self.row)
        if self._writer is None or self._last is None or (int(times[0]), int(rows[0])) < self._last:
            if self._writer is not None:
                self._writer.close()
            self.runs.append(self.directory / f"{self.name}-{len(self.runs)}.arrows")
            self._writer = pa.ipc.new_stream(str(self.runs[-1]), table.schema)
        self._writer.write_table(table, max_chunksize=self.batch_rows)
        self._last = (int(times[-1]), int(rows[-1]))


@dataclass
class _Head:
    """The next rows of a run."""

    source: pa.OSFile
    reader: pa.ipc.RecordBatchStreamReader
    time: str
    row: str
    table: pa.Table

    @classmethod
    def open(cls, run: Path, time: str, row: str) -> "_Head | None":
        source = pa.OSFile(str(run), "rb")
        reader = pa.ipc.open_stream(source)
        head = cls(source, reader, time, row, reader.schema.empty_table())
        return head if head.advance() else None

    @property
    def last(self) -> _Key:
        times, rows = _keys(self.table, self.time, self.row)
        return int(times[-1]), int(rows[-1])

    def take(self, until: _Key) -> pa.Table:
        """The rows up to that key."""
        times, rows = _keys(self.table, self.time, self.row)
        count = int(np.sum((times < until[0]) | ((times == until[0]) & (rows <= until[1]))))
        taken, self.table = self.table.slice(0, count), self.table.slice(count)
        return taken

    def advance(self) -> bool:
        """Go on to the next batch; False, and closed, at the end."""
        try:
            self.table = pa.Table.from_batches([self.reader.read_next_batch()])
        except StopIteration:
            self.close()
            return False
        return True

    def close(self) -> None:
        self.reader.close()
        self.source.close()


def _keys(table: pa.Table, time: str, row: str) -> tuple[Ints, Ints]:
    return table[time].to_numpy(), table[row].to_numpy()


def _in_order(table: pa.Table, time: str, row: str) -> pa.Table:
    times, rows = _keys(table, time, row)
    if np.all(times[1:] > times[:-1]):
        return table
    order: Ints = np.lexsort((rows, times)).astype(np.int64)
    return table if np.array_equal(order, np.arange(len(order))) else table.take(order)
