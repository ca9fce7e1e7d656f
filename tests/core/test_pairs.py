"""Pairs of champion and shadow: which there are, what they count, and what follows for a rollout."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from driftsonde.core.canaries import support
from driftsonde.core.contest import (
    DIFFERENCE,
    PAIRED_DIFFERENCE,
    PAIRED_ERROR,
    Comparison,
    differences,
    pairs_from,
    window_numbers,
)
from driftsonde.core.events import Floats, Variant
from driftsonde.core.join import NO_LABEL_TIME_MS, Entries, JoinedPairs, Stream, apply_and_pair
from driftsonde.core.judging import ModelState
from driftsonde.core.pairs import NO_PAIRS, Pairs, pairs_layout, pairs_of, sketch_pairs
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.reigns import Arm
from driftsonde.core.signals import Signal
from driftsonde.core.sketch import add
from driftsonde.core.spec import CanaryRule, ModelSpec, Policy, Task
from driftsonde.core.versions import compare_versions
from driftsonde.core.window import WindowKey

CHAMPION, SHADOW = Stream("m", "1", Variant.CHAMPION), Stream("m", "2", Variant.SHADOW)
RULE = CanaryRule(margin=0.02, alpha=0.05, min_labels=50)


def plan(task: Task) -> Plan:
    return plan_for(ModelSpec("m", task, window_ms=1_000, policy=Policy(canary=RULE)), None, "", "policy")


def entries(stream: Stream, predictions: list[float], ids: str) -> Entries:
    rows = len(predictions)
    return Entries(
        stream,
        tuple(ids),
        np.arange(rows, dtype=np.int64) * 1_000,
        np.array(predictions),
        np.full(rows, np.nan),
        np.zeros((0, rows), dtype=np.int32),
        ("",),
        0,
        np.full(rows, np.nan),
        np.full(rows, NO_LABEL_TIME_MS, dtype=np.int64),
    )


def changes(found: list[tuple[Entries, int, float, int]]) -> list[tuple[float, float, float, int]]:
    _, paired = apply_and_pair(found)
    return [
        row
        for one in paired
        for row in zip(
            one.champion_predictions.tolist(),
            one.predictions.tolist(),
            one.labels.tolist(),
            one.signs.tolist(),
            strict=True,
        )
    ]


def test_a_pair_is_there_once_both_carry_the_label_and_a_correction_takes_it_out_first() -> None:
    champion, shadow = entries(CHAMPION, [1.0, 0.0], "ab"), entries(SHADOW, [0.0, 0.0], "ab")
    assert changes([(champion, 0, 1.0, 5)]) == []  # the shadow's row is not there yet
    assert changes([(champion, 0, 1.0, 5), (shadow, 0, 1.0, 5)]) == [(1.0, 0.0, 1.0, 1)]
    assert changes([(champion, 0, 1.0, 5), (shadow, 0, 1.0, 5)]) == []  # again
    assert changes([(champion, 0, 1.0, 4), (shadow, 0, 1.0, 4)]) == []  # an older one
    corrected = changes([(champion, 0, 0.0, 6), (shadow, 0, 0.0, 6)])
    assert corrected == [(1.0, 0.0, 1.0, -1), (1.0, 0.0, 0.0, 1)]
    # Two labels in one message: only what they come to counts.
    places = [(champion, 1), (shadow, 1)]
    twice = changes([(*place, label, 5 + n) for n, label in enumerate((1.0, 0.0)) for place in places])
    assert twice == [(0.0, 0.0, 0.0, 1)]


def test_a_canary_and_an_unlabelled_champion_make_no_pair() -> None:
    canary = entries(Stream("m", "2", Variant.CANARY), [1.0], "a")
    assert changes([(entries(CHAMPION, [1.0], "a"), 0, 1.0, 5), (canary, 0, 1.0, 5)]) == []
    silent, shadow = entries(CHAMPION, [np.nan], "a"), entries(SHADOW, [1.0], "a")
    assert changes([(silent, 0, 1.0, 5), (shadow, 0, 1.0, 5)]) == []


def joined(champion: Floats, shadow: Floats, labels: Floats, signs: Sequence[int] = ()) -> JoinedPairs:
    n = len(labels)
    times = np.zeros(n, dtype=np.int64)
    return JoinedPairs(SHADOW, times, champion, shadow, labels, np.array(signs or [1] * n, dtype=np.int64))


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_counts_and_sums_are_those_of_the_rows_merged_in_any_grouping(task: Task) -> None:
    rng = np.random.default_rng(1)
    layout, n = plan(task).outcomes, 300
    values = rng.integers(0, 3, (3, n)).astype(float) if task is Task.BINARY else rng.normal(size=(3, n))
    champion, shadow, labels = values
    whole = pairs_of(sketch_pairs(layout, joined(*values), np.zeros(n, dtype=np.int64), 1)[0])
    parts = sketch_pairs(layout, joined(*values), rng.integers(0, 4, n), 4)
    merged = pairs_of(add(add(parts[3], parts[1]), add(parts[0], parts[2])))
    assert (merged.n, merged.only_champion, merged.only_challenger) == (
        whole.n,
        whole.only_champion,
        whole.only_challenger,
    )
    assert merged.sums == pytest.approx(whole.sums)
    assert whole.n == n
    if task is Task.BINARY:  # two values outside the classes count as wrong
        right, other = (champion == labels) & (labels < 2), (shadow == labels) & (labels < 2)
        assert (whole.only_champion, whole.only_challenger) == (
            (right & ~other).sum(),
            (other & ~right).sum(),
        )
    else:
        c, s = np.abs(champion - labels), np.abs(shadow - labels)
        assert whole.sums == pytest.approx([c.sum(), s.sum(), (c * c).sum(), (c * s).sum(), (s * s).sum()])
    there = [np.concatenate([v, v]) for v in values]
    out = joined(there[0], there[1], there[2], [1] * n + [-1] * n)
    assert pairs_of(sketch_pairs(layout, out, np.zeros(2 * n, dtype=np.int64), 1)[0]).n == 0
    assert pairs_layout(layout) != layout.fingerprint


def key(number: int, stream: Stream) -> WindowKey:
    return WindowKey(number * 1_000, "m", stream.version, stream.variant, "")


def rollout(
    windows: int, arms: tuple[Arm, Arm], pairs: Pairs, task: Task = Task.BINARY
) -> tuple[ModelState, list[Signal]]:
    state, signals, plans = ModelState(), list[Signal](), dict.fromkeys(("1", "2"), plan(task))
    for number in range(windows):
        champion, shadow = key(number, CHAMPION), key(number, SHADOW)
        state, said = compare_versions(
            state, {champion: arms[0], shadow: arms[1]}, plans, {shadow: pairs, champion: NO_PAIRS}
        )
        signals.extend(said)
    return state, signals


def test_pairs_decide_sooner_than_all_rows_in_both_directions() -> None:
    """900 and 870 of 1,000 right; in pairs on 50 rows only the champion is, on 20 only the shadow."""
    for first, second, kind in ((50, 20, "rollback"), (5, 5, "promote")):
        arms = Arm(1_000, 900), Arm(1_000, 900 - first + second)
        paired, unpaired = (
            next((n for n in range(1, 40) if rollout(n, arms, pairs)[1]), 40)
            for pairs in (Pairs(1_000, first, second), NO_PAIRS)
        )
        assert paired < unpaired / 3
        _, signals = rollout(paired, arms, Pairs(1_000, first, second))
        (signal,) = signals
        assert signal.kind.value == kind
        assert [evidence.statistic for evidence in signal.evidence] == [PAIRED_DIFFERENCE]


def test_half_of_alpha_each_where_there_are_pairs_and_all_of_it_for_all_rows_where_not() -> None:
    with_pairs = Comparison(0).plus(Arm(500, 450), Arm(500, 440), Pairs(400, 10, 5))
    both = {metric.name: metric for metric in differences(with_pairs, RULE)}
    assert set(both) == {DIFFERENCE, PAIRED_DIFFERENCE}
    halved = replace(RULE, alpha=RULE.alpha / 2)
    (alone,) = differences(Comparison(0).plus(Arm(500, 450), Arm(500, 440), NO_PAIRS), halved)
    assert both[DIFFERENCE] == alone
    late = Comparison(0).plus(Arm(9, 9), Arm(9, 9), NO_PAIRS).plus(Arm(9, 9), Arm(9, 9), Pairs(9, 0, 0))
    assert late.pairs is None
    assert [metric.name for metric in differences(late, RULE)] == [DIFFERENCE]


def test_a_regression_is_compared_by_the_error_of_both_on_the_same_rows() -> None:
    rng = np.random.default_rng(2)
    layout, n = plan(Task.REGRESSION).outcomes, 2_000
    labels = rng.normal(size=n)
    noise = rng.normal(size=n)
    for factor, kind in ((1.2, "rollback"), (1.0, "promote"), (0.9, "promote")):
        pair = joined(labels + noise, labels + factor * noise, labels)
        pairs = pairs_of(sketch_pairs(layout, pair, np.zeros(n, dtype=np.int64), 1)[0])
        state, signals = rollout(1, (Arm(), Arm()), pairs, Task.REGRESSION)
        (signal,) = signals
        assert signal.kind.value == kind
        (evidence,) = signal.evidence
        assert evidence.statistic == PAIRED_ERROR
        assert evidence.value == pytest.approx(float(np.abs(noise).mean()) * (1 - factor))
        assert evidence.lower <= evidence.value <= evidence.upper
        assert evidence.threshold == pytest.approx(-0.02 * float(np.abs(noise).mean()))
        assert (support(state, key(1, SHADOW), plan(Task.REGRESSION)) == []) == (kind == "rollback")


def test_a_regression_s_comparison_goes_with_its_shadow() -> None:
    pairs = Pairs(100, sums=(50.0, 50.0, 40.0, 30.0, 40.0))
    state, _ = rollout(1, (Arm(), Arm()), pairs, Task.REGRESSION)
    assert set(state.comparisons) == {"2"}
    plans = {"1": plan(Task.REGRESSION)}
    for number in range(1, 60):
        state, _ = compare_versions(state, {key(number, CHAMPION): Arm()}, plans)
    assert state.comparisons == {}


@pytest.mark.parametrize(
    ("pairs", "regression"),
    [
        (Pairs(200, 30, 10), False),
        (Pairs(7, 0, 7), False),
        (NO_PAIRS, False),
        (Pairs(40, sums=(30.0, 10.0, 50.0, 20.0, 10.0)), True),
        (NO_PAIRS, True),
    ],
)
def test_pairs_can_be_had_again_from_a_windows_numbers(pairs: Pairs, regression: bool) -> None:
    again = pairs_from({metric.name: metric for metric in window_numbers(pairs, regression, 0.95)})
    assert replace(again, sums=()) == replace(pairs, sums=())
    assert again.sums == pytest.approx(pairs.sums)
    assert pairs_from({}) == NO_PAIRS


def test_numbers_of_a_window_are_those_of_its_rows() -> None:
    difference, disagreement = window_numbers(Pairs(200, 30, 10), False, 0.95)
    assert (difference.name, difference.value, difference.n) == ("paired_difference", -0.1, 200)
    assert difference.lower < -0.1 < difference.upper < 0
    assert disagreement.value == 0.2
    error, *sizes = window_numbers(Pairs(2, sums=(3.0, 1.0, 5.0, 2.0, 1.0)), True, 0.95)
    assert error.value == 1.0
    assert [size.value for size in sizes] == pytest.approx([1.5, 0.5, 2.5**0.5, 0.5**0.5, 1.0])
    assert np.isnan(window_numbers(NO_PAIRS, False, 0.95)[0].value)
