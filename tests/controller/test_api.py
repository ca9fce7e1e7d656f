"""The HTTP API: what is registered, what is wrong, and how it is when nobody answers."""

import httpx
import pytest

from api_desk import BASELINE, RECOMMEND, Desk, door, ok, problem
from control_examples import after, signal
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.specs import baseline_document
from driftsonde.core.signals import SignalKind

pytestmark = pytest.mark.io


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


def test_what_is_not_there_or_wrong_names_the_field(api: httpx.Client) -> None:
    problem(api.get("/v1/decisions/none"), 404)
    problem(api.post("/v1/decisions/none/approve", json={}), 404)
    # Who acts is said by the token alone.
    assert "actor" in problem(api.post("/v1/decisions/none/approve", json={"actor": "ann"}), 422)
    assert "limit" in problem(api.get("/v1/decisions", params={"limit": 0}), 422)
    assert "step" in problem(api.get("/v1/decisions", params={"step": "maybe"}), 422)
    problem(api.get("/v1/nothing"), 404)
    problem(api.delete("/v1/models"), 405)


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
