"""The HTTP API: what serves, and what holds it up."""

import httpx
import pytest

from api_desk import RECOMMEND, Desk, ok, problem
from control_examples import after, canary_rollback
from driftsonde.core.spec import HOUR_MS

pytestmark = pytest.mark.io


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


def test_automation_is_stopped_and_started(api: httpx.Client) -> None:
    assert ok(api.get("/v1/automation")) == {"running": True, "stopped": {}}
    one = ok(api.put("/v1/automation", json={"stopped": True, "model": "fraud", "reason": "odd"}))
    assert one == {"running": True, "stopped": {"fraud": "ann: odd"}}
    every = ok(api.put("/v1/automation", json={"stopped": True}))
    assert every == {"running": False, "stopped": {"fraud": "ann: odd", "*": "ann"}}
    assert ok(api.put("/v1/automation", json={"stopped": False}))["running"] is True
    problem(api.put("/v1/automation", json={"stopped": True, "model": "none"}), 404)


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
