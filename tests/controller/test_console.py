"""The console's pages, served for real, over the store's engine and a state machine without a broker."""

import html
import re
from collections.abc import Iterator
from concurrent.futures import Future
from types import MappingProxyType

import httpx
import numpy as np
import pytest
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
from driftsonde.controller.routes_console import COOKIE
from driftsonde.core.baseline import Baseline, Lineage, NumericReference
from driftsonde.core.control.access import Person, Role, Token, hash_token
from driftsonde.core.control.decisions import Decision
from driftsonde.core.control.incidents import Incident, Status
from driftsonde.core.control.inputs import Input
from driftsonde.core.control.machine import step
from driftsonde.core.control.state import State
from driftsonde.core.events import Role as ColumnRole
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import Mode, ModelSpec, Task
from driftsonde.standalone.store_process import running_store
from monitored_fleet import insert_fleet

pytestmark = pytest.mark.io

RECOMMEND = setting(retrain=Mode.RECOMMEND)
AMOUNT = NumericReference(
    "amount", ColumnRole.FEATURE, np.array([0.0, 1.0]), np.array([0, 5, 0, 0]), 2.5, 1.5, 0.0, 1.0
)
CATALOGUE = Catalogue(
    MappingProxyType({"fraud": ModelSpec("fraud", Task.BINARY), "new": ModelSpec("new", Task.BINARY)}),
    MappingProxyType(
        {
            ("fraud", "1"): Baseline("fraud", "1", 5, (AMOUNT,), (), None, Lineage("file", "f00d", 0, 1)),
            ("new", "1"): None,
        }
    ),
    MappingProxyType({}),
)
TOKENS = tuple(Token(Person(f"the {role}", role), hash_token(f"token-of-{role}")) for role in Role)


class Desk:
    """A writer without a journal, with an incident of drift whose retraining waits for approval."""

    def __init__(self) -> None:
        signals: list[Input] = [signal(SignalKind.ALERT), signal(SignalKind.RETRAIN, hour=2)]
        self.state, _ = after(State(), signals, RECOMMEND)

    def submit(self, event: Input) -> "Future[list[Decision]]":
        future: Future[list[Decision]] = Future()
        try:
            self.state, decisions = step(self.state, event, NOW_MS, RECOMMEND)
            future.set_result(decisions)
        except Exception as error:
            future.set_exception(error)
        return future

    @property
    def incident(self) -> Incident:
        (incident,) = self.state.model("fraud").incidents.values()
        return incident


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as process:
        store = Store(ClickHouseSettings(process.host, process.port, database="console"))
        apply_migrations(store, schemas_directory() / "clickhouse")
        insert_fleet(store)
        yield store
        store.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def serve(desk: Desk, store: Store, tokens: tuple[Token, ...] = ()) -> Door:
    guard = Guard(lambda: tokens, lambda: 0.0, lambda *_: None)
    backend = Backend(
        lambda: desk.state, lambda: CATALOGUE, desk.submit, Conditions(), CollectorRegistry(), guard, store
    )
    return Door("127.0.0.1", 0, backend)


def browser(door: Door) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{door.port}", trust_env=False, follow_redirects=True)


@pytest.fixture
def page(desk: Desk, store: Store) -> Iterator[httpx.Client]:
    door = serve(desk, store)
    with browser(door) as client:
        yield client
    door.close()


def text_of(response: httpx.Response, status: int = 200) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("text/html")
    content = re.sub(r"<(style|script).*?</\1>", "", response.text, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", content).split()))


def test_the_overview_shows_incidents_first_and_every_version(page: httpx.Client) -> None:
    text = text_of(page.get("/"))
    assert text.index("Open incidents") < text.index("Versions")
    assert "fraud drift · version 1, champion" in text
    assert "retrain waits for approval" in text
    assert re.search(r"demand 7 champion \w+ .* RMSE 4.47", text)


def test_a_model_has_its_story(page: httpx.Client) -> None:
    text = text_of(page.get("/models/fraud"))
    assert "amount" in text
    assert "Accuracy" in text
    assert "2026-03-30 00:00 to 2026-04-01 00:00 UTC" in text
    shorter = text_of(page.get("/models/fraud", params={"windows": 60}))
    assert "2026-03-30 00:00 to 2026-04-01 00:00 UTC" in shorter


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/models/nobody", 404, "is registered"),
        ("/models/new", 200, "No version has a baseline yet"),
        ("/incidents/none", 404, "No incident none is known"),
    ],
)
def test_what_is_not_there_is_said(page: httpx.Client, path: str, status: int, said: str) -> None:
    assert said in text_of(page.get(path), status)


def test_an_incident_shows_evidence_and_takes_answers(page: httpx.Client, desk: Desk) -> None:
    path = f"/incidents/{desk.incident.id}"
    text = text_of(page.get(path))
    assert "PSI of amount" in text
    assert "Retrain the model?" in text
    decision = re.search(r'name="decision" value="(\w+)"', page.get(path).text)
    assert decision
    after_it = text_of(
        page.post(path, data={"action": "approve", "decision": decision[1], "reason": "seen <b>it</b>"})
    )
    assert "retrain : approved" in after_it
    assert "seen <b>it</b>" in after_it
    again = text_of(page.post(path, data={"action": "reject", "decision": decision[1]}), 409)
    assert "Not done" in again


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("acknowledge", Status.ACKNOWLEDGED),
        ("resolve", Status.RESOLVED),
        ("false-alarm", Status.RESOLVED),
        ("snooze", Status.OPEN),
    ],
)
def test_every_button(page: httpx.Client, desk: Desk, action: str, said: Status) -> None:
    path = f"/incidents/{desk.incident.id}"
    text_of(page.post(path, data={"action": action, "reason": "tested"}))
    assert desk.incident.status is said
    assert any(
        record.first.kind.value in (action, "false_alarm", "resolve")
        or record.first.detail.reason == "tested"
        for record in desk.state.model("fraud").records.values()
    )


def test_unknown_buttons_and_foreign_forms_do_nothing(page: httpx.Client, desk: Desk) -> None:
    path = f"/incidents/{desk.incident.id}"
    assert "try again" in text_of(page.post(path, data={"action": "explode"}), 422)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        assert page.post(path, data={"action": "resolve"}, headers=headers).status_code == 403
    assert page.post(path, content=b"a" * 20_000).status_code == 413
    assert desk.incident.status is Status.OPEN


def test_without_a_store_incidents_can_still_be_handled(desk: Desk) -> None:
    door = serve(desk, Store(ClickHouseSettings("127.0.0.1", 1)))
    with browser(door) as page:
        assert "The store can't be read now" in text_of(page.get("/"))
        text_of(page.post(f"/incidents/{desk.incident.id}", data={"action": "acknowledge"}))
        assert "The store can't be read" in text_of(page.get("/models/fraud"), 503)
    assert desk.incident.status is Status.ACKNOWLEDGED
    door.close()


def test_with_tokens_people_sign_in_and_may_what_their_role_permits(desk: Desk, store: Store) -> None:
    door = serve(desk, store, TOKENS)
    path = f"/incidents/{desk.incident.id}"
    with browser(door) as page:
        assert page.get(path).url.path == "/login"
        assert "not known" in text_of(page.post("/login", data={"token": "guess"}), 401)
        text = text_of(page.post("/login", data={"token": "token-of-viewer", "next": path}))
        assert "the viewer" in text
        assert "Acknowledge" not in text
        assert "needs the role operator" in text_of(page.post(path, data={"action": "acknowledge"}), 403)
        cookie = page.post("/login", data={"token": "token-of-operator"}, follow_redirects=False).headers[
            "set-cookie"
        ]
        assert re.search(f"^{COOKIE}=.*HttpOnly.*SameSite=strict", cookie)
        text_of(page.post(path, data={"action": "acknowledge"}))
        assert (desk.incident.status, desk.incident.acknowledged_by) == (Status.ACKNOWLEDGED, "the operator")
        page.post("/logout")
        assert page.get("/").url.path == "/login"
    door.close()


def test_after_signing_in_nobody_is_led_elsewhere(desk: Desk, store: Store) -> None:
    door = serve(desk, store, TOKENS)
    with browser(door) as page:
        for next in ("https://evil.example/", "//evil.example", "/\\evil.example"):
            answer = page.post(
                "/login", data={"token": "token-of-viewer", "next": next}, follow_redirects=False
            )
            assert answer.headers["location"] == "/"
    door.close()


def test_pages_ask_no_other_host_and_forbid_it(page: httpx.Client, desk: Desk) -> None:
    for path in ("/", "/models/fraud", f"/incidents/{desk.incident.id}", "/login"):
        answer = page.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        links = re.findall(r'(?:src|href|action)="([^"#]*)"', answer.text)
        assert links
        assert all(link.startswith("/") and not link.startswith("//") for link in links if link)
        for name in re.findall(r'"/console/([^"]+)"', answer.text):
            assert page.get(f"/console/{name}").status_code == 200
