"""Second moments in the sketcher: by window and lateness, however many messages are folded at once."""

from dataclasses import replace

import numpy as np

from driftsonde.core.baseline_builder import ReferenceRows, build_baseline
from driftsonde.core.chunks import ChunkSketch, Kind, SketchKey, Source
from driftsonde.core.events import PredictionBatch, Variant
from driftsonde.core.join import PredictionIndex, Stream
from driftsonde.core.joint import joint_layout, unpacked
from driftsonde.core.plan import Plan, plan_for
from driftsonde.core.sketch import Sketch
from driftsonde.core.spec import ModelSpec, MultivariateRule, Policy, Task
from driftsonde.core.statistics.multivariate import Standard, second_moments
from driftsonde.sketcher.chunk_state import ChunkState
from driftsonde.sketcher.folding import Folding
from driftsonde.sketcher.messages import Message
from stream_examples import numeric

WINDOW_MS = 1_000
SPEC = ModelSpec(
    "m",
    Task.BINARY,
    window_ms=WINDOW_MS,
    lateness_ms=0,
    policy=Policy(multivariate=MultivariateRule(("a", "b"))),
)
STREAM = Stream("m", "1", Variant.CHAMPION)


def plan() -> Plan:
    values = np.random.default_rng(0).normal(size=(2, 300))
    columns = (numeric("a", values[0].tolist()), numeric("b", values[1].tolist()))
    rows = ReferenceRows(np.arange(300, dtype=np.int64), columns)
    return plan_for(SPEC, build_baseline(SPEC, "1", rows, "a test"), "base", "policy")


def batches(rng: np.random.Generator) -> list[PredictionBatch]:
    """Three windows out of order; the second message has no column b."""
    made = []
    for number in range(6):
        times = rng.integers(0, 3 * WINDOW_MS, 20)
        values = rng.normal(size=(2, 20))
        columns = [numeric("a", values[0].tolist()), numeric("b", values[1].tolist())][
            : 1 if number == 1 else 2
        ]
        ids = tuple(f"{number}-{row}" for row in range(20))
        made.append(PredictionBatch("m", "1", Variant.CHAMPION, ids, times, tuple(columns)))
    return made


def folded(known: Plan, messages: list[PredictionBatch], at_once: int) -> dict[SketchKey, Sketch]:
    state = ChunkState(Source("predictions", 0), 100, 0)
    folding = Folding(state, PredictionIndex(1_000), lambda model, version: known)
    newest = -1
    parts = []
    for offset, batch in enumerate(messages):
        parts.append((Message(offset, 0, batch), newest))
        newest = max(newest, int(batch.timestamps_ms.max()))
    for start in range(0, len(parts), at_once):
        folding.fold(parts[start : start + at_once])
    return {
        emission.key: emission.sketch
        for emission in state.flush()
        if isinstance(emission, ChunkSketch) and emission.key.layout == joint_layout("base")
    }


def test_a_sketch_for_each_window_and_lateness_with_the_moments_of_its_rows() -> None:
    known, messages = plan(), batches(np.random.default_rng(1))
    assert known.joint is not None
    expected: dict[tuple[int, bool], list[list[float]]] = {}
    newest = -1
    for batch in messages:
        named = {column.name: column.values for column in batch.columns}  # type: ignore[union-attr]
        for row, time_ms in enumerate(batch.timestamps_ms.tolist()):
            start_ms = time_ms // WINDOW_MS * WINDOW_MS
            values = [float(named[name][row]) if name in named else np.nan for name in ("a", "b")]
            expected.setdefault((start_ms, start_ms + WINDOW_MS <= newest), []).append(values)
        newest = max(newest, int(batch.timestamps_ms.max()))
    for at_once in (1, 2, 6):
        found = folded(known, messages, at_once)
        assert {(key.window_start_ms, key.late) for key in found} == set(expected)
        for key, sketch in found.items():
            assert (key.kind, key.segment) == (Kind.INPUTS, "")
            standard = Standard(known.joint.centre, known.joint.spread)
            moments = second_moments(standard, expected[key.window_start_ms, key.late])
            ours = unpacked(sketch.counts, 2)
            assert ours.rows == moments.rows
            assert np.array_equal(ours.present, moments.present)
            assert np.array_equal(ours.sums, moments.sums)
            assert np.array_equal(ours.products, moments.products)


def test_nothing_is_folded_for_a_policy_that_names_no_columns() -> None:
    known = plan()
    without = plan_for(replace(SPEC, policy=Policy()), known.baseline, "base", "policy")
    assert folded(without, batches(np.random.default_rng(2)), 6) == {}
