"""The one writer: what is recorded before what is done, and what happens where an endpoint takes no more."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from control_examples import NOW_MS, after, canary_rollback, setting, signal, with_canary
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.webhook import Sender, parse_secret
from driftsonde.controller.app import Controller
from driftsonde.controller.config import Endpoint
from driftsonde.controller.delivery import Deliveries
from driftsonde.core.control.decisions import Decision, Kind, Step
from driftsonde.core.control.inputs import Approval, Unknown
from driftsonde.core.control.state import State, fold, with_traffic
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.signals import SignalKind
from webhook_receiver import SECRET, Received, Receiver

pytestmark = pytest.mark.io


@dataclass(slots=True)
class Desk:
    """A controller with one on-call endpoint and, as its journal, a list."""

    receiver: Receiver
    max_pending: int = 100
    log: list[Decision | Traffic] = field(default_factory=list)
    controller: Controller = field(init=False)

    def __post_init__(self) -> None:
        metrics = create_metrics(CollectorRegistry(), "test", "0")
        key = parse_secret(SECRET)
        self.controller = Controller(
            setting=setting(),
            record=self._record,
            deliveries=Deliveries(
                sender=lambda: Sender(frozenset({"127.0.0.1"})),
                endpoints=(Endpoint("oncall", self.receiver.url, (key,)),),
                delays_ms=(),
                randomness=lambda: 0.5,
                metrics=metrics,
                max_pending=self.max_pending,
            ),
            metrics=metrics,
            now_ms=lambda: NOW_MS,
            sweep_interval_s=0.0,
            state=with_traffic(State(), with_canary()),
        )
        self.controller.deliveries.start(self.controller.outcome)

    def _record(self, values: Sequence[Decision | Traffic]) -> None:
        self.log.extend(values)

    def decisions(self) -> list[Decision]:
        return [entry for entry in self.log if isinstance(entry, Decision)]

    def work_until_nothing_is_pending(self) -> None:
        for _ in range(500):
            self.controller.work([])
            if not self.controller.state.pending():
                return
            threading.Event().wait(0.02)
        pytest.fail(f"pending: {self.controller.state.pending()}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


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
