"""From pages to a row of the table.

A page inside a change, or within GRACE_ROWS after it, is not false; every other one is. An episode is found by the first page
inside it, and its delay runs from its first row. Delays and misses are over all episodes of all seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GRACE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Score:
    """rates are means over the seeds; delays in rows, NaN where no episode was found; NaN what nobody knows."""

    stream: str
    rule: str
    seeds: int
    false_per_10k: float
    any_false: float
    median_delay: float
    p90_delay: float
    episodes: int
    found: int
    pages: float

    @property
    def missed(self) -> int:
        return self.episodes - self.found


def score(
    stream: str,
    rule: str,
    pages: Sequence[Sequence[int]],
    rows: int,
    changes: Sequence[tuple[int, int]] | None,
) -> Score:
    """pages: for each seed the rows (counted from 1, after the baseline) after which it paged."""
    seeds = len(pages)
    mean_pages = float(np.mean([len(one) for one in pages]))
    if changes is None:
        return Score(stream, rule, seeds, np.nan, np.nan, np.nan, np.nan, 0, 0, mean_pages)
    excused = [(start, min(rows, end + GRACE_ROWS)) for start, end in changes]
    false = [sum(not any(start < page <= end for start, end in excused) for page in one) for one in pages]
    healthy_rows = rows - sum(end - start for start, end in excused)
    delays = []
    for one in pages:
        for start, end in changes:
            inside = [page - start for page in one if start < page <= end]
            if inside:
                delays.append(min(inside))
    return Score(
        stream,
        rule,
        seeds,
        float(np.mean(false)) * 10_000 / healthy_rows,
        float(np.mean([count > 0 for count in false])),
        float(np.median(delays)) if delays else np.nan,
        float(np.quantile(delays, 0.9)) if delays else np.nan,
        seeds * len(changes),
        len(delays),
        mean_pages,
    )
