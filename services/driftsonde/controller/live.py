"""What the judge measures of the versions that are on their way to champion, followed in the background."""

import logging
import threading
from collections.abc import Callable, Iterator
from types import MappingProxyType

from driftsonde.adapters.clickhouse import Store, StoreRejected, StoreUnavailable
from driftsonde.core.control.policy import Governance
from driftsonde.core.control.proving import LiveNumber, LiveNumbers
from driftsonde.core.control.rollout import Rollout
from driftsonde.core.control.state import State

INTERVAL_S = 15.0
WINDOWS = 24
_NOTHING: LiveNumbers = MappingProxyType({})

# The candidate's newest windows, and the champion's of the same time. Inputs have numbers without end, and none is asked for.
_NUMBERS = """
WITH
    (SELECT groupArray(start) FROM
        (SELECT DISTINCT window_start AS start FROM metrics
         WHERE model = {model:String} AND version = {version:String} AND segment = '' AND metric = 'label_coverage'
         ORDER BY start DESC LIMIT {windows:UInt32})) AS starts
SELECT version, if(column = '', metric, concat(metric, ':', column)) AS name, sum(value * n) / sum(n), sum(n)
FROM metrics FINAL
WHERE model = {model:String} AND segment = '' AND has(starts, window_start) AND n > 0 AND isFinite(value)
    AND ((version = {version:String} AND variant IN ('shadow', 'canary'))
        OR (version = {champion:String} AND variant = 'champion'))
GROUP BY version, name
"""

_log = logging.getLogger(__name__)


def read_numbers(store: Store, rollout: Rollout) -> LiveNumbers:
    """Raises what `Store` raises."""
    asked = {
        "model": rollout.model,
        "version": rollout.version,
        "champion": rollout.champion,
        "windows": WINDOWS,
    }
    found: dict[str, dict[str, LiveNumber]] = {}
    for version, name, value, n in store.query_rows(_NUMBERS, asked):
        found.setdefault(version, {})[name] = LiveNumber(value, int(n))
    return found


class LiveFollower:
    """`numbers` may be asked from any thread. Only rollouts whose policy asks for live numbers are looked at; while the store
    is away, the last numbers count, and those of a rollout that is over are forgotten."""

    def __init__(
        self,
        store: Store,
        state: Callable[[], State],
        governance: Callable[[str], Governance],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self.store, self._state, self._governance = store, state, governance
        self._interval_s = interval_s
        self._known: dict[str, tuple[str, LiveNumbers]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def numbers(self, model: str) -> LiveNumbers:
        return self._known.get(model, ("", _NOTHING))[1]

    def _follow(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.refresh()

    def refresh(self) -> None:
        asked = {rollout.model: rollout for rollout in self._asked()}
        kept = {
            model: known
            for model, known in self._known.items()
            if model in asked and known[0] == asked[model].id
        }
        for model, rollout in asked.items():
            try:
                kept[model] = (rollout.id, read_numbers(self.store, rollout))
            except (StoreUnavailable, StoreRejected) as error:
                _log.warning("live numbers can't be read", extra={"model": model, "problem": str(error)})
        self._known = kept

    def _asked(self) -> Iterator[Rollout]:
        for model in tuple(self._state().models.values()):
            rollout = model.rollout
            if (
                rollout is not None
                and rollout.active
                and self._governance(model.model).promotion.production.live
            ):
                yield rollout
