"""What becomes of the version that a retraining registers."""

from dataclasses import replace

import pytest

from control_examples import CANARY_SPLIT, after, setting, signal
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.inputs import AutomationChange, Found, Input, Outcome, Setting
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.state import Effect, State, fold, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.origin import Origin
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import ActionPolicy, Mode, PromotionRule, StageRule

ONLY_1 = (Share("1", Variant.CHAMPION, 1.0),)
ORIGIN = Origin("mlflow models:/fraud/2")


def policy(promote: Mode, registry: bool = True) -> Setting:
    actions = ActionPolicy(retrain=Mode.AUTO, promote=promote)
    governed = replace(setting(), governance=lambda _: Governance(actions, "p1"))
    return replace(governed, registry_configured=registry)


def action(state: State) -> Effect:
    (found,) = (effect for effect in state.pending() if effect.action)
    return found


def retrained(
    split: tuple[Share, ...], rules: Setting, before: list[Input] | None = None
) -> tuple[State, list[Decision]]:
    """A retraining that is done, and the version that was found then; its decisions but the notices."""
    state = with_traffic(State(), Traffic("fraud", split, 1, "d0"))
    state, first = after(state, [*(before or []), signal(SignalKind.RETRAIN)], rules)
    state, second = after(state, [Outcome(action(state), "", 1)], rules)
    if not rules.registry_configured:
        return state, [*first, *second]
    search = action(state)
    state, third = after(state, [Found(search, "2", ORIGIN), Found(search, "2", ORIGIN)], rules)
    state, fourth = after(state, [Outcome(search, "", 1)], rules)
    return state, [*first, *second, *third, *fourth]


def kinds(decisions: list[Decision]) -> list[tuple[Kind, Step]]:
    return [(entry.kind, entry.step) for entry in decisions]


CANDIDATE = [
    (Kind.RETRAIN, Step.DECIDED),
    (Kind.RETRAIN, Step.PERFORMED),
    (Kind.CANDIDATE, Step.DECIDED),
    (Kind.CANDIDATE, Step.STARTED),
    (Kind.REGISTER, Step.DECIDED),
    (Kind.CANDIDATE, Step.PERFORMED),
]


def test_a_policy_that_promotes_by_itself_rolls_it_out() -> None:
    state, decisions = retrained(ONLY_1, policy(Mode.AUTO))
    assert kinds(decisions) == [*CANDIDATE, (Kind.ROLLOUT, Step.DECIDED)]
    rollout = state.model("fraud").rollout
    assert rollout is not None
    assert rollout.version == "2"
    assert fold(with_traffic(State(), Traffic("fraud", ONLY_1, 1, "d0")), decisions) == state


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_any_other_policy_leaves_it_to_a_person(mode: Mode) -> None:
    assert kinds(retrained(ONLY_1, policy(mode))[1]) == CANDIDATE


def test_where_another_is_on_its_way_it_waits() -> None:
    assert kinds(retrained(CANARY_SPLIT, policy(Mode.AUTO))[1]) == CANDIDATE


@pytest.mark.parametrize(
    ("asked", "followed"),
    [
        (PromotionRule(staging=StageRule(known=("owner",))), [Kind.STAGE, Kind.ROLLOUT]),
        (
            PromotionRule(staging=StageRule(known=("owner",)), production=StageRule(baseline=True)),
            [Kind.STAGE],
        ),
        (PromotionRule(staging=StageRule(approvals=("approver",))), []),
        (PromotionRule(production=StageRule(known=("owner",))), [Kind.ROLLOUT]),
    ],
)
def test_it_goes_as_far_as_the_criteria_let_it(asked: PromotionRule, followed: list[Kind]) -> None:
    actions = ActionPolicy(retrain=Mode.AUTO, promote=Mode.AUTO)
    governance = Governance(actions, "p1", owner="ann", promotion=asked)
    rules = replace(policy(Mode.AUTO), governance=lambda _: governance)
    _, decisions = retrained(ONLY_1, rules)
    assert kinds(decisions) == [*CANDIDATE, *((kind, Step.DECIDED) for kind in followed)]


def test_where_automation_is_stopped_it_waits() -> None:
    rules = policy(Mode.AUTO)
    state = with_traffic(State(), Traffic("fraud", ONLY_1, 1, "d0"))
    state, _ = after(state, [signal(SignalKind.RETRAIN)], rules)
    state, _ = after(state, [Outcome(action(state), "", 1)], rules)
    search = action(state)
    stopped: list[Input] = [AutomationChange("fraud", True, "ann"), Found(search, "2", ORIGIN)]
    state, _ = after(state, stopped, rules)
    _, decisions = after(state, [Outcome(search, "", 1)], rules)
    assert kinds(decisions) == [(Kind.CANDIDATE, Step.PERFORMED)]


def test_without_a_registry_nobody_looks() -> None:
    assert kinds(retrained(ONLY_1, policy(Mode.AUTO, registry=False))[1]) == CANDIDATE[:2]
