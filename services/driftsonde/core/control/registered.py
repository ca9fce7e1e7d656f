"""What is registered of a model or a version, and how far the version has come: values in the controller's log."""

from dataclasses import dataclass, fields
from enum import StrEnum

from driftsonde.core.baseline import Lineage, Performance
from driftsonde.core.origin import Origin


class Stage(StrEnum):
    """A version's stages, in their order; retired: it was the champion, and is no more."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Registration:
    """at_ms: when it was registered, by the broker's clock. spec: of a model, its spec as JSON; the rest is of a version.

    baseline: its fingerprint, "" for none; rows, lineage, performance: of the baseline. origin: where the version comes
    from and what it is for.
    """

    at_ms: int
    spec: str = ""
    baseline: str = ""
    rows: int = 0
    lineage: Lineage | None = None
    performance: Performance | None = None
    origin: Origin | None = None

    def differs_in(self, other: "Registration") -> tuple[str, ...]:
        """The names of what is another content; the time is none."""
        names = (entry.name for entry in fields(self) if entry.name != "at_ms")
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))

    @property
    def code_revision(self) -> str:
        said = [it.code_revision for it in (self.origin, self.lineage) if it is not None]
        return next((text for text in said if text), "")

    @property
    def data(self) -> tuple[tuple[str, str], ...]:
        """Names and fingerprints of what it was trained on; of what its baseline is, where nothing else is known."""
        if self.origin is not None and self.origin.data:
            return self.origin.data
        if self.lineage is None or self.lineage.provisional:
            return ()
        return ((self.lineage.source, self.lineage.fingerprint),)


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said of a version before its next stage: `done` are items of the checklist."""

    actor: str
    role: str
    approves: bool
    done: tuple[str, ...]
    at_ms: int


@dataclass(frozen=True, slots=True)
class VersionState:
    """What the log tells of a version; of the model itself, version "".

    registration: the newest; decision: the id of the decision that has it. first_ms: when it was first registered.
    stage: how far people have brought it, since `since_ms`. reviews: of what is registered now, for the next stage.
    """

    version: str
    registration: Registration
    decision: str
    first_ms: int
    stage: Stage = Stage.DEVELOPMENT
    since_ms: int = 0
    reviews: tuple[Review, ...] = ()
