"""A sketch of other sizes than its layout is known before it is added to anything."""

from dataclasses import replace

import numpy as np
import pytest

from driftsonde.core.chunks import ChunkSketch, Kind, SketchKey, Source
from driftsonde.core.events import Variant
from driftsonde.core.plan import plan_for
from driftsonde.core.sketch import empty_sketch
from driftsonde.judge.shapes import misfit
from faults.load import Load

PLAN = plan_for(Load().spec(), Load().baseline(), "b", "p")
SIZES = {
    Kind.INPUTS: (PLAN.inputs.bins, PLAN.inputs.sums, 1),
    Kind.OUTCOMES: (PLAN.outcomes.bins, PLAN.outcomes.sums, 0),
}
LAYOUTS = {Kind.INPUTS: "b", Kind.OUTCOMES: PLAN.outcomes.fingerprint}


def sketch_of(kind: Kind, layout: str, sizes: tuple[int, int, int]) -> ChunkSketch:
    key = SketchKey("m", "1", Variant.CHAMPION, "", 0, kind, False, layout)
    return ChunkSketch(Source("predictions", 0), 0, 1, key, empty_sketch(*sizes))


@pytest.mark.parametrize("kind", Kind)
def test_sizes_are_those_of_the_layout(kind: Kind) -> None:
    assert misfit(PLAN, sketch_of(kind, LAYOUTS[kind], SIZES[kind])) == ""
    for place in range(3):
        wrong = tuple(size + (n == place) for n, size in enumerate(SIZES[kind]))
        problem = misfit(PLAN, sketch_of(kind, LAYOUTS[kind], (wrong[0], wrong[1], wrong[2])))
        assert str(wrong) in problem
        assert str(SIZES[kind]) in problem


def test_highs_are_as_many_as_lows() -> None:
    good = sketch_of(Kind.INPUTS, "b", SIZES[Kind.INPUTS])
    assert misfit(PLAN, replace(good, sketch=replace(good.sketch, highs=np.zeros(2)))) != ""


def test_an_earlier_layout_is_not_looked_at() -> None:
    assert misfit(PLAN, sketch_of(Kind.INPUTS, "of an earlier baseline", (3, 1, 1))) == ""
