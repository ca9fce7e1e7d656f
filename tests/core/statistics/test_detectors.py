"""Detectors on counts: no alarm is missed, a restart changes nothing, memory is bounded. River's own: tests/adapters."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftsonde.core.statistics.detectors import (
    CountedOutcomes,
    OutcomeDetector,
    Snapshot,
    outcomes_in_order,
)


@dataclass
class RunOfErrors:
    """Alarms at every `length`-th error since the last alarm; like river's, it clears its flag on the next update."""

    length: int = 5
    errors: int = 0
    drift_detected: bool = False

    def update(self, x: bool, /) -> None:
        if self.drift_detected:
            self.errors, self.drift_detected = 0, False
        self.errors += x
        self.drift_detected = self.errors >= self.length


batches = st.lists(
    st.tuples(st.integers(0, 40), st.floats(0, 1)).map(lambda cell: (cell[0], round(cell[0] * cell[1]))),
    max_size=12,
)


def rows_of(counts: list[tuple[int, int]]) -> list[bool]:
    rows: list[bool] = []
    for size, errors in counts:
        rows.extend(outcomes_in_order(CountedOutcomes(len(rows), size, errors)).tolist())
    return rows


@settings(max_examples=80, deadline=None)
@given(counts=batches)
def test_every_alarm_of_the_rows_is_returned(counts: list[tuple[int, int]]) -> None:
    plain, expected = RunOfErrors(), []
    for place, wrong in enumerate(rows_of(counts)):
        plain.update(wrong)
        if plain.drift_detected:
            expected.append(place)
    detector = OutcomeDetector(RunOfErrors)
    found = [alarm for size, errors in counts for alarm in detector.update(size, errors)]
    assert found == expected


@settings(max_examples=80, deadline=None)
@given(counts=batches, stops=st.sets(st.integers(0, 11)), horizon=st.integers(1, 60))
def test_a_restart_changes_nothing(counts: list[tuple[int, int]], stops: set[int], horizon: int) -> None:
    through = OutcomeDetector(RunOfErrors, horizon)
    restarted = OutcomeDetector(RunOfErrors, horizon)
    for place, (size, errors) in enumerate(counts):
        if place in stops:
            restarted = OutcomeDetector(RunOfErrors, horizon, restarted.snapshot)
        assert restarted.update(size, errors) == through.update(size, errors)
        assert restarted.snapshot == through.snapshot
        assert sum(part.rows - part.skipped for part in through.snapshot.kept) <= 2 * horizon + size


def test_what_is_kept_is_bounded_and_begins_after_the_last_alarm() -> None:
    detector = OutcomeDetector(RunOfErrors, horizon=100)
    for _ in range(50):
        detector.update(30, 0)
    assert sum(part.rows - part.skipped for part in detector.snapshot.kept) <= 200
    alarms = detector.update(30, 6)
    assert len(alarms) == 1
    (kept,) = detector.snapshot.kept
    assert kept.start + kept.skipped == alarms[0] + 1
    assert detector.snapshot.rows_seen == 1530


def test_the_order_is_uniform_and_depends_on_the_place_only() -> None:
    batch = CountedOutcomes(1000, 50, 20)
    assert outcomes_in_order(batch).tolist() == outcomes_in_order(replace(batch)).tolist()
    orders = np.array([outcomes_in_order(CountedOutcomes(50 * i, 50, 20)) for i in range(4000)])
    assert orders.sum(axis=1).tolist() == [20] * 4000
    # 20 of 50 rows each; four and a half standard deviations of a share of 4,000.
    assert np.abs(orders.mean(axis=0) - 0.4).max() < 0.035
    neighbours = (orders[:, 1:] & orders[:, :-1]).mean()
    assert neighbours == pytest.approx(20 * 19 / (50 * 49), abs=0.005)


def test_refuses_impossible_counts() -> None:
    detector = OutcomeDetector(RunOfErrors)
    for size, errors in ((3, 4), (3, -1)):
        with pytest.raises(ValueError, match="errors"):
            detector.update(size, errors)
    assert detector.update(0, 0) == ()
    assert detector.snapshot == Snapshot()
    with pytest.raises(ValueError, match="horizon"):
        OutcomeDetector(RunOfErrors, horizon=0)
