"""The parts of a run, in their order, and how long each may take."""

from collections.abc import Callable
from dataclasses import dataclass

from bench import (
    archiver,
    client,
    controller,
    end_to_end,
    growth,
    judge,
    kernels,
    queries,
    sketcher,
    statistics,
)
from bench.figures import Recorder, Scale
from bench.peers import compare

Measure = Callable[[Scale, Recorder], None]


@dataclass(frozen=True, slots=True)
class Part:
    """`limit_s` is for the full scale: far more than it takes where nothing is wrong."""

    name: str
    measure: Measure
    limit_s: int


PARTS = (
    Part("kernels", kernels.measure, 120),
    Part("statistics", statistics.measure, 120),
    Part("client", client.measure, 180),
    Part("sketcher", sketcher.measure, 420),
    Part("judge", judge.measure, 180),
    Part("archiver", archiver.measure, 240),
    Part("controller", controller.measure, 240),
    Part("end to end", end_to_end.measure, 480),
    Part("growth", growth.measure, 600),
    Part("queries", queries.measure, 900),
    Part("peers", compare.measure, 1_200),  # its environments are made once
)
