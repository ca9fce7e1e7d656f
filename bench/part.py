"""One part in a process of its own: `python -m bench.part NAME --out FILE --scale quick`."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from bench.figures import Failure, Recorder, Scale, append_entry
from bench.parts import PARTS


class OutOfTime(Exception):
    """The part's limit is over."""


def main() -> int:
    """0 where all was measured; 1, and a `Failure` in the file, where not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[part.name for part in PARTS])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=Scale, choices=list(Scale), required=True)
    options = parser.parse_args()
    (part,) = (part for part in PARTS if part.name == options.name)
    # Both are exceptions in this thread, so that every process that was started is stopped on the way out.
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.signal(signal.SIGTERM, _terminated)
    signal.alarm(part.limit_s)
    try:
        part.measure(options.scale, Recorder(part.name, options.out))
    except Exception as error:
        append_entry(options.out, Failure(part.name, f"{type(error).__name__}: {error}"))
        print(f"  {part.name} failed: {error}", file=sys.stderr)
        return 1
    return 0


def _out_of_time(_number: int, _frame: FrameType | None) -> None:
    raise OutOfTime("not done within the limit")


def _terminated(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
