"""What happened: the episodes on the time axis, and every signal with its evidence and what was decided on it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from driftsonde.core.control.decisions import Decision, Kind
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.report import svg
from driftsonde.report.axis import TimeAxis
from driftsonde.report.formats import format_metric, format_moment, format_plural, format_time, name_of
from driftsonde.report.results import Results

SHOWN_SIGNALS = 40
LISTED_SIGNALS = 400
_SHOWN_DECISIONS = 12

# On a phone a dot is about this part of the axis.
_DOT_APART = 0.035
_ROWS = {
    SignalKind.ALERT: 1.5,
    SignalKind.RETRAIN: 5.0,
    SignalKind.ROLLBACK: 5.0,
    SignalKind.PROMOTE: 5.0,
    SignalKind.RESOLVE: 8.5,
}
_KIND_WORDS = {
    SignalKind.ALERT: "Alert",
    SignalKind.RETRAIN: "Retrain",
    SignalKind.ROLLBACK: "Roll back",
    SignalKind.RESOLVE: "Resolved",
    SignalKind.PROMOTE: "Promote",
}


@dataclass(frozen=True, slots=True)
class Episode:
    """All signals of one episode. `end_ms` is None while it is open."""

    rule: Rule
    segment: str
    since_ms: int
    end_ms: int | None
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """One rule's strip above the time axis, and in words."""

    name: str
    strip: Markup
    words: str


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """One step of a decision, as a line."""

    step: str
    what: str
    when: str
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A signal as a person reads it. `evidence`: rows of (what, value, interval, threshold, n)."""

    kind: str
    word: str
    rule: str
    about: str
    when: str
    window: str
    summary: str
    evidence: tuple[tuple[str, ...], ...]
    decisions: tuple[DecisionLine, ...]
    decisions_left_out: int


def episodes_of(signals: Sequence[Signal]) -> tuple[Episode, ...]:
    """The episodes in the order in which they began. A rollback is asked for once and leaves nothing open; good news
    are no episode."""
    grouped: dict[str, list[Signal]] = defaultdict(list)
    for signal in in_order([signal for signal in signals if signal.kind is not SignalKind.PROMOTE]):
        grouped[signal.episode].append(signal)
    found = []
    for group in grouped.values():
        last = group[-1]
        over = last.kind in (SignalKind.RESOLVE, SignalKind.ROLLBACK)
        end_ms = last.window_end_ms if over else None
        found.append(Episode(last.rule, last.segment, last.since_ms, end_ms, tuple(group)))
    return tuple(sorted(found, key=lambda episode: (episode.since_ms, episode.rule, episode.segment)))


def asked_last(episode: Episode) -> Signal:
    """The last thing that was said to be wrong: a later resolve has a time of its own."""
    wrong = [signal for signal in episode.signals if signal.kind is not SignalKind.RESOLVE]
    return (wrong or episode.signals)[-1]


def in_order(signals: Sequence[Signal]) -> list[Signal]:
    """By the time at which they were due: the end of the window; a resolve comes after the rest."""
    kinds = list(SignalKind)
    return sorted(signals, key=lambda s: (s.window_end_ms, kinds.index(s.kind), s.rule, s.segment, s.id))


def lanes(axis: TimeAxis, episodes: Sequence[Episode]) -> tuple[Lane, ...]:
    """One lane a rule that spoke: a bar for each episode, a mark for each signal."""
    return tuple(
        _lane(axis, rule, [episode for episode in episodes if episode.rule is rule])
        for rule in Rule
        if any(episode.rule is rule for episode in episodes)
    )


def entries(results: Results) -> tuple[Entry, ...]:
    """All signals in the order of time, at most `LISTED_SIGNALS`."""
    by_signal: dict[str, list[Decision]] = defaultdict(list)
    for decision in sorted(results.decisions, key=lambda d: d.timestamp_ms):
        by_signal[decision.signal].append(decision)
    ordered = in_order(results.signals)[:LISTED_SIGNALS]
    return tuple(_entry(signal, by_signal.get(signal.id, [])) for signal in ordered)


def other_decisions(results: Results) -> tuple[DecisionLine, ...]:
    """Decisions that no listed signal led to: a person's own acts."""
    known = {signal.id for signal in results.signals}
    loose = [decision for decision in results.decisions if decision.signal not in known]
    return tuple(decision_line(decision) for decision in sorted(loose, key=lambda d: d.timestamp_ms))[
        :LISTED_SIGNALS
    ]


def _lane(axis: TimeAxis, rule: Rule, episodes: Sequence[Episode]) -> Lane:
    marks: list[Markup] = []
    for episode in episodes:
        left = axis.position(episode.since_ms)
        right = axis.position(axis.end_ms if episode.end_ms is None else episode.end_ms)
        title = _in_words(episode)
        marks.append(svg.rectangle(left, 3, max(right - left, 0.2), 4, f"episode {rule}", title))
    marks += _dots(axis, [signal for episode in episodes for signal in episode.signals])
    words = "; ".join(_in_words(episode) for episode in episodes[:3])
    if len(episodes) > 3:
        words += f"; and {len(episodes) - 3:,} more"
    return Lane(
        str(rule), svg.plot(axis.cells, f"{str(rule).capitalize()}: {words}", marks, height=10), words
    )


def _dots(axis: TimeAxis, signals: Iterable[Signal]) -> Iterator[Markup]:
    """Each kind in a row of its own; of those of a kind that would lie upon each other on a phone the first, which counts them."""
    heaps: list[list[Signal]] = []
    for signal in sorted(signals, key=lambda signal: (signal.kind, signal.window_end_ms)):
        near = heaps and heaps[-1][0].kind is signal.kind
        apart = (
            axis.position(signal.window_end_ms) - axis.position(heaps[-1][0].window_end_ms) if near else 0.0
        )
        if near and apart < _DOT_APART * axis.cells:
            heaps[-1].append(signal)
        else:
            heaps.append([signal])
    for heap in heaps:
        first = heap[0]
        count = f", and {len(heap) - 1} more soon after" if len(heap) > 1 else ""
        word = f"{_KIND_WORDS[first.kind]} at {format_time(first.window_end_ms)}{count}"
        yield svg.dot((axis.position(first.window_end_ms), _ROWS[first.kind]), f"mark {first.kind}", word)


def _in_words(episode: Episode) -> str:
    place = f"{episode.segment}: " if episode.segment else ""
    if episode.rule is Rule.CANARY:
        return f"{place}{format_time(asked_last(episode).window_end_ms)}"
    end = "still open" if episode.end_ms is None else f"to {format_time(episode.end_ms)}"
    return f"{place}{format_time(episode.since_ms)} {end}"


def _entry(signal: Signal, decisions: Sequence[Decision]) -> Entry:
    about = f"version {signal.version}, {signal.variant}"
    if signal.segment:
        about += f", {signal.segment}"
    told = [decision for decision in decisions if decision.kind is not Kind.NOTIFY]
    deliveries = [decision for decision in decisions if decision.kind is Kind.NOTIFY]
    lines = [decision_line(decision, signal.summary) for decision in (*told, *deliveries)]
    return Entry(
        kind=signal.kind,
        word=_KIND_WORDS[signal.kind],
        rule=signal.rule,
        about=about,
        when=format_moment(signal.window_end_ms),
        window=f"{format_moment(signal.window_start_ms)} to {format_moment(signal.window_end_ms)}",
        summary=signal.summary,
        evidence=tuple(_evidence(signal.evidence)),
        decisions=tuple(lines[:_SHOWN_DECISIONS]),
        decisions_left_out=max(0, len(lines) - _SHOWN_DECISIONS),
    )


def _evidence(evidence: Sequence[Evidence]) -> Iterator[tuple[str, ...]]:
    for item in evidence:
        of = f" of {item.column}" if item.column else ""
        bounds = [format_metric(item.statistic, bound) for bound in (item.lower, item.upper)]
        yield (
            f"{name_of(item.statistic)}{of}",
            format_metric(item.statistic, item.value),
            format_metric(item.statistic, item.threshold),
            " to ".join(bounds) if bounds[0] != bounds[1] else bounds[0],
            f"{item.n:,}",
        )


def decision_line(decision: Decision, said: str = "") -> DecisionLine:
    """`said` is what stands above it already: a reason that only repeats it is left out."""
    detail = decision.detail
    what = (
        f"message to {detail.target}"
        if decision.kind is Kind.NOTIFY and detail.target
        else str(decision.kind)
    )
    if detail.traffic is not None:
        what += " → " + ", ".join(f"{share.version} {share.weight:.0%}" for share in detail.traffic.split)
    reason = "" if detail.reason == said else detail.reason
    if detail.attempts > 1:
        reason += f"{'; ' if reason else ''}{format_plural(detail.attempts, 'try').replace('trys', 'tries')}"
    return DecisionLine(
        step=str(decision.step),
        what=what,
        when=format_moment(decision.timestamp_ms),
        who=decision.actor + (f", mode {decision.mode}" if decision.mode else ""),
        reason=reason,
    )
