"""Labels that have come before their prediction: which is kept, until when, how many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.events import Variant
from driftsonde.core.join import NO_LABEL_TIME_MS, Entries, Stream
from driftsonde.core.unmatched import Coming, UnmatchedChange, UnmatchedLabel, UnmatchedLabels


def label(prediction_id: str, time_ms: int, value: float = 1.0, wait_ms: int = 100) -> UnmatchedLabel:
    return UnmatchedLabel("m", prediction_id, value, time_ms, time_ms + wait_ms)


def entries(arrived_ms: int) -> Entries:
    return Entries(
        Stream("m", "1", Variant.CHAMPION),
        ("a",),
        np.zeros(1, dtype=np.int64),
        np.zeros(1),
        np.zeros(1),
        np.zeros((0, 1), dtype=np.int32),
        ("",),
        arrived_ms,
        np.full(1, np.nan),
        np.full(1, NO_LABEL_TIME_MS, dtype=np.int64),
    )


def test_the_newest_label_of_an_id_is_kept_the_later_one_on_a_tie() -> None:
    kept = UnmatchedLabels(10)
    for time_ms, value in ((50, 0.0), (40, 1.0), (50, 2.0)):
        kept.put(label("a", time_ms, value))
    assert kept.get("m", "a") == label("a", 50, 2.0)
    assert list(kept.among("m", ("b", "a"))) == ["a"]
    assert list(kept.among("other", ("a",))) == []
    assert kept.pop("m", "a") == label("a", 50, 2.0)
    assert kept.pop("m", "a") is None


def test_a_label_expires_by_its_newest_time() -> None:
    kept = UnmatchedLabels(10)
    kept.put(label("a", 0))
    kept.put(label("b", 10))
    kept.put(label("a", 20))
    assert kept.expire(110) == 0
    assert kept.expire(111) == 1
    assert kept.get("m", "b") is None
    assert kept.get("m", "a") == label("a", 20)
    assert kept.expire(121) == 1


def test_changes_are_told_once_as_they_ended() -> None:
    kept = UnmatchedLabels(10)
    kept.put(label("a", 0))
    kept.put(label("b", 0))
    kept.pop("m", "a")
    assert kept.take_changes() == (UnmatchedChange("m", "a", None), UnmatchedChange("m", "b", label("b", 0)))
    assert kept.take_changes() == ()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), max_size=40), st.integers(1, 6))
def test_within_the_bound_those_stay_that_expire_last(puts: list[tuple[int, int]], bound: int) -> None:
    kept, expected = UnmatchedLabels(bound), dict[str, int]()
    for number, time_ms in puts:
        name = str(number)
        kept.put(label(name, time_ms))
        expected[name] = max(time_ms, expected.get(name, time_ms))
        evicted = kept.evict()
        assert evicted == max(0, len(expected) - bound)
        expected = dict(sorted(expected.items(), key=lambda entry: (entry[1], entry[0]))[evicted:])
        assert {n for n in map(str, range(10)) if kept.get("m", n)} == expected.keys()
    assert kept.fill_ratio == len(expected) / bound


def test_what_is_coming_comes_in_its_order_and_once() -> None:
    coming = Coming()
    late, early = entries(3_000), entries(1_000)
    coming.put(late, 0)
    coming.put(early, 0)
    assert coming.take_below(1_000) == []
    assert [place[0] is early for place in coming.take_below(3_000)] == [True]
    assert [place[0] is late for place in coming.take_below(3_001)] == [True]
    assert coming.take_below(9_000) == []


def test_labels_of_one_id_do_not_add_up() -> None:
    kept = UnmatchedLabels(10)
    sizes = []
    for time_ms in range(5_000):
        kept.put(label("a", time_ms))
        sizes.append(len(kept._by_expiry))
    assert max(sizes) < 1_100
    assert kept.expire(5_099) == 0
    assert kept.expire(5_100) == 1
