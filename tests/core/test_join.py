"""The hot index, and what a label changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.events import Variant
from driftsonde.core.join import NO_LABEL_TIME_MS, Entries, PredictionIndex, Stream, apply_labels

CHAMPION = Stream("m", "1", Variant.CHAMPION)
SHADOW = Stream("m", "2", Variant.SHADOW)


def entries(
    stream: Stream,
    *ids: str,
    arrived_ms: int = 0,
    predicted: float = 1.0,
    slice_labels: tuple[str, ...] = ("", "country=DE"),
) -> Entries:
    rows = len(ids)
    return Entries(
        stream,
        ids,
        np.arange(rows, dtype=np.int64),
        np.full(rows, predicted),
        np.full(rows, np.nan),
        np.zeros((1, rows), dtype=np.int32),
        slice_labels,
        arrived_ms,
        np.full(rows, np.nan),
        np.full(rows, NO_LABEL_TIME_MS, dtype=np.int64),
    )


def test_a_prediction_is_found_in_each_stream_of_its_model() -> None:
    index = PredictionIndex(100)
    first, second = entries(CHAMPION, "a", "b"), entries(SHADOW, "b")
    index.add(0, first)
    index.add(1, second)
    index.add(2, entries(Stream("other", "1", Variant.CHAMPION), "b"))
    assert [(place[0] is first, place[1]) for place in index.find("m", "b")] == [(True, 1), (False, 0)]
    assert index.find("m", "c") == []


def test_a_prediction_sent_twice_keeps_its_first_place_as_long_as_that_is_held() -> None:
    index = PredictionIndex(3)
    first, again = entries(CHAMPION, "a", "b"), entries(CHAMPION, "a", arrived_ms=7)
    index.add(4, first)
    index.add(5, again)
    assert index.find("m", "a")[0][0] is first
    index.add(9, entries(CHAMPION, "c", arrived_ms=9))
    assert index.find("m", "b") == []
    assert all(place[0] is again for place in index.find("m", "a"))
    assert (index.rows, index.missing_below, index.missing_until_ms) == (2, 5, 7)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=30), st.integers(1, 15))
def test_the_index_holds_the_newest_messages_within_its_bound(sizes: list[int], bound: int) -> None:
    index = PredictionIndex(bound)
    for offset, size in enumerate(sizes):
        index.add(offset, entries(CHAMPION, *(f"{offset}-{row}" for row in range(size)), arrived_ms=offset))
        held = [n for n in range(offset + 1) if index.find("m", f"{n}-0")]
        assert held == list(range(index.missing_below, offset + 1))
        assert index.rows == sum(sizes[n] for n in held)
        assert index.rows <= bound or held == [offset]
        assert index.missing_below == 0 or index.missing_until_ms == index.missing_below


def test_the_newest_label_by_time_wins_the_later_one_on_a_tie() -> None:
    held = entries(CHAMPION, "a")
    (joined,) = apply_labels([(held, 0, 0.0, 50), (held, 0, 1.0, 40), (held, 0, 0.0, 50), (held, 0, 1.0, 50)])
    assert joined.labels.tolist() == [0.0, 0.0, 1.0]
    assert joined.signs.tolist() == [1, -1, 1]
    assert (held.labels[0], held.label_times_ms[0]) == (1.0, 50)
    assert apply_labels([(held, 0, 1.0, 50), (held, 0, 0.0, 49)]) == []


def test_a_missing_prediction_has_no_outcome() -> None:
    assert apply_labels([(entries(CHAMPION, "a", predicted=np.nan), 0, 1.0, 5)]) == []


def test_changes_come_by_stream() -> None:
    champion, shadow = entries(CHAMPION, "a", "b"), entries(SHADOW, "a")
    joined = apply_labels([(champion, 0, 1.0, 5), (shadow, 0, 1.0, 5), (champion, 1, 0.0, 6)])
    assert [(part.stream, part.labels.tolist()) for part in joined] == [
        (CHAMPION, [1.0, 0.0]),
        (SHADOW, [1.0]),
    ]
    assert joined[0].timestamps_ms.tolist() == [0, 1]
    assert joined[0].slices.shape == (1, 2)


def test_predictions_that_were_sliced_otherwise_are_changed_apart() -> None:
    """A version that gets its first baseline slices by more values, and its codes mean others."""
    old, new = entries(CHAMPION, "a"), entries(CHAMPION, "b", "c", slice_labels=("", "country=FR", "sex=f"))
    joined = apply_labels([(new, 1, 1.0, 5), (old, 0, 1.0, 5), (new, 0, 0.0, 6)])
    assert [(part.slice_labels, part.labels.tolist()) for part in joined] == [
        (new.slice_labels, [1.0, 0.0]),
        (old.slice_labels, [1.0]),
    ]


def test_what_has_come_in_a_span_of_event_time_is_found_in_the_order_of_the_log() -> None:
    index = PredictionIndex(100)
    for offset, arrived_ms in enumerate((0, 10, 10, 20, 30)):
        index.add(offset, entries(CHAMPION, f"{offset}", arrived_ms=arrived_ms))
    assert [held.ids for held in index.arrived_in(10, 30)] == [("1",), ("2",), ("3",)]
    assert list(index.arrived_in(31, 99)) == []


def test_what_leaves_is_handed_over_once() -> None:
    index = PredictionIndex(2)
    for offset in range(4):
        index.add(offset, entries(CHAMPION, f"{offset}"))
    assert [left.ids for left in index.take_evicted()] == [("0",), ("1",)]
    assert index.take_evicted() == []


@given(st.data())
def test_many_are_found_as_each_is(data: st.DataObject) -> None:
    index = PredictionIndex(data.draw(st.integers(1, 12)))
    names = st.sampled_from("abcdef")
    arrived_ms = 0
    for offset in range(data.draw(st.integers(0, 8))):
        arrived_ms += data.draw(st.integers(0, 2))
        ids = data.draw(st.lists(names, min_size=1, max_size=4))
        index.add(
            offset, entries(data.draw(st.sampled_from([CHAMPION, SHADOW])), *ids, arrived_ms=arrived_ms)
        )
    asked, below_ms = data.draw(st.lists(names, max_size=6)), data.draw(st.integers(0, 12))
    found = index.find_many("m", asked, below_ms)
    assert found.keys() == set(asked)
    for prediction_id, places in found.items():
        one_by_one = [p for p in index.find("m", prediction_id) if p[0].arrived_ms < below_ms]
        assert {(id(e), row) for e, row in places} == {(id(e), row) for e, row in one_by_one}
        assert len(places) == len(one_by_one)
    assert index.find_many("other", asked, below_ms) == {prediction_id: [] for prediction_id in asked}


@given(st.data())
def test_labels_are_written_one_after_the_other(data: st.DataObject) -> None:
    held = [
        entries(CHAMPION, "a", "b", "c"),
        entries(CHAMPION, "d", slice_labels=("",)),
        entries(SHADOW, "a", "b"),
        entries(CHAMPION, "e", "f", predicted=np.nan),
    ]
    places = st.sampled_from([(held_, row) for held_ in held for row in range(len(held_.ids))])
    known: dict[tuple[int, int], tuple[float, int]] = {}
    for _ in range(3):
        pairs = data.draw(
            st.lists(st.tuples(places, st.sampled_from([0.0, 1.0]), st.integers(1, 4)), max_size=9)
        )
        changes: dict[tuple[Stream, tuple[str, ...]], list[tuple[int, float, int, int]]] = {}
        for (held_, row), label, time_ms in pairs:
            old = known.get((id(held_), row))
            if np.isnan(held_.predictions[row]) or (old and (time_ms < old[1] or (label, time_ms) == old)):
                continue
            part = changes.setdefault((held_.stream, held_.slice_labels), [])
            part.extend([(row, *old, -1)] if old else [])
            part.append((row, label, time_ms, 1))
            known[id(held_), row] = label, time_ms
        joined = apply_labels([(*place, label, time_ms) for place, label, time_ms in pairs])
        assert {
            (each.stream, each.slice_labels): list(
                zip(
                    each.timestamps_ms.tolist(),
                    each.labels.tolist(),
                    each.label_times_ms.tolist(),
                    each.signs.tolist(),
                    strict=True,
                )
            )
            for each in joined
        } == changes
        assert all(each.slices.shape == (1, len(each.signs)) for each in joined)
    for held_ in held:
        for row, (label, time_ms) in enumerate(
            zip(held_.labels.tolist(), held_.label_times_ms.tolist(), strict=True)
        ):
            expected = known.get((id(held_), row), (None, NO_LABEL_TIME_MS))
            assert (None if np.isnan(label) else label, time_ms) == expected
