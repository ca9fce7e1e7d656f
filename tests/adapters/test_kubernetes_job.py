"""A retraining as a Job: what is created, and what the API server's answers lead to."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from driftsonde.adapters.kubernetes import Kubernetes
from driftsonde.adapters.kubernetes_job import JobFile, JobTemplate, KubernetesJob, job_name
from driftsonde.adapters.talk import WriteFile
from driftsonde.adapters.training import TrainingOrder
from fake_api import Answer, Call, FakeApi
from object_schemas import problems_of, schema
from talks import hold

ORDER = TrainingOrder(
    id="0123456789abcdef0123456789abcdef",
    model="fraud/eu",
    version="3",
    incident="i1",
    reason='psi of "amount" is above 0.2',
    columns=("amount", "country"),
    window_start="2026-11-01T00:00:00.000Z",
    window_end="2026-11-02T00:00:00.000Z",
)
TEMPLATE = JobTemplate(
    container={
        "image": "registry.example.com/train:1",
        "command": ["python", "-m", "train"],
        "env": [{"name": "OWN", "value": "1"}],
        "resources": {"requests": {"cpu": "2"}},
    },
    pod={"serviceAccountName": "trainer"},
    namespace="ml",
    deadline_s=3_600,
)
JOBS = "/apis/batch/v1/namespaces/ml/jobs"


@dataclass(slots=True)
class ApiServer:
    """conditions: of the Job's status at each look."""

    conditions: list[list[dict[str, str]]]
    jobs: dict[str, Any] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer:
        if call.headers.get("authorization") != "Bearer sa-token":
            return Answer(401, {"kind": "Status", "reason": "Unauthorized"})
        if call.method == "POST" and call.path == JOBS:
            wrong = problems_of(schema("job"), call.body)
            if wrong:
                return Answer(422, {"kind": "Status", "message": "; ".join(wrong)})
            name = call.body["metadata"]["name"]
            if name in self.jobs:
                return Answer(409, {"kind": "Status", "reason": "AlreadyExists"})
            self.jobs[name] = call.body
            return Answer(201, call.body)
        name = call.path.removeprefix(f"{JOBS}/")
        if call.method == "GET" and name in self.jobs:
            conditions = self.conditions.pop(0) if len(self.conditions) > 1 else self.conditions[0]
            return Answer(200, {**self.jobs[name], "status": {"conditions": conditions}})
        return Answer(404, {"kind": "Status", "reason": "NotFound"})


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("sa-token\n")
    return file


@pytest.fixture
def servers() -> Iterator[list[FakeApi]]:
    started: list[FakeApi] = []
    yield started
    for api in started:
        api.close()


def condition(kind: str, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": "BackoffLimitExceeded", "message": "too often"}


def test_the_manifest_is_a_job_and_says_what_to_train_on() -> None:
    manifest = TEMPLATE.manifest(ORDER)
    assert problems_of(schema("job"), manifest) == []
    pod = manifest["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["restartPolicy"]) == ("trainer", "Never")
    (container,) = pod["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment["OWN"] == "1"
    assert environment["DRIFTSONDE_MODEL"] == "fraud/eu"
    assert json.loads(environment["DRIFTSONDE_COLUMNS"]) == ["amount", "country"]
    assert environment["DRIFTSONDE_WINDOW_END"] == ORDER.window_end
    assert manifest["metadata"]["labels"]["driftsonde/model"] == "fraud-eu"


def test_the_check_of_the_manifest_can_fail() -> None:
    manifest = TEMPLATE.manifest(ORDER)
    manifest["spec"]["backOffLimit"] = 1
    manifest["spec"]["template"]["spec"]["containers"][0]["command"] = "python"
    assert problems_of(schema("job"), manifest) == [
        "spec.template.spec.containers.0.command: expected array",
        "spec.backOffLimit: unknown field",
    ]


@pytest.mark.io
def test_a_job_is_created_once_and_followed_to_its_end(servers: list[FakeApi], token: Path) -> None:
    server = ApiServer([[], [condition("Complete", "False")], [condition("Complete")]])
    servers.append(FakeApi(server.answer))
    trainer, runs = KubernetesJob(Kubernetes(servers[0].url, str(token)), TEMPLATE, 1), list[str]()
    assert hold(trainer.train(ORDER, ""), runs) == ""
    assert runs == [job_name(ORDER)] == list(server.jobs)
    assert hold(trainer.train(ORDER, "")) == ""  # the same Job
    assert len(server.jobs) == 1
    before = len(servers[0].calls)
    assert hold(trainer.train(ORDER, runs[0])) == ""
    assert {call.method for call in servers[0].calls[before:]} == {"GET"}


@pytest.mark.io
def test_a_job_that_fails_or_is_gone_is_a_problem(servers: list[FakeApi], token: Path) -> None:
    servers.append(FakeApi(ApiServer([[condition("Failed")]]).answer))
    trainer = KubernetesJob(Kubernetes(servers[0].url, str(token)), TEMPLATE, 1)
    name = job_name(ORDER)
    assert hold(trainer.train(ORDER, "")) == f"the Job {name} failed: BackoffLimitExceeded too often"
    assert hold(trainer.train(ORDER, "another")) == "the Job another is gone"


@pytest.mark.io
def test_a_manifest_that_is_refused_is_a_problem(servers: list[FakeApi], token: Path) -> None:
    servers.append(FakeApi(ApiServer([[]]).answer))
    broken = JobTemplate({"image": 7}, namespace="ml")
    problem = hold(KubernetesJob(Kubernetes(servers[0].url, str(token)), broken, 1).train(ORDER, ""))
    assert problem.startswith("Kubernetes does not take the Job, status 422")


def test_a_manifest_for_gitops_is_a_file_named_after_the_decision(tmp_path: Path) -> None:
    talk = JobFile(tmp_path, TEMPLATE).train(ORDER, "")
    written = next(talk)
    assert isinstance(written, WriteFile)
    assert written.path == tmp_path / f"{job_name(ORDER)}.json"
    assert json.loads(written.content) == TEMPLATE.manifest(ORDER)
    with pytest.raises(StopIteration) as end:
        next(talk)
    assert end.value.value == ""
