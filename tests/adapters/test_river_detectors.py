"""River's detectors behind counts, against river itself row by row."""

from collections.abc import Callable

import numpy as np
import pytest

from driftsonde.adapters.river_detectors import DETECTORS, river_detector
from driftsonde.core.statistics.detectors import CountedOutcomes, OutcomeDetector, outcomes_in_order

NAMES = pytest.mark.parametrize("name", sorted(DETECTORS))


def batches(name: str) -> list[tuple[int, int]]:
    """Windows of 50 rows: .1 wrong, then .5, .1 and .6 again, several alarms in all. KSWIN is slow: fewer rows."""
    rng = np.random.default_rng(1)
    windows = 4 if name == "kswin" else 30
    return [(50, int(rng.binomial(50, p))) for p in np.repeat([0.1, 0.5, 0.1, 0.6], windows)]


@NAMES
def test_alarms_are_rivers_row_by_row_over_restarts(name: str) -> None:
    plain = DETECTORS[name](**({"seed": 0} if name == "kswin" else {}))
    detector, seen = OutcomeDetector(river_detector(name)), 0
    expected: list[int] = []
    found: list[int] = []
    for rows, errors in batches(name):
        for place, wrong in enumerate(outcomes_in_order(CountedOutcomes(seen, rows, errors)).tolist()):
            plain.update(wrong)
            if plain.drift_detected:
                expected.append(seen + place)
        detector = OutcomeDetector(river_detector(name), snapshot=detector.snapshot)
        found.extend(detector.update(rows, errors))
        seen += rows
    assert found == expected
    assert found


def test_parameters_reach_river() -> None:
    def alarms(build: Callable[[], object]) -> int:
        detector = OutcomeDetector(build)  # type: ignore[arg-type]
        return sum(len(detector.update(rows, errors)) for rows, errors in batches("page_hinkley"))

    assert alarms(river_detector("page_hinkley", threshold=5.0)) > alarms(river_detector("page_hinkley"))


def test_refuses_other_names_and_parameters() -> None:
    with pytest.raises(ValueError, match="adwin"):
        river_detector("adwim")
    with pytest.raises(ValueError, match="parameters"):
        river_detector("adwin", depth=3.0)
