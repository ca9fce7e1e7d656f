"""A champion against the one before it: a version that was promoted and does worse is to be taken back.

The two have not served at the same time, so what moved in the world looks like a difference: the margin is that of a loss of
performance, and the trial is short. A version is stable once it is surely not worse, or its trial is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

# So many windows of the predecessor are compared with: what was long ago says little about now.
RECENT_WINDOWS = 48


@dataclass(frozen=True, slots=True)
class Arm:
    """Labelled rows of one side of a comparison, and how many were right; of a regression the sums of the absolute errors
    and of their squares."""

    labelled: int = 0
    correct: int = 0
    absolute: float = 0.0
    squares: float = 0.0

    def plus(self, other: "Arm") -> "Arm":
        return Arm(
            self.labelled + other.labelled,
            self.correct + other.correct,
            self.absolute + other.absolute,
            self.squares + other.squares,
        )


@dataclass(frozen=True, slots=True)
class Reign:
    """A version's time as champion, from the window that starts at since_ms. `recent`: its last windows; `taken_back`: a rollback
    was asked for and is not over."""

    version: str
    since_ms: int
    windows: int = 0
    total: Arm = Arm()
    recent: tuple[Arm, ...] = ()
    stable: bool = False
    taken_back: bool = False

    def plus(self, arm: Arm) -> "Reign":
        """With one more window."""
        return replace(
            self,
            windows=self.windows + 1,
            total=self.total.plus(arm),
            recent=(*self.recent, arm)[-RECENT_WINDOWS:],
        )

    @property
    def lately(self) -> Arm:
        """The outcomes of `recent`."""
        return reduce(Arm.plus, self.recent, Arm())


@dataclass(frozen=True, slots=True)
class Succession:
    """The champion and the one before it, as far as known."""

    champion: Reign | None = None
    predecessor: Reign | None = None

    def is_stable(self, version: str) -> bool:
        """Whether a loss of the version's performance is its own: nothing is known of a change, or it is over."""
        return self.champion is None or (self.champion.version == version and self.champion.stable)

    def plus(self, start_ms: int, arms: Mapping[str, Arm]) -> "Succession":
        """With the champions' labelled windows of one start, by version.

        A version that is new among them reigns from then on. The one before it may still leave, step by step; alone, it is back.
        """
        if not arms:
            return self
        if self.champion is None:
            first = min(arms)
            return Succession(Reign(first, start_ms, stable=True).plus(arms[first]))
        champion, predecessor = self.champion, self.predecessor
        if champion.version in arms:
            champion = champion.plus(arms[champion.version])
            if predecessor is not None and predecessor.version in arms:
                predecessor = predecessor.plus(arms[predecessor.version])
        known = {reign.version for reign in (champion, predecessor) if reign is not None}
        successors = arms.keys() - (known if champion.version in arms else {champion.version})
        if not successors:
            return Succession(champion, predecessor)
        successor = max(successors, key=lambda version: (version not in known, version))
        return Succession(Reign(successor, start_ms).plus(arms[successor]), champion)
