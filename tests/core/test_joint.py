"""Many columns together: the sketch against the rows, what a window says, and the signal that comes of it."""

from dataclasses import replace

import numpy as np
import pytest

from driftsonde.adapters.specs import baseline_from_json, baseline_to_json, spec_from_json, spec_to_json
from driftsonde.core.baseline import Joint
from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.events import Column, Floats, PredictionBatch, Variant
from driftsonde.core.joint import joint_bins, moments_of, sketch_joint, unpacked
from driftsonde.core.joint_numbers import RECONSTRUCTION, SHIFT, judge_joint, usual_reconstruction
from driftsonde.core.judging import INPUT_RULES, JudgedWindow, ModelState, apply_rules
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.sketch import add
from driftsonde.core.spec import Budget, ModelSpec, MultivariateRule, Policy, Task
from driftsonde.core.statistics.multivariate import (
    Standard,
    mahalanobis_shift,
    means_of,
    principal_axes,
    reconstruction_error,
    second_moments,
)
from driftsonde.core.window import WindowKey
from driftsonde.judge.storage import decode_state, encode_state
from stream_examples import categorical, numeric

D = 6
NAMES = [f"x{n}" for n in range(D)]
RULE = MultivariateRule(columns=("*",))
SPEC = ModelSpec(
    "m", Task.BINARY, window_ms=60_000, policy=Policy(multivariate=RULE, budget=Budget(learning_windows=12))
)


def rows(rng: np.random.Generator, n: int, broken: bool = False) -> Floats:
    """Two causes behind six columns, some values missing. broken: the relation of the last two has turned around."""
    causes = rng.normal(size=(n, 2))
    values = causes[:, [0, 0, 0, 1, 1, 1]] + 0.4 * rng.normal(size=(n, D))
    if broken:
        values[:, 5] *= -1
    values[rng.random((n, D)) < 0.02] = np.nan
    return values * np.arange(1, D + 1) + 100


def columns(values: Floats) -> tuple[Column, ...]:
    named = [numeric(name, values[:, n].tolist()) for n, name in enumerate(NAMES)]
    return (*named, categorical("colour", ["red"] * len(values)))


def plan_of(spec: ModelSpec = SPEC, n: int = 4_000) -> Plan:
    times = np.arange(-n, 0, dtype=np.int64)
    baseline = build_baseline(
        spec, "1", ReferenceRows(times, columns(rows(np.random.default_rng(0), n))), "a test"
    )
    return plan_for(spec, baseline, "b", "policy")


PLAN = plan_of()


def joint(plan: Plan = PLAN) -> Joint:
    assert plan.joint is not None
    return plan.joint


def batch(values: Floats) -> PredictionBatch:
    n = len(values)
    return PredictionBatch(
        "m", "1", Variant.CHAMPION, ("",) * n, np.zeros(n, dtype=np.int64), columns(values)
    )


def test_it_is_opt_in() -> None:
    off = plan_of(replace(SPEC, policy=Policy()))
    assert off.joint is None
    assert off.baseline is not None
    assert "joint" not in baseline_to_json(off.baseline)
    assert joint(
        plan_of(replace(SPEC, policy=Policy(multivariate=MultivariateRule(("x2", "x0")))))
    ).columns == (
        "x0",
        "x2",
    )


def test_documents_give_back_what_they_were_made_of() -> None:
    assert PLAN.baseline is not None
    text = baseline_to_json(PLAN.baseline)
    assert baseline_to_json(baseline_from_json(text)) == text
    assert spec_from_json(spec_to_json(SPEC)) == SPEC


def test_a_sketch_is_the_moments_of_the_rows_in_any_grouping() -> None:
    rng = np.random.default_rng(1)
    values = rows(rng, 500)
    whole = second_moments(Standard(joint().centre, joint().spread), values)
    parts = sketch_joint(joint(), [batch(values[:200]), batch(values[200:])], rng.integers(0, 3, 500), 3)
    merged = add(add(parts[2], parts[0]), parts[1])
    assert len(merged.counts) == joint_bins(D)
    back = unpacked(merged.counts, D)
    assert (back.rows, back.present.tolist(), back.sums.tolist()) == (
        500,
        whole.present.tolist(),
        whole.sums.tolist(),
    )
    assert np.array_equal(back.products, whole.products)


def numbers(values: Floats, judged: bool = True) -> dict[tuple[str, str], tuple[float, float, bool]]:
    (sketch,) = sketch_joint(joint(), [batch(values)], np.zeros(len(values), dtype=np.int64), 1)
    told = judge_joint(joint(), sketch, RULE, 0.01, judged)
    return {(m.name, m.column): (m.value, m.threshold, m.breached) for m in told}


def test_numbers_are_those_of_the_statistics_and_shares_add_up_to_one() -> None:
    values = rows(np.random.default_rng(2), 800)
    now = second_moments(Standard(joint().centre, joint().spread), values)
    before = moments_of(joint())
    told = numbers(values)
    assert told[SHIFT, ""][0] == mahalanobis_shift(before, now).distance
    error = reconstruction_error(principal_axes(before), now, means_of(before))
    assert told[RECONSTRUCTION, ""][0] == error.value
    for name in ("mahalanobis_share", "reconstruction_share"):
        assert sum(told[name, column][0] for column in NAMES) == pytest.approx(1)


def test_the_deviation_of_the_residual_is_that_of_the_baseline_s_rows() -> None:
    """By drawing: the mean squared residual of samples of n rows varies by it over sqrt(n)."""
    rng, n = np.random.default_rng(3), 400
    errors = [numbers(rows(rng, n))[RECONSTRUCTION, ""][0] ** 2 for _ in range(60)]
    assert np.std(errors) * np.sqrt(n) == pytest.approx(joint().residual_deviation, rel=0.3)
    assert np.mean(errors) == pytest.approx(usual_reconstruction(joint()) ** 2, rel=0.05)


def test_a_broken_relation_is_seen_that_no_column_shows_by_itself_and_a_shift_by_the_other_number() -> None:
    rng = np.random.default_rng(4)
    healthy, broken = numbers(rows(rng, 1_000)), numbers(rows(rng, 1_000, broken=True))
    moved = rows(rng, 1_000)
    moved[:, 1] += 2.0  # one standard deviation
    shifted = numbers(moved)
    assert [name for (name, _), (*_, breached) in healthy.items() if breached] == []
    assert broken[RECONSTRUCTION, ""][2]
    assert max(NAMES, key=lambda c: broken["reconstruction_share", c][0]) == "x5"
    assert shifted[SHIFT, ""][2]
    assert max(NAMES, key=lambda c: shifted["mahalanobis_share", c][0]) == "x1"
    assert not numbers(moved, judged=False)[SHIFT, ""][2]


def test_few_rows_need_more_than_the_practical_bar() -> None:
    rng = np.random.default_rng(5)
    few = [numbers(rows(rng, 20)) for _ in range(40)]
    assert np.mean([one[SHIFT, ""][0] > RULE.shift for one in few]) > 0.3
    assert sum(one[SHIFT, ""][2] for one in few) <= 2


def watch(
    windows: list[Floats], state: ModelState | None = None, start: int = 0
) -> tuple[ModelState, list[Signal]]:
    state, signals = state or ModelState(), list[Signal]()
    for number, values in enumerate(windows, start):
        (sketch,) = sketch_joint(joint(), [batch(values)], np.zeros(len(values), dtype=np.int64), 1)
        told = tuple(judge_joint(joint(), sketch, RULE, 0.01, judged=True))
        key = WindowKey(number * 60_000, "m", "1", Variant.CHAMPION, "")
        state, said = apply_rules(state, [JudgedWindow(key, PLAN, told)], INPUT_RULES)
        signals.extend(said)
        assert decode_state(encode_state(state)).episodes == state.episodes
    return decode_state(encode_state(state)), signals


def test_an_episode_of_its_own_begins_and_ends_with_the_columns_ranked() -> None:
    rng = np.random.default_rng(6)
    state, signals = watch([rows(rng, 500) for _ in range(30)])
    assert signals == []
    assert state.watch.joint["1"].learned == 12
    state, signals = watch([rows(rng, 500, broken=True) for _ in range(6)], state, 30)
    assert [(s.rule, s.kind) for s in signals] == [(Rule.MULTIVARIATE, SignalKind.ALERT)]
    (alert,) = signals
    assert alert.evidence[0].statistic == RECONSTRUCTION
    shares = [e for e in alert.evidence if e.statistic.endswith("share")]
    assert shares[0].column == "x5"
    assert [e.value for e in shares] == sorted((e.value for e in shares), reverse=True)
    _, signals = watch([rows(rng, 500) for _ in range(8)], state, 36)
    assert [(s.rule, s.kind) for s in signals] == [(Rule.MULTIVARIATE, SignalKind.RESOLVE)]


def test_while_it_learns_a_window_far_off_alarms_by_its_bars_and_is_not_learned() -> None:
    rng = np.random.default_rng(7)
    state, signals = watch([rows(rng, 500), rows(rng, 500, broken=True)])
    assert [s.kind for s in signals] == [SignalKind.ALERT]
    assert state.watch.joint["1"].learned == 1
