"""Who is told about what, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from driftsonde.core.control.decisions import Change, Decision, Kind, Severity, Step
from driftsonde.core.control.hours import Hours
from driftsonde.core.signals import Rule

# Drift and broken data may hurt; a measured loss does. An incident is as urgent as the rule that opened it.
SEVERITIES: Mapping[Rule, Severity] = MappingProxyType(
    {
        Rule.DRIFT: Severity.WARNING,
        Rule.QUALITY: Severity.WARNING,
        Rule.PERFORMANCE: Severity.CRITICAL,
        Rule.CANARY: Severity.CRITICAL,
        Rule.FAIRNESS: Severity.WARNING,
        Rule.MULTIVARIATE: Severity.WARNING,
    }
)
_RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Route:
    """An on-call endpoint and what it asked for; an empty set asks for everything.

    at_least: nothing less urgent. incidents_only: the beginning and end of incidents, and actions that failed. hours:
    when it is told; what comes outside is held back for it if `hold`, else it is not for this endpoint (but the end of
    an incident always is). digest_ms: what comes in a period of this length is told once, after it; 0 = at once.
    escalation_ms: it is told of incidents that nobody acknowledged for so long, and of nothing else; 0 = it isn't one
    to escalate to.
    """

    name: str
    kinds: frozenset[Kind] = frozenset()
    models: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    at_least: Severity = Severity.INFO
    incidents_only: bool = False
    hours: Hours | None = None
    hold: bool = True
    digest_ms: int = 0
    escalation_ms: int = 0


def severity_of(decision: Decision, by_rule: Mapping[Rule, Severity] = SEVERITIES) -> Severity:
    """How urgent a step is: an action that failed is critical, a signal is as its rule unless it is good news, the rest
    as it says itself."""
    if decision.step is Step.FAILED:
        return Severity.CRITICAL
    if decision.kind is Kind.PROMOTE:
        return Severity.INFO
    signal = decision.detail.signal
    return decision.detail.severity if signal is None else by_rule[signal.rule]


def recipients(routes: tuple[Route, ...], decision: Decision, owner: str) -> tuple[str, ...]:
    """Names of the endpoints to tell about a step, in the order of the configuration. `owner` is the model's."""
    return tuple(
        route.name
        for route in routes
        if not route.escalation_ms and concerns(route, decision, owner) and _asks_for(route, decision)
    )


def concerns(route: Route, decision: Decision, owner: str) -> bool:
    """Whether the model and the urgency are this endpoint's."""
    return (
        (not route.models or decision.model in route.models)
        and (not route.owners or owner in route.owners)
        and _RANK[decision.detail.severity] >= _RANK[route.at_least]
    )


def _asks_for(route: Route, decision: Decision) -> bool:
    change = decision.detail.change
    # The opening of an incident reaches whoever asked for alerts, even where a retrain or rollback signal opened it.
    kinds = {decision.kind, Kind.ALERT} if change is Change.OPENED else {decision.kind}
    if route.kinds and not route.kinds & kinds:
        return False
    if route.incidents_only and change is Change.NONE and decision.step is not Step.FAILED:
        return False
    ends = change in (Change.RESOLVED, Change.ACKNOWLEDGED)
    return ends or route.hold or route.hours is None or route.hours.contain(decision.timestamp_ms)


def is_held(route: Route, decision_ms: int, now_ms: int) -> bool:
    """Whether what was decided at that time still waits: for the endpoint's hours, or for its digest."""
    if route.digest_ms and decision_ms // route.digest_ms == now_ms // route.digest_ms:
        return True
    return route.hold and route.hours is not None and not route.hours.contain(now_ms)
