"""What happened to a column is told apart from counts and sums; and nothing is said that they do not support."""

import math

import numpy as np
import pytest

from driftsonde.core.baseline import CategoricalReference, NumericReference
from driftsonde.core.changes import Change, ChangeKind, changes_of, typical_of
from driftsonde.core.events import Floats, Role
from driftsonde.core.verdict import ColumnCounts

NAN = math.nan
BEFORE = np.random.default_rng(3).normal(85, 9, 4_000)
EDGES = np.quantile(BEFORE, np.linspace(0, 1, 11)) + np.array([0.0] * 10 + [1e-9])


def counted(values: Floats) -> tuple[Floats, float, float, float, float]:
    known = values[~np.isnan(values)]
    bins = np.searchsorted(EDGES, known, side="right")
    counts = np.append(np.bincount(bins, minlength=len(EDGES) + 1), len(values) - len(known))
    ends = (float(known.min()), float(known.max())) if len(known) else (NAN, NAN)
    return counts, float(known.sum()), float((known**2).sum()), *ends


def numeric(values: Floats) -> ColumnCounts:
    counts, *sums = counted(BEFORE)
    reference = NumericReference("f3", Role.FEATURE, EDGES, counts.astype(np.int64), *sums)
    now, *moments = counted(values)
    return ColumnCounts(reference, now.astype(np.int64), *moments)


def categorical(before: list[int], after: list[int]) -> ColumnCounts:
    reference = CategoricalReference("country", Role.FEATURE, ("AT", "CH"), np.array(before))
    return ColumnCounts(reference, np.array(after))


def kinds(column: ColumnCounts) -> list[ChangeKind]:
    return [change.kind for change in changes_of(column)]


LATER = np.random.default_rng(4).normal(85, 9, 500)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (LATER, []),
        ((LATER - 32) / 1.8, [ChangeKind.UNIT]),
        (LATER * 1_000, [ChangeKind.UNIT]),
        (LATER / 24, [ChangeKind.SCALE]),
        (LATER * 2, [ChangeKind.SHIFT]),
        (-LATER, [ChangeKind.SCALE]),
        (LATER + 8, [ChangeKind.SHIFT]),
        (LATER + 80, [ChangeKind.SHIFT]),
        (85 + 2 * (LATER - 85), [ChangeKind.SPREAD]),
        (np.zeros(500), [ChangeKind.CONSTANT]),
        (np.where(np.arange(500) % 3 == 0, np.nan, LATER), [ChangeKind.MISSING]),
        (np.full(500, np.nan), [ChangeKind.MISSING]),
        (LATER[:20] * 1_000, []),
    ],
)
def test_numbers(values: Floats, expected: list[ChangeKind]) -> None:
    assert kinds(numeric(values)) == expected


def test_a_unit_is_named_and_a_factor_is_measured() -> None:
    (unit,) = changes_of(numeric((LATER - 32) / 1.8))
    assert unit.name == "°F to °C"
    assert unit.before == pytest.approx(85, abs=1)
    assert unit.after == pytest.approx(29.4, abs=1)
    (scale,) = changes_of(numeric(LATER / 24))
    assert scale.factor == pytest.approx(1 / 24, rel=0.02)
    (thousand,) = changes_of(numeric(LATER * 1_000))
    assert thousand.name == "a factor of 1,000"


def test_a_few_wild_values_do_not_move_what_is_typical() -> None:
    wild = np.append(LATER, [1e12] * 3)
    assert kinds(numeric(wild)) == []
    found = typical_of(numeric(wild))
    assert found is not None
    assert found[1].median
    assert found[1].centre == pytest.approx(85, abs=2)
    assert found[1].maximum == 1e12


def test_beyond_the_baselines_range_the_mean_is_told() -> None:
    found = typical_of(numeric(LATER / 24))
    assert found is not None
    assert not found[0].median and not found[1].median
    assert found[1].centre == pytest.approx(LATER.mean() / 24)
    assert found[1].spread == pytest.approx(LATER.std() / 24)


def test_without_sums_only_the_bins_speak() -> None:
    column = numeric(LATER / 24)._replace(total=NAN, total_squares=NAN, minimum=NAN, maximum=NAN)
    assert changes_of(column) == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([500, 500, 0, 0], [50, 52, 0, 1], ()),
        ([500, 500, 0, 0], [440, 440, 120, 0], (Change(ChangeKind.UNSEEN, 0.0, 0.12, name=""),)),
        ([500, 500, 0, 0], [800, 200, 0, 0], (Change(ChangeKind.MIX, 0.5, 0.8, name="AT"),)),
        ([500, 500, 0, 0], [0, 90, 0, 0], (Change(ChangeKind.CONSTANT, 0.5, 1.0, name="CH"),)),
        ([500, 500, 0, 0], [0, 20, 0, 0], ()),
        ([500, 499, 0, 1], [310, 310, 0, 380], (Change(ChangeKind.MISSING, 0.001, 0.38),)),
    ],
)
def test_categories(before: list[int], after: list[int], expected: tuple[Change, ...]) -> None:
    found = changes_of(categorical(before, after))
    assert [(c.kind, c.before, c.after, c.name) for c in found[: len(expected)]] == [
        (c.kind, c.before, c.after, c.name) for c in expected
    ]
    assert bool(found) == bool(expected)
