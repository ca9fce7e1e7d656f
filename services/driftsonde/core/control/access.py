"""Who may do what: roles, tokens, and how often one may ask."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# Who acts where no token is asked for: only somebody on this machine reaches such an API.
ANONYMOUS = "local"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 @._-]{0,99}$"


class Role(StrEnum):
    """From the least to the most; each may do what those before it may.

    viewer: read. operator: acknowledge, snooze, resolve, false alarms. approver: answer proposals, set splits, run
    rollouts, declare maintenance. admin: stop and start all automation.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def permits(self, needed: "Role") -> bool:
        """
        >>> Role.APPROVER.permits(Role.OPERATOR), Role.APPROVER.permits(Role.ADMIN)
        (True, False)
        """
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, as a decision's `actor` names them."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is stored: whose it is, and the SHA-256 of its text, in hexadecimal.

    A token is 256 random bits, so nothing is gained by a slow hash: there is nothing to guess.
    """

    person: Person
    sha256: str


def hash_token(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def recognise(tokens: Iterable[Token], text: str) -> Person | None:
    """Whose token this is, or None. Digests are compared, so how long it takes says nothing of a token."""
    given = hash_token(text)
    return next((token.person for token in tokens if token.sha256 == given), None)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How often one token may ask: `per_s` requests a second, and five seconds' worth of them at once."""

    per_s: float = 20.0

    @property
    def burst(self) -> float:
        return max(1.0, 5.0 * self.per_s)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of an allowance at a time (seconds on a clock that only grows)."""

    left: float
    at_s: float


def take(bucket: Bucket | None, now_s: float, allowance: Allowance) -> tuple[Bucket, float]:
    """Take one request out: the bucket after it, and 0; or, where it is empty, how many seconds to wait.

    >>> rare = Allowance(per_s=0.2)
    >>> bucket, wait_s = take(None, 10.0, rare)
    >>> wait_s
    0.0
    >>> take(bucket, 11.0, rare)[1]
    4.0
    """
    if bucket is None:
        bucket = Bucket(allowance.burst, now_s)
    left = min(allowance.burst, bucket.left + (now_s - bucket.at_s) * allowance.per_s)
    if left < 1.0:
        return Bucket(left, now_s), round((1.0 - left) / allowance.per_s, 6)
    return Bucket(left - 1.0, now_s), 0.0
