import pytest

from driftsonde.core.control.retry import (
    MAX_RETRY_AFTER_MS,
    ONCALL_DELAYS_MS,
    Again,
    Answer,
    Delivered,
    GivenUp,
    after,
)

DELAYS_MS = (1_000, 10_000)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_success_is_2xx(status: int) -> None:
    assert after(Answer(status), 1, DELAYS_MS, 0.5) == Delivered()


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_anything_else_is_tried_again(status: int) -> None:
    assert after(Answer(status), 1, DELAYS_MS, 0.5) == Again(1_000, pause=False)
    assert after(Answer(status), 2, DELAYS_MS, 0.5) == Again(10_000, pause=False)


def test_after_the_last_try_it_is_given_up() -> None:
    assert after(Answer(500), 3, DELAYS_MS, 0.5) == GivenUp("status 500, after 3 tries", disable=False)


def test_gone_disables_at_once() -> None:
    outcome = after(Answer(410), 1, DELAYS_MS, 0.5)
    assert isinstance(outcome, GivenUp)
    assert outcome.disable


def test_what_no_retry_mends_is_not_retried() -> None:
    outcome = after(Answer(0, "leads to 10.0.0.1", refused=True), 1, DELAYS_MS, 0.5)
    assert outcome == GivenUp("leads to 10.0.0.1", disable=False)


@pytest.mark.parametrize("status", [429, 503])
def test_a_throttling_server_is_left_alone_as_long_as_it_asks(status: int) -> None:
    assert after(Answer(status, retry_after_ms=7_000), 1, DELAYS_MS, 0.5) == Again(7_000, pause=True)
    longest = after(Answer(status, retry_after_ms=10**9), 1, DELAYS_MS, 0.5)
    assert longest == Again(MAX_RETRY_AFTER_MS, pause=True)


def test_retry_after_means_nothing_elsewhere() -> None:
    assert after(Answer(500, retry_after_ms=7_000), 1, DELAYS_MS, 0.5) == Again(1_000, pause=False)


def test_jitter_spreads_by_a_fifth() -> None:
    assert after(Answer(500), 1, DELAYS_MS, 0.0) == Again(800, pause=False)
    assert after(Answer(500), 1, DELAYS_MS, 0.9999) == Again(1_199, pause=False)


def test_on_call_is_tried_within_the_first_minute_and_for_a_day() -> None:
    assert sum(ONCALL_DELAYS_MS[:2]) < 60_000
    assert sum(ONCALL_DELAYS_MS) > 24 * 3_600_000
