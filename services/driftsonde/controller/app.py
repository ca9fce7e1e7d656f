"""The controller's one writer: signals, people's requests and outcomes go through the state machine one after another.

Decisions are stored by the broker before anything is done about them, and signals are acknowledged last. So whatever
is decided is done at least once, under the same id, however often the process dies in between.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from driftsonde.adapters.metrics import Metrics
from driftsonde.controller.delivery import Deliveries, Delivery
from driftsonde.controller.messages import body_of
from driftsonde.controller.source import SignalSource
from driftsonde.core.control.decisions import Action, Decision
from driftsonde.core.control.inputs import Input, Outcome, Refused, Setting, Tick, Unknown
from driftsonde.core.control.machine import step
from driftsonde.core.control.state import Effect, State, effects
from driftsonde.core.control.traffic import InvalidSplit, Traffic
from driftsonde.core.signals import Signal

MAX_REQUESTS = 100

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """An input that somebody waits for: the answer is the decisions that it led to."""

    event: Input
    answer: Future[list[Decision]] = field(default_factory=Future)


@dataclass(slots=True)
class Controller:
    """`state` may be read from any thread, `submit` called from any; the other methods belong to the one writer.

    `record` returns once the broker has stored what it is given.
    """

    setting: Setting
    record: Callable[[Sequence[Decision | Traffic]], None]
    deliveries: Deliveries
    metrics: Metrics
    now_ms: Callable[[], int]
    sweep_interval_s: float
    state: State = field(default_factory=State)
    _inbox: "queue.SimpleQueue[Request]" = field(default_factory=queue.SimpleQueue)
    _in_flight: set[str] = field(default_factory=set)
    _full: set[str] = field(default_factory=set)
    _next_sweep_s: float = 0.0

    def submit(self, event: Input) -> "Future[list[Decision]]":
        """Hand an input to the writer. The future raises what `machine.step` raises."""
        request = Request(event)
        self._inbox.put(request)
        return request.answer

    def adopt(self, state: State) -> None:
        """Go on from a rebuilt state: do what was decided and, as far as the log tells, not yet done."""
        self.state = state
        self._perform(state.pending())

    def work(self, signals: Iterable[Signal]) -> None:
        """Take in these signals and all that waits in the inbox; return once the decisions are stored."""
        decisions: list[Decision] = []
        answers: list[tuple[Request, list[Decision]]] = []
        state = self.state
        for signal in signals:
            state, taken = step(state, signal, self.now_ms(), self.setting)
            decisions += taken
        sweep = self._sweep_is_due()
        requests = [*self._requests(), *([Request(Tick())] if sweep else [])]
        for request in requests:
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
        name = effect.recipient or effect.action.value
        if not self.deliveries.has(name):
            return Outcome(effect, f"no endpoint {name!r} is configured any more", 0)
        record = self.state.record(effect.decision.id)
        if effect.id in self._in_flight or name in self._full or record is None:
            return None
        lane = effect.decision.incident or effect.decision.model
        if self.deliveries.offer(name, Delivery(effect, lane, body_of(effect, record.first))):
            self._in_flight.add(effect.id)
        else:
            self._full.add(name)  # until the next sweep, so that nothing overtakes what was turned away
        return None

    def outcome(self, outcome: Outcome) -> None:
        """What the deliveries call, in their thread, when one of them has come to its end."""
        self.submit(outcome).add_done_callback(lambda _: self._in_flight.discard(outcome.effect.id))


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


def run(
    controller: Controller, source: SignalSource, reload: Callable[[], State], stop: threading.Event
) -> None:
    """Work until told to stop. Raises `Stopping` if that comes while a server is away.

    Whoever had a partition before may have decided something since this process last read the topics (in a rolling
    update both run for a while): the state is read again before the first signal of a new assignment.
    """
    while not stop.is_set():
        signals, offsets = source.poll()
        if source.take_assigned():
            controller.adopt(reload())
        controller.work(signals)
        source.commit(offsets)
