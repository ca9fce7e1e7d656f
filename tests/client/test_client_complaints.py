"""What is said, and how often."""

import pytest

from driftsonde.client.complaints import AGAIN_S, Complaints


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_problem_is_said_again_after_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    complaints = Complaints(clock)
    for _ in range(2):
        complaints.warning("delivery", "first")
        complaints.warning("delivery", "the same outage")
        clock.now_s += AGAIN_S
    assert [record.message.split(" (")[0] for record in caplog.records] == ["delivery: first"] * 2


def test_different_problems_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(Clock(), most=2)
    for number in range(5):
        complaints.warning(f"kind {number}", "x")
    assert len(caplog.records) == 2
