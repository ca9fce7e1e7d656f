"""The page as one value: everything that the template shows, already in words, numbers and drawings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftsonde.core.chunks import WHOLE
from driftsonde.report import drift, provenance, segments, timeline
from driftsonde.report.axis import Tick, TimeAxis, axis_over
from driftsonde.report.column_detail import ColumnDetail, column_detail
from driftsonde.report.drift import HeatRow, RankedColumn
from driftsonde.report.formats import format_plural, format_span, format_time
from driftsonde.report.headline import Fact, Verdict, facts_of, verdict_of
from driftsonde.report.performance import Performance, headline_metric, performance_view
from driftsonde.report.results import BinCount, ColumnWindow, Results, SourceFile
from driftsonde.report.segments import Segment, segment_rows
from driftsonde.report.timeline import DecisionLine, Entry, Lane
from driftsonde.report.versions import Served, served_versions


@dataclass(frozen=True, slots=True)
class HeatMap:
    """`other`: the columns beyond the ones drawn, as `drift.summary_row`."""

    rows: tuple[HeatRow, ...]
    other: tuple[tuple[str, ...], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Page:
    """`folded`: what one cell of the time axis stands for, "" where it is one window."""

    model: str
    versions: tuple[Served, ...]
    period: str
    verdict: Verdict
    facts: tuple[Fact, ...]
    ticks: tuple[Tick, ...]
    folded: str
    in_sample: bool
    lanes: tuple[Lane, ...]
    entries: tuple[Entry, ...]
    entries_left_out: int
    other_decisions: tuple[DecisionLine, ...]
    heat: HeatMap
    details: tuple[ColumnDetail, ...]
    performance: Performance | None
    segments: tuple[Segment, ...]
    segments_left_out: int
    headline: str
    files: tuple[SourceFile, ...]
    lineage: tuple[tuple[str, str], ...]
    definitions: tuple[tuple[str, str], ...]
    alarms: tuple[str, ...]
    policies: tuple[str, ...]


def build_page(results: Results, counts: Mapping[ColumnWindow, tuple[BinCount, ...]]) -> Page:
    """The view of the results; `counts` holds the windows named by `drift.wanted_windows`."""
    ranked = drift.rank_columns(results)
    chosen = drift.detailed(ranked)
    anchors = {column.name: f"column-{place}" for place, column in enumerate(chosen, start=1)}
    windows = dict(
        zip((column.name for column in chosen), drift.wanted_windows(results, chosen), strict=True)
    )
    axis = axis_over(list(results.series.values())) if results.series else None
    episodes = timeline.episodes_of(results.signals)
    headline = headline_metric(results)
    served = served_versions(results, headline)
    rows, count = sum(version.rows for version in served), _windows(results)
    all_segments = segment_rows(results, headline)
    return Page(
        model=results.model,
        versions=served,
        period=_period(axis),
        verdict=verdict_of(results, episodes, ranked),
        facts=tuple(facts_of(results, ranked, rows, count)),
        ticks=axis.ticks() if axis else (),
        folded=_folded(axis),
        in_sample=axis is not None and axis.start_ms < results.baseline_end_ms,
        lanes=timeline.lanes(axis, episodes) if axis else (),
        entries=timeline.entries(results),
        entries_left_out=max(0, len(results.signals) - timeline.LISTED_SIGNALS),
        other_decisions=timeline.other_decisions(results),
        heat=_heat(axis, ranked, anchors),
        details=tuple(
            column_detail(axis, results, column, anchors[column.name], counts.get(windows[column.name], ()))
            for column in chosen
            if axis
        ),
        performance=performance_view(axis, results) if axis else None,
        segments=all_segments[: segments.LISTED_SEGMENTS],
        segments_left_out=max(0, len(all_segments) - segments.LISTED_SEGMENTS),
        headline=headline,
        files=results.files,
        lineage=provenance.lineage_rows(results.baseline),
        definitions=provenance.definitions(results),
        alarms=provenance.ALARMS,
        policies=provenance.policies(results),
    )


def _heat(axis: TimeAxis | None, ranked: tuple[RankedColumn, ...], anchors: Mapping[str, str]) -> HeatMap:
    other = ranked[drift.SHOWN_COLUMNS :]
    return HeatMap(
        rows=drift.heat_rows(axis, ranked, anchors) if axis else (),
        other=tuple(drift.summary_row(column) for column in other[: drift.LISTED_COLUMNS]),
        left_out=max(0, len(other) - drift.LISTED_COLUMNS),
    )


def _windows(results: Results) -> int:
    whole = [series.starts_ms for key, series in results.series.items() if key.segment == WHOLE]
    return len(np.unique(np.concatenate(whole))) if whole else 0


def _period(axis: TimeAxis | None) -> str:
    if axis is None:
        return "no windows"
    return (
        f"{format_time(axis.start_ms)} to {format_time(axis.end_ms)} UTC, "
        f"windows of {format_span(axis.window_ms)}"
    )


def _folded(axis: TimeAxis | None) -> str:
    if axis is None or axis.windows_per_cell == 1:
        return ""
    return format_plural(axis.windows_per_cell, "window")
