"""From raw messages to events, and to the dead letters what is none."""

import hashlib
from dataclasses import dataclass

import numpy as np

from driftsonde.adapters.avro import Codec, Undecodable
from driftsonde.adapters.dead_letters import DeadLetters, Failure, SourceMessage
from driftsonde.adapters.inbox import Incoming
from driftsonde.adapters.metrics import Metrics
from driftsonde.adapters.patience import Patience
from driftsonde.adapters.plans import PlanBook
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.core.events import Heartbeat, InvalidEvent, LabelBatch, PredictionBatch
from driftsonde.core.rows import PredictionRow
from driftsonde.sketcher.messages import Message

_Kinds = tuple[type[PredictionBatch | PredictionRow | LabelBatch | Heartbeat], ...]
_ON_PREDICTIONS: _Kinds = (PredictionBatch, PredictionRow, Heartbeat)
_ON_LABELS: _Kinds = (LabelBatch, Heartbeat)


# Longer messages are added up to this many numbers of 64 bits before they are hashed: a prime, so that what is alike in
# them, column after column, is not added to itself.
_LANES = 509
_HASHED_WHOLE_BYTES = 16_384


def digest_of(value: bytes) -> int:
    """64 bits that stand for the bytes of a message, to know it if it is sent again.

    A long message is added up first, since hashing it would take a tenth of the time that it has: a digest need not
    withstand somebody who makes up messages, for who may write to the topic may write anything. Of two messages
    that differ by chance, in ids, times or values, the sums differ as surely as hashes would.

    >>> digest_of(b"abc")
    13436514500253700074
    """
    if len(value) <= _HASHED_WHOLE_BYTES:
        return int.from_bytes(hashlib.sha256(value).digest()[:8], "big")
    rows = len(value) // (8 * _LANES)
    lanes = np.frombuffer(value, "<u8", rows * _LANES).reshape(rows, _LANES).sum(axis=0, dtype=np.uint64)
    digest = hashlib.sha256(lanes.astype("<u8", copy=False).tobytes())
    digest.update(value[rows * _LANES * 8 :])
    digest.update(len(value).to_bytes(8, "little"))
    return int.from_bytes(digest.digest()[:8], "big")


@dataclass(slots=True)
class Intake:
    """`new_round` is called before the messages that came in together are decoded."""

    plans: PlanBook
    codec: Codec
    dead_letters: DeadLetters
    metrics: Metrics
    patience: Patience
    _is_fresh: bool = False

    def new_round(self) -> None:
        self._is_fresh = False

    async def decode(self, incoming: Incoming) -> Message | None:
        """The message, once its model and version are known if they ever will be; None if it is a dead letter."""
        expected = _ON_PREDICTIONS if incoming.topic == PREDICTIONS.name else _ON_LABELS
        try:
            event = await self.patience.decode(self.codec, incoming.value or b"")
        except Undecodable as error:
            self.reject(incoming, Failure("decode", error.reason, str(error)))
            return None
        except InvalidEvent as error:
            self.reject(incoming, Failure("decode", "invalid", str(error)))
            return None
        if not isinstance(event, expected):
            problem = f"{type(event).__name__} does not belong on topic {incoming.topic}"
            self.reject(incoming, Failure("decode", "wrong-topic", problem))
            return None
        if not isinstance(event, Heartbeat) and not self._is_known(event):
            await self._refresh_once()
        is_prediction = isinstance(event, PredictionBatch | PredictionRow)
        digest = digest_of(incoming.value or b"") if is_prediction else None
        return Message(incoming.offset, incoming.recorded_ms, event, digest)

    def reject(self, incoming: Incoming, failure: Failure) -> None:
        self.metrics.dead_letters.labels(failure.reason).inc()
        source = SourceMessage(
            incoming.topic,
            incoming.partition,
            incoming.offset,
            incoming.key,
            incoming.value,
            incoming.headers,
        )
        self.dead_letters.send(source, failure)

    async def refresh_plans(self) -> None:
        await self.patience.until_done(self.plans.refresh)

    def _is_known(self, event: PredictionBatch | PredictionRow | LabelBatch) -> bool:
        catalogue = self.plans.catalogue
        if isinstance(event, LabelBatch):
            return catalogue.spec(event.model) is not None
        return catalogue.baseline(event.model, event.version) is not None

    async def _refresh_once(self) -> None:
        """What was registered before a message was sent was registered before its round began. So one look in a round
        is enough for it to be known, whoever sends how much of versions that nobody registers."""
        if not self._is_fresh:
            await self.refresh_plans()
            self._is_fresh = True
