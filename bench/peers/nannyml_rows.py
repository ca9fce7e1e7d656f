"""NannyML: Jensen-Shannon distance of every column by chunks of a window. Run in its environment."""

import sys
from importlib.metadata import version

from nannyml import UnivariateDriftCalculator  # type: ignore[import-not-found]

from bench.peers.protocol import read_rows, say, seconds_of


def main() -> None:
    rows = read_rows(sys.argv)
    calculator = UnivariateDriftCalculator(
        column_names=list(rows.reference.columns),
        continuous_methods=["jensen_shannon"],
        chunk_size=rows.window,
    )
    calculator.fit(rows.reference)
    taken_s = seconds_of(lambda: calculator.calculate(rows.current))
    say(f"Jensen-Shannon in chunks of {rows.window:,} rows", version("nannyml"), rows, taken_s)


if __name__ == "__main__":
    main()
