"""Disparities against scikit-learn's rates per group, and what their intervals and verdicts promise."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics  # type: ignore[import-untyped]  # scikit-learn ships no types

from driftsonde.core.statistics.fairness import (
    NOT_ENOUGH_ROWS,
    UNDECIDED,
    Disparity,
    FairnessBars,
    disparities,
)
from driftsonde.core.statistics.performance import BinaryOutcomes

LOOSE = FairnessBars(min_rows=1)
rows = st.integers(1, 200)
outcomes = st.builds(BinaryOutcomes, tp=rows, fp=rows, tn=rows, fn=rows)
groups = st.dictionaries(st.sampled_from("abcd"), outcomes, min_size=2)


def named(of: Mapping[str, BinaryOutcomes], bars: FairnessBars = LOOSE) -> dict[str, Disparity]:
    return {disparity.name: disparity for disparity in disparities(of, bars)}


def test_values_are_fairlearns_definitions_on_the_rows() -> None:
    rng = np.random.default_rng(1)
    group, labels = rng.integers(0, 3, 900), rng.integers(0, 2, 900)
    predictions = (rng.random(900) < 0.3 + 0.1 * group + 0.2 * labels).astype(int)
    counted = {}
    rates: dict[str, list[float]] = {"selection": [], "recall": [], "fall_out": [], "precision": []}
    for name in range(3):
        y, p = labels[group == name], predictions[group == name]
        tn, fp, fn, tp = (int(cell) for cell in metrics.confusion_matrix(y, p).ravel())
        counted[str(name)] = BinaryOutcomes(tp=tp, fp=fp, tn=tn, fn=fn)
        rates["selection"].append(float(p.mean()))
        rates["recall"].append(metrics.recall_score(y, p))
        rates["fall_out"].append(metrics.recall_score(1 - y, p))
        rates["precision"].append(metrics.precision_score(y, p))
    spread = {name: max(values) - min(values) for name, values in rates.items()}
    ours = {name: disparity.value for name, disparity in named(counted).items()}
    assert ours == pytest.approx(
        {
            "demographic_parity_difference": spread["selection"],
            "demographic_parity_ratio": min(rates["selection"]) / max(rates["selection"]),
            "equal_opportunity_difference": spread["recall"],
            "equalised_odds_difference": max(spread["recall"], spread["fall_out"]),
            "predictive_parity_difference": spread["precision"],
        }
    )


@settings(max_examples=60, deadline=None)
@given(of=groups)
def test_intervals_contain_the_values_and_decide_the_verdicts(of: dict[str, BinaryOutcomes]) -> None:
    for name, disparity in named(of).items():
        assert 0 <= disparity.interval.lower <= disparity.interval.upper <= 1
        assert disparity.interval.contains(disparity.value)
        if disparity.within is None:
            assert disparity.interval.lower <= disparity.bar <= disparity.interval.upper
            assert disparity.reason == UNDECIDED
        else:
            assert disparity.within == ((disparity.value < disparity.bar) != name.endswith("ratio"))


@settings(max_examples=40, deadline=None)
@given(of=outcomes, times=st.integers(2, 4))
def test_equal_groups_have_no_disparity(of: BinaryOutcomes, times: int) -> None:
    for name, disparity in named({str(i): of for i in range(times)}).items():
        assert disparity.value == (1 if name.endswith("ratio") else 0)
        assert disparity.within is not False


def test_more_rows_of_the_same_rates_shorten_the_intervals() -> None:
    few, many = (
        named({"a": BinaryOutcomes(4 * k, 2 * k, 3 * k, k), "b": BinaryOutcomes(2 * k, k, 6 * k, k)})
        for k in (10, 1000)
    )
    for name, disparity in few.items():
        assert many[name].interval.lower > disparity.interval.lower or many[name].interval.lower == 0
        assert many[name].interval.upper < disparity.interval.upper
    assert few["demographic_parity_ratio"].within is None
    assert many["demographic_parity_ratio"].within is False
    assert (many["demographic_parity_ratio"].lowest, many["demographic_parity_ratio"].highest) == ("b", "a")


def test_too_few_rows_refuse_a_verdict_and_a_small_group_is_left_out() -> None:
    bars = FairnessBars(min_rows=50)
    large, tiny = BinaryOutcomes(100, 100, 100, 100), BinaryOutcomes(0, 0, 10, 10)
    for disparity in disparities({"a": large, "tiny": tiny}, bars):
        assert math.isnan(disparity.value)
        assert (disparity.within, disparity.reason, disparity.n) == (None, NOT_ENOUGH_ROWS, 0)
    three = named({"a": large, "b": large, "tiny": tiny}, bars)
    assert three["demographic_parity_difference"].value == 0
    # Enough rows, but too few of them positive: only the rates given a positive label are refused.
    rare = BinaryOutcomes(5, 100, 300, 5)
    partly = named({"a": large, "b": rare}, bars)
    assert partly["equal_opportunity_difference"].reason == NOT_ENOUGH_ROWS
    assert partly["demographic_parity_difference"].reason != NOT_ENOUGH_ROWS
    odds = partly["equalised_odds_difference"]
    assert odds.within is not True
    assert odds.interval.upper == 1


def test_a_verdict_is_rarely_wrong() -> None:
    rng = np.random.default_rng(7)
    condemned = 0
    for _ in range(500):  # four groups exactly at the bar's edge: no disparity beyond 0.1
        hits = rng.binomial(200, [0.4, 0.5, 0.5, 0.45])
        of = {str(i): BinaryOutcomes(int(h), 0, int(200 - h), 0) for i, h in enumerate(hits)}
        condemned += named(of)["demographic_parity_difference"].within is False
    assert condemned / 500 <= 0.05


def test_where_nobody_is_selected_the_ratio_is_undefined() -> None:
    nobody = named({"a": BinaryOutcomes(0, 0, 100, 1), "b": BinaryOutcomes(0, 0, 100, 1)})
    assert math.isnan(nobody["demographic_parity_ratio"].value)
    assert nobody["demographic_parity_ratio"].within is None


def test_refuses_no_groups_and_bars_that_are_none() -> None:
    with pytest.raises(ValueError, match="groups"):
        disparities({}, LOOSE)
    for difference, ratio, confidence in ((2.0, 0.8, 0.9), (0.1, -1.0, 0.9), (0.1, 0.8, 1.0)):
        with pytest.raises(ValueError, match="must lie"):
            FairnessBars(difference, ratio, confidence)
    with pytest.raises(ValueError, match="min_rows"):
        FairnessBars(min_rows=0)
