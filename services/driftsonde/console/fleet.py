"""How every model does at a glance, from what the judge has stored: one row for each version that serves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from driftsonde.adapters.clickhouse import Store
from driftsonde.core.control.traffic import Share
from driftsonde.core.events import Variant
from driftsonde.core.signals import SignalKind

# The numbers that say how well a model does, the one that is shown first.
PERFORMANCE = ("accuracy", "rmse")

_SLICES = """
SELECT model, version, variant,
       toUnixTimestamp64Milli(maxIf(window_start, column != '')) AS inputs_at,
       toUnixTimestamp64Milli(maxIf(window_start, column = '' AND has({performance:Array(String)}, metric))) AS outcomes_at
FROM metrics
WHERE segment = '' AND ({model:String} = '' OR model = {model:String})
GROUP BY model, version, variant
ORDER BY model, version, variant
"""

_NUMBERS = """
SELECT model, version, variant, column, metric, window_end, n, value, lower, upper, threshold, breached
FROM metrics FINAL
WHERE segment = '' AND (model, version, variant) IN {slices:Array(Tuple(String, String, String))}
      AND ((column != '' AND (model, version, variant, toUnixTimestamp64Milli(window_start)) IN {inputs:Array(Tuple(String, String, String, Int64))})
           OR (column = '' AND (model, version, variant, toUnixTimestamp64Milli(window_start)) IN {outcomes:Array(Tuple(String, String, String, Int64))}))
ORDER BY model, version, variant, column, metric
"""

# An episode is open until its resolve, or until its version leaves the split: the judge, which has no more windows of it,
# can't say that it is over. That a new version is good enough opens none.
_EPISODES = """
SELECT episode, model, version, any(rule), any(segment), min(since), max(window_end), argMax(kind, window_end),
       argMax(summary, window_end), groupUniqArray(id)
FROM signals FINAL
WHERE ({model:String} = '' OR model = {model:String}) AND kind != 'promote'
      AND (model, version) NOT IN (SELECT model, version FROM departed_versions)
GROUP BY episode, model, version
HAVING countIf(kind = {resolve:String}) = 0
ORDER BY min(since), episode
"""


# Nobody was told of an episode if all that was decided on its signals falls into the model's learning period.
_LEARNING = """
SELECT signal, min(until), max(until)
FROM (
    SELECT signal, JSONExtractInt(detail, 'learning_until_ms') AS until
    FROM decisions
    WHERE signal IN {signals:Array(String)}
)
GROUP BY signal
"""


# As the controller's decisions have it: the newest split of each model.
_SPLITS = """
SELECT model, argMax(arrayMap(share -> (JSONExtractString(share, 'version'), JSONExtractString(share, 'variant'),
                                        JSONExtractFloat(share, 'weight')),
                              JSONExtractArrayRaw(detail, 'traffic', 'split')),
                     JSONExtractInt(detail, 'traffic', 'revision'))
FROM decisions
WHERE JSONHas(detail, 'traffic') AND ({model:String} = '' OR model = {model:String})
GROUP BY model
"""


class Health(StrEnum):
    """The worst that is known of a version, worst last."""

    OK = "ok"
    DRIFTING = "drifting"
    UNKNOWN = "unknown"
    SILENT = "silent"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Episode:
    """Something that is wrong and not over: `kind` is the last that was said about it. `learning_until`: the end of the learning
    period in which it began, and because of which nobody was told of it; None where people were."""

    episode: str
    version: str
    rule: str
    segment: str
    since: datetime
    until: datetime
    kind: str
    summary: str
    learning_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A metric of the newest judged window; NaN where there is no interval or limit."""

    name: str
    column: str
    n: int
    value: float
    lower: float
    upper: float
    threshold: float
    breached: bool


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version in one role. Times are ends of windows, None where none was judged.

    `psi` has one number a column, the furthest beyond its limit first.
    """

    model: str
    version: str
    variant: str
    inputs_until: datetime | None
    outcomes_until: datetime | None
    psi: tuple[Number, ...]
    broken: tuple[Number, ...]
    performance: Number | None
    label_coverage: float | None
    open: tuple[Episode, ...]

    @property
    def drifting(self) -> int:
        """Columns that are past their limits."""
        return sum(number.breached for number in self.psi)

    @property
    def tells(self) -> bool:
        """Whether the window says anything of drift: one with too few rows, or from which the baseline was taken, calls no
        column, however far beyond its limit it is."""
        return all(number.breached or not number.value > number.threshold for number in self.psi)

    @property
    def judged_until(self) -> datetime | None:
        """The end of the newest judged window."""
        return max((at for at in (self.inputs_until, self.outcomes_until) if at), default=None)

    def health(self, now: datetime, silent_after: timedelta) -> Health:
        """An incident counts more than silence, and that more than columns past their limits of which none came (yet); nothing
        judged at all is unknown."""
        if self.open:
            return Health.ALERT
        if self.judged_until is None:
            return Health.UNKNOWN
        if now - self.judged_until > silent_after:
            return Health.SILENT
        return Health.DRIFTING if self.drifting or self.broken else Health.OK


def read_fleet(store: Store, model: str = "") -> list[VersionState]:
    """The newest judged window of every version, or of one model's; raises what `Store` raises."""
    newest = store.query_rows(_SLICES, {"model": model, "performance": list(PERFORMANCE)})
    if not newest:
        return []
    slices = [tuple(row[:3]) for row in newest]
    places = {
        "slices": slices,
        "inputs": [(*row[:3], row[3]) for row in newest],
        "outcomes": [(*row[:3], row[4]) for row in newest],
    }
    rows: dict[tuple[str, ...], list[Sequence[Any]]] = {}
    for row in store.query_rows(_NUMBERS, places):
        rows.setdefault(tuple(row[:3]), []).append(row[3:])
    episodes = read_open_episodes(store, model)
    return [_version(key, rows.get(key, []), episodes) for key in slices]


def read_open_episodes(store: Store, model: str = "") -> Mapping[tuple[str, str], tuple[Episode, ...]]:
    """By model and version, the oldest first."""
    rows = store.query_rows(_EPISODES, {"model": model, "resolve": SignalKind.RESOLVE.value})
    learning = _read_learning(store, [signal for row in rows for signal in row[-1]]) if rows else {}
    found: dict[tuple[str, str], tuple[Episode, ...]] = {}
    for episode, name, version, rule, segment, since, until, kind, summary, signals in rows:
        ends = _learning_until([learning[signal] for signal in signals if signal in learning])
        entry = Episode(episode, version, rule, segment, since, until, kind, summary, ends)
        found[name, version] = (*found.get((name, version), ()), entry)
    return found


def read_splits(store: Store, model: str = "") -> Mapping[str, tuple[Share, ...]]:
    """How the requests of each model are split, of those whose split is known."""
    return {
        name: tuple(Share(version, Variant(variant), weight) for version, variant, weight in split)
        for name, split in store.query_rows(_SPLITS, {"model": model})
    }


def _read_learning(store: Store, signals: Sequence[str]) -> dict[str, tuple[int, int]]:
    rows = store.query_rows(_LEARNING, {"signals": signals})
    return {signal: (least_ms, most_ms) for signal, least_ms, most_ms in rows}


def _learning_until(decided: Sequence[tuple[int, int]]) -> datetime | None:
    if not decided or not all(least_ms for least_ms, _ in decided):
        return None
    return datetime.fromtimestamp(max(most_ms for _, most_ms in decided) / 1000, UTC)


def _version(
    key: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    episodes: Mapping[tuple[str, str], tuple[Episode, ...]],
) -> VersionState:
    model, version, variant = key
    inputs = [_number(row) for row in rows if row[0]]
    outcomes = {row[1]: _number(row) for row in rows if not row[0]}
    coverage = outcomes.get("label_coverage")
    return VersionState(
        model=model,
        version=version,
        variant=variant,
        inputs_until=_newest(rows, of_columns=True),
        outcomes_until=_newest(rows, of_columns=False),
        psi=tuple(sorted((n for n in inputs if n.name == "psi"), key=_by_excess)),
        broken=tuple(n for n in inputs if n.breached and n.name != "psi"),
        performance=next((outcomes[name] for name in PERFORMANCE if name in outcomes), None),
        label_coverage=coverage.value if coverage else None,
        open=episodes.get((model, version), ()),
    )


def _by_excess(number: Number) -> tuple[bool, float, str]:
    """As an incident ranks its columns."""
    excess = number.value / number.threshold if number.threshold > 0 else number.value
    return not number.breached, -excess, number.column


def _number(row: Sequence[Any]) -> Number:
    column, name, _, *rest = row
    return Number(name, column, *rest)


def _newest(rows: Iterable[Sequence[Any]], *, of_columns: bool) -> datetime | None:
    ends = (row[2].astimezone(UTC) for row in rows if bool(row[0]) is of_columns)
    return max(ends, default=None)
