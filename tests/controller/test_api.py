"""The HTTP API, served for real, over a state machine without a broker."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.specs import baseline_document
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.controller.backend import Backend
from driftsonde.controller.door import Door
from driftsonde.controller.guard import Guard
from driftsonde.core.baseline import Baseline, Lineage, NumericReference
from driftsonde.core.control.access import Person, Role, Token, hash_token
from driftsonde.core.control.decisions import Decision, Step
from driftsonde.core.control.inputs import Input, Outcome, Registered, SplitChange
from driftsonde.core.control.machine import step
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Role as ColumnRole
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, Mode, ModelSpec, Task

pytestmark = pytest.mark.io

TOKEN = "t0ken"
TOKENS = {role: f"token-of-{role}" for role in Role}
STORED = (
    Token(Person("ann", Role.ADMIN), hash_token(TOKEN)),
    *(Token(Person(f"the {role}", role), hash_token(text)) for role, text in TOKENS.items()),
)
AMOUNT = NumericReference(
    "amount", ColumnRole.FEATURE, np.array([0.0, 1.0]), np.array([0, 5, 0, 0]), 2.5, 1.5, 0.0, 1.0
)
BASELINE = Baseline("fraud", "1", 5, (AMOUNT,), (), None, Lineage("file", "f00d", 0, 1))
CATALOGUE = Catalogue(
    MappingProxyType({"fraud": ModelSpec("fraud", Task.BINARY)}),
    MappingProxyType({("fraud", "1"): BASELINE, ("fraud", "2"): None}),
    MappingProxyType({}),
)
RECOMMEND = setting(retrain=Mode.RECOMMEND, rollback=Mode.RECOMMEND)


class Desk:
    """A writer without a journal: an input is worked on where it is submitted."""

    def __init__(self) -> None:
        self.state = with_traffic(State(), with_canary())
        self.now_ms = NOW_MS
        self.answers = True
        self._lock = threading.Lock()

    def submit(self, event: Input) -> "Future[list[Decision]]":
        future: Future[list[Decision]] = Future()
        if not self.answers:
            return future
        with self._lock:
            try:
                self.state, decisions = step(self.state, event, self.now_ms, RECOMMEND)
                future.set_result(decisions)
            except Exception as error:
                future.set_exception(error)
        return future


@pytest.fixture
def desk() -> Desk:
    return Desk()


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


@pytest.fixture
def api(desk: Desk) -> Iterator[httpx.Client]:
    served = door(desk)
    with httpx.Client(
        base_url=f"http://127.0.0.1:{served.port}",
        headers={"authorization": f"Bearer {TOKEN}"},
        trust_env=False,
    ) as client:
        yield client
    served.close()


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


def test_models_versions_and_baselines(api: httpx.Client) -> None:
    (model,) = ok(api.get("/v1/models"))["items"]
    assert (model["name"], model["versions"], model["policy"]["actions"]["retrain"]) == (
        "fraud",
        ["1", "2"],
        "observe",
    )
    assert ok(api.get("/v1/models/fraud")) == model
    first, second = ok(api.get("/v1/models/fraud/versions"))["items"]
    assert (first["rows"], first["lineage"]["fingerprint"], second["baseline"]) == (5, "f00d", None)
    assert ok(api.get("/v1/models/fraud/versions/1/baseline")) == baseline_document(BASELINE)
    assert "version '2'" in problem(api.get("/v1/models/fraud/versions/2/baseline"), 404)
    for path in ("/v1/models/none", "/v1/models/none/versions"):
        assert "no model 'none'" in problem(api.get(path), 404)


def test_incidents(api: httpx.Client, desk: Desk) -> None:
    desk.state, _ = after(desk.state, [signal(SignalKind.ALERT), signal(SignalKind.ALERT, "e2")], RECOMMEND)
    listed = ok(api.get("/v1/incidents", params={"model": "fraud", "status": "open", "limit": 1}))
    assert (listed["total"], len(listed["items"])) == (2, 1)
    key = listed["items"][0]["id"]
    acknowledged = ok(api.post(f"/v1/incidents/{key}/acknowledge", json={}))
    assert (acknowledged["status"], acknowledged["acknowledged_by"]) == ("acknowledged", "ann")
    assert [entry["kind"] for entry in acknowledged["decisions"]] == ["alert", "acknowledge"]
    assert ok(api.get(f"/v1/incidents/{key}")) == acknowledged
    assert ok(api.get("/v1/incidents", params={"status": "open"}))["total"] == 1
    assert ok(api.get("/v1/incidents", params={"model": "credit"}))["total"] == 0
    problem(api.get("/v1/incidents/none"), 404)
    problem(api.post("/v1/incidents/none/acknowledge", json={}), 404)


def test_a_proposal_is_approved(api: httpx.Client, desk: Desk) -> None:
    desk.state, (proposal,) = after(desk.state, [signal(SignalKind.RETRAIN)], RECOMMEND)
    (listed,) = ok(api.get("/v1/decisions", params={"step": "proposed", "kind": "retrain"}))["items"]
    assert (listed["id"], listed["mode"]) == (proposal.id, "recommend")
    body = ok(api.post(f"/v1/decisions/{proposal.id}/approve", json={"reason": "go"}))
    assert (body["step"], body["steps"], body["actor"]) == ("approved", ["proposed", "approved"], "ann")
    assert body["pending"] == ["oncall", "retrain", "oncall"]
    evidence = body["history"][0]["detail"]["signal"]["evidence"][0]
    assert (evidence["statistic"], evidence["value"], evidence["lower"]) == ("psi", 0.7, None)
    assert ok(api.get(f"/v1/decisions/{proposal.id}")) == body
    assert ok(api.post(f"/v1/decisions/{proposal.id}/approve", json={}))["actor"] == "ann"
    assert "approved" in problem(api.post(f"/v1/decisions/{proposal.id}/reject", json={}), 409)
    other = {"authorization": f"Bearer {TOKENS[Role.APPROVER]}"}
    late = api.post(f"/v1/decisions/{proposal.id}/approve", json={}, headers=other)
    assert problem(late, 409) == "ann has approved this decision already"


def test_an_incident_is_snoozed_and_closed_by_hand(api: httpx.Client, desk: Desk) -> None:
    events = [signal(SignalKind.ALERT, episode) for episode in ("e1", "e2")]
    desk.state, (first, second) = after(desk.state, [*events], RECOMMEND)
    snoozed = ok(
        api.post(f"/v1/incidents/{first.incident}/snooze", json={"duration": "4h", "reason": "lunch"})
    )
    assert (snoozed["status"], snoozed["snoozed_until_ms"]) == ("open", NOW_MS + 4 * HOUR_MS)
    for duration in ("1s", "31d", "soon"):
        refused = api.post(f"/v1/incidents/{first.incident}/snooze", json={"duration": duration})
        assert "duration" in problem(refused, 422)
    closed = ok(api.post(f"/v1/incidents/{first.incident}/resolve", json={"reason": "mended"}))
    assert (closed["status"], closed["resolved_by"], closed["false_alarm"]) == ("resolved", "ann", False)
    none = ok(api.post(f"/v1/incidents/{second.incident}/false-alarm", json={}))
    assert (none["status"], none["false_alarm"]) == ("resolved", True)
    late = api.post(f"/v1/incidents/{first.incident}/false-alarm", json={})
    assert problem(late, 409) == "the incident is resolved by ann"


def test_maintenance_is_announced_and_called_off(api: httpx.Client) -> None:
    body = {"model": "fraud", "begin": "2026-12-01T00:00:00Z", "end": "2026-12-01T02:00:00+01:00"}
    (announced,) = ok(api.post("/v1/maintenance", json={**body, "reason": "new features"}))["items"]
    assert (announced["end_ms"] - announced["begin_ms"], announced["actor"]) == (HOUR_MS, "ann")
    assert ok(api.get("/v1/maintenance"))["items"] == [announced]
    assert ok(api.delete(f"/v1/maintenance/{announced['id']}"))["items"] == []
    assert "is over" in problem(api.delete(f"/v1/maintenance/{announced['id']}"), 409)
    problem(api.delete("/v1/maintenance/none"), 404)
    problem(api.post("/v1/maintenance", json={**body, "model": "none"}), 404)
    assert "end" in problem(api.post("/v1/maintenance", json={**body, "end": "2026-12-01T02:00:00"}), 422)
    backwards = {**body, "end": "2026-11-30T00:00:00Z"}
    assert "before it begins" in problem(api.post("/v1/maintenance", json=backwards), 409)


def test_a_rollout_by_people(api: httpx.Client) -> None:
    assert "version 2 is a canary" in problem(
        api.post("/v1/rollouts", json={"model": "fraud", "version": "2"}), 409
    )
    alone = {"split": [{"version": "1", "variant": "champion", "weight": 1.0}]}
    ok(api.put("/v1/traffic/fraud", json=alone))
    started = ok(api.post("/v1/rollouts", json={"model": "fraud", "version": "2", "reason": "better"}))
    assert (started["status"], started["at"], started["weights"]) == (
        "running",
        "shadow",
        [0.0, 0.05, 0.25, 0.5],
    )
    assert ok(api.get("/v1/rollouts"))["items"] == [started]
    for wish, status, at in (
        ("advance", "running", "canary at 5 %"),
        ("pause", "paused", "canary at 5 %"),
        ("resume", "running", "canary at 5 %"),
        ("promote", "promoted", "champion"),
        ("rollback", "rolled-back", "taken back"),
    ):
        found = ok(api.post(f"/v1/rollouts/fraud/{wish}", json={}))
        assert (found["status"], found["at"]) == (status, at)
    assert ok(api.get("/v1/traffic/fraud"))["split"] == alone["split"]
    assert "is over" in problem(api.post("/v1/rollouts/fraud/pause", json={}), 409)
    assert "'9'" in problem(api.post("/v1/rollouts", json={"model": "fraud", "version": "9"}), 404)
    problem(api.post("/v1/rollouts/fraud/leap", json={}), 422)
    problem(api.get("/v1/rollouts/credit"), 404)
    problem(api.post("/v1/rollouts/credit/pause", json={}), 404)


def test_the_scorecard(api: httpx.Client, desk: Desk) -> None:
    desk.state, _ = after(desk.state, [signal(SignalKind.ALERT)], RECOMMEND, time.time_ns() // 1_000_000)
    found = ok(api.get("/v1/scorecard", params={"days": 7}))
    assert (found["models"], found["models_per_owner"], found["incidents"]) == (1, {"nobody": 1}, 1)
    assert (found["within_sla"], found["lineage"]) == (1.0, 0.5)
    assert found["detect"]["n"] == 1
    problem(api.get("/v1/scorecard", params={"days": 0}), 422)


def test_automation_is_stopped_and_started(api: httpx.Client) -> None:
    assert ok(api.get("/v1/automation")) == {"running": True, "stopped": {}}
    one = ok(api.put("/v1/automation", json={"stopped": True, "model": "fraud", "reason": "odd"}))
    assert one == {"running": True, "stopped": {"fraud": "ann: odd"}}
    every = ok(api.put("/v1/automation", json={"stopped": True}))
    assert every == {"running": False, "stopped": {"fraud": "ann: odd", "*": "ann"}}
    assert ok(api.put("/v1/automation", json={"stopped": False}))["running"] is True
    problem(api.put("/v1/automation", json={"stopped": True, "model": "none"}), 404)


def test_what_is_refused_is_in_the_audit_log(api: httpx.Client, desk: Desk) -> None:
    viewer = {"authorization": f"Bearer {TOKENS[Role.VIEWER]}"}
    problem(api.put("/v1/automation", headers=viewer, json={"stopped": True}), 403)
    desk.state, (proposal,) = after(desk.state, [signal(SignalKind.RETRAIN)], RECOMMEND)
    ok(api.post(f"/v1/decisions/{proposal.id}/approve", json={}))
    problem(api.post(f"/v1/decisions/{proposal.id}/reject", json={}), 409)
    kept = [record.last for record in desk.state.model("*").records.values()]
    assert [(entry.kind, entry.actor) for entry in kept] == [("refusal", "the viewer"), ("refusal", "ann")]
    assert "PUT /v1/automation: this needs the role admin" in kept[0].detail.reason
    assert kept[1].detail.reason == "Rejection: ann has approved this decision already"
    assert kept[1].previous == kept[0].hash


def test_a_decision_is_explained(api: httpx.Client, desk: Desk) -> None:
    desk.state, (proposal,) = after(desk.state, [signal(SignalKind.RETRAIN)], RECOMMEND)
    ok(api.post(f"/v1/decisions/{proposal.id}/approve", json={"reason": "go"}))
    found = ok(api.get(f"/v1/decisions/{proposal.id}/explanation"))
    assert [(step["step"], step["actor"]) for step in found["steps"]] == [
        ("proposed", "controller"),
        ("approved", "ann"),
    ]
    assert found["signal"]["evidence"][0]["statistic"] == "psi"
    assert "approved by ann: go" in found["text"]
    problem(api.get("/v1/decisions/none/explanation"), 404)


def test_a_proposal_is_rejected(api: httpx.Client, desk: Desk) -> None:
    desk.state, (proposal,) = after(desk.state, [canary_rollback()], RECOMMEND)
    body = ok(api.post(f"/v1/decisions/{proposal.id}/reject", json={"reason": "planned"}))
    assert (body["step"], body["reason"]) == ("rejected", "planned")
    assert ok(api.get("/v1/traffic/fraud"))["revision"] == 3


def test_an_answer_that_comes_too_late(api: httpx.Client, desk: Desk) -> None:
    desk.state, (proposal,) = after(desk.state, [signal(SignalKind.RETRAIN)], RECOMMEND)
    desk.now_ms += 24 * HOUR_MS
    assert "expired" in problem(api.post(f"/v1/decisions/{proposal.id}/approve", json={}), 409)
    record = desk.state.record(proposal.id)
    assert record is not None
    assert record.last.step is Step.EXPIRED


def test_what_is_not_there_or_wrong_names_the_field(api: httpx.Client) -> None:
    problem(api.get("/v1/decisions/none"), 404)
    problem(api.post("/v1/decisions/none/approve", json={}), 404)
    # Who acts is said by the token alone.
    assert "actor" in problem(api.post("/v1/decisions/none/approve", json={"actor": "ann"}), 422)
    assert "limit" in problem(api.get("/v1/decisions", params={"limit": 0}), 422)
    assert "step" in problem(api.get("/v1/decisions", params={"step": "maybe"}), 422)
    problem(api.get("/v1/nothing"), 404)
    problem(api.delete("/v1/models"), 405)


def test_traffic(api: httpx.Client) -> None:
    split = [
        {"version": "1", "variant": "champion", "weight": 0.8},
        {"version": "2", "variant": "canary", "weight": 0.2},
    ]
    body = ok(api.put("/v1/traffic/fraud", json={"split": split, "reason": "wider"}))
    assert (body["split"], body["revision"]) == (split, 4)
    assert ok(api.put("/v1/traffic/fraud", json={"split": split}))["revision"] == 4
    assert ok(api.get("/v1/traffic"))["items"] == [body]
    (decision,) = ok(api.get("/v1/decisions", params={"kind": "traffic"}))["items"]
    assert (decision["actor"], decision["id"], decision["version"]) == ("ann", body["decision"], "2")
    wrong = [{"version": "1", "variant": "champion", "weight": 0.8}]
    assert "sum to 0.8" in problem(api.put("/v1/traffic/fraud", json={"split": wrong}), 422)
    assert "'none'" in problem(api.put("/v1/traffic/none", json={"split": split}), 404)
    problem(api.get("/v1/traffic/credit"), 404)


def test_gates(api: httpx.Client, desk: Desk) -> None:
    assert ok(api.get("/v1/gates/fraud")) == {"data": True, "reasons": []}
    desk.state, _ = after(desk.state, [canary_rollback()], RECOMMEND)
    shut = ok(api.get("/v1/gates/fraud"))
    assert shut["data"] is False
    assert len(shut["reasons"]) == 2
    assert ok(api.post("/v1/gates/fraud")) == shut
    assert ok(api.get("/v1/gates/fraud", params={"version": "1"}))["data"] is True
    assert ok(api.get("/v1/gates/fraud", params={"version": "2"}))["data"] is False


@pytest.mark.parametrize(
    ("phase", "open_status", "shut_status"), [("confirm-rollout", 200, 409), ("rollback", 409, 200)]
)
def test_flagger_reads_the_gate_from_the_status(
    api: httpx.Client, desk: Desk, phase: str, open_status: int, shut_status: int
) -> None:
    call = {"name": "fraud", "namespace": "prod", "phase": phase, "checksum": "1", "metadata": {}}
    assert api.post("/v1/gates/fraud", json=call).status_code == open_status
    desk.state, _ = after(desk.state, [canary_rollback()], RECOMMEND)
    assert api.post("/v1/gates/fraud", json=call).status_code == shut_status


def test_everything_but_the_probes_asks_for_the_token(api: httpx.Client) -> None:
    paths = ok(api.get("/openapi.json"))["paths"]
    assert len(paths) >= 16
    for headers in (
        {"authorization": ""},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic dDp0"},
    ):
        for path, methods in paths.items():
            for method in methods:
                response = api.request(method, path, headers=headers, json={})
                if path in ("/healthz", "/readyz", "/metrics"):
                    assert response.status_code == 200
                else:
                    problem(response, 401)
                    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("POST", "/v1/incidents/none/acknowledge", Role.OPERATOR),
        ("POST", "/v1/incidents/none/snooze", Role.OPERATOR),
        ("POST", "/v1/incidents/none/resolve", Role.OPERATOR),
        ("POST", "/v1/incidents/none/false-alarm", Role.OPERATOR),
        ("POST", "/v1/rollouts", Role.APPROVER),
        ("POST", "/v1/rollouts/none/rollback", Role.APPROVER),
        ("POST", "/v1/maintenance", Role.APPROVER),
        ("DELETE", "/v1/maintenance/none", Role.APPROVER),
        ("PUT", "/v1/automation", Role.ADMIN),
        ("POST", "/v1/decisions/none/approve", Role.APPROVER),
        ("POST", "/v1/decisions/none/reject", Role.APPROVER),
        ("PUT", "/v1/traffic/fraud", Role.APPROVER),
    ],
)
def test_each_write_needs_its_role(api: httpx.Client, method: str, path: str, needed: Role) -> None:
    for role, token in TOKENS.items():
        response = api.request(method, path, headers={"authorization": f"Bearer {token}"}, json={})
        if role.permits(needed):
            assert response.status_code in (404, 422), response.text
        else:
            assert f"needs the role {needed}" in problem(response, 403)


def test_every_write_has_a_role_beyond_reading(api: httpx.Client) -> None:
    viewer = {"authorization": f"Bearer {TOKENS[Role.VIEWER]}"}
    for path, methods in ok(api.get("/openapi.json"))["paths"].items():
        for method in methods.keys() - {"get"}:
            if path != "/v1/gates/{model}":  # a question, asked by POST
                problem(api.request(method, path, headers=viewer, json={}), 403)


def test_every_write_leaves_an_entry_with_the_name_of_who_asked(api: httpx.Client, desk: Desk) -> None:
    """Each operation of the API that is no GET, once: the chain of the model's decisions, or of all models', grows by it."""
    asked: set[tuple[str, str]] = set()

    def write(method: str, template: str, body: dict[str, Any], model: str = "fraud", **names: str) -> Any:
        before = desk.state.model(model).head.sequence
        answer = ok(api.request(method, template.format(model="fraud", version="1", **names), json=body))
        asked.add((method.lower(), template))
        entries = [step for record in desk.state.model(model).records.values() for step in record.steps]
        assert [it.actor for it in entries if it.sequence > before] == ["ann"], template
        return answer

    write("PUT", "/v1/automation", {"stopped": True}, "*")
    write("PUT", "/v1/automation", {"stopped": False}, "*")
    until = {"model": "fraud", "end": "2030-01-01T00:00:00Z"}
    (announced,) = write("POST", "/v1/maintenance", until)["items"]
    write("DELETE", "/v1/maintenance/{decision_id}", {}, decision_id=announced["id"])
    for end in ("resolve", "false-alarm"):
        desk.state, (opened,) = after(desk.state, [signal(SignalKind.ALERT, end)], RECOMMEND)
        if end == "resolve":
            write("POST", "/v1/incidents/{incident_id}/acknowledge", {}, incident_id=opened.incident)
            write(
                "POST", "/v1/incidents/{incident_id}/snooze", {"duration": "1h"}, incident_id=opened.incident
            )
        write("POST", f"/v1/incidents/{{incident_id}}/{end}", {}, incident_id=opened.incident)
    for answer in ("reject", "approve"):
        desk.state, (proposal,) = after(desk.state, [signal(SignalKind.RETRAIN, answer)], RECOMMEND)
        write("POST", f"/v1/decisions/{{decision_id}}/{answer}", {}, decision_id=proposal.id)
    write("PUT", "/v1/traffic/{model}", {"split": [{"version": "1", "variant": "champion", "weight": 1.0}]})
    write("POST", "/v1/rollouts", {"model": "fraud", "version": "2"})
    write("POST", "/v1/rollouts/{model}/{wish}", {}, wish="rollback")
    registered = Registered("fraud", "2", Registration(NOW_MS))
    desk.state, _ = after(desk.state, [registered], RECOMMEND)
    version = "/v1/models/{model}/versions/{version}"
    desk.state, _ = after(
        desk.state, [SplitChange("fraud", (Share("9", Variant.CHAMPION, 1.0),), "bob")], RECOMMEND
    )
    desk.state, _ = after(desk.state, [Registered("fraud", "1", Registration(NOW_MS))], RECOMMEND)
    write("POST", f"{version}/review", {"approve": True})
    write("POST", f"{version}/promote", {})
    writes = {
        (method, path)
        for path, methods in ok(api.get("/openapi.json"))["paths"].items()
        for method in methods
        if method != "get" and path != "/v1/gates/{model}"
    }
    assert writes - asked == set()


def test_of_several_people_at_once_one_decides(api: httpx.Client, desk: Desk) -> None:
    """Eight answers to one proposal at the same time, for and against: one is recorded, the others are told whose."""
    for number in range(5):
        event = signal(SignalKind.RETRAIN, f"race{number}", number)
        desk.state, (proposal,) = after(desk.state, [event], RECOMMEND)
        start = threading.Barrier(8)

        def answer(which: int, path: str = f"/v1/decisions/{proposal.id}", start: Any = start) -> int:
            token = TOKEN if which % 4 < 2 else TOKENS[Role.APPROVER]
            start.wait(10)
            said = "approve" if which % 2 else "reject"
            headers = {"authorization": f"Bearer {token}"}
            return api.post(f"{path}/{said}", headers=headers, json={}).status_code

        with ThreadPoolExecutor(8) as people:
            statuses = sorted(people.map(answer, range(8)))
        record = desk.state.record(proposal.id)
        assert record is not None
        taken = [step.step for step in record.steps if step.step is not Step.PROPOSED]
        assert len(taken) == 1
        # Whoever said the same again is answered as the first; whoever said the opposite is refused.
        assert set(statuses) <= {200, 409}
        assert statuses.count(409) >= 4
        started = [it for it in desk.state.pending() if it.decision.id == proposal.id and it.action]
        assert len(started) == (taken == [Step.APPROVED])
        desk.state, _ = after(
            desk.state, [Outcome(it, "it broke", 1) for it in started], RECOMMEND
        )  # so that the next may be proposed


def test_who_asks_too_often_waits_and_others_do_not(api: httpx.Client, desk: Desk) -> None:
    statuses = [api.get("/v1/gates/fraud").status_code for _ in range(101)]
    assert statuses == [200] * 100 + [429]
    refused = api.get("/v1/gates/fraud")
    assert "20 a second" in problem(refused, 429)
    assert refused.headers["retry-after"] == "1"
    viewer = {"authorization": f"Bearer {TOKENS[Role.VIEWER]}"}
    assert api.get("/v1/gates/fraud", headers=viewer).status_code == 200
    desk.now_ms += 1_000
    assert api.get("/v1/gates/fraud").status_code == 200


def test_without_tokens_the_actor_is_whoever_is_on_this_machine(desk: Desk) -> None:
    desk.state, (decision,) = after(desk.state, [signal(SignalKind.ALERT)], RECOMMEND)
    served = door(desk, ())
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", trust_env=False) as client:
        answer = ok(client.post(f"/v1/incidents/{decision.incident}/acknowledge"))
    served.close()
    assert answer["acknowledged_by"] == "local"


def test_without_a_token_only_the_loopbacks_names_are_served(desk: Desk) -> None:
    served = door(desk, ())
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", trust_env=False) as client:
        ok(client.get("/v1/models"))
        assert client.get("/v1/models", headers={"host": "evil.example.com"}).status_code == 400
    served.close()


def test_a_form_of_another_site_changes_nothing(api: httpx.Client, desk: Desk) -> None:
    # A browser sends text/plain across sites without asking first.
    desk.state, (proposal,) = after(desk.state, [signal(SignalKind.RETRAIN)], RECOMMEND)
    response = api.post(
        f"/v1/decisions/{proposal.id}/approve",
        content=b'{"reason":"x"}',
        headers={"content-type": "text/plain"},
    )
    problem(response, 422)


def test_probes(desk: Desk) -> None:
    ready = Conditions({"broker": "away"})
    served = door(desk, ready=ready)
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", trust_env=False) as client:
        assert ok(client.get("/healthz"))["ok"] is True
        assert client.get("/readyz").status_code == 503
        ready.clear("broker")
        assert ok(client.get("/readyz"))["ok"] is True
        assert "driftsonde_build_info" in client.get("/metrics").text
    served.close()


def test_a_writer_that_does_not_answer(desk: Desk) -> None:
    desk.state, (decision,) = after(desk.state, [signal(SignalKind.ALERT)], RECOMMEND)
    desk.answers = False
    served = door(desk, (), timeout_s=0.05)
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", trust_env=False) as client:
        response = client.post(f"/v1/incidents/{decision.incident}/acknowledge", json={})
    served.close()
    assert "broker" in problem(response, 503)
    assert response.headers["retry-after"] == "5"
