"""What the scripts of `peers` share; they run where there is NumPy and pandas, and nothing of ours but this package."""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Columns:
    """values: float64[seeds, columns, rows]; of the rows first the baseline, then the learning period, then what is
    monitored in windows of so many."""

    values: npt.NDArray[np.float64]
    baseline_rows: int
    learning_rows: int
    window_rows: int

    def frame(self, seed: int) -> pd.DataFrame:
        """All rows of a seed."""
        return pd.DataFrame({f"c{number}": column for number, column in enumerate(self.values[seed])})


def read_columns(arguments: list[str]) -> Columns:
    """Of the command line: values.npy baseline learning window, the last three in rows."""
    _, path, *numbers = arguments
    baseline, learning, window = map(int, numbers)
    return Columns(np.load(path), baseline, learning, window)


def say(rule: str, drifted: npt.NDArray[np.bool_]) -> None:
    """drifted: [seeds, windows, columns], of the monitored windows."""
    print(json.dumps({"rule": rule, "drifted": drifted.astype(int).tolist()}), flush=True)
