"""Airflow against a local server that knows the documented shapes: apache/airflow's OpenAPI of /api/v2, and /api/v1."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from driftsonde.adapters.airflow import Airflow
from driftsonde.adapters.training import TrainingOrder
from fake_api import Answer, Call, FakeApi
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
RUN = f"driftsonde__{ORDER.id}"
PASSWORD = "secret"
# TriggerDAGRunPostBody and DAGRunResponse; unknown fields are refused, and logical_date has to be there, if only as null.
TRIGGER_FIELDS = {
    *("dag_run_id", "data_interval_start", "data_interval_end", "logical_date", "run_after", "conf", "note")
}


@dataclass(slots=True)
class Server:
    """states: what the run is in at each look. expire_after: after so many looks the token is refused once, as `expired`."""

    version: int
    states: list[str]
    expire_after: int = 0
    expired: int = 401
    runs: dict[str, dict[str, object]] = field(default_factory=dict)
    logins: int = 0
    looks: int = 0

    def answer(self, call: Call) -> Answer:
        if call.path == "/auth/token" and self.version == 2:
            return self._login(call)
        if call.headers.get("authorization") != self._expected():
            return Answer(401, {"detail": "Not authenticated"})
        place = f"/api/v{self.version}/dags/train-fraud/dagRuns"
        if call.method == "POST" and call.path == place:
            return self._trigger(call)
        run = call.path.removeprefix(f"{place}/")
        if call.method == "GET" and run in self.runs:
            self.looks += 1
            if self.looks == self.expire_after:
                self.logins += 1  # the token of before is not the one expected now
                return Answer(self.expired, {"detail": "expired"})
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return Answer(200, {"dag_run_id": run, "dag_id": "train-fraud", "state": state})
        return Answer(404, {"detail": f"{call.path} was not found"})

    def _login(self, call: Call) -> Answer:
        if call.body != {"username": "ann", "password": PASSWORD}:
            return Answer(401, {"detail": "Invalid credentials"})
        self.logins += 1
        return Answer(201, {"access_token": f"token-{self.logins}"})

    def _expected(self) -> str:
        if self.version == 1:
            return "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
        return f"Bearer token-{self.logins}"

    def _trigger(self, call: Call) -> Answer:
        body = call.body
        allowed = TRIGGER_FIELDS if self.version == 2 else TRIGGER_FIELDS - {"run_after"}
        if set(body) - allowed or (self.version == 2 and "logical_date" not in body):
            return Answer(422, {"detail": "extra fields not permitted"})
        if not isinstance(body["conf"], dict) or len(body.get("note") or "") > 1_000:
            return Answer(422, {"detail": "conf, note"})
        if body["dag_run_id"] in self.runs:
            return Answer(409, {"detail": "DAGRun already exists"})
        self.runs[body["dag_run_id"]] = body["conf"]
        return Answer(200, {"dag_run_id": body["dag_run_id"], "state": "queued"})


@pytest.fixture
def servers() -> Iterator[list[FakeApi]]:
    started: list[FakeApi] = []
    yield started
    for api in started:
        api.close()


def airflow(server: Server, started: list[FakeApi], password: str = PASSWORD) -> Airflow:
    started.append(FakeApi(server.answer))
    return Airflow(started[-1].url, "train-{model}", server.version, user="ann", password=password, poll_ms=1)


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_is_started_once_and_followed_to_its_end(version: int, servers: list[FakeApi]) -> None:
    server = Server(version, ["queued", "running", "success"])
    trainer, runs = airflow(server, servers), list[str]()
    assert hold(trainer.train(ORDER, ""), runs) == ""
    assert runs == [RUN]
    assert server.runs == {RUN: ORDER.parameters()}
    # After a crash between the start and its record it is asked for again, and is the same run.
    assert hold(trainer.train(ORDER, "")) == ""
    assert len(server.runs) == 1
    # After a restart it is looked at, not started.
    before = len(servers[0].calls)
    assert hold(trainer.train(ORDER, RUN)) == ""
    assert not any(call.path.endswith("dagRuns") for call in servers[0].calls[before:])


def test_a_run_that_fails_is_a_problem(servers: list[FakeApi]) -> None:
    assert hold(airflow(Server(2, ["running", "failed"]), servers).train(ORDER, "")) == f"run {RUN} failed"


@pytest.mark.parametrize("expired", [401, 403])  # 403: the server has started again, with another secret
def test_a_token_that_expires_while_the_run_is_followed_is_renewed(
    servers: list[FakeApi], expired: int
) -> None:
    server = Server(2, ["running", "running", "success"], expire_after=2, expired=expired)
    assert hold(airflow(server, servers).train(ORDER, "")) == ""
    assert server.logins == 3


def test_a_wrong_password_is_said_and_not_shown(servers: list[FakeApi]) -> None:
    trainer = airflow(Server(2, ["queued"]), servers, "wrong-password")
    problem = hold(trainer.train(ORDER, ""))
    assert problem == "Airflow gives no token to 'ann', status 401"
    assert "wrong-password" not in repr(trainer)


def test_a_dag_that_is_not_there_is_a_problem(servers: list[FakeApi]) -> None:
    other = TrainingOrder(ORDER.id, "credit", "1", "", "", (), "", "")
    problem = hold(airflow(Server(1, ["queued"]), servers).train(other, ""))
    assert problem.startswith("Airflow does not run the DAG, status 404")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_none_is_said_at_once(servers: list[FakeApi], status: int) -> None:
    servers.append(FakeApi(lambda _: Answer(status, {"detail": "Invalid JWT token"})))
    trainer = Airflow(servers[-1].url, "train", 2, "made-elsewhere", poll_ms=1)
    assert hold(trainer.train(ORDER, "")) == (
        f'Airflow does not run the DAG, status {status}: {{"detail": "Invalid JWT token"}}'
    )
    assert hold(trainer.train(ORDER, RUN)).startswith(
        f"Airflow does not tell of run {RUN} any more, status {status}"
    )
