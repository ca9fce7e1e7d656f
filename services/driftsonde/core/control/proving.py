"""What a version must have shown live, as shadow and canary, before it becomes the champion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from driftsonde.core.bounds import Bound, parse_bound
from driftsonde.core.control.criteria import Criterion
from driftsonde.core.control.state import ModelState
from driftsonde.core.control.versions import champion_of
from driftsonde.core.spec import StageRule


@dataclass(frozen=True, slots=True)
class LiveNumber:
    """A metric's mean over a version's newest judged windows, weighted by the rows behind it; `n`: all of these rows."""

    value: float
    n: int


# By version and metric; a column's metric is "metric:column".
LiveNumbers = Mapping[str, Mapping[str, LiveNumber]]
Live = Callable[[str], LiveNumbers]


def nothing_live(_model: str) -> LiveNumbers:
    return {}


def proofs(model: ModelState, version: str, rule: StageRule, numbers: LiveNumbers) -> tuple[Criterion, ...]:
    """All that the rule asks to be shown live, met or not."""
    champion = champion_of(model.traffic)
    return tuple(
        _proof(parse_bound(text), numbers.get(version, {}), champion, numbers.get(champion, {}))
        for text in rule.live
    )


def _proof(
    bound: Bound, own: Mapping[str, LiveNumber], champion: str, others: Mapping[str, LiveNumber]
) -> Criterion:
    name = f"live {bound.text}"
    mine = own.get(bound.metric)
    if mine is None:
        return Criterion(name, False, f"{bound.metric} is not measured of it yet")
    said = f"it is {mine.value:.6g} on {mine.n} rows"
    if not bound.relative:
        return Criterion(name, bound.holds(mine.value, 0.0), said)
    its = others.get(bound.metric)
    if its is None:
        return Criterion(name, False, f"{bound.metric} is not measured of version {champion} in that time")
    both = f"{said}, and {its.value:.6g} on {its.n} of version {champion} in production"
    return Criterion(name, bound.holds(mine.value, its.value), both)
