"""What the sketcher does with the messages of one partition of predictions and labels. Pure: it returns what should
be sent, and asks for what it needs from the store.

decode → check → fold into the open chunk → hold for the labels → wait for event time → join → fold the outcomes
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field, replace

from driftsonde.core.chunks import NO_TIME_MS, EventTimeStep, whole_second_ms
from driftsonde.core.events import Heartbeat, InvalidEvent, LabelBatch, PredictionBatch
from driftsonde.core.inputs import check_columns, check_row
from driftsonde.core.join import Joined, PredictionIndex
from driftsonde.core.resends import RecentMessages
from driftsonde.core.rows import PredictionRow
from driftsonde.core.unmatched import UnmatchedLabel, UnmatchedLabels
from driftsonde.sketcher.chunk_state import ChunkState, Emission, FinishedChunk
from driftsonde.sketcher.folding import Folding
from driftsonde.sketcher.labels import Found, Kept, Lookup, Waiting, WaitingLabels
from driftsonde.sketcher.messages import Message, Plans, Rejected, Tally, newest_ms, plan_of
from driftsonde.sketcher.outcome_folding import fold_outcomes, fold_pairs, outcomes_of

_NOTHING = Heartbeat(0)


@dataclass(slots=True)
class PartitionPipeline:
    """State of one partition number: the open chunks of both topics, the hot index, and the labels that wait.

    `archived_from` is the offset of predictions from which on the hot index has seen everything; what lies below is
    only in the store. `joined_gate_ms` and `kept` are what the last stored chunk of labels left: the event time of
    predictions that it was joined at, and the labels that waited for their predictions, at most `unmatched_bound`. A
    message of predictions that is among the `recent` ones is counted once.

    A prediction and its copies (of other versions, or sent again) are known as one if they come within the allowed
    lateness of the first, and a shadow's whenever they come; other later ones only as long as both are in the hot index.
    """

    predictions: ChunkState
    labels: ChunkState
    index: PredictionIndex
    plans: Plans
    future_tolerance_ms: int
    archived_from: int
    unmatched_bound: int
    joined_gate_ms: int = NO_TIME_MS
    kept: InitVar[Iterable[UnmatchedLabel]] = ()
    recent: RecentMessages = field(default_factory=RecentMessages)
    folding: Folding = field(init=False)
    waiting: WaitingLabels = field(init=False)
    _steps: list[EventTimeStep] = field(default_factory=list)
    _settled_ms: int = field(init=False)
    _unsettled: deque[FinishedChunk] = field(default_factory=deque)

    def __post_init__(self, kept: Iterable[UnmatchedLabel]) -> None:
        self._settled_ms = self.predictions.event_time_ms
        self.index.missing_below = self.archived_from
        self.index.missing_until_ms = self.predictions.event_time_ms
        self.folding = Folding(self.predictions, self.index, self.plans)
        self.waiting = WaitingLabels(
            self.labels.source.partition,
            self.index,
            self.plans,
            UnmatchedLabels(self.unmatched_bound),
            self.joined_gate_ms,
            tally=self.folding.tally,
        )
        self.waiting.restore(kept, self.labels.position)

    def take_predictions(self, messages: Sequence[Message]) -> list[Emission | Rejected]:
        """Fold messages of the predictions topic, in offset order."""
        out: list[Emission | Rejected] = []
        batch: list[tuple[Message, int]] = []
        for message in messages:
            if message.offset // self.predictions.size > self.predictions.chunk:
                self.folding.fold(batch)
                batch = []
            out.extend(self._advance_predictions(message.offset))
            try:
                self._check(message)
            except InvalidEvent as error:
                out.append(_rejected(self.predictions.source.topic, message, error))
            else:
                if message.digest is None or self.recent.is_new(message.digest):
                    batch.append((message, self.predictions.event_time_ms))
                    self._observe(message)
                else:
                    self.folding.tally.resent += 1
            if (message.offset + 1) // self.predictions.size > self.predictions.chunk:
                self.folding.fold(batch)
                batch = []
            out.extend(self._advance_predictions(message.offset + 1))
        self.folding.fold(batch)
        self.waiting.note_evicted(self.index.take_evicted())
        return out

    def skip_prediction(self, offset: int) -> list[Emission]:
        """Move past a message of predictions that is in the dead letters."""
        return [*self._advance_predictions(offset), *self._advance_predictions(offset + 1)]

    def skip_label(self, offset: int) -> None:
        """Let a message of labels that is in the dead letters take its turn, as one that says nothing."""
        self.waiting.take(Message(offset, 0, _NOTHING))

    @property
    def next_offsets(self) -> tuple[int, int]:
        """The offsets of predictions and of labels that are to be taken next."""
        waiting = self.waiting.messages
        return self.predictions.position, waiting[-1].offset + 1 if waiting else self.labels.position

    def take_label(self, message: Message) -> list[Rejected]:
        """Queue a message of the labels topic until event time allows it to be joined."""
        try:
            self._check(message)
        except InvalidEvent as error:
            self.skip_label(message.offset)
            return [_rejected(self.labels.source.topic, message, error)]
        before_ms = self.waiting.awaited_ms
        self.waiting.take(message)
        if self.waiting.awaited_ms > before_ms:
            self._steps.append(EventTimeStep(self.labels.source, message.offset, self.waiting.awaited_ms))
        return []

    def open_labels(self, most: int) -> list[Waiting]:
        """The oldest waiting messages, at most so many, whose turn it is."""
        return self.waiting.open(self.predictions.event_time_ms, most)

    def lookup_for(self, waiting: Waiting) -> Lookup | None:
        """What the store has to be asked before the message can be joined; see `WaitingLabels`."""
        return self.waiting.lookup_for(waiting)

    def take_next_label(self, found: Found) -> list[Emission]:
        """Join and fold the oldest waiting message, given the store's answer to its lookup."""
        waiting = self.waiting.messages[0]
        if isinstance(waiting.event, Kept):
            self.waiting.join_next(found)
            return []
        out = self._advance_labels(waiting.offset)
        changed, paired = self.waiting.join_next(found)
        for joined in changed:
            self._fold_outcomes(joined)
        for pairs in paired:
            plan = plan_of(self.plans, pairs.stream)
            self.labels.merge(fold_pairs(pairs, plan, self.labels.event_time_ms))
        self.labels.observe(newest_ms(waiting.event))
        out.extend(self._advance_labels(waiting.offset + 1))
        return out

    def take_steps(self) -> list[EventTimeStep]:
        """The steps that the event time of predictions, and the gate of labels, have made since the last call."""
        steps, self._steps = self._steps, []
        return steps

    def take_tally(self) -> Tally:
        """What was counted since the last call."""
        tally = self.folding.tally
        self.folding.tally = self.waiting.tally = Tally()
        return tally

    def _observe(self, message: Message) -> None:
        """Move the event time of predictions on, and note where in the log it comes to another second."""
        before_ms = whole_second_ms(self.predictions.event_time_ms)
        self.predictions.observe(newest_ms(message.event))
        after_ms = whole_second_ms(self.predictions.event_time_ms)
        if after_ms > before_ms:
            self._steps.append(EventTimeStep(self.predictions.source, message.offset + 1, after_ms))

    def _fold_outcomes(self, joined: Joined) -> None:
        plan = plan_of(self.plans, joined.stream)
        self.labels.merge(fold_outcomes(joined, plan, self.labels.event_time_ms))
        delays_ms = outcomes_of(joined).delays_ms[joined.signs > 0]
        self.waiting.tally.delays_ms.extend(delays_ms.tolist())

    def _advance_predictions(self, position: int) -> list[Emission]:
        out: list[Emission] = []
        for emission in self.predictions.advance(position):
            if isinstance(emission, FinishedChunk):
                self._settled_ms = emission.event_time_ms
                out.append(replace(emission, recent=self.recent.digests))
            else:
                out.append(emission)
        return [*out, *self._settle_labels()]

    def _advance_labels(self, position: int) -> list[Emission]:
        out: list[Emission] = []
        for emission in self.labels.advance(position):
            if isinstance(emission, FinishedChunk):
                unmatched = self.waiting.unmatched.take_changes()
                self._unsettled.append(replace(emission, gate_ms=self.waiting.gate_ms, unmatched=unmatched))
            else:
                out.append(emission)
        return [*out, *self._settle_labels()]

    def _settle_labels(self) -> list[Emission]:
        """The finished chunks of labels that may be acknowledged: those all of whose predictions are in finished chunks.

        After a restart, predictions are folded again from the first unfinished chunk and come into the index without a
        label. So none of the labels that are then behind may have been joined with them.
        """
        settled: list[Emission] = []
        while self._unsettled and self._unsettled[0].gate_ms <= self._settled_ms:
            settled.append(self._unsettled.popleft())
        return settled

    def _check(self, message: Message) -> None:
        """Raise `InvalidEvent` for an unknown model, a clock from the future, or columns of the wrong kind."""
        event = message.event
        ahead_ms = newest_ms(event) - message.recorded_ms
        if ahead_ms > self.future_tolerance_ms:
            raise InvalidEvent(
                "timestamps_ms", f"{ahead_ms / 1000:.0f} s ahead of the broker's clock; set the producer's"
            )
        if isinstance(event, Heartbeat):
            return
        version = "" if isinstance(event, LabelBatch) else event.version
        plan = self.plans(event.model, version)
        if plan is None:
            raise InvalidEvent("model", f'"{event.model}" is not registered; run `driftsonde register`')
        if isinstance(event, PredictionBatch):
            check_columns(plan.inputs, event)
            plan.slicing.check(event)
        elif isinstance(event, PredictionRow):
            check_row(plan.inputs, event)
            plan.slicing.check_row(event)


def _rejected(topic: str, message: Message, error: InvalidEvent) -> Rejected:
    # "columns[price]" is about columns: the names of reasons must not be the producer's to choose.
    return Rejected(topic, message.offset, error.field.partition("[")[0], str(error))
