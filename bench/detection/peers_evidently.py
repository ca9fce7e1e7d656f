"""Evidently's tests of one column, at its default thresholds. Run in its environment."""

import sys
from importlib.metadata import version

import numpy as np
from evidently.legacy.calculations.stattests import (  # type: ignore[import-not-found]
    jensenshannon_stat_test,
    ks_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.core import ColumnType  # type: ignore[import-not-found]

from bench.detection.peers_protocol import Columns, read_columns, say

# The last one is what it takes by default for a numeric column with more than 1,000 rows of reference.
TESTS = {
    "PSI": psi_stat_test,
    "KS p-value": ks_stat_test,
    "Jensen-Shannon distance": jensenshannon_stat_test,
    "its default, normed Wasserstein": wasserstein_stat_test,
}


def main() -> None:
    columns = read_columns(sys.argv)
    for name, test in TESTS.items():
        bar = f"{'<' if test is ks_stat_test else '≥'} {test.default_threshold:g}"
        say(f"Evidently {version('evidently')}: {name} {bar} per window", _drifted(columns, test))


def _drifted(columns: Columns, test: object) -> np.ndarray:
    first, step = columns.baseline_rows + columns.learning_rows, columns.window_rows
    seeds, count, rows = columns.values.shape
    found = np.zeros((seeds, (rows - first) // step, count), dtype=bool)
    for seed in range(seeds):
        frame = columns.frame(seed)
        for number, name in enumerate(frame):
            reference = frame[name].iloc[: columns.baseline_rows]
            for window in range(found.shape[1]):
                current = frame[name].iloc[first + window * step :][:step]
                found[seed, window, number] = test(  # type: ignore[operator]
                    reference, current, ColumnType.Numerical, None
                ).drifted
    return found


if __name__ == "__main__":
    main()
