"""What keeps a model from being retrained too often, or on broken data."""

from dataclasses import replace

from control_examples import after, setting, signal
from driftsonde.core.control.decisions import Step
from driftsonde.core.control.inputs import Begun, Input, Outcome, Setting
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.state import State
from driftsonde.core.signals import Rule, SignalKind
from driftsonde.core.spec import ActionPolicy, Mode

DAY_H = 24
ALERT, RETRAIN, RESOLVE = SignalKind.ALERT, SignalKind.RETRAIN, SignalKind.RESOLVE


def allowing(per_week: int) -> Setting:
    actions = ActionPolicy(retrain=Mode.AUTO, retrain_cooldown_ms=0, retrain_per_week=per_week)
    return replace(setting(), governance=lambda _: Governance(actions, "p1"))


def test_no_more_than_so_many_in_a_week_of_event_time() -> None:
    hours = [0, DAY_H, 2 * DAY_H, 7 * DAY_H, 7 * DAY_H + 1, 8 * DAY_H]
    events = [signal(RETRAIN, f"e{hour}", hour) for hour in hours]
    _, decisions = after(State(), list(events), allowing(2))
    assert [entry.step for entry in decisions] == [
        *(Step.DECIDED, Step.DECIDED, Step.SUPPRESSED),
        *(Step.DECIDED, Step.SUPPRESSED, Step.DECIDED),
    ]
    assert decisions[2].detail.reason == "2 retrainings in a week, the policy allows 2"


def test_a_budget_of_thirty_days_of_event_time() -> None:
    actions = ActionPolicy(Mode.AUTO, retrain_cooldown_ms=0, retrain_cost=40.0, retrain_budget=100.0)
    policy = replace(setting(), governance=lambda _: Governance(actions, "p1"))
    events = [signal(RETRAIN, f"e{day}", day * DAY_H) for day in (0, 10, 20, 29, 30, 39, 40)]
    _, decisions = after(State(), list(events), policy)
    assert [(entry.step, entry.detail.cost) for entry in decisions] == [
        (Step.DECIDED, 40.0),
        (Step.DECIDED, 40.0),
        *((Step.SUPPRESSED, 0.0),) * 2,
        (Step.DECIDED, 40.0),
        (Step.SUPPRESSED, 0.0),
        (Step.DECIDED, 40.0),
    ]
    assert decisions[2].detail.reason == "budget: 80 of 100 is spent in 30 days, one retraining costs 40"


def test_broken_data_are_not_trained_on() -> None:
    broken = signal(ALERT, "q", rule=Rule.QUALITY)
    state, (opened, held) = after(State(), [broken, signal(RETRAIN, "d", 1)], allowing(7))
    assert held.step is Step.SUPPRESSED
    assert (
        held.detail.reason
        == f"the data is broken: incident {opened.incident} is about its quality and not resolved"
    )
    mended = signal(RESOLVE, "q", 2, rule=Rule.QUALITY)
    _, (_, retrained) = after(state, [mended, signal(RETRAIN, "d", 3)], allowing(7))
    assert retrained.step is Step.DECIDED


def test_a_run_that_failed_has_cost_its_cool_down_and_one_that_never_began_has_not() -> None:
    for begun in (False, True):
        state, _ = after(State(), [signal(RETRAIN)], setting())
        (action,) = (effect for effect in state.pending() if effect.action)
        inputs: list[Input] = [*([Begun(action, "run 1")] if begun else []), Outcome(action, "it broke", 1)]
        state, _ = after(state, inputs, setting())
        _, (again,) = after(state, [signal(RETRAIN, hour=1)], setting())
        assert again.step is (Step.SUPPRESSED if begun else Step.DECIDED)


def test_a_run_that_is_begun_is_recorded_once_and_waited_for() -> None:
    state, (decided,) = after(State(), [signal(RETRAIN)], setting())
    (action,) = (effect for effect in state.pending() if effect.action)
    state, started = after(state, [Begun(action, "run 1"), Begun(action, "run 1")], setting())
    assert [(entry.step, entry.detail.run) for entry in started] == [(Step.STARTED, "run 1")]
    assert action in state.pending()
    record = state.record(decided.id)
    assert record is not None
    assert record.run == "run 1"
    state, (done,) = after(state, [Outcome(action, "", 3)], setting())
    assert (done.step, done.detail.attempts) == (Step.PERFORMED, 3)
    assert [effect for effect in state.pending() if effect.action] == []
