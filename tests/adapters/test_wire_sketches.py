"""Sketches, progress and windows on the wire: what is read is what was written, bit for bit."""

import numpy as np
from hypothesis import given

from driftsonde.adapters.avro import Codec
from driftsonde.adapters.wire_sketches import SKETCH_TYPES
from driftsonde.core.chunks import ChunkSketch, Kind, Progress, Source
from driftsonde.core.events import Floats, Variant
from driftsonde.core.sketch import Sketch
from driftsonde.core.window import PartKey, Window, WindowKey
from strategies import chunk_sketches, progress, windows

CODEC = Codec(SKETCH_TYPES)

Bits = tuple[object, ...]


def bits_of(array: Floats) -> Bits:
    return array.dtype.str, array.tobytes()


def sketch_bits(sketch: Sketch) -> Bits:
    points = sketch.points
    arrays = (sketch.sums, sketch.lows, sketch.highs, points.values)
    counts = (sketch.counts.tolist(), points.negatives.tolist(), points.positives.tolist(), points.coarse)
    return *counts, *(bits_of(array) for array in arrays), sketch.unseen


def window_bits(window: Window) -> Bits:
    parts = {
        key: (sketch_bits(part.total), {source: bits_of(sums) for source, sums in part.sums.items()})
        for key, part in window.parts.items()
    }
    return window.key, parts, window.folded, window.open_chunks


@given(chunk_sketches())
def test_a_sketch_comes_back(value: ChunkSketch) -> None:
    back = CODEC.decode(CODEC.encode(value))
    assert isinstance(back, ChunkSketch)
    assert (back.source, back.chunk, back.position, back.key) == (
        value.source,
        value.chunk,
        value.position,
        value.key,
    )
    assert sketch_bits(back.sketch) == sketch_bits(value.sketch)


@given(progress())
def test_progress_comes_back(value: Progress) -> None:
    assert CODEC.decode(CODEC.encode(value)) == value


@given(windows())
def test_a_window_comes_back(value: Window) -> None:
    back = CODEC.decode(CODEC.encode(value))
    assert isinstance(back, Window)
    assert window_bits(back) == window_bits(value)
    assert back.sequence == value.sequence
    assert CODEC.encode(back) == CODEC.encode(value)


def test_what_is_still_open_is_not_stored() -> None:
    window = Window(WindowKey(0, "m", "1", Variant.CHAMPION, ""))
    sketch = Sketch(np.array([1]), np.array([1.0]), np.zeros(0), np.zeros(0))
    window.put(Source("predictions", 0), 3, PartKey(Kind.INPUTS, False, "b"), sketch)
    back = CODEC.decode(CODEC.encode(window))
    assert isinstance(back, Window)
    assert (back.part_keys(), back.sequence) == (set(), 0)


def test_a_sketch_that_was_read_can_be_folded() -> None:
    """What comes from the wire is read-only memory."""
    part, source = PartKey(Kind.INPUTS, False, "b"), Source("predictions", 0)
    window = Window(WindowKey(0, "m", "1", Variant.CHAMPION, ""))
    window.put(source, 0, part, Sketch(np.array([1]), np.array([0.5]), np.array([0.5]), np.array([0.5])))
    window.finish(source, 1)
    back = CODEC.decode(CODEC.encode(window))
    assert isinstance(back, Window)
    back.put(source, 1, part, Sketch(np.array([2]), np.array([0.25]), np.array([0.25]), np.array([0.25])))
    back.finish(source, 2)
    total = back.total([part])
    assert total is not None
    assert (total.counts.tolist(), total.sums.tolist(), total.lows.tolist()) == ([3], [0.75], [0.25])
