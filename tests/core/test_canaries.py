"""The evidence on which a rollout goes on."""

from dataclasses import replace

import pytest

from driftsonde.core.canaries import support
from driftsonde.core.contest import Comparison
from driftsonde.core.events import Variant
from driftsonde.core.judging import ModelState, compare_canary
from driftsonde.core.plan import plan_for
from driftsonde.core.reigns import Arm
from driftsonde.core.signals import Rule, SignalKind
from driftsonde.core.spec import CanaryRule, ModelSpec, Policy, Task
from driftsonde.core.statistics.anytime import mean_difference_sequence
from driftsonde.core.window import WindowKey

WINDOW_MS = 1_000
SPEC = ModelSpec("m", Task.BINARY, window_ms=WINDOW_MS, policy=Policy(canary=CanaryRule(margin=0.1)))
PLAN = plan_for(SPEC, None, "", "policy")


def key(number: int, variant: Variant = Variant.CANARY) -> WindowKey:
    return WindowKey(number * WINDOW_MS, "m", "2", variant, "")


def after(champion: Arm, canary: Arm, rolled_back: bool = False) -> ModelState:
    return ModelState(comparisons={"2": Comparison(5_000, champion, canary, rolled_back)})


@pytest.mark.parametrize("variant", [Variant.CANARY, Variant.SHADOW])
def test_support_comes_with_every_window_from_the_first_whose_interval_lies_above_the_margin(
    variant: Variant,
) -> None:
    state, supported = ModelState(), []
    for number in range(40):
        state, worse = compare_canary(state, key(number, variant), PLAN, Arm(100, 90), Arm(50, 45))
        assert worse == []
        supported += support(state, key(number, variant), PLAN)
    lowers = [mean_difference_sequence(100 * n, 90 * n, 50 * n, 45 * n, 0.05).lower for n in range(1, 41)]
    first = next(number for number, lower in enumerate(lowers) if lower > -0.1)
    assert [signal.window_start_ms // WINDOW_MS for signal in supported] == list(range(first, 40))
    assert 1 < first < 39
    assert len({signal.id for signal in supported}) == len(supported)
    signal = supported[0]
    assert (signal.kind, signal.rule, signal.version, signal.variant) == (
        SignalKind.PROMOTE,
        Rule.CANARY,
        "2",
        variant,
    )
    (evidence,) = signal.evidence
    assert (evidence.n, evidence.threshold, evidence.lower) == (50 * (first + 1), -0.1, lowers[first])
    assert evidence.value == 0


def test_a_version_within_the_margin_but_not_surely_is_not_supported() -> None:
    assert support(after(Arm(5_000, 4_500), Arm(5_000, 4_050)), key(9), PLAN) == []
    assert len(support(after(Arm(5_000, 4_500), Arm(5_000, 4_400)), key(9), PLAN)) == 1


def test_nothing_is_supported_without_labels_or_after_a_rollback() -> None:
    tolerant = replace(PLAN, spec=replace(SPEC, policy=Policy(canary=CanaryRule(margin=1.0, min_labels=50))))
    assert support(ModelState(), key(9), tolerant) == []
    assert support(after(Arm(), Arm(500, 500)), key(9), tolerant) == []
    assert support(after(Arm(500, 500), Arm(49, 49)), key(9), tolerant) == []
    assert len(support(after(Arm(500, 500), Arm(50, 50)), key(9), tolerant)) == 1
    assert support(after(Arm(500, 500), Arm(50, 50), rolled_back=True), key(9), tolerant) == []
