"""Which messages are known again."""

from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.resends import RecentMessages


@given(st.lists(st.integers(0, 8)), st.integers(1, 5), st.integers(0, 40))
def test_a_message_is_new_unless_it_is_among_the_newest(digests: list[int], bound: int, stop: int) -> None:
    recent, expected = RecentMessages(bound), list[int]()
    for number, digest in enumerate(digests):
        if number == stop:  # a restart in between changes nothing
            restored = RecentMessages(bound)
            restored.restore(recent.digests)
            recent = restored
        assert recent.is_new(digest) == (digest not in expected)
        if digest not in expected:
            expected = [*expected, digest][-bound:]
        assert list(recent.digests) == expected
