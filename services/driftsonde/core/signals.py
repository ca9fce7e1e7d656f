"""What the judge tells the controller: a signal, with the evidence it rests on."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from driftsonde.core.events import Variant


class SignalKind(StrEnum):
    ALERT = "alert"
    RETRAIN = "retrain"
    ROLLBACK = "rollback"
    RESOLVE = "resolve"
    PROMOTE = "promote"


class Rule(StrEnum):
    """The rule that spoke. With model, version, variant and segment it names what an incident is about."""

    DRIFT = "drift"
    QUALITY = "quality"
    PERFORMANCE = "performance"
    CANARY = "canary"
    FAIRNESS = "fairness"
    MULTIVARIATE = "multivariate"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number of one window that passed its threshold (for a resolve: that no longer does).

    `column` is "" for the target's metrics; `lower` and `upper` are NaN where the statistic has no interval.
    """

    window_start_ms: int
    window_end_ms: int
    column: str
    statistic: str
    value: float
    threshold: float
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, slots=True)
class Signal:
    """`id` is derived from what the signal is about, so that the same log gives the same ids.

    The window is the last one that the evidence covers. `since_ms` is the start of the first window of the episode:
    all signals of one episode share `episode`, the key by which incidents are grouped and resolved.
    `baseline` and `policy` are fingerprints of what the evidence was held against.
    """

    id: str
    kind: SignalKind
    rule: Rule
    model: str
    version: str
    variant: Variant
    segment: str
    window_start_ms: int
    window_end_ms: int
    since_ms: int
    episode: str
    summary: str
    evidence: tuple[Evidence, ...]
    baseline: str
    policy: str


def derive_id(*parts: object) -> str:
    """A stable identifier of 32 hexadecimal characters for what `parts` name.

    >>> derive_id("alert", "fraud", 7) == derive_id("alert", "fraud", 7)
    True
    >>> derive_id("a", "bc") == derive_id("ab", "c")
    False
    """
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
