"""Each rule's incident in words."""

import math
from dataclasses import replace

import numpy as np
import pytest

from control_examples import signal
from driftsonde.console.sentences import Told, effect_text, main_column, shift_text, tell
from driftsonde.console.stories import Effect, Ranked
from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.events import Role
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.verdict import ColumnCounts

NAN = math.nan


def numeric(counts: list[int], before: list[int]) -> ColumnCounts:
    """A column of which the sums are not known."""
    reference = NumericReference(
        "f3", Role.FEATURE, np.array([74.0, 77.0]), np.array(before), NAN, NAN, NAN, NAN
    )
    return ColumnCounts(reference, np.array(counts))


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
    assert tell(drift, {"score"}, {"f3": numeric([1_000, 0, 0, 0], [0, 10, 0, 0])}) == Told(
        "f3 changed, and score with it",
        (
            "All of the values of f3 are below 74; in its baseline none are.",
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
    assert "because of f3 (PSI 4.00), which is far" in tell(loss, {"score"}, None, moved).reasons[1]
    assert "No input left" in tell(loss, {"score"}, None, moved[2:]).reasons[1]


def test_without_evidence_the_signal_speaks_for_itself() -> None:
    bare = replace(signal(SignalKind.ALERT), evidence=())
    assert tell(bare) == Told(bare.summary, ())
    assert shift_text(numeric([0, 0, 0, 0], [0, 0, 0, 0])) == ""


def test_the_cause_is_hinted_at_where_the_counts_support_it() -> None:
    sums = (9_620.0, 926_600.0, 80.0, 110.0)  # mean 96.2, deviation 3.4
    before = NumericReference("f3", Role.FEATURE, np.array([80.0, 110.0]), np.array([0, 100, 0, 0]), *sums)
    fallen = ColumnCounts(before, np.array([100, 0, 0, 0]), 401.0, 1_610.0, 3.3, 4.6)
    drift = said(Rule.DRIFT, ("f3", "psi", 6.81, 0.2))
    assert tell(drift, (), {"f3": fallen}).reasons[0] == (
        "f3 looks like it comes in another unit: about 1/24 of what it was, typical value 96.2 → 4.01."
    )
    loss = said(Rule.PERFORMANCE, ("", "accuracy", 0.81, 0.9))
    assert tell(drift, (), {"f3": fallen}, (), loss).what == "f3 changed; accuracy fell to 81.0 %"
    suspected = tell(loss, (), {"f3": fallen}, [Ranked("f3", 4.0, 0.2, True)])
    assert "another unit" in suspected.reasons[2]


def test_a_category_that_was_never_seen_and_missing_values_are_told() -> None:
    reference = CategoricalReference("country", Role.FEATURE, ("AT",), np.array([999, 0, 1]))
    drift = said(Rule.DRIFT, ("country", "psi", 1.0, 0.2))
    counts = {"country": ColumnCounts(reference, np.array([500, 120, 380]))}
    assert tell(drift, (), counts).reasons[:2] == (
        "38.0 % of country is missing, before 0.1 %.",
        "19.4 % of country are categories that were never seen before, in its baseline 0 %.",
    )
    quality = said(Rule.QUALITY, ("country", "missing_rate", 0.38, 0.1))
    assert not any("38.0 % of country is missing" in text for text in tell(quality, (), counts).reasons)


def test_a_constant_column_and_silence_are_told_in_words() -> None:
    constant = tell(said(Rule.QUALITY, ("amount", "constant", 1.0, 0.5)), (), {})
    assert constant.what == "amount is constant"
    assert constant.reasons[0].startswith("It has one value in the whole window")
    silent = tell(said(Rule.QUALITY, ("", "freshness_s", 7_200.0, 3_600.0)), (), {})
    assert (silent.what, silent.reasons[0]) == ("no rows came", "None for 2 h; the limit is 60 min.")


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (None, "No labels yet, so its effect on how well the model does is not known."),
        (
            Effect("accuracy", 900, 0.91, 0, NAN, 0.8, False),
            "Accuracy was 91.0 %; no labels of the time since have come yet.",
        ),
        (
            Effect("accuracy", 0, NAN, 20, 0.9, 0.8, False),
            "Accuracy since: 90.0 % (20 labels); no window within its limit is known of before.",
        ),
        (
            Effect("accuracy", 900, 0.91, 214, 0.72, 0.8, True),
            "Accuracy 91.0 % → 72.0 % since, past its limit of 80.0 % (214 labels).",
        ),
        (
            Effect("accuracy", 900, 0.91, 214, 0.81, 0.8, True),
            "Accuracy 91.0 % → 81.0 % since, past its limit in some windows (214 labels).",
        ),
        (
            Effect("accuracy", 0, NAN, 214, 0.79, 0.8, False),
            "Accuracy since: 79.0 %, past its limit of 80.0 % (214 labels); no window within its limit is known of before.",
        ),
        (
            Effect("accuracy", 900, 0.91, 214, 0.81, 0.8, False),
            "Accuracy 91.0 % → 81.0 % since, within its limit (214 labels).",
        ),
        (
            Effect("accuracy", 900, 0.91, 214, 0.9, 0.8, False),
            "Accuracy not affected so far: 90.0 %, before 91.0 % (214 labels).",
        ),
        (
            Effect("rmse", 900, 4.0, 214, 6.0, 5.0, True),
            "RMSE 4 → 6 since, past its limit of 5 (214 labels).",
        ),
    ],
)
def test_the_effect_on_the_model_is_a_number_before_and_since(effect: Effect | None, text: str) -> None:
    assert effect_text(effect, open_still=True) == text
