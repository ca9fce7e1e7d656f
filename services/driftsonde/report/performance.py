"""Performance over time: the headline metric with its interval, the other metrics, the label coverage."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from driftsonde.core.chunks import WHOLE
from driftsonde.report.axis import TimeAxis
from driftsonde.report.charts import Chart, Line, line_chart
from driftsonde.report.folding import Fold, Point, fold, weighted_mean
from driftsonde.report.formats import format_metric, format_time, name_of
from driftsonde.report.results import Results, Series, merge

HEADLINES = ("accuracy", "rmse")
OTHERS = ("precision", "recall", "f1", "roc_auc", "log_loss", "brier", "mae", "bias")
LABELS = ("label_coverage", "label_delay_s")
_COLOURS = ("one", "two", "three")


@dataclass(frozen=True, slots=True)
class Performance:
    """`rows`: the table behind all charts, one row a cell."""

    metric: str
    name: str
    chart: Chart
    others: tuple[Chart, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def headline_metric(results: Results) -> str:
    """ "accuracy" or "rmse", whichever was measured; "" where there are no labels."""
    return next((metric for metric in HEADLINES if results.main(metric) is not None), "")


def reference_value(results: Results, metric: str) -> float:
    """What the baseline scored, else the mean of the windows before the first breach; NaN where neither is known."""
    known = results.baseline.performance
    if known is not None and known.metric == metric:
        return known.value
    series = results.main(metric)
    if series is None:
        return math.nan
    first = int(np.argmax(series.breached)) if series.breached.any() else len(series.n)
    return weighted_mean(series.value[:first], series.n[:first])


def mean_between(series: Series, start_ms: int, end_ms: int) -> float:
    """The mean of the windows that begin in [start_ms, end_ms), weighted by their rows."""
    inside = (series.starts_ms >= start_ms) & (series.starts_ms < end_ms)
    return weighted_mean(series.value[inside], series.n[inside])


def performance_view(axis: TimeAxis, results: Results) -> Performance | None:
    """None where no label was joined."""
    metric = headline_metric(results)
    if not metric:
        return None
    chart = line_chart(
        axis,
        metric,
        f"{name_of(metric)[0].upper()}{name_of(metric)[1:]} over time",
        list(_lines(axis, results, metric)),
        in_sample_until_ms=results.baseline_end_ms,
        hover=True,
    )
    header, rows = _table(axis, results, metric)
    others = tuple(_small(axis, results, metric))
    return Performance(metric, name_of(metric), chart, others, header, rows)


def _lines(axis: TimeAxis, results: Results, metric: str) -> Iterator[Line]:
    """The main variant first, then the others that served beside it."""
    variants = sorted(
        {key.variant for key in results.series if key.metric == metric and key.segment == WHOLE}
    )
    ordered = sorted(variants, key=lambda variant: variant != results.main_variant)
    for variant, colour in zip(ordered, _COLOURS, strict=False):
        series = merge(
            part
            for key, part in results.series.items()
            if (key.metric, key.variant, key.segment) == (metric, variant, WHOLE)
        )
        if series is not None:
            main = variant == results.main_variant
            yield Line(variant, fold(axis, series, Fold.MEAN), colour, band=True, bars=main)


def _small(axis: TimeAxis, results: Results, headline: str) -> Iterator[Chart]:
    for metric in (*LABELS, *HEADLINES, *OTHERS):
        series = results.main(metric)
        if series is None or metric == headline or not np.isfinite(series.value).any():
            continue
        name = name_of(metric)
        line = Line(name, fold(axis, series, Fold.MEAN), "one", band=True)
        yield line_chart(
            axis, metric, name[0].upper() + name[1:], [line], floor=0.0 if metric in LABELS else None
        )


def _table(
    axis: TimeAxis, results: Results, headline: str
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    metrics = [headline, *(metric for metric in (*HEADLINES, *OTHERS, *LABELS) if metric != headline)]
    known = {
        metric: {point.cell: point for point in fold(axis, series, Fold.MEAN)}
        for metric in metrics
        if (series := results.main(metric)) is not None
    }
    header = ("Window", "Labelled", *(name_of(metric) for metric in known), "Interval", "Limit")
    rows = [
        (
            format_time(point.start_ms),
            f"{point.n:,}",
            *(_cell(metric, points.get(cell)) for metric, points in known.items()),
            _interval(headline, point),
            format_metric(headline, point.threshold),
        )
        for cell, point in known[headline].items()
    ]
    return header, tuple(rows)


def _interval(metric: str, point: Point) -> str:
    return f"{format_metric(metric, point.lower)} to {format_metric(metric, point.upper)}"


def _cell(metric: str, point: Point | None) -> str:
    if point is None:
        return format_metric(metric, math.nan)
    return format_metric(metric, point.value) + (" ▲" if point.breached else "")
