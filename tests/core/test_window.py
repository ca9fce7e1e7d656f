"""A window of chunks: the same bits whatever order chunks of different sources come in, folded or still open."""

import numpy as np
import pytest

from driftsonde.core.chunks import Kind, SketchKey, Source
from driftsonde.core.events import Variant
from driftsonde.core.sketch import Sketch
from driftsonde.core.window import PartKey, Window, WindowKey, split_key
from strategies import by_seed

KEY = WindowKey(0, "m", "1", Variant.CHAMPION, "")
ON_TIME = PartKey(Kind.INPUTS, False, "b")
LATE = PartKey(Kind.INPUTS, True, "b")
SOURCES = tuple(Source("predictions", partition) for partition in range(3))

Chunks = dict[tuple[Source, int], dict[PartKey, Sketch]]


def random_sketch(rng: np.random.Generator) -> Sketch:
    values = rng.normal(size=2) * 10.0 ** rng.integers(-8, 8, 2)
    return Sketch(rng.integers(0, 9, 3), values, values[:1], values[1:], {("c", str(rng.integers(4))): 1})


def random_chunks(rng: np.random.Generator) -> Chunks:
    return {
        (source, int(chunk)): {part: random_sketch(rng) for part in (ON_TIME, LATE) if rng.random() < 0.8}
        or {ON_TIME: random_sketch(rng)}
        for source in SOURCES
        for chunk in rng.choice(10, size=int(rng.integers(0, 5)), replace=False)
    }


def expected_total(chunks: Chunks, part: PartKey) -> tuple[bytes, bytes] | None:
    """Counts in any order; sums within a source by chunk, then source by source."""
    mine = {place: parts[part] for place, parts in sorted(chunks.items()) if part in parts}
    if not mine:
        return None
    total = np.zeros(2)
    for source in sorted({source for source, _ in mine}):
        of_source = [sketch.sums for (origin, _), sketch in mine.items() if origin == source]
        share = of_source[0]
        for sums in of_source[1:]:
            share = share + sums
        total = total + share
    counts = np.sum([sketch.counts for sketch in mine.values()], axis=0)
    return counts.tobytes(), total.tobytes()


def put(window: Window, chunks: Chunks, place: tuple[Source, int]) -> None:
    for part, sketch in chunks[place].items():
        window.put(*place, part, sketch)


@by_seed(100)
def test_totals_do_not_depend_on_the_order_of_sources_or_on_what_is_finished(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chunks = random_chunks(rng)
    waiting = {source: sorted(chunk for origin, chunk in chunks if origin == source) for source in SOURCES}
    window = Window(KEY)
    seen: Chunks = {}
    while any(waiting.values()):
        source = SOURCES[int(rng.integers(3))]
        if waiting[source]:
            chunk = waiting[source].pop(0)
            seen[source, chunk] = chunks[source, chunk]
            put(window, chunks, (source, chunk))
        if rng.random() < 0.5:
            window.finish(source, int(rng.integers(0, 11)) if not waiting[source] else waiting[source][0])
        if seen and rng.random() < 0.3:  # one that was delivered before
            put(window, chunks, list(seen)[int(rng.integers(len(seen)))])
        for part in (ON_TIME, LATE):
            total = window.total([part])
            assert (total and (total.counts.tobytes(), total.sums.tobytes())) == expected_total(seen, part)
    assert window.part_keys() == {part for parts in chunks.values() for part in parts}


def test_a_newer_state_of_an_open_chunk_replaces_the_older() -> None:
    rng = np.random.default_rng(1)
    older, newer = random_sketch(rng), random_sketch(rng)
    window = Window(KEY)
    window.put(SOURCES[0], 4, ON_TIME, older)
    window.put(SOURCES[0], 4, ON_TIME, newer)
    total = window.total([ON_TIME])
    assert total is not None
    assert total.counts.tolist() == newer.counts.tolist()


def test_a_chunk_is_folded_once() -> None:
    sketch = random_sketch(np.random.default_rng(2))
    window = Window(KEY)
    window.put(SOURCES[0], 4, ON_TIME, sketch)
    assert not window.finish(SOURCES[0], 4)
    assert not window.finish(SOURCES[1], 9)
    assert window.finish(SOURCES[0], 5)
    before = window.sequence
    window.put(SOURCES[0], 4, ON_TIME, sketch)
    window.put(SOURCES[0], 3, ON_TIME, sketch)
    assert not window.finish(SOURCES[0], 5)
    assert (window.folded, window.sequence) == ({SOURCES[0]: 4}, before)
    window.put(SOURCES[0], 7, ON_TIME, sketch)
    assert window.finish(SOURCES[0], 8)
    assert window.sequence > before
    total = window.total([ON_TIME])
    assert total is not None
    assert total.counts.tolist() == (2 * sketch.counts).tolist()


def test_parts_of_different_layouts_are_not_mixed_unless_asked_for() -> None:
    window = Window(KEY)
    window.put(
        SOURCES[0], 0, ON_TIME, Sketch(np.zeros(3, dtype=np.int64), np.zeros(2), np.zeros(1), np.zeros(1))
    )
    other = PartKey(Kind.INPUTS, False, "other")
    window.put(
        SOURCES[0], 0, other, Sketch(np.zeros(4, dtype=np.int64), np.zeros(2), np.zeros(1), np.zeros(1))
    )
    assert window.total([ON_TIME]) is not None
    assert window.total([]) is None
    with pytest.raises(ValueError, match="different layouts"):
        window.total([ON_TIME, other])


def test_a_sketch_belongs_to_one_window_and_part() -> None:
    key = SketchKey("m", "1", Variant.CANARY, "c=a", 60_000, Kind.OUTCOMES, True, "layout")
    assert split_key(key) == (
        WindowKey(60_000, "m", "1", Variant.CANARY, "c=a"),
        PartKey(Kind.OUTCOMES, True, "layout"),
    )
