"""The HTTP API: incidents, and what people decide."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api_desk import RECOMMEND, TOKEN, TOKENS, Desk, ok, problem
from control_examples import NOW_MS, after, canary_rollback, signal
from driftsonde.core.control.access import Role
from driftsonde.core.control.decisions import Step
from driftsonde.core.control.inputs import Outcome
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS

pytestmark = pytest.mark.io


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


def test_the_scorecard(api: httpx.Client, desk: Desk) -> None:
    desk.state, _ = after(desk.state, [signal(SignalKind.ALERT)], RECOMMEND, time.time_ns() // 1_000_000)
    found = ok(api.get("/v1/scorecard", params={"days": 7}))
    assert (found["models"], found["models_per_owner"], found["incidents"]) == (1, {"nobody": 1}, 1)
    assert (found["within_sla"], found["lineage"]) == (1.0, 0.5)
    assert found["detect"]["n"] == 1
    problem(api.get("/v1/scorecard", params={"days": 0}), 422)
