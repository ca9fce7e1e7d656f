"""Sketches of input rows: merging is concatenation, in any order; sums do not depend on what is folded at once."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.events import (
    CategoricalColumn,
    Column,
    InvalidEvent,
    NumericColumn,
    PredictionBatch,
    Variant,
)
from driftsonde.core.inputs import check_columns, layout_of, sketch_rows
from driftsonde.core.sketch import UNSEEN_KEPT, Sketch, Unseen, add, empty_sketch, merge_unseen
from driftsonde.core.spec import ModelSpec, Task
from driftsonde.core.strata import one_stratum
from strategies import by_seed, columns
from stream_examples import categorical, numeric, plan_of

PLAN = plan_of(
    ModelSpec("m", Task.REGRESSION),
    "1",
    numeric("x", [-1.5, 0.0, 0.0, 2.0, 3.5]),
    categorical("c", ["a", "b", "b", "a", "a"]),
    numeric("y", [1e-300, 1.0, 1e300, np.nan, 7.0]),
)
LAYOUT = PLAN.inputs


def batch_of(*parts: Column) -> PredictionBatch:
    first = parts[0]
    rows = len(first.values if isinstance(first, NumericColumn) else first.codes)
    return PredictionBatch("m", "1", Variant.CHAMPION, ("i",) * rows, np.zeros(rows, dtype=np.int64), parts)


@st.composite
def batches(draw: st.DrawFn) -> PredictionBatch:
    """One to six rows, of the baseline's kinds; now and then without a column."""
    rows = draw(st.integers(1, 6))
    values = st.one_of(st.floats(width=64), st.sampled_from([-0.0, 0.0, 2.0, 3.5, np.inf, -np.inf, np.nan]))
    texts = st.one_of(st.sampled_from(["a", "b", None]), st.text(max_size=3))
    parts: list[Column] = [
        numeric("x", draw(st.lists(values, min_size=rows, max_size=rows))),
        categorical("c", draw(st.lists(texts, min_size=rows, max_size=rows))),
        numeric("y", draw(st.lists(values, min_size=rows, max_size=rows))),
    ]
    return batch_of(*parts[: draw(st.integers(1, 3))])


def fold(parts: Sequence[PredictionBatch], start: Sketch | None = None) -> Sketch:
    """One group of all rows, going on from `start`."""
    rows = sum(len(part.ids) for part in parts)
    sums = np.zeros((1, LAYOUT.sums)) if start is None else start.sums[None]
    (sketch,) = sketch_rows(LAYOUT, parts, one_stratum(rows), sums)
    return sketch if start is None else replace(add(start, sketch), sums=sketch.sums)


def exact_part(sketch: Sketch) -> tuple[bytes, bytes, bytes, Unseen]:
    return sketch.counts.tobytes(), sketch.lows.tobytes(), sketch.highs.tobytes(), sketch.unseen


@given(st.lists(batches(), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_merging_is_concatenation_in_any_order(parts: list[PredictionBatch], random: Random) -> None:
    whole = fold(parts)
    shuffled = [fold([part]) for part in parts]
    random.shuffle(shuffled)
    neutral = empty_sketch(LAYOUT.bins, LAYOUT.sums, len(LAYOUT.numeric))
    merged = reduce(add, shuffled, neutral)
    assert exact_part(merged) == exact_part(whole)


@given(st.lists(batches(), min_size=1, max_size=8), st.data())
def test_sums_do_not_depend_on_how_many_messages_are_folded_at_once(
    parts: list[PredictionBatch], data: st.DataObject
) -> None:
    at_once = fold(parts)
    portions: Sketch | None = None
    left = list(parts)
    while left:
        size = data.draw(st.integers(1, len(left)))
        portions, left = fold(left[:size], portions), left[size:]
    assert portions is not None
    assert portions.sums.tobytes() == at_once.sums.tobytes()
    assert exact_part(portions) == exact_part(at_once)


def test_adding_message_sums_in_another_grouping_would_differ() -> None:
    """The premise of the law above: floating-point addition is not associative."""
    parts = [batch_of(numeric("x", [value])) for value in (0.1, 0.2, 0.3)]
    merged = add(fold(parts[:1]), fold(parts[1:]))
    assert merged.sums[0] != fold(parts).sums[0]


def test_the_sketch_of_some_rows() -> None:
    sketch = fold(
        [
            batch_of(
                numeric("x", [-9.0, 0.0, 99.0, np.nan, np.inf]), categorical("c", ["a", "z", None, "z", "b"])
            ),
            batch_of(categorical("c", ["b"])),
        ]
    )
    (x, c, y) = (
        sketch.counts[offset : offset + len(reference.counts)].tolist()
        for reference, offset in zip(LAYOUT.references, LAYOUT.offsets, strict=True)
    )
    assert sketch.counts[0] == 6
    assert (x[0], x[-2], x[-1], sum(x)) == (1, 2, 2, 6)  # below, above, missing
    assert c == [1, 2, 2, 1]  # a, b, unseen, missing
    assert (y[-1], sum(y)) == (6, 6)
    assert sketch.unseen == {("c", "z"): 2}
    assert (sketch.sums.tolist(), sketch.lows[0], sketch.highs[0]) == (
        [90.0, 81.0 + 99.0**2, 0.0, 0.0],
        -9.0,
        99.0,
    )
    assert (sketch.lows[1], sketch.highs[1]) == (np.inf, -np.inf)


@given(columns(rows=3, name="x", role=numeric("x", [1.0]).role))
def test_a_column_of_the_other_kind_is_refused(column: Column) -> None:
    batch = batch_of(column)
    if isinstance(column, CategoricalColumn) and (column.codes >= 0).any():
        with pytest.raises(InvalidEvent, match="is not numeric"):
            check_columns(LAYOUT, batch)
    else:
        check_columns(LAYOUT, batch)


def test_a_column_without_a_value_is_missing_whatever_its_kind() -> None:
    nulls = batch_of(numeric("c", [np.nan, np.nan]), categorical("x", [None, None]))
    check_columns(LAYOUT, nulls)
    values = batch_of(numeric("x", [0.0]), categorical("c", ["a"]))
    x, c, y = LAYOUT.offsets
    for parts in ([nulls, values], [values, nulls]):
        counts = fold(parts).counts
        assert counts[c:y].tolist() == [1, 0, 0, 2]  # a, b, unseen, missing
        assert (counts[x:c].sum(), counts[c - 1]) == (3, 2)
    with pytest.raises(InvalidEvent, match="is not categorical"):
        check_columns(LAYOUT, batch_of(numeric("c", [np.nan, 1.0])))


@by_seed(30)
def test_the_unseen_values_that_survive_are_counted_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = int(rng.choice([UNSEEN_KEPT - 2, UNSEEN_KEPT, 80]))
    parts: list[Unseen] = [
        {("c", str(value)): int(rng.integers(1, 9)) for value in rng.integers(0, values, 40).tolist()}
        for _ in range(int(rng.integers(1, 7)))
    ]
    truth: Unseen = {}
    for part in parts:
        for key, rows in part.items():
            truth[key] = truth.get(key, 0) + rows
    forwards: Unseen = {}
    for part in parts:
        forwards = merge_unseen((forwards, part))
    middle = len(parts) // 2
    assert forwards == merge_unseen((merge_unseen(parts[middle:]), merge_unseen(parts[:middle])))
    assert len(forwards) == min(len(truth), UNSEEN_KEPT)
    assert forwards.items() <= truth.items()


def test_zero_has_one_sign() -> None:
    """Else the smallest of 0.0 and -0.0 would depend on which came first."""
    for values in ([0.0, -0.0], [-0.0, 0.0], [-0.0]):
        sketch = fold([batch_of(numeric("x", [value])) for value in values])
        assert (sketch.lows[0].hex(), sketch.highs[0].hex()) == ("0x0.0p+0", "0x0.0p+0")


def test_sketches_of_different_layouts_are_not_added() -> None:
    with pytest.raises(ValueError, match="different layouts"):
        add(empty_sketch(3, 2, 1), empty_sketch(4, 2, 1))


def test_a_layout_without_a_baseline_counts_rows() -> None:
    (sketch,) = sketch_rows(
        layout_of(None), [batch_of(numeric("x", [1.0, 2.0]))], one_stratum(2), np.zeros((1, 0))
    )
    assert sketch.counts.tolist() == [2]
