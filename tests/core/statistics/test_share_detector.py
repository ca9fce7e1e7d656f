"""Shares of rows in many streams: a rise is called, a share that was always high or always moves is not."""

import numpy as np
import pytest

from driftsonde.core.statistics.discovery import e_benjamini_hochberg
from driftsonde.core.statistics.evidence import log_alarm_bar
from driftsonde.core.statistics.share_detector import (
    ShareDetector,
    accept_share,
    clear_share,
    new_share_detector,
    observe_share,
    share_evidence,
)

STREAMS, ROWS, EFFECT = 50, 400, 0.1
BAR = log_alarm_bar(1_000, 0.25)


def run(
    state: ShareDetector,
    rates: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    seed: int,
    learning: int = 0,
) -> tuple[ShareDetector, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The state after windows of these rates (windows, STREAMS), and which streams were ever called."""
    randomness = np.random.default_rng(seed)
    rows = np.full(STREAMS, ROWS)
    called = np.zeros(STREAMS, dtype=np.bool_)
    for window, rate in enumerate(rates):
        state = observe_share(
            state, randomness.binomial(ROWS, rate), rows, EFFECT, BAR + np.log(STREAMS), ~called
        )
        if window < learning:
            state = accept_share(state)
        else:
            called |= e_benjamini_hochberg(share_evidence(state), BAR)
    return state, called


def test_a_rise_is_called_at_once_and_healthy_streams_are_not() -> None:
    rates = np.full((600, STREAMS), 0.02)
    state, called = run(new_share_detector(np.full(STREAMS, 100), np.full(STREAMS, 5_000)), rates, 1, 48)
    assert not called.any()
    risen = rates[:3].copy()
    risen[:, 7] = 0.14
    _, called = run(state, risen, 2)
    assert np.flatnonzero(called).tolist() == [7]
    assert np.isneginf(share_evidence(clear_share(state))).all()


def test_a_share_that_was_always_higher_than_in_the_baseline_is_learned() -> None:
    rates = np.full((300, STREAMS), 0.10)
    state, called = run(new_share_detector(np.full(STREAMS, 100), np.full(STREAMS, 5_000)), rates, 3, 48)
    assert not called.any()
    assert np.abs(state.hits / state.rows - 0.1).max() < 0.01


def test_what_wanders_needs_more_to_be_called() -> None:
    """Half a day a share of 0.02, half a day of 0.14: no rise, though each noon lies further up than the effect."""
    hours = np.arange(400)
    rates = np.where((hours // 12 % 2 == 1)[:, None], 0.14, 0.02) * np.ones(STREAMS)
    _, called = run(new_share_detector(np.full(STREAMS, 400), np.full(STREAMS, 5_000)), rates, 4, 48)
    assert called.mean() <= 0.02


def test_no_rows_are_no_evidence() -> None:
    state = new_share_detector(np.full(2, 10), np.full(2, 1_000))
    after = observe_share(state, np.zeros(2), np.zeros(2), EFFECT, BAR, np.ones(2, dtype=np.bool_))
    assert share_evidence(after) == pytest.approx([0.0, 0.0], abs=1e-12)
    assert after.rows.tolist() == [1_000, 1_000]
