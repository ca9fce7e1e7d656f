"""The controller's one writer: signals, people's requests and outcomes go through the state machine one after another.

Of several instances one leads; the others stand by, and know nothing that could be out of date. Decisions are stored by
the broker before anything is done about them, and signals are acknowledged last. So whatever is decided is done at least
once, under the same id, however often the process dies in between.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain, islice

from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.service import Conditions
from driftsonde.controller.config import ControllerConfig
from driftsonde.controller.delivery import Deliveries, Delivery
from driftsonde.controller.outbox import delivery_of, digest_of, repetition_of
from driftsonde.controller.problems import Unavailable
from driftsonde.controller.source import Part, SignalSource
from driftsonde.controller.standing import standing
from driftsonde.core.control.decisions import Action, Decision
from driftsonde.core.control.inputs import (
    Begun,
    Found,
    Input,
    Outcome,
    Refused,
    Registered,
    Setting,
    Tick,
    Unknown,
)
from driftsonde.core.control.machine import step
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.routing import Route, is_held
from driftsonde.core.control.state import Effect, State, effects
from driftsonde.core.control.traffic import InvalidSplit, Traffic
from driftsonde.core.origin import Origin
from driftsonde.core.signals import Signal

LEAD = "lead"
MAX_REQUESTS = 100
MAX_REGISTRATIONS = 100
STANDING_BY = "another instance leads, or is about to: ask again, or ask that one"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """An input that somebody waits for: the answer is the decisions that it led to."""

    event: Input
    answer: Future[list[Decision]] = field(default_factory=Future)


@dataclass(slots=True)
class Controller:
    """`current` and `submit` may be called from any thread; the other methods belong to the one writer.

    `record` returns once the broker has stored what it is given, and so does `register`, which is given a model, a
    version, and where that comes from. `registered` gives all that is registered, by model and version.
    """

    setting: Setting
    config: ControllerConfig
    record: Callable[[Sequence[Decision | Traffic]], None]
    deliveries: Deliveries
    metrics: Metrics
    now_ms: Callable[[], int]
    sweep_interval_s: float
    register: Callable[[str, str, Origin], None]
    registered: Callable[[], Mapping[tuple[str, str], Registration]] = dict
    state: State = field(default_factory=State)
    leads: bool = False
    _inbox: "queue.SimpleQueue[Request]" = field(default_factory=queue.SimpleQueue)
    _in_flight: set[str] = field(default_factory=set)
    _full: set[str] = field(default_factory=set)
    _next_sweep_s: float = 0.0
    _next_repeat_s: dict[str, float] = field(default_factory=dict)
    _told: Mapping[tuple[str, str], Registration] | None = None
    _untold: Iterator[tuple[tuple[str, str], Registration]] = field(default_factory=lambda: iter(()))

    def current(self) -> State:
        """The state, of whoever leads. Raises `Unavailable`."""
        if not self.leads:
            raise Unavailable(STANDING_BY)
        return self.state

    def submit(self, event: Input) -> "Future[list[Decision]]":
        """Hand an input to the writer. The future raises what `machine.step` raises."""
        request = Request(event)
        self._inbox.put(request)
        return request.answer

    def adopt(self, state: State) -> None:
        """Lead, from a rebuilt state on: do what was decided and, as far as the log tells, not yet done."""
        self.state, self.leads, self._told = state, True, None
        self._next_repeat_s.clear()
        self._perform(state.pending())

    def stand_by(self) -> None:
        """Leave everything to whoever leads: what is not recorded as done is done again there."""
        self.leads = False
        self.deliveries.clear()
        self._in_flight.clear()
        self._full.clear()
        self.refuse()

    def refuse(self) -> None:
        """Turn down what waits in the inbox."""
        for request in self._requests():
            request.answer.set_exception(Unavailable(STANDING_BY))

    def work(self, signals: Iterable[Signal]) -> None:
        """Take in these signals and all that waits in the inbox; return once the decisions are stored."""
        decisions: list[Decision] = []
        answers: list[tuple[Request, list[Decision]]] = []
        state = self.state
        # What is registered comes first: it says whether a model still learns.
        events: Iterator[Input] = chain(self._registrations(), signals)
        for event in events:
            state, taken = step(state, event, self.now_ms(), self.setting)
            decisions += taken
        sweep = self._sweep_is_due()
        requests = [*self._requests(), *([Request(Tick())] if sweep else [])]
        for request in requests:
            if isinstance(request.event, Found):
                self.register(
                    request.event.effect.decision.model, request.event.version, request.event.origin
                )
            try:
                state, taken = step(state, request.event, self.now_ms(), self.setting)
            except (Refused, Unknown, InvalidSplit) as error:
                request.answer.set_exception(error)
                continue
            decisions += taken
            answers.append((request, taken))
        self._commit(state, decisions)
        for request, taken in answers:
            request.answer.set_result(taken)
        if sweep:
            self._full.clear()
            self._perform(self.state.pending())
            self._send_digests()
            self._repeat()

    def _registrations(self) -> Iterator[Registered]:
        """Of what is registered now, some that were not yet told to the state machine."""
        registered = self.registered()
        if registered is not self._told:
            self._told, self._untold = registered, iter(registered.items())
        for (model, version), registration in islice(self._untold, MAX_REGISTRATIONS):
            yield Registered(model, version, registration)

    def _sweep_is_due(self) -> bool:
        if time.monotonic() < self._next_sweep_s:
            return False
        self._next_sweep_s = time.monotonic() + self.sweep_interval_s
        return True

    def _requests(self) -> Iterable[Request]:
        for _ in range(MAX_REQUESTS):
            try:
                yield self._inbox.get_nowait()
            except queue.Empty:
                return

    def _commit(self, state: State, decisions: list[Decision]) -> None:
        self.record(decisions)
        self.state = state
        for decision in decisions:
            self.metrics.decisions.labels(kind=decision.kind, step=decision.step).inc()
            _log.info("decision", extra=_log_fields(decision))
        self._perform(effect for decision in decisions for effect in effects(decision))

    def _perform(self, due: Iterable[Effect]) -> None:
        """Traffic at once, by this thread; messages through the deliveries, unless they are on their way already."""
        outcomes = [outcome for effect in due if (outcome := self._perform_one(effect)) is not None]
        if not outcomes:
            return
        state, decisions = self.state, list[Decision]()
        for outcome in outcomes:
            state, taken = step(state, outcome, self.now_ms(), self.setting)
            decisions += taken
        self._commit(state, decisions)

    def _perform_one(self, effect: Effect) -> Outcome | None:
        """The outcome where there is one at once, None where it comes later."""
        if effect.action is Action.TRAFFIC:
            traffic = effect.decision.detail.traffic
            assert traffic is not None, "a traffic action has its split"
            self.record([traffic])
            return Outcome(effect, "", 1)
        name = effect.recipient or effect.decision.detail.target or effect.action.value
        if not self.deliveries.has(name):
            return Outcome(effect, f"no endpoint {name!r} is configured any more", 0)
        if effect.id in self._in_flight or name in self._full:
            return None
        route = self._route(effect.recipient)
        if route is not None and (
            route.digest_ms or is_held(route, effect.decision.timestamp_ms, self.now_ms())
        ):
            self._full.add(name)
            return None
        delivery = delivery_of(self.config, self.state, effect, self.now_ms())
        if delivery is not None:
            self._offer(name, delivery)
        return None

    def _offer(self, name: str, delivery: Delivery) -> None:
        if self.deliveries.offer(name, delivery):
            self._in_flight.update(effect.id for effect in delivery.effects)
        else:
            self._full.add(name)  # until the next sweep, so that nothing overtakes what was turned away

    def _send_digests(self) -> None:
        """One message to each endpoint that wants digests, about what came in periods that are over."""
        for route in self.setting.routes:
            if not route.digest_ms or not self.deliveries.has(route.name):
                continue
            due = [
                effect
                for effect in self.state.pending()
                if effect.recipient == route.name
                and effect.id not in self._in_flight
                and not is_held(route, effect.decision.timestamp_ms, self.now_ms())
            ]
            delivery = digest_of(self.config, self.state, route.name, due)
            if delivery is not None:
                self._offer(route.name, delivery)

    def _repeat(self) -> None:
        """Tell the endpoints that forget what is open there, each when its time has come; soon after this instance leads."""
        now_s = time.monotonic()
        for endpoint in self.config.endpoints:
            if not endpoint.repeat_ms or now_s < self._next_repeat_s.get(endpoint.name, 0.0):
                continue
            self._next_repeat_s[endpoint.name] = now_s + endpoint.repeat_ms / 1000
            for effect in standing(self.state, endpoint.name, self.now_ms()):
                if effect.id in self._in_flight or endpoint.name in self._full:
                    continue
                delivery = repetition_of(self.config, self.state, effect, self.now_ms())
                if delivery is not None:
                    self._offer(endpoint.name, delivery)

    def _route(self, name: str) -> Route | None:
        return next((route for route in self.setting.routes if route.name == name), None)

    def outcome(self, news: Outcome | Begun | Found) -> None:
        """What the deliveries call, in their thread, when one of them is under way elsewhere or at its end."""
        answer = self.submit(news)
        if isinstance(news, Outcome):
            answer.add_done_callback(lambda _: self._in_flight.discard(news.effect.id))


def _log_fields(decision: Decision) -> dict[str, object]:
    return {
        "decision": decision.id,
        "kind": decision.kind.value,
        "step": decision.step.value,
        "model": decision.model,
        "version": decision.version,
        "incident": decision.incident,
        "actor": decision.actor,
        "reason": decision.detail.reason,
    }


@dataclass(frozen=True, slots=True)
class Turn:
    """How an instance takes its part: `reload` gives the state of the topics, `ready` is told who leads, and `begun` is
    called once this instance leads or stands by, each time."""

    reload: Callable[[], State]
    ready: Conditions
    begun: Callable[[], None]

    def take(self, part: Part, controller: Controller, source: SignalSource) -> None:
        """Whoever led before may have decided something since this process last read the topics: the state is read
        again before the first signal. Raises `Stopping` and what `SignalSource.read` raises."""
        _log.info("part in the group", extra={"part": part.name})
        if controller.leads:
            controller.stand_by()
        if part is Part.UNKNOWN:
            return
        if part is Part.LEADS:
            controller.adopt(self.reload())
            source.read()
            self.ready.clear(LEAD)
        else:
            self.ready.fail(LEAD, STANDING_BY)
        self.begun()


def run(controller: Controller, source: SignalSource, turn: Turn, stop: threading.Event) -> None:
    """Work until told to stop. Raises `Stopping` if that comes while a server is away, and `KafkaException` where the
    client can't go on."""
    while not stop.is_set():
        signals, offsets = source.poll()
        change = source.take_change()
        if change is not None:
            turn.take(change, controller, source)
        elif controller.leads:
            controller.work(signals)
            source.commit(offsets)
        else:
            controller.refuse()
