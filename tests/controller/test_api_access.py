"""The HTTP API: who may do what, and what is kept of it."""

from typing import Any

import httpx
import pytest

from api_desk import RECOMMEND, TOKENS, Desk, door, ok, problem
from control_examples import NOW_MS, after, signal
from driftsonde.core.control.access import Role
from driftsonde.core.control.inputs import Registered, SplitChange
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind

pytestmark = pytest.mark.io


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
