"""Detectors over windows: alarms are told with the window, and their state survives a restart as the model's does."""

import numpy as np

from driftsonde.adapters.detector_names import installed_detectors
from driftsonde.core.detecting import detect, detectors_of
from driftsonde.core.judging import ModelState
from driftsonde.core.reigns import Arm
from driftsonde.core.statistics.detectors import OutcomeDetector
from driftsonde.core.verdict import Metric
from driftsonde.judge.storage import decode_state, encode_state

NAMES = ("adwin", "page_hinkley")


def arms() -> list[Arm]:
    rng = np.random.default_rng(3)
    return [Arm(200, int(rng.binomial(200, right))) for right in np.repeat([0.9, 0.6], 12)]


def run(restarts: bool) -> tuple[ModelState, list[list[Metric]]]:
    build = installed_detectors()
    assert build is not None
    state, standing, told = ModelState(), dict[tuple[str, str], OutcomeDetector](), list[list[Metric]]()
    for arm in arms():
        if restarts:
            state, standing = decode_state(encode_state(state)), {}
        state, metrics = detect(state, standing, build, "1", NAMES, arm)
        told.append(metrics)
    return state, told


def test_a_change_is_told_with_its_window_once_and_nothing_is_ever_breached() -> None:
    _, told = run(restarts=False)
    alarms = {name: [metrics[place].value for metrics in told] for place, name in enumerate(NAMES)}
    for name in NAMES:
        assert sum(alarms[name][:12]) == 0
        assert 1 <= sum(alarms[name][12:]) <= 3
    assert {metric.name for metrics in told for metric in metrics} == {"alarms_adwin", "alarms_page_hinkley"}
    assert not any(metric.breached for metrics in told for metric in metrics)
    assert {metric.n for metrics in told for metric in metrics} == {200}


def test_restarts_change_nothing() -> None:
    assert run(restarts=True) == run(restarts=False)


def test_corrections_that_leave_odd_counts_are_cut_to_the_rows() -> None:
    build = installed_detectors()
    assert build is not None
    for arm in (Arm(5, 9), Arm(5, -2)):
        _, (metric,) = detect(ModelState(), {}, build, "1", ("adwin",), arm)
        assert (metric.n, metric.value) == (5, 0.0)


def test_the_state_of_versions_that_left_is_dropped() -> None:
    state, _ = run(restarts=False)
    assert detectors_of(state.detectors, ["1"]) == state.detectors
    assert detectors_of(state.detectors, ["2"]) == {}
