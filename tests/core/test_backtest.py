"""A policy over stored windows: the live path's signals by its own policy, and what another one comes to."""

from dataclasses import replace

import pytest
from hypothesis import example

from backtest_runs import judged_log
from driftsonde.core.backtest import (
    WEEK_MS,
    Span,
    Step,
    Tally,
    covered,
    drop_policies,
    pages_of,
    plans_under,
    psi_policies,
    replay,
    spans_of,
    sweep,
    tally,
    within_budget,
)
from driftsonde.core.chunks import Kind
from driftsonde.core.events import Variant
from driftsonde.core.plan import Plan
from driftsonde.core.rebarring import KEPT, StoredWindow, used_bins
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import QualityRule
from driftsonde.judge.reports import WindowReport
from judge_runs import MODELS
from strategies import by_seed
from stream_examples import PLANS, TOUCHY


def stored(report: WindowReport) -> StoredWindow:
    kind = Kind.INPUTS if report.outcomes is None else Kind.OUTCOMES
    metrics = tuple(metric for metric in report.metrics if metric.name in KEPT)
    used = {column.reference.name: used_bins(column.reference, column.counts) for column in report.columns}
    # What the policy said at the time must not matter.
    return StoredWindow(
        report.key, kind, tuple(m._replace(threshold=-1, breached=True) for m in metrics), used
    )


def live(seed: int, messages: int) -> tuple[list[StoredWindow], list[Signal]]:
    reports, signals = judged_log(seed, messages)
    return [stored(report) for report in reports], signals


def plans_of(model: str) -> dict[str, Plan]:
    return {version: plan for (name, version), plan in PLANS.items() if name == model}


@example(seed=5295600)  # a shadow that is compared in pairs
@by_seed(10)
def test_the_same_policy_gives_exactly_the_signals_that_were_given(seed: int) -> None:
    windows, signals = live(seed, 25)
    for model in MODELS:
        ours = replay(plans_of(model), [window for window in windows if window.key.model == model])
        theirs = [signal for signal in signals if signal.model == model]
        assert sorted(map(repr, ours)) == sorted(map(repr, theirs))


def test_the_random_windows_have_something_to_say() -> None:
    windows, signals = live(1, 30)
    assert {window.kind for window in windows} == {Kind.INPUTS, Kind.OUTCOMES}
    assert {signal.kind for signal in signals} >= {SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.RESOLVE}


def shop() -> list[StoredWindow]:
    windows, _ = live(1, 30)
    return [window for window in windows if window.key.model == "shop"]


def test_a_policy_that_bears_more_has_no_more_pages_of_its_rule() -> None:
    windows, plans = shop(), plans_of("shop")
    period = covered(windows, 60_000)
    policies = [(bar, replace(TOUCHY, drift=replace(TOUCHY.drift, psi=bar))) for bar in (0.4, 99.0)]
    strict, lenient = sweep(plans, windows, policies, Rule.DRIFT, [], period)
    assert (strict.bar, lenient.bar, lenient.tally.pages) == (0.4, 99.0, 0)
    assert strict.tally.pages > 0
    deaf = replace(TOUCHY, drift=replace(TOUCHY.drift, psi=99.0), quality=QualityRule(1.0, 1.0, 1.0))
    said = replay(plans_under(plans, deaf, "deaf"), windows)
    assert {signal.rule for signal in said} <= {Rule.PERFORMANCE, Rule.CANARY}
    assert {signal.policy for signal in said} == {"deaf"}


def test_the_bars_tried_are_in_order_with_the_policys_own_among_them() -> None:
    policy = replace(TOUCHY, drift=replace(TOUCHY.drift, psi=0.21))
    for tried, own in ((psi_policies(policy), 0.21), (drop_policies(policy), TOUCHY.performance.drop)):
        bars = [bar for bar, _ in tried]
        assert bars == sorted({*bars, own})
    assert [one.drift.psi for _, one in psi_policies(policy)] == [bar for bar, _ in psi_policies(policy)]
    assert [one.performance.drop for _, one in drop_policies(policy)] == [
        bar for bar, _ in drop_policies(policy)
    ]


def test_todays_pages_are_the_incidents_that_another_policy_is_measured_by() -> None:
    windows, plans = shop(), plans_of("shop")
    period = covered(windows, 60_000)
    today = replay(plans, windows)
    incidents = spans_of(pages_of(today), period.end_ms)
    ours = tally(today, incidents, period)
    assert (ours.pages, ours.missed, ours.beside) == (len(incidents), 0, 0)
    assert ours.pages > 0
    silent = tally([], incidents, period)
    assert (silent.found, silent.missed, silent.median_delay_ms) == (0, ours.pages, None)


def said(kind: SignalKind, episode: str, since_ms: int, end_ms: int, rule: Rule = Rule.DRIFT) -> Signal:
    parts = ("m", "1", Variant.CHAMPION, "", end_ms - 10, end_ms, since_ms, episode, "", (), "", "")
    return Signal(f"{kind}{episode}", kind, rule, *parts)


def test_pages_meet_incidents_and_their_delay_is_from_the_incidents_start() -> None:
    signals = [
        said(SignalKind.ALERT, "a", 100, 110),
        said(SignalKind.RETRAIN, "a", 100, 130),
        said(SignalKind.RESOLVE, "a", 100, 160),
        said(SignalKind.ALERT, "b", 500, 520),
        said(SignalKind.PROMOTE, "c", 0, 40),
        said(SignalKind.ROLLBACK, "d", 700, 720, Rule.CANARY),
        said(SignalKind.RESOLVE, "lost", 1, 2),
    ]
    first, second, third = pages_of(signals)
    assert (first.since_ms, first.at_ms, first.until_ms) == (100, 110, 160)
    assert (second.until_ms, third.until_ms) == (None, 720)
    result = tally(signals, [Span(90, 140), Span(600, 610), Span(300, 400)], Span(0, WEEK_MS // 2))
    # The second is met by b, which is open; the third by nothing, d is about neither.
    assert (result.found, result.missed, result.beside, result.median_delay_ms) == (2, 1, 1, 10)
    assert (result.pages, result.pages_per_week, result.retrains, result.rollbacks) == (3, 6.0, 1, 1)


@pytest.mark.parametrize(
    ("weekly", "budget", "bar"),
    [
        ((5.0, 2.0, 1.0), 2.0, 0.2),
        ((5.0, 2.0, 1.0), 0.5, None),
        ((1.0, 3.0, 1.0), 1.0, 0.3),  # a low bar that happens to have few pages is not within the budget
        ((1.0, 1.0, 1.0), 1.0, 0.1),
    ],
)
def test_the_bar_within_a_budget_is_the_lowest_with_none_above_it_beyond(
    weekly: tuple[float, ...], budget: float, bar: float | None
) -> None:
    steps = [
        Step(value, Tally(0, pages, 0, 0, 0, 0, None, 0))
        for value, pages in zip((0.1, 0.2, 0.3), weekly, strict=True)
    ]
    assert within_budget(steps, budget) == bar
