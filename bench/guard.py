"""Has something become slow? Each measured against a reference on the same data, in turns with it: a busy or a slow
machine slows both. `python -m bench.guard` fails where a ratio fell by more than a third below `guard.json`.
"""

import argparse
import json
import math
import pickle
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import fastavro
import numpy as np

from bench.folding import fold, messages_of, plan_of
from bench.judge import settle_once, sketch_of
from bench.timing import Call, seconds_of
from bench.workload import COUNTRIES, Workload
from driftsonde.adapters.avro import Codec, load_schema
from driftsonde.adapters.dead_letters import SourceMessage
from driftsonde.adapters.topics import PREDICTIONS
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.archiver.pipeline import archive
from driftsonde.client.calls import CallReader, PredictionCall
from driftsonde.client.monitor import random_ids, wall_clock_ms
from driftsonde.core.events import Column, Floats, NumericColumn

STORED = Path(__file__).with_name("guard.json")
ALLOWED = 2 / 3

_ROUNDS = 15
_TRIES = 4
_FRAME_BYTES = 10


@dataclass(frozen=True, slots=True)
class Pair:
    """What is guarded, and what it is compared with."""

    name: str
    subject: Call
    reference: Call


def fallen(found: Mapping[str, float], stored: Mapping[str, float]) -> list[str]:
    """The names whose ratio fell by more than a third, or that are in one of the two only.

    >>> fallen({"fold": 0.9, "decode": 0.5}, {"fold": 1.0, "decode": 0.9})
    ['decode']
    """
    both = found.keys() & stored.keys()
    slow = [name for name in both if not found[name] >= ALLOWED * stored[name]]
    return sorted({*slow, *(found.keys() ^ stored.keys())})


def measure_ratios(pairs: list[Pair], rounds: int = _ROUNDS) -> dict[str, float]:
    """How many times the subject is done while the reference is once: the median of the rounds."""
    ratios: dict[str, float] = {}
    for pair in pairs:
        taken = seconds_of({"subject": pair.subject, "reference": pair.reference}, rounds, least_s=0.01)
        each = [r / s for r, s in zip(taken["reference"], taken["subject"], strict=True)]
        ratios[pair.name] = statistics.median(each)
    return ratios


def guarded() -> list[Pair]:
    return [*_wire(), _fold(), *_client(), _judge(), _archiver()]


def _wire() -> list[Pair]:
    ((_, batch),) = Workload(messages=1).batches()
    codec, schema = Codec(EVENT_TYPES), load_schema("PredictionBatch").parsed
    payload = codec.encode(batch)
    body = payload[_FRAME_BYTES:]
    return [
        Pair(
            "decode ÷ fastavro's reader",
            lambda: codec.decode(payload),
            lambda: fastavro.schemaless_reader(BytesIO(body), schema, None),
        ),
        Pair("encode ÷ pickle", lambda: codec.encode(batch), lambda: pickle.dumps(batch)),
    ]


def _fold() -> Pair:
    workload = Workload(messages=16)
    plan = plan_of(workload)
    batches = [batch for _, batch in workload.batches()]
    messages = messages_of(batches)
    values = [
        np.concatenate([_values(batch.columns[number]) for batch in batches])
        for number in range(workload.numeric)
    ]
    bins = [np.searchsorted(np.linspace(-2, 2, 11), column) for column in values]

    def count() -> None:
        for each in bins:
            np.bincount(each, minlength=13)

    return Pair("fold ÷ bincount", lambda: fold(plan, messages), count)


def _values(column: Column) -> Floats:
    if not isinstance(column, NumericColumn):
        raise TypeError(f"{column.name} is not numeric")
    return column.values


def _client() -> list[Pair]:
    workload = Workload(messages=0)
    rng = np.random.default_rng(0)
    features = {f"n{i}": column for i, column in enumerate(workload.values(rng, workload.rows))}
    scores = rng.random(workload.rows)
    countries = np.array(COUNTRIES)[rng.integers(0, len(COUNTRIES), workload.rows)]
    batch = PredictionCall(features, (scores > 0.5).astype(int), scores, segments={"country": countries})
    row = PredictionCall(
        {f"n{i}": i + 0.25 for i in range(workload.numeric)}, 1, 0.75, segments={"country": "CH"}
    )
    reader = CallReader(True, random_ids, wall_clock_ms)
    return [
        Pair(
            "log of a batch ÷ pickle",
            lambda: reader.predictions(batch),
            lambda: pickle.dumps((batch.features, batch.prediction, batch.score, countries.tolist())),
        ),
        Pair(
            "log of a row ÷ pickle",
            lambda: reader.predictions(row),
            lambda: pickle.dumps((row.features, row.prediction, row.score, row.segments)),
        ),
    ]


def _judge() -> Pair:
    workload = Workload(messages=1, numeric=200, partitions=1, windows=1)
    plan = plan_of(workload)
    sketch = sketch_of(workload, plan)
    counts = (sketch.counts + 0.5).tolist()
    return Pair(
        "judge a window ÷ a logarithm a bin",
        lambda: settle_once(plan, sketch),
        lambda: [math.log(count) for count in counts],
    )


def _archiver() -> Pair:
    codec = Codec(EVENT_TYPES)
    batches = [batch for _, batch in Workload(messages=16).batches()]
    payloads = [codec.encode(batch) for batch in batches]
    values = [[c.values for c in batch.columns if isinstance(c, NumericColumn)] for batch in batches]
    messages = [
        SourceMessage(PREDICTIONS.name, 0, offset, None, payload, ())
        for offset, payload in enumerate(payloads)
    ]
    return Pair(
        "rows for the store ÷ turning the values round",
        lambda: archive(messages, codec),
        lambda: [np.stack(columns, axis=1) for columns in values],
    )


def main() -> int:
    """1 where something has become slow."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description=__doc__)
    parser.add_argument("--store", action="store_true", help="make what is found the new reference")
    options = parser.parse_args()
    pairs = guarded()
    found = measure_ratios(pairs)
    if options.store:
        text = json.dumps(
            {name: float(f"{r:.3g}") for name, r in found.items()}, indent=1, ensure_ascii=False
        )
        STORED.write_text(f"{text}\n", encoding="utf-8")
        return 0
    stored: dict[str, float] = json.loads(STORED.read_text(encoding="utf-8"))
    for _ in range(_TRIES - 1):
        again = [pair for pair in pairs if pair.name in fallen(found, stored)]
        if not again:
            break
        # Something else may have been in the way of one of the two.
        found |= {name: max(ratio, found[name]) for name, ratio in measure_ratios(again).items()}
    slow = fallen(found, stored)
    for name, ratio in found.items():
        print(
            f"{'SLOW' if name in slow else 'ok':4} {name}: {ratio:.3g}, stored {stored.get(name, math.nan):.3g}"
        )
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
