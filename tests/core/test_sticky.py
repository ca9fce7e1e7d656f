"""Sticky hashing: even, independent between models, and a change of weights moves no more than it must."""

import timeit
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from driftsonde.core.control.traffic import Share, Traffic
from driftsonde.core.events import Variant
from driftsonde.core.sticky import WHEEL, Wheel, point_of, wheel_of

ENTITIES = [f"customer-{number}" for number in range(20_000)]
KINDS = {
    "sequential": ENTITIES,
    "numbers": [str(number) for number in range(20_000)],
    "padded": [f"{number:012d}" for number in range(20_000)],
    "long": [f"tenant/eu/{number * 7919}/session" for number in range(20_000)],
}


def wheel(weight: float, model: str = "fraud", champion: str = "1", canary: str = "2") -> Wheel:
    shares = (Share(champion, Variant.CHAMPION, 1 - weight), Share(canary, Variant.CANARY, weight))
    return wheel_of(Traffic(model, shares, 1, "d"))


def chosen(by: Wheel, entities: list[str] = ENTITIES) -> list[str]:
    return [by.choose(entity).version for entity in entities]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["fraud", "credit"])
def test_entities_are_spread_evenly(kind: str, model: str) -> None:
    points = np.array([point_of(entity, crc32(model.encode())) for entity in KINDS[kind]])
    counts = np.bincount(points * 100 // WHEEL, minlength=100)
    assert chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_the_canaries_of_one_model_are_not_those_of_another(kind: str) -> None:
    table = np.zeros((10, 10))
    one, other = crc32(b"fraud"), crc32(b"churn")
    for entity in KINDS[kind]:
        table[point_of(entity, one) * 10 // WHEEL, point_of(entity, other) * 10 // WHEEL] += 1
    assert chi2_contingency(table).pvalue > 1e-4


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_change_of_weights_moves_the_fewest_and_in_one_direction(before: float, after: float) -> None:
    entities = ENTITIES[:500]
    moves = [
        (old, new)
        for old, new in zip(chosen(wheel(before), entities), chosen(wheel(after), entities), strict=True)
        if old != new
    ]
    assert set(moves) <= {("1", "2") if after > before else ("2", "1")}
    points = sorted(point_of(entity, crc32(b"fraud")) / WHEEL for entity in entities)
    low, high = sorted((before, after))
    between = sum(low - 1e-9 <= point < high + 1e-9 for point in points)
    assert len(moves) <= between


def test_a_split_is_kept_in_proportion() -> None:
    versions = chosen(wheel(0.05))
    assert versions.count("2") == pytest.approx(0.05 * len(ENTITIES), rel=0.1)


def test_promoting_the_canary_moves_nobody_off_it() -> None:
    canaries = {entity for entity in ENTITIES if wheel(0.5).choose(entity).version == "2"}
    alone = wheel_of(Traffic("fraud", (Share("2", Variant.CHAMPION, 1.0),), 2, "d"))
    assert {alone.choose(entity).version for entity in canaries} == {"2"}


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_all_or_nothing(weight: float) -> None:
    assert set(chosen(wheel(weight))) == {"2" if weight else "1"}


def test_several_canaries_and_shadows() -> None:
    split = (
        Share("1", Variant.CHAMPION, 0.7),
        Share("2", Variant.CANARY, 0.1),
        Share("3", Variant.CANARY, 0.2),
        Share("4", Variant.SHADOW, 0.0),
    )
    by = wheel_of(Traffic("fraud", split, 1, "d"))
    versions = chosen(by)
    assert by.shadows == ("4",)
    for share in split:
        assert versions.count(share.version) == pytest.approx(share.weight * len(ENTITIES), rel=0.1, abs=0)


def test_a_choice_takes_less_than_two_microseconds() -> None:
    by = wheel(0.1)
    best_s = min(timeit.repeat(lambda: by.choose("customer-12345678"), number=2_000, repeat=15)) / 2_000
    assert best_s < 2e-6
