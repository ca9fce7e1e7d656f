"""The traffic is what it says it is, and what the services read."""

from dataclasses import replace

import numpy as np

from bench.folding import messages_of, plan_of, sketches_of
from bench.workload import START_MS, WINDOW_MS, Workload, event_payloads, payloads
from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_events import EVENT_TYPES
from driftsonde.core.chunks import WHOLE
from driftsonde.core.events import CategoricalColumn, NumericColumn, PredictionBatch

WORKLOAD = Workload(messages=16, rows=50, numeric=3, categorical=2, models=2, windows=4)


def test_the_same_rows_in_every_run() -> None:
    for (_, one), (_, other) in zip(WORKLOAD.batches(), WORKLOAD.batches(), strict=True):
        assert (one.timestamps_ms == other.timestamps_ms).all()
        for left, right in zip(one.columns, other.columns, strict=True):
            assert isinstance(left, NumericColumn) is isinstance(right, NumericColumn)
            if isinstance(left, NumericColumn) and isinstance(right, NumericColumn):
                assert np.array_equal(left.values, right.values, equal_nan=True)


def test_both_versions_of_every_model_on_every_partition_over_all_windows() -> None:
    found = [(p, b.model, b.version) for p, b in WORKLOAD.batches()]
    assert set(found) == {(p, f"model-{m}", v) for p in range(4) for m in range(2) for v in ("1", "2")}
    times = np.concatenate([batch.timestamps_ms for _, batch in WORKLOAD.batches()])
    assert np.unique(times // WINDOW_MS).tolist() == [START_MS // WINDOW_MS + number for number in range(4)]


def test_events_are_the_rows_one_by_one() -> None:
    small = replace(WORKLOAD, messages=1)
    codec = Codec(EVENT_TYPES)
    ((_, payload),) = payloads(small)
    whole = codec.decode(payload)
    singles = [codec.decode(payload) for _, payload in event_payloads(small)]
    assert isinstance(whole, PredictionBatch)
    assert len(singles) == small.rows
    for row, single in enumerate(singles):
        assert isinstance(single, PredictionBatch)
        assert single.timestamps_ms.tolist() == [whole.timestamps_ms[row]]
        by_name = {column.name: column for column in single.columns}
        for column in whole.columns:
            one = by_name[column.name]
            if isinstance(column, NumericColumn) and isinstance(one, NumericColumn):
                assert np.array_equal(one.values, column.values[row : row + 1], equal_nan=True)
            elif isinstance(column, CategoricalColumn) and isinstance(one, CategoricalColumn):
                assert one.categories == (column.categories[column.codes[row]],)


def test_a_sketch_has_every_row_of_the_whole_model() -> None:
    one = replace(WORKLOAD, models=1)
    messages = messages_of([batch for _, batch in one.batches()])
    whole = [each for each in sketches_of(plan_of(one), messages) if each.key.segment == WHOLE]
    assert sum(int(each.sketch.counts[0]) for each in whole) == one.total_rows
