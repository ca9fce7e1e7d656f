"""Who asks, whether they may, and whether they ask too often: what stands before every route."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from driftsonde.core.control.access import (
    ANONYMOUS,
    Allowance,
    Bucket,
    Person,
    Role,
    Token,
    recognise,
    take,
)
from driftsonde.core.control.decisions import ALL_MODELS
from driftsonde.core.control.inputs import Refusal

_BEARER = HTTPBearer(auto_error=False)
_NOBODY = Person(ANONYMOUS, Role.ADMIN)


@dataclass(slots=True)
class Guard:
    """What is refused to a person is told to `refused`, for the audit log. `tokens` gives those that are valid now; none at all: anybody on this machine may do anything.

    `now_s` is a clock that only grows. Requests of all threads come through here.
    """

    tokens: Callable[[], tuple[Token, ...]]
    now_s: Callable[[], float]
    refused: Callable[[Refusal], object]
    allowance: Allowance = field(default_factory=Allowance)
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def needs(self, role: Role) -> Callable[..., Person]:
        """A dependency of a route: the person who asks, or 401, 403, 429."""

        def check(request: Request, person: Annotated[Person, Depends(self.identify)]) -> Person:
            if person.role.permits(role):
                return person
            problem = f"this needs the role {role}; the token of {person.name!r} has {person.role}"
            self.refused(
                Refusal(ALL_MODELS, person.name, f"{request.method} {request.url.path}"[:500], problem)
            )
            raise HTTPException(403, problem)

        return check

    def identify(
        self, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> Person:
        tokens = self.tokens()
        if not tokens:
            return _NOBODY
        if credentials is None:
            raise _unauthorized("a bearer token is needed: Authorization: Bearer ...")
        person = recognise(tokens, credentials.credentials)
        if person is None:
            raise _unauthorized("this token is not known, or no longer valid")
        self._charge(person)
        return person

    def _charge(self, person: Person) -> None:
        with self._lock:
            bucket, wait_s = take(self._buckets.get(person.name), self.now_s(), self.allowance)
            self._buckets[person.name] = bucket
        if wait_s:
            raise HTTPException(
                429,
                f"too many requests of {person.name!r}: {self.allowance.per_s:g} a second are allowed",
                {"Retry-After": str(math.ceil(wait_s))},
            )


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
