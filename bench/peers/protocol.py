"""What the scripts of the peers share: the rows come as files, a line of JSON a result goes out. Run in the peers'
environments, where there is NumPy and pandas, and nothing of ours but this package.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Rows:
    """A reference, and the rows that are looked at, in windows of so many."""

    reference: pd.DataFrame
    current: pd.DataFrame
    window: int

    def windows(self) -> Iterator[pd.DataFrame]:
        for start in range(0, len(self.current), self.window):
            yield self.current.iloc[start : start + self.window]


def read_rows(arguments: Sequence[str]) -> Rows:
    """Of the command line: reference.npy current.npy window. The arrays are float64[rows, columns]."""
    _, reference, current, window = arguments
    return Rows(_frame(reference), _frame(current), int(window))


def _frame(path: str) -> pd.DataFrame:
    values = np.load(path)
    return pd.DataFrame(values, columns=[f"n{number}" for number in range(values.shape[1])])


def seconds_of(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


def say(what: str, version: str, rows: Rows, taken_s: float) -> None:
    """One result, for `compare`."""
    count = len(rows.current)
    print(
        json.dumps({"what": what, "version": version, "rows": count, "rows_per_s": count / taken_s}),
        flush=True,
    )
