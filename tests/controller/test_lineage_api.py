"""Promotion and lineage over the API and the commands: a state machine without a broker, and the store's engine."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from console_desk import TOKENS, Desk
from control_examples import NOW_MS, after, setting
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.clickhouse_migrations import apply_migrations
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.resources import schemas_directory
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.specs import spec_to_json
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.archiver.rows import decision_rows, prediction_rows
from driftsonde.cli import main
from driftsonde.controller.backend import Backend
from driftsonde.controller.door import Door
from driftsonde.controller.guard import Guard
from driftsonde.core.baseline import Lineage
from driftsonde.core.control.inputs import Registered
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import NumericColumn, PredictionBatch, Role, Variant
from driftsonde.core.origin import Origin
from driftsonde.core.spec import ModelSpec, Policy, PromotionRule, StageRule, Task
from driftsonde.standalone.store_process import running_store

pytestmark = pytest.mark.io

PROMOTION = PromotionRule(
    staging=StageRule(known=("owner",), approvals=("approver",), checklist=("card read",))
)
SPEC = ModelSpec("fraud", Task.BINARY, policy=Policy(promotion=PROMOTION))
CATALOGUE = Catalogue(
    MappingProxyType({"fraud": SPEC}),
    MappingProxyType({("fraud", "1"): None, ("fraud", "2"): None}),
    MappingProxyType({}),
)
RULES = replace(
    setting(), governance=lambda _: Governance(SPEC.policy.actions, "p1", "", promotion=PROMOTION)
)
FIRST = Registration(NOW_MS - 1_000, lineage=Lineage("train.csv", "f00d", 0, 1, code_revision="9f1c"))
ORIGIN = Origin("card", owner="ann", intended_use="scoring", data=(("s3://train", "beef"),))
NEWS = (
    Registered("fraud", "", Registration(NOW_MS - 2_000, spec=spec_to_json(SPEC))),
    Registered("fraud", "1", FIRST),
    Registered("fraud", "2", Registration(NOW_MS - 500, origin=ORIGIN)),
)
LATER_MS = NOW_MS + 60_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="lineage"))
        apply_migrations(store, schemas_directory() / "clickhouse")
        amount = NumericColumn("amount", Role.FEATURE, np.array([1.5, np.nan]))
        made = PredictionBatch(
            "fraud", "2", Variant.SHADOW, ("p1", "p2"), np.array([NOW_MS, NOW_MS + 1]), (amount,)
        )
        store.insert_arrow(
            "predictions", prediction_rows([(SourceMessage("predictions", 0, 0, b"", b""), made)])
        )
        yield store
        store.close()


@pytest.fixture
def desk() -> Desk:
    alone = Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0")
    state, _ = after(with_traffic(State(), alone), [*NEWS], RULES)
    return Desk(state, RULES)


@pytest.fixture
def door(desk: Desk, store: Store) -> Iterator[Door]:
    guard = Guard(lambda: TOKENS, lambda: 0.0, desk.submit)
    backend = Backend(
        lambda: desk.state, lambda: CATALOGUE, desk.submit, Conditions(), CollectorRegistry(), guard, store
    )
    door = Door("127.0.0.1", 0, backend)
    yield door
    door.close()


def ask(door: Door, path: str, body: dict[str, object] | None = None, role: str = "approver") -> Any:
    response = httpx.request(
        "GET" if body is None else "POST",
        f"http://127.0.0.1:{door.port}/v1{path}",
        headers={"authorization": f"Bearer token-of-{role}"},
        json=body,
        trust_env=False,
    )
    return response.json() | {"code": response.status_code}


def test_a_version_is_promoted_once_nothing_is_missing(door: Door) -> None:
    path = "/models/fraud/versions/2"
    refused = ask(door, f"{path}/promote", {})
    assert (refused["code"], refused["detail"]) == (
        409,
        "version 2 may not go to staging; missing: approval by the role approver: nobody has approved; "
        "card read: is not done",
    )
    assert ask(door, f"{path}/promote", {}, role="operator")["code"] == 403
    found = ask(door, f"{path}/review", {"done": ["card read"]}, role="operator")
    assert found["missing"] == ["approval by the role approver"]
    found = ask(door, f"{path}/review", {"approve": True, "reason": "seen"})
    assert (found["stage"], found["next"], found["missing"]) == ("development", "staging", [])
    assert [it["actor"] for it in found["reviews"]] == ["the operator", "the approver"]
    found = ask(door, f"{path}/promote", {"reason": "go"})
    assert (found["stage"], found["next"], found["criteria"]) == ("staging", "production", [])
    assert ask(door, f"{path}/promote", {})["code"] == 200
    assert ask(door, "/rollouts/fraud")["version"] == "2"
    assert ask(door, "/models/fraud/versions/1/promotion")["next"] is None
    assert ask(door, "/models/fraud/versions/9/promotion")["code"] == 404
    (decision,) = ask(door, "/decisions?kind=stage")["items"]
    assert "owner (ann); approval by the role approver (by the approver)" in decision["reason"]
    assert (
        "stage of fraud, version 2: decided" in ask(door, f"/decisions/{decision['id']}/explanation")["text"]
    )


def test_lineage_goes_both_ways(door: Door) -> None:
    found = ask(door, "/lineage/fraud/1")
    assert (found["stage"], found["variant"], found["registered_ms"]) == (
        "production",
        "champion",
        NOW_MS - 1_000,
    )
    assert found["registration"]["lineage"]["fingerprint"] == "f00d"
    assert [event["kind"] for event in found["events"]] == ["register"]
    assert "trained on    train.csv (f00d)\ncode          9f1c\n" in found["text"]
    assert ask(door, "/lineage/fraud/9")["code"] == 404
    assert ask(door, "/lineage?data=beef")["items"] == [{"model": "fraud", "version": "2"}]
    assert ask(door, "/lineage?data=none")["items"] == []

    (made,) = ask(door, "/predictions/p2/lineage")["items"]
    assert (made["model"], made["version"], made["variant"]) == ("fraud", "2", "shadow")
    assert (made["timestamp_ms"], made["columns"]) == (NOW_MS + 1, {"amount": None})
    assert made["lineage"]["registration"]["origin"]["intended_use"] == "scoring"
    assert ask(door, "/predictions/p3/lineage")["code"] == 404
    assert ask(door, "/predictions/p1/lineage?model=credit")["code"] == 404
    newest = ask(door, "/lineage/fraud/2/predictions?limit=1")["items"]
    assert newest == [{"id": "p2", "timestamp_ms": NOW_MS + 1}]


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")


def test_what_was_so_at_a_time(door: Door, store: Store) -> None:
    state, first = after(State(), [*NEWS[:2]], RULES)
    changed = Registered("fraud", "1", replace(FIRST, at_ms=LATER_MS, rows=7))
    _, second = after(state, [NEWS[2], changed], RULES, LATER_MS)
    source = SourceMessage("decisions", 0, 0, b"", b"")
    store.insert_arrow("decisions", decision_rows([(source, it) for it in (*first, *second)]))

    then = ask(door, f"/models/fraud?at={iso(NOW_MS)}")
    assert [(it["version"], it["rows"]) for it in then["versions"]] == [("1", 0)]
    assert then["spec"]["name"] == "fraud"
    now = ask(door, f"/models/fraud?at={iso(LATER_MS)}")
    assert [(it["version"], it["rows"]) for it in now["versions"]] == [("1", 7), ("2", 0)]
    assert ask(door, f"/models/fraud?at={iso(NOW_MS - 1)}")["code"] == 404
    assert ask(door, "/models/fraud?at=yesterday")["code"] == 422
    assert ask(door, f"/lineage/fraud/2?at={iso(NOW_MS)}")["code"] == 404
    assert len(ask(door, f"/lineage/fraud/1?at={iso(LATER_MS)}")["events"]) == 2


def test_the_commands_say_it(
    door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONTROLLER_URL", f"http://127.0.0.1:{door.port}")
    monkeypatch.setenv("CONTROLLER_TOKEN", "token-of-approver")

    def run(*arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        out, err = capsys.readouterr()
        return stopped.value.code, out + err

    assert run("promote", "fraud", "2", "--check") == (
        0,
        "fraud, version 2: development, next staging\n  has  owner: ann\n"
        "  needs approval by the role approver: nobody has approved\n  needs card read: is not done\n",
    )
    status, said = run("promote", "fraud", "2")
    assert status == 1
    assert "missing: approval by the role approver" in said
    assert run("review", "fraud", "2", "--approve", "--done", "card read")[0] == 0
    assert run("promote", "fraud", "2") == (0, "fraud, version 2: staging, next production\n")
    status, said = run("lineage", "fraud", "2")
    assert status == 0
    assert "owner         ann\nintended use  scoring\n" in said
    assert "stage decided by the approver: development → staging; owner (ann)" in said
    assert run("lineage", "--prediction", "p1")[1].startswith(
        "prediction p1 of fraud, version 2, as shadow\n"
    )
    assert run("lineage", "--data", "f00d") == (0, "fraud 1\n")
    assert run("lineage", "fraud", "9")[0] == 2
    assert run("lineage", "fraud")[0] == 2
    assert '"stage": "staging"' in run("lineage", "fraud", "2", "--json")[1]
