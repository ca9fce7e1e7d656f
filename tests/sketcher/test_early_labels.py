"""Labels whose prediction comes after them: joined when it comes, once, with the newest; given up after a time."""

from collections.abc import Iterable

import numpy as np
import pytest

from driftsonde.core.chunks import Kind
from driftsonde.core.events import Heartbeat, LabelBatch, PredictionBatch, Variant
from driftsonde.core.outcomes import LABELLED
from driftsonde.sketcher.labels import Found
from driftsonde.sketcher.messages import Message, Tally
from driftsonde.sketcher.pipeline import PartitionPipeline
from partition_runs import Received, start
from stream_examples import RECORDED_MS, SHOP, categorical

MINUTE_MS = 60_000
# A label waits for its prediction as long as for the judgement of its window.
WAIT_MS = SHOP.label_wait_ms


def predicted(offset: int, time_ms: int, *ids: str, version: str = "1") -> Message:
    columns = (categorical("prediction", ["yes"] * len(ids)),)
    times = np.full(len(ids), time_ms)
    return Message(
        offset, RECORDED_MS, PredictionBatch("shop", version, Variant.CHAMPION, ids, times, columns)
    )


def labelled(offset: int, time_ms: int, *ids: str, label: str = "yes") -> Message:
    column = categorical("label", [label] * len(ids))
    return Message(offset, RECORDED_MS, LabelBatch("shop", ids, np.full(len(ids), time_ms), column))


def beat(offset: int, time_ms: int) -> Message:
    return Message(offset, RECORDED_MS, Heartbeat(time_ms))


def play(
    predictions: Iterable[Message], labels: Iterable[Message], index_rows: int = 100
) -> tuple[PartitionPipeline, Received]:
    """Both topics to their ends, labels last; the store knows nothing."""
    received = Received()
    pipeline = start(received, index_rows)
    received.take(pipeline.take_predictions(list(predictions)))
    for message in labels:
        received.take(pipeline.take_label(message))
    join(pipeline, received)
    return pipeline, received


def join(pipeline: PartitionPipeline, received: Received) -> None:
    while opened := pipeline.open_labels(1):
        pipeline.lookup_for(opened[0])
        received.take(pipeline.take_next_label(Found()))
    received.take(pipeline.labels.flush())


def outcomes(received: Received) -> tuple[int, int]:
    """Rows that have a label, and rows whose label is what was predicted."""
    counts = [
        sketch.sketch.counts for (_, _, key), sketch in received.sketches.items() if key.kind is Kind.OUTCOMES
    ]
    total = sum(counts, np.zeros(12, dtype=np.int64))
    return int(total[LABELLED]), int(total[3 + 3 + 1])


def told(tally: Tally) -> dict[str, int]:
    names = ("matched_in_memory", "matched_late", "unmatched", "expired", "evicted")
    return {name: getattr(tally, name) for name in names if getattr(tally, name)}


def test_a_prediction_long_after_its_label_is_joined_once_with_the_newest() -> None:
    predictions = [beat(0, 100_000), predicted(1, 90_000, "a"), beat(2, 140_000), beat(3, 200_000)]
    labels = [
        labelled(0, 80_000, "a", label="no"),
        labelled(1, 85_000, "a"),
        labelled(2, 85_000, "a"),
        labelled(3, 70_000, "a", label="no"),
        beat(4, 130_000),
    ]
    pipeline, received = play(predictions, labels)
    assert outcomes(received) == (1, 1)
    assert told(pipeline.take_tally()) == {"unmatched": 4, "matched_late": 1}


def test_a_correction_after_that_replaces_it() -> None:
    predictions = [beat(0, 100_000), predicted(1, 90_000, "a"), beat(2, 140_000), beat(3, 200_000)]
    labels = [labelled(0, 80_000, "a"), labelled(1, 120_000, "a", label="no")]
    _, received = play(predictions, labels)
    assert outcomes(received) == (1, 0)


@pytest.mark.parametrize(("arrived_ms", "joined"), [(80_000 + WAIT_MS, 1), (80_000 + WAIT_MS + 1_000, 0)])
def test_a_label_waits_so_long_and_no_longer(arrived_ms: int, joined: int) -> None:
    predictions = [beat(0, arrived_ms), predicted(1, 90_000, "a"), beat(2, 900_000)]
    pipeline, received = play(predictions, [labelled(0, 80_000, "a"), beat(1, 500_000)])
    assert outcomes(received)[0] == joined
    assert told(pipeline.take_tally()) == {"unmatched": 1, "matched_late" if joined else "expired": 1}


def test_the_same_holds_for_a_label_that_is_read_after_its_prediction() -> None:
    """What has come too late for a label stays apart from it, whichever of the two is read first."""
    arrived_ms = 80_000 + WAIT_MS + 1_000
    predictions = [beat(0, arrived_ms), predicted(1, 90_000, "a"), beat(2, 900_000)]
    _, received = play(predictions, [labelled(0, 400_000, "other"), labelled(1, 80_000, "a")])
    assert outcomes(received) == (0, 0)


def test_an_old_label_behind_newer_ones_finds_its_old_prediction() -> None:
    predictions = [beat(0, 100_000), predicted(1, 50_000, "a"), beat(2, 300_000)]
    _, received = play(predictions, [labelled(0, 200_000, "other"), labelled(1, 55_000, "a")])
    assert outcomes(received) == (1, 1)


def test_what_leaves_the_index_before_the_labels_come_to_it_is_not_lost() -> None:
    predictions = [beat(0, 100_000), predicted(1, 90_000, "a")]
    received = Received()
    pipeline = start(received, 1)
    received.take(pipeline.take_label(labelled(0, 80_000, "a")))
    received.take(pipeline.take_predictions(predictions[:1]))
    join(pipeline, received)
    received.take(pipeline.take_predictions([predictions[1], predicted(2, 110_000, "b", "c")]))
    assert pipeline.index.find("shop", "a") == []
    received.take(pipeline.take_predictions([beat(3, 200_000)]))
    received.take(pipeline.take_label(beat(1, 150_000)))
    join(pipeline, received)
    assert outcomes(received) == (1, 1)


def test_at_the_bound_the_labels_that_would_expire_first_are_given_up() -> None:
    received = Received()
    pipeline = start(received, 100)
    pipeline.waiting.unmatched.bound = 2
    received.take(pipeline.take_predictions([beat(0, 200_000)]))
    for offset, name in enumerate("abc"):
        received.take(pipeline.take_label(labelled(offset, 80_000 + offset, name)))
    join(pipeline, received)
    assert told(pipeline.take_tally()) == {"unmatched": 3, "evicted": 1}
    assert [name for name in "abc" if pipeline.waiting.unmatched.get("shop", name)] == ["b", "c"]
