"""An incident in words that need no explanation: what changed, how one can tell, and what may lie behind it."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from driftsonde.console.stories import Ranked
from driftsonde.core.contest import PAIRED_ERROR
from driftsonde.core.signals import Evidence, Rule, Signal
from driftsonde.core.volume import RATIO as VOLUME
from driftsonde.report.formats import format_metric, format_percent, format_plural, name_of
from driftsonde.report.results import BinCount

_QUALITY = {
    "missing_rate": ("is missing", "have no value"),
    "unseen_rate": ("has values that its baseline never had", "are such values"),
    "out_of_range_rate": ("is outside its range", "are outside the baseline's range"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """`what` happened in a clause, and the sentences that say why one can say so."""

    what: str
    reasons: tuple[str, ...]


def main_column(signal: Signal, outputs: Collection[str]) -> str:
    """The column that a signal is about: the strongest input, or else the strongest of what the model puts out; "" where
    the evidence is of no column."""
    columns = _columns(signal, outputs)
    return columns[0] if columns else ""


def tell(
    signal: Signal,
    outputs: Collection[str] = (),
    bins: Sequence[BinCount] = (),
    ranking: Sequence[Ranked] = (),
) -> Told:
    """`outputs`: names of scores and predictions. `bins`: of the main column, in the signal's window; `ranking`: of all
    columns. Both may be unknown."""
    columns = _columns(signal, outputs)
    first = _of_column(signal, columns[0]) if columns else next(iter(signal.evidence), None)
    if first is None:
        return Told(signal.summary, ())
    match signal.rule:
        case Rule.DRIFT:
            return Told(_changed(columns), (*_shift(bins), _distance(first)))
        case Rule.QUALITY:
            return _quality(first)
        case Rule.PERFORMANCE:
            return Told(_worse(first), (_limits(first), *_suspects(ranking, outputs, signal)))
        case Rule.CANARY:
            return Told(
                f"version {signal.version} is worse than the champion",
                (_points(first), *_suspects(ranking, outputs, signal)),
            )
        case Rule.FAIRNESS | Rule.MULTIVARIATE:
            return Told(signal.summary, (_limits(first),))


def shift_text(bins: Sequence[BinCount]) -> str:
    """Where a column's values are now that were elsewhere: the bin that gained most. "" where nothing is known.

    >>> shift_text([BinCount("below 5", 10, 0), BinCount("5 – 9", 0, 7)])
    'all of its values are below 5; in its baseline none are'
    """
    after, before = sum(entry.count for entry in bins), sum(entry.reference_count for entry in bins)
    if not after or not before:
        return ""
    gained = max(bins, key=lambda entry: entry.count / after - entry.reference_count / before)
    now, then = gained.count / after, gained.reference_count / before
    return f"{_part(now)} of its values are {gained.label}; in its baseline {_part(then)} are"


def _part(share: float) -> str:
    return {0.0: "none", 1.0: "all"}.get(share) or format_percent(share)


def _columns(signal: Signal, outputs: Collection[str]) -> list[str]:
    columns = dict.fromkeys(entry.column for entry in signal.evidence if entry.column)
    return sorted(columns, key=lambda column: column in outputs)


def _of_column(signal: Signal, column: str) -> Evidence:
    return next(entry for entry in signal.evidence if entry.column == column)


def _changed(columns: Sequence[str]) -> str:
    first, *others = columns or ["the inputs"]
    if not others:
        return f"{first} changed"
    named = (
        " and ".join(others)
        if len(others) <= 2
        else f"{others[0]} and {format_plural(len(others) - 1, 'more column')}"
    )
    return f"{first} changed, and {named} with it"


def _shift(bins: Sequence[BinCount]) -> tuple[str, ...]:
    text = shift_text(bins) if bins else ""
    return (f"{text[0].upper()}{text[1:]}.",) if text else ()


def _distance(entry: Evidence) -> str:
    value, limit = (format_metric(entry.statistic, number) for number in (entry.value, entry.threshold))
    return f"Distance from its baseline ({name_of(entry.statistic)}): {value}, the limit is {limit}."


def _quality(entry: Evidence) -> Told:
    if entry.statistic == VOLUME:
        expected = round(entry.n / entry.value) if entry.value else 0
        what = "fewer" if entry.value < 1 else "more"
        return Told(
            f"far {what} rows than usual came",
            (f"{format_plural(entry.n, 'row')}; {expected:,} were expected.",),
        )
    value, limit = (format_metric(entry.statistic, number) for number in (entry.value, entry.threshold))
    what, rows = _QUALITY.get(entry.statistic, (f"has too much: {name_of(entry.statistic)}", "are concerned"))
    return Told(f"{entry.column} {what}", (f"{value} of {entry.n:,} rows {rows}; the limit is {limit}.",))


def _worse(entry: Evidence) -> str:
    verb = "rose" if entry.value > entry.threshold else "fell"
    return f"{name_of(entry.statistic)} {verb} to {format_metric(entry.statistic, entry.value)}"


def _limits(entry: Evidence) -> str:
    low, high, limit = (
        format_metric(entry.statistic, number) for number in (entry.lower, entry.upper, entry.threshold)
    )
    between = (
        f"It lies between {low} and {high}, by {entry.n:,} labelled rows; "
        if math.isfinite(entry.lower)
        else ""
    )
    return f"{between}{'the' if between else 'The'} limit is {limit}."


def _points(entry: Evidence) -> str:
    if entry.statistic == PAIRED_ERROR:  # in the label's unit
        return f"Its mean error is {-entry.value:.4g} larger on the same rows; {-entry.threshold:.4g} would be let pass."
    lower, margin = (f"{abs(100 * number):.1f} points" for number in (entry.value, entry.threshold))
    return f"Its accuracy is {lower} lower, on windows that both have served; {margin} would be let pass."


def _suspects(ranking: Sequence[Ranked], outputs: Collection[str], signal: Signal) -> tuple[str, ...]:
    """Which inputs left their baseline in the same window, or that none did."""
    if not ranking:
        return ()
    moved = [entry for entry in ranking if entry.breached and entry.column not in outputs]
    if not moved:
        return ("No input left its baseline in that window: the same inputs have other outcomes.",)
    named = ", ".join(
        f"{entry.column} ({name_of('psi')} {format_metric('psi', entry.psi)})" for entry in moved[:3]
    )
    more = f" and {format_plural(len(moved) - 3, 'more input')}" if len(moved) > 3 else ""
    verb = "is" if len(moved) == 1 else "are"
    return (
        f"Likely because of {named}{more}, which {verb} far from the baseline of version {signal.version} there.",
    )
