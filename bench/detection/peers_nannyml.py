"""NannyML's univariate drift of every column by chunks, at its default thresholds. Run in its environment."""

import sys
from importlib.metadata import version

import numpy as np
from nannyml import UnivariateDriftCalculator  # type: ignore[import-not-found]

from bench.detection.peers_protocol import read_columns, say

METHODS = {"jensen_shannon": "Jensen-Shannon distance", "kolmogorov_smirnov": "KS statistic"}


def main() -> None:
    columns = read_columns(sys.argv)
    first, step = columns.baseline_rows + columns.learning_rows, columns.window_rows
    seeds, count, rows = columns.values.shape
    windows = (rows - first) // step
    found = {method: np.zeros((seeds, windows, count), dtype=bool) for method in METHODS}
    for seed in range(seeds):
        frame = columns.frame(seed)
        calculator = UnivariateDriftCalculator(
            column_names=list(frame.columns), continuous_methods=list(METHODS), chunk_size=step
        )
        calculator.fit(frame.iloc[:first])
        result = calculator.calculate(frame.iloc[first : first + windows * step])
        told = result.filter(period="analysis").to_df()
        for number, name in enumerate(frame.columns):
            for method, alarms in found.items():
                alarms[seed, :, number] = told[(name, method, "alert")].to_numpy(dtype=bool)
    for method, name in METHODS.items():
        say(f"NannyML {version('nannyml')}: {name}, mean ± 3 σ of reference chunks", found[method])


if __name__ == "__main__":
    main()
