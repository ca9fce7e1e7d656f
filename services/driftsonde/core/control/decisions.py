"""A decision, step by step: the events from which the controller's whole state is rebuilt."""

from dataclasses import dataclass, field
from enum import StrEnum

from driftsonde.core.control.registered import Registration, Stage
from driftsonde.core.control.rollout import Rollout
from driftsonde.core.control.traffic import Traffic
from driftsonde.core.signals import Signal
from driftsonde.core.spec import Mode

CONTROLLER = "controller"
# In place of a model's name: what is decided on all of them.
ALL_MODELS = "*"


class Kind(StrEnum):
    """What is decided on. `APPROVAL` is one of several that a proposal asks for; `NOTIFY` is the delivery of one message to one on-call endpoint."""

    ALERT = "alert"
    RETRAIN = "retrain"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    RESOLVE = "resolve"
    TRAFFIC = "traffic"
    ROLLOUT = "rollout"
    APPROVAL = "approval"
    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    FALSE_ALARM = "false-alarm"
    MAINTENANCE = "maintenance"
    AUTOMATION = "automation"
    REFUSAL = "refusal"
    ESCALATE = "escalate"
    ACTUATE = "actuate"
    CANDIDATE = "candidate"
    REGISTER = "register"
    REVIEW = "review"
    STAGE = "stage"
    NOTIFY = "notify"


class Step(StrEnum):
    """How far a decision has come."""

    PROPOSED = "proposed"
    OBSERVED = "observed"
    DECIDED = "decided"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    STARTED = "started"
    PERFORMED = "performed"
    FAILED = "failed"


class Change(StrEnum):
    """What a decision does to its incident."""

    NONE = ""
    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"


class Severity(StrEnum):
    """How urgent a decision is for whoever is on call."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Switch(StrEnum):
    """What a decision does to the automation of its model, or of all."""

    NONE = ""
    STOPPED = "stopped"
    RUNNING = "running"


class Action(StrEnum):
    """What is to be done about a decision, besides telling people."""

    NONE = ""
    RETRAIN = "retrain"
    TRAFFIC = "traffic"
    ACTUATE = "actuate"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Detail:
    """What is needed to explain a decision, to rebuild the state from it, and to perform it again after a crash.

    reason: why this step, in a sentence. change: what becomes of the incident. signal: the evidence, whole, on the
    first step of a decision that a signal led to. action: what is to be done; traffic: the split to set.
    rollout: what becomes of it.    severity: how urgent this step is. recipients: the on-call endpoints to tell about it; quiet: why nobody is told.
    from_ms, expires_ms: when a maintenance begins and ends; a proposal or a snooze only ends; 0 = at once, never.
    switch: what becomes of the automation. run: what the other side calls the retraining that it has begun; of a
    candidate, its version. parent: of an approval, the proposal; of a candidate, its retraining, which was decided on at
    from_ms. target: of an actuation, the serving system.
    Of the end of an incident whose version has left, parent is the decision that set the split.
    registration: what is registered. stage: of a promotion, where to; of a review, for which. role, approves, done: of a
    review, the role of who says it, whether they approve, and which items of the checklist are done.
    impact: what the incident costs, in a sentence. cost: what the retraining costs by the policy.
    parent, parent_step, target, attempts: of a delivery, the step that was told, to whom, in how many tries.
    learning_until_ms: when the learning period ends that the signal falls into (event time); 0 = none.
    """

    reason: str = ""
    change: Change = Change.NONE
    signal: Signal | None = None
    action: Action = Action.NONE
    traffic: Traffic | None = None
    rollout: Rollout | None = None
    severity: Severity = Severity.INFO
    recipients: tuple[str, ...] = ()
    quiet: str = ""
    switch: Switch = Switch.NONE
    from_ms: int = 0
    expires_ms: int = 0
    run: str = ""
    parent: str = ""
    parent_step: str = ""
    target: str = ""
    attempts: int = 0
    registration: Registration | None = None
    stage: Stage | None = None
    role: str = ""
    approves: bool = False
    done: tuple[str, ...] = ()
    impact: str = ""
    cost: float = 0.0
    learning_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """One step of one decision; (`id`, `step`) identifies it.

    incident, signal: ids, "" where there is none. mode: what the policy says about this kind of action; None where
    no policy is asked (an alert, a person's own act). actor: a person's name, or "controller". policy: fingerprint
    of the policy that was applied. sequence, previous, hash: its place in the model's chain, from 1; 0 and "" for one
    that is not in it yet, or was written before there was one (see `chain`).
    """

    id: str
    step: Step
    kind: Kind
    model: str
    version: str
    incident: str
    signal: str
    mode: Mode | None
    actor: str
    policy: str
    timestamp_ms: int
    detail: Detail = field(default_factory=Detail)
    sequence: int = 0
    previous: str = ""
    hash: str = ""
