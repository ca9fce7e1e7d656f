"""The console's pages, served for real, over the store's engine and a state machine without a broker."""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import httpx
import pytest

from console_desk import CATALOGUE, TOKENS, Desk, serve, stores, with_incident, with_rollout
from control_examples import after, setting, signal
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.settings import ClickHouseSettings
from driftsonde.controller.app import STANDING_BY
from driftsonde.controller.console_pages import COOKIE
from driftsonde.controller.door import Door
from driftsonde.controller.problems import Unavailable
from driftsonde.core.control.incidents import Status
from driftsonde.core.control.inputs import (
    AutomationChange,
    Registered,
    Resolution,
    RolloutChange,
    RolloutWish,
    SplitChange,
)
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.proving import LiveNumber
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.state import State
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import InvalidEvent, Variant
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Policy, PromotionRule, StageRule

pytestmark = pytest.mark.io

FAR_MS = 4_102_444_800_000  # 2100: a model that is registered then learns whenever the tests run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with stores(tmp_path_factory.mktemp("store")) as (full, _):
        yield full


@pytest.fixture
def desk() -> Desk:
    return with_incident()


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
    assert "local (no sign-in)" in text
    assert re.search(
        r"fraud : amount changed since \S+ \S+ \S+ \S+ UTC Distance from its baseline \(PSI\): ", text
    )
    assert "version 1, champion" in text
    assert "retrain waits for approval" in text
    assert re.search(r"demand 7 champion \w+ .* RMSE 4.47", text)


def test_a_model_has_its_story(page: httpx.Client) -> None:
    text = text_of(page.get("/models/fraud"))
    assert "amount" in text
    assert "Accuracy" in text
    assert "2026-03-30 00:00 to 2026-04-01 00:00 UTC" in text
    shorter = text_of(page.get("/models/fraud", params={"windows": 60}))
    assert "2026-03-30 00:00 to 2026-04-01 00:00 UTC" in shorter


def test_an_incident_before_the_windows_shown_is_one_click_away(rolling: tuple[httpx.Client, Desk]) -> None:
    page, desk = rolling
    shorter = {"windows": 6}
    assert "was before these windows" not in text_of(page.get("/models/fraud", params=shorter))
    desk.submit(Resolution(desk.incident.id, "ada")).result()
    assert 'href="?windows=60"' in page.get("/models/fraud", params=shorter).text
    assert "was before these windows" not in text_of(page.get("/models/fraud"))


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


@pytest.fixture
def rolling(store: Store) -> Iterator[tuple[httpx.Client, Desk]]:
    desk = with_rollout()
    door = serve(desk, store)
    with browser(door) as client:
        yield client, desk
    door.close()


def test_a_rollout_shows_its_stage_its_split_and_its_evidence(rolling: tuple[httpx.Client, Desk]) -> None:
    page, _ = rolling
    text = text_of(page.get("/rollouts"))
    assert "fraud version 2 in place of 1 under way" in text
    assert "Nothing is being rolled out demand" in text
    text = text_of(page.get("/rollouts/fraud"))
    assert "under way Canary at 5 %" in text
    assert "1 champion 95 %" in text
    assert re.search("Not worse than the champion by more than|Undecided", text)
    assert "waits: incident" not in text  # the open one is about version 1
    assert "19,200" in text  # 24 windows of 800 labelled rows
    assert text.index("Version 2 is on its way (canary at 5 %)") < text.index(
        "Version 2 is on its way (shadow)"
    )
    assert "the shadow agrees" in text
    assert "trained on March" in text


def test_a_canary_set_by_hand_is_a_rollout_that_one_click_takes_back(store: Store) -> None:
    desk = with_rollout()
    desk.submit(RolloutChange("fraud", RolloutWish.ROLLBACK, "ada")).result()
    for weight, version in ((0.2, "2"), (0.3, "2")):
        desk.now_ms += HOUR_MS
        split = (Share("1", Variant.CHAMPION, 1 - weight), Share(version, Variant.CANARY, weight))
        desk.submit(SplitChange("fraud", split, "bob", "a look at it")).result()
    door = serve(desk, store)
    with browser(door) as page:
        text = text_of(page.get("/rollouts"))
        assert "fraud version 2 in place of 1 under way Canary at 30 %, set by bob: a look at it." in text
        assert "Requests now: version 1 (70 %), version 2 (30 %)." in text
        text = text_of(page.get("/rollouts/fraud"))
        assert "under way Canary at 30 %, set by bob: a look at it" in text
        assert "no policy moves it on" in text
        assert "No window of this rollout has labelled rows of both versions yet." in text
        assert "Pause" not in text
        assert "Earlier version 2 in place of 1: taken back" in text
        desk.now_ms += 1
        text = text_of(page.post("/rollouts/fraud", data={"action": "end", "reason": "seen enough"}))
        assert "1 champion 100 %" in text
        assert "seen enough" in text
        assert "Take it back" not in text
        assert "Not done" in text_of(page.post("/rollouts/fraud", data={"action": "end"}), 409)
    door.close()


def test_a_rollout_says_what_it_has_to_show_and_what_retraining_costs(store: Store) -> None:
    desk = with_rollout()
    production = StageRule(live=("accuracy >= 0.9", "accuracy >= production"))
    policy = Policy(
        promotion=PromotionRule(production=production), actions=ActionPolicy(retrain_budget=100.0)
    )
    spec = replace(CATALOGUE.specs["fraud"], policy=policy, value_unit="EUR")
    numbers = {"fraud": {"2": {"accuracy": LiveNumber(0.91, 500)}}}
    asking = replace(CATALOGUE, specs=MappingProxyType({"fraud": spec}))
    door = serve(desk, store, catalogue=asking, live=lambda model: numbers.get(model, {}))
    with browser(door) as page:
        text = text_of(page.get("/rollouts/fraud"))
        assert "shown : live accuracy >= 0.9 it is 0.91 on 500 rows" in text
        assert "not yet shown : live accuracy >= production accuracy is not measured of version 1" in text
        assert "0 retrainings in the last 30 days, at a cost of 0 EUR of at most 100 EUR." in text
    door.close()


@pytest.mark.parametrize(
    ("action", "said", "split"),
    [
        ("pause", "paused Canary at 5 %", "95 %"),
        ("advance", "under way Canary at 25 %", "75 %"),
        ("promote", "Version 2 became the champion", "2 champion 100 %"),
        ("rollback", "Version 2 was taken back", "1 champion 100 %"),
    ],
)
def test_every_button_of_a_rollout(
    rolling: tuple[httpx.Client, Desk], action: str, said: str, split: str
) -> None:
    page, desk = rolling
    form = {"action": action, "reason": "tested <i>", "confirmed": "yes"}
    text = text_of(page.post("/rollouts/fraud", data=form))
    assert said in text
    assert split in text
    assert "tested <i>" in text
    last = max((r.last for r in desk.state.model("fraud").records.values()), key=lambda d: d.sequence)
    assert last.actor == "local"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("advance", "Next stage? This speaks against it"),
        ("promote", "It leaves out what is still ahead: 25 %, 50 %"),
    ],
)
def test_what_goes_against_the_evidence_asks_first_and_wants_a_reason(
    rolling: tuple[httpx.Client, Desk], action: str, said: str
) -> None:
    page, desk = rolling
    desk.submit(AutomationChange("fraud", True, "ada", "a freeze")).result()
    before = desk.state
    for form in ({"reason": "sure"}, {"confirmed": "yes", "reason": " "}):
        text = text_of(page.post("/rollouts/fraud", data={"action": action, **form}))
        assert said in text
        assert "Automation is stopped by ada: a freeze" in text
        assert (
            "<li>Undecided: it may still be worse" in page.get("/rollouts/fraud", params={"ask": action}).text
        )
        assert "all the same" in text
        assert desk.state is before
    assert 'value="sure"' in page.post("/rollouts/fraud", data={"action": action, "reason": "sure"}).text
    text_of(page.post("/rollouts/fraud", data={"action": action, "confirmed": "yes", "reason": "sure"}))
    assert desk.state is not before


def test_a_second_rollout_begins_without_evidence(rolling: tuple[httpx.Client, Desk]) -> None:
    page, desk = rolling
    assert "No window" not in text_of(page.get("/rollouts/fraud"))
    text_of(page.post("/rollouts/fraud", data={"action": "rollback"}))
    desk.now_ms += 1
    again = text_of(page.post("/rollouts/fraud", data={"action": "start", "version": "2"}))
    assert "No window of this rollout has labelled rows of both versions yet." in again


def test_a_champion_that_was_taken_back_was_the_champion(rolling: tuple[httpx.Client, Desk]) -> None:
    page, desk = rolling
    for wish in (RolloutWish.PROMOTE, RolloutWish.ROLLBACK):
        desk.now_ms += 1
        desk.submit(RolloutChange("fraud", wish, "ada")).result()
    assert "champion taken back here" in text_of(page.get("/rollouts/fraud"))


def test_a_paused_rollout_goes_on_and_one_that_is_over_can_be_started_anew(
    rolling: tuple[httpx.Client, Desk],
) -> None:
    page, desk = rolling
    text_of(page.post("/rollouts/fraud", data={"action": "pause"}))
    assert "Resume" in text_of(page.post("/rollouts/fraud", data={"action": "pause"}))
    assert "under way" in text_of(page.post("/rollouts/fraud", data={"action": "resume"}))
    over = text_of(page.post("/rollouts/fraud", data={"action": "rollback"}))
    assert "Pause" not in over
    assert "Start the rollout" in over
    assert "Not done" in text_of(page.post("/rollouts/fraud", data={"action": "advance"}), 409)
    unknown = text_of(page.post("/rollouts/fraud", data={"action": "start", "version": "9"}), 409)
    assert "no version '9'" in unknown
    desk.now_ms += 1
    again = text_of(page.post("/rollouts/fraud", data={"action": "start", "version": "2"}))
    assert "under way Shadow" in again
    assert "Earlier version 2 in place of 1: taken back" in again


def test_an_incident_says_what_since_when_and_why(rolling: tuple[httpx.Client, Desk]) -> None:
    page, desk = rolling
    path = f"/incidents/{desk.incident.id}"
    text = text_of(page.get(path))
    assert re.search(
        r"amount changed fraud, version 1, champion open since 31 Mar 2026 12:00:00 UTC \( \d+ d ago \) "
        r"amount has moved up: typical value [\d.]+ → [\d.]+\. "
        r"Distance from its baseline \(PSI\): 0\.\d+, the limit is 0\.20\. "
        r"Accuracy not affected so far: \d\d\.\d %, before \d\d\.\d % \([\d,]+ labels\)\.",
        text,
    )
    over = text_of(page.post(path, data={"action": "false-alarm"}))
    assert "local called it a false alarm at" in over


def test_what_would_have_paged_is_shown_while_a_model_learns(store: Store) -> None:
    actions = ActionPolicy(learning_ms=HOUR_MS)
    news = Registered("fraud", "", Registration(FAR_MS, spec="{}"))
    policy = replace(setting(), governance=lambda _: Governance(actions, "p1"))
    desk = Desk(after(State(), [news, signal(SignalKind.ALERT)], policy)[0], policy)
    spec = replace(CATALOGUE.specs["fraud"], policy=Policy(actions=actions))
    learning = replace(CATALOGUE, specs=MappingProxyType({"fraud": spec}))
    door = serve(desk, store, catalogue=learning)
    with browser(door) as page:
        said = "learning until 1 Jan 2100 01:00 UTC; would have paged"
        assert said in text_of(page.get("/"))
        assert f"Nobody was told: {said}." in text_of(page.get(f"/incidents/{desk.incident.id}"))
        story = text_of(page.get("/models/fraud"))
        assert "Learning until 1 Jan 2100 01:00 UTC: nobody is called" in story
        assert said in story
    door.close()
    at_once = replace(spec, policy=Policy(actions=ActionPolicy(learning_ms=0)))
    door = serve(desk, store, catalogue=replace(CATALOGUE, specs=MappingProxyType({"fraud": at_once})))
    with browser(door) as page:
        assert "nobody is called" not in text_of(page.get("/models/fraud"))
    door.close()


def test_a_version_without_traffic_is_not_serving(store: Store) -> None:
    door = serve(with_rollout(), store)
    with browser(door) as page:
        page.post("/rollouts/fraud", data={"action": "rollback"})
        assert "fraud 2 canary not serving" in text_of(page.get("/"))
    door.close()


def test_an_incident_ranks_the_columns_of_its_window(rolling: tuple[httpx.Client, Desk]) -> None:
    page, desk = rolling
    text = text_of(page.get(f"/incidents/{desk.incident.id}"))
    ranked = text[text.index("How different each column was") :]
    assert re.search(r"PSI and limit amount 0\.[2-9]\d limit 0\.20 (country|score) 0\.0", ranked)
    assert "PSI : how different the distribution of a column is" in ranked


def test_what_is_not_there_of_a_rollout_is_said(
    page: httpx.Client, rolling: tuple[httpx.Client, Desk]
) -> None:
    assert "No version is on its way" in text_of(page.get("/rollouts"))
    assert "No version of this model is on its way" in text_of(page.get("/rollouts/new"))
    assert "is registered" in text_of(page.get("/rollouts/nobody"), 404)
    client, _ = rolling
    text_of(client.post("/rollouts/demand", data={"action": "start", "version": "7"}), 409)


def test_decisions_have_a_timeline(rolling: tuple[httpx.Client, Desk], page: httpx.Client) -> None:
    client, desk = rolling
    text = text_of(client.get("/decisions"))
    asked, moved = "Retraining proposed, waits for a yes", "Version 2 is on its way (canary at 5 %)"
    assert re.search("amount .* open fraud · version 1 · .* waits for approval", text)
    assert text.index("Incident opened") < text.index(asked) < text.index(moved)
    assert "by ada; requests now: version 1 (95 %), version 2 (5 %): the shadow agrees" in text
    chosen = text_of(client.get("/decisions", params={"kind": "rollout", "model": "fraud"}))
    assert asked not in chosen
    assert "Nothing of this kind" in text_of(client.get("/decisions", params={"model": "demand"}))
    assert f"/incidents/{desk.incident.id}" in client.get("/decisions").text


def test_stopped_automation_is_said_on_every_page(rolling: tuple[httpx.Client, Desk]) -> None:
    page, desk = rolling
    assert "Runs" in text_of(page.get("/controls"))
    text_of(page.post("/controls", data={"action": "stop", "model": "*", "reason": "a test"}))
    said = "Automation is stopped for all models by local: a test"
    for path in (
        "/",
        "/models/fraud",
        "/rollouts",
        "/rollouts/fraud",
        "/decisions",
        "/controls",
        "/models/x",
    ):
        assert said in html.unescape(page.get(path).text), path
    text = text_of(page.post("/controls", data={"action": "run", "model": "*"}))
    assert "stopped" not in text
    text_of(page.post("/controls", data={"action": "stop", "model": "fraud", "reason": "look"}))
    assert "Automation of fraud is stopped by local: look" in text_of(page.get("/"))
    assert desk.state.stopped("fraud")
    assert not desk.state.stopped("demand")
    assert "is registered" in text_of(page.post("/controls", data={"action": "stop", "model": "x"}), 409)


def test_maintenance_is_announced_and_ended(rolling: tuple[httpx.Client, Desk]) -> None:
    page, desk = rolling
    assert "None is announced" in text_of(page.get("/controls"))
    body = {"action": "announce", "model": "fraud", "hours": "8", "reason": "new features"}
    text = text_of(page.post("/controls", data=body))
    assert "Maintenance of fraud until" in text
    assert "by local: new features" in text
    (known,) = desk.state.model("fraud").maintenance
    assert "None is announced" in text_of(
        page.post("/controls", data={"action": "end", "maintenance": known})
    )
    for wrong in ({"hours": "9000"}, {"model": "x"}, {"hours": ""}):
        assert "Not done" in text_of(page.post("/controls", data={**body, **wrong}), 409)


def test_roles_decide_which_buttons_there_are(store: Store) -> None:
    desk = with_rollout()
    door = serve(desk, store, TOKENS)
    forms = {"/rollouts/fraud": ("pause", "approver"), "/controls": ("stop", "admin")}
    with browser(door) as page:
        for role, may in (
            ("operator", set[str]()),
            ("approver", {"approver"}),
            ("admin", {"approver", "admin"}),
        ):
            page.post("/login", data={"token": f"token-of-{role}"})
            for path, (action, needed) in forms.items():
                assert (f'value="{action}"' in page.get(path).text) is (needed in may), (role, path)
                if needed not in may:
                    refused = text_of(page.post(path, data={"action": action}), 403)
                    assert f"This needs the role {needed}" in refused
    assert not desk.state.stopped("fraud")
    door.close()


def test_without_a_store_rollouts_can_still_be_steered() -> None:
    desk = with_rollout()
    door = serve(desk, Store(ClickHouseSettings("127.0.0.1", 1)))
    with browser(door) as page:
        assert "The store can't be read now" in text_of(page.get("/rollouts/fraud"))
        assert "paused" in text_of(page.post("/rollouts/fraud", data={"action": "pause"}))
    door.close()


def test_an_instance_that_stands_by_says_so_as_a_page(desk: Desk, store: Store) -> None:
    def away() -> State:
        raise Unavailable(STANDING_BY)

    door = serve(desk, store, state=away)
    with browser(door) as page:
        for path in ("/", "/rollouts", "/decisions", "/controls", "/models/fraud"):
            assert "another instance leads" in text_of(page.get(path), 503)
        assert "windows:" in text_of(page.get("/models/fraud", params={"windows": "many"}), 422)
    door.close()


def test_what_is_stored_and_can_t_be_read_is_a_page_too(desk: Desk, store: Store) -> None:
    def broken() -> State:
        raise InvalidEvent("detail", "no JSON")

    door = serve(desk, store, state=broken)
    with browser(door) as page:
        assert "Something stored can't be read detail: no JSON" in text_of(page.get("/decisions"), 500)
    door.close()


BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_browser_gets_a_page_where_a_program_gets_problem_details(page: httpx.Client) -> None:
    text = text_of(page.get("/no/such/place", headers=BROWSER), 404)
    assert "There is no such page Nothing is at /no/such/place." in text
    assert "Rollouts" in text
    assert "That can't be done here" in text_of(page.post("/decisions", headers=BROWSER), 405)
    for path, headers in (("/no/such/place", {}), ("/v1/no-such", BROWSER), ("/v1/incidents/x", BROWSER)):
        answer = page.get(path, headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


def test_an_error_leaves_a_way_on_to_whoever_is_known(desk: Desk, store: Store) -> None:
    door = serve(desk, store, TOKENS)
    with browser(door) as page:
        assert "Sign out" not in text_of(page.get("/no/such/place", headers=BROWSER), 404)
        page.post("/login", data={"token": "token-of-viewer"})
        assert "the viewer" in text_of(page.get("/no/such/place", headers=BROWSER), 404)
        assert "the viewer" in text_of(page.get("/models/fraud", params={"windows": "many"}), 422)
    door.close()
