"""The sketcher's pipeline against an oracle that goes through the log row by row."""

from dataclasses import replace

import numpy as np

from driftsonde.core.chunks import SketchKey, Source
from driftsonde.core.events import PredictionBatch
from driftsonde.sketcher.messages import Message
from partition_oracle import accepted, expected_sketches
from partition_runs import LABEL_CHUNK, PREDICTION_CHUNK, RESEND_BOUND, Received, bits, run
from strategies import by_seed
from stream_examples import Log, random_log


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


@by_seed(40)
def test_restarts_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng)
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
