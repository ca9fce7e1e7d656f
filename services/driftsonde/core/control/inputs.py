"""What the controller reacts to, and what its reactions depend on besides its state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from driftsonde.core.control.decisions import Severity
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.proving import Live, nothing_live
from driftsonde.core.control.registered import Registration
from driftsonde.core.control.routing import SEVERITIES, Route
from driftsonde.core.control.state import Effect
from driftsonde.core.control.traffic import Share
from driftsonde.core.origin import Origin
from driftsonde.core.signals import Rule, Signal


class Refused(ValueError):
    """A person asks for something that can't be done now; the message says why."""


class Unknown(LookupError):
    """A person names something that is not there."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What decisions depend on besides the state. `governance` gives a model's policy; `actuators` says which serving
    systems follow which models' splits; `live` gives what the judge measures of a model's rollout."""

    governance: Callable[[str], Governance]
    routes: tuple[Route, ...] = ()
    retrain_configured: bool = False
    severities: Mapping[Rule, Severity] = field(default_factory=lambda: SEVERITIES)
    actuators: tuple[Route, ...] = ()
    registry_configured: bool = False
    live: Live = nothing_live


@dataclass(frozen=True, slots=True)
class Approval:
    decision: str
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    decision: str
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    incident: str
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Snooze:
    """A person wants to hear nothing of an incident for a while; of 0 it ends the snooze that is."""

    incident: str
    duration_ms: int
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A person ends an incident; `false_alarm`: there was nothing to it, which can be said of one too that ended by itself."""

    incident: str
    actor: str
    reason: str = ""
    false_alarm: bool = False


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A person announces work on a model: alerts are kept, but not sent, and nothing is done automatically.

    from_ms: 0 = now.
    """

    model: str
    from_ms: int
    until_ms: int
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MaintenanceEnd:
    """A person ends a maintenance, or calls it off."""

    decision: str
    actor: str


@dataclass(frozen=True, slots=True)
class AutomationChange:
    """A person stops or starts what the controller does by itself; `model` may be `ALL_MODELS`."""

    model: str
    stopped: bool
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RolloutStart:
    """A person, or a training pipeline, sends a new version on its way to champion."""

    model: str
    version: str
    actor: str
    reason: str = ""


class RolloutWish(StrEnum):
    """What a person may want of a rollout: go on to the next stage, be champion now, or be taken back now, among them."""

    PAUSE = "pause"
    RESUME = "resume"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class RolloutChange:
    model: str
    wish: RolloutWish
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A person was refused: for want of a role, or because it can't be done now. `model` may be `ALL_MODELS`."""

    model: str
    actor: str
    asked: str
    problem: str


@dataclass(frozen=True, slots=True)
class SplitChange:
    """A person sets a model's split."""

    model: str
    split: tuple[Share, ...]
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an effect, in how many tries; `problem` is "" where it was done.

    replaced: it was left undone, because a newer one does what is wanted now; `problem` says so.
    """

    effect: Effect
    problem: str
    attempts: int
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """What an effect asks for is under way elsewhere, as `run`; its outcome comes later."""

    effect: Effect
    run: str


@dataclass(frozen=True, slots=True)
class Found:
    """The version that a retraining registered, and what the registry tells of it."""

    effect: Effect
    version: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Registered:
    """What is registered of a model (version "") or of a version now."""

    model: str
    version: str
    registration: Registration


@dataclass(frozen=True, slots=True)
class Promotion:
    """A person wants a version in its next stage."""

    model: str
    version: str
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person says of a version before its next stage: that they approve, in their role; what is done."""

    model: str
    version: str
    actor: str
    role: str
    approves: bool = False
    done: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


# What a person wants; each has an `actor`.
Wish = (
    Approval
    | Rejection
    | Acknowledgement
    | Snooze
    | Resolution
    | Maintenance
    | MaintenanceEnd
    | AutomationChange
    | SplitChange
    | RolloutStart
    | RolloutChange
    | Promotion
    | Verdict
)
Input = Signal | Wish | Refusal | Outcome | Begun | Found | Registered | Tick
