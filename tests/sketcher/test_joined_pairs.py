"""Pairs of champion and shadow through the pipeline, wherever their predictions are: in memory, evicted, in the store."""

from collections.abc import Sequence

import numpy as np
import pytest

from driftsonde.core.events import Heartbeat, LabelBatch, PredictionBatch, Variant
from driftsonde.core.pairs import BINS
from driftsonde.sketcher.labels import Found
from driftsonde.sketcher.messages import Message
from driftsonde.sketcher.pipeline import PartitionPipeline
from partition_oracle import answer
from partition_runs import Received, start
from stream_examples import END_MS, RECORDED_MS, Log, categorical


def predicted(offset: int, variant: Variant, answered: str, name: str = "a") -> tuple[int, Message]:
    version = "3" if variant is Variant.SHADOW else "1"
    columns = (categorical("prediction", [answered]),)
    batch = PredictionBatch("shop", version, variant, (name,), np.array([90_000]), columns)
    return offset, Message(offset, RECORDED_MS, batch)


def labelled(offset: int, time_ms: int, label: str) -> tuple[int, Message]:
    batch = LabelBatch("shop", ("a",), np.array([time_ms]), categorical("label", [label]))
    return offset, Message(offset, RECORDED_MS, batch)


def beat(offset: int, time_ms: int) -> tuple[int, Message]:
    return offset, Message(offset, RECORDED_MS, Heartbeat(time_ms))


def deliver(
    pipeline: PartitionPipeline,
    log: Log,
    predictions: Sequence[tuple[int, Message | None]],
    labels: Sequence[tuple[int, Message | None]],
    received: Received,
) -> None:
    """Predictions, then labels, then join what is open."""
    received.take(pipeline.take_predictions([message for _, message in predictions if message]))
    for _, message in labels:
        assert message is not None
        received.take(pipeline.take_label(message))
    while opened := pipeline.open_labels(1):
        wanted = pipeline.lookup_for(opened[0])
        received.take(pipeline.take_next_label(Found() if wanted is None else answer(log, wanted)))


def pairs(received: Received) -> list[int]:
    """As in `core.pairs`: pairs, only the champion right, only the shadow right, changes."""
    received_pairs = [s.sketch.counts for s in received.sketches.values() if len(s.sketch.counts) == BINS]
    return [int(count) for count in sum(received_pairs, np.zeros(BINS, dtype=np.int64))]


CHAMPION, SHADOW = predicted(1, Variant.CHAMPION, "yes"), predicted(2, Variant.SHADOW, "no")
OTHERS = [predicted(offset, Variant.CHAMPION, "yes", f"other-{offset}") for offset in (3, 4)]
# The first label waits for its predictions; the second corrects it, in the message that finds them.
LOG = Log(
    (beat(0, 100_000), CHAMPION, SHADOW, *OTHERS, beat(5, END_MS)),
    (labelled(0, 80_000, "no"), labelled(1, 110_000, "yes"), beat(2, END_MS)),
)


@pytest.mark.parametrize("index_rows", [1, 3, 100])
def test_a_waiting_label_and_its_correction_make_one_pair(index_rows: int) -> None:
    received = Received()
    pipeline = start(received, index_rows)
    deliver(pipeline, LOG, LOG.predictions[:1], LOG.labels[:1], received)
    deliver(pipeline, LOG, LOG.predictions[1:], LOG.labels[1:], received)
    received.take(pipeline.labels.flush())
    assert pairs(received) == [1, 1, 0, 1]
