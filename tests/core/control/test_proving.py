"""Before a version is the champion: what the judge has measured of it, as shadow and canary, against production."""

from dataclasses import replace

import pytest

from control_examples import NOW_MS, after, signal
from driftsonde.core.control.decisions import Decision, Step
from driftsonde.core.control.inputs import (
    Approval,
    Refused,
    RolloutChange,
    RolloutStart,
    RolloutWish,
    Setting,
    Tick,
)
from driftsonde.core.control.machine import step
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.proving import LiveNumber, LiveNumbers
from driftsonde.core.control.rollout import RolloutStatus
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import Evidence, Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Late, Mode, PromotionRule, RolloutRule, StageRule

ALONE = with_traffic(State(), Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0"))
GAP = "demographic_parity_difference:country"
BOUNDS = ("accuracy >= production - 0.02", f"{GAP} <= 0.1")
GOOD = {
    "1": {"accuracy": LiveNumber(0.9, 4_000)},
    "2": {"accuracy": LiveNumber(0.89, 800), GAP: LiveNumber(0.04, 800)},
}
UNFAIR = {**GOOD, "2": {**GOOD["2"], GAP: LiveNumber(0.2, 800)}}
WORSE = {**GOOD, "2": {**GOOD["2"], "accuracy": LiveNumber(0.87, 800)}}


def policy(numbers: LiveNumbers, promote: Mode = Mode.AUTO, late: Late = Late.ADVANCE) -> Setting:
    way = RolloutRule(
        shadow=False, stages=(0.1,), min_labels=1, min_stage_ms=0, max_stage_ms=9 * HOUR_MS, when_late=late
    )
    rules = PromotionRule(production=StageRule(live=BOUNDS))
    governance = Governance(ActionPolicy(promote=promote), "p1", rollout=way, promotion=rules)
    return Setting(lambda _: governance, live=lambda _: numbers)


def support(hour: int = 0) -> Signal:
    base = signal(SignalKind.PROMOTE, "s", hour, version="2", variant=Variant.CANARY, rule=Rule.CANARY)
    return replace(
        base, evidence=(Evidence(0, HOUR_MS, "", "accuracy_difference", 0.0, -0.02, -0.01, 0.01, 99),)
    )


def champion(state: State) -> bool:
    rollout = state.model("fraud").rollout
    return rollout is not None and rollout.status is RolloutStatus.PROMOTED


# What is only known live can't be asked for before anything is live: a rollout begins without.
CANARY, _ = after(ALONE, [RolloutStart("fraud", "2", "ann")], policy({}))


def promoted(numbers: LiveNumbers, promote: Mode = Mode.AUTO) -> tuple[State, Decision]:
    state, (decision,) = after(CANARY, [support()], policy(numbers, promote), NOW_MS + 1)
    return state, decision


def test_a_version_that_holds_its_bounds_becomes_the_champion_on_recorded_numbers() -> None:
    state, decision = promoted(GOOD)
    assert champion(state)
    assert decision.detail.reason == (
        "the policy acts by itself; live accuracy >= production - 0.02 (it is 0.89 on 800 rows, and 0.9 on 4000 of "
        f"version 1 in production); live {GAP} <= 0.1 (it is 0.04 on 800 rows)"
    )


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        (UNFAIR, f"live {GAP} <= 0.1"),
        (WORSE, "live accuracy >= production - 0.02"),
        ({**GOOD, "1": {}}, "live accuracy >= production - 0.02"),
        ({}, f"live accuracy >= production - 0.02; live {GAP} <= 0.1"),
    ],
)
def test_what_is_not_shown_keeps_it_a_canary_whoever_asks(numbers: LiveNumbers, missing: str) -> None:
    state, decision = promoted(numbers)
    assert (decision.step, decision.detail.reason) == (Step.SUPPRESSED, f"not yet shown: {missing}")
    _, again = after(state, [support(1)], policy(numbers), NOW_MS + 2)
    assert again == []  # only said once
    for wish in (RolloutWish.ADVANCE, RolloutWish.PROMOTE):
        with pytest.raises(Refused, match=r"version 2 may not be the champion; missing: live "):
            step(CANARY, RolloutChange("fraud", wish, "ann"), NOW_MS, policy(numbers))
    state, (late,) = after(CANARY, [Tick()], policy(numbers), NOW_MS + 9 * HOUR_MS)
    assert not champion(state)
    assert (
        late.detail.reason == f"version 2: canary at 10 %, paused; canary at 10 %: not yet shown: {missing}"
    )


def test_what_was_proposed_is_looked_at_again_when_it_is_approved() -> None:
    state, proposal = promoted(GOOD, Mode.RECOMMEND)
    assert (proposal.step, "0.89 on 800 rows" in proposal.detail.reason) == (Step.PROPOSED, True)
    _, (stale,) = after(state, [Approval(proposal.id, "ann")], policy(UNFAIR, Mode.RECOMMEND), NOW_MS + 2)
    assert (stale.step, stale.detail.reason) == (Step.SUPPRESSED, f"not yet shown: live {GAP} <= 0.1")
    state, _ = after(state, [Approval(proposal.id, "ann")], policy(GOOD, Mode.RECOMMEND), NOW_MS + 2)
    assert champion(state)


def test_time_alone_makes_no_champion_but_what_is_shown_does() -> None:
    state, _ = after(CANARY, [Tick()], policy(GOOD), NOW_MS + 9 * HOUR_MS)
    assert champion(state)
