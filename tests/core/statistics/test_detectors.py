"""Detectors with a learned null: what they learn, what they must not learn, and what they say."""

import numpy as np
import pytest
from scipy import special

from driftsonde.core.statistics.counts import FloatArray
from driftsonde.core.statistics.dispersion import dispersion, empty_profile, extend
from driftsonde.core.statistics.evidence import log_alarm_bar
from driftsonde.core.statistics.level_detector import (
    LevelDetector,
    accept_level,
    drift_level,
    level_evidence,
    level_of_psi,
    new_level_detector,
    observe_level,
)
from driftsonde.core.statistics.rate_detector import (
    RateDetector,
    chosen_null,
    clear_rate,
    learn_rate,
    new_rate_detector,
    observe_rate,
)

HOUR_MS = 3_600_000
ROWS, STREAMS = 100, 60
BAR = log_alarm_bar(100, 0.05)


def learned(rates: FloatArray, seed: int) -> tuple[RateDetector, np.random.Generator]:
    """After 50 windows that the baseline holds, of so many streams."""
    randomness = np.random.default_rng(seed)
    hits = randomness.binomial(ROWS, np.broadcast_to(rates, (50, STREAMS)))
    state = new_rate_detector(hits.sum(axis=0), np.full(STREAMS, 50 * ROWS))
    for window in range(50):
        state = learn_rate(state, hits[window], np.full(STREAMS, ROWS), window * HOUR_MS)
    return state, randomness


def watch(
    state: RateDetector, rates: FloatArray, randomness: np.random.Generator, first: int = 50
) -> tuple[RateDetector, FloatArray]:
    """The state after windows of these rates from the hour `first` on, and in how many each stream was in alarm."""
    alarmed = np.zeros(STREAMS)
    for hour, rate in enumerate(rates, start=first):
        hits = randomness.binomial(ROWS, rate, STREAMS)
        state = observe_rate(state, hits, np.full(STREAMS, ROWS), hour * HOUR_MS, 0.05, BAR)
        alarmed += state.alarmed
    return state, alarmed


def daily(hours: FloatArray) -> FloatArray:
    return np.asarray(special.expit(-1.4 + 0.6 * np.sin(hours * 2 * np.pi / 24)))


def test_a_rise_is_found_a_constant_rate_and_a_slightly_higher_one_are_not() -> None:
    constant = np.full(100, 0.2)
    state, randomness = learned(np.full((50, 1), 0.2), seed=1)
    assert (watch(state, constant, randomness)[1] > 0).mean() <= 0.05
    assert (watch(state, constant + 0.01, randomness)[1] > 0).mean() <= 0.1
    assert (watch(state, constant[:12] + 0.1, randomness)[1] > 0).mean() > 0.95


def test_a_change_is_not_learned_as_healthy_variation_or_as_the_rate() -> None:
    state, randomness = learned(np.full((50, 1), 0.2), seed=2)
    after, _ = watch(state, np.full(40, 0.4), randomness)
    assert after.alarmed.all()
    assert dispersion(after.healthy, 0.1)[:, 0] == pytest.approx(dispersion(state.healthy, 0.1)[:, 0])
    # Longest where independent rows were taken for others.
    assert (after.windows <= state.windows + 4).mean() > 0.9
    assert (after.windows <= state.windows + 30).all()


def test_an_alarm_ends_when_the_evidence_is_gone_however_long_it_lasted() -> None:
    state, randomness = learned(np.full((50, 1), 0.2), seed=3)
    ill, _ = watch(state, np.full(200, 0.3), randomness)
    well, _ = watch(ill, np.full(10, 0.2), randomness)
    assert ill.alarmed.mean() > 0.95
    assert well.alarmed.mean() < 0.1


def test_a_season_is_learned_and_then_a_rise_is_found_within_it() -> None:
    state, randomness = learned(daily(np.arange(50.0))[:, None], seed=4)
    assert (dispersion(state.healthy, 0.1)[:, 0] > 5).all()
    state, alarmed = watch(state, daily(np.arange(50.0, 170.0)), randomness)
    assert (alarmed > 0).mean() <= 0.05
    assert (chosen_null(state) == 1).mean() > 0.9
    _, alarmed = watch(state, daily(np.arange(170.0, 200.0)) + 0.1, randomness, first=170)
    assert (alarmed > 0).mean() > 0.9


def test_evidence_that_is_cleared_starts_anew() -> None:
    state, randomness = learned(np.full((50, 1), 0.2), seed=5)
    ill, _ = watch(state, np.full(10, 0.4), randomness)
    half = np.arange(STREAMS) % 2 == 0
    cleared = clear_rate(ill, half)
    assert ill.alarmed.mean() > 0.9
    assert (cleared.alarmed == (ill.alarmed & ~half)).all()
    assert np.isneginf(cleared.log_evidence[half]).all()
    assert np.isfinite(cleared.log_evidence[~half]).any()


def test_independent_rows_have_no_dispersion_and_a_season_has() -> None:
    randomness = np.random.default_rng(6)
    plain, seasonal = empty_profile((200,)), empty_profile((200,))
    for hour in range(100):
        noise = randomness.standard_normal(200)
        plain = extend(plain, noise, 1.0)
        seasonal = extend(seasonal, noise + 2 * np.sin(hour * 2 * np.pi / 24), 1.0)
    assert (dispersion(plain, 0.1) == 1).mean() > 0.9
    assert (dispersion(seasonal, 0.1) > 8).all()


def test_a_stream_that_does_not_count_stays_as_it_was() -> None:
    profile = extend(empty_profile((2,)), [3.0, 3.0], [1.0, 1.0], [True, False])
    assert profile.blocks[:, 0].tolist() == [1, 0]
    assert extend(profile, [1.0, 1.0], [0.0, 0.0]).ratios == pytest.approx(profile.ratios)


# --- Columns -------------------------------------------------------------------------------------------------------

COLUMNS, BINS = 8, 10
REFERENCE = np.full((COLUMNS, BINS), 500.0)


def drift(state: LevelDetector, shares: FloatArray, hours: range, seed: int) -> LevelDetector:
    """The state after hourly windows of 500 rows whose first column has these shares."""
    randomness = np.random.default_rng(seed)
    even = np.full((COLUMNS - 1, BINS), 1 / BINS)
    for hour in hours:
        counts = randomness.multinomial(500, np.vstack([shares, even]))
        state = observe_level(state, drift_level(counts, REFERENCE, 0.2), hour * HOUR_MS, BAR)
        if hour < 30:
            state = accept_level(state, True)
    return state


EVEN = np.full(BINS, 1 / BINS)
TILTED = EVEN * np.linspace(0.2, 1.8, BINS)  # a PSI of 0.3


def test_a_drift_is_found_in_its_column_only() -> None:
    state = drift(new_level_detector((COLUMNS,)), EVEN, range(60), seed=7)
    assert (level_evidence(state) < BAR).all()
    evidence = level_evidence(drift(state, TILTED, range(60, 64), seed=8))
    assert evidence[0] == pytest.approx(BAR)
    assert (evidence[1:] < BAR).all()


def test_a_column_that_was_always_away_from_its_baseline_is_not_drifting() -> None:
    state = drift(new_level_detector((COLUMNS,)), TILTED, range(90), seed=9)
    assert (level_evidence(state) < BAR).all()


def test_a_stream_that_does_not_learn_keeps_its_null() -> None:
    state = drift(new_level_detector((COLUMNS,)), EVEN, range(40), seed=10)
    level = drift_level(np.full((COLUMNS, BINS), 50.0), REFERENCE, 0.2)
    learns = np.arange(COLUMNS) > 0
    after = observe_level(state, level, 40 * HOUR_MS, BAR, learns)
    assert (after.windows[:, 0] - state.windows[:, 0]).tolist() == learns.astype(float).tolist()


def test_a_level_is_what_chance_makes_it_where_nothing_is_wrong() -> None:
    randomness = np.random.default_rng(11)
    reference = randomness.multinomial(5_000, EVEN, 4_000)
    level = drift_level(randomness.multinomial(1_000, EVEN, 4_000), reference, 0.2)
    assert level.value.mean() == pytest.approx(level.expected[0], abs=0.02)
    assert level.value.var() == pytest.approx(level.variance[0], rel=0.1)


def test_a_window_without_rows_has_no_level() -> None:
    with pytest.raises(ValueError, match="must have rows"):
        drift_level(np.zeros((1, 3)), np.ones((1, 3)), 0.2)


def test_the_bet_on_a_level_is_fair_for_any_gamma_whose_scale_is_estimated() -> None:
    """E[L] = 1 under the predictive law of the window: chi-square windows, the scale known from 12 of them."""
    from_windows, degrees, psi = 12, 9, 0.2
    randomness = np.random.default_rng(12)
    inverse_rows = 1 / 5_000 + 1 / 500
    scale = degrees * inverse_rows
    u = randomness.chisquare(degrees, (from_windows + 1, 4_000)) / degrees
    state = new_level_detector(u.shape[1:])
    for window, values in enumerate(u[:-1]):
        state = observe_level(
            state, level_of_psi(values * scale, degrees, inverse_rows, psi), window, BAR, True
        )
        state = accept_level(state, True)
    cleared = observe_level(state, level_of_psi(u[-1] * scale, degrees, inverse_rows, psi), 100, 1e9)
    assert np.exp(level_evidence(cleared)).mean() <= 1.05
