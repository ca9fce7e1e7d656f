"""What a producer says about its problems: not a line for every row that meets one."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

AGAIN_S = 600.0


class Complaints:
    """Says a problem when it is met, and again at most every ten minutes; the counters say how often it was met.

    `most`: so many different problems are told, the others are counted only.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic, most: int = 100) -> None:
        self._monotonic_s = monotonic_s
        self._most = most
        self._said_s: dict[str, float] = {}

    def warning(self, what: str, problem: object) -> None:
        """`what` is the kind of the problem, of a few; `problem` its details this time."""
        said_s = self._said_s.get(what)
        now_s = self._monotonic_s()
        if len(self._said_s) >= self._most if said_s is None else now_s - said_s < AGAIN_S:
            return
        self._said_s[what] = now_s
        log.warning("%s: %s (not said for every row; see the monitor's stats)", what, problem)
