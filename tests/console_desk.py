"""The console served for real, over the store's engine and a state machine without a broker, with a story to show."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
from prometheus_client import CollectorRegistry

from control_examples import NOW_MS, after, setting, signal
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.controller.backend import Backend
from driftsonde.controller.door import Door
from driftsonde.controller.guard import Guard
from driftsonde.core.baseline import Baseline, Lineage, NumericReference
from driftsonde.core.control.access import Person, Role, Token, hash_token
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.incidents import Incident
from driftsonde.core.control.inputs import Input, RolloutChange, RolloutStart, RolloutWish, Setting
from driftsonde.core.control.machine import step
from driftsonde.core.control.proving import Live, nothing_live
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Role as ColumnRole
from driftsonde.core.events import Variant
from driftsonde.core.signals import Signal, SignalKind
from driftsonde.core.spec import HOUR_MS, Mode, ModelSpec, Task
from driftsonde.standalone.store_process import running_store
from monitored_fleet import HOURS, START, insert_fleet

RECOMMEND = setting(retrain=Mode.RECOMMEND)
AMOUNT = NumericReference(
    "amount", ColumnRole.FEATURE, np.array([0.0, 1.0]), np.array([0, 5, 0, 0]), 2.5, 1.5, 0.0, 1.0
)
_BASELINE = Baseline("fraud", "1", 5, (AMOUNT,), (), None, Lineage("file", "f00d", 0, 1))
CATALOGUE = Catalogue(
    MappingProxyType(
        {
            "fraud": ModelSpec("fraud", Task.BINARY),
            "new": ModelSpec("new", Task.BINARY),
            "demand": ModelSpec("demand", Task.REGRESSION),
        }
    ),
    MappingProxyType(
        {("fraud", "1"): _BASELINE, ("fraud", "2"): None, ("new", "1"): None, ("demand", "7"): None}
    ),
    MappingProxyType({}),
)
TOKENS = tuple(Token(Person(f"the {role}", role), hash_token(f"token-of-{role}")) for role in Role)


@dataclass(slots=True)
class Desk:
    """A writer without a journal."""

    state: State = field(default_factory=State)
    setting: Setting = RECOMMEND
    now_ms: int = NOW_MS

    def submit(self, event: Input) -> "Future[list[Decision]]":
        future: Future[list[Decision]] = Future()
        try:
            self.state, decisions = step(self.state, event, self.now_ms, self.setting)
            future.set_result(decisions)
        except Exception as error:
            future.set_exception(error)
        return future

    @property
    def incident(self) -> Incident:
        (incident,) = self.state.model("fraud").incidents.values()
        return incident


def with_incident() -> Desk:
    """An incident of drift, whose retraining waits for approval."""
    state, _ = after(State(), [signal(SignalKind.ALERT), signal(SignalKind.RETRAIN, hour=2)], RECOMMEND)
    return Desk(state)


def with_rollout(start: datetime = START, now_ms: int = NOW_MS) -> Desk:
    """The fleet's story: drift of version 1 that waits for a person, and version 2 on its way, as a canary at 5 %."""
    desk = Desk(with_traffic(State(), Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0")))
    desk.state = with_traffic(desk.state, Traffic("demand", (Share("7", Variant.CHAMPION, 1.0),), 1, "d0"))
    end_ms = int((start + timedelta(hours=HOURS)).timestamp() * 1000)
    events: Sequence[tuple[int, Input]] = (
        (30, RolloutStart("fraud", "2", "ada", "trained on March")),
        (20, RolloutChange("fraud", RolloutWish.ADVANCE, "ada", "the shadow agrees")),
        (11, _moved(signal(SignalKind.ALERT, hour=36), start)),
        (9, _moved(signal(SignalKind.RETRAIN, hour=38), start)),
    )
    for hours_before_end, event in events:
        desk.now_ms = end_ms - hours_before_end * HOUR_MS
        desk.submit(event).result()
    desk.now_ms = now_ms
    return desk


def _moved(event: Signal, start: datetime) -> Signal:
    """A signal about the fleet's time, with words that a judge would find."""
    by_ms = int(start.timestamp() * 1000)
    kept = tuple(
        replace(
            entry,
            window_start_ms=entry.window_start_ms + by_ms,
            window_end_ms=entry.window_end_ms + by_ms,
        )
        for entry in event.evidence
    )
    return replace(
        event,
        window_start_ms=event.window_start_ms + by_ms,
        window_end_ms=event.window_end_ms + by_ms,
        since_ms=36 * HOUR_MS + by_ms,
        summary="amount drifts: PSI 0.70, limit 0.20",
        evidence=kept,
    )


@contextmanager
def stores(folder: Path, start: datetime = START) -> Iterator[tuple[Store, Store]]:
    """A store with the fleet in it, and one with nothing in it."""
    with running_store(folder / "data") as process:
        full, empty = (
            Store(ClickHouseSettings(process.host, process.port, database=name)) for name in ("full", "empty")
        )
        for store in (full, empty):
            apply_migrations(store, schemas_directory() / "clickhouse")
        insert_fleet(full, start)
        yield full, empty
        full.close()
        empty.close()


def serve(
    desk: Desk,
    store: Store,
    tokens: tuple[Token, ...] = (),
    state: Callable[[], State] | None = None,
    catalogue: Catalogue = CATALOGUE,
    live: Live = nothing_live,
) -> Door:
    """`state` in place of the desk's own."""
    guard = Guard(lambda: tokens, lambda: 0.0, lambda *_: None)
    backend = Backend(
        state or (lambda: desk.state),
        lambda: catalogue,
        desk.submit,
        Conditions(),
        CollectorRegistry(),
        guard,
        store,
        live=live,
    )
    return Door("127.0.0.1", 0, backend)
