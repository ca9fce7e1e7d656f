"""What to do follows from the cause, and a version made during an incident that went back is named."""

import math
from dataclasses import replace

import numpy as np
import pytest

from console_desk import CATALOGUE
from control_examples import after, setting, signal
from driftsonde.console.advising import advice
from driftsonde.console.incidents import Case, cases_of
from driftsonde.console.stories import Ranked
from driftsonde.core.baseline import CategoricalReference, Lineage, NumericReference
from driftsonde.core.control.inputs import Input, Registered
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.state import State
from driftsonde.core.events import Role, Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS
from driftsonde.core.verdict import ColumnCounts


def said(rule: Rule, column: str, statistic: str, value: float, threshold: float) -> Signal:
    entry = Evidence(0, HOUR_MS, column, statistic, value, threshold, math.nan, math.nan, 1_000)
    return replace(signal(SignalKind.ALERT, rule=rule), evidence=(entry,))


def cases(*events: Input) -> tuple[State, list[Case]]:
    state, _ = after(State(), [*events], setting())
    return state, cases_of(state, CATALOGUE)


def numeric(mean: float, low: float, high: float) -> ColumnCounts:
    """Around 96.2 in the baseline, and around `mean` as much narrower as it is smaller."""
    sums = (9_620.0, 926_600.0, 80.0, 110.0)
    before = NumericReference("f3", Role.FEATURE, np.array([80.0, 110.0]), np.array([0, 100, 0, 0]), *sums)
    spread = 3.4 * mean / 96.2
    squares = 100 * (mean * mean + spread * spread)
    return ColumnCounts(before, np.array([100, 0, 0, 0]), 100 * mean, squares, low, high)


UNIT = numeric(4.01, 3.3, 4.6)
SHIFTED = numeric(76.0, 60.0, 88.0)
COUNTRY = CategoricalReference("country", Role.FEATURE, ("AT",), np.array([999, 0, 1]))


@pytest.mark.parametrize(
    ("event", "column", "words"),
    [
        (said(Rule.DRIFT, "f3", "psi", 6.8, 0.2), UNIT, "Retraining would learn the wrong unit"),
        (said(Rule.DRIFT, "f3", "psi", 6.8, 0.2), SHIFTED, "whether the change is real"),
        (said(Rule.DRIFT, "f3", "psi", 6.8, 0.2), None, "whether the change is real"),
        (
            said(Rule.DRIFT, "country", "psi", 1.0, 0.2),
            ColumnCounts(COUNTRY, np.array([500, 500, 0])),
            "its new categories are real",
        ),
        (said(Rule.QUALITY, "f3", "missing_rate", 0.4, 0.1), None, "why its values stopped coming"),
        (said(Rule.QUALITY, "", "volume_ratio", 0.1, 0.5), None, "whoever sends the rows"),
        (said(Rule.CANARY, "", "accuracy_difference", -0.2, -0.02), None, "Take version 1 back"),
    ],
)
def test_advice_follows_the_cause(event: Signal, column: ColumnCounts | None, words: str) -> None:
    state, found = cases(event)
    columns = {column.reference.name: column} if column else {}
    assert words in advice(found[0], found, state, columns, ())


def test_a_loss_has_the_remedy_of_the_input_that_moved_or_of_none() -> None:
    state, found = cases(said(Rule.PERFORMANCE, "", "accuracy", 0.8, 0.9))
    moved, still = Ranked("f3", 4.0, 0.2, True), Ranked("f3", 0.1, 0.2, False)
    assert "wrong unit" in advice(found[0], found, state, {"f3": UNIT}, [moved])
    assert "check the labels" in advice(found[0], found, state, {"f3": UNIT}, [still])
    assert advice(found[0], found, state, {}, ()) == ""


def test_what_is_over_needs_nothing_unless_a_version_was_made_of_it() -> None:
    over = (signal(SignalKind.ALERT), signal(SignalKind.RESOLVE, hour=9))
    state, found = cases(*over)
    assert advice(found[0], found, state, {}, ()) == ""

    made = Registration(0, lineage=Lineage("archive", "f00d", 2 * HOUR_MS, 4 * HOUR_MS))
    later = signal(SignalKind.ALERT, "c1", 50, version="2", variant=Variant.CANARY, rule=Rule.CANARY)
    state, found = cases(*over, Registered("fraud", "2", made), replace(later, since_ms=50 * HOUR_MS))
    second, first = found
    assert "version 2 is of rows from this incident" in advice(first, found, state, {}, ())
    assert advice(second, found, state, {}, ()).startswith(
        "The baseline of version 2 is of rows from an incident whose cause went back since (amount changed"
    )
    before = Registration(0, lineage=Lineage("archive", "f00d", -4 * HOUR_MS, -2 * HOUR_MS))
    state, found = cases(*over, Registered("fraud", "2", before))
    assert advice(found[0], found, state, {}, ()) == ""
