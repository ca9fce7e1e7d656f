"""Drift that is handled, from the stream to the new champion or back, with every system that takes part as it really is."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from driftsonde.adapters.settings import environment
from driftsonde.cli import main
from handled.scene import Scene, first_window_ms, new_history, scene, spec
from handled.serving import Serving
from kafka.jars import missing
from required import need

pytestmark = [pytest.mark.io, pytest.mark.slow, pytest.mark.timeout(1_800)]

Command = Callable[..., str]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    need(missing())
    with scene(tmp_path_factory.mktemp("handled")) as made:
        yield made
        assert made.world.ended() == []
        assert made.pager.wrong == []


@pytest.fixture
def driftsonde(at: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, as somebody types it who may read Kafka and ClickHouse."""
    for name, value in environment(at.world.settings).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        assert ended.value.code == 0, out + err
        return out

    return run


def begin(at: Scene, driftsonde: Command, model: str, *, shadow: bool) -> int:
    """A model whose first version, from MLflow, serves. Returns the time of the first window."""
    start_ms = first_window_ms()
    file = new_history(at.folder, model, start_ms)
    at.train(model, start_ms)
    spec_file = at.folder / f"{model}.toml"
    spec_file.write_text(spec(model, shadow=shadow))
    said = driftsonde(
        *("register", str(spec_file), "--data", str(file)),
        *("--mlflow", f"models:/{model}/1", "--mlflow-url", at.mlflow),
    )
    assert f"{model}/1/origin: registered" in said
    return start_ms


def takes_over(at: Scene, serving: Serving) -> None:
    """Version 1 becomes the champion, and serves a while without anything to report."""
    model = serving.model
    at.wait_until("the model is known", lambda: at.api.get(f"/v1/models/{model}").is_success)
    split = [{"version": "1", "variant": "champion", "weight": 1.0}]
    at.api.put(f"/v1/traffic/{model}", json={"split": split}).raise_for_status()
    at.wait_until("MLflow follows", lambda: at.aliases(model) == {"champion": "1"})
    at.wait_until("the router has it", lambda: at.routes(model, "1"))
    for _ in range(8):
        serving.window()
    assert at.get("/v1/incidents", model=model)["items"] == []


def check_retraining(at: Scene, model: str) -> None:
    """One run, told why, about what, on which data; its version in the catalogue, with where it comes from."""
    (run,) = at.runs(model)
    (retrain,) = [it for it in at.decisions(model) if (it["kind"], it["steps"][0]) == ("retrain", "decided")]
    told = run["parameters"]
    assert run["state"]["type"] == "COMPLETED"
    assert told["decision"] == run["idempotency_key"] == retrain["id"]
    assert (told["model"], told["version"], told["incident"]) == (model, "1", retrain["incident"])
    assert "x" in told["columns"]
    assert "psi of x" in told["reason"]
    assert told["window_start"] < told["window_end"]
    origin = at.origin(model, "2")
    assert dict(origin["tags"])["driftsonde.decision"] == retrain["id"]
    assert dict(origin["params"])["window_start"] == told["window_start"]
    assert origin["run"]
    assert [name for name, _ in origin["columns"]] == ["x"]
    assert [name for name, _ in origin["data"]] == ["served"]


def check_log(at: Scene, driftsonde: Command, model: str) -> dict[str, list[str]]:
    """The audit log holds, in Kafka and in the archive, and every decision is explained. Returns the texts by kind."""

    def verified() -> str:
        return driftsonde("audit", "verify", "--model", model)

    at.wait_until("the archive has all", lambda: "archive is behind" not in verified())
    assert re.search(
        rf"^{model}: topic: (\d+ links, head \w+)\n{model}: archive: \1$", verified(), re.MULTILINE
    )
    texts: dict[str, list[str]] = {}
    for decision in at.decisions(model):
        text = driftsonde("explain", decision["id"])
        assert text.startswith(f"{decision['kind']} of {model}")
        assert "link " in text
        assert "still to do" not in text
        texts.setdefault(decision["kind"], []).append(text)
    return texts


def of_kind(decisions: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [it for it in decisions if it["kind"] == kind]


def test_a_good_candidate_becomes_the_champion(at: Scene, driftsonde: Command) -> None:
    with at.serving("fraud", begin(at, driftsonde, "fraud", shadow=True)) as serving:
        takes_over(at, serving)
        serving.drifted = True
        seen: list[dict[str, str]] = []

        def noted() -> dict[str, str]:
            split = at.split("fraud")
            if not seen or seen[-1] != split:
                seen.append(split)
            return split

        at.serve_until(serving, "a retraining", lambda: bool(at.runs("fraud")))
        at.serve_until(serving, "version 2 in the split", lambda: "2" in noted())
        assert at.origin("fraud", "2")["source"] == "mlflow models:/fraud/2"
        at.serve_until(serving, "version 2 as champion", lambda: noted() == {"2": "champion"})
        at.serve_until(serving, "MLflow's champion", lambda: at.aliases("fraud") == {"champion": "2"})
        at.serve_until(serving, "the router's", lambda: not at.routes("fraud", "1"))
        at.serve_until(serving, "an end to all incidents", lambda: at.open_incidents("fraud") == [])
        served = serving.served
    assert seen == [
        {"1": "champion"},
        {"1": "champion", "2": "shadow"},
        {"1": "champion", "2": "canary"},
        {"2": "champion"},
    ]
    assert {key for key, rows in served.items() if rows} >= {
        ("1", "champion"),
        ("2", "shadow"),
        ("2", "canary"),
    }
    check_retraining(at, "fraud")
    decisions = at.decisions("fraud")
    promoted = [it for it in of_kind(decisions, "promote") if it["steps"][-1] == "performed"]
    assert len(promoted) == 3  # out of the shadow, to the second stage of the canary, to champion
    at.wait_until("nothing is left to do", lambda: at.idle("fraud"))
    texts = check_log(at, driftsonde, "fraud")
    assert any("psi of x" in text for text in texts["alert"])
    (retrained,) = [
        text for text in texts["retrain"] if text.startswith("retrain of fraud, version 1: performed")
    ]
    assert f"run       {at.runs('fraud')[0]['id']}" in retrained
    assert any("version 2 is the candidate: mlflow models:/fraud/2" in text for text in texts["candidate"])
    (last,) = [text for text in texts["promote"] if "rollout   version 2: promoted, champion" in text]
    assert "not worse than the champion by more than 0.05" in last
    assert "traffic   2 champion 100 %" in last
    assert any("version 1 does not serve any more, by promote" in text for text in texts["resolve"])
    for incident in at.get("/v1/incidents", model="fraud")["items"]:
        events = at.pager.events[incident["id"]]
        assert (events[0], events[-1]) == ("trigger", "resolve")


def test_a_bad_candidate_is_taken_back(at: Scene, driftsonde: Command) -> None:
    with at.serving("credit", begin(at, driftsonde, "credit", shadow=False)) as serving:
        takes_over(at, serving)
        serving.drifted = True
        at.serve_until(serving, "a retraining", lambda: bool(at.runs("credit")))
        at.serve_until(serving, "version 2 as canary", lambda: at.split("credit").get("2") == "canary")
        at.wait_until(
            "MLflow's challenger",
            lambda: at.aliases("credit") == {"champion": "1", "challenger": "2"},
        )
        at.serve_until(serving, "version 2 taken back", lambda: at.split("credit") == {"1": "champion"})
        at.wait_until("MLflow's aliases as before", lambda: at.aliases("credit") == {"champion": "1"})
        at.wait_until("the router's", lambda: not at.routes("credit", "2"))
        assert serving.served["2", "canary"] > 0
        # What the champion cannot do is still so, until the stream is as it was.
        assert {it["version"] for it in at.open_incidents("credit")} == {"1"}
        serving.drifted = False
        at.serve_until(serving, "an end to all incidents", lambda: at.open_incidents("credit") == [])
    check_retraining(at, "credit")
    (canary,) = [it for it in at.get("/v1/incidents", model="credit")["items"] if it["rule"] == "canary"]
    assert (canary["version"], canary["status"], canary["resolved_by"]) == ("2", "resolved", "controller")
    at.wait_until("nothing is left to do", lambda: at.idle("credit"))
    assert at.pager.events[canary["id"]] == ["trigger", "resolve"]
    assert "CRITICAL" in at.pager.summaries[canary["id"]]
    texts = check_log(at, driftsonde, "credit")
    (back,) = texts["rollback"]
    for said in (
        "rollback of credit, version 2: performed",
        "rule      canary, of the canary: canary since ",
        "accuracy_difference -0.",
        "the policy says auto for this kind of action",
        "traffic   1 champion 100 %",
        "rollout   version 2: rolled-back, taken back",
        "pager of decided: performed in 1 try",
    ):
        assert said in back
    # The judge says so, too, once version 2 has had no rows for a while; there is nothing left to resolve by then.
    ended = [text for text in texts["resolve"] if f"incident  {canary['id']}" in text]
    (end,) = [text for text in ended if text.startswith("resolve of credit, version 2: decided")]
    assert "version 2 does not serve any more, by rollback" in end
