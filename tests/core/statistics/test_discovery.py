"""e-BH and e-LOND against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.statistics.discovery import e_benjamini_hochberg, e_lond

EVIDENCE = st.lists(st.floats(-5, 12), min_size=1, max_size=12)


@given(EVIDENCE, st.floats(0.5, 6))
def test_e_bh_calls_the_most_streams_that_pass_their_bar(log_e: list[float], log_bar: float) -> None:
    m = len(log_e)
    ranked = sorted(log_e, reverse=True)
    passing = [k for k in range(1, m + 1) if ranked[k - 1] >= log_bar + np.log(m) - np.log(k)]
    expected = [value >= ranked[passing[-1] - 1] if passing else False for value in log_e]
    assert e_benjamini_hochberg(log_e, log_bar).tolist() == expected


@given(EVIDENCE, st.floats(0.5, 6))
def test_a_call_needs_the_mean_of_all_streams_to_pass_the_bar(log_e: list[float], log_bar: float) -> None:
    """Why e-BH on e-detectors keeps the budget of one e-detector."""
    if e_benjamini_hochberg(log_e, log_bar).any():
        assert np.log(np.mean(np.exp(log_e))) >= log_bar - 1e-9


def test_a_stream_without_evidence_is_never_called() -> None:
    assert e_benjamini_hochberg([np.nan, -np.inf, 9.0], 3.0).tolist() == [False, False, True]


@given(EVIDENCE, st.floats(0.01, 0.5))
def test_e_lond_spends_its_level_by_its_calls(log_e: list[float], alpha: float) -> None:
    calls, expected = 0, []
    for t, value in enumerate(log_e, start=1):
        level = alpha * (calls + 1) / (t * (t + 1))
        called = value + np.log(level) >= 0
        calls += called
        expected.append(called)
    assert list(e_lond(log_e, alpha)) == expected


def test_e_lond_refuses_a_level_that_is_none() -> None:
    with pytest.raises(ValueError, match="alpha"):
        list(e_lond([1.0], 1.0))
