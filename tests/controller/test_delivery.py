"""Deliveries to real receivers on the loopback."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from control_examples import after, setting, signal
from driftsonde.adapters.metrics import create_metrics
from driftsonde.adapters.outbound import Reply, Request, Sender
from driftsonde.adapters.talk import Pause, Started, Talk, ask, only
from driftsonde.adapters.webhook import parse_secret
from driftsonde.controller.delivery import REPLACED, Deliveries, Delivery
from driftsonde.core.control.inputs import Begun, Found, Outcome
from driftsonde.core.control.state import Effect, State
from driftsonde.core.signals import SignalKind
from webhook_receiver import SECRET, Answering, Received, Receiver

pytestmark = pytest.mark.io


def effect(number: int) -> Effect:
    _, (decision,) = after(State(), [signal(SignalKind.ALERT, f"e{number}")], setting())
    return Effect(f"id{number}", decision, recipient="oncall")


@dataclass(slots=True)
class Run:
    """Deliveries to one endpoint, and the outcomes that came."""

    receiver: Receiver
    delays_ms: tuple[int, ...] = (20, 20, 20)
    max_pending: int = 100
    allow: frozenset[str] = frozenset({"127.0.0.1"})
    timeout_s: float = 5.0
    sender: type[Sender] = Sender
    outcomes: list[Outcome] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _came: threading.Condition = field(default_factory=threading.Condition)
    deliveries: Deliveries = field(init=False)

    def __post_init__(self) -> None:
        self.deliveries = Deliveries(
            sender=lambda: self.sender(self.allow, total_timeout_s=self.timeout_s),
            endpoints=("oncall",),
            delays_ms=self.delays_ms,
            randomness=lambda: 0.5,
            metrics=create_metrics(self.registry, "test", "0"),
            max_pending=self.max_pending,
        )

    def start(self) -> "Run":
        self.deliveries.start(self._note)
        return self

    def _note(self, news: Outcome | Begun | Found) -> None:
        with self._came:
            if not isinstance(news, Outcome):
                assert isinstance(news, Begun)
                self.begun.append(news)
            else:
                self.outcomes.append(news)
            self._came.notify_all()

    def offer(self, number: int, lane: str = "") -> bool:
        request = Request(
            self.receiver.url, b'{"n":%d}' % number, keys=(parse_secret(SECRET),), id=f"id{number}"
        )
        return self.deliveries.offer(
            "oncall", Delivery((effect(number),), lane or f"lane{number}", only(request))
        )

    def wait(self, count: int) -> list[Outcome]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.outcomes) >= count, 10), (
                f"{len(self.outcomes)} outcomes"
            )
            return list(self.outcomes)

    def counted(self, result: str) -> float:
        labels = {"endpoint": "oncall", "result": result}
        return self.registry.get_sample_value("driftsonde_webhook_deliveries_total", labels) or 0.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def statuses(*sequence: int, headers: Mapping[str, str] | None = None) -> Answering:
    """An answer that goes through these statuses, then stays at the last."""
    left = list(sequence)

    def answer(_: Received) -> tuple[int, Mapping[str, str]]:
        status = left.pop(0) if len(left) > 1 else left[0]
        return status, (headers or {}) if status >= 300 else {}

    return answer


def test_a_signed_message_arrives(receiver: Receiver) -> None:
    run = Run(receiver).start()
    assert run.offer(1)
    (outcome,) = run.wait(1)
    run.deliveries.stop()
    (message,) = receiver.received
    message.verify()
    assert (message.id, message.body) == ("id1", {"n": 1})
    assert (outcome.problem, outcome.attempts) == ("", 1)
    assert run.counted("delivered") == 1


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_a_failure_is_tried_again_under_the_same_id(receiver: Receiver, status: int) -> None:
    receiver.answer = statuses(status, status, 200, headers={"location": receiver.url})
    run = Run(receiver).start()
    run.offer(1)
    (outcome,) = run.wait(1)
    run.deliveries.stop()
    assert (outcome.problem, outcome.attempts) == ("", 3)
    assert [message.id for message in receiver.received] == ["id1"] * 3
    assert len({message.raw for message in receiver.received}) == 1
    for message in receiver.received:
        message.verify()
    assert (run.counted("retried"), run.counted("delivered")) == (2, 1)


def test_after_the_last_try_it_has_failed(receiver: Receiver) -> None:
    receiver.answer = statuses(500)
    run = Run(receiver).start()
    run.offer(1)
    (outcome,) = run.wait(1)
    run.deliveries.stop()
    assert outcome.problem == "status 500, after 4 tries"
    assert run.counted("failed") == 1


def test_gone_disables_the_endpoint(receiver: Receiver) -> None:
    receiver.answer = statuses(410)
    run = Run(receiver).start()
    run.offer(1)
    run.wait(1)
    run.offer(2)
    first, second = run.wait(2)
    run.deliveries.stop()
    assert "410" in first.problem
    assert "disabled" in second.problem
    assert len(receiver.received) == 1


def test_retry_after_pauses_the_whole_endpoint(receiver: Receiver) -> None:
    receiver.answer = statuses(429, 200, headers={"retry-after": "1"})
    run = Run(receiver).start()
    started_s = time.monotonic()
    run.offer(1)
    receiver.wait_for(1)
    time.sleep(0.1)  # the answer to the first has come by now
    run.offer(2)
    run.wait(2)
    run.deliveries.stop()
    assert time.monotonic() - started_s >= 1.0
    assert len(receiver.received) == 3


def test_order_within_an_incident_and_none_between(receiver: Receiver) -> None:
    def answer(message: Received) -> tuple[int, Mapping[str, str]]:
        tries = sum(1 for other in receiver.received if other.id == message.id)
        return (500 if message.body["n"] == 1 and tries < 3 else 200), {}

    receiver.answer = answer
    run = Run(receiver, delays_ms=(200, 200, 200)).start()
    for number, lane in ((1, "a"), (2, "a"), (3, "b")):
        run.offer(number, lane)
    outcomes = run.wait(3)
    run.deliveries.stop()
    assert [outcome.effect.id for outcome in outcomes] == ["id3", "id1", "id2"]


def test_a_dead_endpoint_takes_no_more_than_the_bound(receiver: Receiver) -> None:
    receiver.answer = statuses(500)
    run = Run(receiver, delays_ms=(60_000,), max_pending=3).start()
    assert [run.offer(number) for number in range(5)] == [True, True, True, False, False]
    started_s = time.monotonic()
    run.deliveries.stop()
    assert time.monotonic() - started_s < 5
    assert run.outcomes == []


def test_a_slow_endpoint_is_left_after_the_timeout(receiver: Receiver) -> None:
    release = threading.Event()

    def answer(_: Received) -> tuple[int, Mapping[str, str]]:
        release.wait(10)
        return 200, {}

    receiver.answer = answer
    run = Run(receiver, delays_ms=(), timeout_s=0.3).start()
    run.offer(1)
    (outcome,) = run.wait(1)
    release.set()
    run.deliveries.stop()
    assert outcome.problem == "no answer in 0.3 s, after 1 tries"


def test_the_inside_is_refused_at_the_time_of_sending(receiver: Receiver) -> None:
    run = Run(receiver, allow=frozenset()).start()
    run.offer(1)
    (outcome,) = run.wait(1)
    run.deliveries.stop()
    assert "allow-list" in outcome.problem
    assert receiver.received == []


def test_a_defect_costs_one_message_and_not_the_lane(receiver: Receiver) -> None:
    class Defective(Sender):
        async def send(self, request: Request) -> Reply:
            if request.id == "id1":
                raise KeyError("defect")
            return await Sender.send(self, request)

    run = Run(receiver, sender=Defective).start()
    run.offer(1, "a")
    run.offer(2, "a")
    first, second = run.wait(2)
    run.deliveries.stop()
    assert (first.problem, second.problem) == ("KeyError: 'defect'", "")
    assert [message.id for message in receiver.received] == ["id2"]


def test_nobody_listens(receiver: Receiver) -> None:
    run = Run(receiver, delays_ms=(10,)).start()
    receiver.close()
    run.offer(1)
    (outcome,) = run.wait(1)
    run.deliveries.stop()
    assert "after 2 tries" in outcome.problem


def talk_of(url: str, pause_ms: int = 1) -> Talk:
    """Ask for something, say that it runs, wait, ask until it is over."""
    reply = yield from ask(Request(url, b'{"n":1}', accept=frozenset({409}), read=True))
    yield Started(f"run after {reply.status}")
    while True:
        yield Pause(pause_ms)
        reply = yield from ask(Request(url, b'{"n":2}', accept=frozenset({404})))
        if reply.status == 404:
            return "it is gone"


def test_a_talk_goes_on_until_it_returns_what_is_wrong(receiver: Receiver) -> None:
    receiver.answer = statuses(500, 409, 200, 503, 200, 404)
    run = Run(receiver).start()
    run.deliveries.offer("oncall", Delivery((effect(1), effect(2)), "a", talk_of(receiver.url)))
    first, second = run.wait(2)
    run.deliveries.stop()
    assert (first.problem, first.attempts, second.problem) == ("it is gone", 6, "it is gone")
    assert [(news.effect.id, news.run) for news in run.begun] == [
        ("id1", "run after 409"),
        ("id2", "run after 409"),
    ]


def test_a_talk_that_never_ends_is_left(receiver: Receiver) -> None:
    run = Run(receiver).start()
    run.deliveries.offer(
        "oncall", Delivery((effect(1),), "a", talk_of(receiver.url, pause_ms=20), within_s=0.3)
    )
    (outcome,) = run.wait(1)
    run.deliveries.stop()
    assert outcome.problem == "not at its end after 0.3 s"
    assert outcome.attempts > 1


def test_a_newer_one_takes_the_place_of_one_that_waits_to_be_tried_again(receiver: Receiver) -> None:
    receiver.answer = statuses(500, 200)
    run = Run(receiver, delays_ms=(60_000,)).start()
    for number in (1, 2):
        request = Request(receiver.url, b'{"n":%d}' % number)
        run.deliveries.offer("oncall", Delivery((effect(number),), "fraud", only(request), newest_only=True))
        receiver.wait_for(number)
    first, second = run.wait(2)
    run.deliveries.stop()
    assert (first.problem, second.problem) == (REPLACED, "")
    assert (run.counted("replaced"), run.counted("failed")) == (1, 0)
