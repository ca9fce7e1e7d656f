"""Everything that takes part, for real: Apache Kafka, the services as processes, Prefect, MLflow, and a pager's receiver."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from driftsonde.adapters.settings import ControllerSettings
from driftsonde.client import Router
from fake_api import Answer, Call, FakeApi
from faults.world import World, world
from handled.serving import WINDOW_MS, Serving, write_history
from handled.training import FLOW, PROGRAM
from kafka.launcher import kafka_cluster
from real_servers import MLFLOW, mlflow_server, prefect_server, programs
from vendor_shapes import check_pagerduty

SERVICES = ("sketcher-1", "judge-1", "archiver-1", "controller-1")
ROUTING_KEY = "r" * 32

_PACE_S = 0.5  # between two windows: time for the services to follow
_DAY_MS = 24 * 3_600_000


@dataclass(slots=True)
class Pager:
    """A receiver that accepts what PagerDuty would. events: by dedup key, in the order in which they came."""

    wrong: list[str] = field(default_factory=list)
    events: dict[str, list[str]] = field(default_factory=dict)
    summaries: dict[str, str] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer:
        try:
            check_pagerduty(call, ROUTING_KEY)
        except (AssertionError, KeyError, ValueError) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
            return Answer(400, {"status": "invalid event"})
        key = call.body["dedup_key"]
        self.events.setdefault(key, []).append(call.body["event_action"])
        if "payload" in call.body:
            self.summaries.setdefault(key, call.body["payload"]["summary"])
        return Answer(202, {"status": "success", "dedup_key": key})


@dataclass(slots=True)
class Scene:
    """`api`: of the controller; prefect: address of its API; mlflow: of the server."""

    world: World
    folder: Path
    prefect: str
    mlflow: str
    pager: Pager
    api: httpx.Client
    router: Router

    def train(self, model: str, start_ms: int) -> None:
        """The first version of a model, from its history up to then."""
        window = [datetime.fromtimestamp(it / 1000, UTC).isoformat() for it in (start_ms - _DAY_MS, start_ms)]
        command: list[str | Path] = [
            programs(*MLFLOW) / "python",
            self.folder / "program.py",
            model,
            *window,
            "",
            "",
        ]
        environ = {**os.environ, **_training(self.folder, self.mlflow)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def serving(self, model: str, start_ms: int) -> Iterator[Serving]:
        made = Serving(
            self.world.settings.kafka.bootstrap_servers,
            model,
            self.router,
            lambda version: float(dict(self.origin(model, version)["params"])["threshold"]),
            self.folder / f"{model}.csv",
            start_ms,
        )
        yield made
        made.close()

    def get(self, path: str, **query: str) -> Any:
        response = self.api.get(path, params=query)
        response.raise_for_status()
        return response.json()

    def origin(self, model: str, version: str) -> dict[str, Any]:
        """Where a version comes from; the catalogue behind the API may be half a second behind the split."""
        found: list[dict[str, Any]] = []

        def known() -> bool:
            items = self.get(f"/v1/models/{model}/versions")["items"]
            found[:] = [it["origin"] for it in items if it["version"] == version and it["origin"]]
            return bool(found)

        self.wait_until(f"version {version} of {model} in the catalogue", known)
        return found[0]

    def split(self, model: str) -> dict[str, str]:
        """Variant by version, as the controller has it."""
        return {it["version"]: it["variant"] for it in self.get(f"/v1/traffic/{model}")["split"]}

    def decisions(self, model: str) -> list[dict[str, Any]]:
        """Oldest first."""
        found: list[dict[str, Any]] = self.get("/v1/decisions", model=model, limit="500")["items"]
        return found[::-1]

    def aliases(self, model: str) -> dict[str, str]:
        path = f"{self.mlflow}/api/2.0/mlflow/registered-models/get"
        found = httpx.get(path, params={"name": model}, trust_env=False).json()["registered_model"]
        return {entry["alias"]: entry["version"] for entry in found.get("aliases", [])}

    def runs(self, model: str) -> list[dict[str, Any]]:
        """Prefect's runs of a model's retraining."""
        found: list[dict[str, Any]] = httpx.post(
            f"{self.prefect}/flow_runs/filter", json={}, trust_env=False
        ).json()
        return [run for run in found if run["parameters"]["model"] == model]

    def routes(self, model: str, version: str) -> bool:
        """Whether the router gives requests to this version."""
        with suppress(LookupError):  # it has not heard of the model yet
            return any(self.router.choose(model, f"c{it}").version == version for it in range(50))
        return False

    def open_incidents(self, model: str) -> list[dict[str, Any]]:
        items = self.get("/v1/incidents", model=model)["items"]
        return [it for it in items if it["status"] != "resolved"]

    def idle(self, model: str) -> bool:
        """Whether all that was decided is done and told."""
        return not any(self.get(f"/v1/decisions/{it['id']}")["pending"] for it in self.decisions(model))

    def wait_until(self, what: str, holds: Callable[[], bool], timeout_s: float = 120.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
            time.sleep(0.2)

    def serve_until(
        self, serving: Serving, what: str, holds: Callable[[], bool], timeout_s: float = 300.0
    ) -> float:
        """Serve window after window until something holds; returns the seconds it took."""
        began_s = time.monotonic()
        while not holds():
            if time.monotonic() > began_s + timeout_s:
                assert self.world.ended() == []
                steps = [(it["kind"], it["version"], it["steps"]) for it in self.decisions(serving.model)]
                raise AssertionError(f"not within {timeout_s:g} s: {what}; decided so far: {steps}")
            next_s = time.monotonic() + _PACE_S
            serving.window()
            time.sleep(max(0.0, next_s - time.monotonic()))
        return time.monotonic() - began_s


def _training(folder: Path, mlflow: str) -> dict[str, str]:
    return {
        "TRAIN_PYTHON": str(programs(*MLFLOW) / "python"),
        "TRAIN_PROGRAM": str(folder / "program.py"),
        "TRAIN_ROWS": str(folder),
        "MLFLOW_URL": mlflow,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _config(prefect: str, mlflow: str, pager: str) -> str:
    return f"""
        allow_hosts = ["127.0.0.1"]
        retry_delays = ["1s", "1s", "5s"]
        [[endpoints]]
        name = "pager"
        type = "pagerduty"
        url = "{pager}"
        key = "{ROUTING_KEY}"
        [retrain]
        type = "prefect"
        url = "{prefect}"
        deployment = "retrain/any"
        poll = "1s"
        timeout = "10m"
        [registry]
        url = "{mlflow}"
        poll = "1s"
        [[actuators]]
        name = "aliases"
        type = "mlflow"
        url = "{mlflow}"
        """


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    (folder / "program.py").write_text(PROGRAM)
    pager = Pager()
    receiver = FakeApi(pager.answer)
    with ExitStack() as stack:
        stack.callback(receiver.close)
        mlflow = stack.enter_context(mlflow_server(folder))
        prefect = stack.enter_context(prefect_server(folder, FLOW, "retrain/any", _training(folder, mlflow)))
        made = stack.enter_context(world(stack.enter_context(kafka_cluster()), folder))
        config = folder / "controller.toml"
        config.write_text(_config(prefect, mlflow, receiver.url))
        control = ControllerSettings(sweep_interval_s=0.2, webhooks_file=str(config), requests_per_s=1_000.0)
        made.settings = replace(made.settings, controller=control)
        made.start(*SERVICES)
        ports = made.wait_ready(*SERVICES)
        api = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{ports['controller-1']}", trust_env=False, timeout=30.0)
        )
        router = stack.enter_context(Router(made.settings.kafka, interval_s=0.1))
        yield Scene(made, folder, prefect, mlflow, pager, api, router)
        made.stop_all()


def first_window_ms() -> int:
    """A day ago: event time may then run faster than the clock."""
    return (time.time_ns() // 1_000_000 - _DAY_MS) // WINDOW_MS * WINDOW_MS


def new_history(folder: Path, model: str, start_ms: int) -> Path:
    file = folder / f"{model}.csv"
    write_history(file, start_ms)
    return file


def spec(model: str, *, shadow: bool) -> str:
    return f"""
        name = "{model}"
        task = "binary"
        classes = ["0", "1"]
        window = "1m"
        lateness = "10s"
        label_wait = "1m"
        owner = "team"
        [policy.drift]
        retrain_after = 2
        [policy.canary]
        margin = 0.05
        [policy.actions]
        retrain = "auto"
        rollback = "auto"
        promote = "auto"
        learning = "0s"
        [policy.rollout]
        shadow = {json.dumps(shadow)}
        stages = [0.25, 0.5]
        min_labels = 100
        min_stage = "1s"
        max_stage = "1h"
        """
