"""Numbers for the business, on a life whose every time is known."""

from dataclasses import replace

from control_examples import NOW_MS, after, canary_rollback, setting, signal
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Approval,
    Input,
    Outcome,
    Resolution,
    RolloutChange,
    RolloutStart,
    RolloutWish,
    SplitChange,
)
from driftsonde.core.control.inputs import Registered as InRegister
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.scorecard import Account, Registered, Scorecard, Sla, Spending, Times, score
from driftsonde.core.control.state import State
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Mode

POLICY = setting(retrain=Mode.RECOMMEND)
SLA = Sla(HOUR_MS, 24 * HOUR_MS)
REGISTERED = [Registered("fraud", "1", "ann", True), Registered("fraud", "2", "ann", False)]
ACCOUNTS = {"fraud": Account(100.0, "EUR"), "credit": Account(50.0), "churn": Account()}
OWNERS = {"fraud": "ann", "credit": "", "churn": "ann"}


def scored(state: State, now_ms: int, since_ms: int = 0, sla: Sla = SLA) -> Scorecard:
    return score(state, REGISTERED, OWNERS, since_ms, now_ms, sla, ACCOUNTS)


def test_incidents_are_timed() -> None:
    state = State()
    for number, (detect, acknowledge, resolve) in enumerate([(10, 20, 90), (30, 40, 200), (50, 60, 300)]):
        event = replace(signal(SignalKind.ALERT, f"e{number}"), since_ms=NOW_MS - detect)
        state, (opened,) = after(state, [event], POLICY)
        state, _ = after(state, [Acknowledgement(opened.incident, "ann")], POLICY, NOW_MS + acknowledge)
        end = Resolution(opened.incident, "ann", "", false_alarm=number == 0)
        state, _ = after(state, [end], POLICY, NOW_MS + resolve)
    state, _ = after(state, [replace(signal(SignalKind.ALERT, "open"), since_ms=NOW_MS)], POLICY)
    found = scored(state, NOW_MS + HOUR_MS)
    assert (found.incidents, found.open_incidents, found.false_alarms) == (4, 1, 1)
    assert (found.detect, found.acknowledge, found.resolve) == (
        Times(4, 10, 50),
        Times(3, 40, 60),
        Times(3, 200, 300),
    )
    assert scored(state, NOW_MS + HOUR_MS, since_ms=NOW_MS + 1).incidents == 0


def test_the_service_level_is_broken_by_silence_and_by_length() -> None:
    state, (opened,) = after(State(), [signal(SignalKind.ALERT)], POLICY)
    assert scored(state, NOW_MS + HOUR_MS).within_sla == 1.0
    assert scored(state, NOW_MS + HOUR_MS + 1).within_sla == 2 / 3
    state, _ = after(state, [Acknowledgement(opened.incident, "ann")], POLICY, NOW_MS + HOUR_MS)
    assert scored(state, NOW_MS + 24 * HOUR_MS).within_sla == 1.0
    assert scored(state, NOW_MS + 24 * HOUR_MS + 1).within_sla == 2 / 3


def test_deliveries_near_misses_retrainings_and_answers() -> None:
    alone = SplitChange("fraud", (Share("1", Variant.CHAMPION, 1.0),), "ann")
    state, _ = after(State(), [alone, RolloutStart("fraud", "2", "ann")], POLICY)
    state, _ = after(state, [RolloutChange("fraud", RolloutWish.PROMOTE, "ann")], POLICY, NOW_MS + 500)
    state, _ = after(state, [RolloutStart("fraud", "3", "ann")], POLICY, NOW_MS + 600)
    bad = replace(canary_rollback(), version="3", variant=Variant.SHADOW)
    state, _ = after(state, [bad], POLICY, NOW_MS + 700)
    state, _ = after(state, [Outcome(effect, "", 1) for effect in state.pending()], POLICY, NOW_MS + 700)
    state, (proposal,) = after(state, [signal(SignalKind.RETRAIN)], POLICY, NOW_MS)
    state, _ = after(state, [Approval(proposal.id, "ann")], POLICY, NOW_MS + 70)
    found = scored(state, NOW_MS + 1_000)
    assert (found.deploy, found.near_misses) == (Times(1, 500, 500), 1)
    assert (found.retrainings, found.answer) == ({"approved": 1}, Times(1, 70, 70))
    assert (found.models, found.models_per_owner, found.lineage) == (3, {"ann": 2, "nobody": 1}, 0.5)


def test_a_deployment_counts_from_the_registration() -> None:
    events: list[Input] = [
        InRegister("fraud", "2", Registration(NOW_MS - 1_000)),
        *(SplitChange("fraud", (Share(name, Variant.CHAMPION, 1.0),), "ann") for name in ("1", "2")),
    ]
    state, _ = after(State(), events, POLICY)
    assert scored(state, NOW_MS + 1_000).deploy == Times(1, 1_000, 1_000)


def test_nothing_at_all() -> None:
    found = score(State(), [], {}, 0, NOW_MS, SLA, {})
    assert (found.within_sla, found.lineage, found.detect) == (None, None, Times(0, None, None))


def test_what_retrainings_cost_and_may_cost() -> None:
    actions = ActionPolicy(retrain=Mode.AUTO, retrain_cooldown_ms=0, retrain_cost=40.0)
    policy = replace(setting(), governance=lambda _: Governance(actions, "p1"))
    state = State()
    for number, problem in enumerate(("", "no such pipeline")):
        state, _ = after(state, [signal(SignalKind.RETRAIN, f"e{number}", number)], policy)
        state, _ = after(state, [Outcome(it, problem, 1) for it in state.pending() if it.action], policy)
    found = scored(state, NOW_MS + 1)
    assert found.retrainings == {"failed": 1, "performed": 1}
    assert found.spending == {"credit": Spending(0, 0, 50.0, ""), "fraud": Spending(1, 40.0, 100.0, "EUR")}


def test_a_champion_that_gave_its_place_back_is_no_near_miss_and_the_one_before_it_no_delivery() -> None:
    alone = SplitChange("fraud", (Share("1", Variant.CHAMPION, 1.0),), "ann")
    promote = RolloutChange("fraud", RolloutWish.PROMOTE, "ann")
    state, _ = after(State(), [alone, RolloutStart("fraud", "2", "ann"), promote], POLICY)
    bad = replace(canary_rollback(), variant=Variant.CHAMPION)
    state, _ = after(state, [bad], POLICY, NOW_MS + 700)
    state, _ = after(state, [Outcome(effect, "", 1) for effect in state.pending()], POLICY, NOW_MS + 700)
    traffic = state.model("fraud").traffic
    assert traffic is not None
    assert traffic.split == (Share("1", Variant.CHAMPION, 1.0),)
    assert (scored(state, NOW_MS + 1_000).near_misses, scored(state, NOW_MS + 1_000).deploy.n) == (0, 1)
