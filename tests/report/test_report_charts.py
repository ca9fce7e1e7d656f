"""Axis, folding and drawing: small values that can be worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from driftsonde.report import svg
from driftsonde.report.axis import MAX_CELLS, axis_over
from driftsonde.report.charts import Line, line_chart, nice_scale
from driftsonde.report.drift import level_of
from driftsonde.report.folding import Fold, Point, fold
from driftsonde.report.results import Series, merge

HOUR_MS = 3_600_000


def series_of(values: list[float], *, n: int = 10, threshold: float = 0.2, first: int = 0) -> Series:
    starts = (first + np.arange(len(values), dtype=np.int64)) * HOUR_MS
    numbers = np.array(values)
    nothing = np.full(len(values), math.nan)
    return Series(
        starts_ms=starts,
        ends_ms=starts + HOUR_MS,
        n=np.full(len(values), n, dtype=np.int64),
        value=numbers,
        lower=nothing,
        upper=nothing,
        threshold=np.full(len(values), threshold),
        breached=numbers > threshold,
    )


def test_few_windows_have_a_cell_each() -> None:
    axis = axis_over([series_of([0.1] * 24)])
    assert (axis.cells, axis.windows_per_cell, axis.window_ms) == (24, 1, HOUR_MS)
    assert axis.position(6 * HOUR_MS) == 6
    assert [tick.label for tick in axis.ticks()] == [
        "1 Jan 00:00",
        "1 Jan 06:00",
        "1 Jan 12:00",
        "1 Jan 18:00",
    ]


def test_long_periods_have_ticks_on_the_calendar() -> None:
    three_years = axis_over([series_of([0.1] * 24 * 365 * 3, first=24 * 100)])
    assert [tick.label for tick in three_years.ticks()] == ["1971", "1972", "1973"]
    assert three_years.ticks()[0].at == pytest.approx(100 * 265 / (365 * 3), abs=0.1)
    half_a_year = axis_over([series_of([0.1] * 24 * 200, first=24 * 100)])
    assert [tick.label for tick in half_a_year.ticks()] == ["May 1970", "Jul 1970", "Sep 1970"]


@pytest.mark.parametrize("windows", [1, 2, MAX_CELLS, MAX_CELLS + 1, 1000, 20_000])
def test_cells_and_ticks_are_bounded(windows: int) -> None:
    axis = axis_over([series_of([0.1] * windows)])
    assert axis.cells <= MAX_CELLS
    assert axis.cells * axis.windows_per_cell >= windows
    assert 1 <= len(axis.ticks()) <= 6


def test_a_cell_shows_its_worst_window_or_the_mean() -> None:
    values = [0.1] * 480
    values[100] = 0.9
    series = series_of(values)
    axis = axis_over([series])
    worst = fold(axis, series, Fold.WORST)[50]
    assert (worst.value, worst.windows, worst.breached, worst.n) == (0.9, 2, 1, 20)
    assert fold(axis, series, Fold.MEAN)[50].value == pytest.approx(0.5)


def test_a_breach_is_worse_than_a_larger_value_that_was_not_judged() -> None:
    series = series_of([0.5, 0.3] * 240)
    quiet = replace(series, breached=series.value < 0.4)
    assert fold(axis_over([quiet]), quiet, Fold.WORST)[0].value == 0.3


def test_merging_takes_the_version_with_more_rows() -> None:
    merged = merge([series_of([0.1, 0.1], n=5), series_of([0.7, 0.7], n=50, first=1)])
    assert merged is not None
    assert merged.value.tolist() == [0.1, 0.7, 0.7]
    assert merge([]) is None


@pytest.mark.parametrize("extent", [(0.0, 0.0), (0.7, 0.7), (-3.0, 12.0), (1e-9, 3e-9), (0.0, 7.4e8)])
def test_a_scale_holds_its_values(extent: tuple[float, float]) -> None:
    scale, steps = nice_scale(extent)
    assert scale.low <= extent[0] <= extent[1] <= scale.high
    assert 3 <= len(steps) <= 6
    assert scale.y(scale.low) == svg.HEIGHT and scale.y(scale.high) == 0


def test_levels_are_multiples_of_the_threshold() -> None:
    def point(value: float, threshold: float) -> Point:
        return Point(0, 0, HOUR_MS, 1, 10, value, math.nan, math.nan, threshold, 0)

    assert [level_of(point(value, 0.4)) for value in (0.1, 0.3, 0.7, 1.9, 2.1)] == [0, 1, 2, 3, 4]
    assert level_of(point(0.3, math.nan)) == 2


def test_a_gap_in_time_is_a_gap_in_the_line() -> None:
    series = series_of([0.1, 0.2, math.nan, 0.4, 0.5])
    axis = axis_over([series])
    chart = line_chart(axis, "psi", "PSI", [Line("PSI", fold(axis, series, Fold.WORST), "one")])
    assert chart.plot.count('class="line one"') == 2
    assert chart.plot.count('class="breach"') == 2
    assert "NaN" not in chart.plot and "nan" not in chart.plot


def test_marks_are_escaped() -> None:
    assert "<b>" not in svg.rectangle(0, 0, 1, 1, "x", title="<b>")
    assert 'aria-label="&lt;b&gt;&#34;"' in svg.plot(1, '<b>"', [])
