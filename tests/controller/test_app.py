"""The one writer: what is recorded before what is done, and what happens where an endpoint takes no more."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC

import pytest
from prometheus_client import CollectorRegistry

from control_examples import CANARY_SPLIT, NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.airflow import Airflow
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.mlflow import MlflowAliases, MlflowServer
from driftsonde.adapters.mlflow_registry import MlflowCandidates
from driftsonde.adapters.outbound import Sender
from driftsonde.adapters.webhook import parse_secret
from driftsonde.controller.app import MAX_REGISTRATIONS, Controller
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.config_actuators import Actuator
from driftsonde.controller.config_parts import Endpoint
from driftsonde.controller.config_registry import Registry
from driftsonde.controller.config_retrain import Retraining
from driftsonde.controller.delivery import Deliveries
from driftsonde.core.control.decisions import Decision, Kind, Severity, Step
from driftsonde.core.control.hours import Hours
from driftsonde.core.control.inputs import Approval, SplitChange, Unknown
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.routing import Route
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.origin import Origin
from driftsonde.core.signals import SignalKind
from driftsonde.core.spec import HOUR_MS, ActionPolicy, Mode
from fake_api import Answer, Call, FakeApi
from mlflow_api import MlflowApi
from webhook_receiver import SECRET, Received, Receiver

pytestmark = pytest.mark.io


EVERYTHING = Route("oncall")
ONLY_1 = (Share("1", Variant.CHAMPION, 1.0),)


@dataclass(slots=True)
class Desk:
    """A controller with one on-call endpoint and, as its journal, a list."""

    receiver: Receiver
    max_pending: int = 100
    route: Route = EVERYTHING
    now_ms: int = NOW_MS
    retrain: Retraining | None = None
    actuators: tuple[Actuator, ...] = ()
    registry: Registry | None = None
    promote: Mode = Mode.OBSERVE
    registered: list[tuple[str, str, Origin]] = field(default_factory=list)
    log: list[Decision | Traffic] = field(default_factory=list)
    controller: Controller = field(init=False)

    def __post_init__(self) -> None:
        metrics = create_metrics(CollectorRegistry(), "test", "0")
        endpoint = Endpoint("oncall", self.receiver.url, (parse_secret(SECRET),))
        config = ControllerConfig(
            (endpoint,),
            (self.route,),
            self.retrain,
            actuators=self.actuators,
            follows=tuple(Route(actuator.name) for actuator in self.actuators),
            registry=self.registry,
        )
        self.controller = Controller(
            setting=replace(
                setting(routes=config.routes),
                governance=lambda _: Governance(
                    ActionPolicy(retrain=Mode.AUTO, rollback=Mode.AUTO, promote=self.promote), "p1"
                ),
                actuators=config.follows,
                registry_configured=config.registry is not None,
            ),
            config=config,
            record=self._record,
            deliveries=Deliveries(
                sender=lambda: Sender(frozenset({"127.0.0.1"})),
                endpoints=config.names(),
                delays_ms=(),
                randomness=lambda: 0.5,
                metrics=metrics,
                max_pending=self.max_pending,
            ),
            metrics=metrics,
            now_ms=lambda: self.now_ms,
            sweep_interval_s=0.0,
            register=lambda model, version, origin: self.registered.append((model, version, origin)),
            state=with_traffic(State(), with_canary()),
        )
        self.controller.deliveries.start(self.controller.outcome)

    def _record(self, values: Sequence[Decision | Traffic]) -> None:
        self.log.extend(values)

    def decisions(self) -> list[Decision]:
        return [entry for entry in self.log if isinstance(entry, Decision)]

    def work_until_nothing_is_pending(self) -> None:
        self.work_until(lambda: not self.controller.state.pending())

    def work_until(self, holds: Callable[[], bool]) -> None:
        for _ in range(500):
            self.controller.work([])
            if holds():
                return
            threading.Event().wait(0.02)
        pytest.fail(f"pending: {self.controller.state.pending()}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_what_is_registered_enters_the_log_once_and_some_at_a_time(receiver: Receiver) -> None:
    desk = Desk(receiver)
    news = {
        ("fraud", str(number)): Registration(NOW_MS, rows=number) for number in range(MAX_REGISTRATIONS + 1)
    }
    desk.controller.registered = lambda: news
    desk.controller.work([])
    assert len(desk.decisions()) == MAX_REGISTRATIONS
    desk.controller.work([])
    desk.controller.work([])
    assert [entry.version for entry in desk.decisions()] == [version for _, version in news]
    desk.controller.adopt(desk.controller.state)  # as after another one led: nothing is told twice
    desk.controller.work([])
    changed = {**news, ("fraud", "0"): Registration(NOW_MS, rows=9)}
    desk.controller.registered = lambda: changed
    desk.controller.work([])
    desk.controller.work([])
    last = [(entry.version, entry.detail.reason) for entry in desk.decisions()[MAX_REGISTRATIONS + 1 :]]
    assert last == [("0", "rows changed: registered: no baseline yet")]


def test_a_rollback_is_recorded_then_done_then_recorded_as_done(receiver: Receiver) -> None:
    desk = Desk(receiver)
    desk.controller.work([canary_rollback()])
    shown = [entry.step if isinstance(entry, Decision) else entry.revision for entry in desk.log[:3]]
    assert shown == [Step.DECIDED, 4, Step.PERFORMED]
    desk.controller.deliveries.stop()


def test_the_state_is_what_the_journal_gives(receiver: Receiver) -> None:
    desk = Desk(receiver)
    desk.controller.work([signal(SignalKind.ALERT), canary_rollback()])
    desk.work_until_nothing_is_pending()
    desk.controller.deliveries.stop()
    assert fold(with_traffic(State(), with_canary()), desk.decisions()) == desk.controller.state
    assert {message.body["type"] for message in receiver.received} == {
        "incident.opened",
        "rollback.decided",
        "rollback.performed",
        "incident.resolved",
    }


def test_what_a_full_endpoint_turns_away_is_sent_later_in_order(receiver: Receiver) -> None:
    release = threading.Event()

    def answer(_: Received) -> tuple[int, Mapping[str, str]]:
        release.wait(10)
        return 200, {}

    receiver.answer = answer
    desk = Desk(receiver, max_pending=1)
    desk.controller.work([signal(SignalKind.ALERT, hour=hour) for hour in range(4)])
    receiver.wait_for(1)
    assert len(desk.controller.state.pending()) == 4
    release.set()
    desk.work_until_nothing_is_pending()
    desk.controller.deliveries.stop()
    ends = [message.body["data"]["signal"]["window_end"] for message in receiver.received]
    assert len(ends) == 4
    assert ends == sorted(ends)


def test_an_endpoint_that_is_no_longer_configured_has_failed(receiver: Receiver) -> None:
    desk = Desk(receiver)
    state, _ = after(State(), [signal(SignalKind.RETRAIN)], setting())
    desk.controller.adopt(state)
    (failed,) = (entry for entry in desk.decisions() if entry.kind is Kind.RETRAIN)
    assert (failed.step, failed.detail.reason) == (
        Step.FAILED,
        "no endpoint 'retrain' is configured any more",
    )
    desk.controller.deliveries.stop()


def test_a_request_is_answered_or_raises(receiver: Receiver) -> None:
    desk = Desk(receiver)
    wrong = desk.controller.submit(Approval("none", "ann"))
    desk.controller.work([signal(SignalKind.ALERT)])
    with pytest.raises(Unknown):
        wrong.result(0)
    assert [entry.kind for entry in desk.decisions()] == [Kind.ALERT]
    desk.controller.deliveries.stop()


def test_outside_its_hours_an_endpoint_is_told_later_in_order(receiver: Receiver) -> None:
    midnight_ms = NOW_MS - NOW_MS % (24 * HOUR_MS)
    office = Hours(frozenset(range(7)), 9 * 60, 17 * 60, UTC)
    desk = Desk(receiver, route=Route("oncall", hours=office), now_ms=midnight_ms + 8 * HOUR_MS)
    desk.controller.work([signal(SignalKind.ALERT), signal(SignalKind.RESOLVE, hour=1)])
    desk.controller.work([])
    assert (len(desk.controller.state.pending()), receiver.received) == (2, [])
    desk.now_ms = midnight_ms + 9 * HOUR_MS
    desk.work_until_nothing_is_pending()
    desk.controller.deliveries.stop()
    assert [message.body["type"] for message in receiver.received] == [
        "incident.opened",
        "incident.resolved",
    ]


def test_a_digest_comes_once_when_its_period_is_over(receiver: Receiver) -> None:
    start_ms = NOW_MS - NOW_MS % HOUR_MS
    desk = Desk(receiver, route=Route("oncall", digest_ms=HOUR_MS), now_ms=start_ms)
    desk.controller.work([signal(SignalKind.ALERT, f"e{number}") for number in range(3)])
    desk.now_ms = start_ms + HOUR_MS - 1
    desk.controller.work([])
    assert (len(desk.controller.state.pending()), receiver.received) == (3, [])
    desk.now_ms = start_ms + HOUR_MS
    desk.controller.work([signal(SignalKind.ALERT, "next")])
    for _ in range(500):
        desk.controller.work([])
        if len(desk.controller.state.pending()) == 1:
            break
        threading.Event().wait(0.02)
    desk.controller.deliveries.stop()
    (message,) = receiver.received
    message.verify()
    assert (message.body["type"], message.body["data"]["total"]) == ("digest", 3)
    assert [entry.detail.attempts for entry in desk.decisions() if entry.kind is Kind.NOTIFY] == [1, 1, 1]


def test_a_retraining_is_started_once_followed_over_a_restart_and_recorded_at_its_end(
    receiver: Receiver,
) -> None:
    states = ["queued"]

    def answer(call: Call) -> Answer:
        if call.method == "POST":
            return Answer(200, {"dag_run_id": call.body["dag_run_id"]})
        return Answer(200, {"state": states[-1]})

    api = FakeApi(answer)
    retrain = Retraining(Airflow(api.url, "train", token="t", poll_ms=20), 3_600.0)
    desk = Desk(receiver, retrain=retrain)
    desk.controller.work([signal(SignalKind.RETRAIN)])
    desk.work_until(lambda: any(entry.step is Step.STARTED for entry in desk.decisions()))
    desk.controller.deliveries.stop()
    (decided, started) = (entry for entry in desk.decisions() if entry.kind is Kind.RETRAIN)
    assert started.detail.run == f"driftsonde__{decided.id}"

    again = Desk(receiver, retrain=retrain)
    again.controller.adopt(fold(with_traffic(State(), with_canary()), desk.decisions()))
    states.append("success")
    again.work_until_nothing_is_pending()
    again.controller.deliveries.stop()
    api.close()
    assert [call.method for call in api.calls].count("POST") == 1
    assert [entry.step for entry in again.decisions() if entry.kind is Kind.RETRAIN] == [Step.PERFORMED]
    types = [message.body["type"] for message in receiver.received]
    assert types[-1] == "retrain.performed"
    assert "retrain.started" in types


def test_an_orchestrator_that_never_gets_to_an_end_is_a_stated_outcome(receiver: Receiver) -> None:
    api = FakeApi(lambda _: Answer(200, {"state": "running"}))
    desk = Desk(receiver, retrain=Retraining(Airflow(api.url, "train", token="t", poll_ms=20), 0.3))
    desk.controller.work([signal(SignalKind.RETRAIN)])
    desk.work_until_nothing_is_pending()
    desk.controller.deliveries.stop()
    api.close()
    last = [entry for entry in desk.decisions() if entry.kind is Kind.RETRAIN][-1]
    assert (last.step, last.detail.reason) == (Step.FAILED, "not at its end after 0.3 s")
    assert last.detail.severity is Severity.CRITICAL


def test_a_serving_system_follows_the_newest_split_and_its_failure_is_told(receiver: Receiver) -> None:
    asked: list[tuple[str, object]] = []

    def answer(call: Call) -> Answer:
        asked.append((call.method, call.body.get("version")))
        return Answer(404 if len(asked) > 2 else 200, {})

    api = FakeApi(answer)
    actuator = Actuator("registry", MlflowAliases(MlflowServer(api.url), "{model}"))
    desk = Desk(receiver, actuators=(actuator,))
    desk.controller.work([canary_rollback()])
    desk.work_until_nothing_is_pending()
    assert asked == [("POST", "1"), ("DELETE", None)]
    steps = [(entry.step, entry.detail.target) for entry in desk.decisions() if entry.kind is Kind.ACTUATE]
    assert steps == [(Step.DECIDED, "registry"), (Step.PERFORMED, "")]

    desk.controller.submit(SplitChange("fraud", CANARY_SPLIT, "ann"))
    desk.work_until(lambda: any(entry.step is Step.FAILED for entry in desk.decisions()))
    desk.work_until_nothing_is_pending()
    desk.controller.deliveries.stop()
    api.close()
    failed = receiver.wait_for_type("actuate.failed")
    assert failed.body["data"]["severity"] == "critical"
    assert "MLflow does not set the alias champion, status 404" in failed.body["data"]["reason"]


def test_the_version_that_a_retraining_registers_is_registered_here_and_rolled_out(
    receiver: Receiver,
) -> None:
    api = FakeApi(lambda _: Answer(200, {"state": "success"}))
    registered_ms = [1_000]
    mlflow = FakeApi(MlflowApi(registered_ms).answer)
    desk = Desk(
        receiver,
        retrain=Retraining(Airflow(api.url, "train", token="t", poll_ms=20), 60.0),
        registry=Registry(MlflowCandidates(MlflowServer(mlflow.url), "{model}", poll_ms=20), 60.0),
        promote=Mode.AUTO,
    )
    desk.controller.adopt(with_traffic(State(), Traffic("fraud", ONLY_1, 1, "d0")))
    desk.controller.work([signal(SignalKind.RETRAIN)])
    desk.work_until(lambda: any(call.path.count("search") for call in mlflow.calls))
    assert desk.registered == []  # version 1 was there before
    registered_ms.append(NOW_MS + 1)
    desk.work_until_nothing_is_pending()
    desk.controller.deliveries.stop()
    api.close()
    mlflow.close()
    assert [(model, version) for model, version, _ in desk.registered] == [("fraud", "2")]
    steps = [(entry.step, entry.detail.run) for entry in desk.decisions() if entry.kind is Kind.CANDIDATE]
    assert steps == [(Step.DECIDED, ""), (Step.STARTED, "2"), (Step.PERFORMED, "")]
    (begun,) = (
        entry for entry in desk.decisions() if entry.kind is Kind.ROLLOUT and entry.step is Step.DECIDED
    )
    assert begun.version == "2"
    assert "it comes of retraining" in begun.detail.reason


def test_a_version_that_never_comes_is_a_stated_outcome(receiver: Receiver) -> None:
    api = FakeApi(lambda _: Answer(200, {"state": "success"}))
    mlflow = FakeApi(MlflowApi([1_000]).answer)
    desk = Desk(
        receiver,
        retrain=Retraining(Airflow(api.url, "train", token="t", poll_ms=20), 60.0),
        registry=Registry(MlflowCandidates(MlflowServer(mlflow.url), "{model}", poll_ms=20), 0.3),
    )
    desk.controller.work([signal(SignalKind.RETRAIN)])
    desk.work_until_nothing_is_pending()
    desk.controller.deliveries.stop()
    api.close()
    mlflow.close()
    last = [entry for entry in desk.decisions() if entry.kind is Kind.CANDIDATE][-1]
    assert (last.step, last.detail.reason) == (Step.FAILED, "not at its end after 0.3 s")
    assert desk.registered == []
