"""The verdict in one sentence, and the numbers beside it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from driftsonde.core.signals import Evidence, Rule, SignalKind
from driftsonde.report.drift import RankedColumn
from driftsonde.report.folding import weighted_mean
from driftsonde.report.formats import NOTHING, format_metric, format_moment, format_plural, name_of
from driftsonde.report.performance import headline_metric, mean_between, reference_value
from driftsonde.report.results import Results, Series
from driftsonde.report.timeline import Episode, asked_last

_NAMED_COLUMNS = 2


@dataclass(frozen=True, slots=True)
class Fact:
    """A number at the top: `note` says what it is measured against."""

    label: str
    value: str
    note: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state`: "alarm" while an episode is open, "past" where all are over, "calm" where there was none.

    `outcome` is how things stand, `findings` what was found, each a clause.
    """

    state: str
    word: str
    outcome: str
    findings: tuple[str, ...] = ()


def verdict_of(results: Results, episodes: Sequence[Episode], ranked: Sequence[RankedColumn]) -> Verdict:
    """What a person needs to know first."""
    if not results.series:
        return Verdict("calm", "No data", "No window was closed, so there is nothing to judge.")
    if not results.signals:
        return Verdict("calm", "Quiet", _quiet(results, ranked))
    parts = [
        *_drifted(episodes),
        *_quality(episodes),
        *_performance(results, episodes),
        *_canaries(episodes),
    ]
    segments = {episode.segment for episode in episodes if episode.segment}
    if segments:
        parts.append(f"{format_plural(len(segments), 'segment')} had incidents of their own")
    signals = format_plural(len(results.signals), "signal")
    open_count = sum(episode.end_ms is None for episode in episodes)
    if open_count:
        return Verdict(
            "alarm", "Alarm", f"{format_plural(open_count, 'incident')} still open, {signals}", tuple(parts)
        )
    last = max(episode.end_ms or 0 for episode in episodes)
    return Verdict("past", "Over", f"{signals}, all incidents ended by {format_moment(last)}", tuple(parts))


def facts_of(results: Results, ranked: Sequence[RankedColumn], rows: int, windows: int) -> Iterator[Fact]:
    """The tiles under the verdict."""
    yield Fact("Rows", f"{rows:,}", f"in {format_plural(windows, 'window')}")
    alerts = sum(signal.kind is SignalKind.ALERT for signal in results.signals)
    yield Fact("Signals", f"{len(results.signals):,}", format_plural(alerts, "alert"), bad=alerts > 0)
    drifted = [column for column in ranked if column.breached]
    worst = ranked[0] if ranked else None
    note = (
        f"most: {worst.name}, PSI {format_metric('psi', worst.worst_psi)}"
        if worst
        else "no baseline to compare with"
    )
    value = f"{len(drifted)} of {len(ranked)}" if ranked else NOTHING
    yield Fact("Drifting columns", value, note, bad=bool(drifted))
    metric = headline_metric(results)
    series = results.main(metric) if metric else None
    if series is not None:
        yield _performance_fact(results, metric, series)
    coverage = results.main("label_coverage")
    if coverage is not None:
        share = format_metric("label_coverage", weighted_mean(coverage.value, coverage.n))
        yield Fact("Label coverage", share, "of the rows in labelled windows")


def _performance_fact(results: Results, metric: str, series: Series) -> Fact:
    reference = reference_value(results, metric)
    mean = weighted_mean(series.value, series.n)
    note = f"baseline {format_metric(metric, reference)}, last window {format_metric(metric, float(series.value[-1]))}"
    name = name_of(metric)
    return Fact(
        name[0].upper() + name[1:], format_metric(metric, mean), note, bad=bool(series.breached.any())
    )


def _whole(episodes: Sequence[Episode], rule: Rule) -> list[Episode]:
    return [episode for episode in episodes if episode.rule is rule and not episode.segment]


def _evidence(episode: Episode) -> list[Evidence]:
    """The strongest evidence of an episode for each column: the number furthest beyond its threshold."""
    best: dict[tuple[str, str], Evidence] = {}
    for signal in episode.signals:
        if signal.kind is SignalKind.RESOLVE:
            continue
        for item in signal.evidence:
            known = best.get((item.column, item.statistic))
            if known is None or item.value > known.value:
                best[item.column, item.statistic] = item
    return sorted(best.values(), key=lambda item: (-_strength(item), item.column, item.statistic))


def _strength(item: Evidence) -> float:
    return item.value / item.threshold if item.threshold > 0 else item.value


def _drifted(episodes: Sequence[Episode]) -> Iterator[str]:
    drifts = _whole(episodes, Rule.DRIFT)
    if not drifts:
        return
    first = drifts[0]
    items = _evidence(first)
    named = " and ".join(
        f"{item.column} (PSI {format_metric('psi', item.value)} against {format_metric('psi', item.threshold)})"
        for item in items[:_NAMED_COLUMNS]
    )
    more = len(items) - _NAMED_COLUMNS
    text = f"{named or 'inputs'}{f' and {more} more' if more > 0 else ''} drifted from {format_moment(first.since_ms)}"
    if first.end_ms is not None:
        text += f" to {format_moment(first.end_ms)}"
    if len(drifts) > 1:
        text += f", then {format_plural(len(drifts) - 1, 'more incident')} of drift"
    yield text


def _quality(episodes: Sequence[Episode]) -> Iterator[str]:
    for episode in _whole(episodes, Rule.QUALITY)[:1]:
        items = _evidence(episode)
        if items:
            item = items[0]
            yield (
                f"{item.column}: {name_of(item.statistic)} rose to {format_metric(item.statistic, item.value)} "
                f"(limit {format_metric(item.statistic, item.threshold)}) from {format_moment(episode.since_ms)}"
            )


def _performance(results: Results, episodes: Sequence[Episode]) -> Iterator[str]:
    falls = _whole(episodes, Rule.PERFORMANCE)
    metric = headline_metric(results)
    series = results.main(metric) if metric else None
    if not falls or series is None:
        return
    first = falls[0]
    end_ms = first.end_ms if first.end_ms is not None else int(series.ends_ms[-1])
    before, after = reference_value(results, metric), mean_between(series, first.since_ms, end_ms)
    verb = "rose" if metric == "rmse" else "fell"
    period = "since" if first.end_ms is None else "from"
    text = f"{name_of(metric)} {verb} from {format_metric(metric, before)} to {format_metric(metric, after)} {period} "
    text += format_moment(first.since_ms)
    if first.end_ms is not None:
        text += f" to {format_moment(first.end_ms)}"
    if len(falls) > 1:
        text += f", then {format_plural(len(falls) - 1, 'more incident')}"
    yield text


def _canaries(episodes: Sequence[Episode]) -> Iterator[str]:
    for episode in _whole(episodes, Rule.CANARY):
        signal = asked_last(episode)
        difference = next((item.value for item in signal.evidence), math.nan)
        points = f" by {abs(100 * difference):.1f} points" if math.isfinite(difference) else ""
        yield (
            f"version {signal.version} as canary was worse than the champion{points}, "
            f"and its rollback was asked for at {format_moment(signal.window_end_ms)}"
        )


def _quiet(results: Results, ranked: Sequence[RankedColumn]) -> str:
    breached = {int(t) for series in results.series.values() for t in series.starts_ms[series.breached]}
    windows = len(np.unique(np.concatenate([series.starts_ms for series in results.series.values()])))
    if breached:
        return (
            f"No signal: {len(breached):,} of {format_plural(windows, 'window')} went past a limit, "
            "but not in a way that any rule acts on."
        )
    judged = "no column drifted" if ranked else "there was no baseline to compare the columns with"
    metric = headline_metric(results)
    held = f"{name_of(metric)} held" if metric else "no labels came, so performance is not known"
    return f"Nothing to act on: {judged} and {held}, in {format_plural(windows, 'window')}."
