"""Protected columns: sliced like segments, so that every outcome is known by protected group.

A column is protected by its role on the wire, so nothing has to be declared. Only a categorical one has groups; a number (an
age) is watched for drift as any column, and wants to be sent in bands to be a group.
"""

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from driftsonde.core.baseline import Baseline, CategoricalReference
from driftsonde.core.chunks import OTHER, segment_label
from driftsonde.core.events import Role
from driftsonde.core.grouping import Slicing

# The most frequent groups of the baseline; the others are one slice, "(other)", that is compared with none.
MAX_GROUPS = 50


@dataclass(frozen=True, slots=True)
class ProtectedColumn:
    """A column with the slice of each of its groups: (value, segment) in the order of the slicing."""

    name: str
    groups: tuple[tuple[str, str], ...]


def slice_protected(slicing: Slicing, baseline: Baseline | None) -> Slicing:
    """The slicing with a column for each protected one that is no segment already; its values are the baseline's."""
    added = [
        reference
        for reference in (baseline.columns if baseline else ())
        if _is_protected(reference) and reference.name not in slicing.columns
    ]
    return Slicing(
        (*slicing.columns, *(reference.name for reference in added)),
        (*slicing.values, *(_most_frequent(reference) for reference in added)),
    )


def protected_columns(slicing: Slicing, baseline: Baseline | None) -> tuple[ProtectedColumn, ...]:
    """The protected columns among the sliced ones."""
    names = {
        reference.name for reference in (baseline.columns if baseline else ()) if _is_protected(reference)
    }
    return tuple(
        ProtectedColumn(column, tuple((value, segment_label(column, value)) for value in values))
        for column, values in zip(slicing.columns, slicing.values, strict=True)
        if column in names
    )


def _is_protected(reference: object) -> TypeGuard[CategoricalReference]:
    return isinstance(reference, CategoricalReference) and reference.role is Role.PROTECTED


def _most_frequent(reference: CategoricalReference) -> tuple[str, ...]:
    """By falling count and then by name; listed in the order of their names."""
    counts = reference.counts[: len(reference.categories)]
    order = np.argsort(-counts, kind="stable")[:MAX_GROUPS]
    kept = {reference.categories[place] for place in order.tolist() if counts[place] > 0}
    return tuple(sorted(kept - {OTHER}))
