"""One window of one (model, version, variant, segment): the finished chunks folded into it, and what is still open."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from driftsonde.core.chunks import Kind, SketchKey, Source
from driftsonde.core.events import Floats, Variant
from driftsonde.core.sketch import Sketch, add, add_sums


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """Ordered by time first: windows are judged in this order."""

    window_start_ms: int
    model: str
    version: str
    variant: Variant
    segment: str


@dataclass(frozen=True, slots=True, order=True)
class PartKey:
    """Which rows a part of a window sums up: of which kind, on time or late, in which layout."""

    kind: Kind
    late: bool
    layout: str


def split_key(key: SketchKey) -> tuple[WindowKey, PartKey]:
    """The window that a sketch belongs to, and its part there."""
    window = WindowKey(key.window_start_ms, key.model, key.version, key.variant, key.segment)
    return window, PartKey(key.kind, key.late, key.layout)


@dataclass(frozen=True, slots=True)
class Part:
    """The finished chunks of a part. Counts are one total; sums are kept by source, so that adding them up in the
    order of the sources gives the same bits whatever order the chunks arrived in."""

    total: Sketch
    sums: dict[Source, Floats]


@dataclass(slots=True)
class Window:
    """`folded[source]` is the last chunk of the source that is in `parts`; an older one is a redelivery.

    `open_chunks` holds the newest sketch of each unfinished chunk: not in `parts` yet.
    """

    key: WindowKey
    parts: dict[PartKey, Part] = field(default_factory=dict)
    folded: dict[Source, int] = field(default_factory=dict)
    open_chunks: dict[tuple[Source, int], dict[PartKey, Sketch]] = field(default_factory=dict)

    @property
    def sequence(self) -> int:
        """Grows with every chunk that is folded; a function of what is folded."""
        return sum(chunk + 1 for chunk in self.folded.values())

    def put(self, source: Source, chunk: int, part: PartKey, sketch: Sketch) -> None:
        """Take the newest state of an unfinished chunk."""
        if chunk > self.folded.get(source, -1):
            self.open_chunks.setdefault((source, chunk), {})[part] = sketch

    def finish(self, source: Source, below: int) -> bool:
        """Fold the source's open chunks below `below` into the parts; True if there were any."""
        done = sorted(chunk for origin, chunk in self.open_chunks if origin == source and chunk < below)
        for chunk in done:
            for key, sketch in self.open_chunks.pop((source, chunk)).items():
                known = self.parts.get(key)
                self.parts[key] = (
                    _fold(known, source, sketch) if known else Part(sketch, {source: sketch.sums})
                )
            self.folded[source] = chunk
        return bool(done)

    def total(self, wanted: Iterable[PartKey]) -> Sketch | None:
        """The sketch of the given parts together, open chunks included; None where there is nothing."""
        result: Sketch | None = None
        for key in sorted(wanted):
            sketch = self._part_total(key)
            if sketch is not None:
                result = add(result, sketch) if result else sketch
        return result

    def part_keys(self) -> set[PartKey]:
        """All parts that have anything, open chunks included."""
        return {*self.parts, *(key for parts in self.open_chunks.values() for key in parts)}

    def _part_total(self, key: PartKey) -> Sketch | None:
        part = self.parts.get(key)
        sums = dict(part.sums) if part else {}
        total = part.total if part else None
        for source, chunk in sorted(self.open_chunks):
            sketch = self.open_chunks[source, chunk].get(key)
            if sketch is not None:
                total = add(total, sketch) if total else sketch
                sums[source] = add_sums(sums[source], sketch.sums) if source in sums else sketch.sums
        return None if total is None else _with_sums(total, [sums[source] for source in sorted(sums)])


def _fold(part: Part, source: Source, sketch: Sketch) -> Part:
    known = part.sums.get(source)
    sums = {**part.sums, source: sketch.sums if known is None else add_sums(known, sketch.sums)}
    return Part(add(part.total, sketch), sums)


def _with_sums(sketch: Sketch, sums: Sequence[Floats]) -> Sketch:
    total = np.zeros_like(sketch.sums)
    for part in sums:
        total = add_sums(total, part)
    return replace(sketch, sums=total)
