"""whylogs: a mergeable profile of every window. Run in its environment."""

import sys
from importlib.metadata import version

import whylogs  # type: ignore[import-not-found]

from bench.peers.protocol import read_rows, say, seconds_of


def main() -> None:
    rows = read_rows(sys.argv)

    def profile() -> None:
        for part in rows.windows():
            whylogs.log(pandas=part)

    say(f"profiles of {rows.window:,} rows", version("whylogs"), rows, seconds_of(profile))


if __name__ == "__main__":
    main()
