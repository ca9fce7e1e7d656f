"""What the terminal and the pages say in the same words: times, shares, who did it, how a version does."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from driftsonde.console.fleet import Health, Number, VersionState
from driftsonde.core.control.decisions import CONTROLLER
from driftsonde.core.control.traffic import Share
from driftsonde.core.iso_time import span_text
from driftsonde.report.formats import NOTHING, format_metric, format_moment, name_of


def age(span: timedelta) -> str:
    """How long, in the largest unit of which there are two or more.

    >>> age(timedelta(days=1)), age(timedelta(days=2)), age(timedelta(seconds=90)), age(timedelta(0))
    ('24 h', '2 d', '90 s', '0 s')
    """
    return span_text(int(span.total_seconds() * 1000))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for people: `ago` as they say it, `text` exact in UTC, `iso` for programs."""

    ago: str
    text: str
    iso: str


def moment(at_ms: int, now: datetime) -> Moment:
    """
    >>> moment(0, datetime(1970, 1, 1, 3, tzinfo=UTC)).ago
    '3 h ago'
    """
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return Moment(
        f"{age(now - at)} ago", f"{format_moment(at_ms, exact=True)} UTC", at.isoformat(timespec="seconds")
    )


def who_text(actor: str) -> str:
    """Who decided: a person by name, or nobody."""
    return "by itself" if actor == CONTROLLER else f"by {actor}"


def split_text(split: Iterable[Share]) -> str:
    """How requests are split, the largest part first.

    >>> from driftsonde.core.events import Variant
    >>> split_text([Share("2", Variant.CANARY, 0.2), Share("1", Variant.CHAMPION, 0.8), Share("3", Variant.SHADOW, 0.0)])
    'version 1 (80 %), version 2 (20 %), version 3 (shadow)'
    """
    shares = sorted(split, key=lambda share: -share.weight)
    return ", ".join(
        f"version {share.version} ({f'{100 * share.weight:g} %' if share.weight else 'shadow'})"
        for share in shares
    )


def health_text(state: str) -> str:
    """
    >>> health_text("alert"), health_text("ok")
    ('incident', 'ok')
    """
    return "incident" if state == Health.ALERT else state


def judged_text(version: VersionState, now: datetime) -> str:
    """How old the newest judged window is."""
    return f"{age(now - version.judged_until)} ago" if version.judged_until else NOTHING


def drift_text(version: VersionState) -> str:
    """How many columns drift: are past their limits, in a window that has enough rows to say so."""
    if not version.psi:
        return NOTHING
    if not version.tells:
        return f"too few rows ({max(number.n for number in version.psi):,})"
    return f"{version.drifting} of {len(version.psi)}"


def worst_text(version: VersionState) -> str:
    """The column that is furthest beyond its limit, or nearest to it; none of a window that can't tell."""
    if not version.psi or not version.tells:
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
