"""river: one drift detector a column, event by event. Run in its environment."""

import sys
from importlib.metadata import version

from river.drift import ADWIN  # type: ignore[import-not-found, import-untyped, unused-ignore]

from bench.peers.protocol import Rows, read_rows, say, seconds_of


def main() -> None:
    rows = read_rows(sys.argv)
    few = Rows(rows.reference, rows.current.iloc[:5_000].fillna(0.0), rows.window)
    events = few.current.to_numpy().tolist()

    def detect() -> None:
        detectors = [ADWIN() for _ in few.current.columns]  # type: ignore[no-untyped-call, unused-ignore]
        for event in events:
            for detector, value in zip(detectors, event, strict=True):
                detector.update(value)  # type: ignore[no-untyped-call, unused-ignore]

    say("ADWIN a column, event by event", version("river"), few, seconds_of(detect))


if __name__ == "__main__":
    main()
