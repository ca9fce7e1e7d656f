"""When a breach becomes a signal: an episode opens, lasts and ends, per rule and slice of a model.

clean ──alert_after breached windows──▶ open (ALERT) ──retrain_after──▶ RETRAIN, once
open ──resolve_after clean windows──▶ clean (RESOLVE)
"""

from dataclasses import dataclass, replace

from driftsonde.core.signals import SignalKind

NEVER_MS = -1


@dataclass(frozen=True, slots=True)
class Persistence:
    """How many consecutive windows it takes; `retrain_after` 0 means that this rule never asks for retraining."""

    alert_after: int
    retrain_after: int
    resolve_after: int


@dataclass(frozen=True, slots=True)
class Episode:
    """breached and clean: consecutive windows so far. since_ms: start of the first window of the run of breaches. absent:
    consecutive windows of other versions, none of this one."""

    breached: int = 0
    clean: int = 0
    since_ms: int = NEVER_MS
    alerted: bool = False
    retrained: bool = False
    absent: int = 0


def observe(
    episode: Episode, breached: bool, window_start_ms: int, persistence: Persistence
) -> tuple[Episode, list[SignalKind]]:
    """The episode after one more window, and what it gives cause to say.

    >>> quick = Persistence(alert_after=1, retrain_after=2, resolve_after=1)
    >>> episode, said = observe(Episode(), True, 0, quick)
    >>> said
    [<SignalKind.ALERT: 'alert'>]
    >>> episode, said = observe(episode, True, 60_000, quick)
    >>> said
    [<SignalKind.RETRAIN: 'retrain'>]
    >>> observe(episode, False, 120_000, quick)
    (Episode(breached=0, clean=0, since_ms=-1, alerted=False, retrained=False, absent=0), [<SignalKind.RESOLVE: 'resolve'>])
    """
    episode = replace(episode, absent=0)
    if breached:
        return _breached(episode, window_start_ms, persistence)
    if not episode.alerted:
        return Episode(), []
    episode = replace(episode, breached=0, clean=episode.clean + 1)
    if episode.clean >= persistence.resolve_after:
        return Episode(), [SignalKind.RESOLVE]
    return episode, []


def _breached(
    episode: Episode, window_start_ms: int, persistence: Persistence
) -> tuple[Episode, list[SignalKind]]:
    since_ms = window_start_ms if episode.since_ms == NEVER_MS else episode.since_ms
    episode = replace(episode, breached=episode.breached + 1, clean=0, since_ms=since_ms)
    said: list[SignalKind] = []
    if not episode.alerted and episode.breached >= persistence.alert_after:
        said.append(SignalKind.ALERT)
        episode = replace(episode, alerted=True)
    if not episode.retrained and 0 < persistence.retrain_after <= episode.breached:
        said.append(SignalKind.RETRAIN)
        episode = replace(episode, retrained=True)
    return episode, said
