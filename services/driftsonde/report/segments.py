"""The segments, worst first."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftsonde.core.chunks import WHOLE
from driftsonde.report.folding import excess, weighted_mean
from driftsonde.report.formats import NOTHING, format_metric, format_time
from driftsonde.report.results import Results, Series, SeriesKey, merge

SHOWN_SEGMENTS = 15
LISTED_SEGMENTS = 500


@dataclass(frozen=True, slots=True)
class Segment:
    """One slice over the whole period. `breached`: its windows with a breached metric."""

    name: str
    rows: int
    labelled: int
    performance: str
    worst: str
    worst_at: str
    drift: str
    breached: int


def segment_rows(results: Results, headline: str) -> tuple[Segment, ...]:
    """All segments, the worst performance first; where it is not known, by windows with a breach, then by name."""
    grouped: dict[str, dict[SeriesKey, Series]] = defaultdict(dict)
    for key, series in results.series.items():
        if key.segment != WHOLE and key.variant == results.main_variant:
            grouped[key.segment][key] = series
    found = [_segment(name, mine, headline) for name, mine in grouped.items()]
    return tuple(segment for _, segment in sorted(found, key=lambda pair: (*pair[0], pair[1].name)))


def rows_of(parts: list[Series]) -> int:
    """Rows behind series of one slice: of each window the largest n that a metric has."""
    if not parts:
        return 0
    starts = np.concatenate([part.starts_ms for part in parts])
    windows, place = np.unique(starts, return_inverse=True)
    most = np.zeros(len(windows), dtype=np.int64)
    np.maximum.at(most, place, np.concatenate([part.n for part in parts]))
    return int(most.sum())


def _segment(name: str, mine: Mapping[SeriesKey, Series], headline: str) -> tuple[tuple[float, int], Segment]:
    """With what it is sorted by."""
    higher_is_better = headline != "rmse"
    versions = sorted({key.version for key in mine})
    rows = sum(
        rows_of([series for key, series in mine.items() if key.version == version]) for version in versions
    )
    breached = {int(start) for series in mine.values() for start in series.starts_ms[series.breached]}
    target = merge(series for key, series in mine.items() if key.metric == headline and not key.column)
    mean = worst = float("nan")
    worst_at, labelled = "", 0
    if target is not None and np.isfinite(target.value).any():
        mean, labelled = weighted_mean(target.value, target.n), int(target.n.sum())
        place = int(np.nanargmin(target.value) if higher_is_better else np.nanargmax(target.value))
        worst, worst_at = float(target.value[place]), format_time(int(target.starts_ms[place]))
    goodness = mean if higher_is_better else -mean
    segment = Segment(
        name=name,
        rows=rows,
        labelled=labelled,
        performance=format_metric(headline, mean),
        worst=format_metric(headline, worst),
        worst_at=worst_at,
        drift=_drift(mine),
        breached=len(breached),
    )
    return (goodness if np.isfinite(goodness) else np.inf, -len(breached)), segment


def _drift(mine: Mapping[SeriesKey, Series]) -> str:
    """The column that went furthest beyond its bar in this segment, with its PSI."""
    furthest, text = -np.inf, NOTHING
    for key, series in mine.items():
        if key.metric == "psi":
            place = int(np.argmax(excess(series)))
            if excess(series)[place] > furthest:
                furthest = excess(series)[place]
                text = f"{key.column} {format_metric('psi', float(series.value[place]))}"
    return text
