"""From the numbers of a window to signals: which rule each breach belongs to, and what the model's history says.

A model's state is a value; judging a window returns the next one. Windows are judged in the order of time, the inputs
and the outcomes of a model each by themselves, so the same windows give the same signals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from driftsonde.core.chunks import NO_TIME_MS, WHOLE
from driftsonde.core.column_health import CONSTANT
from driftsonde.core.contest import Comparison, differences
from driftsonde.core.episodes import Episode, Persistence, observe
from driftsonde.core.events import Variant
from driftsonde.core.iso_time import iso_seconds
from driftsonde.core.joint_numbers import RECONSTRUCTION, SHIFT
from driftsonde.core.pairs import NO_PAIRS, Pairs
from driftsonde.core.plan import Plan
from driftsonde.core.reigns import Arm, Succession
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind, derive_id
from driftsonde.core.spec import Policy, Task
from driftsonde.core.statistics.detectors import Snapshot
from driftsonde.core.statistics.fairness import DISPARITIES
from driftsonde.core.statistics.intervals import Interval
from driftsonde.core.verdict import Metric
from driftsonde.core.volume import FRESHNESS, VolumeHistory
from driftsonde.core.volume import RATIO as VOLUME
from driftsonde.core.watching import (
    Watch,
    start_anew,
    watch_columns,
    watch_performance,
    watch_rates,
    watch_together,
)
from driftsonde.core.window import WindowKey

# Which rule a breached metric speaks for.
RULE_OF = {
    "psi": Rule.DRIFT,
    "missing_rate": Rule.QUALITY,
    "unseen_rate": Rule.QUALITY,
    "out_of_range_rate": Rule.QUALITY,
    CONSTANT: Rule.QUALITY,
    VOLUME: Rule.QUALITY,
    FRESHNESS: Rule.QUALITY,
    "accuracy": Rule.PERFORMANCE,
    "rmse": Rule.PERFORMANCE,
    SHIFT: Rule.MULTIVARIATE,
    RECONSTRUCTION: Rule.MULTIVARIATE,
    **dict.fromkeys(DISPARITIES, Rule.FAIRNESS),
}
INPUT_RULES = (Rule.DRIFT, Rule.QUALITY, Rule.MULTIVARIATE)
OUTCOME_RULES = (Rule.PERFORMANCE, Rule.FAIRNESS)
# Beside an alarm about many columns together: the shares of those that have most.
_SHARES = ("mahalanobis_share", "reconstruction_share")
_SHARES_SHOWN = 5

# A signal carries the strongest few numbers; the rest is in the store.
EVIDENCE_KEPT = 10


@dataclass(frozen=True, slots=True, order=True)
class EpisodeKey:
    rule: Rule
    version: str
    variant: Variant
    segment: str


@dataclass(frozen=True, slots=True)
class ModelState:
    """How far a model has been judged (ends of windows, event time), and its history."""

    inputs_until_ms: int = NO_TIME_MS
    outcomes_until_ms: int = NO_TIME_MS
    episodes: Mapping[EpisodeKey, Episode] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)
    volume: VolumeHistory = field(default_factory=VolumeHistory)
    succession: Succession = field(default_factory=Succession)
    detectors: Mapping[tuple[str, str], Snapshot] = field(default_factory=dict)

    @property
    def sequence(self) -> int:
        """Grows whenever the state moves on."""
        return self.inputs_until_ms + self.outcomes_until_ms + 2

    @property
    def settled_until_ms(self) -> int:
        """Every window that ends by then has been judged, inputs and outcomes."""
        return min(self.inputs_until_ms, self.outcomes_until_ms)


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """One window with its numbers, ready for the rules. only_volume: its columns say nothing for or against, its rows do."""

    key: WindowKey
    plan: Plan
    metrics: tuple[Metric, ...]
    only_volume: bool = False


def judged_inputs(
    key: WindowKey, plan: Plan, metrics: Sequence[Metric] | None, volume: Sequence[Metric]
) -> JudgedWindow | None:
    """A window of inputs for the rules, None where it says nothing. metrics: its columns', None where they say nothing
    (`verdict.inputs_count`); volume: the model's numbers of its start (`watch_volume`), which are held against champions."""
    is_champion = key.variant is Variant.CHAMPION and key.segment == WHOLE
    bound = (VOLUME, FRESHNESS)
    held = [m for m in volume if m.name in bound and not math.isnan(m.threshold)] if is_champion else []
    if metrics is None and not held:
        return None
    return JudgedWindow(key, plan, (*(metrics or ()), *held), only_volume=metrics is None)


def apply_rules(
    state: ModelState, windows: Sequence[JudgedWindow], rules: Sequence[Rule]
) -> tuple[ModelState, list[Signal]]:
    """Hold the champion's windows of one window start against the rules.

    A segment that breaches a rule together with the whole model stays silent: that is one problem, not many. Nothing is
    said about the segment by itself then, so its episode stands still: neither worse nor back to normal.
    """
    episodes = dict(state.episodes)
    signals: list[Signal] = []
    loud: set[tuple[Rule, str]] = set()
    watch = state.watch
    for window in sorted(windows, key=lambda w: (w.key.segment != WHOLE, w.key)):
        if window.key.variant is not Variant.CHAMPION:
            continue
        by_rule = _by_rule(window)
        for rule in rules:
            if window.only_volume and not _rows_alone_count(watch, window, rule):
                continue
            watch, breaches = _breaches(watch, window, rule, by_rule[rule])
            if window.key.segment == WHOLE and breaches:
                loud.add((rule, window.key.version))
            if window.key.segment != WHOLE and breaches and (rule, window.key.version) in loud:
                continue
            key = EpisodeKey(rule, window.key.version, window.key.variant, window.key.segment)
            before = episodes.get(key, Episode())
            stable = rule is not Rule.PERFORMANCE or state.succession.is_stable(key.version)
            persistence = _persistence(window, rule, stable)
            after, said = observe(before, bool(breaches), window.key.window_start_ms, persistence)
            episodes[key] = after
            if SignalKind.RESOLVE in said:
                watch = start_anew(watch, key.version, key.segment, rule)
            if not said:
                continue
            since_ms = before.since_ms if after == Episode() else after.since_ms
            shown = breaches or by_rule[rule]
            if rule is Rule.PERFORMANCE:  # beside it, for whoever is told: no bar is asked of it
                shown = [*shown, *(m for m in window.metrics if m.name == "value_per_row")]
            signals.extend(signal_of(kind, rule, window, since_ms, shown) for kind in said)
    episodes, gone = _without_absent(episodes, windows, rules)
    signals.extend(gone)
    kept = {key: episode for key, episode in episodes.items() if episode != Episode()}
    serving = {window.key.version for window in windows if window.key.variant is Variant.CHAMPION}
    if serving and Rule.DRIFT in rules:
        watch = watch.drift_of(serving)
    if serving and Rule.PERFORMANCE in rules:
        watch = watch.performance_of(serving)
    return replace(state, episodes=kept, watch=watch), signals


def _rows_alone_count(watch: Watch, window: JudgedWindow, rule: Rule) -> bool:
    """Whether a window whose columns say nothing counts for a rule: not while columns are in alarm, for it can't end that."""
    columns = watch.quality.get(window.key.version)
    return rule is Rule.QUALITY and not (columns and columns.alarmed)


def _by_rule(window: JudgedWindow) -> dict[Rule, list[Metric]]:
    """A window's numbers by the rule that they speak for; thousands of them, so they are gone through once."""
    found: dict[Rule, list[Metric]] = {rule: [] for rule in Rule}
    lists = {name: found[rule] for name, rule in RULE_OF.items()}
    for metric in window.metrics:
        if (kept := lists.get(metric.name)) is not None:
            kept.append(metric)
    return found


def _breaches(
    watch: Watch, window: JudgedWindow, rule: Rule, numbers: Sequence[Metric]
) -> tuple[Watch, list[Metric]]:
    """The watch after the window, and those of the rule's numbers of which the evidence says so, or, where it does not say
    anything yet, those beyond their own bars."""
    if rule is Rule.DRIFT and window.key.segment == WHOLE:
        watch, columns = watch_columns(watch, window.key, window.plan, numbers)
        if columns is not None:
            return watch, [m for m in numbers if m.column in columns]
    if rule is Rule.MULTIVARIATE and window.key.segment == WHOLE and numbers:
        watch, together = watch_together(watch, window.key, window.plan, numbers)
        breaches = [m for m in numbers if (m.breached if together is None else m.name in together)]
        return watch, [*breaches, *_largest_shares(window)] if breaches else []
    if rule is Rule.QUALITY and window.key.segment == WHOLE and not window.only_volume:
        watch, rates = watch_rates(watch, window.key, window.plan, window.metrics)
        if rates is not None:
            return watch, [
                m
                for m in numbers
                if (m.breached if m.name in (VOLUME, FRESHNESS) else (m.column, m.name) in rates)
            ]
    if rule is Rule.FAIRNESS and not window.plan.spec.policy.fairness.alert_after:
        return watch, []
    if rule is Rule.PERFORMANCE:
        watch, worse = watch_performance(watch, window.key, window.plan, window.metrics)
        if worse is not None:
            return watch, [m for m in numbers if m.name in ("accuracy", "rmse")] if worse else []
    return watch, [m for m in numbers if m.breached]


def _largest_shares(window: JudgedWindow) -> list[Metric]:
    """The columns that have most of the numbers of many together."""
    shares = (m for m in window.metrics if m.name in _SHARES)
    return sorted(shares, key=lambda m: (-m.value, m.column, m.name))[:_SHARES_SHOWN]


def _without_absent(
    episodes: Mapping[EpisodeKey, Episode], windows: Sequence[JudgedWindow], rules: Sequence[Rule]
) -> tuple[dict[EpisodeKey, Episode], list[Signal]]:
    """The episodes, without those of versions that had no window for as long as a recovery takes while others had: they serve
    no longer, and what was said of them is over."""
    champions = sorted((w for w in windows if w.key.variant is Variant.CHAMPION), key=lambda w: w.key)
    serving = {window.key.version for window in champions}
    kept, signals = dict(episodes), list[Signal]()
    for key, episode in sorted(episodes.items()) if champions else ():
        if key.rule not in rules or key.version in serving:
            continue
        kept[key] = replace(episode, absent=episode.absent + 1)
        if kept[key].absent >= _persistence(champions[0], key.rule).resolve_after:
            del kept[key]
            if episode.alerted:
                signals.append(farewell(champions[0], key, episode.since_ms))
    return kept, signals


def farewell(other: JudgedWindow, key: EpisodeKey, since_ms: int) -> Signal:
    """The resolve of an episode whose version serves no longer, as of a window of another one."""
    window = replace(other.key, version=key.version, variant=key.variant, segment=key.segment)
    signal = signal_of(SignalKind.RESOLVE, key.rule, replace(other, key=window), since_ms, ())
    summary = f"{key.rule}: version {key.version} has no rows any more, after an incident since {iso_seconds(since_ms)}"
    return replace(signal, summary=summary, baseline="")


def _persistence(window: JudgedWindow, rule: Rule, stable: bool = True) -> Persistence:
    policy: Policy = window.plan.spec.policy
    if rule is Rule.QUALITY:
        return Persistence(policy.drift.alert_after, 0, policy.drift.resolve_after)
    if rule is Rule.FAIRNESS:
        return Persistence(max(1, policy.fairness.alert_after), 0, policy.fairness.resolve_after)
    if rule is Rule.MULTIVARIATE:
        return Persistence(policy.multivariate.alert_after, 0, policy.multivariate.resolve_after)
    chosen = policy.drift if rule is Rule.DRIFT else policy.performance
    retrain_after = chosen.retrain_after if window.key.segment == WHOLE and stable else 0
    return Persistence(chosen.alert_after, retrain_after, chosen.resolve_after)


def compare_canary(
    state: ModelState, window: WindowKey, plan: Plan, champion: Arm, canary: Arm, pairs: Pairs = NO_PAIRS
) -> tuple[ModelState, list[Signal]]:
    """Add one window to the comparison of a canary with the champion, and ask for a rollback once the canary is
    worse by more than the margin with confidence: the sequences hold at every window at once, so looking after each
    costs nothing (`contest`)."""
    rule = plan.spec.policy.canary
    known = state.comparisons.get(window.version, Comparison(window.window_start_ms))
    if known.rolled_back or not ((champion.labelled and canary.labelled) or pairs.n):
        return state, []
    known = known.plus(champion, canary, pairs)
    signals: list[Signal] = []
    regression = plan.spec.task is Task.REGRESSION
    worse = [
        metric._replace(breached=True)
        for metric in differences(known, rule, regression)
        if metric.n >= rule.min_labels and metric.upper < metric.threshold
    ]
    if worse:
        judged = JudgedWindow(window, plan, tuple(worse))
        signals.append(signal_of(SignalKind.ROLLBACK, Rule.CANARY, judged, known.since_ms, worse))
        known = replace(known, rolled_back=True, variant=window.variant)
    return replace(state, comparisons={**state.comparisons, window.version: known}), signals


def difference_of(before: Arm, after: Arm, interval: Interval, bar: float) -> Metric:
    """How much less accurate one side is, beyond its bar."""
    difference = after.correct / after.labelled - before.correct / before.labelled
    bounds = (interval.lower, interval.upper, bar)
    return Metric("", "accuracy_difference", after.labelled, difference, *bounds, breached=True)


def signal_of(
    kind: SignalKind, rule: Rule, window: JudgedWindow, since_ms: int, metrics: Sequence[Metric]
) -> Signal:
    """What a rule says after a window, with the strongest of the numbers."""
    key, plan = window.key, window.plan
    end_ms = key.window_start_ms + plan.spec.window_ms
    strongest = sorted(metrics, key=_by_strength)[:EVIDENCE_KEPT]
    evidence = tuple(
        Evidence(key.window_start_ms, end_ms, m.column, m.name, m.value, m.threshold, m.lower, m.upper, m.n)
        for m in strongest
    )
    episode = derive_id("episode", key.model, key.version, key.variant, key.segment, rule, since_ms)
    return Signal(
        id=derive_id(kind, episode),
        kind=kind,
        rule=rule,
        model=key.model,
        version=key.version,
        variant=key.variant,
        segment=key.segment,
        window_start_ms=key.window_start_ms,
        window_end_ms=end_ms,
        since_ms=since_ms,
        episode=episode,
        summary=_summary(kind, rule, key, since_ms, [m for m in strongest if m.name != "value_per_row"]),
        evidence=evidence,
        baseline=plan.baseline_id,
        policy=plan.policy_id,
    )


def _by_strength(metric: Metric) -> tuple[float, float, str, str]:
    """The strongest first; what has no bar comes last, the largest of it first."""
    without_bar = -metric.value if metric.threshold != metric.threshold else 0.0
    return -_strength(metric), without_bar, metric.column, metric.name


def _strength(metric: Metric) -> float:
    """How far beyond its bar a number is, for ranking; scale-free."""
    bar = abs(metric.threshold) or 1e-9
    return abs(metric.value - metric.threshold) / bar if metric.threshold == metric.threshold else 0.0


def _summary(kind: SignalKind, rule: Rule, key: WindowKey, since_ms: int, metrics: Sequence[Metric]) -> str:
    place = f" in {key.segment}" if key.segment else ""
    since = iso_seconds(since_ms)
    if kind is SignalKind.RESOLVE:
        return f"{rule}{place}: back within its limits, after an incident since {since}"
    numbers = ", ".join(
        f"{m.name}{f' of {m.column}' if m.column else ''} {m.value:.4g}"
        + (f" (limit {m.threshold:.4g})" if m.threshold == m.threshold else "")
        for m in metrics[:3]
    )
    more = f" and {len(metrics) - 3} more" if len(metrics) > 3 else ""
    return f"{rule}{place} since {since}: {numbers}{more}"
