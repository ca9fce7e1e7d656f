"""The telemetry that the demo serves: NASA's Shuttle, as river ships it, or a CSV file of the same form.

The rows keep the order of the file. UCI's Statlog edition, which river's comes from, has been in random order since it was
published, so nothing here has to be shuffled for the healthy part of the stream to resemble the reference rows.
"""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np
from river import datasets

from driftsonde.core.events import Floats, Ints

FEATURES = tuple(f"f{number}" for number in range(1, 10))
LABEL = "anomaly"
# In the order of the confusion matrix; a label of 1 in the file is the second.
CLASSES = ("normal", "anomaly")


class InvalidData(ValueError):
    """A file that can't be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Rows:
    """`features` is float64[rows, len(FEATURES)]; `labels` is int64[rows], positions in `CLASSES`."""

    features: Floats
    labels: Ints

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, end: int) -> "Rows":
        return Rows(self.features[start:end], self.labels[start:end])


def shuttle_file() -> Path:
    """Where river keeps the data set."""
    return Path(datasets.Shuttle().path)


def read_rows(path: Path) -> Rows:
    """The rows of a CSV file (`.gz` too) with a header that names `FEATURES` and `LABEL`. Raises `InvalidData`."""
    try:
        with _opened(path) as lines:
            values = list(_values(path, csv.DictReader(lines)))
    except (OSError, UnicodeDecodeError, csv.Error, EOFError) as error:
        raise InvalidData(f"{path}: can't be read: {error}") from error
    matrix = np.array(values, dtype=np.float64).reshape(len(values), len(FEATURES) + 1)
    return Rows(matrix[:, :-1], matrix[:, -1].astype(np.int64))


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            yield lines
    else:
        with path.open(encoding="utf-8", newline="") as lines:
            yield lines


def _values(path: Path, reader: "csv.DictReader[str]") -> Iterator[list[float]]:
    missing = [name for name in (*FEATURES, LABEL) if name not in (reader.fieldnames or ())]
    if missing:
        raise InvalidData(f"{path}: has no column {', '.join(missing)}")
    for row in reader:
        yield list(
            chain((_number(path, reader, row, name) for name in FEATURES), (_label(path, reader, row),))
        )


def _number(path: Path, reader: "csv.DictReader[str]", row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = np.nan
    if not np.isfinite(value):
        raise InvalidData(f"{path}, line {reader.line_num}: {name} is {row[name]!r}; expected a number")
    return value


def _label(path: Path, reader: "csv.DictReader[str]", row: dict[str, str]) -> float:
    if row[LABEL] not in ("0", "1"):
        raise InvalidData(f"{path}, line {reader.line_num}: {LABEL} is {row[LABEL]!r}; expected 0 or 1")
    return float(row[LABEL])
