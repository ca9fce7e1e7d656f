"""What the HTTP API stands on, and the shapes that its parts share."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, Field

from driftsonde.adapters.clickhouse import Store
from driftsonde.adapters.service import Conditions
from driftsonde.adapters.wire_models import Catalogue
from driftsonde.controller import problems
from driftsonde.controller.guard import Guard
from driftsonde.core.control.decisions import ALL_MODELS, Decision
from driftsonde.core.control.inputs import Input, Refusal, Refused, Wish
from driftsonde.core.control.proving import Live, nothing_live
from driftsonde.core.control.state import State
from driftsonde.core.control.traffic import InvalidSplit

MAX_ITEMS = 1_000

Json = dict[str, Any]
Limit = Annotated[int, Query(ge=1, le=MAX_ITEMS)]


@dataclass(frozen=True, slots=True)
class Backend:
    """What API and console stand on. store: the judge's results, read by the console; live: what of it
    decides on rollouts. timeout_s: how long a change
    waits for the writer."""

    state: Callable[[], State]
    catalogue: Callable[[], Catalogue]
    submit: Callable[[Input], "Future[list[Decision]]"]
    ready: Conditions
    registry: CollectorRegistry
    guard: Guard
    store: Store
    timeout_s: float = 10.0
    live: Live = nothing_live


class RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid")


Name = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(max_length=2_000)]


def submit(backend: Backend, event: Wish) -> list[Decision]:
    """What a person wants, handed to the writer. A refusal is kept in the audit log before it is raised."""
    try:
        return backend.submit(event).result(backend.timeout_s)
    except (Refused, InvalidSplit) as error:
        backend.submit(Refusal(ALL_MODELS, event.actor, type(event).__name__, str(error)))
        raise
    except FutureTimeout:
        raise problems.Unavailable(
            "not stored yet: the broker is slow or away; ask for the result later"
        ) from None
