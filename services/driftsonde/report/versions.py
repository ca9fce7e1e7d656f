"""Which version served when, as what, and how well."""

from dataclasses import dataclass

from driftsonde.core.chunks import WHOLE
from driftsonde.report.folding import weighted_mean
from driftsonde.report.formats import format_metric, format_time
from driftsonde.report.results import Results, SeriesKey
from driftsonde.report.segments import rows_of


@dataclass(frozen=True, slots=True)
class Served:
    """One version in one variant over its windows."""

    version: str
    variant: str
    since: str
    until: str
    windows: int
    rows: int
    labelled: int
    performance: str


def served_versions(results: Results, headline: str) -> tuple[Served, ...]:
    """In the order in which they began to serve."""
    slices = sorted({(key.version, key.variant) for key in results.series if key.segment == WHOLE})
    found = [_served(results, version, variant, headline) for version, variant in slices]
    return tuple(served for _, served in sorted(found, key=lambda pair: pair[0]))


def _served(results: Results, version: str, variant: str, headline: str) -> tuple[int, Served]:
    mine = [
        series
        for key, series in results.series.items()
        if (key.version, key.variant, key.segment) == (version, variant, WHOLE)
    ]
    target = results.series.get(SeriesKey(version, variant, WHOLE, "", headline))
    starts = {int(start) for series in mine for start in series.starts_ms}
    since_ms = min(starts)
    served = Served(
        version=version,
        variant=variant,
        since=format_time(since_ms),
        until=format_time(max(int(series.ends_ms.max()) for series in mine)),
        windows=len(starts),
        rows=rows_of(mine),
        labelled=0 if target is None else int(target.n.sum()),
        performance=format_metric(
            headline, float("nan") if target is None else weighted_mean(target.value, target.n)
        ),
    )
    return since_ms, served
