"""An incident in words that need no explanation: what changed, how one can tell, and what may lie behind it."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from driftsonde.console.hints import hints, part_text
from driftsonde.console.stories import Effect, Ranked, bins_of
from driftsonde.core.column_health import CONSTANT
from driftsonde.core.contest import PAIRED_ERROR
from driftsonde.core.iso_time import span_text
from driftsonde.core.signals import Evidence, Rule, Signal
from driftsonde.core.verdict import ColumnCounts
from driftsonde.core.volume import FRESHNESS
from driftsonde.core.volume import RATIO as VOLUME
from driftsonde.report.formats import format_metric, format_plural, name_of

_QUALITY = {
    "missing_rate": ("is missing", "have no value"),
    "unseen_rate": ("has values that its baseline never had", "are such values"),
    "out_of_range_rate": ("is outside its range", "are outside the baseline's range"),
}
_STANDARD_ERRORS = 3.0


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


def suspect(ranking: Sequence[Ranked], outputs: Collection[str]) -> str:
    """The input that is furthest beyond its limit; "" for none."""
    return next((entry.column for entry in ranking if entry.breached and entry.column not in outputs), "")


def tell(
    signal: Signal,
    outputs: Collection[str] = (),
    columns: Mapping[str, ColumnCounts] | None = None,
    ranking: Sequence[Ranked] = (),
    loss: Signal | None = None,
) -> Told:
    """`outputs`: names of scores and predictions. `columns`: counts in the signal's window, by name; `ranking`: of all
    columns. Both may be unknown. `loss`: what else of the incident the outcomes say."""
    named = _columns(signal, outputs)
    first = _of_column(signal, named[0]) if named else next(iter(signal.evidence), None)
    if first is None:
        return Told(signal.summary, ())
    known = columns or {}
    fell = f"; {_worse(loss.evidence[0])}" if loss and loss.evidence else ""
    match signal.rule:
        case Rule.DRIFT:
            return Told(_changed(named) + fell, (*_hints(known, first.column), _distance(first)))
        case Rule.QUALITY:
            quality = _quality(first)
            return Told(
                quality.what + fell, (*quality.reasons, *_hints(known, first.column, first.statistic))
            )
        case Rule.PERFORMANCE:
            return Told(_worse(first), (_limits(first), *_suspects(ranking, outputs, signal, known)))
        case Rule.CANARY:
            return Told(
                f"version {signal.version} is worse than the champion",
                (_points(first), *_suspects(ranking, outputs, signal, known)),
            )
        case Rule.FAIRNESS | Rule.MULTIVARIATE:
            return Told(signal.summary + fell, (_limits(first),))


def effect_text(effect: Effect | None, open_still: bool) -> str:
    """What it does to how well the model does: a number while it was well and since, and whether that is more than chance."""
    if effect is None:
        return "No labels yet, so its effect on how well the model does is not known."
    name = name_of(effect.metric)
    title = name[0].upper() + name[1:]
    before, after = (format_metric(effect.metric, value) for value in (effect.before, effect.after))
    if not effect.n_after:
        return f"{title} was {before}; no labels of the time since have come yet."
    labels = format_plural(effect.n_after, "label")
    beyond = effect.after > effect.limit if effect.metric == "rmse" else effect.after < effect.limit
    past = f", past its limit of {format_metric(effect.metric, effect.limit)}"
    if not effect.n_before:
        return f"{title} since: {after}{past if beyond else ''} ({labels}); no window within its limit is known of before."
    if beyond:
        return f"{title} {before} → {after} since{past} ({labels})."
    if effect.past_limit:
        return f"{title} {before} → {after} since, past its limit in some windows ({labels})."
    # Of an error nobody knows here how much it moves by chance.
    if effect.metric != "accuracy" or abs(effect.after - effect.before) > _by_chance(effect):
        return f"{title} {before} → {after} since, within its limit ({labels})."
    so_far = " so far" if open_still else ""
    return f"{title} not affected{so_far}: {after}, before {before} ({labels})."


def shift_text(column: ColumnCounts) -> str:
    """Where a column's values are now that were elsewhere: the bin that gained most. "" where nothing is known."""
    bins = list(bins_of(column))
    after, before = sum(entry.count for entry in bins), sum(entry.reference_count for entry in bins)
    if not after or not before:
        return ""
    gained = max(bins, key=lambda entry: entry.count / after - entry.reference_count / before)
    now, then = gained.count / after, gained.reference_count / before
    name = column.reference.name
    values = f"the values of {name}" if now == 1 else f"{name}'s values"
    return f"{part_text(now)} of {values} are {gained.label}; in its baseline {part_text(then)} are."


def _by_chance(effect: Effect) -> float:
    shares = ((effect.before, effect.n_before), (effect.after, effect.n_after))
    return _STANDARD_ERRORS * math.sqrt(sum(share * (1 - share) / n for share, n in shares))


def _hints(columns: Mapping[str, ColumnCounts], name: str, said: str = "") -> tuple[str, ...]:
    """What happened to a column; where its counts name nothing, where its values are now. `said`: the rate that was told
    already."""
    column = columns.get(name)
    if column is None:
        return ()
    texts = hints(column, said)
    shift = "" if texts or said else shift_text(column)
    return texts or ((shift[0].upper() + shift[1:],) if shift else ())


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
    if entry.statistic == FRESHNESS:
        passed, allowed = (span_text(round(1_000 * seconds)) for seconds in (entry.value, entry.threshold))
        return Told("no rows came", (f"None for {passed}; the limit is {allowed}.",))
    if entry.statistic == CONSTANT:
        return Told(
            f"{entry.column} is constant",
            ("It has one value in the whole window, which it had not in the baseline.",),
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


def _suspects(
    ranking: Sequence[Ranked],
    outputs: Collection[str],
    signal: Signal,
    columns: Mapping[str, ColumnCounts],
) -> tuple[str, ...]:
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
        *_hints(columns, moved[0].column),
    )
