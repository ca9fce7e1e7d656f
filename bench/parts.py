"""The parts of a run, in their order, and how long each may take."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import kernels, sketcher
from bench.figures import Recorder, Scale

Measure = Callable[[Scale, Recorder], None]


@dataclass(frozen=True, slots=True)
class Part:
    """`limit_s` is for the full scale: far more than it takes where nothing is wrong."""

    name: str
    measure: Measure
    limit_s: int


PARTS = (
    Part("kernels", kernels.measure, 120),
    Part("sketcher", sketcher.measure, 420),
)
