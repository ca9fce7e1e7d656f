"""The sketcher's pipeline against an oracle that goes through the log row by row."""

import numpy as np

from driftsonde.core.chunks import SketchKey, Source
from partition_oracle import accepted, expected_sketches
from partition_runs import LABEL_CHUNK, PREDICTION_CHUNK, Received, bits, run
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
