"""The scorecard's views on the real engine, held against the same numbers from the controller's state."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.specs import spec_to_json
from driftsonde.archiver.rows import decision_rows, signal_rows
from driftsonde.console.fleet import read_open_episodes
from driftsonde.core.baseline import Lineage
from driftsonde.core.control.decisions import Change, Decision
from driftsonde.core.control.inputs import (
    Acknowledgement,
    Input,
    Outcome,
    Registered,
    Resolution,
    RolloutChange,
    RolloutStart,
    RolloutWish,
    SplitChange,
    Tick,
)
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.scorecard import Account, Sla, Spending, score
from driftsonde.core.control.scorecard import Registered as RegisteredVersion
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.core.signals import Rule, Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Mode, ModelSpec, Policy, Task
from driftsonde.standalone.store_process import running_store

pytestmark = pytest.mark.io

SECOND_MS = 1_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="scorecard"))
        apply_migrations(store, schemas_directory() / "clickhouse")
        yield store
        store.close()


def life() -> tuple[State, list[Decision]]:
    """Three incidents of which one opens again and stays, a retraining, and a canary taken back."""
    state, decisions = with_traffic(State(), with_canary()), list[Decision]()
    actions = ActionPolicy(retrain=Mode.AUTO, rollback=Mode.AUTO, retrain_cost=40.0)
    policy = replace(setting(), governance=lambda _: Governance(actions, "p1"))
    for number, (detect_s, acknowledge_s, resolve_s) in enumerate(
        [(10, 20, 90), (30, 40, 200), (50, 60, 300)]
    ):
        event = replace(signal(SignalKind.ALERT, f"e{number}"), since_ms=NOW_MS - detect_s * SECOND_MS)
        state, opened = after(state, [event], policy)
        key = opened[0].incident
        state, taken = after(state, [Acknowledgement(key, "ann")], policy, NOW_MS + acknowledge_s * SECOND_MS)
        end = Resolution(key, "ann", "", false_alarm=number == 0)
        state, ended = after(state, [end], policy, NOW_MS + resolve_s * SECOND_MS)
        decisions += [*opened, *taken, *ended]
    again = replace(signal(SignalKind.ALERT, "e2", 9), since_ms=NOW_MS)
    for event in (again, replace(signal(SignalKind.RETRAIN, "e2", 10), since_ms=NOW_MS), canary_rollback()):
        state, taken = after(state, [event], policy, NOW_MS + HOUR_MS)
        decisions += taken
    state, done = after(
        state, [Outcome(effect, "", 1) for effect in state.pending()], policy, NOW_MS + HOUR_MS
    )
    return state, [*decisions, *done]


def test_the_views_say_what_the_state_says(store: Store) -> None:
    state, decisions = life()
    archive(store, decisions)
    ((incidents, still_open, false_alarms, detect_s, acknowledge_s, resolve_s),) = store.query_rows(
        "SELECT incidents, open_incidents, false_alarms, detect_s, acknowledge_s, resolve_s"
        " FROM scorecard_incidents WHERE model = 'fraud'"
    )
    found = score(state, [], {}, 0, NOW_MS + HOUR_MS, Sla(HOUR_MS, HOUR_MS), {})
    assert (incidents, still_open, false_alarms) == (
        found.incidents,
        found.open_incidents,
        found.false_alarms,
    )
    assert (detect_s, acknowledge_s, resolve_s) == tuple(
        times.median_ms / SECOND_MS
        for times in (found.detect, found.acknowledge, found.resolve)
        if times.median_ms is not None
    )
    ((retrainings, near_misses, by_people, cost),) = store.query_rows(
        "SELECT retrainings, near_misses, by_people, retrain_cost FROM scorecard_actions WHERE model = 'fraud'"
    )
    assert (retrainings, near_misses, by_people) == (1, found.near_misses, 6)
    assert cost == found.spending["fraud"].cost == 40.0
    assert found.near_misses == 1


def test_what_nobody_was_told_of_while_the_model_learned_does_not_count(store: Store) -> None:
    """Of three incidents in the period one is over in it, one goes on and is told at its end, and one is called a false alarm;
    what was told became worse, and is the same incident."""
    actions = ActionPolicy(learning_ms=30 * HOUR_MS)
    policy = replace(setting(), governance=lambda _: Governance(actions, "p1"))
    spec = Registration(NOW_MS, spec="{}")
    state, log = after(
        State(), [Registered("novice", "", spec), Registered("novice", "1", spec)], policy, NOW_MS
    )

    def go(now_ms: int, *events: Input) -> list[Decision]:
        nonlocal state
        state, taken = after(state, list(events), policy, now_ms)
        log.extend(taken)
        return taken

    def said(kind: SignalKind, episode: str, hour: int, rule: Rule = Rule.DRIFT) -> Signal:
        start_ms = NOW_MS + hour * HOUR_MS
        one = signal(kind, episode, hour, "novice", rule=rule)
        return replace(one, window_start_ms=start_ms, window_end_ms=start_ms + HOUR_MS, since_ms=start_ms)

    go(NOW_MS + HOUR_MS, said(SignalKind.ALERT, "over", 0))
    go(NOW_MS + 3 * HOUR_MS, said(SignalKind.RESOLVE, "over", 2))
    (false,) = go(NOW_MS + 4 * HOUR_MS, said(SignalKind.ALERT, "false", 3))
    go(NOW_MS + 5 * HOUR_MS, Resolution(false.incident, "ann", "", false_alarm=True))
    go(NOW_MS + 29 * HOUR_MS, said(SignalKind.ALERT, "goes on", 28))
    (graduated,) = go(NOW_MS + 31 * HOUR_MS, Tick())
    go(NOW_MS + 32 * HOUR_MS, Acknowledgement(graduated.incident, "ann"))
    (worse,) = go(NOW_MS + 33 * HOUR_MS, said(SignalKind.ALERT, "worse", 32, Rule.PERFORMANCE))
    assert (worse.incident, worse.detail.change) == (graduated.incident, Change.OPENED)
    archive(store, log)
    found = score(state, [], {}, 0, NOW_MS + 40 * HOUR_MS, Sla(HOUR_MS, HOUR_MS), {})
    assert (found.incidents, found.open_incidents, found.false_alarms) == (1, 1, 0)
    assert found.detect.median_ms == 3 * HOUR_MS
    assert store.query_rows(
        "SELECT incidents, open_incidents, false_alarms, detect_s, acknowledge_s FROM scorecard_incidents"
        " WHERE model = 'novice'"
    ) == [(1, 1, 0, 3 * HOUR_MS / SECOND_MS, HOUR_MS / SECOND_MS)]
    assert found.acknowledge.median_ms == HOUR_MS


def test_an_incident_may_be_called_a_false_alarm_after_it_has_ended(store: Store) -> None:
    state, log = State(), list[Decision]()
    for hour, kind in ((0, SignalKind.ALERT), (2, SignalKind.RESOLVE)):
        start_ms = NOW_MS + hour * HOUR_MS
        one = replace(
            signal(kind, "late", hour, "calm"), window_start_ms=start_ms, window_end_ms=start_ms + HOUR_MS
        )
        state, taken = after(state, [one], setting(), start_ms + HOUR_MS)
        log.extend(taken)
    end = Resolution(log[0].incident, "ann", "", false_alarm=True)
    state, taken = after(state, [end], setting(), NOW_MS + 9 * HOUR_MS)
    log.extend(taken)
    archive(store, log)
    assert score(state, [], {}, 0, NOW_MS + 40 * HOUR_MS, Sla(HOUR_MS, HOUR_MS), {}).false_alarms == 1
    told = store.query_rows(
        "SELECT incidents, open_incidents, false_alarms FROM scorecard_incidents WHERE model = 'calm'"
    )
    assert told == [(1, 0, 1)]


def archive(store: Store, decisions: list[Decision]) -> None:
    for _ in range(2):  # redelivered
        messages = [(SourceMessage("decisions", 0, 0, it.model.encode(), b""), it) for it in decisions]
        store.insert_arrow("decisions", decision_rows(messages))


def registered(model: str, owner: str, budget: float = 0.0) -> Registered:
    actions = ActionPolicy(retrain=Mode.AUTO, retrain_cost=40.0, retrain_budget=budget)
    spec = ModelSpec(model, Task.BINARY, owner=owner, value_unit="EUR", policy=Policy(actions=actions))
    return Registered(model, "", Registration(NOW_MS, spec=spec_to_json(spec)))


def version(name: str, registered_ms: int, *, lineage: bool, model: str = "churn") -> Registered:
    source = Lineage("train.parquet", "f00d", 0, 1, provisional=not lineage)
    return Registered(model, name, Registration(registered_ms, "", "b", 9, source))


def test_models_versions_deployments_and_costs_are_those_of_the_api(store: Store) -> None:
    """Two versions come to production, one gives its place back; one model keeps its promise and one does not."""
    policy = setting(retrain=Mode.AUTO)
    actions = ActionPolicy(retrain=Mode.AUTO, rollback=Mode.AUTO, retrain_cost=40.0, learning_ms=0)
    governance = Governance(actions, "p1")
    policy = replace(policy, governance=lambda _: governance)
    promote = RolloutChange("churn", RolloutWish.PROMOTE, "ann")
    state, log = State(), list[Decision]()

    def go(now_ms: int, *events: Input) -> None:
        nonlocal state
        state, taken = after(state, list(events), policy, now_ms)
        log.extend(taken)
        state, done = after(state, [Outcome(it, "", 1) for it in state.pending()], policy, now_ms)
        log.extend(done)

    go(NOW_MS, registered("churn", "ann", 100.0), registered("price", ""), registered("spam", "ann"))
    go(NOW_MS, version("2", NOW_MS - 5 * SECOND_MS, lineage=True), version("3", NOW_MS, lineage=False))
    go(NOW_MS, version("2", NOW_MS + 9, lineage=True), version("1", NOW_MS, lineage=True, model="price"))
    go(NOW_MS, SplitChange("churn", (Share("1", Variant.CHAMPION, 1.0),), "ann"))
    go(NOW_MS + SECOND_MS, RolloutStart("churn", "2", "ann"), promote)
    bad = replace(
        signal(SignalKind.ROLLBACK, "worse", model="churn", version="2", rule=Rule.CANARY), since_ms=NOW_MS
    )
    go(NOW_MS + 2 * SECOND_MS, bad)
    go(NOW_MS + 3 * SECOND_MS, RolloutStart("churn", "4", "ann"))
    go(NOW_MS + 5 * SECOND_MS, promote)
    go(NOW_MS + 5 * SECOND_MS, replace(signal(SignalKind.RETRAIN, "r", model="spam"), since_ms=NOW_MS))
    archive(store, log)
    rows = [
        RegisteredVersion("churn", "2", "ann", True),
        RegisteredVersion("churn", "3", "ann", False),
        RegisteredVersion("price", "1", "", True),
    ]
    owners = {"churn": "ann", "price": "", "spam": "ann"}
    accounts = {"churn": Account(100.0, "EUR"), "price": Account(0.0, "EUR"), "spam": Account(0.0, "EUR")}
    now_ms = int(time.time() * 1000)
    found = score(state, rows, owners, 0, now_ms, Sla(HOUR_MS, HOUR_MS), accounts)

    seen = store.query_rows(
        "SELECT model, owner, versions, versions_with_lineage, within_sla, retrainings, retrain_cost, retrain_budget"
        " FROM scorecard_models(since = '2000-01-01 00:00:00', acknowledge_s = 3600, resolve_s = 3600)"
        " WHERE model IN ('churn', 'price', 'spam') ORDER BY model"
    )
    assert seen == [
        ("churn", "ann", 2, 1, 1, 0, 0.0, 100.0),
        ("price", "", 1, 1, 1, 0, 0.0, 0.0),
        ("spam", "ann", 0, 0, int(now_ms - NOW_MS <= HOUR_MS), 1, 40.0, 0.0),
    ]
    assert Counter(row[1] or "nobody" for row in seen) == found.models_per_owner
    assert sum(row[4] for row in seen) / len(seen) == found.within_sla
    assert sum(row[3] for row in seen) / sum(row[2] for row in seen) == found.lineage
    assert {
        row[0]: Spending(row[5], row[6], row[7], "EUR") for row in seen if row[5] or row[7]
    } == found.spending

    took = store.query_rows(
        "SELECT version, took_s FROM deployments WHERE model = 'churn' ORDER BY production"
    )
    assert took == [("2", 6.0), ("4", 2.0)]
    ((deployments, deploy_s),) = store.query_rows(
        "SELECT deployments, deploy_s FROM scorecard_deployments WHERE model = 'churn'"
    )
    assert (deployments, deploy_s * SECOND_MS) == (found.deploy.n, found.deploy.median_ms)
    gone = store.query_rows("SELECT version FROM departed_versions WHERE model = 'churn' ORDER BY version")
    assert gone == [("1",), ("2",)]
    # A canary that was taken back has no more windows in which the judge could say that it is over.
    said = [signal(SignalKind.ALERT, f"v{name}", model="churn", version=name) for name in ("2", "4", "7")]
    store.insert_arrow(
        "signals", signal_rows([(SourceMessage("signals", 0, 0, b"", b""), it) for it in said])
    )
    assert list(read_open_episodes(store, "churn")) == [("churn", "4"), ("churn", "7")]
