"""The commands that ask the controller's API, against the API over a state machine without a broker."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import Future
from types import MappingProxyType

import pytest
from prometheus_client import CollectorRegistry

from control_examples import NOW_MS, after, setting, signal
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.cli import main
from driftsonde.controller.backend import Backend
from driftsonde.controller.door import Door
from driftsonde.controller.guard import Guard
from driftsonde.core.control.access import Person, Role, Token, hash_token
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.inputs import Input
from driftsonde.core.control.machine import step
from driftsonde.core.control.state import State, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import ModelSpec, Task

pytestmark = pytest.mark.io

CATALOGUE = Catalogue(
    MappingProxyType({"fraud": ModelSpec("fraud", Task.BINARY)}),
    MappingProxyType({("fraud", "1"): None, ("fraud", "2"): None}),
    MappingProxyType({}),
)


class Desk:
    """A writer without a journal."""

    def __init__(self) -> None:
        alone = Traffic("fraud", (Share("1", Variant.CHAMPION, 1.0),), 1, "d0")
        self.state, (self.alert,) = after(with_traffic(State(), alone), [signal(SignalKind.ALERT)], setting())

    def submit(self, event: Input) -> "Future[list[Decision]]":
        future: Future[list[Decision]] = Future()
        try:
            self.state, decisions = step(self.state, event, NOW_MS, setting())
            future.set_result(decisions)
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk()
    tokens = (Token(Person("ann", Role.ADMIN), hash_token("secret")),)
    guard = Guard(lambda: tokens, lambda: 0.0, desk.submit)
    backend = Backend(
        lambda: desk.state,
        lambda: CATALOGUE,
        desk.submit,
        Conditions(),
        CollectorRegistry(),
        guard,
        Store(ClickHouseSettings()),
    )
    door = Door("127.0.0.1", 0, backend)
    monkeypatch.setenv("CONTROLLER_URL", f"http://127.0.0.1:{door.port}/")
    monkeypatch.setenv("CONTROLLER_TOKEN", "secret")
    yield desk
    door.close()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, out + err


def test_a_rollout_from_start_to_end(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "rollout", "status", "fraud") == (
        1,
        "driftsonde: no rollout of model 'fraud' is known\n",
    )
    assert run(capsys, "rollout", "start", "fraud", "2", "--reason", "better") == (
        0,
        "fraud: version 2 for 1: running, shadow\n",
    )
    for wish, said in (
        ("advance", "running, canary at 5 %"),
        ("pause", "paused, canary at 5 %"),
        ("resume", "running, canary at 5 %"),
        ("promote", "promoted, champion"),
        ("rollback", "rolled-back, taken back"),
    ):
        assert run(capsys, "rollout", wish, "fraud") == (0, f"fraud: version 2 for 1: {said}\n")
    assert run(capsys, "rollout", "pause", "fraud")[0] == 1
    reasons = [record.last.detail.reason for record in desk.state.model("fraud").records.values()]
    assert "version 2: shadow; better" in reasons


def test_the_switch(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "automation", "status") == (0, "automation runs\n")
    assert run(capsys, "automation", "stop", "--reason", "odd") == (0, "all models: stopped by ann: odd\n")
    assert run(capsys, "automation", "stop", "--model", "fraud")[1].endswith("fraud: stopped by ann\n")
    assert run(capsys, "automation", "start") == (0, "fraud: stopped by ann\n")


def test_a_program_reads_json(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "automation", "stop", "--reason", "odd", "--json")
    assert (status, json.loads(out)["stopped"]) == (0, {"*": "ann: odd"})
    status, out = run(capsys, "rollout", "start", "fraud", "2", "--json")
    assert (status, json.loads(out)["version"]) == (0, "2")


def test_a_decision_is_explained(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = run(capsys, "explain", desk.alert.id)
    assert (status, out.splitlines()[0]) == (0, "alert of fraud, version 1: decided")
    assert run(capsys, "explain", "none") == (
        2,
        "driftsonde: no decision 'none', no incident 'none', and none of a model 'none'\n",
    )


def test_the_newest_incident_is_explained_without_an_id(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    (incident,) = desk.state.model("fraud").incidents
    for about in ((), ("fraud",), (incident,)):
        status, out = run(capsys, "explain", *about)
        first, since, because, *rest = out.splitlines()
        assert (status, first) == (0, "fraud: amount changed (open)")
        assert re.fullmatch(r"since     1 Jan 1970 00:00:00 UTC \(\d+ d ago\), version 1, champion", since)
        assert because == "because   Distance from its baseline (PSI): 0.70, the limit is 0.20."
        assert any(line.startswith("done      ") and "Incident opened" in line for line in rest)
        assert rest[-1] == f"more      driftsonde explain {desk.alert.id}"
    status, out = run(capsys, "explain", "--json")
    found = json.loads(out)
    assert (status, found["incident"], found["model"]) == (0, incident, "fraud")
    desk.state = State()
    assert run(capsys, "explain") == (2, "driftsonde: no incident yet\n")


def test_what_the_api_says_no_to(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROLLER_TOKEN", "wrong")
    assert run(capsys, "automation", "stop") == (
        1,
        "driftsonde: this token is not known, or no longer valid\n",
    )
    monkeypatch.setenv("CONTROLLER_URL", "http://127.0.0.1:1")
    status, out = run(capsys, "automation", "stop")
    assert (status, out.count("\n")) == (1, 1)
    assert "127.0.0.1:1" in out
