"""Every Hypothesis strategy of the tests."""

from collections.abc import Callable

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from driftsonde.core.chunks import ChunkSketch, Kind, Progress, SketchKey, Source
from driftsonde.core.events import (
    EARLIEST_MS,
    LATEST_MS,
    CategoricalColumn,
    Column,
    FeatureBatch,
    Heartbeat,
    LabelBatch,
    NumericColumn,
    PredictionBatch,
    RawEvent,
    Role,
    Variant,
)
from driftsonde.core.points import Points, gather_points
from driftsonde.core.sketch import Sketch
from driftsonde.core.window import Part, PartKey, Window, split_key


def identifiers() -> st.SearchStrategy[str]:
    """Ids, and names of models and columns: any text that UTF-8 can hold."""
    return st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def event_times() -> st.SearchStrategy[int]:
    return st.integers(EARLIEST_MS, LATEST_MS)


@st.composite
def columns(draw: st.DrawFn, rows: int, name: str, role: Role) -> Column:
    """A column of either kind, with missing values and infinities among them."""
    if draw(st.booleans()):
        values = draw(st.lists(st.floats(width=64), min_size=rows, max_size=rows))
        return NumericColumn(name, role, np.array(values, dtype=np.float64))
    categories = draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=10), max_size=5, unique=True))
    codes = draw(st.lists(st.integers(-1, len(categories) - 1), min_size=rows, max_size=rows))
    return CategoricalColumn(name, role, np.array(codes, dtype=np.int32), tuple(categories))


@st.composite
def _column_sets(draw: st.DrawFn, rows: int) -> tuple[Column, ...]:
    names = draw(st.lists(identifiers(), max_size=4, unique=True))
    return tuple(draw(columns(rows, name, draw(st.sampled_from(Role)))) for name in names)


@st.composite
def _row_sets(draw: st.DrawFn) -> tuple[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    ids = draw(st.lists(identifiers(), min_size=1, max_size=8))
    times = draw(st.lists(event_times(), min_size=len(ids), max_size=len(ids)))
    return tuple(ids), np.array(times, dtype=np.int64)


@st.composite
def prediction_batches(draw: st.DrawFn) -> PredictionBatch:
    ids, times = draw(_row_sets())
    return PredictionBatch(
        draw(identifiers()),
        draw(identifiers()),
        draw(st.sampled_from(Variant)),
        ids,
        times,
        draw(_column_sets(len(ids))),
    )


@st.composite
def label_batches(draw: st.DrawFn) -> LabelBatch:
    ids, times = draw(_row_sets())
    return LabelBatch(draw(identifiers()), ids, times, draw(columns(len(ids), "label", Role.PREDICTION)))


@st.composite
def feature_batches(draw: st.DrawFn) -> FeatureBatch:
    ids, times = draw(_row_sets())
    return FeatureBatch(
        draw(identifiers()),
        draw(identifiers()),
        draw(st.booleans()),
        ids,
        times,
        draw(_column_sets(len(ids))),
    )


def events() -> st.SearchStrategy[RawEvent]:
    """Any event that keeps its contract."""
    return st.one_of(
        prediction_batches(), label_batches(), feature_batches(), st.builds(Heartbeat, event_times())
    )


def by_seed(examples: int) -> Callable[[Callable[[int], None]], Callable[[], None]]:
    """Run a test with random seeds. A smaller seed is no simpler case, so none is looked for."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    seeds = st.integers(0, 2**32 - 1)
    return lambda test: settings(max_examples=examples, deadline=None, phases=phases)(given(seeds)(test))


def sources() -> st.SearchStrategy[Source]:
    return st.builds(Source, st.sampled_from(["predictions", "labels"]), st.integers(0, 2**31 - 1))


@st.composite
def points(draw: st.DrawFn) -> Points:
    """Scores by label, put in and taken out."""
    rows = draw(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from([-1, 1])), max_size=6))
    scores, positive, signs = (np.array([row[place] for row in rows]) for place in range(3))
    one_group = np.zeros(len(rows), dtype=np.int64)
    (drawn,) = gather_points(
        scores.astype(np.float64), positive.astype(np.bool_), signs.astype(np.int64), one_group, 1
    )
    return drawn


@st.composite
def sketches(draw: st.DrawFn) -> Sketch:
    """Any sizes, any numbers: sums may be infinite or NaN."""
    counts = draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6))
    sums, lows, highs = (
        np.array(draw(st.lists(st.floats(width=64), max_size=4)), dtype=np.float64) for _ in range(3)
    )
    names = st.text(st.characters(codec="utf-8"), max_size=8)
    unseen = draw(st.dictionaries(st.tuples(names, names), st.integers(1, 2**40), max_size=4))
    return Sketch(np.array(counts, dtype=np.int64), sums, lows, highs, unseen, draw(points()))


def sketch_keys() -> st.SearchStrategy[SketchKey]:
    return st.builds(
        SketchKey,
        identifiers(),
        identifiers(),
        st.sampled_from(Variant),
        st.text(st.characters(codec="utf-8"), max_size=10),
        event_times(),
        st.sampled_from(Kind),
        st.booleans(),
        identifiers(),
    )


def chunk_sketches() -> st.SearchStrategy[ChunkSketch]:
    offsets = st.integers(0, 2**62)
    return st.builds(ChunkSketch, sources(), offsets, offsets, sketch_keys(), sketches())


def progress() -> st.SearchStrategy[Progress]:
    offsets = st.integers(0, 2**62)
    return st.builds(Progress, sources(), offsets, offsets, st.integers(-1, LATEST_MS))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """A window of finished chunks."""
    key, _ = split_key(draw(sketch_keys()))
    parts = draw(
        st.dictionaries(
            st.builds(PartKey, st.sampled_from(Kind), st.booleans(), identifiers()),
            st.builds(
                Part,
                sketches(),
                st.dictionaries(sources(), sketches().map(lambda sketch: sketch.sums), max_size=3),
            ),
            max_size=3,
        )
    )
    return Window(key, parts, draw(st.dictionaries(sources(), st.integers(0, 2**62), max_size=3)))
