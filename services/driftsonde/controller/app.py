"""The controller's one writer: signals, people's requests and outcomes go through the state machine one after another.

Decisions are stored by the broker before anything is done about them, and signals are acknowledged last. So whatever
is decided is done at least once, under the same id, however often the process dies in between.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from driftsonde.adapters import topics
from driftsonde.adapters.avro import Codec, RegistryUnavailable, Undecodable
from driftsonde.adapters.dead_letters import DeadLetters, Failure, SourceMessage
from driftsonde.adapters.kafka import consumer_config, producer_config
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.settings import KafkaSettings
from driftsonde.controller.delivery import Deliveries, Delivery
from driftsonde.controller.journal import Journal, Stopping
from driftsonde.controller.messages import body_of
from driftsonde.core.control.decisions import Action, Decision
from driftsonde.core.control.inputs import Input, Outcome, Refused, Setting, Tick, Unknown
from driftsonde.core.control.machine import step
from driftsonde.core.control.state import Effect, State, effects
from driftsonde.core.control.traffic import InvalidSplit
from driftsonde.core.events import InvalidEvent
from driftsonde.core.signals import Signal

SERVICE = "controller"
GROUP = "driftsonde-controller"
BATCH = 100
POLL_S = 0.05

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """An input that somebody waits for: the answer is the decisions that it led to."""

    event: Input
    answer: Future[list[Decision]] = field(default_factory=Future)


@dataclass(slots=True)
class Controller:
    """`state` may be read from any thread, `submit` called from any; `run` is the one writer."""

    state: State
    setting: Setting
    journal: Journal
    deliveries: Deliveries
    inbox: "queue.SimpleQueue[Request]"
    metrics: Metrics
    now_ms: Callable[[], int]
    sweep_interval_s: float
    _in_flight: set[str] = field(default_factory=set)
    _next_sweep_s: float = 0.0

    def submit(self, event: Input) -> "Future[list[Decision]]":
        """Hand an input to the writer. The future raises what `machine.step` raises."""
        request = Request(event)
        self.inbox.put(request)
        return request.answer

    def recover(self) -> None:
        """Do what was decided and, as far as the log tells, not yet done."""
        self._perform(self.state.pending())

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
            self._perform(self.state.pending())

    def _sweep_is_due(self) -> bool:
        if time.monotonic() < self._next_sweep_s:
            return False
        self._next_sweep_s = time.monotonic() + self.sweep_interval_s
        return True

    def _requests(self) -> Iterable[Request]:
        for _ in range(BATCH):
            try:
                yield self.inbox.get_nowait()
            except queue.Empty:
                return

    def _commit(self, state: State, decisions: list[Decision]) -> None:
        self.journal.record(decisions)
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
            self.journal.record([traffic])
            return Outcome(effect, "", 1)
        name = effect.recipient or effect.action.value
        if not self.deliveries.has(name):
            return Outcome(effect, f"no endpoint {name!r} is configured any more", 0)
        record = self.state.record(effect.decision.id)
        if effect.id in self._in_flight or record is None:
            return None
        lane = effect.decision.incident or effect.decision.model
        if self.deliveries.offer(name, Delivery(effect, lane, body_of(effect, record.first))):
            self._in_flight.add(effect.id)
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


class SignalSource:
    """The topic `signals`, as the consumer group of the controller."""

    def __init__(
        self, settings: KafkaSettings, codec: Codec, metrics: Metrics, stop: threading.Event
    ) -> None:
        self._codec = codec
        self._stop = stop
        self._metrics = metrics
        self._consumer = Consumer(consumer_config(settings, GROUP))
        self._consumer.subscribe([topics.SIGNALS.name])
        self._dead_letters = DeadLetters(Producer(producer_config(settings)), SERVICE)

    def poll(self) -> tuple[list[Signal], list[TopicPartition]]:
        """Signals that came, and the offsets to commit once they are dealt with."""
        signals: list[Signal] = []
        offsets: dict[int, int] = {}
        for message in self._consumer.consume(BATCH, timeout=POLL_S):
            error = message.error()
            if error is not None:
                _log.warning("consumer", extra={"problem": error.str()})
                continue
            signal = self._decode(message)
            if signal is not None:
                signals.append(signal)
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None
            offsets[partition] = offset + 1
            self._metrics.events_consumed.labels(topic=topics.SIGNALS.name).inc()
        return signals, [TopicPartition(topics.SIGNALS.name, key, offset) for key, offset in offsets.items()]

    def commit(self, offsets: list[TopicPartition]) -> None:
        if not offsets:
            return
        self._dead_letters.flush()
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Another instance may have the partition now; it reads the signals again, which changes nothing.
            _log.warning("offsets not committed", extra={"problem": str(error)})

    def close(self) -> None:
        self._consumer.close()

    def _decode(self, message: Message) -> Signal | None:
        source = SourceMessage(
            topic=topics.SIGNALS.name,
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            key=_bytes(message.key()),
            value=_bytes(message.value()),
        )
        try:
            signal = self._decode_patiently(source.value or b"")
        except Undecodable as error:
            self._dead_letter(source, error.reason, error.message)
            return None
        except InvalidEvent as error:
            self._dead_letter(source, "invalid", str(error))
            return None
        if not isinstance(signal, Signal):
            self._dead_letter(source, "unexpected-type", f"{type(signal).__name__} is not a signal")
            return None
        return signal

    def _decode_patiently(self, payload: bytes) -> object:
        while True:
            try:
                return self._codec.decode(payload)
            except RegistryUnavailable as error:
                _log.warning("waiting for the schema registry", extra={"problem": str(error)})
                if self._stop.wait(1.0):
                    raise Stopping from error

    def _dead_letter(self, source: SourceMessage, reason: str, message: str) -> None:
        self._metrics.dead_letters.labels(reason=reason).inc()
        self._dead_letters.send(source, Failure("decode", reason, message))


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


def run(controller: Controller, source: SignalSource, stop: threading.Event) -> None:
    """Work until told to stop."""
    try:
        controller.recover()
        while not stop.is_set():
            signals, offsets = source.poll()
            controller.work(signals)
            source.commit(offsets)
    except Stopping:
        _log.warning(
            "told to stop while a server was away; what was not stored is read again after the next start"
        )
