"""Each rule's incident in words."""

import math
from dataclasses import replace

import pytest

from control_examples import signal
from driftsonde.console.sentences import Told, main_column, shift_text, tell
from driftsonde.console.stories import Ranked
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.report.results import BinCount

NAN = math.nan


def said(rule: Rule, *numbers: tuple[str, str, float, float]) -> Signal:
    """A signal whose evidence are (column, statistic, value, threshold)."""
    evidence = tuple(
        Evidence(0, 1, column, statistic, value, threshold, NAN, NAN, 1_000)
        for column, statistic, value, threshold in numbers
    )
    return replace(signal(SignalKind.ALERT), rule=rule, evidence=evidence)


def test_an_input_comes_before_what_the_model_makes_of_it() -> None:
    drift = said(Rule.DRIFT, ("score", "psi", 9.0, 0.2), ("f3", "psi", 6.81, 0.2))
    assert main_column(drift, {"score"}) == "f3"
    bins = [BinCount("below 74", 1_000, 0), BinCount("74 – 77", 0, 10)]
    assert tell(drift, {"score"}, bins) == Told(
        "f3 changed, and score with it",
        (
            "All of its values are below 74; in its baseline none are.",
            "Distance from its baseline (PSI): 6.81, the limit is 0.20.",
        ),
    )


def test_many_columns_are_counted() -> None:
    drift = said(Rule.DRIFT, *((name, "psi", 1.0, 0.2) for name in "abcde"))
    assert tell(drift).what == "a changed, and b and 3 more columns with it"


@pytest.mark.parametrize(
    ("rule", "number", "what", "why"),
    [
        (
            Rule.QUALITY,
            ("amount", "missing_rate", 0.4, 0.1),
            "amount is missing",
            "40.0 % of 1,000 rows have no value; the limit is 10.0 %.",
        ),
        (
            Rule.PERFORMANCE,
            ("", "accuracy", 0.81, 0.9),
            "accuracy fell to 81.0 %",
            "The limit is 90.0 %.",
        ),
        (Rule.PERFORMANCE, ("", "rmse", 7.0, 5.0), "RMSE rose to 7", "The limit is 5."),
        (
            Rule.CANARY,
            ("", "accuracy_difference", -0.2, -0.02),
            "version 1 is worse than the champion",
            "Its accuracy is 20.0 points lower, on windows that both have served; 2.0 points would be let pass.",
        ),
    ],
)
def test_each_rule(rule: Rule, number: tuple[str, str, float, float], what: str, why: str) -> None:
    assert tell(said(rule, number)) == Told(what, (why,))


def test_a_loss_names_the_inputs_that_moved_or_says_that_none_did() -> None:
    loss = said(Rule.PERFORMANCE, ("", "accuracy", 0.81, 0.9))
    moved = [Ranked("score", 5.0, 0.2, True), Ranked("f3", 4.0, 0.2, True), Ranked("f1", 0.1, 0.2, False)]
    assert "because of f3 (PSI 4.00), which is far" in tell(loss, {"score"}, (), moved).reasons[1]
    assert "No input left" in tell(loss, {"score"}, (), moved[2:]).reasons[1]


def test_without_evidence_the_signal_speaks_for_itself() -> None:
    bare = replace(signal(SignalKind.ALERT), evidence=())
    assert tell(bare) == Told(bare.summary, ())
    assert shift_text([BinCount("below 1", 0, 0)]) == ""
