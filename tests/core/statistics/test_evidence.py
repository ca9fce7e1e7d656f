"""e-detectors: what their guarantee rests on, exactly, and that it shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from driftsonde.core.statistics.evidence import (
    EFFECTS,
    WEIGHTS,
    log_alarm_bar,
    log_mean,
    rate_log_ratio,
    restart,
)


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 60), st.floats(0.01, 0.3))
def test_the_bet_on_a_window_is_fair_for_a_rate_that_is_estimated(
    hits: int, others: int, rows: int, effect: float
) -> None:
    """E[L | past] = 1, summed over every outcome of the window under the Beta-binomial law."""
    outcomes = np.arange(rows + 1)
    law = stats.betabinom.pmf(outcomes, rows, hits + 0.5, others + 0.5)
    ratios = np.exp(rate_log_ratio(outcomes, rows, hits, hits + others, effect))
    assert law @ ratios == pytest.approx(np.ones(len(EFFECTS)), rel=1e-8)


@given(st.integers(1, 40), st.floats(1.0, 50.0))
def test_a_dispersion_takes_evidence_away(rows: int, dispersion: float) -> None:
    hits = np.arange(rows + 1)
    plain = rate_log_ratio(hits, rows, 30_000, 100_000, 0.05)
    spread = rate_log_ratio(hits, rows, 30_000, 100_000, 0.05, dispersion)
    assert spread == pytest.approx(plain / dispersion, abs=0.02 * rows / dispersion)


def test_no_rows_are_no_evidence() -> None:
    assert rate_log_ratio(0, 0, 10, 100, 0.05) == pytest.approx(np.zeros(len(EFFECTS)))


def test_a_baseline_without_a_good_row_can_still_be_bet_on() -> None:
    assert np.isfinite(rate_log_ratio([0, 5], [5, 5], 100_000, 100_000, 0.5)).all()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_restarting_is_the_sum_over_every_start(ratios: list[float]) -> None:
    evidence = np.asarray(-np.inf)
    for ratio in ratios:
        evidence = restart(evidence, ratio)
    total = sum(np.exp(sum(ratios[start:])) for start in range(len(ratios)))
    assert float(evidence) == pytest.approx(np.log(total), abs=1e-9)


def test_the_mean_of_detectors_is_weighted() -> None:
    assert WEIGHTS.sum() == pytest.approx(1)
    assert float(log_mean(np.log([1.0, 2.0, 4.0]), WEIGHTS)) == pytest.approx(np.log(2.15))
    assert float(log_mean(np.full(3, -np.inf), WEIGHTS)) == -np.inf


def test_the_bar_is_the_budget() -> None:
    assert log_alarm_bar(2184, 2) == pytest.approx(np.log(1092))
    for windows, false_pages in ((0, 1), (10, 0), (np.inf, 1), (10, np.nan)):
        with pytest.raises(ValueError, match="finite and positive"):
            log_alarm_bar(windows, false_pages)


def test_the_budget_holds_on_independent_rows_with_an_estimated_baseline() -> None:
    """0.2 false alarms in 100 windows allowed; 600 streams, a baseline of 5,000 rows each, windows of 50."""
    randomness = np.random.default_rng(5)
    known_hits = randomness.binomial(5_000, 0.2, 600).astype(float)
    known_rows = np.full(600, 5_000.0)
    evidence, alarms = np.full((600, len(EFFECTS)), -np.inf), 0
    for _ in range(100):
        hits = randomness.binomial(50, 0.2, 600)
        evidence = restart(evidence, rate_log_ratio(hits, 50, known_hits, known_rows, 0.05))
        known_hits, known_rows = known_hits + hits, known_rows + 50
        called = log_mean(evidence, WEIGHTS) >= log_alarm_bar(100, 0.2)
        alarms += int(called.sum())
        evidence[called] = -np.inf
    assert 0 < alarms / 600 <= 0.2
