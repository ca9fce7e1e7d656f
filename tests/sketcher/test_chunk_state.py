"""What an open chunk sends, and when its messages may be acknowledged."""

import numpy as np

from driftsonde.core.chunks import ChunkSketch, Kind, Progress, SketchKey, Source
from driftsonde.core.events import Variant
from driftsonde.core.sketch import Sketch
from driftsonde.sketcher.chunk_state import ChunkState, Emission, FinishedChunk

SOURCE = Source("predictions", 3)


def key(segment: str) -> SketchKey:
    return SketchKey("m", "1", Variant.CHAMPION, segment, 0, Kind.INPUTS, False, "b")


def rows(count: int) -> Sketch:
    return Sketch(np.array([count]), np.array([float(count)]), np.zeros(0), np.zeros(0))


def sent(emissions: list[Emission]) -> list[tuple[str, int, int, int]]:
    """(segment, chunk, position, rows) of the sketches."""
    return [
        (e.key.segment, e.chunk, e.position, int(e.sketch.counts[0]))
        for e in emissions
        if isinstance(e, ChunkSketch)
    ]


def test_a_flush_sends_what_has_changed_and_then_how_far_it_is() -> None:
    state = ChunkState(SOURCE, 10, 20)
    assert state.has_news
    state.merge({key("b"): rows(1), key("a"): rows(2)})
    state.observe(500)
    state.observe(400)
    assert state.advance(23) == []
    out = state.flush()
    assert sent(out) == [("a", 2, 23, 2), ("b", 2, 23, 1)]
    assert out[-1] == Progress(SOURCE, 23, 2, 500)
    assert not state.has_news
    state.merge({key("b"): rows(5)})
    state.advance(24)
    assert sent(state.flush()) == [("b", 2, 24, 6)]
    assert sent(state.flush()) == []
    assert sent(state.repeat()) == [("a", 2, 24, 2), ("b", 2, 24, 6)]


def test_leaving_a_chunk_sends_what_is_final_and_then_says_that_it_is() -> None:
    state = ChunkState(SOURCE, 10, 20, event_time_ms=7)
    state.merge({key("a"): rows(1)})
    state.flush()
    state.merge({key("b"): rows(2)})
    out = state.advance(30)
    assert sent(out) == [("b", 2, 30, 2)]
    assert out[1:] == [Progress(SOURCE, 30, 3, 7), FinishedChunk(SOURCE, 2, 30, 7)]
    assert sent(state.repeat()) == []
    state.merge({key("a"): rows(9)})
    assert sent(state.flush()) == [("a", 3, 30, 9)]


def test_a_gap_may_skip_chunks() -> None:
    state = ChunkState(SOURCE, 10, 20)
    state.merge({key("a"): rows(1)})
    out = state.advance(57)
    assert sent(out) == [("a", 2, 30, 1)]
    assert state.chunk == 5
    assert state.flush() == [Progress(SOURCE, 57, 5, -1)]


def test_sums_go_on_where_they_are() -> None:
    state = ChunkState(SOURCE, 10, 0)
    assert state.sums(key("a"), 2).tolist() == [0.0, 0.0]
    state.merge({key("a"): rows(1)})
    state.extend({key("a"): Sketch(np.array([2]), np.array([3.0]), np.zeros(0), np.zeros(0))})
    assert state.sums(key("a"), 1).tolist() == [3.0]
    assert sent(state.flush()) == [("a", 0, 0, 3)]
