"""The console's comparison of versions is the judge's: the same intervals, and the same end."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from driftsonde.adapters.clickhouse import Store
from driftsonde.console.comparison import MOST_ROWS, ArmsWindow, read_pairs, sequence_of, shown
from driftsonde.core.events import Variant
from driftsonde.core.judging import ModelState, compare_canary
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.reigns import Arm
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, CanaryRule, ModelSpec, Task
from driftsonde.core.window import WindowKey

RULE = CanaryRule()


def windows(count: int, accuracy: float, labelled: int = 60) -> list[ArmsWindow]:
    generator = np.random.default_rng(5)
    return [
        ArmsWindow(
            hour * HOUR_MS,
            (hour + 1) * HOUR_MS,
            400,
            int(generator.binomial(400, 0.9)),
            labelled,
            int(generator.binomial(labelled, accuracy)),
        )
        for hour in range(count)
    ]


def judged(plan: Plan, given: list[ArmsWindow]) -> tuple[float, float, int]:
    """The interval of the judge's rollback, and after how many windows it came; NaN where none came."""
    state = ModelState()
    for number, window in enumerate(given, 1):
        key = WindowKey(window.start_ms, "m", "2", Variant.CANARY, "")
        champion = Arm(window.champion_labelled, window.champion_correct)
        state, signals = compare_canary(state, key, plan, champion, Arm(window.labelled, window.correct))
        for signal in signals:
            assert signal.kind is SignalKind.ROLLBACK
            return signal.evidence[0].lower, signal.evidence[0].upper, number
    return np.nan, np.nan, len(given)


@pytest.mark.parametrize(("accuracy", "worse"), [(0.9, False), (0.6, True)])
def test_intervals_and_end_are_those_of_the_judge(accuracy: float, worse: bool) -> None:
    given = windows(40, accuracy)
    sequence = sequence_of(given, RULE)
    lower, upper, count = judged(
        plan_for(ModelSpec("m", Task.BINARY, classes=("0", "1")), None, "", "p"), given
    )
    assert len(sequence.n) == count
    assert bool(sequence.breached[-1]) is worse
    if worse:
        assert (sequence.lower[-1], sequence.upper[-1]) == (lower, upper)
        assert count < len(given)
    assert sequence.n[-1] == 60 * count


@pytest.mark.parametrize(
    ("count", "labelled", "accuracy", "said"),
    [
        (1, 40, 0.9, "40 of the 50 labelled rows"),
        (3, 60, 0.9, "Undecided"),
        (40, 60, 0.6, "asks for a rollback"),
        (600, 400, 0.9, "Not worse than the champion by more than 2.0 points"),
    ],
)
def test_the_sentence_says_what_the_interval_means(
    count: int, labelled: int, accuracy: float, said: str
) -> None:
    view = shown(sequence_of(windows(count, accuracy, labelled), RULE), RULE)
    assert said in view.sentence
    assert "accuracy" in str(view.chart.plot)
    assert len(view.rows) <= MOST_ROWS


def test_a_long_comparison_is_drawn_by_the_last_of_each_cell() -> None:
    sequence = sequence_of(windows(600, 0.9), RULE)
    view = shown(sequence, RULE)
    assert f"n {int(sequence.n[-1]):,}" in str(view.chart.plot)
    assert view.labelled == sequence.n[-1]


class PairedStore(Store):
    """Answers with the rows of the metric that it is asked for."""

    def __init__(self, rows: list[tuple[object, ...]]) -> None:
        self.rows = rows

    def query_rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        assert params is not None
        return self.rows if params["metric"] == "paired_accuracy_difference" else []


def test_pairs_are_shown_as_the_judge_saw_them() -> None:
    rows = [
        (hour * HOUR_MS, (hour + 1) * HOUR_MS, 40 * (hour + 1), -0.1, -0.2, 0.1 - hour / 10, -0.02)
        for hour in range(3)
    ]
    pairs = read_pairs(PairedStore([*rows]), "m", "2", RULE)
    assert pairs is not None
    assert pairs.n.tolist() == [40, 80, 120]
    assert pairs.breached.tolist() == [False, False, True]
    assert "asks for a rollback" in shown(pairs, RULE).sentence
    assert read_pairs(PairedStore([]), "m", "2", RULE) is None
