"""What another policy would have said about windows that were judged: the rules of the live path over stored numbers.

Replaying the policy that judged them gives the signals that were given, but for `NOT_REPLAYED`. Times are event time: how long the
labels were waited for comes on top of a delay.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from driftsonde.core.chunks import Kind
from driftsonde.core.contest import pairs_from
from driftsonde.core.judging import (
    INPUT_RULES,
    OUTCOME_RULES,
    ModelState,
    apply_rules,
    judged_inputs,
)
from driftsonde.core.pairs import Pairs
from driftsonde.core.plan import Plan
from driftsonde.core.rebarring import StoredWindow, rebarring, under_policy
from driftsonde.core.reigns import Arm
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import Policy
from driftsonde.core.verdict import Metric
from driftsonde.core.versions import compare_versions
from driftsonde.core.volume import RATIO as VOLUME
from driftsonde.core.watching_volume import watch_volume

WEEK_MS = 7 * 24 * 3_600_000

# The bars that a sweep tries, from strict to lenient.
PSI_TRIED = (0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5)
DROP_TRIED = (0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)

# What these rules were held against is not in the numbers that are stored.
NOT_REPLAYED = (Rule.FAIRNESS, Rule.MULTIVARIATE)

_PAGES = (SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.ROLLBACK)

Plans = Mapping[str, Plan]  # by version


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of event time in which something was wrong."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """An episode that on-call hears of. at_ms: end of the window after which it is said; until_ms: end of the window after
    which it is resolved, None while it is not."""

    rule: Rule
    version: str
    segment: str
    since_ms: int
    at_ms: int
    until_ms: int | None
    summary: str

    def meets(self, span: Span) -> bool:
        """Whether it was about anything in the span."""
        until_ms = self.until_ms if self.until_ms is not None else max(self.at_ms, span.end_ms)
        return self.since_ms < span.end_ms and until_ms > span.start_ms


@dataclass(frozen=True, slots=True)
class Tally:
    """How a policy did. median_delay_ms: from the start of a found incident to its first page, None where none was found.
    beside: pages about no incident."""

    pages: int
    pages_per_week: float
    retrains: int
    rollbacks: int
    found: int
    missed: int
    median_delay_ms: float | None
    beside: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one bar of a sweep comes to."""

    bar: float
    tally: Tally


def replay(plans: Plans, windows: Iterable[StoredWindow]) -> list[Signal]:
    """The signals that the windows give by the plans, in the order of event time. A version without a plan is left out."""
    holders = {version: rebarring(plan) for version, plan in plans.items()}
    ordered = sorted(windows, key=lambda window: (window.kind, window.key))
    state, signals = ModelState(), list[Signal]()
    for (kind, _), group in groupby(ordered, key=lambda window: (window.kind, window.key.window_start_ms)):
        together = [window for window in group if window.key.version in plans]
        held = [(window.key, holders[window.key.version](window)) for window in together]
        if kind is Kind.INPUTS:
            state, volume = _watched_volume(state, together, plans)
            found = [
                judged_inputs(key, plans[key.version], one.metrics if one else None, volume)
                for key, one in held
            ]
        else:
            found = [one for _, one in held]
        judged = [one for one in found if one is not None]
        state, said = apply_rules(state, judged, INPUT_RULES if kind is Kind.INPUTS else OUTCOME_RULES)
        signals.extend(said)
        if kind is Kind.OUTCOMES:
            arms = {window.key: _arm(window) for window in together}
            state, said = compare_versions(
                state, arms, plans, {window.key: _pairs(window) for window in together}
            )
            signals.extend(said)
    return sorted(signals, key=lambda signal: (signal.window_end_ms, signal.id))


def _watched_volume(
    state: ModelState, windows: Iterable[StoredWindow], plans: Plans
) -> tuple[ModelState, list[Metric]]:
    """How many rows the windows of one start have against those expected: stored with the champion."""
    found = ((window.key, metric) for window in windows for metric in window.metrics if metric.name == VOLUME)
    key, metric = next(found, (None, None))
    if key is None or metric is None:
        return state, []
    volume, numbers = watch_volume(state.watch.volume, plans[key.version], key.window_start_ms, [metric])
    return replace(state, watch=replace(state.watch, volume=volume)), numbers


def _arm(window: StoredWindow) -> Arm:
    """The labelled rows, and how many were right; of a regression, how large its errors were."""
    found = {metric.name: metric for metric in window.metrics}
    if accuracy := found.get("accuracy"):
        return Arm(accuracy.n, round(accuracy.value * accuracy.n))
    mae, rmse = found.get("mae"), found.get("rmse")
    if mae is None or rmse is None or not math.isfinite(mae.value + rmse.value):
        return Arm()
    return Arm(mae.n, 0, mae.value * mae.n, rmse.value * rmse.value * mae.n)


def _pairs(window: StoredWindow) -> Pairs:
    """Rows that champion and shadow both answered; a shadow's windows have any."""
    return pairs_from({metric.name: metric for metric in window.metrics})


def plans_under(plans: Plans, policy: Policy, policy_id: str = "") -> Plans:
    """All versions' plans with another policy."""
    return {version: under_policy(plan, policy, policy_id) for version, plan in plans.items()}


def pages_of(signals: Iterable[Signal]) -> list[Page]:
    """The episodes among the signals that asked for somebody, by the time that they did so."""
    pages: dict[str, Page] = {}
    for signal in signals:
        known = pages.get(signal.episode)
        if known is None and signal.kind in _PAGES:
            pages[signal.episode] = Page(
                signal.rule,
                signal.version,
                signal.segment,
                signal.since_ms,
                signal.window_end_ms,
                # What a canary is taken back for is over with that.
                signal.window_end_ms if signal.kind is SignalKind.ROLLBACK else None,
                signal.summary,
            )
        elif known is not None and signal.kind is SignalKind.RESOLVE:
            pages[signal.episode] = replace(known, until_ms=signal.window_end_ms)
    return sorted(pages.values(), key=lambda page: (page.at_ms, page.rule, page.version, page.segment))


def spans_of(pages: Iterable[Page], end_ms: int) -> list[Span]:
    """The episodes of one policy as the incidents that another is measured by; end_ms: of what is not over."""
    return [Span(page.since_ms, page.until_ms if page.until_ms is not None else end_ms) for page in pages]


def covered(windows: Sequence[StoredWindow], window_ms: int) -> Span:
    """From the first window's start to the last one's end. ValueError without windows."""
    starts = [window.key.window_start_ms for window in windows]
    return Span(min(starts), max(starts) + window_ms)


def tally(signals: Sequence[Signal], incidents: Sequence[Span], period: Span) -> Tally:
    """How the policy that gave the signals did by the incidents."""
    pages = pages_of(signals)
    delays: list[int] = []
    for incident in incidents:
        first_ms = min((page.at_ms for page in pages if page.meets(incident)), default=None)
        if first_ms is not None:
            delays.append(max(0, first_ms - incident.start_ms))
    kinds = [signal.kind for signal in signals]
    return Tally(
        len(pages),
        len(pages) * WEEK_MS / (period.end_ms - period.start_ms),
        kinds.count(SignalKind.RETRAIN),
        kinds.count(SignalKind.ROLLBACK),
        len(delays),
        len(incidents) - len(delays),
        float(np.median(delays)) if delays else None,
        sum(not any(page.meets(incident) for incident in incidents) for page in pages),
    )


def sweep(
    plans: Plans,
    windows: Sequence[StoredWindow],
    policies: Iterable[tuple[float, Policy]],
    rule: Rule,
    incidents: Sequence[Span],
    period: Span,
) -> list[Step]:
    """What each of the policies, by its bar, comes to in signals of the rule alone."""
    kind = Kind.INPUTS if rule in INPUT_RULES else Kind.OUTCOMES
    looked_at = [window for window in windows if window.kind is kind]
    steps = []
    for bar, policy in policies:
        signals = [signal for signal in replay(plans_under(plans, policy), looked_at) if signal.rule is rule]
        steps.append(Step(bar, tally(signals, incidents, period)))
    return steps


def psi_policies(policy: Policy) -> list[tuple[float, Policy]]:
    """The policy with each of the bars of drift that are tried, its own among them."""
    bars = sorted({*PSI_TRIED, policy.drift.psi})
    return [(bar, replace(policy, drift=replace(policy.drift, psi=bar))) for bar in bars]


def drop_policies(policy: Policy) -> list[tuple[float, Policy]]:
    """The policy with each of the bars of performance that are tried, its own among them."""
    bars = sorted({*DROP_TRIED, policy.performance.drop})
    return [(bar, replace(policy, performance=replace(policy.performance, drop=bar))) for bar in bars]


def within_budget(steps: Sequence[Step], pages_per_week: float) -> float | None:
    """The lowest bar from which on no higher one that was tried has more pages a week; None if the highest has too many.
    `steps` in rising order."""
    found = None
    for step in reversed(steps):
        if step.tally.pages_per_week > pages_per_week:
            break
        found = step.bar
    return found
