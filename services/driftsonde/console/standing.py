"""How one model stands, or all of them: decided here alone, so that no two pages differ."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftsonde.console.fleet import Health, VersionState
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.report.formats import format_plural

NOT_SERVING = "not serving"


@dataclass(frozen=True, slots=True)
class Standing:
    """`state`: "alarm", "past" (amber: somebody should look) or "calm"; `word` and `outcome` say why."""

    state: str
    word: str
    outcome: str


def serving(
    version: VersionState, split: Collection[Share], now: datetime, silent_after: timedelta
) -> tuple[str, str]:
    """How one version does in its role, a `Health` or `NOT_SERVING`; and its part of the requests, "" for none. `split`: empty
    where it is not known. One that left the split altogether is told of as long as an incident of it is open."""
    health = version.health(now, silent_after)
    shares = {share.variant: share for share in split if share.version == version.version}
    share = shares.get(Variant(version.variant))
    if share is not None:
        return health.value, f"{share.weight:.0%}"
    over = bool(split) and (bool(shares) or health is not Health.ALERT)
    return (NOT_SERVING if over else health.value), ""


def standing(open_incidents: int, states: Collection[str]) -> Standing:
    """`states`: of each version a `Health`, or `NOT_SERVING`. What is open counts most, what is over not at all.

    >>> standing(1, ["alert"]).word, standing(0, ["ok", "silent"]).word, standing(0, ["ok", NOT_SERVING]).word
    ('Incident', 'Silent', 'Quiet')
    """
    serving = [state for state in states if state != NOT_SERVING]
    beyond = serving.count(Health.ALERT) + serving.count(Health.DRIFTING)
    silent = serving.count(Health.SILENT)
    if open_incidents:
        verb = "is" if open_incidents == 1 else "are"
        return Standing("alarm", "Incident", f"{format_plural(open_incidents, 'incident')} {verb} open")
    if beyond:
        verb = "is" if beyond == 1 else "are"
        return Standing(
            "past",
            "Past a limit",
            f"No incident is open, but {format_plural(beyond, 'version')} {verb} past a limit still",
        )
    if silent:
        verb = "sends" if silent == 1 else "send"
        return Standing("past", "Silent", f"{format_plural(silent, 'version')} {verb} nothing any more")
    if not any(state == Health.OK for state in serving):
        return Standing("calm", "Waiting", "Nothing has been judged yet")
    return Standing("calm", "Quiet", "No incident is open")
