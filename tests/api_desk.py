"""The HTTP API served for real, over a state machine without a broker."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

import console_desk
from console_desk import AMOUNT
from control_examples import setting, with_canary
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.controller.backend import Backend
from driftsonde.controller.door import Door
from driftsonde.controller.guard import Guard
from driftsonde.core.baseline import Baseline, Lineage
from driftsonde.core.control.access import Person, Role, Token, hash_token
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.inputs import Input, Setting
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.spec import Mode, ModelSpec, Task

TOKEN = "t0ken"
TOKENS = {role: f"token-of-{role}" for role in Role}
STORED = (Token(Person("ann", Role.ADMIN), hash_token(TOKEN)), *console_desk.TOKENS)
BASELINE = Baseline("fraud", "1", 5, (AMOUNT,), (), None, Lineage("file", "f00d", 0, 1))
CATALOGUE = Catalogue(
    MappingProxyType({"fraud": ModelSpec("fraud", Task.BINARY)}),
    MappingProxyType({("fraud", "1"): BASELINE, ("fraud", "2"): None}),
    MappingProxyType({}),
)
RECOMMEND = setting(retrain=Mode.RECOMMEND, rollback=Mode.RECOMMEND)


@dataclass(slots=True)
class Desk(console_desk.Desk):
    """One that several may write to at the same time; without `answers`, nobody hears anything of it."""

    state: State = field(default_factory=lambda: with_traffic(State(), with_canary()))
    setting: Setting = RECOMMEND
    answers: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, event: Input) -> "Future[list[Decision]]":
        if not self.answers:
            return Future()
        with self.lock:
            return console_desk.Desk.submit(self, event)


def door(
    desk: Desk, tokens: tuple[Token, ...] = STORED, ready: Conditions | None = None, timeout_s: float = 10.0
) -> Door:
    registry = CollectorRegistry()
    create_metrics(registry, "controller", "0")
    guard = Guard(lambda: tokens, lambda: desk.now_ms / 1000, desk.submit)
    backend = Backend(
        lambda: desk.state,
        lambda: CATALOGUE,
        desk.submit,
        ready or Conditions(),
        registry,
        guard,
        Store(ClickHouseSettings()),
        timeout_s,
    )
    return Door("127.0.0.1", 0, backend)


def ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def problem(response: httpx.Response, status: int) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"]) == (status, status), body
    assert body["type"] == "about:blank"
    assert body["title"]
    return str(body["detail"])
