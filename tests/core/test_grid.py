"""The grid of bin edges: order, and counts per cell turned into counts per bin."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.baseline import NumericReference
from driftsonde.core.binning import bin_values
from driftsonde.core.events import Floats, Role
from driftsonde.core.grid import cell_starts, cells_of, quantile_edges

EXTREMES = [-np.inf, -1.797e308, -1.0, -5e-324, -0.0, 0.0, 5e-324, 2.2e-308, 1.0, 1.797e308, np.inf]


def floats(*, infinite: bool = True) -> st.SearchStrategy[float]:
    """Anything but NaN, often where the bits are special."""
    special = EXTREMES if infinite else [value for value in EXTREMES if np.isfinite(value)]
    return st.one_of(
        st.sampled_from(special),
        st.floats(allow_nan=False, allow_infinity=infinite),
        st.floats(-3, 3, width=16),
    )


def value_lists(*, infinite: bool = True) -> st.SearchStrategy[Floats]:
    return st.lists(floats(infinite=infinite), min_size=1, max_size=20).map(
        lambda values: np.array(values, dtype=np.float64)
    )


@given(value_lists())
def test_cells_keep_the_order_of_values(values: Floats) -> None:
    values = np.sort(values)
    assert (np.diff(cells_of(values)) >= 0).all()


@given(value_lists())
def test_a_cell_starts_at_or_below_its_values_and_the_next_one_above(values: Floats) -> None:
    finite = values[np.isfinite(values)]
    cells = cells_of(finite)
    assert (cell_starts(cells) <= finite).all()
    assert (cell_starts(cells + 1) > finite).all()
    assert (cells_of(cell_starts(cells)) == cells).all()


def test_a_doubling_has_4096_cells_and_zero_is_one_value() -> None:
    assert cells_of(np.array([2.0]))[0] - cells_of(np.array([1.0]))[0] == 4096
    assert cells_of(np.array([-0.0])) == cells_of(np.array([0.0]))
    assert cells_of(np.array([-5e-324])) == cells_of(np.array([0.0])) - 1


def numeric_reference(edges: Floats) -> NumericReference:
    counts = np.zeros(len(edges) + 2, dtype=np.int64)
    return NumericReference("x", Role.FEATURE, edges, counts, 0.0, 0.0, 0.0, 0.0)


def bins_by_comparison(edges: Floats, values: Floats) -> list[int]:
    listed, missing = edges.tolist(), len(edges) + 1
    return [missing if value != value else sum(edge <= value for edge in listed) for value in values.tolist()]


@given(value_lists(), value_lists(infinite=False), st.integers(1, 12))
def test_bins_are_the_comparison_with_the_edges(values: Floats, reference: Floats, bins: int) -> None:
    cells, counts = np.unique(cells_of(reference), return_counts=True)
    edges = quantile_edges(cells, counts, bins)
    values = np.concatenate([values, edges, [np.nan]])
    found = bin_values([numeric_reference(edges)], values[None])[0]
    assert found.tolist() == bins_by_comparison(edges, values)


@given(value_lists(), value_lists(infinite=False), st.integers(1, 12))
def test_counts_per_cell_give_the_same_bins_as_rows(values: Floats, reference: Floats, bins: int) -> None:
    cells, counts = np.unique(cells_of(reference), return_counts=True)
    edges = quantile_edges(cells, counts, bins)
    by_row = np.bincount(bins_by_comparison(edges, values), minlength=len(edges) + 1)
    starts = cell_starts(cells_of(values))
    by_cell = np.bincount(bins_by_comparison(edges, starts), minlength=len(edges) + 1)
    assert by_cell.tolist() == by_row.tolist()


@given(value_lists(infinite=False), st.integers(1, 12))
def test_quantile_edges_ascend_are_few_and_hold_every_row(values: Floats, bins: int) -> None:
    cells, counts = np.unique(cells_of(values), return_counts=True)
    edges = quantile_edges(cells, counts, bins)
    assert 2 <= len(edges) <= bins + 1
    assert (edges[1:] > edges[:-1]).all()
    assert edges[0] <= values.min()
    assert edges[-1] > values.max()
    assert (cell_starts(cells_of(edges)) == edges).all()


@given(
    st.lists(
        st.tuples(st.integers(-50, 50), st.integers(1, 300)),
        min_size=1,
        max_size=30,
        unique_by=lambda p: p[0],
    ),
    st.integers(2, 12),
)
def test_no_bin_is_heavy_unless_one_value_is(pairs: list[tuple[int, int]], bins: int) -> None:
    cells = np.array(sorted(cell for cell, _ in pairs), dtype=np.int64)
    rows = dict(pairs)
    counts = np.array([rows[cell] for cell in cells.tolist()])
    edges = quantile_edges(cells, counts, bins)
    share = counts.sum() / bins
    for low, high in pairwise(edges):
        inside = counts[(cell_starts(cells) >= low) & (cell_starts(cells) < high)]
        # An edge is off its quantile by at most half of the cell that the quantile falls into.
        assert len(inside) == 1 or inside.sum() <= share + counts.max()
        assert len(inside) == 1 or inside.max() < 2 * share
