"""How many rows a model's windows have, against those before: numbers, without a bar (`watching_volume`).

The rows of champions and canaries together, since a rollout moves requests from one to the other; shadows answer the same
requests again. A window without a row is not judged, so it has no numbers; the next one that has rows counts it as 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from driftsonde.core.chunks import NO_TIME_MS
from driftsonde.core.spec import HOUR_MS
from driftsonde.core.statistics.quality import freshness_s, volume
from driftsonde.core.verdict import Metric

# Five comparable windows (`quality.volume`) of a week fit in, down to windows of an hour; of a day, down to ten minutes.
WINDOWS_KEPT = 900
_COMPARABLE = 5
RATIO, FRESHNESS = "volume_ratio", "freshness_s"
_SEASONS_MS = (7 * 24 * HOUR_MS, 24 * HOUR_MS)


@dataclass(frozen=True, slots=True)
class VolumeHistory:
    """The rows of the last windows, oldest first, up to the one that starts at `last_start_ms`. version: the champion that served
    last; silent_until_ms: the end of the last window without rows since then that was held against the policy."""

    last_start_ms: int = NO_TIME_MS
    rows: tuple[int, ...] = ()
    version: str = ""
    silent_until_ms: int = NO_TIME_MS


def observe_volume(
    history: VolumeHistory, start_ms: int, window_ms: int, rows: int
) -> tuple[VolumeHistory, list[Metric]]:
    """The history with one more window, and the window's numbers: `volume_ratio` to the expected rows and `volume_score` in robust
    standard deviations, once there are five earlier windows: at the same time of the week or of the day, where so many are
    kept, else at any time. `freshness_s`: how old the newest window with rows was when this one began.

    >>> _, numbers = observe_volume(VolumeHistory(4_000, (98, 103, 100, 97, 102)), 5_000, 1_000, 50)
    >>> [(number.name, number.value) for number in numbers]
    [('volume_ratio', 0.5), ('volume_score', -5.0), ('freshness_s', 0.0)]
    """
    windows_ago, rest = divmod(start_ms - history.last_start_ms, window_ms)
    if history.last_start_ms == NO_TIME_MS or rest or windows_ago < 1:  # the first, or of another size
        return VolumeHistory(start_ms, (rows,), history.version), []
    silent = min(windows_ago - 1, WINDOWS_KEPT)
    before = (*history.rows, *(0,) * silent)[-WINDOWS_KEPT:]
    metrics: list[Metric] = []
    expected = volume(rows, before, _period(len(before), window_ms), _COMPARABLE)
    if expected is not None:
        metrics.append(Metric("", RATIO, rows, expected.ratio))
        metrics.append(Metric("", "volume_score", rows, expected.score))
    metrics.append(Metric("", FRESHNESS, rows, freshness_s(history.last_start_ms + window_ms, start_ms)))
    return VolumeHistory(start_ms, (*before, rows)[-WINDOWS_KEPT:], history.version), metrics


def held_to_freshness(numbers: Sequence[Metric], limit_ms: int) -> list[Metric]:
    """The numbers of a window with rows, which is fresh, whatever was before it; with the limit if there is one."""
    bar = limit_ms / 1000 if limit_ms else math.nan
    return [one._replace(threshold=bar) if one.name == FRESHNESS else one for one in numbers]


def silent_windows(
    history: VolumeHistory, window_ms: int, limit_ms: int, count: int, before_ms: int
) -> list[tuple[int, Metric]]:
    """The starts of the first `count` windows at whose end the newest rows are older than the limit, and how old they are then: those
    that end by `before_ms`, and have not been held against it yet.

    >>> history = VolumeHistory(4_000, (9,), "1")
    >>> [(start, age.value) for start, age in silent_windows(history, 1_000, 2_500, 2, 99_000)]
    [(7000, 3.0), (8000, 4.0)]
    >>> silent_windows(history, 1_000, 2_500, 2, 7_999)
    []
    """
    if not limit_ms or not history.version:
        return []
    fresh_until_ms = history.last_start_ms + window_ms
    first_ms = fresh_until_ms + limit_ms // window_ms * window_ms
    found = []
    for start_ms in (first_ms + number * window_ms for number in range(count)):
        end_ms = start_ms + window_ms
        if history.silent_until_ms < end_ms <= before_ms:
            age_s = freshness_s(fresh_until_ms, end_ms)
            found.append(
                (start_ms, Metric("", FRESHNESS, 0, age_s, threshold=limit_ms / 1000, breached=True))
            )
    return found


def _period(windows: int, window_ms: int) -> int:
    """The longest season of which enough windows are known, in windows; 1 for none."""
    for season_ms in _SEASONS_MS:
        period, rest = divmod(season_ms, window_ms)
        if period and not rest and windows >= period * _COMPARABLE:
            return period
    return 1
