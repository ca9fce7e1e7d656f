"""Pieces of a file to typed rows: those that can be read, and for each other one its line and the reason."""

# pyarrow's arrays have a type parameter in its stubs only.
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from driftsonde.core.events import EARLIEST_MS, LATEST_MS, MAX_TEXT_CHARS, Floats, Ints
from driftsonde.core.spec import Task
from driftsonde.replay.files import LogFile, Piece, Raw, Rejected
from driftsonde.replay.mapping import ColumnMap
from driftsonde.replay.parsing import (
    Bools,
    class_of,
    is_missing,
    parse_numbers,
    parse_times_ms,
    times_of_numbers,
)

# Columns of the table of rows. Features, and segments behind them, follow under their place: "c0", "c1", …
TIME = "time_ms"
ROW = "row"
ID = "id"
VERSION = "version"
PREDICTION = "prediction"
SCORE = "score"
LABEL = "label"
LABEL_TIME = "label_time_ms"

# Ids of this many rows before are remembered to find a repetition.
SEEN_IDS = 1_000_000
MAX_CLASSES = 1_000

_Reasons = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class ReadRows:
    """A table (see the names above), in the order of the file; an empty text column value is null."""

    table: pa.Table
    rejected: tuple[Rejected, ...]


@dataclass(slots=True)
class RowReader:
    """Reads pieces in the order of the file. It remembers ids, and collects the classes that occur and the versions."""

    log: LogFile
    columns: ColumnMap
    classes: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    labels_before_prediction: int = 0
    _seen: dict[str, int] = field(default_factory=dict)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text columns beside the numbers: categorical features, then segments."""
        return (*self.columns.categorical, *self.columns.segments)

    def read(self, piece: Piece) -> ReadRows:
        count = len(piece.lines)
        reasons: _Reasons = np.full(count, None, dtype=object)
        columns = self.columns
        data: dict[str, pa.Array[Any]] = {}
        times = (
            np.zeros(count, dtype=np.int64)
            if columns.timestamp is None
            else self._times(piece, columns.timestamp, reasons)
        )
        ids = self._ids(piece, reasons)
        data[TIME], data[ROW], data[ID] = pa.array(times), pa.array(piece.rows), pa.array(ids, pa.string())
        if columns.version is not None:
            versions = _texts(piece.columns[columns.version], columns.version, reasons)
            _reject(reasons, np.array([text is None for text in versions], dtype=bool), "no version")
            data[VERSION] = pa.array(versions, pa.string())
        data |= self._outcomes(piece, reasons)
        if columns.label_timestamp is not None:
            data[LABEL_TIME] = pa.array(self._label_times(piece, times, data[LABEL], reasons))
        for place, name in enumerate(columns.numeric):
            data[f"c{place}"] = pa.array(_numbers(piece.columns[name], name, reasons))
        for place, name in enumerate(self.texts, start=len(columns.numeric)):
            data[f"c{place}"] = pa.array(_texts(piece.columns[name], name, reasons), pa.string())
        self._find_repetitions(ids, piece.lines, reasons)
        good = reasons == None  # noqa: E711  (an array: element by element)
        table = pa.table(data).filter(pa.array(good))
        self._collect(table)
        rejected = [Rejected(int(piece.lines[row]), reasons[row]) for row in np.flatnonzero(~good).tolist()]
        return ReadRows(table, tuple(sorted((*piece.rejected, *rejected), key=lambda entry: entry.line)))

    def _times(self, piece: Piece, name: str, reasons: _Reasons) -> Ints:
        raw = piece.columns[name]
        if isinstance(raw, list):
            times, bad = parse_times_ms(raw)
        elif name in self.log.times:
            bad = np.isnan(raw)
            times = np.nan_to_num(raw).astype(np.int64)
        else:
            times, bad = times_of_numbers(raw)
        _reject_values(
            reasons, bad, raw, f"{name}: {{}} is no time (ISO 8601, or seconds or milliseconds since 1970)"
        )
        outside = ~bad & ((times < EARLIEST_MS) | (times > LATEST_MS))
        _reject_values(reasons, outside, raw, f"{name}: {{}} is outside 1970 to 2100")
        return times

    def _label_times(self, piece: Piece, times: Ints, labels: pa.Array[Any], reasons: _Reasons) -> Ints:
        """When the labels became known; a label dated before its prediction counts as known with it."""
        assert self.columns.label_timestamp is not None
        label_reasons: _Reasons = np.full(len(times), None, dtype=object)
        label_times = self._times(piece, self.columns.label_timestamp, label_reasons)
        labelled = np.asarray(labels.is_valid()) & ~np.asarray(labels.is_null(nan_is_null=True))
        wrong = labelled & (label_reasons != None) & (reasons == None)  # noqa: E711
        reasons[wrong] = label_reasons[wrong]
        self.labels_before_prediction += int(np.sum(labelled & ~wrong & (label_times < times)))
        return np.maximum(label_times, times)

    def _ids(self, piece: Piece, reasons: _Reasons) -> list[str]:
        if self.columns.id is None:
            return [str(row) for row in piece.rows.tolist()]
        raw = piece.columns[self.columns.id]
        texts = _texts(raw, self.columns.id, reasons, None if isinstance(raw, list) else class_of)
        _reject(reasons, np.array([text is None for text in texts], dtype=bool), "no id")
        return [text or "" for text in texts]

    def _outcomes(self, piece: Piece, reasons: _Reasons) -> dict[str, pa.Array[Any]]:
        columns = self.columns
        data: dict[str, pa.Array[Any]] = {}
        scores: Floats | None = None
        if columns.score is not None:
            scores = _numbers(piece.columns[columns.score], columns.score, reasons)
            outside = (scores < 0) | (scores > 1)
            _reject_values(
                reasons, outside, piece.columns[columns.score], f"{columns.score}: {{}} is outside 0 to 1"
            )
            data[SCORE] = pa.array(scores)
        for role, name in ((PREDICTION, columns.prediction), (LABEL, columns.label)):
            if name is not None:
                data[role] = self._outcome(piece.columns[name], name, reasons)
        if columns.prediction is None and scores is not None:
            guessed = [None if np.isnan(s) else "1" if s >= 0.5 else "0" for s in scores.tolist()]
            data[PREDICTION] = pa.array(guessed, pa.string())
        return data

    def _outcome(self, raw: Raw, name: str, reasons: _Reasons) -> pa.Array[Any]:
        if self.columns.task is Task.REGRESSION:
            return pa.array(_numbers(raw, name, reasons))
        return pa.array(_texts(raw, name, reasons, class_of), pa.string())

    def _find_repetitions(self, ids: Sequence[str], lines: Ints, reasons: _Reasons) -> None:
        if self.columns.id is None:
            return
        seen = self._seen
        for row, identifier in enumerate(ids):
            if reasons[row] is not None:
                continue
            line = int(lines[row])
            before = seen.setdefault(identifier, line)
            if before != line:
                reasons[row] = f"{self.columns.id}: {identifier!r} is the id of line {before} already"
        while len(seen) > SEEN_IDS:
            del seen[next(iter(seen))]

    def _collect(self, table: pa.Table) -> None:
        if self.columns.task is not Task.REGRESSION and len(self.classes) <= MAX_CLASSES:
            for role in (PREDICTION, LABEL):
                if role in table.column_names:
                    self.classes.update(map(str, table[role].unique().drop_null().to_pylist()))
        if VERSION in table.column_names:
            self.versions.update(map(str, table[VERSION].unique().to_pylist()))


def _numbers(raw: Raw, name: str, reasons: _Reasons) -> Floats:
    if not isinstance(raw, list):
        return raw
    values, bad = parse_numbers(raw)
    _reject_values(reasons, bad, raw, f"{name}: {{}} is no number")
    return values


def _texts(
    raw: Raw, name: str, reasons: _Reasons, to_text: Callable[[str], str] | None = None
) -> list[str | None]:
    """Texts, None for missing ones; numbers by their shortest text."""
    if isinstance(raw, list):
        convert = _cached(to_text or str.strip)
        texts = [convert(text) for text in raw]
    else:
        convert = _cached(class_of)
        texts = [convert(repr(value)) for value in raw.tolist()]
    long = np.array([text is not None and len(text) > MAX_TEXT_CHARS for text in texts], dtype=bool)
    _reject(reasons, long, f"{name}: the text is longer than {MAX_TEXT_CHARS} characters")
    return texts


def _cached(to_text: Callable[[str], str]) -> Callable[[str], str | None]:
    @lru_cache(maxsize=4_096)
    def convert(text: str) -> str | None:
        return None if is_missing(text) else to_text(text)

    return convert


def _reject(reasons: _Reasons, rows: Bools, reason: str) -> None:
    """The first reason that is found stays."""
    for row in np.flatnonzero(rows).tolist():
        if reasons[row] is None:
            reasons[row] = reason


def _reject_values(reasons: _Reasons, rows: Bools, raw: Raw, reason: str) -> None:
    for row in np.flatnonzero(rows).tolist():
        if reasons[row] is None:
            value = raw[row]
            shown = repr(value[:40]) if isinstance(value, str) else repr(float(value))
            reasons[row] = reason.format(shown.replace("{", "{{").replace("}", "}}"))
