"""Bounds on a version's metrics, as texts: `auc >= 0.8`, `accuracy >= production - 0.02`, `rmse <= production * 1.1`."""

import re
from dataclasses import dataclass

_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_BOUND = re.compile(
    rf"(?P<metric>\S+) (?P<sign><=|>=) (?:(?P<number>-?{_NUMBER})|production(?: (?P<by>[-+*]) (?P<amount>{_NUMBER}))?)"
)


@dataclass(frozen=True, slots=True)
class Bound:
    """metric at_least/at most `number`; relative: of the version in production, `factor` times its value plus `number`."""

    text: str
    metric: str
    at_least: bool
    number: float
    relative: bool = False
    factor: float = 1.0

    def limit(self, production: float) -> float:
        return self.factor * production + self.number if self.relative else self.number

    def holds(self, value: float, production: float) -> bool:
        """False for NaN. `production` is not looked at where the bound is not relative."""
        limit = self.limit(production)
        return value >= limit if self.at_least else value <= limit


def parse_bound(text: str) -> Bound:
    """Raises ValueError.

    >>> parse_bound("auc >= 0.8").holds(0.8, 0.0)
    True
    >>> parse_bound("rmse <= production * 1.1").limit(2.0)
    2.2
    """
    match = _BOUND.fullmatch(" ".join(text.split()))
    if match is None:
        raise ValueError(
            "expected METRIC <= or >= a number or `production`, `production - 0.02`, `production * 1.1`"
        )
    at_least = match["sign"] == ">="
    if match["number"] is not None:
        return Bound(text, match["metric"], at_least, float(match["number"]))
    amount = float(match["amount"] or 0.0)
    if match["by"] == "*":
        return Bound(text, match["metric"], at_least, 0.0, relative=True, factor=amount)
    return Bound(text, match["metric"], at_least, -amount if match["by"] == "-" else amount, relative=True)
