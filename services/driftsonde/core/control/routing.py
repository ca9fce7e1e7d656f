"""Who is told about what."""

from dataclasses import dataclass

from driftsonde.core.control.decisions import Change, Kind


@dataclass(frozen=True, slots=True)
class Route:
    """An on-call endpoint and what it asked for; an empty set asks for everything."""

    name: str
    kinds: frozenset[Kind] = frozenset()
    models: frozenset[str] = frozenset()


def recipients(routes: tuple[Route, ...], model: str, kind: Kind, change: Change) -> tuple[str, ...]:
    """Names of the endpoints to tell, in the order of the configuration.

    The opening of an incident reaches whoever asked for alerts, even where a retrain or rollback signal opened it.
    """
    asked = {kind, Kind.ALERT} if change is Change.OPENED else {kind}
    return tuple(
        route.name
        for route in routes
        if (not route.models or model in route.models) and (not route.kinds or route.kinds & asked)
    )
