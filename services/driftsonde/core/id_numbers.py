"""Which number each prediction id has: numbers rise, and the lowest are forgotten.

Ids are not taken out one by one, which costs as much as putting them in, but by generations: a dictionary is let go when
all of its numbers are forgotten.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from driftsonde.core.events import Ints


@dataclass(slots=True)
class _Generation:
    """Numbers from `first` on, by model, stream and id."""

    first: int
    ids: int = 0
    numbers: dict[str, dict[Hashable, dict[str, int]]] = field(default_factory=dict)


@dataclass(slots=True)
class IdNumbers:
    """An id that is put in twice keeps its first number. Once that is forgotten, it may have its second."""

    _generations: deque[_Generation] = field(default_factory=deque)
    _below: int = 0

    def put(self, model: str, stream: Hashable, ids: Sequence[str], first: int, generation_ids: int) -> None:
        """Number ids of one stream of a model from `first` on. A generation that has so many ids is full."""
        if not self._generations or self._generations[-1].ids >= generation_ids:
            self._generations.append(_Generation(first))
        generation = self._generations[-1]
        numbers = generation.numbers.setdefault(model, {}).setdefault(stream, {})
        # The quickest loop there is: 100 ns an id, most of it memory.
        deque(map(numbers.setdefault, ids, range(first, first + len(ids))), maxlen=0)
        generation.ids += len(ids)

    def forget(self, below: int) -> None:
        """Forget the numbers below this one."""
        self._below = below
        while len(self._generations) > 1 and self._generations[1].first <= below:
            self._generations.popleft()

    def find(self, model: str, identifier: str) -> list[int]:
        """The number of the id in each stream of the model that has it."""
        found: dict[Hashable, int] = {}
        for generation in self._generations:
            for stream, numbers in generation.numbers.get(model, {}).items():
                number = numbers.get(identifier, -1)
                if number >= self._below:
                    found.setdefault(stream, number)
        return list(found.values())

    def find_many(self, model: str, ids: Sequence[str]) -> list[Ints]:
        """For each stream of the model the number of every id, int64[ids], -1 where it has none."""
        found: dict[Hashable, Ints] = {}
        for generation in self._generations:
            for stream, numbers in generation.numbers.get(model, {}).items():
                here = np.fromiter(map(numbers.get, ids, repeat(-1)), dtype=np.int64, count=len(ids))
                here[here < self._below] = -1
                earlier = found.get(stream)
                found[stream] = here if earlier is None else np.where(earlier >= 0, earlier, here)
        return list(found.values())
