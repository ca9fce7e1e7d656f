"""What the store says about predictions that are not in the hot index, on the real engine."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.archiver.pipeline import archive
from driftsonde.core.events import LabelBatch, PredictionBatch, Variant
from driftsonde.core.join import NO_LABEL_TIME_MS, Entries, Stream
from driftsonde.sketcher.labels import Found, Lookup
from driftsonde.sketcher.lookups import NotArchivedYet, look_up
from driftsonde.sketcher.storage import StepLog
from partition_joining import join
from partition_oracle import answer
from partition_rows import accepted
from partition_runs import Received, start
from stream_examples import END_MS, Log, categorical, numeric, plans, random_log

pytestmark = pytest.mark.io

CODEC = Codec(EVENT_TYPES)
TOPICS = (PREDICTIONS.name, LABELS.name)


def put(store: Store, *messages: tuple[str, int, object], partition: int = 0) -> None:
    """Archive messages of one partition."""
    batch = archive(
        [
            SourceMessage(topic, partition, offset, b"k", CODEC.encode(event))
            for topic, offset, event in messages
        ],
        CODEC,
    )
    for insert in (*batch.inserts, batch.progress):
        store.insert_arrow(insert.table, insert.rows)


def put_log(store: Store, log: Log) -> None:
    pipeline = start(Received(), 10_000)
    pipeline.take_predictions([message for _, message in log.predictions if message])
    for _, message in log.labels:
        if message is not None:
            pipeline.take_label(message)
    steps = StepLog(store)
    steps.add(pipeline.take_steps())
    steps.write()
    for topic, entries in zip(TOPICS, (log.predictions, log.labels), strict=True):
        put(
            store,
            *((topic, offset, message.event) for offset, message in entries if message and accepted(message)),
        )


def by_id(found: Found) -> dict[tuple[Stream, str], Entries]:
    """Each prediction as entries of one row."""
    return {
        (entries.stream, prediction_id): replace(
            entries,
            ids=(prediction_id,),
            timestamps_ms=entries.timestamps_ms[row : row + 1],
            predictions=entries.predictions[row : row + 1],
            scores=entries.scores[row : row + 1],
            slices=entries.slices[:, row : row + 1],
            labels=entries.labels[row : row + 1],
            label_times_ms=entries.label_times_ms[row : row + 1],
        )
        for entries in found.entries
        for row, prediction_id in enumerate(entries.ids)
    }


def outcome_of(entries: Entries) -> tuple[bytes, ...]:
    values = (entries.timestamps_ms, entries.predictions, entries.scores, entries.slices)
    return (*(array.tobytes() for array in values), b"%d" % max(-1, entries.arrived_ms))


def label_of(entries: Entries) -> tuple[float, int]:
    return float(entries.labels[0]), int(entries.label_times_ms[0])


def ids_of(log: Log, model: str) -> tuple[str, ...]:
    return tuple(
        {
            prediction_id
            for _, message in log.predictions
            if message and isinstance(message.event, PredictionBatch) and message.event.model == model
            for prediction_id in message.event.ids
        }
    )


def by_position(lookups: Sequence[Lookup]) -> Iterable[list[Lookup]]:
    """Each lookup with variants of it: other gates, other labels, fewer ids."""
    for lookup in lookups:
        yield [
            lookup,
            replace(lookup, gate_ms=lookup.gate_ms + 20_000),
            replace(lookup, labels_below=lookup.labels_below // 2, ids=lookup.ids[::2]),
        ]


@pytest.mark.parametrize("seed", [1, 2, 7])
def test_the_store_answers_as_the_log_does(store: Store, seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng, heartbeats=False)
    put_log(store, log)
    labelled = 0
    asked: dict[str, list[Lookup]] = {"shop": [], "rain": []}
    for below, _ in log.predictions:
        model = str(rng.choice(["shop", "rain"]))
        read = int(rng.integers(len(log.labels)))
        labels_below = log.labels[read][0]
        gate_ms = join(log, read, 1, None).gate_ms + int(rng.integers(0, 30)) * 1000
        asked[model].append(Lookup(model, ids_of(log, model), 0, below, labels_below, gate_ms))
    for lookups in asked.values():
        # All that are asked together must have seen the same part of the log, as those of one round have.
        for same in by_position(lookups):
            for lookup, answered in zip(same, look_up(store, same, plans, TOPICS), strict=True):
                found, wanted = by_id(answered), by_id(answer(log, lookup))
                assert {key: outcome_of(entries) for key, entries in found.items()} == {
                    key: outcome_of(entries) for key, entries in wanted.items()
                }
                assert {key: repr(label_of(entries)) for key, entries in found.items()} == {
                    key: repr(label_of(entries)) for key, entries in wanted.items()
                }
                labelled += sum(label_of(entries)[1] != NO_LABEL_TIME_MS for entries in wanted.values())
    assert labelled > 20


def test_nothing_is_said_before_all_of_it_is_archived(store: Store) -> None:
    log = random_log(np.random.default_rng(4))
    put_log(store, log)
    prediction_end, label_end = log.predictions[-1][0] + 1, log.labels[-1][0] + 1
    lookup = Lookup("shop", ("s0",), 0, prediction_end, label_end, END_MS + 1000)
    look_up(store, [lookup], plans, TOPICS)
    for early in (
        replace(lookup, predictions_below=prediction_end + 1),
        replace(lookup, labels_below=label_end + 1),
        replace(lookup, partition=1),
    ):
        with pytest.raises(NotArchivedYet):
            look_up(store, [early], plans, TOPICS)


def test_a_prediction_of_another_partition_is_found_with_its_labels(store: Store) -> None:
    batch = PredictionBatch(
        "shop",
        "1",
        Variant.CHAMPION,
        ("far",),
        np.array([5_000]),
        (categorical("prediction", ["yes"]), numeric("score", [0.75]), categorical("country", [""])),
    )
    label = LabelBatch("shop", ("far",), np.array([6_000]), categorical("label", ["no"]))
    put(store, (PREDICTIONS.name, 9, batch), (LABELS.name, 9, label), partition=1)
    put(store, (PREDICTIONS.name, 0, replace(batch, ids=("near",))), (LABELS.name, 0, label), partition=0)
    (found,) = look_up(store, [Lookup("shop", ("far",), 0, 1, 1, 7_000)], plans, TOPICS)
    (entries,) = found.entries
    assert (entries.predictions[0], entries.scores[0]) == (1.0, 0.75)
    assert entries.slices[0, 0] == 3  # an empty text is a value as any other: not in the baseline
    assert (entries.labels[0], entries.label_times_ms[0]) == (0.0, 6_000)
