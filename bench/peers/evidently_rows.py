"""Evidently: PSI of every column against the reference, all rows at once and in windows. Run in its environment."""

import sys
from importlib.metadata import version

from evidently import Report  # type: ignore[import-not-found]
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

from bench.peers.protocol import Rows, read_rows, say, seconds_of


def main() -> None:
    rows = read_rows(sys.argv)
    report = Report([DataDriftPreset(method="psi")])
    report.run(rows.current.iloc[:1_000], rows.reference)  # whatever is only done once
    say(
        "PSI of all rows at once",
        version("evidently"),
        rows,
        seconds_of(lambda: report.run(rows.current, rows.reference)),
    )
    few = Rows(rows.reference, rows.current.iloc[:5_000], rows.window)

    def by_window() -> None:
        for part in few.windows():
            report.run(part, rows.reference)

    say(f"PSI in windows of {rows.window:,} rows", version("evidently"), few, seconds_of(by_window))


if __name__ == "__main__":
    main()
