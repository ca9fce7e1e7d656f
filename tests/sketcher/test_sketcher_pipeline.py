"""The sketcher's pipeline against an oracle that goes through the log row by row."""

from dataclasses import replace

import numpy as np
from hypothesis import example

from driftsonde.core.chunks import SketchKey, Source
from driftsonde.core.events import NumericColumn, PredictionBatch, Role
from driftsonde.core.rows import PredictionRow, RowShape, Value
from driftsonde.sketcher.messages import Message
from partition_oracle import expected_sketches
from partition_rows import accepted, one_row
from partition_runs import LABEL_CHUNK, PREDICTION_CHUNK, RESEND_BOUND, Received, bits, run
from strategies import by_seed
from stream_examples import SECOND_MS, STREAMS, Log, random_log

PAIRED = (STREAMS[0], STREAMS[2])  # champion and shadow


def final(received: Received) -> dict[tuple[Source, int, SketchKey], tuple[object, ...]]:
    return {identity: bits(sketch.sketch) for identity, sketch in received.sketches.items()}


def expected(log: Log) -> dict[tuple[Source, int, SketchKey], tuple[object, ...]]:
    sketches = expected_sketches(log, PREDICTION_CHUNK, LABEL_CHUNK)
    return {identity: bits(sketch) for identity, sketch in sketches.items()}


@by_seed(40)
def test_sketches_are_those_of_the_log_however_it_is_delivered(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng)
    received = Received()
    run(log, received, rng, index_rows=int(rng.choice([1, 12, 10_000])))
    assert final(received) == expected(log)


def split_rows(rng: np.random.Generator, log: Log) -> tuple[Log, Log]:
    """The predictions of the log one by one: as batches of one row, and as rows, of which some have one more column."""
    batches: list[Message | None] = []
    rows: list[Message | None] = []
    for _, message in log.predictions:
        if message is None or not isinstance(message.event, PredictionBatch):
            batches.append(message)
            rows.append(message)
            continue
        note: tuple[Value, ...] = ("a", 1.0, None)[: int(rng.choice([0, 0, 3]))]
        for row in range(len(message.event.ids)):
            batch = one_row(message.event, row)
            batches.append(replace(message, event=batch))
            rows.append(replace(message, event=row_of(batch, note[row % 3 : row % 3 + 1])))
    return tuple(  # type: ignore[return-value]
        Log(tuple((n, m and replace(m, offset=n)) for n, m in enumerate(messages)), log.labels)
        for messages in (batches, rows)
    )


def row_of(batch: PredictionBatch, note: tuple[Value, ...]) -> PredictionRow:
    columns = batch.columns
    values = [
        float(column.values[0])
        if isinstance(column, NumericColumn)
        else (None if column.codes[0] < 0 else column.categories[column.codes[0]])
        for column in columns
    ]
    shape = RowShape(
        (*(column.name for column in columns), *("note" for _ in note)),
        (*(column.role for column in columns), *(Role.FEATURE for _ in note)),
    )
    time_ms = int(batch.timestamps_ms[0])
    return PredictionRow(
        batch.model, batch.version, batch.variant, batch.ids[0], time_ms, shape, (*values, *note)
    )


@by_seed(30)
def test_single_predictions_are_batches_of_one(seed: int) -> None:
    batches, rows = split_rows(np.random.default_rng(seed), random_log(np.random.default_rng(seed)))
    received = Received(), Received()
    for delivered, into in zip((batches, rows), received, strict=True):
        rng = np.random.default_rng(seed)
        index_rows = int(rng.choice([6, 40, 10_000]))
        for _ in range(int(rng.integers(0, 3))):
            run(batches, into, rng, index_rows, steps=int(rng.integers(1, 120)), delivered=delivered)
        run(batches, into, rng, index_rows, delivered=delivered)
    assert final(received[0]) == final(received[1])
    assert received[0].rejected == received[1].rejected


@by_seed(40)
def test_restarts_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert_restarts_change_nothing(rng, random_log(rng))


@example(seed=5)  # a pair that has left the index, joined and corrected by one message
@by_seed(10)
def test_restarts_lose_no_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert_restarts_change_nothing(rng, random_log(rng, streams=PAIRED, early=0.5))


@example(seed=9)  # the label finds the shadow in memory, and the champion in the store
@by_seed(10)
def test_a_shadow_may_come_long_after_its_champion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng, streams=PAIRED, early=0.5, shadows_after_ms=60 * SECOND_MS)
    assert_restarts_change_nothing(rng, log)


def assert_restarts_change_nothing(rng: np.random.Generator, log: Log) -> None:
    received = Received()
    index_rows = int(rng.choice([6, 40, 10_000]))
    for _ in range(int(rng.integers(1, 4))):
        run(log, received, rng, index_rows, steps=int(rng.integers(1, 120)))
    run(log, received, rng, index_rows)
    assert final(received) == expected(log)


def resend(rng: np.random.Generator, log: Log) -> tuple[Log, Log]:
    """The log with messages of predictions sent again while they are remembered, and the same with the first of each."""
    sent: list[Message | None] = []
    repeats: set[int] = set()
    remembered: list[Message] = []
    for offset, message in log.predictions:
        if message is not None and isinstance(message.event, PredictionBatch) and accepted(message):
            message = replace(message, digest=offset)
            remembered = [*remembered, message][-RESEND_BOUND:]
        sent.append(message)
        if remembered and rng.random() < 0.4:
            repeats.add(len(sent))
            sent.append(remembered[int(rng.integers(len(remembered)))])
    numbered = [(n, message and replace(message, offset=n)) for n, message in enumerate(sent)]
    firsts = tuple(entry for entry in numbered if entry[0] not in repeats)
    return Log(tuple(numbered), log.labels), Log(firsts, log.labels)


@by_seed(30)
def test_a_message_that_is_sent_again_is_counted_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sent, firsts = resend(rng, random_log(rng))
    received = Received()
    index_rows = int(rng.choice([6, 40, 10_000]))
    for _ in range(int(rng.integers(0, 4))):
        run(sent, received, rng, index_rows, steps=int(rng.integers(1, 120)))
    run(sent, received, rng, index_rows)
    assert len(sent.predictions) > len(firsts.predictions)
    assert final(received) == expected(firsts)


@by_seed(10)
def test_what_is_rejected_is_told_once_and_nothing_else_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng)
    received = Received()
    run(log, received, rng, index_rows=100)
    told = [
        ("predictions", offset) for offset, message in log.predictions if message and not accepted(message)
    ]
    assert sorted(received.rejected) == told
