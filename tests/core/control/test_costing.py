"""What an incident costs, where the spec says what outcomes are worth or what an error costs."""

from dataclasses import replace

import pytest

from control_examples import after, setting, signal
from driftsonde.controller.channels.notice import facts
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.outbox import notice_of
from driftsonde.core.control.costing import Worth, cost_in_words
from driftsonde.core.control.inputs import Setting
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.state import Effect, State
from driftsonde.core.events import Variant
from driftsonde.core.judging import JudgedWindow, ModelState, apply_rules
from driftsonde.core.plan import plan_for
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, ModelSpec, PerformanceRule, Policy, Task
from driftsonde.core.verdict import Metric
from driftsonde.core.window import WindowKey

EURO = Worth(error_cost=20.0, drop=0.05, unit="EUR")
ACCURACY = Evidence(0, HOUR_MS, "", "accuracy", 0.80, 0.85, 0.78, 0.82, 1_000)
VALUE = Evidence(0, HOUR_MS, "", "value_per_row", -1.65, float("nan"), -2.0, -1.0, 1_000)


def worse(*evidence: Evidence, rule: Rule = Rule.PERFORMANCE) -> Signal:
    return replace(signal(SignalKind.ALERT, rule=rule), evidence=evidence)


def test_errors_beyond_those_of_the_baseline() -> None:
    """0.80 instead of 0.90, 24,000 rows a day, 20 EUR an error."""
    assert (
        cost_in_words(worse(ACCURACY), EURO)
        == "about 48,000 EUR a day: 10 % more errors at 2.4e+04 labelled rows a day"
    )


def test_what_rows_are_worth_counts_more_than_an_error_by_itself() -> None:
    said = cost_in_words(worse(ACCURACY, VALUE), EURO)
    assert said == "a row is worth -1.65 EUR, -39,600 EUR a day at 2.4e+04 labelled rows a day"


def test_a_canary_costs_by_what_it_is_worse_than_the_champion() -> None:
    """Its rows since the comparison began two hours before the window's end: 12,000 a day, 5 points worse."""
    entry = Evidence(HOUR_MS, 2 * HOUR_MS, "", "accuracy_difference", -0.05, -0.02, -0.07, -0.03, 1_000)
    assert cost_in_words(worse(entry, rule=Rule.CANARY), EURO).startswith("about 12,000 EUR a day: 5 % more")


@pytest.mark.parametrize(
    ("evidence", "worth"),
    [
        ((ACCURACY,), Worth()),
        ((replace(ACCURACY, value=0.95),), EURO),
        ((replace(ACCURACY, threshold=float("nan")),), EURO),
        (signal(SignalKind.ALERT).evidence, EURO),
        ((replace(VALUE, value=float("nan")),), EURO),
        ((), EURO),
    ],
)
def test_what_is_not_known_is_not_said(evidence: tuple[Evidence, ...], worth: Worth) -> None:
    assert cost_in_words(worse(*evidence), worth) == ""


def test_it_is_in_the_message_and_in_the_log() -> None:
    policy = setting()
    governed = Setting(
        lambda _: replace(Governance(policy.governance("").actions, "p1"), worth=EURO), policy.routes
    )
    state, (decision,) = after(State(), [worse(ACCURACY)], governed)
    told = facts(notice_of(ControllerConfig(), state, Effect("x", decision, recipient="oncall")))
    assert told["What it costs"] == decision.detail.impact != ""
    over = replace(worse(ACCURACY), kind=SignalKind.RESOLVE, id="over")
    _, (resolved,) = after(state, [over], governed)
    assert resolved.detail.impact == ""


def test_the_judges_signal_has_what_rows_are_worth_beside_the_accuracy() -> None:
    rule = PerformanceRule(alert_after=1, min_labels=1)
    spec = ModelSpec("m", Task.BINARY, outcome_values=((0, -5), (-100, 20)), policy=Policy(performance=rule))
    numbers = (
        Metric("", "accuracy", 1_000, 0.7, 0.6, 0.8, 0.85, breached=True),
        Metric("", "value_per_row", 1_000, -1.65, -2.0, -1.0),
    )
    window = JudgedWindow(
        WindowKey(0, "m", "1", Variant.CHAMPION, ""), plan_for(spec, None, "", "p"), numbers
    )
    _, (alert,) = apply_rules(ModelState(), [window], [Rule.PERFORMANCE])
    assert [entry.statistic for entry in alert.evidence] == ["accuracy", "value_per_row"]
    assert "value_per_row" not in alert.summary
    assert cost_in_words(alert, Worth()).startswith("a row is worth -1.65, -39,600 a day")
