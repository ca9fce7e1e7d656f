"""Our rules on many seeds at once: the detectors of the core, with the same settings for every stream.

What is in the settings is what a spec has by default; the budget is 0.05 false pages in 10,000 rows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.detection.streams import BASELINE_ROWS, OutcomeStream
from driftsonde.core.statistics.evidence import log_alarm_bar
from driftsonde.core.statistics.rate_detector import (
    RateDetector,
    clear_rate,
    learn_rate,
    new_rate_detector,
    observe_rate,
)

BUDGET, BUDGET_ROWS = 0.05, 10_000
DROP = 0.05
RESOLVE_AFTER = 3
_DAY_MS = 24 * 3_600_000


def start_ms(window: int, window_rows: int, day_rows: int) -> int:
    """The event time at which a window starts."""
    return window * window_rows * _DAY_MS // day_rows


@dataclass(slots=True)
class Episodes:
    """One page an episode, of each seed: it lasts until so many windows in a row were not in alarm."""

    open: npt.NDArray[np.bool_]
    clean: npt.NDArray[np.int64]

    @classmethod
    def none(cls, seeds: int) -> "Episodes":
        return cls(np.zeros(seeds, dtype=np.bool_), np.zeros(seeds, dtype=np.int64))

    def observe(self, alarmed: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """(who is paged, whose episode ends) at this window."""
        paged = alarmed & ~self.open
        self.open = self.open | alarmed
        self.clean = np.where(self.open & ~alarmed, self.clean + 1, 0)
        ended = self.open & (self.clean >= RESOLVE_AFTER)
        self.open = self.open & ~ended
        return paged, ended


def watch_outcomes(
    stream: OutcomeStream, window_rows: int, known_rate: float | None = None
) -> list[list[int]]:
    """The rows after which each seed paged. known_rate: the baseline's rate is known, not estimated from its rows."""
    seeds, total = stream.errors.shape
    windows = total // window_rows
    hits = stream.errors[:, : windows * window_rows].reshape(seeds, windows, window_rows).sum(axis=2)
    baseline_windows = BASELINE_ROWS // window_rows
    rows = np.full(seeds, window_rows)
    state = learned(hits[:, :baseline_windows], window_rows, stream.day_rows, known_rate)
    bar = log_alarm_bar(BUDGET_ROWS / window_rows, BUDGET)
    episodes = Episodes.none(seeds)
    pages: list[list[int]] = [[] for _ in range(seeds)]
    for window in range(baseline_windows, windows):
        at_ms = start_ms(window, window_rows, stream.day_rows)
        state = observe_rate(state, hits[:, window], rows, at_ms, DROP, bar)
        paged, ended = episodes.observe(state.alarmed)
        for seed in np.flatnonzero(paged).tolist():
            pages[seed].append((window + 1 - baseline_windows) * window_rows)
        state = clear_rate(state, ended)
    return pages


def learned(
    hits: npt.NDArray[np.int64], window_rows: int, day_rows: int, known_rate: float | None
) -> RateDetector:
    seeds, windows = hits.shape
    if known_rate is None:
        state = new_rate_detector(hits.sum(axis=1), np.full(seeds, windows * window_rows))
    else:
        state = new_rate_detector(np.full(seeds, known_rate * 1e12), np.full(seeds, 1e12))
    for window in range(windows):
        at_ms = start_ms(window, window_rows, day_rows)
        state = learn_rate(state, hits[:, window], np.full(seeds, window_rows), at_ms)
    return state
