"""The scorecard's views on the real engine, held against the same numbers from the controller's state."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.archiver.rows import decision_rows
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.inputs import Acknowledgement, Outcome, Resolution
from driftsonde.core.control.scorecard import Sla, score
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS
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
    for number, (detect_s, acknowledge_s, resolve_s) in enumerate(
        [(10, 20, 90), (30, 40, 200), (50, 60, 300)]
    ):
        event = replace(signal(SignalKind.ALERT, f"e{number}"), since_ms=NOW_MS - detect_s * SECOND_MS)
        state, opened = after(state, [event], setting())
        key = opened[0].incident
        state, taken = after(
            state, [Acknowledgement(key, "ann")], setting(), NOW_MS + acknowledge_s * SECOND_MS
        )
        end = Resolution(key, "ann", "", false_alarm=number == 0)
        state, ended = after(state, [end], setting(), NOW_MS + resolve_s * SECOND_MS)
        decisions += [*opened, *taken, *ended]
    again = replace(signal(SignalKind.ALERT, "e2", 9), since_ms=NOW_MS)
    for event in (again, replace(signal(SignalKind.RETRAIN, "e2", 10), since_ms=NOW_MS), canary_rollback()):
        state, taken = after(state, [event], setting(), NOW_MS + HOUR_MS)
        decisions += taken
    state, done = after(
        state, [Outcome(effect, "", 1) for effect in state.pending()], setting(), NOW_MS + HOUR_MS
    )
    return state, [*decisions, *done]


def test_the_views_say_what_the_state_says(store: Store) -> None:
    state, decisions = life()
    source = SourceMessage("decisions", 0, 0, b"fraud", b"")
    for _ in range(2):  # redelivered
        store.insert_arrow("decisions", decision_rows([(source, decision) for decision in decisions]))
    ((incidents, still_open, false_alarms, detect_s, acknowledge_s, resolve_s),) = store.query_rows(
        "SELECT incidents, open_incidents, false_alarms, detect_s, acknowledge_s, resolve_s"
        " FROM scorecard_incidents WHERE model = 'fraud'"
    )
    found = score(state, [], {}, 0, NOW_MS + HOUR_MS, Sla(HOUR_MS, HOUR_MS))
    assert (incidents, still_open, false_alarms) == (
        found.incidents,
        found.open_incidents,
        found.false_alarms,
    )
    # One of the four, the canary's, was never acknowledged, and its signal is as old as the epoch.
    assert (detect_s, acknowledge_s, resolve_s) == (30, 40, 90)
    ((retrainings, near_misses, by_people),) = store.query_rows(
        "SELECT retrainings, near_misses, by_people FROM scorecard_actions WHERE model = 'fraud'"
    )
    assert (retrainings, near_misses, by_people) == (1, found.near_misses, 6)
