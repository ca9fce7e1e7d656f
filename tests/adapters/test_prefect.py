"""Prefect: its real server and a flow that it really runs, and a local server for what the real one does not do on demand."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from driftsonde.adapters.prefect import Prefect
from driftsonde.adapters.training import TrainingOrder
from fake_api import Answer, Call, FakeApi
from real_servers import prefect_server
from talks import hold

pytestmark = pytest.mark.io

ORDER = TrainingOrder(
    id="0123456789abcdef0123456789abcdef",
    model="fraud",
    version="3",
    incident="i1",
    reason="psi of amount is above 0.2",
    columns=("amount", "country"),
    window_start="2026-11-01T00:00:00.000Z",
    window_end="2026-11-02T00:00:00.000Z",
)
DEPLOYMENT = "11111111-2222-3333-4444-555555555555"
FLOW = """
import json, os
from prefect import flow

@flow(name="retrain")
def retrain(decision: str, model: str, version: str, incident: str, reason: str, columns: list[str],
            window_start: str, window_end: str):
    if model == "broken":
        raise ValueError("no data")
    with open(os.environ["RUNS"], "a") as file:
        file.write(json.dumps({"decision": decision, "model": model, "columns": columns}) + "\\n")

if __name__ == "__main__":
    retrain.serve(name="fraud")
"""


@dataclass(frozen=True, slots=True)
class RealPrefect:
    url: str
    folder: Path

    def runs(self) -> list[object]:
        file = self.folder / "runs.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrefect]:
    """The server, and a process that serves the flow."""
    folder = tmp_path_factory.mktemp("prefect")
    with prefect_server(folder, FLOW, "retrain/fraud", {"RUNS": str(folder / "runs.jsonl")}) as url:
        yield RealPrefect(url, folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_flow_is_run_once_and_followed_to_its_end(prefect: RealPrefect) -> None:
    trainer, runs = Prefect(prefect.url, "retrain/{model}", poll_ms=200), list[str]()
    assert hold(trainer.train(ORDER, ""), runs) == ""
    # After a crash between the start and its record it is asked for again, and is the same run.
    assert hold(trainer.train(ORDER, ""), runs) == ""
    assert hold(trainer.train(ORDER, runs[0])) == ""
    assert len(set(runs)) == 1
    assert prefect.runs() == [{"decision": ORDER.id, "model": "fraud", "columns": ["amount", "country"]}]
    run = httpx.get(f"{prefect.url}/flow_runs/{runs[0]}", trust_env=False).json()
    assert run["idempotency_key"] == ORDER.id
    assert set(run["tags"]) >= {"driftsonde", "fraud"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_flow_that_fails_says_why(prefect: RealPrefect) -> None:
    broken = replace(ORDER, id="f" * 32, model="broken")
    problem = hold(Prefect(prefect.url, "retrain/fraud", poll_ms=200).train(broken, ""))
    assert "ended as FAILED" in problem
    assert "no data" in problem


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_deployment_that_is_not_there_is_said(prefect: RealPrefect) -> None:
    problem = hold(Prefect(prefect.url, "retrain/other").train(ORDER, ""))
    assert problem.startswith("Prefect has no deployment 'retrain/other', status 404")


@dataclass(slots=True)
class Server:
    """The part of Prefect's API that is used, shaped as the real one answered; states: of the run, at each look."""

    states: list[str]
    calls: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer:
        self.calls.append(f"{call.method} {call.path}")
        if call.headers.get("authorization") != "Bearer key":
            return Answer(401, {"exception_message": "Unauthorized"})
        if call.path == "/api/deployments/name/retrain/fraud":
            return Answer(200, {"id": DEPLOYMENT, "name": "fraud"})
        if call.path == f"/api/deployments/{DEPLOYMENT}/create_flow_run":
            allowed = {"name", "parameters", "idempotency_key", "tags"}
            if set(call.body) - allowed or not isinstance(call.body["parameters"], dict):
                return Answer(422, {"exception_message": "Invalid request received."})
            known = call.body["idempotency_key"] in self.keys
            run = self.keys.setdefault(call.body["idempotency_key"], f"run{len(self.keys)}")
            return Answer(200 if known else 201, {"id": run, "state": {"type": "SCHEDULED"}})
        if call.path.removeprefix("/api/flow_runs/") in self.keys.values():
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return Answer(200, {"id": "run0", "state": {"type": state, "message": None}})
        return Answer(404, {"detail": "Not found"})


@pytest.fixture
def local() -> Iterator[list[FakeApi]]:
    started: list[FakeApi] = []
    yield started
    for api in started:
        api.close()


def trainer_at(server: Server, started: list[FakeApi]) -> Prefect:
    started.append(FakeApi(server.answer))
    return Prefect(f"{started[-1].url}/api", "retrain/{model}", "Bearer key", poll_ms=1)


def test_a_run_is_started_once_and_followed_to_its_end(local: list[FakeApi]) -> None:
    server = Server(["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"])
    trainer, runs = trainer_at(server, local), list[str]()
    assert hold(trainer.train(ORDER, ""), runs) == ""
    assert hold(trainer.train(ORDER, ""), runs) == ""
    assert runs == ["run0", "run0"]
    server.calls.clear()
    assert hold(trainer.train(ORDER, "run0")) == ""
    assert server.calls == ["GET /api/flow_runs/run0"]
    assert "key" not in repr(trainer).replace("poll_ms", "")


@pytest.mark.parametrize("state", ["FAILED", "CRASHED", "CANCELLED"])
def test_any_other_end_is_a_problem(local: list[FakeApi], state: str) -> None:
    problem = hold(trainer_at(Server(["RUNNING", state]), local).train(ORDER, ""))
    assert problem == f"run run0 ended as {state}: no reason given"


def test_a_run_that_somebody_deleted_is_a_problem(local: list[FakeApi]) -> None:
    problem = hold(trainer_at(Server(["RUNNING"]), local).train(ORDER, "gone"))
    assert problem.startswith("Prefect does not know run gone any more, status 404")


def test_a_deployment_may_be_named_by_its_id(local: list[FakeApi]) -> None:
    server = Server(["COMPLETED"])
    assert hold(replace(trainer_at(server, local), deployment=DEPLOYMENT).train(ORDER, "")) == ""
    assert server.calls[0] == f"POST /api/deployments/{DEPLOYMENT}/create_flow_run"


def test_polls_are_spread(local: list[FakeApi]) -> None:
    server = Server(["RUNNING"] * 3 + ["COMPLETED"])
    slow = replace(trainer_at(server, local), poll_ms=60)
    started_s = time.monotonic()
    assert hold(slow.train(ORDER, "")) == ""
    assert time.monotonic() - started_s >= 0.06 + 0.09 + 0.135
