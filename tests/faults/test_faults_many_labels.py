"""Labels that come days late, so many that no memory holds their predictions: all are joined, within a bound."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer

from driftsonde.adapters.kafka import producer_config
from driftsonde.adapters.settings import SketcherSettings
from driftsonde.adapters.topics import LABELS, PREDICTIONS
from driftsonde.core.chunks import WHOLE, segment_label
from driftsonde.core.events import LabelBatch, PredictionBatch
from faults.load import COUNTRIES, WINDOW_MS, Cell, Ints
from faults.raw import encoded, labels, predictions
from faults.stretch import DAY_MS, SKETCHERS, Record, Stretch, sketchers, stretch
from faults.world import PARTITIONS, World

pytestmark = [pytest.mark.io, pytest.mark.slow, pytest.mark.timeout(5_400)]

WINDOWS = 20
ROWS = 2_000  # of a message
IN_MEMORY = 100_000  # predictions that the sketchers keep, of all partitions
BOUND_MB = 700.0
TIMEOUT_S = 1_800.0


@dataclass(slots=True)
class Tally:
    """What every window and segment should hold, added up message by message."""

    at: Stretch
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)

    def add(self, window: int, x: np.ndarray, countries: Ints, right: Ints) -> None:
        bins = np.searchsorted(self.at.load.baseline_edges(), x, side="right")
        start_ms = self.at.start_ms + window * WINDOW_MS
        for segment, rows in [(WHOLE, np.full(len(x), True))] + [
            (segment_label("country", name), countries == code) for code, name in enumerate(COUNTRIES)
        ]:
            counts = np.bincount(bins[rows], minlength=len(self.at.load.baseline_edges()) + 1)
            old = self.cells.get((segment, start_ms), Cell(0, (0,) * (len(counts) + 1), 0, 0))
            self.cells[segment, start_ms] = Cell(
                rows=old.rows + int(rows.sum()),
                bins=tuple(a + b for a, b in zip(old.bins, [*counts.tolist(), 0], strict=True)),
                labelled=old.labelled + int(rows.sum()),
                correct=old.correct + int(right[rows].sum()),
            )


def messages(at: Stretch, tally: Tally, total: int) -> Iterator[tuple[int, PredictionBatch, LabelBatch]]:
    """The partition of each message of predictions, and the labels of the same rows, three days later."""
    count = total // ROWS
    for number in range(count):
        rng = np.random.default_rng((17, number))
        window = number * WINDOWS // count
        times_ms = at.start_ms + window * WINDOW_MS + np.sort(rng.integers(0, WINDOW_MS, ROWS))
        x, countries = rng.normal(size=ROWS), rng.integers(0, len(COUNTRIES), ROWS)
        predicted, right = rng.integers(0, 2, ROWS), (rng.random(ROWS) < 0.8).astype(np.int64)
        ids = tuple(f"b{number}-{row}" for row in range(ROWS))
        truth = np.where(right == 1, predicted, 1 - predicted)
        tally.add(window, x, countries, right)
        yield (
            number % PARTITIONS,
            predictions(at.load.model, ids, times_ms, x, countries, predicted),
            labels(at.load.model, ids, times_ms + 3 * DAY_MS, truth),
        )


def send(it: World, topic: str, payloads: Iterator[tuple[int, bytes]]) -> None:
    producer = Producer(producer_config(it.settings.kafka))
    for partition, payload in payloads:
        while True:
            try:
                producer.produce(topic, payload, partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(300) == 0


@pytest.mark.parametrize(
    "total",
    [
        pytest.param(100_000, id="small"),
        pytest.param(1_000_000, id="million"),
        pytest.param(10_000_000, id="ten-million"),
    ],
)
def test_labels_days_late(it: World, record_property: Record, total: int) -> None:
    at = stretch(it, f"belated-{total}", day=200 + total // 1_000_000)
    settings = SketcherSettings(chunk_messages=16, idle_timeout_s=3_600.0, join_index_rows=IN_MEMORY)
    tally, ignored = Tally(at), Tally(at)
    with sketchers(it, settings):
        send(
            it, PREDICTIONS.name, ((place, encoded(event)) for place, event, _ in messages(at, tally, total))
        )
        at.log.heartbeat(at.start_ms + (WINDOWS + 5) * WINDOW_MS)
        unlabelled = {key: Cell(cell.rows, cell.bins, 0, 0) for key, cell in tally.cells.items()}
        record_property("predictions_s", at.wait(unlabelled, TIMEOUT_S))
        send(it, LABELS.name, ((place, encoded(event)) for place, _, event in messages(at, ignored, total)))
        at.log.heartbeat(at.start_ms + 4 * DAY_MS)
        record_property("labels_s", at.wait(tally.cells, TIMEOUT_S))
        peaks_mb = {name: round(peak_mb(it, name)) for name in SKETCHERS}
    record_property("peak_mb", peaks_mb)
    assert max(peaks_mb.values()) < BOUND_MB


def peak_mb(it: World, name: str) -> float:
    status = Path(f"/proc/{it.workers[name].process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_024
