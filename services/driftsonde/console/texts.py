"""The state of a version in words, as the terminal and the pages show it."""

import math
from datetime import datetime, timedelta

from driftsonde.console.fleet import Number, VersionState
from driftsonde.report.formats import NOTHING, format_metric, name_of

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def age(span: timedelta) -> str:
    """How long, in the largest unit of which there are two or more.

    >>> age(timedelta(days=1)), age(timedelta(days=2)), age(timedelta(seconds=90)), age(timedelta(0))
    ('24 h', '2 d', '90 s', '0 s')
    """
    seconds = max(0, int(span.total_seconds()))
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def judged_text(version: VersionState, now: datetime) -> str:
    """How old the newest judged window is."""
    return f"{age(now - version.judged_until)} ago" if version.judged_until else NOTHING


def drift_text(version: VersionState) -> str:
    """How many columns are past their limit."""
    return f"{version.drifting} of {len(version.psi)}" if version.psi else NOTHING


def worst_text(version: VersionState) -> str:
    """The column that drifted most."""
    if not version.psi:
        return NOTHING
    worst = version.psi[0]
    return (
        f"{worst.column} {format_metric('psi', worst.value)} (limit {format_metric('psi', worst.threshold)})"
    )


def number_text(number: Number | None) -> str:
    """A metric with its interval and its limit."""
    if number is None:
        return NOTHING
    low, value, high, limit = (
        format_metric(number.name, n) for n in (number.lower, number.value, number.upper, number.threshold)
    )
    text = f"{name_of(number.name)} {value}"
    if math.isfinite(number.lower) and math.isfinite(number.upper):
        text += f" ({low} to {high}{'' if math.isnan(number.threshold) else f', limit {limit}'})"
    return text


def coverage_text(version: VersionState) -> str:
    """The labelled share."""
    return NOTHING if version.label_coverage is None else f"{version.label_coverage:.0%}"
