import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.control.traffic import (
    InvalidSplit,
    Share,
    Traffic,
    share_of,
    validate_split,
    without_version,
)
from driftsonde.core.events import Variant

CHAMPION = Share("1", Variant.CHAMPION, 0.7)
CANARY = Share("2", Variant.CANARY, 0.3)
SHADOW = Share("3", Variant.SHADOW, 0.0)


@pytest.mark.parametrize(
    ("split", "problem"),
    [
        ((), "0 champions"),
        ((CANARY,), "0 champions"),
        ((CHAMPION, Share("2", Variant.CHAMPION, 0.3)), "2 champions"),
        ((CHAMPION, Share("1", Variant.CANARY, 0.3)), "listed twice"),
        ((CHAMPION, Share("", Variant.CANARY, 0.3)), "empty"),
        ((CHAMPION,), "sum to 0.7"),
        ((Share("1", Variant.CHAMPION, 1.3), Share("2", Variant.CANARY, -0.3)), "expected 0 to 1"),
        ((CHAMPION, Share("2", Variant.SHADOW, 0.3)), "shadow"),
        ((Share("1", Variant.CHAMPION, float("nan")),), "expected 0 to 1"),
    ],
)
def test_a_split_that_cannot_be_served_is_refused(split: tuple[Share, ...], problem: str) -> None:
    with pytest.raises(InvalidSplit, match=problem):
        validate_split(split)


def test_a_split_with_canary_and_shadow_is_served() -> None:
    validate_split((CHAMPION, CANARY, SHADOW))


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5), st.data())
def test_setting_back_keeps_a_valid_split_and_is_idempotent(parts: list[int], data: st.DataObject) -> None:
    weights = [part / (sum(parts) + 1) for part in parts]
    canaries = [Share(f"c{index}", Variant.CANARY, weight) for index, weight in enumerate(weights)]
    split = (Share("1", Variant.CHAMPION, 1.0 - sum(weights)), *canaries)
    version = data.draw(st.sampled_from([share.version for share in canaries]))
    once = without_version(split, version)
    validate_split(once)
    assert version not in {share.version for share in once}
    assert without_version(once, version) == once


def test_the_last_canary_leaves_the_champion_exactly_everything() -> None:
    assert without_version((CHAMPION, CANARY, SHADOW), "2") == (Share("1", Variant.CHAMPION, 1.0), SHADOW)


def test_the_champion_is_never_taken_out() -> None:
    assert without_version((CHAMPION, CANARY), "1") == (CHAMPION, CANARY)


def test_the_share_of_a_version() -> None:
    traffic = Traffic("m", (CHAMPION, CANARY), 1, "d")
    assert share_of(traffic, "2") == CANARY
    assert share_of(traffic, "9") is None
    assert share_of(None, "2") is None
